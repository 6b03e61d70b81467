"""What the parts of a split have in common: found at its very edge, and said in words."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog, LeakCheck, MediaFile, check_leaks, equal_files
from trapline.catalog.facts import SplitRecord

NOON = datetime(2020, 5, 1, 12)
MINUTE = timedelta(minutes=1)


def leaks_of(*rows: dict[str, Any]) -> LeakCheck:
    table = [
        {"media_id": f"m{n}", "file_path": f"m{n}.jpg", "labels": ["hare"], **row}
        for n, row in enumerate(rows)
    ]
    return check_leaks(Catalog.from_rows(table, "/nowhere", "rows"), files=False)


def at(time: datetime | None, part: str | None, place: str | None = "A") -> dict[str, Any]:
    return {"location_id": place, "camera_time": time, "split": part}


@pytest.mark.parametrize(
    ("gap", "near"), [(5 * MINUTE, 1), (5 * MINUTE + timedelta(milliseconds=1), 0), (timedelta(0), 1)]
)
def test_photos_are_near_up_to_five_minutes(gap: timedelta, near: int) -> None:
    assert leaks_of(at(NOON + gap, "test"), at(NOON, "train")).near == near


def test_only_neighbours_in_time_at_one_location_in_two_parts_are_near() -> None:
    assert leaks_of(at(NOON, "train"), at(NOON, "train")).near == 0
    assert leaks_of(at(NOON, "train"), at(NOON, "test", "B")).near == 0
    assert leaks_of(at(NOON, "train", None), at(NOON, "test", None)).near == 0
    assert leaks_of(at(NOON, "train"), at(NOON, None)).near == 0, "what is in no part does not count"
    assert leaks_of(at(NOON, "train"), at(None, "test"), at(NOON + MINUTE, "test")).near == 1
    both = [at(NOON, "train"), at(NOON + MINUTE, "test"), at(NOON + 2 * MINUTE, "train")]
    assert leaks_of(*both).near == 2
    assert leaks_of(*both, *(row | {"location_id": "B"} for row in both)).near == 4


def test_what_lies_in_several_parts_is_named_once_in_order() -> None:
    rows = [
        {"location_id": place, "event_id": event, "split": part}
        for place, event, part in [
            ("C", "e2", "train"),
            ("C", "e2", "test"),
            ("B", "e3", "train"),
            ("A", "e1", "train"),
            ("A", "e1", "validation"),
            ("A", "e1", "test"),
            (None, None, "test"),
            (None, None, "train"),
            ("B", "e3", None),
        ]
    ]
    found = leaks_of(*rows)
    assert (found.locations, found.events) == (("A", "C"), ("e1", "e2"))
    assert (found.without_location, found.by, found.files_checked) == (2, None, False)
    assert leaks_of(*rows[2:4]) == LeakCheck(files_checked=False)


@pytest.mark.parametrize(
    ("check", "leaking"),
    [
        (LeakCheck(), False),
        (LeakCheck(locations=("A",)), True),
        (LeakCheck(locations=("A",), by="location"), True),
        (LeakCheck(locations=("A",), by="random"), True),
        (LeakCheck(locations=("A",), by="season"), False),
        (LeakCheck(locations=("A",), by="date"), False),
        (LeakCheck(locations=("A",), by="event"), True),
        (LeakCheck(locations=("A",), by="event", one_location=True), False),
        (LeakCheck(locations=("A",), one_location=True), False),
        (LeakCheck(locations=("A",), by="random", one_location=True), True),
        (LeakCheck(locations=("A",), events=("e",), one_location=True), True),
        (LeakCheck(events=("e",), by="date"), True),
        (LeakCheck(duplicates=(("a", "b"),), by="season"), True),
        (LeakCheck(near=3, without_location=2), False),
    ],
)
def test_a_split_leaks_where_a_figure_from_it_would_flatter(check: LeakCheck, leaking: bool) -> None:
    assert check.leaking is leaking
    assert check.as_json()["leaking"] is leaking
    record = SplitRecord(by="location", fingerprint="f", leaks=check)
    assert SplitRecord.from_json(record.as_json(), "a catalog").leaks == check


def test_everything_found_is_said_with_the_first_three_names() -> None:
    check = LeakCheck(
        locations=("A", "B", "C", "D"),
        events=("e1", "e2", "e3"),
        duplicates=(("a", "b", "c", "d"), ("x", "y")),
        near=7,
        without_location=5,
    )
    assert check.lines() == [
        "LEAK: 4 locations have media in more than one part (A, B, C, …)",
        "LEAK: 3 events have media in more than one part (e1, e2, e3)",
        "LEAK: 2 files occur in more than one part (a = b = c, x = y)",
        "warning: the location of 5 media is unknown; whether parts share locations cannot be told",
        "warning: photos of one location that are less than 5 minutes apart are in different parts (7 such "
        "pairs)",
    ]
    assert LeakCheck().lines() == []
    assert LeakCheck(locations=("A",), by="date").lines() == [
        "1 location has media in more than one part (A): figures tell how it does at known locations at "
        "other times, not at new ones"
    ]


def test_equal_files_leak_only_across_parts(tmp_path: Path) -> None:
    parts = {"a": "train", "b": "train", "c": "test", "d": "train", "e": "test", "gone": "test", "f": None}
    for name, content in {"a": b"1", "b": b"1", "c": b"1", "d": b"2", "e": b"33", "f": b"2"}.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    rows = [{"media_id": name, "file_path": f"{name}.jpg", "split": part} for name, part in parts.items()]
    assert check_leaks(Catalog.from_rows(rows, tmp_path, "rows")).duplicates == (("a", "b", "c"),)
    same = [row for row in rows if row["media_id"] in "abd"]
    found = check_leaks(Catalog.from_rows(same, tmp_path, "rows"))
    assert (found.duplicates, found.files_checked) == ((), True)


def test_files_are_alike_by_their_bytes_and_every_one_is_told_of(tmp_path: Path) -> None:
    contents = {"z": b"one", "a": b"two", "m": b"one", "k": b"two", "x": b"alone", "y": b"one"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    told: list[int] = []
    files = [MediaFile(tmp_path / name) for name in (*contents, "gone")]
    assert equal_files(files, told.append) == [[0, 2, 5], [1, 3]]
    assert sum(told) == 7
    assert equal_files(files[:2]) == [], "of one size, and not the same"
    assert equal_files([]) == []
    assert equal_files([files[4], files[4]]) == [[0, 1]], "one file named twice"
