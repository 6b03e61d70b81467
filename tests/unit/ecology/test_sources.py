"""Records of decisions, of answers above a threshold and of probabilities, and figures over their draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.catalog import INDIVIDUAL, INDIVIDUALS, Catalog
from trapline.ecology import (
    ExpectedRecords,
    Records,
    draws,
    expected_counts,
    guess_stations,
    over_draws,
    overview,
    predicted_media,
    records_of,
)
from trapline.errors import DataError, UsageError
from trapline.metrics import Estimate
from trapline.models import MeasuredAt
from trapline.prediction import Compared, FarLocation, Predictions, probability_columns
from trapline.prediction.table import FIXED
from trapline.reports import write_ecology_report

START = datetime(2026, 5, 1, 22)


def catalog(rows: Sequence[dict[str, Any]]) -> Catalog:
    """Media of events, a minute after each other."""
    table = [
        {
            "media_id": f"m{at}",
            "file_path": f"{at}.jpg",
            "location_id": "north",
            "camera_time": START + timedelta(minutes=at),
            **row,
        }
        for at, row in enumerate(rows)
    ]
    return Catalog.from_rows(pl.DataFrame(table, infer_schema_length=None), Path("card"), "a card")


def predicted(
    media: Catalog, numbers: Sequence[Sequence[float]], task: Literal["single-label", "multi-label"]
) -> Predictions:
    """Of events, in the order of the catalog; the labels are blank, fox and hare."""
    events = media.table["event_id"].unique(maintain_order=True).to_list()
    fixed = {"event_id": events, "status": ["ok"] * len(events)}
    table = pl.DataFrame(
        {name: pl.Series(fixed.get(name, [None] * len(events)), dtype=kind) for name, kind in FIXED.items()}
    )
    labels = ("blank", "fox", "hare")
    columns = probability_columns(labels, np.array(numbers))
    return Predictions(table.with_columns(columns), labels, "event", "f" * 16, task)


TWO: list[dict[str, Any]] = [
    {"event_id": "e1", "labels": ["fox"]},
    {"event_id": "e1", "labels": ["fox", "hare"]},
    {"event_id": "e2", "labels": ["blank"]},
    {"event_id": "e3", "labels": None},
]


def test_a_record_is_a_label_at_an_event_with_the_most_that_were_seen_at_once() -> None:
    told: list[list[tuple[int, str | None, str | None]]] = [
        [(2, "adult", "female"), (1, "juvenile", None)],
        [(2, None, None)],
    ]
    individuals = [
        [
            {"label": "fox", "count": n, "life_stage": age, "sex": sex, "behaviour": None, "of_event": False}
            for n, age, sex in one
        ]
        for one in told
    ]
    media = catalog(TWO)
    table = media.table.with_columns(
        pl.Series(INDIVIDUALS, [*individuals, None, None], dtype=pl.List(INDIVIDUAL))
    )
    records = records_of(media.with_table(table))
    assert records.made_of == "decisions"
    columns = ("event_id", "label", "camera_time", "count", "life_stage", "sex", "probability")
    assert records.table.select(columns).rows() == [
        ("e1", "fox", START, 3, "adult, juvenile", "female", None),
        ("e1", "hare", START, None, None, None, None),
    ]
    assert "1 media on which nobody decided are in no record" in records.notes


def test_above_a_threshold_people_stand_above_the_model() -> None:
    media = catalog(TWO)
    answers = predicted(media, [[0, 0.2, 0.8], [0.1, 0.9, 0.0], [0.3, 0.6, 0.1]], "single-label")
    records = records_of(answers, media, threshold=0.5)
    assert records.made_of == "threshold"
    rows = records.table.select("event_id", "label", pl.col("probability").round(3)).rows()
    assert rows == [("e1", "fox", None), ("e1", "hare", None), ("e3", "fox", 0.6)]
    assert len(records_of(answers, media, threshold=0.7)) == 2
    assert "threshold 0.7" in records_of(answers, media, threshold=0.7).notes
    assert records_of(answers, media, made_of="decisions").table["event_id"].unique().to_list() == ["e1"]


@pytest.mark.parametrize("made_of", ["decisions", "threshold", "probabilities"])
def test_what_must_be_known_of_the_model_stands_above_records_of_its_answers(
    made_of: Any, tmp_path: Path
) -> None:
    media = catalog([*TWO[:3], TWO[3] | {"camera_time": START + timedelta(days=3)}])
    answers = predicted(media, [[0, 0.2, 0.8], [0.1, 0.9, 0.0], [0.3, 0.6, 0.1]], "single-label")
    far = FarLocation(location_id="north", media=4, distance=1.5)
    facts = replace(
        answers.facts,
        measured_at=(MeasuredAt.of({"<south>": 9}),),
        familiar=Compared(by="day", groups=30, locations=1, far=1, farthest=(far,)),
    )
    records = records_of(replace(answers, facts=facts), media, made_of=made_of)
    if made_of == "decisions":
        assert records.doubts == ()
        return
    assert records_of(answers, media, made_of=made_of).doubts == ()
    few, unlike = records.doubts
    assert "measured at one location (<south>)" in few
    assert unlike.startswith("Location north (4 photos): unlike the 30 training days")
    result = overview(records, guess_stations(media))
    assert result.as_json()["doubts"] == [few, unlike]
    write_ecology_report(result, tmp_path / "survey.html")
    assert "measured at one location (&lt;south&gt;)" in (tmp_path / "survey.html").read_text("utf-8")


def test_expected_records_are_of_what_nobody_decided() -> None:
    media = catalog(TWO)
    answers = predicted(media, [[0, 0.2, 0.8], [0.1, 0.9, 0.0], [0.3, 0.6, 0.1]], "single-label")
    records = records_of(answers, media, made_of="probabilities")
    assert isinstance(records, ExpectedRecords)
    rows = records.table.select("event_id", "label", pl.col("probability").round(3)).rows()
    assert rows == [("e1", "fox", None), ("e1", "hare", None), ("e3", "fox", 0.6), ("e3", "hare", 0.1)]
    assert expected_counts(records) == pytest.approx({"fox": 1.6, "hare": 1.1})
    assert any("errors were independent" in note for note in records.notes)
    alone = records_of(answers, media, made_of="probabilities", observers=["model"])
    assert alone.table.filter(event_id="e1")["probability"].round(3).to_list() == [0.2, 0.8]


@pytest.mark.parametrize("level", ["media", "event"])
def test_a_photo_that_people_call_blank_says_nothing_of_the_others_of_its_event(level: str) -> None:
    rows: list[dict[str, Any]] = [
        {"event_id": "e1", "labels": ["blank"]},
        {"event_id": "e1", "labels": None},
        {"event_id": "e2", "labels": ["blank"]},
        {"event_id": "e2", "labels": ["blank"]},
        {"event_id": "e3", "labels": ["fox"]},
        {"event_id": "e3", "labels": None},
    ]
    media = catalog(rows)
    answers = predicted(media, [[0.1, 0.9, 0.0]] * 3, "single-label")
    if level == "media":
        each = catalog([{**row, "event_id": f"m{at}"} for at, row in enumerate(rows)])
        numbers = [[0.1, 0.1, 0.8]] + [[0.1, 0.9, 0.0]] * 5
        of_media = predicted(each, numbers, "single-label")
        table = of_media.table.with_columns(media_id="event_id", event_id=pl.lit(None, pl.String))
        answers = replace(of_media, table=table, level="media")
    records = records_of(answers, media, made_of="probabilities")
    rounded = records.table.select("event_id", "label", pl.col("probability").round(3)).rows()
    assert rounded == [("e1", "fox", 0.9), ("e3", "fox", None)]
    whole = media.with_table(media.table.with_columns(labels=pl.Series([["blank"]] * 6)))
    assert records_of(answers, whole, made_of="probabilities").table.is_empty()


def test_effort_is_of_the_media_that_were_predicted() -> None:
    rows = [{"event_id": "e1"}, {"event_id": "e2", "location_id": "south"}]
    media = catalog(rows)
    answers = predicted(catalog(rows[:1]), [[0, 1, 0]], "single-label")
    assert predicted_media(answers, media).table["location_id"].to_list() == ["north"]
    note = "the predictions are of 1 of 2 media, at 1 of 2 locations"
    for made_of in ("threshold", "probabilities"):
        assert any(note in one for one in records_of(answers, media, made_of=made_of).notes)


def test_what_is_not_there_is_refused() -> None:
    media = catalog([{"event_id": "e1", "labels": None}])
    answers = predicted(media, [[0, 0.2, 0.8]], "single-label")
    with pytest.raises(UsageError, match="predictions"):
        records_of(catalog(TWO), made_of="probabilities")
    with pytest.raises(UsageError, match="nothing is cut off"):
        records_of(answers, media, made_of="probabilities", threshold=0.5)
    with pytest.raises(UsageError, match="catalog"):
        records_of(answers)
    with pytest.raises(DataError, match="nobody says anything"):
        records_of(media)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_draws_have_the_labels_as_often_as_they_are_probable(
    task: Literal["single-label", "multi-label"],
) -> None:
    media = catalog([{"event_id": f"e{at}"} for at in range(400)])
    answers = predicted(media, [[0.2, 0.5, 0.3]] * 400, task)
    records = records_of(answers, media, made_of="probabilities")
    assert isinstance(records, ExpectedRecords)
    each = list(draws(records, 100))
    counts = np.array([[(one.table["label"] == label).sum() for label in ("fox", "hare")] for one in each])
    assert counts.mean(axis=0) == pytest.approx([200, 120], abs=4)
    variance = 400 * np.array([0.25, 0.21])
    assert counts.var(axis=0) == pytest.approx(variance, rel=0.5)
    both = [one.table["event_id"].is_duplicated().sum() for one in each]
    assert (max(both) == 0) == (task == "single-label")
    assert {one.made_of for one in each} == {"probabilities"}


def hares(records: Records) -> dict[str, Estimate]:
    count = float((records.table["label"] == "hare").sum())
    return {"hare": Estimate(count, count - 3, count + 6)}


def test_the_interval_over_draws_is_that_of_the_method_and_of_the_labels() -> None:
    media = catalog([{"event_id": f"e{at}"} for at in range(100)])
    records = records_of(
        predicted(media, [[0.5, 0, 0.5]] * 100, "single-label"), media, made_of="probabilities"
    )
    figure = over_draws(records, hares, count=200)["hare"]
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    assert figure.value == pytest.approx(50, abs=1)
    between = 1.96 * 5  # of a binomial of 100
    assert figure.value - figure.low == pytest.approx(np.hypot(3, between), rel=0.15)
    assert figure.high - figure.value == pytest.approx(np.hypot(6, between), rel=0.15)
    certain = records_of(catalog(TWO))
    assert over_draws(certain, hares) == hares(certain)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=30), st.integers(0, 2**30))
def test_an_event_has_at_most_one_of_labels_that_exclude_each_other(shares: list[float], seed: int) -> None:
    media = catalog([{"event_id": f"e{at}"} for at in range(len(shares))])
    numbers = [[(1 - share) / 2, share, (1 - share) / 2] for share in shares]
    records = records_of(predicted(media, numbers, "single-label"), media, made_of="probabilities")
    assert isinstance(records, ExpectedRecords)
    (one,) = draws(records, 1, seed)
    assert not one.table["event_id"].is_duplicated().any()


def test_an_event_is_without_an_answer_where_all_of_its_photos_failed() -> None:
    media = catalog([{"event_id": f"e{number // 2}", "labels": None} for number in range(8)])
    states = ["ok", *["failed"] * 5, "ok", "ok"]
    fixed = {"media_id": media.table["media_id"].to_list(), "status": states}
    table = pl.DataFrame(
        {name: pl.Series(fixed.get(name, [None] * 8), dtype=kind) for name, kind in FIXED.items()}
    )
    numbers = np.array([[0.1, 0.9, 0.0] if state == "ok" else [np.nan] * 3 for state in states])
    labels = ("blank", "fox", "hare")
    answers = Predictions(
        table.with_columns(probability_columns(labels, numbers)), labels, "media", "f" * 16, "single-label"
    )
    assert "2 events without an answer" in records_of(answers, media, made_of="probabilities").notes
