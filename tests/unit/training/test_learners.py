"""The contract of learners and recipes, over all named recipes on a few small photos.

Each trains from a backbone of a few bytes (networks are the small CNN), and what it leaves is the same for
all: the run folder, a card that says what it was, figures of media that did not train, a model file that
answers as what was trained.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineError, UsageError
from trapline.models import ModelFile
from trapline.prediction import Predictions
from trapline.recipes import KINDS, FoldedRecipe, Recipe, read_recipe, recipe_names, resolve_recipe
from trapline.tasks import Task
from trapline.taxonomy import Taxonomy, taxonomy_from_csv
from trapline.training import crossval, run, train
from trapline.training.elsewhere import Elsewhere
from trapline.training.learners import choose_learner

pytestmark = [
    pytest.mark.usefixtures("unrendered"),
    pytest.mark.filterwarnings("ignore::trapline.errors.TraplineWarning"),
]

TREE = """label,class,order,family,genus,species,kind
lynx,Mammalia,Carnivora,Felidae,Lynx,Lynx lynx,animal
puma,Mammalia,Carnivora,Felidae,Puma,Puma concolor,animal
blank,,,,,,blank
"""
COLOURS = {"lynx": (200, 60, 40), "puma": (40, 60, 200), "blank": (60, 60, 60)}
FAMILIES = ("head", "serengeti-benchmark", "taxa-cascade", "taxon-efficientnet-b6", "small-cnn")
"""A recipe of each kind."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Taxonomy:
    path = tmp_path_factory.mktemp("tree") / "taxonomy.csv"
    path.write_text(TREE)
    return taxonomy_from_csv(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """36 photos in bursts of two, at six locations in two seasons, split by location."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    rows = []
    for number in range(36):
        burst = number // 2
        label = tuple(COLOURS)[burst % 3]
        pixels = np.clip(random.normal(COLOURS[label], 40, (16, 16, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        place = burst // 3
        row = {"media_id": str(number), "file_path": f"{number}.png", "location_id": f"L{place}"}
        row |= {"event_id": f"e{burst}", "season": f"S{place % 2}", "labels": [label]}
        rows.append(row | {"split": "train" if place < 4 else "validation", "frame": number % 2 + 1})
    return Catalog.from_rows(rows, folder, "drawn")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


def small(name: str, tiny: Path, *changes: str) -> Recipe:
    """A named recipe made small: the same kind, with whatever else it is."""
    recipe = resolve_recipe(name)
    side = 94 if recipe.kind == "network" else 16
    settings = [f"preprocessing.{length}={side}" for length in ("height", "width")]
    if recipe.kind == "network":
        settings += ["backbone=small-cnn", "weights=none", "how=scratch", "precision=float32"]
        settings += ["freeze_batch_norm=false", "frozen_stages=0", "head.batch_norm=false"]
    else:
        settings += [f"backbone=model-file:{tiny}", "weights=none", "head.pooling=avg"]
    if recipe.kind in ("network", "hidden", "tree by epochs"):
        settings += ["epochs=1"]
    if recipe.kind in ("linear", "tree"):
        settings += ["folds=2", "optimiser.weight_decay=0.3"]
    if recipe.fit == "all":
        settings += ["fold_by=location"]
    return resolve_recipe(name, None, [*settings, *changes])


def needs_torch(recipe: Recipe) -> None:
    if recipe.kind not in ("linear", "tree"):
        pytest.importorskip("torch").set_num_threads(1)


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_leaves_a_run_that_says_what_it_is(
    name: str, photos: Catalog, tree: Taxonomy, tiny: Path, tmp_path: Path
) -> None:
    recipe = small(name, tiny)
    needs_torch(recipe)
    assert recipe.kind == resolve_recipe(name).kind
    path = train(recipe, photos, tmp_path / "run", taxonomy=tree, cache=tmp_path / "cache")
    left = {file.name for file in path.parent.iterdir()}
    assert left >= {"model.onnx", "recipe.yaml", "catalog.parquet", "validation.parquet", "history.csv"}
    assert not [file for file in left if "partial" in file or "unchecked" in file]
    card = ModelFile(path).card
    assert read_recipe(card.recipe, "the card") == recipe
    assert yaml.safe_load((path.parent / "recipe.yaml").read_text(encoding="utf-8")) == card.recipe
    assert card.name == name
    assert card.metrics["log_loss"].value > 0
    judged = Predictions.load(path.parent / "validation.parquet")
    assert judged.model == ModelFile(path).fingerprint
    assert judged.facts.recipe == name
    assert judged.facts.measured_on == card.metrics_on
    assert np.isfinite(judged.probabilities()).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_learner_answers_as_its_graph_does_and_out_of_fold_as_in_its_folds(
    name: str, photos: Catalog, tree: Taxonomy, tiny: Path, tmp_path: Path
) -> None:
    recipe = small(name, tiny)
    needs_torch(recipe)
    learner = choose_learner(recipe, photos, tree, needs_split=True)(tmp_path / "cache", None)
    selected = learner.selected
    model = learner.fit(selected.train, selected.validation, None, tmp_path / "fit")
    rows = selected.validation[:4]
    logits = learner.logits(model, rows)
    assert logits.shape == (4, len(selected.labels))
    np.testing.assert_allclose(learner.held_logits(model)[:4], logits, atol=1e-4)
    if not isinstance(recipe, FoldedRecipe):
        with pytest.raises(UsageError, match="not by folds"):
            crossval(recipe, photos, 2, taxonomy=tree, cache=tmp_path / "cache")
        return
    found = crossval(recipe, photos, 2, taxonomy=tree, cache=tmp_path / "cache")
    assert sorted(found.predictions.table["media_id"].to_list(), key=int) == [str(i) for i in range(36)]
    assert found.logits.shape == (36, len(selected.labels))


def test_there_is_a_recipe_of_every_kind() -> None:
    assert {resolve_recipe(name).kind for name in FAMILIES} == set(KINDS)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_fails_before_anything_is_learnt_leaves_nothing_behind(
    name: str, photos: Catalog, tree: Taxonomy, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(name, tiny)
    needs_torch(recipe)

    def fail(*_: object) -> None:
        assert (tmp_path / "run" / "recipe.yaml").is_file()
        raise DataError("nothing can be learnt")

    options = {"taxonomy": tree, "cache": tmp_path / "cache"}
    with monkeypatch.context() as patched:
        patched.setattr(run, "learn", fail)
        with pytest.raises(DataError, match="nothing can be learnt"):
            train(recipe, photos, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    gone = photos.with_table(photos.table.with_columns(split=None))
    if recipe.fit == "train":
        with pytest.raises(DataError, match="no split"):
            train(recipe, gone, tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()


def test_a_run_that_was_killed_before_it_learnt_is_begun_anew(
    photos: Catalog, tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    photos.save(folder / "catalog.parquet")
    with pytest.raises(UsageError, match="exists"):  # a user's own catalog, and no run
        train(small("head", tiny), photos, folder, cache=tmp_path / "cache")
    (folder / "recipe.yaml").write_text("name: head\n")
    assert train(small("head", tiny), photos, folder, cache=tmp_path / "cache").is_file()
    with pytest.raises(UsageError, match="--resume"):
        train(small("head", tiny), photos, folder, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["head", "taxa-flat"])
def test_a_model_file_that_answers_otherwise_than_what_was_trained_is_not_left(
    name: str, photos: Catalog, tree: Taxonomy, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trapline.training.learners import FrozenLearner

    said = FrozenLearner.file_logits
    monkeypatch.setattr(FrozenLearner, "file_logits", lambda *given: said(*given) * 1.01 + 0.01)
    with pytest.raises(TraplineError, match="answers otherwise"):
        train(small(name, tiny), photos, tmp_path / "run", taxonomy=tree, cache=tmp_path / "cache")
    assert not list(tmp_path.glob("run/*model*"))


def test_a_run_of_a_version_that_kept_every_field_is_resumed(
    photos: Catalog, tiny: Path, tmp_path: Path
) -> None:
    recipe = small("head", tiny)
    train(recipe, photos, tmp_path / "run", cache=tmp_path / "cache")
    path = tmp_path / "run" / "recipe.yaml"
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields |= {"taxa": None, "epochs": 20, "ema": None, "loss": {"name": "auto", "label_smoothing": 0.0}}
    fields["augmentation"] |= {"mixup": 0.0, "context": None}
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    train(recipe, photos, tmp_path / "run", cache=tmp_path / "cache", resume=True)
    path.write_text(yaml.safe_dump(fields | {"epochs": 7}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"epochs.*Train anew"):
        train(recipe, photos, tmp_path / "run", cache=tmp_path / "cache", resume=True)


FOLDED = [name for name in FAMILIES if name != "taxon-efficientnet-b6"]


def here(tasks: Sequence[Task], on: str, report: object) -> list[object]:
    """Tasks as another process would do them, without one: a process that imports PyTorch takes seconds."""
    return [task.find()(**json.loads(json.dumps(dict(task.arguments)))) for task in tasks]


def nothing_left(tasks: Sequence[Task], on: str, report: object) -> list[object]:
    assert not tasks
    return []


@pytest.mark.parametrize("name", FOLDED)
def test_folds_that_were_fitted_elsewhere_are_the_same_to_the_last_bit(
    name: str, photos: Catalog, tree: Taxonomy, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(name, tiny)
    if recipe.kind in ("linear", "tree"):  # several strengths, of which folds may give up some early
        recipe = recipe.model_copy(update={"optimiser": type(recipe.optimiser)(weight_decay=0.0)})
    needs_torch(recipe)
    if name != "head":  # that one in real processes
        monkeypatch.setattr(sys.modules["trapline.training.elsewhere"], "run_tasks", here)
    options = {"taxonomy": tree, "cache": tmp_path / "cache"}
    plain = crossval(recipe, photos, 2, **options)
    folder = tmp_path / "run"
    shared = crossval(recipe, photos, 2, **options, run_folder=folder, on="local:2")
    np.testing.assert_array_equal(shared.logits, plain.logits)
    assert shared.predictions.table.equals(plain.predictions.table)
    monkeypatch.setattr(sys.modules["trapline.training.elsewhere"], "run_tasks", nothing_left)
    again = crossval(recipe, photos, 2, **options, run_folder=folder, on="local:2")
    np.testing.assert_array_equal(again.logits, plain.logits)
    assert not list(folder.rglob("part.npz"))
    with pytest.raises(UsageError, match="other folds"):
        crossval(recipe, photos, 3, **options, run_folder=folder, on="local:2")


def test_members_that_were_fitted_elsewhere_are_the_same_to_the_last_bit(
    photos: Catalog, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small("small-cnn", tiny, "members=2")
    needs_torch(recipe)
    monkeypatch.setattr(sys.modules["trapline.training.elsewhere"], "run_tasks", here)
    learner = choose_learner(recipe, photos, None, needs_split=True)(tmp_path / "cache", None)
    rows = learner.selected.train, learner.selected.validation
    plain = learner.held_logits(learner.fit(*rows, None, tmp_path / "plain"))
    learner.elsewhere = Elsewhere("local:2", recipe, photos, None, True, tmp_path / "cache", None, None)
    shared = learner.held_logits(learner.fit(*rows, None, tmp_path / "shared"))
    np.testing.assert_array_equal(shared, plain)


@pytest.mark.parametrize("name", ["serengeti-benchmark", "taxon-efficientnet-b6", "small-cnn"])
def test_a_single_fit_is_not_shared_out(name: str, photos: Catalog, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"fits one model here.*leave --on out"):
        train(small(name, tiny), photos, tmp_path / "run", on="local:2")
    assert not (tmp_path / "run").exists()
