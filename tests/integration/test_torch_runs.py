"""Training networks on a tiny world: the run folder, resuming, leaks, folds, and one answer everywhere."""

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineWarning, UsageError
from trapline.models import ModelFile
from trapline.recipes import Recipe, resolve_recipe

torch = pytest.importorskip("torch")

from trapline.prediction import Predictions, predict  # noqa: E402
from trapline.training import train  # noqa: E402

pytestmark = pytest.mark.slow
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


def test_a_run_leaves_a_model_file_that_predicts_what_training_measured(
    world: MakeWorld, tmp_path: Path
) -> None:
    catalog = world()
    recipe = tiny("preprocessing.crop.context=1.3", "flip_average=true")
    path = train(recipe, catalog, tmp_path / "run", cache=tmp_path / "cache")
    card = ModelFile(path).card
    assert card.labels == ("a", "b")
    assert Recipe.model_validate(card.recipe) == recipe
    assert card.preprocessing == recipe.preprocessing
    assert card.calibration.method == "temperature"
    assert set(card.calibration.locations) == {"L4", "L5"}
    assert card.training_data["train"]["labels"] == {"a": 4, "b": 4}
    assert card.split["fingerprint"]
    assert {"log_loss", "accuracy", "macro_f1"} <= set(card.metrics)
    measured = Predictions.load(tmp_path / "run" / "validation.parquet")
    assert measured.model == ModelFile(path).fingerprint
    predicted = predict(ModelFile(path), catalog, tmp_path / "p.parquet", part="validation")
    assert measured.table["media_id"].to_list() == predicted.table["media_id"].to_list()
    np.testing.assert_allclose(measured.probabilities(), predicted.probabilities(), atol=1e-4)
    assert [row["epoch"] for row in curve(tmp_path / "run")] == ["1", "2"]
    assert all(0 <= float(row["train_accuracy"]) <= 1 for row in curve(tmp_path / "run"))
    assert (tmp_path / "run" / "history.png").stat().st_size > 1000
    with (tmp_path / "run" / "batches.csv").open(encoding="utf-8") as file:
        batches = list(csv.DictReader(file))
    assert [row["epoch"] for row in batches] == ["1", "1", "2", "2"]
    of_epoch = [float(row["train_loss"]) for row in batches[:2]]
    assert np.mean(of_epoch) == pytest.approx(float(curve(tmp_path / "run")[0]["train_loss"]), rel=1e-4)
    assert (tmp_path / "run" / "batches.png").stat().st_size > 1000


class _Killed(Exception):
    pass


@pytest.mark.parametrize("options", [[], ["ema=0.9", "schedule.name=cosine", "augmentation.crop_scale=0.7"]])
def test_a_killed_run_goes_on_along_the_same_curve(
    world: MakeWorld, tmp_path: Path, options: list[str]
) -> None:
    catalog, recipe = world(), tiny("epochs=4", "augmentation.noise=0.1", "selection=accuracy", *options)
    options_of = {"cache": tmp_path / "cache"}
    whole = train(recipe, catalog, tmp_path / "whole", **options_of)

    def kill_in_the_third_epoch(what: str, done: int, total: int, line: str) -> None:
        if what == "train" and done == 5:
            raise _Killed

    with pytest.raises(_Killed):
        train(recipe, catalog, tmp_path / "cut", report=kill_in_the_third_epoch, **options_of)
    assert len(curve(tmp_path / "cut" / "member-0")) == 2
    with pytest.raises(UsageError, match="--resume"):
        train(recipe, catalog, tmp_path / "cut", **options_of)
    with pytest.raises(UsageError, match="different: seed"):
        train(recipe.model_copy(update={"seed": 1}), catalog, tmp_path / "cut", resume=True, **options_of)
    corrected = world(labels=lambda row: ["b"] if row["media_id"] == "0" else row["labels"])
    with pytest.raises(UsageError, match="or other labels"):
        train(recipe, corrected, tmp_path / "cut", resume=True, **options_of)
    resumed = train(recipe, catalog, tmp_path / "cut", resume=True, **options_of)
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    of_batches = [(tmp_path / run / "batches.csv").read_text(encoding="utf-8") for run in ("cut", "whole")]
    assert of_batches[0] == of_batches[1]
    images = np.random.default_rng(1).integers(0, 256, (2, 94, 94, 3), dtype=np.uint8)
    first, second = (ModelFile(path, threads=1).run(images).logits for path in (whole, resumed))
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_leaking_split_is_refused_and_if_forced_said_on_the_card(world: MakeWorld, tmp_path: Path) -> None:
    catalog = world(location_id=lambda row: f"L{int(row['media_id']) % 2}")
    with pytest.raises(DataError, match=r"split leaks.*--allow-leak"):
        train(tiny(), catalog, tmp_path / "run", cache=tmp_path)
    assert not (tmp_path / "run").exists()
    path = train(tiny("epochs=1"), catalog, tmp_path / "run", allow_leak=True, cache=tmp_path)
    card = ModelFile(path).card
    assert "LEAKING SPLIT" in card.metrics_on
    assert card.split["leaks"]["leaking"] is True


