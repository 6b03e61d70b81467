"""A few labels of one's own: what becomes of a model, or of a table, and what is measured on what."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline import api
from trapline.catalog import Catalog, fingerprint
from trapline.cli import main
from trapline.errors import DataError, UsageError
from trapline.models import Calibration, EventPooling, ModelFile, apply_calibration
from trapline.models.onnx_graph import set_calibration
from trapline.prediction import Combination, PredictionFacts, Predictions
from trapline.prediction.table import FIXED

LABELS = ("blank", "hare", "lynx")
Make = Callable[..., Path]


def photos(folder: Path, count: int = 24, **columns: list[Any]) -> Catalog:
    """Photos of random colours, hare and lynx in turn, of one location unless told otherwise."""
    random, folder = np.random.default_rng(0), folder / "photos"
    folder.mkdir()
    for number in range(count):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    rows = {
        "media_id": [f"m{number}" for number in range(count)],
        "file_path": [f"{number}.png" for number in range(count)],
        "labels": [[LABELS[1 + number % 2]] for number in range(count)],
        "location_id": ["here"] * count,
    }
    return Catalog.from_rows(pl.DataFrame(rows | columns), folder, "rows")


def test_labels_of_one_location_are_enough_and_the_file_says_that_it_holds_there_only(
    tmp_path: Path, write_tiny_model: Make
) -> None:
    model = ModelFile(write_tiny_model(tmp_path / "m.onnx"))
    times = [datetime(2024, 5, 1) + timedelta(hours=6 * number) for number in range(24)]
    made = api.recalibrate(model, photos(tmp_path, camera_time=times), tmp_path / "new.onnx")
    assert "24 media at 1 location (6 days; intervals are over days)" in made.measured_on
    assert "it holds at this location only (here)" in made.measured_on
    change = made.change["log_loss"]
    assert change.value == pytest.approx(made.after["log_loss"].value - made.before["log_loss"].value)
    assert change.low is not None
    assert change.low <= change.value
    new, pixels = ModelFile(made.path), np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    answered, old = new.run(pixels), model.run(pixels)
    assert np.array_equal(answered.logits, old.logits)
    assert answered.probabilities == pytest.approx(
        apply_calibration(old.logits, made.calibration, "single-label", LABELS), abs=1e-6
    )
    assert new.card.calibration.locations == ("here",)
    assert new.card.calibration.offsets[0] < min(new.card.calibration.offsets[1:]), "no blank is there"


def test_whatever_belongs_together_some_figures_can_be_had(tmp_path: Path, write_tiny_model: Make) -> None:
    model, catalog = write_tiny_model(tmp_path / "m.onnx"), photos(tmp_path, 4)
    alone = api.recalibrate(model, catalog, tmp_path / "a.onnx")
    assert "no events known; intervals are over single media" in alone.measured_on
    of_one_event = catalog.with_table(catalog.table.with_columns(event_id=pl.lit("e")))
    assert "of one event" in api.recalibrate(model, of_one_event, tmp_path / "b.onnx").measured_on
    single = api.recalibrate(model, catalog.with_table(catalog.table[:1]), tmp_path / "c.onnx")
    assert (single.before, single.change) == ({}, {})
    assert np.isfinite(single.calibration.offsets).all()


def test_a_model_that_pools_events_is_fitted_to_events_too(tmp_path: Path, write_tiny_model: Make) -> None:
    pooling = EventPooling(method="mean", calibration=Calibration(method="temperature", temperature=2.0))
    model = write_tiny_model(tmp_path / "m.onnx", event=pooling)
    labels = [[LABELS[1 + number // 2 % 2]] for number in range(24)]
    catalog = photos(tmp_path, labels=labels, event_id=[f"e{number // 2:02}" for number in range(24)])
    made = api.recalibrate(model, catalog, tmp_path / "new.onnx")
    event = ModelFile(made.path).card.event
    assert event is not None
    assert event.method == "mean"
    assert event.calibration.method == "labels"
    assert "12 events of 24 media" in event.selected_on
    assert made.event_change["log_loss"].value == pytest.approx(
        event.metrics["log_loss"].value - pooled_before(model, catalog), abs=1e-4
    )
    apart = catalog.with_table(catalog.table.with_columns(event_id="media_id"))
    with pytest.raises(DataError, match="none of the labelled photos share one"):
        api.recalibrate(model, apart, tmp_path / "other.onnx")


def test_what_is_said_of_an_event_sums_to_one_where_labels_exclude_each_other(
    tmp_path: Path, write_tiny_model: Make
) -> None:
    pooling = EventPooling(method="max", calibration=Calibration(exclusive=True))
    own = Calibration(exclusive=True)
    model = write_tiny_model(tmp_path / "m.onnx", task="multi-label", event=pooling, calibration=own)
    labels = [[LABELS[1 + number // 2 % 2]] for number in range(24)]
    catalog = photos(tmp_path, labels=labels, event_id=[f"e{number // 2:02}" for number in range(24)])
    made = ModelFile(api.recalibrate(model, catalog, tmp_path / "new.onnx").path)
    event = made.card.event
    assert event is not None
    assert event.calibration.exclusive
    assert event.calibration.method == "labels"
    frames = ModelFile(made.path).predict(catalog, tmp_path / "p.parquet")
    for how in (None, "max", "mean-logit"):
        pooled = api.pool(frames, catalog, how=how, rows="event")
        assert pooled.probabilities().sum(axis=1) == pytest.approx(1, abs=1e-5)
    older = pooling.model_copy(update={"calibration": Calibration(method="temperature", temperature=2.0)})
    old = write_tiny_model(tmp_path / "o.onnx", task="multi-label", event=older, calibration=own)
    set_calibration(old, own)  # into the graph as well
    remade = api.recalibrate(old, catalog, tmp_path / "again.onnx")
    again = ModelFile(remade.path).card.event
    assert again is not None
    gain = again.metrics["log_loss"].value - pooled_before(old, catalog)
    assert remade.event_change["log_loss"].value == pytest.approx(gain, abs=1e-4)
    assert again.calibration == event.calibration, "an older file read each label by itself"


def pooled_before(model: Path, catalog: Catalog) -> float:
    """The log loss of events as `pool` and `evaluate` have it."""
    predictions = ModelFile(model).predict(catalog, model.with_suffix(".parquet"))
    figure = predictions.pool("event").evaluate().metrics["log_loss"].value
    assert figure is not None
    return figure


@pytest.mark.parametrize(("part", "told"), [("train", False), ("validation", True)])
def test_photos_of_the_training_tell_nothing_of_new_locations(
    part: str, told: bool, tmp_path: Path, write_tiny_model: Make
) -> None:
    split = ["train" if number < 24 else "validation" for number in range(48)]
    catalog = photos(tmp_path, 48, location_id=[f"L{number // 4}" for number in range(48)], split=split)
    model = ModelFile(
        write_tiny_model(
            tmp_path / "m.onnx", split={"fingerprint": fingerprint(catalog)}, recipe={"fit": "train"}
        )
    )
    made = api.recalibrate(model, catalog, tmp_path / "new.onnx", part=part)
    assert bool(ModelFile(made.path).card.new_locations) == told
    assert made.measured_on.endswith("the model was trained on the part train of this catalog")


def table(probabilities: np.ndarray, **facts: Any) -> Predictions:
    rows = [{"media_id": f"m{n}", "file_path": f"{n}.jpg", "status": "ok"} for n in range(len(probabilities))]
    columns = [pl.Series(label, probabilities[:, n], pl.Float32) for n, label in enumerate(LABELS)]
    made = pl.DataFrame(rows, schema={**FIXED}).with_columns(columns)
    return Predictions(made, LABELS, "media", "print", "single-label", PredictionFacts(**facts))


def test_a_table_of_another_tool_is_put_right_by_the_media_that_are_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, (400, 3))
    powers = np.exp(logits)
    chances = powers / powers.sum(axis=1, keepdims=True)
    truth = (chances.cumsum(axis=1) > random.random((400, 1))).argmax(axis=1)
    shifted = np.exp(logits + np.array([2.0, 0.0, -2.0]))
    predictions = table(shifted / shifted.sum(axis=1, keepdims=True))
    predictions.save(tmp_path / "theirs.parquet")
    rows = {
        "media_id": [f"m{n}" for n in range(400)],
        "file_path": [f"{n}.jpg" for n in range(400)],
        "labels": [[LABELS[one]] for one in truth],
        "location_id": [f"L{n % 20}" for n in range(400)],
    }
    every = Catalog.from_rows(pl.DataFrame(rows), tmp_path, "rows")
    wolves = pl.DataFrame({"media_id": ["w1", "w2"], "file_path": ["w1.jpg", "w2.jpg"]}).with_columns(
        labels=pl.Series([["wolf"], ["wolf"]]), location_id=pl.lit("L1")
    )
    some = Catalog.from_rows(pl.concat([pl.DataFrame(rows)[:100], wolves]), tmp_path, "rows")
    some.save(tmp_path / "some.parquet")
    files = [str(tmp_path / name) for name in ("theirs.parquet", "some.parquet", "new.parquet")]
    with pytest.raises(SystemExit) as left:
        main(["recalibrate", *files[:2], "-o", files[2]])
    printed = capsys.readouterr().out
    assert not left.value.code, printed
    first = "2 of 102 media are left out: a label that the model does not know (wolf 2)"
    assert printed.splitlines()[0] == first
    assert "slope" in printed
    assert "100 media at 20 locations, each calibrated by the other folds" in printed
    new, others = Predictions.load(tmp_path / "new.parquet"), every.with_table(every.table[100:])
    old_loss, new_loss = (
        one.narrowed(others).evaluate().metrics["log_loss"].value for one in (predictions, new)
    )
    assert new_loss < old_loss - 0.3
    assert new.facts.calibration == "labelled media: 100 media at 20 locations"
    assert new.table["media_id"].equals(predictions.table["media_id"])


def test_tables_that_cannot_be_fitted_are_refused_with_the_way_out(tmp_path: Path) -> None:
    chances, catalog = np.full((4, 3), 1 / 3), photos(tmp_path, 4)
    with pytest.raises(UsageError, match="surest labels only"):
        api.recalibrate_predictions(table(chances, kept=1), catalog, tmp_path / "o.parquet")
    strangers = catalog.with_table(catalog.table.with_columns(media_id=pl.lit("x") + pl.col("media_id")))
    with pytest.raises(DataError, match="None of the labelled media is in the predictions"):
        api.recalibrate_predictions(table(chances), strangers, tmp_path / "o.parquet")
    with pytest.raises(UsageError, match="auto, temperature, labels"):
        api.recalibrate_predictions(table(chances), catalog, tmp_path / "o.parquet", method="none")


def test_a_table_whose_labels_exclude_each_other_stays_a_softmax(tmp_path: Path) -> None:
    chances = np.random.default_rng(4).dirichlet(np.ones(3), 60)
    labels = [[LABELS[one]] for one in chances.argmax(axis=1)]
    catalog = photos(tmp_path, 60, labels=labels, location_id=[f"L{n % 6}" for n in range(60)])
    combined = Combination(
        models=("a",), names=("a",), weights=(1.0,), sureness={}, pooled=None, learnt_on="others"
    )
    predictions = replace(table(chances, exclusive=True, combined=combined), task="multi-label")
    alone = table(chances)
    made, plain = (
        api.recalibrate_predictions(one, catalog, tmp_path / f"{name}.parquet", method="temperature")
        for name, one in (("several", predictions), ("one", alone))
    )
    assert made.calibration.temperature == pytest.approx(plain.calibration.temperature)
    new = Predictions.load(made.path)
    assert new.probabilities() == pytest.approx(Predictions.load(plain.path).probabilities(), abs=1e-6)
    with pytest.raises(
        DataError, match="do not say how models were combined"
    ):  # they would be used without the calibration
        Combination.of(new.facts)
