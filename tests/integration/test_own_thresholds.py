"""Thresholds that were chosen go into the model file, and all that answers takes them there."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline import api
from trapline.catalog import Catalog
from trapline.ecology import records_of
from trapline.errors import DataError, UsageError
from trapline.models import EventPooling, ModelFile
from trapline.observations import with_thresholds
from trapline.prediction import Predictions, pool_events
from trapline.serving.answers import RequestPhoto, answer, as_document, describe

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def chosen(run: Run, tmp_path: Path, write_tiny_model: Callable[..., Path]) -> Predictions:
    """A model, photos of six locations of which it takes some for others, and `t.csv` of its answers."""
    write_tiny_model(tmp_path / "model.onnx", event=EventPooling(method="mean"))
    random = np.random.default_rng(4)
    for number in range(36):
        pixels = np.repeat(np.repeat(random.integers(0, 255, (2, 2, 3)), 16, 0), 16, 1).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    names = [str(number) for number in range(36)]
    rows = pl.DataFrame({"media_id": names}).with_columns(
        file_path=pl.format("{}.png", "media_id"),
        location_id=pl.format("L{}", pl.int_range(pl.len()) % 6),
        event_id=pl.format("E{}", pl.int_range(pl.len()) // 2),
    )
    Catalog.from_rows(rows, tmp_path, "colours").save(tmp_path / "all.parquet")
    assert run("predict", "model.onnx", "all.parquet", "-o", "p.parquet")[0] == 0
    answers = Predictions.load(tmp_path / "p.parquet")
    best = answers.probabilities().argmax(axis=1)
    best[::5] = (best[::5] + 1) % 3
    labels = pl.Series("labels", [[answers.labels[index]] for index in best])
    catalog = Catalog.from_rows(rows.with_columns(labels), tmp_path, "colours")
    catalog.save(tmp_path / "all.parquet")
    asked = ("evaluate", "all.parquet", "p.parquet", "--thresholds", "t.csv", "--want", "precision=0.9")
    assert run(*asked, "--want", "blank:precision=0.9")[0] == 0
    return answers


def test_thresholds_go_into_the_model_file_and_are_taken_from_there(
    chosen: Predictions, run: Run, tmp_path: Path
) -> None:
    status, out, err = run("export", "model.onnx", "--thresholds", "t.csv", "-o", "own.onnx")
    assert (status, err) == (0, "")
    assert "of answers of the level media, chosen on the whole catalog: 36 media of 6 locations" in out
    told = run("show", "own.onnx")[1]
    assert "thresholds are" in told
    assert "promised for no label" in told
    assert run("predict", "own.onnx", "all.parquet", "-o", "q.parquet")[0] == 0
    given = api.observe("p.parquet", "all.parquet", thresholds="t.csv", observers=["model"])
    own = api.observe("q.parquet", "all.parquet", observers=["model"])
    expected = given.table["label"].to_list()
    assert own.table["label"].to_list() == expected
    assert 0 < own.table["label"].null_count() < 36
    assert own.facts.thresholds == given.facts.thresholds
    one_for_all = api.observe("q.parquet", "all.parquet", observers=["model"], threshold=0.0)
    assert (one_for_all.table["label"].null_count(), one_for_all.facts.thresholds) == (0, {})
    report = api.write("q.parquet", "all.parquet", tmp_path / "s.csv", format="summary", observers=["model"])
    assert "as the model has them" in report.notes[0]
    assert report.notes[0].count("never an answer") <= 1
    half = api.write(
        "q.parquet", "all.parquet", tmp_path / "h.csv", format="summary", observers=["model"], threshold=0.99
    )
    assert "at least 0.99" in " ".join(half.notes)
    model = ModelFile(tmp_path / "own.onnx")
    photos = [RequestPhoto((tmp_path / f"{number}.png").read_bytes()) for number in range(4)]
    shown = [as_document(one, model)["labels"] for one in answer(model, photos)]
    assert shown == [[] if label is None else [label] for label in expected[:4]]
    assert "of the level media" in describe(model)["thresholds_of"]


def test_thresholds_of_other_answers_are_not_taken_and_that_is_told(
    chosen: Predictions, run: Run, tmp_path: Path
) -> None:
    api.export_thresholds("model.onnx", "own.onnx", thresholds="t.csv")
    run("predict", "own.onnx", "all.parquet", "-o", "q.parquet")
    catalog = Catalog.load(tmp_path / "all.parquet")
    pooled = pool_events(Predictions.load(tmp_path / "q.parquet"), catalog, rows="event")
    assert api.observe(pooled, catalog, observers=["model"]).table["label"].null_count() == 0
    report = api.write(pooled, catalog, tmp_path / "s.csv", format="summary", observers=["model"])
    assert "made otherwise" in report.notes[0]
    (tmp_path / "Oak").mkdir()
    for number in range(3):
        (tmp_path / f"{number}.png").rename(tmp_path / "Oak" / f"{number}.png")
    made = api.card("Oak", tmp_path / "out", model="own.onnx")
    assert "made otherwise" in made.page.read_text()
    for threshold, told in ((None, "made otherwise"), (0.5, "threshold 0.5")):
        records = records_of(pooled, catalog, threshold=threshold, observers=["model"])
        assert told in records.notes[1]
    with pytest.raises(DataError, match=r"are of the model .*, and this is"):
        api.export_thresholds("own.onnx", "again.onnx", thresholds="t.csv")
    with pytest.raises(UsageError, match="chosen for its probabilities as they are"):
        api.recalibrate("own.onnx", catalog, "again.onnx")


def test_an_option_of_another_export_is_refused(chosen: Predictions, run: Run) -> None:
    asked = ("export", "model.onnx", "--thresholds", "t.csv", "-o", "own.onnx")
    for option in (("--seven-bits",), ("--calibrate", "all.parquet"), ("--media", "9"), ("--seed", "1")):
        status, _, err = run(*asked, *option)
        assert status == 2
        assert "--int8 only" in err


def test_a_table_that_somebody_edited_is_read_with_care(chosen: Predictions, tmp_path: Path) -> None:
    table = pl.read_csv(tmp_path / "t.csv", infer_schema=False)
    twice = table.filter(pl.col("of") == "label", pl.col("name") == "lynx", pl.col("chosen").is_not_null())
    edited = {
        r"lines \d+ and \d+: 'lynx' has two thresholds": pl.concat([table, twice]),
        "level media, event or box, not 'photo'": table.with_columns(level=pl.lit("photo")),
    }
    for message, changed in edited.items():
        changed.write_csv(tmp_path / "edited.csv")
        with pytest.raises(DataError, match=message):
            api.export_thresholds("model.onnx", "own.onnx", thresholds="edited.csv")


def test_a_model_of_whole_events_has_thresholds_of_its_own_answers(
    chosen: Predictions, tmp_path: Path
) -> None:
    table = pl.read_csv(tmp_path / "t.csv", infer_schema=False).with_columns(level=pl.lit("event"))
    table.write_csv(tmp_path / "e.csv")
    card = ModelFile(tmp_path / "model.onnx").card
    of_events = card.model_copy(update={"batch": "event"})
    own = with_thresholds(of_events, chosen.model, tmp_path / "e.csv").chosen_labels
    assert own is not None
    assert (own.level, own.pooled) == ("event", False)
    with pytest.raises(DataError, match="not of this model's own answers"):
        with_thresholds(card, chosen.model, tmp_path / "e.csv")


def test_thresholds_of_events_are_those_of_events_where_a_model_answers_for_both(
    chosen: Predictions, run: Run, tmp_path: Path
) -> None:
    catalog = Catalog.load(tmp_path / "all.parquet")
    pooled = pool_events(chosen, catalog, rows="event")
    pooled.save(tmp_path / "events.parquet")
    one_each = ("--several-labels", "leave-out", "--want", "precision=0.8")
    assert run("evaluate", "all.parquet", "events.parquet", "--thresholds", "e.csv", *one_each)[0] == 0
    status, out, _ = run("export", "model.onnx", "--thresholds", "e.csv", "-o", "own.onnx", "--json")
    assert status == 0
    assert json.loads(out)["chosen_labels"]["pooled"] is True
    card = ModelFile(tmp_path / "own.onnx").card
    assert card.limits("media", 0.0) == [0.0, 0.0, 0.0]
    assert card.limits("event", 0.0) != [0.0, 0.0, 0.0]
    run("predict", "own.onnx", "all.parquet", "-o", "q.parquet")
    again = pool_events(Predictions.load(tmp_path / "q.parquet"), catalog, rows="event")
    given = api.observe(pooled, catalog, thresholds="e.csv", observers=["model"])
    assert api.observe(again, catalog, observers=["model"]).facts.thresholds == given.facts.thresholds
    elsewhere = pool_events(chosen, catalog, how="max", rows="event")
    elsewhere.save(tmp_path / "max.parquet")
    run("evaluate", "all.parquet", "max.parquet", "--thresholds", "m.csv", *one_each)
    with pytest.raises(DataError, match="not of this model's own answers"):
        api.export_thresholds("model.onnx", "again.onnx", thresholds="m.csv")