def test_folds_become_one_model_file_judged_out_of_fold(world: MakeWorld, tmp_path: Path) -> None:
    recipe = tiny("fit=folds", "folds=3", "epochs=1", "balance=sampling")
    card = ModelFile(train(recipe, world(), tmp_path / "run", cache=tmp_path)).card
    assert card.embedding_size == 3 * 1024
    assert "never saw its location" in card.metrics_on
    assert card.metrics_on.endswith("calibration and figures are of single models")
    assert len(card.calibration.prior_shift) == 2
    assert len(Predictions.load(tmp_path / "run" / "validation.parquet")) == 12


def test_a_final_fit_on_everything_says_where_its_figures_come_from(world: MakeWorld, tmp_path: Path) -> None:
    recipe = tiny("fit=all", "folds=2", "epochs=1", "members=2", "selection=last")
    card = ModelFile(train(recipe, world(), tmp_path / "run", cache=tmp_path)).card
    assert "2 location folds: 12 media at 6 locations" in card.metrics_on
    assert "then trained on all of them for 1 of 1 epochs, 2 times, and averages these" in card.metrics_on
    assert card.metrics_on.endswith("calibration and figures are of single models")
    assert card.calibration.fitted_on.startswith("out of fold")


def test_a_final_fit_stops_early_on_the_schedule_that_the_folds_had(world: MakeWorld, tmp_path: Path) -> None:
    still = ["optimiser.lr=1e-12", "schedule.name=one-cycle", "schedule.warmup_epochs=2"]  # epoch 1 is best
    recipe = tiny("fit=all", "folds=2", "epochs=3", *still)
    card = ModelFile(train(recipe, world(), tmp_path / "run", cache=tmp_path)).card
    assert "trained on all of them for 1 of 3 epochs" in card.metrics_on
    (only,) = curve(tmp_path / "run" / "member-0")
    of_fold = curve(tmp_path / "run" / "fold-0")[0]
    assert float(only["lr"]) == pytest.approx(float(of_fold["lr"]), rel=0.1)  # of more steps an epoch


def test_what_is_left_out_is_told_and_counted(world: MakeWorld, tmp_path: Path) -> None:
    catalog = world(labels=lambda row: None if row["media_id"] == "1" else row["labels"])
    (catalog.root / "2.png").write_bytes(b"no picture")
    with pytest.warns(TraplineWarning) as told:
        path = train(tiny("epochs=1"), catalog, tmp_path / "run", cache=tmp_path / "cache")
    said = " ".join(str(warning.message) for warning in told)
    assert "1 of 12 media for training and validation have no label" in said
    assert "1 photo cannot be read and is left out" in said
    card = ModelFile(path).card
    assert card.training_data["left_out"] == {"unlabelled": 1, "unreadable": 1}
    assert card.training_data["train"]["media"] == 6


