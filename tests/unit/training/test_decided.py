"""What decisions teach: nothing that an audit keeps, and of an event only the frames that may show it."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from trapline.catalog import DECISION, DECISIONS, EVENT_LABELS, ByEvent, Catalog
from trapline.errors import TraplineWarning
from trapline.training.decided import teachable

ANIMAL = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
PERSON, FAINT = ANIMAL | {"category": "person"}, ANIMAL | {"conf": 0.1}


def decision(label: str | None, *, whole: bool, held: bool = False) -> list[dict[str, Any]]:
    said = {
        "person": "Ann",
        "decided_at": datetime(2026, 5, 1, tzinfo=UTC),
        "verdict": "seen",
        "label": label,
    }
    said |= {
        "count": None,
        "sure": True,
        "flagged": False,
        "remark": None,
        "stream": None,
        "asked": "chosen",
        "suggested_by": None,
    }
    return [said | {"of_event": whole, "stands": True, "held": held}]


def decided() -> Catalog:
    """Six frames of a fox, two of a fox and a hare, a hare by itself, and two that an audit keeps."""
    rows: list[tuple[str, list[str] | None, list[str] | None, Any, Any]] = [
        ("fox", None, ["fox"], decision("fox", whole=True), boxes)
        for boxes in ([ANIMAL], [], [FAINT], [PERSON], [PERSON, ANIMAL], None)
    ]
    both = ["fox", "hare"]
    rows += [("both", None, both, decision("fox", whole=True) + decision("hare", whole=True), [ANIMAL])] * 2
    rows += [("hare", ["hare"], None, decision("hare", whole=False), [])]
    rows += [
        ("kept", ["blank"], None, decision(None, whole=False, held=True), []),
        ("kept", ["fox"], None, None, [ANIMAL]),
    ]
    table = pl.DataFrame(
        {
            "media_id": [f"m{index}" for index in range(len(rows))],
            "file_path": [f"m{index}.jpg" for index in range(len(rows))],
            "event_id": [row[0] for row in rows],
            "labels": pl.Series([row[1] for row in rows], dtype=pl.List(pl.String)),
            EVENT_LABELS: pl.Series([row[2] for row in rows], dtype=pl.List(pl.String)),
            DECISIONS: pl.Series([row[3] for row in rows], dtype=pl.List(DECISION)),
            "boxes": pl.Series([row[4] for row in rows]),
        }
    )
    return Catalog.from_rows(table, "/photos", "decided")


def test_a_frame_without_a_sure_box_of_its_kind_is_not_taught_as_what_its_event_shows():
    with pytest.warns(TraplineWarning) as told:
        taught, left_out = teachable(decided(), frames=True)
    assert dict(taught.table.select("media_id", "labels").iter_rows()) == {
        "m0": ["fox"],
        "m4": ["fox"],
        "m5": ["fox"],  # no detector looked at it
        "m8": ["hare"],
    }
    assert left_out == {
        "held for an audit": 2,
        "without a sure box of what their event shows": 3,
        "of an event with several labels": 2,
    }
    assert len(told) == 3


def test_what_learns_of_events_has_their_labels_and_nothing_that_is_held():
    with pytest.warns(TraplineWarning, match="2 media held for an audit are left out"):
        taught, left_out = teachable(decided(), frames=False)
    assert taught.table["media_id"].to_list() == [f"m{index}" for index in range(9)]
    assert taught.table["labels"].to_list() == [*[None] * 8, ["hare"]]
    assert left_out == {"held for an audit": 2}


def test_what_is_held_is_in_no_part_of_a_split():
    split = ByEvent(ratios=(50, 50)).apply(decided(), check_files=False)
    parts = dict(split.table.select("media_id", "split").iter_rows())
    assert (parts["m9"], parts["m10"]) == (None, None)
    assert all(parts[f"m{index}"] for index in range(9))


def test_a_catalog_without_decisions_is_as_it_was():
    plain = decided()
    plain = plain.with_table(plain.table.drop(DECISIONS))
    assert teachable(plain, frames=True) == (plain, {})


def test_an_animal_that_a_person_did_not_name_is_no_class_beside_those_that_are_named():
    unnamed = pl.when(pl.col("media_id") == "m8").then(pl.lit(["animal"])).otherwise("labels")
    table = decided().table.with_columns(labels=unnamed)
    with pytest.warns(TraplineWarning):
        taught, left_out = teachable(decided().with_table(table), frames=False)
    assert left_out == {"held for an audit": 2, "of an animal that is not named": 1}
    assert "m8" not in taught.table["media_id"]
    alone = decided().with_table(table.filter(pl.col("media_id") == "m8"))
    assert teachable(alone, frames=False)[0].table["media_id"].to_list() == ["m8"]
