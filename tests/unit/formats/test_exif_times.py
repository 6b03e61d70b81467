"""Times of photos by what is in them: from which tag, and what is none."""

import os
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from trapline import api
from trapline.catalog import ByLocation, Catalog
from trapline.errors import DataError, TraplineWarning
from trapline.formats import read
from trapline.formats.exiftool import installed_exiftool, read_tag

MAIN = ("Make", "Model", "DateTime", "Software")
needs_exiftool = pytest.mark.skipif(installed_exiftool() is None, reason="ExifTool is not installed")


def photo(path: Path, **tags: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in tags.items():
        (exif if name in MAIN else inner)[ExifTags.Base[name]] = value
    Image.new("RGB", (16, 12), (len(tags), 9, 9)).save(path, exif=exif)
    return path


def card(folder: Path, *photos: dict[str, object]) -> Catalog:
    for number, tags in enumerate(photos):
        photo(folder / f"A/{number}.jpg", **tags)
    return read(folder)


def reconyx(moment: datetime) -> bytes:
    """The block of a Reconyx HC500, as far as its clock goes (as ExifTool documents it)."""
    block = bytearray(200)
    struct.pack_into("<H", block, 0, 0xF101)
    parts = (moment.second, moment.minute, moment.hour, moment.month, moment.day, moment.year)
    struct.pack_into("<HHHHHH", block, 22, *parts)
    return bytes(block)


def test_photos_of_one_location_in_a_table_without_times_are_split_by_those_of_exif(tmp_path: Path) -> None:
    days = [f"2016:03:{day:02} 10:00:00" for day in (4, 1, 3, 2)]
    for number, day in enumerate(days):
        photo(tmp_path / f"{number}.jpg", DateTimeOriginal=day)
    lines = ["file_name,location,label", *(f"{number}.jpg,A,hare" for number in range(4))]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    catalog = read(tmp_path / "labels.csv")
    assert catalog.table["camera_time"].is_null().all()
    with pytest.warns(TraplineWarning, match=r"names no times: EXIF has those of 4 of 4 photos"):
        done = api.split(catalog)
    assert done.table["split"].to_list() == ["test", "train", "validation", "train"]
    assert done.table["timestamp_source"].to_list() == ["exif"] * 4
    with pytest.raises(DataError, match=r"of 1 location only"):
        api.split(catalog, ByLocation())


def test_the_tag_of_each_time_is_kept_and_a_change_is_no_capture(tmp_path: Path) -> None:
    catalog = card(
        tmp_path,
        {
            "DateTimeOriginal": "2016:03:01 10:00:00",
            "DateTime": "2026:11:02 09:00:00",
            "Software": "GIMP 2.10",
        },
        {"DateTimeDigitized": "2016:03:01 11:00:00"},
        {"DateTime": "2016:03:01 12:00:00"},
        {"DateTime": "2026:11:02 09:00:01", "Software": "Photo Editor 9"},
        {"DateTime": "2026:11:02 09:00:02", "DateTimeOriginal": "0000:00:00 00:00:00"},
    )
    table = catalog.table
    assert [moment and moment.hour for moment in table["camera_time"]] == [10, 11, 12, None, None]
    assert table["exif_time_tag"].to_list() == [
        "DateTimeOriginal",
        "DateTimeDigitized",
        "DateTime",
        None,
        None,
    ]
    assert table["timestamp_source"].to_list() == ["exif"] * 3 + ["none"] * 2
    assert [moment and moment.year for moment in table["exif_modified"]] == [None] * 3 + [2026] * 2
    notes = "\n".join(catalog.facts.notes)
    assert "2 photos say only when they were modified (by 'Photo Editor 9'" in notes
    assert "1 photo has no DateTimeOriginal" in notes


def test_photos_that_were_not_changed_get_no_column_of_changes(tmp_path: Path) -> None:
    assert "exif_modified" not in card(tmp_path, {"DateTimeOriginal": "2016:03:01 10:00:00"}).table.columns


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["05/06/2017 10:00:00", "25/06/2017 10:00:00"], datetime(2017, 6, 5, 10)),
        (["05/06/2017 10:00:00", "05/16/2017 10:00:00"], datetime(2017, 5, 6, 10)),
        (["5.6.2017 10:00:00", "13.6.2017 10:00:00"], datetime(2017, 6, 5, 10)),
        (["05/06/2017 10:00:00", "07/06/2017 10:00:00"], None),
        (["25/06/2017 10:00:00", "06/25/2017 10:00:00"], None),
    ],
)
def test_day_and_month_are_told_by_the_whole_card(
    tmp_path: Path, texts: list[str], first: datetime | None
) -> None:
    catalog = card(tmp_path, *({"DateTimeOriginal": text} for text in texts))
    assert catalog.table["camera_time"][0] == first
    assert (catalog.table["exif_time_tag"][0] is None) == (first is None)
    wanted = "2 photos have dates of which nothing tells" if first is None else "2 photos have their dates"
    assert any(wanted in note for note in catalog.facts.notes)


