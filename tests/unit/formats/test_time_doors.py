"""Times through whole readers: the same text is the same time in every format."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import read


def write_csv(path: Path, *rows: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def from_csv(folder: Path, text: str, **options: Any) -> Catalog:
    return read(
        write_csv(folder / "t.csv", ["path", "datetime"], ["a.jpg", text], ["b.jpg", text]), **options
    )


def from_timelapse(folder: Path, text: str, **options: Any) -> Catalog:
    rows = [["a.jpg", "x", text], ["b.jpg", "x", text]]
    return read(write_csv(folder / "t.csv", ["File", "RelativePath", "DateTime"], *rows), **options)


def from_coco(folder: Path, text: str, **options: Any) -> Catalog:
    kinds = [{"id": 1, "name": "fox"}]
    images = [{"id": name, "file_name": f"{name}.jpg", "datetime": text} for name in "ab"]
    (folder / "t.json").write_text(json.dumps({"images": images, "annotations": [], "categories": kinds}))
    return read(folder / "t.json", **options)


def from_hakuna(folder: Path, text: str, **options: Any) -> Catalog:
    rows = [["e1", "S1/A/R1/a1.jpg", text], ["e2", "S1/A/R1/a2.jpg", text]]
    write_csv(folder / "train_metadata.csv", ["seq_id", "file_name", "datetime"], *rows)
    return read(folder, **options)


def from_camtrap_dp(folder: Path, text: str, **options: Any) -> Catalog:
    write_csv(folder / "deployments.csv", ["deploymentID", "locationID"], ["d", "L"])
    rows = [["a", "d", text, "a.jpg"], ["b", "d", text, "b.jpg"]]
    write_csv(folder / "media.csv", ["mediaID", "deploymentID", "timestamp", "filePath"], *rows)
    names = ["observationID", "deploymentID", "mediaID", "observationLevel", "observationType"]
    write_csv(folder / "observations.csv", names)
    (folder / "datapackage.json").write_text('{"name": "x"}')
    return read(folder / "datapackage.json", **options)


def from_exif(folder: Path, text: str, **options: Any) -> Catalog:
    for name in "ab":
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = text
        Image.new("RGB", (8, 8)).save(folder / f"{name}.jpg", exif=exif)
    return read(folder, event_gap=None, **options)


DOORS: list[Callable[..., Catalog]] = [
    from_csv,
    from_timelapse,
    from_coco,
    from_hakuna,
    from_camtrap_dp,
    from_exif,
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("text", "wall", "utc"),
    [
        ("2021-05-09 02:03:07 PM", datetime(2021, 5, 9, 14, 3, 7), None),
        ("2021:05:09 14:03:07.25+01", datetime(2021, 5, 9, 14, 3, 7, 250_000), (13, 3, 7, 250_000)),
        ("09-May-2021 14:03", datetime(2021, 5, 9, 14, 3), None),
        ("2021-05-09T14:03:07,5Z", datetime(2021, 5, 9, 14, 3, 7, 500_000), (14, 3, 7, 500_000)),
        ("1970-01-01 00:00:05", datetime(1970, 1, 1, 0, 0, 5), None),  # kept as written: see `explore`
        ("2098-01-01 00:00:05", datetime(2098, 1, 1, 0, 0, 5), None),
        ("25/05/2021 14:03:07", datetime(2021, 5, 25, 14, 3, 7), None),
        ("5/25/2021 2:03:07 PM", datetime(2021, 5, 25, 14, 3, 7), None),
    ],
)
def test_one_text_is_one_time_in_every_format(
    tmp_path: Path,
    door: Callable[..., Catalog],
    text: str,
    wall: datetime,
    utc: tuple[int, int, int, int] | None,
) -> None:
    catalog = door(tmp_path, text)
    assert catalog.table["camera_time"].to_list() == [wall, wall]
    instant = utc and datetime(wall.year, wall.month, wall.day, *utc, tzinfo=UTC)
    assert catalog.table["timestamp"].to_list() == [instant, instant]


@pytest.mark.parametrize("door", DOORS[:-1])
@pytest.mark.parametrize("text", ["05/06/2021 14:03:07", "5.6.2021 14:03", "05-06-2021 02:03 PM"])
def test_every_format_asks_for_the_same_option(
    tmp_path: Path, door: Callable[..., Catalog], text: str
) -> None:
    with pytest.raises(DataError, match=r"day first or the month.*--time-format"):
        door(tmp_path, text)
    assert door(tmp_path, text, time_format="day-first").table["camera_time"][0].month == 6
    assert door(tmp_path, text, time_format="month-first").table["camera_time"][0].month == 5


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "0000-00-00 00:00:00", "  :  "])
def test_zeroes_are_no_time_in_any_format(tmp_path: Path, door: Callable[..., Catalog], text: str) -> None:
    table = door(tmp_path, text).table
    assert table["camera_time"].to_list() == [None, None]
    assert table["timestamp_source"].to_list() == ["none", "none"]


@pytest.mark.parametrize(
    ("names", "cells", "expected"),
    [
        (["date", "time"], ["2021-05-09", "14:03:07"], datetime(2021, 5, 9, 14, 3, 7)),
        (["Date", "Time"], ["9 May 2021", "2:03 pm"], datetime(2021, 5, 9, 14, 3)),
        (["DATE", "TIME"], ["25.05.2021", "14:03"], datetime(2021, 5, 25, 14, 3)),
        (["Date", "Time"], ["2021-05-09 00:00:00", "1899-12-31 14:03:00"], datetime(2021, 5, 9, 14, 3)),
        (["DateTime", "Date"], ["2021-05-09 14:03:07", "2022-01-01"], datetime(2021, 5, 9, 14, 3, 7)),
        (["date", "note"], ["2021-05-09 14:03:07", "x"], datetime(2021, 5, 9, 14, 3, 7)),
    ],
)
def test_date_and_time_in_two_columns_of_a_table(
    tmp_path: Path, names: list[str], cells: list[str], expected: datetime
) -> None:
    catalog = read(write_csv(tmp_path / "t.csv", ["path", *names], ["a.jpg", *cells]))
    assert catalog.table["camera_time"].to_list() == [expected]


def test_columns_of_date_and_time_can_be_named_and_left_out(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "t.csv", ["path", "day", "clock"], ["a.jpg", "2021-05-09", "14:03:07"])
    catalog = read(source, columns={"date": "day", "time": "clock"})
    assert catalog.table["camera_time"].to_list() == [datetime(2021, 5, 9, 14, 3, 7)]
    alone = read(source, columns={"date": "day"}).table
    assert (alone["camera_time"].to_list(), alone["camera_date"].to_list()) == ([None], [date(2021, 5, 9)])
    source = write_csv(tmp_path / "t.csv", ["path", "date", "time"], ["a.jpg", "2021-05-09", "14:03:07"])
    assert read(source, columns={"time": ""}).table["camera_time"].to_list() == [None]
    with pytest.raises(UsageError, match="has times"):
        read(source, exif=True)


def test_a_pattern_finds_date_and_time_in_names(tmp_path: Path) -> None:
    for name in ("cam1_20210509_140307.jpg", "cam1_20210509_140309.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    both = read(tmp_path, pattern=r"_(?P<date>\d{8})_(?P<time>\d{6})", time_format="%Y%m%d %H%M%S")
    one = read(tmp_path, pattern=r"_(?P<time>\d{8}_\d{6})")
    expected = [datetime(2021, 5, 9, 14, 3, 7), datetime(2021, 5, 9, 14, 3, 9)]
    assert both.table["camera_time"].to_list() == one.table["camera_time"].to_list() == expected
    assert one.table["timestamp_source"].to_list() == ["filename"] * 2


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("1970-01-01 00:00:05", "before 2000"),
        ("1999-12-31 23:00:00", "before 2000"),
        ("2000-01-01 00:03:00", "on 1 January 2000"),
        ("2098-01-01 12:00:00", "in the future"),
    ],
)
def test_an_impossible_time_is_kept_and_warned_of(
    tmp_path: Path, door: Callable[..., Catalog], text: str, when: str
) -> None:
    catalog = door(tmp_path, text)
    assert {str(moment) for moment in catalog.table["camera_time"]} == {text}
    assert any(note.startswith(f"2 times lie {when}") for note in catalog.facts.notes)
