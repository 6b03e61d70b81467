"""Events by time gap: media close in time at one place are together, and nothing else is."""

import random
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


@pytest.mark.parametrize(
    "names",
    [
        ["IMG_9998.JPG", "IMG_9999.JPG", "IMG_0001.JPG", "IMG_0002.JPG"],
        ["IMG_9999.JPG", "IMG_0000.JPG"],
        ["RCNX0998.JPG", "RCNX0999.JPG", "RCNX0001.JPG"],
        ["IMG_999.jpg", "IMG_001.jpg", "IMG_002.jpg"],
        ["PICT99999.jpg", "PICT00001.jpg"],
        ["99.jpg", "01.jpg", "02.jpg"],
        ["IMG_9999_1.JPG", "IMG_9999_2.JPG", "IMG_0001_1.JPG"],
        ["IMG_9999a.JPG", "IMG_9999b.JPG", "IMG_0001a.JPG"],
        ["IMG_0001.JPG", "IMG_0001 (1).JPG", "IMG_0001 (2).JPG", "IMG_0002.JPG"],
        ["IMG_8.JPG", "IMG_9.JPG", "IMG_10.JPG", "IMG_11.JPG"],  # no wrap, and no order of letters
        ["IMG_0009.JPG", "IMG_0010.JPG", "IMG_0099.JPG"],
        ["1.jpg", "9.jpg"],
        ["100RECNX/RCNX9999.JPG", "101RECNX/RCNX0001.JPG"],
        ["999_BTCF/IMAG9999.JPG", "100_BTCF/IMAG0001.JPG"],
        ["DCIM/100MEDIA/IMG_0999.JPG", "DCIM/101MEDIA/IMG_0001.JPG", "DCIM/101MEDIA/IMG_0002.JPG"],
        ["2020-01-01_00-00-00_9999.jpg", "2020-01-01_00-00-00_0001.jpg"],
        ["a/IMG_0002.jpg", "b/IMG_0001.jpg"],
        ["a.jpg", "b.jp2"],
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_media_of_one_moment_are_in_the_order_of_their_numbers(names: list[str], seed: int) -> None:
    listed = sorted(names)
    random.Random(seed).shuffle(listed)
    rows = [{"media_id": name, "file_path": name, "camera_time": START} for name in listed]
    table = assign_events(Catalog.from_rows(rows, "/x", "rows"), GAP).table
    assert table.sort("frame")["file_path"].to_list() == names
    own = pl.DataFrame(rows).with_columns(event_id="file_path")
    joined = join_events(Catalog.from_rows(own, "/x", "rows"), GAP).table
    assert joined.sort("frame")["file_path"].to_list() == names


@given(
    st.integers(1, 9999),
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=8),
    st.sampled_from([(9999, 4), (999, 3), (99_999, 5), (999, 4)]),
    st.randoms(),
)
@settings(deadline=None, max_examples=80)
def test_a_counter_may_begin_again_any_number_of_times(
    start: int, bursts: list[tuple[int, int]], counter: tuple[int, int], seed: random.Random
) -> None:
    """Bursts of one second each, a whole turn of the counter or less between them."""
    most, width = counter
    shots, number = [], start
    for second, (length, turns) in enumerate(bursts):
        for _ in range(length):
            shots.append((f"A/IMG_{(number - 1) % most + 1:0{width}}.JPG", second, number))
            number += 1
        number += turns * most // 2
    rows = [
        {"media_id": str(index), "file_path": name, "camera_time": START + timedelta(seconds=second)}
        for index, (name, second, _) in enumerate(shots)
    ]
    seed.shuffle(rows)
    table = assign_events(Catalog.from_rows(rows, "/x", "rows"), GAP).table
    assert table.sort("frame")["media_id"].to_list() == [str(index) for index in range(len(shots))]


def test_a_frame_of_the_source_comes_before_a_number() -> None:
    rows = [{"camera_time": START, "frame": 2 - n, "file_path": f"IMG_000{n}.JPG"} for n in range(2)]
    assert assign_events(catalog_of(rows), GAP).table["frame"].to_list() == [2, 1]


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
