"""Clocks that were wrong are put right as a table says, and only where it says so."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import read
from trapline.formats.readers.clock_shifts import SHIFT, read_clock_shifts

PHOTOS = (
    "path,location,deployment,time\n"
    "a.jpg,brook,b1,2015-01-01 00:10:00\n"
    "b.jpg,brook,b1,2015-01-03 12:00:00\n"
    "c.jpg,brook,b2,2015-01-03 12:00:00\n"
    "d.jpg,glade,g1,2015-01-01 00:10:00\n"
    "e.jpg,glade,g1,\n"
)
Reading = Callable[..., Catalog]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    def read_with(*lines: str, photos: str = PHOTOS, **options: object) -> Catalog:
        (tmp_path / "photos.csv").write_text(photos)
        (tmp_path / "clocks.csv").write_text("\n".join(lines) + "\n")
        return read(tmp_path / "photos.csv", clock_shifts=tmp_path / "clocks.csv", **options)

    return read_with


def times(catalog: Catalog) -> list[str | None]:
    return [None if time is None else f"{time:%y-%m-%d %H:%M}" for time in catalog.table["camera_time"]]


def test_only_the_cameras_and_the_time_that_are_named_are_put_right(reading: Reading) -> None:
    catalog = reading("location,deployment,to,shift,note", "brook,b1,2015-01-02 00:00,+10d 01:30,battery")
    assert times(catalog) == ["15-01-11 01:40", "15-01-03 12:00", "15-01-03 12:00", "15-01-01 00:10", None]
    assert catalog.table[SHIFT].to_list() == [10 * 86400 + 5400, None, None, None, None]
    assert "the clocks of 1 media were put right" in " ".join(catalog.facts.notes)


def test_what_the_clock_said_and_what_was_right_say_as_much_and_instants_follow(reading: Reading) -> None:
    catalog = reading(
        "location,camera_time,true_time",
        "brook,2015-01-01 00:00,2024-05-01 09:30:30",
        "glade,2015-01-01 12:00,2015-01-01 11:00",
        timezone="Africa/Abidjan",
    )
    assert times(catalog) == ["24-05-01 09:40", "24-05-03 21:30", "24-05-03 21:30", "14-12-31 23:10", None]
    instants = catalog.table["timestamp"].dt.replace_time_zone(None)
    assert instants.to_list() == catalog.table["camera_time"].to_list()


def test_events_are_made_by_the_time_that_is_right(reading: Reading) -> None:
    photos = "path,location,time\n" + "".join(f"{n}.jpg,brook,2015-01-0{n} 00:00:00\n" for n in (1, 2))
    apart = reading("shift", "+1:00", photos=photos, event_gap=timedelta(hours=1))
    joined = reading("to,shift", "2015-01-01,+1d", photos=photos, event_gap=timedelta(hours=1))
    assert apart.table["event_id"].n_unique() == 2
    assert joined.table["event_id"].unique().to_list() == ["brook/2015-01-02T00:00:00"]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["location,shift", "brok,+1:00"], r"line 2 fits no media"),
        (["location,to,shift", "brook,2014-12-31,+1:00"], r"line 2 fits no media"),
        (["location,shift", "brook,+1:00", ",+2:00"], r"line 3 fits 3 media that an earlier line.*a\.jpg"),
        (["location,shift", "brook,1:00"], r"line 2: shift is '1:00'.*its sign"),
        (["location,shift", "brook,+"], r"line 2: shift is '\+'"),
        (["location,shift", "brook,+1:75"], r"more than 59 minutes"),
        (["location,shift", "brook,"], r"line 2: give either `shift`"),
        (["location,camera_time,true_time", "brook,2015-01-01 10:00,"], r"line 2: give either `shift`"),
        (
            ["location,shift,camera_time,true_time", "brook,+1:00,2015-01-01 10:00,2015-01-02 10:00"],
            r"give either",
        ),
        (["location,form,shift", "brook,2015-01-01,+1:00"], r"line 1 has the columns form;.*from"),
        (["from,to,shift", "2015-02-01,2015-01-01,+1:00"], r"lies before"),
        (["camera_time,true_time", "2015-01-01,2015-01-02 10:00"], r"camera_time is .*no time"),
        (["from,shift", "05/06/2015 10:00,+1:00"], r"line 2: from is .*no time, or more than one"),
        (["from,shift", "yesterday,+1:00"], r"line 2: from is 'yesterday', which is no time"),
        (["from,shift", "2015-01-01T00:00Z,+1:00"], r"has no zone"),
        (["shift", "-999999d"], r"beyond the year"),
        (["shift"], r"no line under its header"),
    ],
)
def test_a_table_that_is_wrong_is_named_by_line(lines: list[str], complaint: str, reading: Reading) -> None:
    with pytest.raises(DataError, match=complaint):
        reading(*lines)


def test_photos_without_times_or_shifted_before_are_refused(reading: Reading) -> None:
    with pytest.raises(DataError, match="no times"):
        reading("shift", "+1:00", photos="path,location\na.jpg,brook\n")
    with pytest.raises(DataError, match="put right before"):
        reading("shift", "+1:00", photos=f"path,time,{SHIFT}\na.jpg,2015-01-01 00:00:00,60\n")


@given(shift=st.timedeltas(timedelta(-30000), timedelta(30000)))
def test_a_shift_is_read_as_it_is_written(shift: timedelta, tmp_path_factory: pytest.TempPathFactory) -> None:
    size = abs(timedelta(days=shift.days, seconds=shift.seconds))
    minutes, seconds = divmod(size.seconds, 60)
    sign = "-" if shift.days < 0 and size else "+"
    path = tmp_path_factory.mktemp("clocks") / "clocks.csv"
    path.write_text(f"shift\n{sign}{size.days}d {minutes // 60:02}:{minutes % 60:02}:{seconds:02}\n")
    (read_back,) = read_clock_shifts(path)
    assert read_back.shift == (-size if sign == "-" else size)
    assert datetime(2000, 1, 1) + read_back.shift - read_back.shift == datetime(2000, 1, 1)
