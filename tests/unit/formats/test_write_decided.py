"""What people decided leaves by every format: above the machine's, with who, when and of how many."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import DECISION, DECISIONS, EVENT_LABELS
from trapline.errors import UsageError
from trapline.formats import WRITERS, read, write
from trapline.observations import gather

NAMES = sorted(WRITERS)
SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "summary": ".csv", "observations": ".csv"}
NAMELESS = {"csv", "parquet", "sorted", "summary", "xmp"}
"""Formats that have no field for who says it (of predictions, `csv` and `parquet` are the model's own)."""

EARLY, LATE = datetime(2026, 5, 1, 8, tzinfo=UTC), datetime(2026, 5, 1, 9, tzinfo=UTC)


def said(person: str, verdict: str, label: str | None = None, **more: Any) -> dict[str, Any]:
    usual = {"decided_at": EARLY, "count": None, "sure": True, "flagged": False, "remark": None}
    usual |= {
        "of_event": False,
        "stream": None,
        "asked": "chosen",
        "suggested_by": None,
        "stands": True,
        "held": False,
    }
    return {"person": person, "verdict": verdict, "label": label, **usual, **more}


DECIDED = {
    "m1": [said("Ann", "seen", "fox", of_event=True, count=2)],
    "m2": [said("Ann", "seen", "fox", of_event=True, count=2)],
    "m3": [
        said("Ann", "seen", "fox", stands=False),
        said("Ben", "seen", "roe_deer", decided_at=LATE, count=3),
    ],
    "m4": [said("Ann", "cannot tell", sure=False, remark="a tail")],
    "m5": [said("Ann", "blank")],
}


@pytest.fixture
def decided(scene: Any) -> Any:
    """The scene, of which all but `m6` is decided: an event, two who differ, one that cannot be told."""
    made = scene()
    table = made.catalog.table
    ids = table["media_id"].to_list()
    columns = [
        pl.Series(
            "labels", [{"m3": ["roe_deer"], "m5": ["blank"]}.get(one) for one in ids], pl.List(pl.String)
        ),
        pl.Series(
            EVENT_LABELS, [["fox"] if one in ("m1", "m2") else None for one in ids], pl.List(pl.String)
        ),
        pl.Series(DECISIONS, [DECIDED.get(one) for one in ids], pl.List(DECISION)),
    ]
    return replace(made, catalog=made.catalog.with_table(table.with_columns(columns)))


def run(made: Any, name: str, folder: Path, **options: Any) -> tuple[Any, Path]:
    output = folder / (f"out{SUFFIXES.get(name, '.json')}" if WRITERS[name].into == "file" else "out")
    options = {**made.options.get(name, {}), **options}
    return write(
        made.predictions, made.catalog, output, format=name, taxonomy=made.taxonomy, **options
    ), output


def text_of(output: Path) -> str:
    files = [output] if output.is_file() else sorted(path for path in output.rglob("*") if path.is_file())
    return "\n".join(path.read_text("utf-8", errors="replace") for path in files if path.suffix != ".jpg")


@pytest.mark.parametrize("name", NAMES)
def test_every_format_says_what_was_decided_and_by_whom_where_it_can(
    name: str, decided: Any, tmp_path: Path
) -> None:
    report, output = run(decided, name, tmp_path)
    text = text_of(output)
    assert report.rows > 0
    if name not in NAMELESS:
        assert "Ann" in text
        assert "Ben" in text
    if name not in ("csv", "parquet"):
        note = "5 media carry the labels of Ann, Ben, 2 of them those of their events, 1 cannot be told"
        assert any(one.startswith(note) for one in report.notes)
        assert not any("no label of at least" in one for one in report.notes)


def test_observations_hold_all_words_and_the_later_stands(decided: Any) -> None:
    rows = gather(decided.predictions, decided.catalog).observe().table
    people = rows.filter(pl.col("observer").str.starts_with("human"))
    columns = (
        "media_id",
        "event_id",
        "observer",
        "observed_at",
        "status",
        "label",
        "count",
        "reason",
        "stands",
    )
    assert set(people.select(columns).iter_rows()) == {
        (None, "e1", "human:Ann", EARLY, "ok", "fox", 2, None, True),
        ("m3", "e2", "human:Ann", EARLY, "ok", "fox", None, None, False),
        ("m3", "e2", "human:Ben", LATE, "ok", "roe_deer", 3, None, True),
        ("m4", None, "human:Ann", EARLY, "unclassified", None, None, "not sure; a tail", True),
        ("m5", None, "human:Ann", EARLY, "ok", "blank", None, None, True),
    }
    machine = rows.filter(~pl.col("observer").str.starts_with("human") & pl.col("stands"))
    assert machine["media_id"].to_list() == ["m6"]


def test_camtrap_dp_tells_human_from_machine_media_from_events_and_counts(
    decided: Any, tmp_path: Path
) -> None:
    _, output = run(decided, "camtrap-dp", tmp_path)
    with (output / "observations.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = (
        *("observationLevel", "mediaID", "observationType", "scientificName", "count"),
        *("classificationMethod", "classifiedBy", "classificationTimestamp"),
    )
    early, late = "2026-05-01T08:00:00+00:00", "2026-05-01T09:00:00+00:00"
    human = [tuple(row[name] for name in columns) for row in rows if row["classificationMethod"] == "human"]
    assert sorted(human) == [
        ("event", "", "animal", "Vulpes vulpes", "2", "human", "Ann", early),
        ("media", "m3", "animal", "Capreolus capreolus", "3", "human", "Ben", late),
        ("media", "m4", "unknown", "", "", "human", "Ann", early),
        ("media", "m5", "blank", "", "", "human", "Ann", early),
    ]
    assert [row["classificationMethod"] for row in rows if row["mediaID"] == "m6"] == ["machine"]
    assert any(row["observationComments"] == "cannot be told; not sure; a tail" for row in rows)
    again = read(output)
    assert again.table[EVENT_LABELS].to_list() == [["Vulpes vulpes"]] * 2 + [None] * 4
    labels = dict(again.table.select("media_id", "labels").iter_rows())
    assert [labels[one] for one in ("m3", "m4", "m5", "m6")] == [
        ["Capreolus capreolus"],
        None,
        ["blank"],
        None,
    ]


def test_wildlife_insights_has_the_person_and_the_count(decided: Any, tmp_path: Path) -> None:
    _, output = run(decided, "wildlife-insights", tmp_path)
    with (output / "images.csv").open(encoding="utf-8") as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    columns = ("identified_by", "common_name", "number_of_objects", "uncertainty")
    assert [tuple(rows[one][name] for name in columns) for one in ("m1", "m3", "m4", "m5")] == [
        ("Ann", "Red fox", "1", ""),
        ("Ben", "Roe deer", "3", ""),
        ("Ann", "No CV Result", "", "cannot be told; not sure; a tail"),
        ("Ann", "Blank", "0", ""),
    ]


def test_coco_has_counts_and_times_and_sorted_folders_what_cannot_be_told_apart(
    decided: Any, tmp_path: Path
) -> None:
    _, output = run(decided, "coco-camera-traps", tmp_path)
    notes = json.loads(output.read_text("utf-8"))["annotations"]
    of_m3 = next(one for one in notes if one["image_id"] == "m3")
    assert (of_m3["count"], of_m3["observer"], of_m3["observed_at"]) == (3, "human:Ben", LATE.isoformat())
    assert not [one for one in notes if one["image_id"] == "m4"]
    run(decided, "sorted", tmp_path)
    assert (tmp_path / "out" / "unclassified" / "south/b1.jpg").is_symlink()
    assert (tmp_path / "out" / "roe_deer" / "north/a3.jpg").is_symlink()


def test_photos_that_nobody_can_tell_are_not_empty_ones_for_timelapse(decided: Any, tmp_path: Path) -> None:
    _, output = run(decided, "megadetector", tmp_path)
    document = json.loads(output.read_text("utf-8"))
    images = {one["file"]: one for one in document["images"]}
    (untold,) = images["south/b1.jpg"]["detections"]
    assert document["detection_categories"][untold["category"]] == "unknown"
    assert images["south/b2.jpg"]["detections"] == []


def test_a_name_for_labels_without_one_is_refused_where_there_are_none(decided: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a name"):
        run(decided, "observations", tmp_path, labelled_by="Zoe")


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"parquet", "summary", "xmp", "sorted"}))
def test_read_back_nothing_that_a_machine_says_is_a_label_nor_what_has_no_answer(
    name: str, decided: Any, tmp_path: Path
) -> None:
    _, output = run(decided, name, tmp_path)
    back = read(output).table
    labels = {Path(path).name: own for path, own in back.select("file_path", "labels").iter_rows()}
    assert labels["b3.jpg"] is None  # the model's vehicle
    assert labels["b1.jpg"] is None  # what cannot be told
    words = {label for own in labels.values() for label in own or ()}
    assert words <= {"fox", "roe_deer", "blank", "Vulpes vulpes", "Capreolus capreolus"}


def test_folders_of_what_has_no_answer_are_no_labels_wherever_they_are(tmp_path: Path) -> None:
    for folder in ("fox", "blank", "Unclassified", "failed", "unobserved"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.jpg").write_bytes(folder.encode())
    assert read(tmp_path).labels == ["blank", "fox"]
