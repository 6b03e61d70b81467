"""Events by time gap: media close in time at one place are together, and nothing else is."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.catalog import Catalog, assign_events, join_events
from trapline.errors import DataError, UsageError

GAP = timedelta(seconds=60)
START = datetime(2020, 1, 1)


def catalog_of(rows: list[dict[str, Any]]) -> Catalog:
    return Catalog.from_rows(
        [{"media_id": f"m{n}", "file_path": f"{n:03}.jpg", **row} for n, row in enumerate(rows)], "/x", "rows"
    )


shots = st.fixed_dictionaries(
    {
        "location_id": st.sampled_from([None, "A", "B"]),
        "deployment_id": st.sampled_from([None, "d"]),
        "camera_time": st.one_of(st.none(), st.integers(0, 600).map(lambda s: START + timedelta(seconds=s))),
    }
)


@given(st.lists(shots, max_size=40))
@settings(deadline=None, max_examples=80)
def test_an_event_is_a_run_without_a_gap_at_one_place(rows: list[dict[str, Any]]) -> None:
    table = assign_events(catalog_of([*rows, {"camera_time": START}]), GAP).table
    assert table["media_id"].to_list() == [f"m{n}" for n in range(len(rows) + 1)]
    assert table.filter(pl.col("camera_time").is_null())["event_id"].drop_nulls().is_empty()
    timed = table.filter(pl.col("camera_time").is_not_null())
    assert timed["event_id"].null_count() == 0
    for _, place in timed.group_by("location_id", "deployment_id"):
        ordered = place.sort("camera_time")
        near = ordered["camera_time"].diff() <= GAP
        same = ordered["event_id"] == ordered["event_id"].shift()
        assert near.to_list()[1:] == same.to_list()[1:]
    for _, event in timed.group_by("event_id"):
        assert event.select("location_id", "deployment_id").n_unique() == 1
        assert sorted(event["frame"]) == list(range(1, event.height + 1))
        assert event.sort("frame")["camera_time"].is_sorted()


def test_events_that_the_source_named_are_kept() -> None:
    rows = [{"camera_time": START, "event_id": "own", "frame": 7}, {"camera_time": START}]
    table = assign_events(catalog_of(rows), GAP).table
    assert table["event_id"].to_list() == ["own", "2020-01-01T00:00:00"]
    assert table["frame"].to_list() == [7, 1]


def test_an_events_name_does_not_change_when_later_photos_come_in() -> None:
    rows = [{"location_id": "A", "camera_time": START}]
    later = [*rows, {"location_id": "A", "camera_time": START + timedelta(seconds=30)}]
    assert assign_events(catalog_of(later), GAP).table["event_id"].unique().to_list() == [
        "A/2020-01-01T00:00:00"
    ]
    assert assign_events(catalog_of(rows), GAP).table["event_id"].to_list() == ["A/2020-01-01T00:00:00"]


def test_without_times_or_with_a_senseless_gap_there_is_an_error() -> None:
    with pytest.raises(DataError, match="no media of the catalog has one"):
        assign_events(catalog_of([{}]), GAP)
    with pytest.raises(UsageError, match="above zero"):
        assign_events(catalog_of([{"camera_time": START}]), timedelta(0))


def test_events_of_one_place_that_lie_close_are_joined_and_numbered_anew() -> None:
    start = datetime(2020, 1, 1, 22)
    rows = [
        ("a", "x", "1", 0),
        ("b", "x", "2", 60),
        ("c", "x", "3", 3600),
        ("d", "y", "4", 0),
        ("e", "x", "1", 3500),  # the source says: the same event as a, so c joins through it
        ("f", "x", None, 10),
    ]
    catalog = Catalog.from_rows(
        [
            {
                "media_id": media,
                "file_path": f"{media}.jpg",
                "location_id": place,
                "event_id": event,
                "camera_time": start + timedelta(seconds=seconds),
            }
            for media, place, event, seconds in rows
        ],
        ".",
        "rows",
    )
    joined = join_events(catalog, timedelta(minutes=5)).table
    assert joined["event_id"].to_list() == ["1", "1", "1", "4", "1", None]
    assert joined["frame"].to_list() == [1, 2, 4, None, 3, None]
