"""No setting of a recipe is accepted in vain: over all recipes and all fields, it acts or it is refused.

Every field has other values here (without them for a new field the first test fails). Each, asked for by a
flag where the field is idle, is refused by name, unless by it the recipe becomes another. Each that heads
on a frozen backbone accept changes what training comes to: on small photos, with boxes, seasons and bursts.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import TraplineError, UsageError
from trapline.models import ModelFile
from trapline.prediction import Predictions
from trapline.recipes import (
    FoldedRecipe,
    Recipe,
    dotted_fields,
    idle_fields,
    recipe_names,
    resolve_recipe,
)
from trapline.taxonomy import Taxonomy, taxonomy_from_csv
from trapline.training import train

pytestmark = pytest.mark.usefixtures("unrendered")

OTHERS: dict[str, tuple[str, ...]] = {
    "frozen_epochs": ("2",),
    "frozen_stages": ("2",),
    "drop_path": ("0.5",),
    "freeze_batch_norm": ("true", "false"),
    "flip_average": ("true", "false"),
    "preprocessing.height": ("24",),
    "preprocessing.width": ("24",),
    "preprocessing.fit": ("letterbox", "crop", "corner"),
    "preprocessing.crop_fraction": ("0.5",),
    "preprocessing.interpolation": ("nearest", "lanczos"),
    "preprocessing.mask_top": ("0.3",),
    "preprocessing.mask_bottom": ("0.3",),
    "preprocessing.cut_banners": ("true",),
    "preprocessing.crop": ("{context: 3}", "null"),
    "preprocessing.crop.categories": ("[person]",),
    "preprocessing.crop.min_conf": ("0.95",),
    "preprocessing.crop.context": ("2.5",),
    "preprocessing.crop.square": ("false",),
    "preprocessing.crop.min_side": ("0.9",),
    "head.pooling": ("max", "gem"),
    "head.hidden": ("[7]", "[]"),
    "head.dropout": ("0.7",),
    "head.input_dropout": ("0.7",),
    "head.batch_norm": ("true", "false"),
    "optimiser.name": ("rmsprop",),
    "optimiser.lr": ("0.03",),
    "optimiser.weight_decay": ("0.7",),
    "optimiser.momentum": ("0.3",),
    "optimiser.nesterov": ("true",),
    "optimiser.backbone_lr_factor": ("0.01",),
    "optimiser.layer_decay": ("0.2",),
    "optimiser.clip": ("0.001",),
    "schedule.name": ("cosine", "one-cycle", "none"),
    "schedule.warmup_epochs": ("1.5",),
    "schedule.start_factor": ("0.6",),
    "schedule.final_factor": ("0.6",),
    "schedule.step_epochs": ("1",),
    "schedule.step_factor": ("0.3",),
    "epochs": ("4",),
    "steps": ("1",),
    "batch_size": ("3",),
    "patience": ("1",),
    "loss.name": ("bce",),
    "loss.label_smoothing": ("0.3",),
    "exclusive": ("true", "false"),
    "balance": ("class-weights", "sampling", "logit-adjustment", "none"),
    "sample": ("{share: 0.7}", "{share: 0.7, seed: 3}", "null"),
    "keep_blanks": ("0.3",),
    "correct_prior": ("false", "true"),
    "augmentation.horizontal_flip": ("0.9",),
    "augmentation.vertical_flip": ("0.9",),
    "augmentation.crop_scale": ("0.4",),
    "augmentation.crop_ratio": ("2",),
    "augmentation.rotate": ("60",),
    "augmentation.context": ("[1.0, 5.0]",),
    "augmentation.box_shift": ("0.4",),
    "augmentation.full_frame": ("0.6",),
    "augmentation.brightness": ("0.9",),
    "augmentation.contrast": ("0.9",),
    "augmentation.gamma": ("0.9",),
    "augmentation.noise": ("0.6",),
    "augmentation.blur": ("1",),
    "augmentation.coarse": ("1",),
    "augmentation.grey": ("1",),
    "augmentation.banner": ("1",),
    "augmentation.erase": ("1",),
    "augmentation.mixup": ("1.5",),
    "augmentation.cutmix": ("1.5",),
    "augmentation.last_epochs_off": ("2",),
    "ema": ("0.5",),
    "selection": ("last",),
    "learn_from": ("event", "media"),
    "frames": ("first", "all"),
    "event_statistics": ("[max]",),
    "background_view": ("true", "false"),
    "calibration": ("none", "labels", "temperature"),
    "fit": ("all", "folds", "train"),
    "folds": ("2",),
    "fold_by": ("event", "season", "location"),
    "members": ("2",),
    "precision": ("bf16", "fp16"),
    "seed": ("7",),
    "taxa.way": ("flat", "cascade", "path"),
    "taxa.ranks": ("[family]",),
    "taxa.node": ("felidae_taxon_classifier",),
    "taxa.solver": ("exact", "adam"),
    "taxa.promise": ("0.51",),
    "taxa.confidence": ("0.51",),
    "taxa.answer": ("80%",),
}
"""Dotted field -> other values, as flags have them."""

NAMED_ELSEWHERE = {
    "name": "it is what a run is called",
    "task": "it decides what a label is",
    "leave_out": "tests of the selection show it",
    "backbone": "tests of the networks' registry build each",
    "weights": "likewise",
    "how": "it decides what learns",
    "search": "it is for `trapline tune`",
    "taxa": "its fields are here",
    "sample.share": "it is there where `sample` is",
    "sample.seed": "likewise",
    "preprocessing.decoding": "it acts on last bits; tests of its own show it",
    "preprocessing.oversampling": "it acts on JPEGs larger than any here; tests of preparing show it",
}


def dotted(recipe: Recipe) -> Iterator[str]:
    """Every field of a recipe, those of absent sections too."""

    def leaves(values: Mapping[str, Any], start: str) -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, dict) and name != "search":
                yield from leaves(value, f"{start}{name}.")
            else:
                yield f"{start}{name}"

    yield from leaves(recipe.model_dump(), "")


def test_every_field_of_every_kind_of_recipe_has_other_values_here() -> None:
    assert set(dotted_fields()) <= OTHERS.keys() | NAMED_ELSEWHERE.keys()


def acting(recipe: Recipe) -> set[str]:
    return set(dotted(recipe)) - idle_fields(recipe).keys()


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_asked_for_in_vain_is_refused_by_name(name: str) -> None:
    recipe = resolve_recipe(name)
    sections = {"sample", "preprocessing.crop"}  # whose fields have others here
    for field in OTHERS.keys() - sections - acting(recipe):
        for value in OTHERS[field]:
            asked = resolved(name, f"{field}={value}")
            if not isinstance(asked, Recipe):
                assert field in asked or "cannot be" in asked, asked
                continue
            nothing = value in ("true", "false", "none", "[]", "null", "train", "all", "media")
            assert nothing or field in acting(asked), (field, value)  # it made the recipe another


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("serengeti-benchmark", ("fold_by=season",), "fold_by"),
        ("head", ("head.hidden=[8]", "folds=3"), "folds"),
        ("small-cnn", ("epochs=10", "schedule.name=step"), "the run ends before the rate falls"),
    ],
)
def test_folds_that_nobody_deals_and_a_rate_that_never_falls_are_refused(
    name: str, settings: tuple[str, ...], told: str
) -> None:
    assert told in str(resolved(name, *settings))


def resolved(name: str, *settings: str) -> Recipe | str:
    """The recipe, or why not."""
    try:
        return resolve_recipe(name, None, list(settings))
    except UsageError as error:
        return str(error)


# ---- each field, in a training of a few photos


BACKBONE = ("weights=none", "head.pooling=avg", "preprocessing.height=16", "preprocessing.width=16")
HEAD = (*BACKBONE, "folds=3", "optimiser.weight_decay=0.3")
LAYERS = (*BACKBONE, "keep_blanks=0.6", "batch_size=4", "optimiser.weight_decay=0.3")
BASES: dict[str, tuple[str, ...]] = {
    "head": HEAD,
    "head, balanced, banners": (
        *(*HEAD, "balance=class-weights", "preprocessing.mask_top=0.1", "preprocessing.fit=crop"),
    ),
    "sequences-frames": (*HEAD, "fold_by=location", "balance=class-weights"),
    "serengeti-benchmark": (*LAYERS, "steps=30"),
    "serengeti-benchmark, sigmoids": (
        *(*LAYERS, "exclusive=false", "epochs=3", "steps=null", "optimiser.name=sgd"),
        *("optimiser.nesterov=true", "schedule.name=step", "schedule.step_epochs=2"),
    ),
    "taxa-flat": (*HEAD, "taxa.confidence=0.6", "taxa.promise=0.7"),
}
"""Recipe -> settings that make it small; together they let every field of heads act."""

COLOURS = {
    "blank": (90, 90, 90),
    "lynx": (180, 90, 60),
    "bobcat": (170, 120, 60),
    "puma": (190, 90, 120),
    "roe": (70, 150, 90),
}
LABELS = tuple(COLOURS)
TREE = """label,class,order,family,genus,species,kind
lynx,Mammalia,Carnivora,Felidae,Lynx,Lynx lynx,animal
bobcat,Mammalia,Carnivora,Felidae,Lynx,Lynx rufus,animal
puma,Mammalia,Carnivora,Felidae,Puma,Puma concolor,animal
roe,Mammalia,Artiodactyla,Cervidae,Capreolus,Capreolus capreolus,animal
blank,,,,,,blank
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Taxonomy:
    path = tmp_path_factory.mktemp("tree") / "taxonomy.csv"
    path.write_text(TREE, encoding="utf-8")
    return taxonomy_from_csv(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """80 photos in bursts of two, at 5 locations to train on and 20 to judge on (a promise needs that many),
    in 5 seasons; some animals are in one frame only."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(3)
    labels = random.permutation(np.tile(LABELS, 8)).tolist()
    rows = []
    for number in range(80):
        burst, frame = divmod(number, 2)
        shown = labels[burst] if frame or burst % 3 else "blank"
        pixels = random.normal(COLOURS["blank"], 45, (40, 60, 3)) + random.normal(0, 20, 3)
        pixels[12:28, 20:36] = random.normal(COLOURS[shown], 45, (16, 16, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        box = {"category": "animal", "conf": 0.9, "x": 0.33, "y": 0.3, "width": 0.27, "height": 0.3}
        place = burst // 4 if burst < 20 else burst - 15
        rows.append(
            {
                "media_id": f"{number}",
                "file_path": f"{number}.png",
                "location_id": f"L{place}",
                "event_id": f"e{burst}",
                "frame": frame + 1,
                "season": f"S{place % 5 + 1}",
                "labels": [shown],
                "boxes": [box] if number % 5 else [],
                "split": "train" if place < 5 else "validation",
            }
        )
    return Catalog.from_rows(rows, folder, "drawn")


Outcome = dict[str, Any]


def outcome(recipe: Recipe, photos: Catalog, tree: Taxonomy, folder: Path) -> Outcome:
    """What training comes to, without what only repeats the recipe."""
    path = train(recipe, photos, folder / "run", taxonomy=tree, cache=folder.parent / "cache")
    model = ModelFile(path, threads=1)
    size = model.card.preprocessing
    images = np.random.default_rng(0).integers(0, 256, (3, size.height, size.width, 3), dtype=np.uint8)
    card = model.card.model_dump(
        mode="json", include={"calibration", "event", "thresholds", "metrics", "labels"}
    )
    return {
        "said": Predictions.load(folder / "run" / "validation.parquet").probabilities().round(5).tolist(),
        "answers": model.run(images).probabilities.round(5).tolist(),
        "card": card,
        "history": [path.read_text(encoding="utf-8") for path in sorted((folder / "run").glob("h*.csv"))],
    }


LOOKS = {field for field in OTHERS if field.startswith(("preprocessing.", "augmentation."))}
"""What is done to pixels before a backbone sees them: one code for all recipes of a kind."""


def acts_before(recipe: Recipe, base: str, setting: str) -> bool:
    """Whether a recipe of this kind that is tried before has the setting act, and so tries it."""
    field = setting.partition("=")[0]
    for other in list(BASES)[: list(BASES).index(base)]:
        name, settings = other.partition(",")[0], (f"backbone={recipe.backbone}", *BASES[other])
        plain, asked = resolved(name, *settings), resolved(name, *settings, setting)
        same_kind = isinstance(plain, Recipe) and plain.kind == recipe.kind
        if same_kind and isinstance(asked, Recipe) and asked != plain and field in acting(asked):
            return True
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::trapline.errors.TraplineWarning")
@pytest.mark.parametrize("base", BASES)
def test_every_setting_that_is_accepted_changes_what_training_comes_to(
    base: str, photos: Catalog, tree: Taxonomy, tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    name, settings = base.partition(",")[0], BASES[base]
    settings = (f"backbone=model-file:{write_tiny_model(tmp_path / 'tiny.onnx')}", *settings)
    recipe = resolve_recipe(name, None, list(settings))
    plain = outcome(recipe, photos, tree, tmp_path / "plain")
    in_vain = []
    for field in sorted(set(dotted(recipe)) & OTHERS.keys()):
        for value in OTHERS[field]:
            asked = resolved(name, *settings, f"{field}={value}")
            if not isinstance(asked, Recipe) or asked == recipe or field in idle_fields(asked):
                continue
            if field in LOOKS and acts_before(recipe, base, f"{field}={value}"):
                continue
            if field == "loss.name" and value == "bce" and recipe.task == "multi-label":
                continue  # it says what `auto` is
            if field == "seed" and isinstance(recipe, FoldedRecipe) and recipe.optimal:
                continue  # it deals folds, and every seed deals as few locations alike
            if field == "calibration" and value == "temperature":
                continue  # it says what `auto` takes of few photos
            folder = tmp_path / f"{field}-{OTHERS[field].index(value)}"
            try:
                same = outcome(asked, photos, tree, folder) == plain
            except TraplineError:
                continue  # refused where the photos or the backbone are known
            if same:
                in_vain.append(f"{field}={value}")
    assert not in_vain, " ".join(in_vain)
