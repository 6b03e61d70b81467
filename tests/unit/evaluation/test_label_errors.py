"""Labels that a model contradicts: which are judged, in what order they come, and what is written of them."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog, fingerprint
from trapline.errors import DataError
from trapline.evaluation import LabelErrors, find_label_errors, write_mistakes
from trapline.models import TrainedOn
from trapline.prediction import PredictionFacts, Predictions, pool_events
from trapline.prediction.table import BOX_COLUMNS, fixed_columns

LABELS = ("blank", "hare", "lynx")
CHANGED = (3, 17, 40)


def world(changed: tuple[int, ...] = CHANGED) -> tuple[Catalog, Predictions]:
    """Sixty media of ten locations, two an event; a model that is right, and some labels that are not."""
    random = np.random.default_rng(0)
    shown = np.arange(60) // 2 % 3
    labels = np.where(np.isin(np.arange(60), changed), (shown + 1) % 3, shown)
    rows: list[dict[str, Any]] = [
        {
            "media_id": f"m{n}",
            "file_path": f"m{n}.jpg",
            "event_id": f"e{n // 2}",
            "location_id": f"L{n // 6}",
            "labels": [LABELS[labels[n]]],
            "split": "train" if n < 30 else "test",
        }
        for n in range(60)
    ]
    values = 0.1 + 0.7 * np.eye(3)[shown] + random.uniform(0, 0.05, (60, 3))
    values /= values.sum(axis=1, keepdims=True)
    catalog = Catalog.from_rows(rows, "/photos", "rows")
    return catalog, predicted(catalog, values)


def predicted(catalog: Catalog, values: np.ndarray, task: str = "single-label", **facts: Any) -> Predictions:
    fixed = catalog.table.select(
        "media_id",
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.lit("ok").alias("status"),
        pl.lit(None, pl.String).alias("reason"),
    )
    table = fixed.hstack(pl.from_numpy(values.astype(np.float32), schema=list(LABELS)))
    return Predictions(table, LABELS, "media", "f" * 64, task, PredictionFacts(**facts))  # type: ignore[arg-type]


def told(predictions: Predictions, **facts: Any) -> Predictions:
    return replace(predictions, facts=PredictionFacts(**facts))


def names(errors: LabelErrors) -> set[str]:
    return {one.media_id for one in errors.contradicted}


def test_labels_that_are_wrong_are_named_counted_and_said_of_which_label() -> None:
    catalog, predictions = world()
    errors = find_label_errors(catalog, told(predictions, held_out_by="location"))
    assert names(errors) == {"m3", "m17", "m40"}
    assert (errors.judged, errors.warnings, errors.notes) == (60, (), ())
    assert errors.wrong is not None
    assert errors.wrong.value == pytest.approx(3, abs=0.2)
    assert errors.wrong.low is not None
    assert errors.wrong.low < 3 < (errors.wrong.high or 0)
    by_label = {one.label: one for one in errors.by_label}
    first = next(one for one in errors.contradicted if one.media_id == "m3")
    assert (first.truth, first.said) == (("lynx",), ("hare",))
    assert by_label["lynx"].instead == "hare"
    assert sum(one.contradicted for one in errors.by_label) == 3
    margins = [one.confidence - one.truth_probability for one in errors.contradicted]
    assert margins == sorted(margins, reverse=True)
    assert "Of 60 labels the model contradicts 3; by confident learning 3 (" in errors.to_text()


def test_what_a_model_was_trained_on_is_not_judged_by_it() -> None:
    catalog, predictions = world()
    trained = TrainedOn(parts=("train",), split=fingerprint(catalog))
    errors = find_label_errors(catalog, told(predictions, trained_on=(trained,)))
    assert names(errors) == {"m40"}
    assert errors.judged == 30
    assert errors.notes == (
        "30 of 60 media were trained on: of these a model repeats the labels, and are not judged.",
    )
    everything = TrainedOn(parts=("train", "test"), split=fingerprint(catalog))
    with pytest.raises(DataError, match=r"trained on all of these media.*validation\.parquet"):
        find_label_errors(catalog, told(predictions, trained_on=(everything,)))


def test_bursts_that_were_cut_in_two_are_warned_of() -> None:
    catalog, predictions = world()
    cut = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("train")).otherwise(pl.lit("test"))
    catalog = catalog.with_table(catalog.table.with_columns(split=cut))
    trained = TrainedOn(parts=("train",), split=fingerprint(catalog))
    errors = find_label_errors(catalog, told(predictions, trained_on=(trained,)))
    assert names(errors) == {"m3", "m17"}
    assert any("events" in warning for warning in errors.warnings)


def test_where_it_is_not_known_what_was_trained_on_all_are_judged_and_that_is_told() -> None:
    catalog, predictions = world()
    errors = find_label_errors(catalog, predictions)
    assert errors.judged == 60
    assert "not known on which photos" in " ".join(errors.notes)
    another = find_label_errors(
        catalog, told(predictions, trained_on=(TrainedOn(parts=("train",), split="another"),))
    )
    assert another.judged == 60
    assert "another split" in another.warnings[0]


def test_what_cannot_be_judged_is_counted() -> None:
    catalog, predictions = world()
    labels = catalog.table["labels"].to_list()
    labels[0], labels[1], labels[2] = None, ["moose"], ["hare", "lynx"]
    catalog = catalog.with_table(
        catalog.table.with_columns(labels=pl.Series(labels, dtype=pl.List(pl.String)))
    )
    fewer = replace(told(predictions, held_out_by="location"), table=predictions.table[:50])
    errors = find_label_errors(catalog, fewer)
    assert errors.judged == 47
    assert [note.split(",")[0] for note in errors.notes] == [
        "1 of 60 media have no label",
        "10 of 60 media have no answer",
        "1 of 60 media have a label that the model does not know",
        "1 of 60 media have several labels",
    ]


def test_of_a_model_that_tells_of_its_surest_labels_only_no_number_is_estimated() -> None:
    catalog, predictions = world()
    surest = predictions.probabilities()
    surest[surest < 0.5] = 0
    errors = find_label_errors(catalog, predicted(catalog, surest, kept=1))
    assert names(errors) == {"m3", "m17", "m40"}
    assert errors.wrong is None
    assert all(one.wrong is None for one in errors.by_label)
    assert "surest labels only" in errors.notes[-1]


def test_several_labels_are_questions_of_their_own() -> None:
    catalog, predictions = world(changed=())
    sure = np.where(predictions.probabilities() > 0.5, 0.9, 0.05)
    labels = catalog.table["labels"].to_list()
    labels[2], labels[8] = ["hare", "lynx"], ["lynx"]  # one that is not there, and one for another that is
    catalog = catalog.with_table(catalog.table.with_columns(labels=pl.Series(labels)))
    several = predicted(catalog, sure, "multi-label", held_out_by="location")
    errors = find_label_errors(catalog, several)
    assert {one.media_id: one.said for one in errors.contradicted} == {"m2": ("hare",), "m8": ("hare",)}
    assert errors.wrong is not None
    assert errors.wrong.value == pytest.approx(3)


def listed(errors: LabelErrors, folder: Path) -> list[dict[str, str]]:
    path = write_mistakes(errors.contradicted, errors.level, folder / "deep" / "errors.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_names_media_or_events_by_the_ids_of_the_catalog(tmp_path: Path) -> None:
    catalog, predictions = world()
    odd = 'm,3 "é#1"'
    catalog, of_media = (
        catalog.with_table(catalog.table.with_columns(pl.col("media_id").replace("m3", odd))),
        replace(predictions, table=predictions.table.with_columns(pl.col("media_id").replace("m3", odd))),
    )
    by_media = listed(find_label_errors(catalog, of_media), tmp_path)
    assert {row["media_id"] for row in by_media} == {odd, "m17", "m40"}
    assert {row["event_id"] for row in by_media} == {"e1", "e8", "e20"}
    cut = [pl.lit(None, kind).alias(name) for name, kind in BOX_COLUMNS.items()]
    numbered = of_media.table.with_columns(pl.lit(0, pl.Int64).alias("box"), *cut)
    numbered = numbered.select(*fixed_columns("box"), *LABELS)
    boxes = listed(find_label_errors(catalog, replace(of_media, table=numbered, level="box")), tmp_path)
    assert {row["media_id"] for row in boxes} == {odd, "m17", "m40"}
    whole = catalog.with_table(catalog.table.with_columns(labels=pl.col("labels").first().over("event_id")))
    changed = pl.when(pl.col("event_id") == "e4").then(pl.lit(["lynx"])).otherwise("labels")
    whole = whole.with_table(whole.table.with_columns(labels=changed))
    events = pool_events(of_media, whole, how="mean", rows="event")
    (row,) = [row for row in listed(find_label_errors(whole, events), tmp_path) if row["event_id"] == "e4"]
    assert (row["media_id"], row["labels"], row["says"]) == ("", "lynx", "hare")