def test_an_offset_in_the_text_makes_an_instant(tmp_path: Path) -> None:
    catalog = card(
        tmp_path,
        {"DateTimeOriginal": "2018:05:10 13:23:29+02:00"},
        {"DateTimeOriginal": "2018:05:10 13:23:29", "OffsetTimeOriginal": "+02"},
        {"DateTimeOriginal": "2018:05:10 13:23:29", "OffsetTimeOriginal": "summer"},
    )
    instant = datetime(2018, 5, 10, 11, 23, 29, tzinfo=UTC)
    assert catalog.table["timestamp"].to_list() == [instant, instant, None]
    assert catalog.table["camera_time"].unique().to_list() == [datetime(2018, 5, 10, 13, 23, 29)]


@needs_exiftool
def test_what_only_the_maker_writes_is_read_with_exiftool(tmp_path: Path) -> None:
    moment = datetime(2015, 5, 7, 8, 8, 31)
    own = {"Make": "RECONYX", "Model": "HC500 HYPERFIRE", "MakerNote": reconyx(moment)}
    catalog = card(
        tmp_path,
        own,
        own | {"DateTimeOriginal": "2016:01:01 00:00:05"},
        own | {"DateTimeOriginal": "0000:00:00 00:00:00"},
        own | {"DateTime": "2026:11:02 09:00:01", "Software": "Photo Editor 9"},
        {"Make": "OTHER", "MakerNote": b"what nobody knows"},
    )
    later = datetime(2016, 1, 1, 0, 0, 5)
    assert catalog.table["camera_time"].to_list() == [moment, later, moment, moment, None]
    assert catalog.table["exif_time_tag"].to_list() == [
        "MakerNotes:DateTimeOriginal",
        "DateTimeOriginal",
        *["MakerNotes:DateTimeOriginal"] * 2,
        None,
    ]
    assert any(
        "3 photos have their time where only the camera's maker" in note for note in catalog.facts.notes
    )


@needs_exiftool
def test_exiftool_finds_photos_of_any_name(tmp_path: Path) -> None:
    names = ["-a.jpg", "#b.jpg", " c .jpg", "$d@e.jpg", "é.jpg"]
    if os.name != "nt":
        names += [
            "f\\n.jpg",
            "g\nh.jpg",
            "i\r.jpg",
            'j"k%d.jpg',
            b"\xff.jpg".decode("utf-8", "surrogateescape"),
        ]
    made = [
        photo(tmp_path / name, Make="RECONYX", MakerNote=reconyx(datetime(2015, 5, 7, 8, 8, number)))
        for number, name in enumerate(names)
    ]
    (tmp_path / "none.jpg").write_bytes(b"none")
    asked = [*made, tmp_path / "missing.jpg", tmp_path / "none.jpg", made[0]]
    texts = read_tag(str(installed_exiftool()), asked, "MakerNotes:DateTimeOriginal")
    own = [f"2015:05:07 08:08:{number:02}" for number in range(len(names))]
    assert texts == [*own, None, None, own[0]]


def test_without_exiftool_it_is_said_what_was_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    catalog = card(tmp_path / "card", {"MakerNote": reconyx(datetime(2015, 5, 7))})
    assert catalog.table["camera_time"].to_list() == [None]
    assert any("1 photo without a time has a block" in note for note in catalog.facts.notes)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the program is a shell's")
@pytest.mark.parametrize("work", ["sleep 60", "exit 3", "kill -9 $$"])
def test_a_photo_on_which_exiftool_ends_or_hangs_costs_its_own_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    program = tmp_path / "exiftool"
    program.write_text(
        f"#!/bin/sh\nwhile read -r line; do case $line in *bad.jpg) {work};; "
        "*.jpg) echo 2015:05:07 08:08:31; echo '{done}';; esac; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("trapline.formats.exiftool._READ_SECONDS", (0.5, 0))
    photos = [tmp_path / name for name in ("a.jpg", "bad.jpg", "b.jpg")]
    texts = read_tag(str(program), photos, "MakerNotes:DateTimeOriginal")
    assert texts == ["2015:05:07 08:08:31", None, "2015:05:07 08:08:31"]
    many = [tmp_path / "bad.jpg"] * 9
    assert read_tag(str(program), many, "MakerNotes:DateTimeOriginal") == [None] * 9


def test_a_table_with_a_column_of_exif_is_refused_in_words(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", DateTimeOriginal="2018:05:10 13:23:29")
    (tmp_path / "labels.csv").write_text("path,camera_make\na.jpg,x\n")
    with pytest.raises(DataError, match="has a column camera_make"):
        read(tmp_path / "labels.csv", exif=True)


def test_times_that_cannot_be_read_are_counted_together_whatever_each_says(tmp_path: Path) -> None:
    texts = [f"2017:05:16 24:0{number}:24" for number in range(9)]
    catalog = card(tmp_path, *({"DateTimeOriginal": text} for text in texts))
    told = [note for note in catalog.facts.notes if "is no time" in note]
    assert told == [
        f"EXIF: 9 photos: DateTimeOriginal is no time: '{texts[0]}', '{texts[1]}', '{texts[2]}', …"
    ]