def test_bursts_with_two_species_have_no_part_in_the_pooling_of_bursts(
    world: MakeWorld, tmp_path: Path
) -> None:
    changed = {"1": "b", "9": "b"}  # of one burst in training and of one in validation

    def label(row: dict[str, Any]) -> list[str]:
        return [changed.get(row["media_id"], "ab"[int(row["media_id"]) // 2 % 2])]

    bursts = world(labels=label, event_id=lambda row: f"e{int(row['media_id']) // 2}")
    card = ModelFile(train(tiny("epochs=1"), bursts, tmp_path / "run", cache=tmp_path / "cache")).card
    assert card.event is not None
    assert card.event.selected_on.startswith("validation: 1 event of 1 location, 1 of several photos: fewer")
    assert card.event.selected_on.endswith("so the mean is taken (1 with several labels left out)")
    assert card.event.method == "mean"
    only = bursts.filter(pl.col("event_id") != "e5")
    assert ModelFile(train(tiny("epochs=1"), only, tmp_path / "only", cache=tmp_path)).card.event is None


def test_a_label_that_validation_lacks_is_told(world: MakeWorld, tmp_path: Path) -> None:
    catalog = world(labels=lambda row: ["a"] if int(row["media_id"]) >= 8 else row["labels"])
    with pytest.warns(TraplineWarning, match="No validation media has the label b"):
        train(tiny("epochs=1"), catalog, tmp_path / "run", cache=tmp_path)


def test_gradual_training_leaves_the_backbone_alone_at_first(world: MakeWorld, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from trapline.models.networks import build_network

    start, _ = build_network(tiny(), labels=2)
    weights = tmp_path / "start.safetensors"
    save_file({key: value.contiguous() for key, value in start.state_dict().items()}, weights)
    for epochs, moves in ((1, False), (2, True)):
        recipe = tiny("how=gradual", f"weights={weights}", f"epochs={epochs}", "selection=last")
        train(recipe, world(), tmp_path / f"run{epochs}", cache=tmp_path / "cache")
        state = torch.load(tmp_path / f"run{epochs}" / "member-0" / "last.ckpt", weights_only=True)
        first = state["state_dict"]["network.backbone.0.weight"]
        assert torch.equal(first, start.backbone[0].weight) is not moves


def test_a_frozen_backbone_is_exported_once_and_gets_a_head(world: MakeWorld, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from trapline.models.networks import build_network

    start, _ = build_network(tiny(), labels=2)
    weights = tmp_path / "start.safetensors"
    save_file({key: value.contiguous() for key, value in start.state_dict().items()}, weights)
    recipe = resolve_recipe(
        "lite0-frozen",
        None,
        [
            *("backbone=small-cnn", f"weights={weights}", "preprocessing.height=94"),
            *("preprocessing.width=94", "optimiser.weight_decay=0.1", "folds=2"),
        ],
    )
    model = ModelFile(train(recipe, world(), tmp_path / "run", cache=tmp_path / "cache"))
    card = model.card
    assert Predictions.load(tmp_path / "run" / "validation.parquet").model == model.fingerprint
    assert Recipe.model_validate(card.recipe) == recipe
    exported = list((tmp_path / "cache" / "backbones").glob("*.onnx"))
    assert len(exported) == 1
    assert card.backbone["fingerprint"] == ModelFile(exported[0]).fingerprint


def test_predictions_have_a_row_for_a_validation_photo_that_cannot_be_read(
    world: MakeWorld, tmp_path: Path
) -> None:
    catalog = world()
    (catalog.root / "9.png").write_bytes(b"no picture")
    with pytest.warns(TraplineWarning, match="left out"):
        train(tiny("epochs=1"), catalog, tmp_path / "run", cache=tmp_path)
    table = Predictions.load(tmp_path / "run" / "validation.parquet").table
    assert table.height == 4
    assert table.filter(pl.col("status") == "failed")["media_id"].to_list() == ["9"]


@pytest.mark.field
def test_on_real_photos_network_model_file_and_prediction_agree(field: Path, tmp_path: Path) -> None:
    from trapline.formats import join_boxes, read
    from trapline.training.fitting import network_logits
    from trapline.training.pixels import PixelCache

    catalog = join_boxes(read(field / "caltech-night"), field / "caltech-night" / "boxes.json")
    labelled = catalog.filter(pl.col("labels").is_not_null()).table.sort("location_id", "media_id")
    labelled = labelled.with_columns(label=pl.col("labels").list.first())
    one_a_place = labelled.unique(["location_id", "label"], keep="first", maintain_order=True)
    some = one_a_place.group_by("label", maintain_order=True).head(6)
    places = some.group_by("label").first()["location_id"].to_list()
    part = pl.when(pl.col("location_id").is_in(places)).then(pl.lit("validation"))
    some = catalog.with_table(some.with_columns(split=part.otherwise(pl.lit("train"))))
    changes = ["preprocessing.height=96", "preprocessing.width=96", "epochs=1", "batch_size=8"]
    recipe = resolve_recipe("efficientnet-lite0", None, changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraplineWarning)  # few photos: a label may miss validation
        path = train(recipe, some, tmp_path / "run", cache=tmp_path / "cache")
    model = ModelFile(path, threads=1)
    judged = Predictions.load(tmp_path / "run" / "validation.parquet")
    predicted = predict(model, some, tmp_path / "p.parquet", part="validation")
    np.testing.assert_allclose(judged.probabilities(), predicted.probabilities(), atol=1e-4)
    store = PixelCache(tmp_path / "cache").exact(some, recipe.preprocessing)
    logits = network_logits(_best(tmp_path / "run", recipe, model), store, np.arange(8), flip_average=True)
    np.testing.assert_allclose(model.run(np.array(store.pixels[:8])).logits, logits, atol=1e-4)


def _best(run: Path, recipe: Recipe, model: ModelFile) -> Any:
    """The averaged network of the best epoch's checkpoint."""
    from trapline.models.networks import build_network

    state = torch.load(run / "member-0" / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    network, _ = build_network(recipe, len(model.card.labels), load=False)
    prefix = "average.module."
    network.load_state_dict(
        {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    )
    return network
