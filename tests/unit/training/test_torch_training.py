"""On a tiny world: folds, pixels, views, light and rates; what cannot be trained on is refused."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineWarning
from trapline.metrics import log_loss
from trapline.recipes import Recipe, change_recipe, resolve_recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unrendered")]

torch = pytest.importorskip("torch")

from trapline.training import crossval, train  # noqa: E402
from trapline.training.batches import count_batches  # noqa: E402
from trapline.training.dense import fit_dense  # noqa: E402
from trapline.training.fitting import _refuse_broken  # noqa: E402
from trapline.training.learners import NetworkLearner  # noqa: E402
from trapline.training.selection import select_media  # noqa: E402

MakeWorld = Callable[..., Catalog]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tiny(*changes: str) -> Recipe:
    small = ["preprocessing.height=94", "preprocessing.width=94", "epochs=2", "batch_size=4"]
    return resolve_recipe("small-cnn", None, [*small, *changes])


def curve(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(encoding="utf-8") as file:
        return [{key: row[key] for key in row if key != "seconds"} for row in csv.DictReader(file)]


def test_cross_validation_holds_every_media_out_once(world: MakeWorld, tmp_path: Path) -> None:
    found = crossval(tiny("epochs=1"), world(split=lambda row: None), 3, cache=tmp_path)
    assert sorted(found.predictions.table["media_id"].to_list(), key=int) == [str(i) for i in range(12)]
    assert found.logits.shape == (12, 2)
    assert sorted(np.bincount(found.folds).tolist()) == [4, 4, 4]
    assert found.metrics["log_loss"].value > 0


def test_the_labels_of_a_fold_have_no_part_in_what_is_said_of_it(world: MakeWorld, tmp_path: Path) -> None:
    def said(label: str) -> Any:
        held = {"0", "1", "2", "3"}
        catalog = world(
            split=lambda row: None, labels=lambda row: [label] if row["media_id"] in held else row["labels"]
        )
        third = pl.col("media_id").cast(pl.Int64) // 4
        parts = [pl.when(third == fold).then(pl.lit("validation")) for fold in range(3)]
        folds = [
            catalog.with_table(catalog.table.with_columns(part.otherwise(pl.lit("train")).alias("split")))
            for part in parts
        ]
        recipe = tiny("epochs=1", "selection=last", "balance=sampling", "calibration=none")
        found = crossval(recipe, catalog, folds, cache=tmp_path)
        return found.predictions.probabilities()[found.folds == 0]

    np.testing.assert_allclose(said("a"), said("b"), atol=1e-6)


def test_a_fold_is_judged_at_the_epoch_that_the_other_folds_chose(world: MakeWorld, tmp_path: Path) -> None:
    recipe = tiny("epochs=4", "optimiser.lr=3e-3", "seed=1", "flip_average=true")
    photos = world(split=lambda row: None, labels=lambda row: ["ab"[int(row["media_id"]) % 3 == 0]])
    found = crossval(recipe, photos, 2, cache=tmp_path)
    assert found.best_epochs[0] != found.best_epochs[1]
    truth = np.array([int(int(one) % 3 == 0) for one in found.predictions.table["media_id"]])
    for fold, history in enumerate(found.histories):
        inside = found.folds == fold
        powers = np.exp(found.logits[inside].astype(float))
        loss = log_loss(truth[inside], powers / powers.sum(axis=1, keepdims=True))
        others = found.best_epochs[1 - fold]
        assert loss == pytest.approx(history[others - 1]["validation_log_loss"], rel=1e-5)
        assert loss > min(row["validation_log_loss"] for row in history)
    assert "at the epoch and with the calibration of the other folds" in found.judged.measured_on


def test_patience_on_the_judged_media_does_not_decide_at_which_epoch_a_fold_is_judged(
    world: MakeWorld, tmp_path: Path
) -> None:
    settings = ("epochs=5", "optimiser.lr=1e-3", "seed=1")
    photos = world(split=lambda row: None, labels=lambda row: ["ab"[int(row["media_id"]) % 3 == 0]])
    whole = crossval(tiny(*settings), photos, 2, cache=tmp_path)
    folder = tmp_path / "patient"
    found = crossval(tiny(*settings, "patience=1"), photos, 2, run_folder=folder, cache=tmp_path)
    lengths = [len(history) for history in found.histories]
    short = int(np.argmin(lengths))
    wanted = found.best_epochs[1 - short]
    assert lengths[short] < wanted, "the fold had ended before the epoch that the other chose"
    inside = found.folds == short
    powers = np.exp(found.logits[inside].astype(float))
    truth = np.array([int(int(one) % 3 == 0) for one in found.predictions.table["media_id"]])[inside]
    loss = log_loss(truth, powers / powers.sum(axis=1, keepdims=True))
    assert loss == pytest.approx(whole.histories[short][wanted - 1]["validation_log_loss"], rel=1e-5)
    again = crossval(tiny(*settings, "patience=1"), photos, 2, run_folder=folder, cache=tmp_path)
    np.testing.assert_array_equal(again.logits, found.logits)
    assert again.best_epochs == found.best_epochs


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"labels": lambda row: ["a"]}, "at least two labels"),
        ({"split": lambda row: "train"}, "no media in the part 'validation'"),
        ({"split": lambda row: None}, "no split at all"),
        (
            {"labels": lambda row: ["c"] if row["media_id"] == "11" else row["labels"]},
            "No training media.*--by location",
        ),
        ({"labels": lambda row: ["a", "b"]}, "task=multi-label"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    world: MakeWorld, tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        train(tiny(), world(**changes), tmp_path / "run", cache=tmp_path)
    assert not (tmp_path / "run").exists()


def test_photos_are_decoded_once_for_all_epochs_and_runs(
    world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trapline.training import pixels

    decoded: list[Path] = []
    plain = pixels.prepare
    monkeypatch.setattr(pixels, "prepare", lambda path, *rest: decoded.append(path) or plain(path, *rest))
    catalog = world()
    crossval(tiny(), catalog, 2, cache=tmp_path / "cache")
    assert len(decoded) == 12
    crossval(tiny("optimiser.lr=1e-3"), catalog, 3, cache=tmp_path / "cache")
    assert len(decoded) == 12
    changed = catalog.root / "3.png"
    Image.open(changed).rotate(90).save(changed)
    crossval(tiny("epochs=1"), catalog, 2, cache=tmp_path / "cache")
    assert len(decoded) == 24


def test_the_canvas_shows_in_its_nominal_view_what_prediction_sees(world: MakeWorld, tmp_path: Path) -> None:
    from trapline.training.augment import cut
    from trapline.training.pixels import PixelCache
    from trapline.training.views import affine_matrices

    catalog = world()
    smooth = np.linspace(0, 255, 60)[None, :, None] * np.ones((40, 1, 3))
    for path in catalog.paths():
        Image.fromarray(smooth.astype(np.uint8)).save(path)
    recipe = tiny("preprocessing.crop.context=1.3", "augmentation.context=[1.1, 1.8]")
    cache = PixelCache(tmp_path)
    exact = cache.exact(catalog, recipe.preprocessing)
    canvas = cache.canvas(catalog, recipe.preprocessing, recipe.augmentation)
    corners = canvas.facts[:, :4].astype(float)
    size = corners[:, 2:] - corners[:, :2]
    views = np.concatenate([corners[:, :2] + size / 2, size], axis=1)
    no = np.zeros(len(views), bool)
    matrices = torch.from_numpy(affine_matrices(views, no, no, np.zeros(len(views)), 1.0))
    seen = cut(torch.from_numpy(np.array(canvas.pixels)), matrices, 94, 94).permute(0, 2, 3, 1) * 255
    assert np.abs(seen.numpy() - exact.pixels)[:, 4:-4, 4:-4].max() < 6


@pytest.mark.parametrize(
    "change",
    ["mixup=0.4", "cutmix=1.0", "banner=1", "erase=1", "blur=1", "grey=1", "coarse=1", "gamma=0.4"],
)
def test_every_augmentation_keeps_images_in_range_and_shape(change: str) -> None:
    from trapline.training.augment import augment, mix

    settings = tiny(f"augmentation.{change}").augmentation
    images = torch.rand(4, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    seen = augment(images, settings, torch.Generator().manual_seed(1))
    mixed, targets = mix(seen, torch.eye(4), settings, torch.Generator().manual_seed(1))
    assert torch.equal(images, before)
    assert mixed.shape == images.shape
    assert mixed.min() >= 0
    assert mixed.max() <= 1
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(4))
    assert not torch.equal(mixed, images)


def test_schedules_begin_peak_and_end_where_they_should() -> None:
    from trapline.recipes import Cosine, Steps
    from trapline.training.optimisation import rate_factor

    cosine = Cosine(warmup_epochs=1, start_factor=0.1, final_factor=0.01)
    rates = [rate_factor(cosine, step, 100, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == 1
    assert rates[100] == pytest.approx(0.01)
    step = Steps(step_epochs=2, step_factor=0.5)
    assert [rate_factor(step, at, 100, 10) for at in (0, 19, 20, 40)] == [1, 1, 0.5, 0.25]


def test_a_run_that_is_stopped_early_is_the_beginning_of_the_whole_run(
    world: MakeWorld, tmp_path: Path
) -> None:
    from trapline.training.selection import select_media

    recipe = tiny("epochs=4", "schedule.name=cosine", "schedule.warmup_epochs=2", "augmentation.mixup=0.4")
    selected = select_media(world(), recipe)
    learner = NetworkLearner(recipe, selected, tmp_path / "cache", None)
    for name, stop_after in (("whole", None), ("short", 2)):
        learner.fit_one(recipe, selected.train, None, tmp_path / name, stop_after=stop_after)
    assert curve(tmp_path / "short") == curve(tmp_path / "whole")[:2]


def test_layer_decay_slows_the_early_stages_and_frozen_stages_do_not_move(
    world: MakeWorld, tmp_path: Path
) -> None:
    from trapline.models.networks import build_network
    from trapline.training.optimisation import first_stages, parameter_groups

    recipe = resolve_recipe(
        "efficientnet-lite0",
        None,
        ["weights=none", "how=whole", "optimiser.layer_decay=0.5", "optimiser.backbone_lr_factor=0.5"],
    )
    network, _ = build_network(recipe, labels=2)
    rates = {
        id(parameter): group["lr"]
        for group in parameter_groups(recipe.optimiser, network)
        for parameter in group["params"]
    }
    stem, last = network.backbone.conv_stem.weight, network.backbone.conv_head.weight
    assert rates[id(network.head[-1].weight)] == recipe.optimiser.lr
    assert rates[id(last)] == pytest.approx(recipe.optimiser.lr * 0.5)
    assert rates[id(stem)] < rates[id(last)] / 4
    assert "conv_stem.weight" in first_stages(network.backbone, 1)
    assert "conv_head.weight" not in first_stages(network.backbone, 3)


def wild(rate: float, *changes: str) -> Recipe:
    """A recipe with a rate beyond what is accepted, so that an epoch is enough."""
    return _wild(tiny(*changes), rate)


def _wild(recipe: Recipe, rate: float) -> Recipe:
    return recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update={"lr": rate})})


@pytest.mark.parametrize(
    "recipe",
    [
        wild(1e30, "optimiser.name=sgd", "epochs=1"),  # the loss breaks
        wild(1e30, "optimiser.name=sgd", "batch_size=64", "epochs=1"),  # one step: validation breaks first
        wild(1e30, "optimiser.name=sgd", "selection=last", "epochs=1", "ema=0.9"),
        wild(1e6, "optimiser.name=adam", "epochs=1"),
    ],
    ids=["loss", "validation", "average", "exploded"],
)
def test_training_that_diverges_says_so_and_leaves_no_model(
    world: MakeWorld, tmp_path: Path, recipe: Recipe
) -> None:
    for resume in (False, True):
        with pytest.raises(DataError, match=r"Training diverged.*optimiser\.lr"):
            train(recipe, world(), tmp_path / "run", cache=tmp_path, resume=resume)
        assert not (tmp_path / "run" / "model.onnx").exists()


def test_a_network_that_says_the_same_of_all_photos_is_no_model() -> None:
    pixels, dead = np.arange(8, dtype=np.uint8).reshape(4, 2), np.ones((4, 2), np.float32)
    with pytest.raises(DataError, match="exactly the same of all photos"):
        _refuse_broken(dead, pixels, 1)
    _refuse_broken(dead, np.zeros_like(pixels), 1)  # photos that are all the same
    _refuse_broken(np.eye(4, 2, dtype=np.float32), pixels, 1)


def test_a_final_fit_without_validation_that_diverges_says_so(world: MakeWorld, tmp_path: Path) -> None:
    learner = NetworkLearner(
        wild(1e38, "optimiser.name=sgd", "batch_size=64", "epochs=1"),
        select_media(world(), tiny(), needs_split=True),
        tmp_path,
        None,
    )
    with pytest.raises(DataError, match="Training diverged"):
        learner.fit(learner.selected.train, None, None, tmp_path / "run")


def layers(*changes: str) -> Recipe:
    settings = ("task=single-label", "exclusive=false", "keep_blanks=1", "head.hidden=[4]", "steps=null")
    return resolve_recipe("serengeti-benchmark", None, [*settings, *changes])


def test_a_head_that_diverges_says_so() -> None:
    recipe = _wild(layers("optimiser.name=sgd", "epochs=3"), 1e38)
    features = np.random.default_rng(0).normal(size=(8, 1, 3)).astype(np.float32)
    with pytest.raises(DataError, match="Training diverged"):
        fit_dense(recipe, features, np.eye(2, dtype=np.float32)[[0, 1] * 4])


def test_a_head_with_batch_normalisation_takes_any_number_of_photos() -> None:
    recipe = layers("head.batch_norm=true", "batch_size=2", "epochs=1")
    features = np.random.default_rng(0).normal(size=(5, 1, 3)).astype(np.float32)
    head = fit_dense(recipe, features, np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0]])
    assert np.isfinite(head.logits(features[:, 0])).all()


@pytest.mark.parametrize(
    ("media", "batch_size", "least", "sizes"),
    [
        (18, 17, 2, [9, 9]),
        (5, 2, 1, [2, 2, 1]),
        (5, 2, 2, [3, 2]),
        (4, 3, 2, [2, 2]),
        (8, 64, 2, [8]),
        (3, 1, 1, [1, 1, 1]),
    ],
)
def test_no_batch_is_too_small_to_normalise(
    media: int, batch_size: int, least: int, sizes: list[int]
) -> None:
    count = count_batches(media, batch_size, least)
    assert [len(part) for part in np.array_split(np.arange(media), count)] == sizes


def test_batches_of_one_photo_are_made_pairs_and_told_where_they_cannot_be_normalised(
    world: MakeWorld, tmp_path: Path
) -> None:
    change = ("head.batch_norm=true", "head.hidden=[8]", "batch_size=1", "epochs=1")
    with pytest.warns(TraplineWarning, match="batch_size=1.*have 2 each"):
        train(tiny(*change), world(), tmp_path / "run", cache=tmp_path)
    with pytest.raises(DataError, match="at least 2 photos in a batch"):
        count_batches(1, 4, 2)


def test_layers_that_normalise_over_places_too_may_have_batches_of_one(
    world: MakeWorld, tmp_path: Path
) -> None:
    learner = NetworkLearner(
        change_recipe(
            tiny("batch_size=1", "epochs=1", "head.batch_norm=false"), {"backbone": "small-cnn-bn"}
        ),
        select_media(world(), tiny(), needs_split=True),
        tmp_path,
        None,
    )
    learner.fit(learner.selected.train, None, None, tmp_path / "run")  # a warning would be an error
