"""EXIF: the camera's own words, nothing invented, nothing raised."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from trapline.images import ExifInfo, parse_exif_time, read_exif

MAIN = ("Make", "Model", "DateTime", "Orientation", "Software", "ProcessingSoftware")


def photo(path: Path, **tags: object) -> Path:
    exif = Image.Exif()
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in tags.items():
        tag = ExifTags.Base[name]
        (exif if name in MAIN else inner)[tag] = value
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    return path


def test_what_the_camera_wrote_is_read(tmp_path: Path) -> None:
    info = read_exif(
        photo(
            tmp_path / "a.jpg",
            Make="RECONYX\x00  ",
            Model="PC800",
            BodySerialNumber="H123",
            Orientation=6,
            DateTime="2020:01:01 00:00:00",
            DateTimeOriginal="2016:02:29 23:59:58",
            SubsecTimeOriginal="25",
            OffsetTimeOriginal="+01:00",
        )
    )
    assert info == ExifInfo(
        camera_time=datetime(2016, 2, 29, 23, 59, 58, 250_000),
        timestamp=datetime(2016, 2, 29, 22, 59, 58, 250_000, tzinfo=UTC),
        time_tag="DateTimeOriginal",
        make="RECONYX",
        model="PC800",
        serial="H123",
        orientation=6,
        width=40,
        height=30,
    )


def test_without_an_offset_there_is_no_instant(tmp_path: Path) -> None:
    info = read_exif(photo(tmp_path / "a.jpg", DateTimeOriginal="2016:02:29 23:59:58"))
    assert info.camera_time == datetime(2016, 2, 29, 23, 59, 58)
    assert info.timestamp is None


def test_other_time_tags_are_taken_in_order_and_named(tmp_path: Path) -> None:
    info = read_exif(
        photo(
            tmp_path / "a.jpg",
            DateTimeOriginal="0000:00:00 00:00:00",
            DateTimeDigitized="2016:01:02 03:04:05",
            DateTime="2020:01:01 00:00:00",
        )
    )
    assert (info.camera_time, info.time_tag) == (datetime(2016, 1, 2, 3, 4, 5), "DateTimeDigitized")


@pytest.mark.parametrize(
    "others",
    [
        {"Software": "GIMP 2.10.8"},
        {"Software": "Photos 3.0", "Model": "PC800"},
        {"Software": "Picasa"},
        {"ProcessingSoftware": "digiKam-8.1.0"},
        {"DateTimeOriginal": "0000:00:00 00:00:00"},
        {"DateTimeDigitized": "    :  :     :  :  "},
        {"DateTimeOriginal": "broken"},
    ],
)
def test_the_time_of_a_change_is_no_time_of_capture(tmp_path: Path, others: dict[str, object]) -> None:
    info = read_exif(photo(tmp_path / "a.jpg", DateTime="2020:01:01 10:00:00", **others))
    assert (info.camera_time, info.time_tag, info.timestamp) == (None, None, None)
    assert info.modified == datetime(2020, 1, 1, 10)


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("xmp:ModifyDate='2020-01-01T10:00:00'", True),
        ("xmp:CreatorTool='Lightroom'", True),
        ("dc:format='image/jpeg'", False),
    ],
)
def test_a_change_that_only_xmp_tells(tmp_path: Path, words: str, changed: bool) -> None:
    packet = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description {words}/></x:xmpmeta>".encode()
    for name, tag in (("a.jpg", "DateTime"), ("b.jpg", "DateTimeOriginal")):
        path = photo(tmp_path / name, **{tag: "2020:01:01 10:00:00"})
        with Image.open(path) as image:
            image.save(path, exif=image.getexif(), xmp=packet)
        info = read_exif(path)
        gone = changed and tag == "DateTime"
        assert (info.camera_time is None, info.modified is not None) == (gone, gone)


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"Software": "V1.2.3"},
        {"Software": "MA7U1.0"},
        {"Software": "Ver. 20160301"},
        {"Software": "Bushnell Core firmware", "Make": "BUSHNELL"},
    ],
)
def test_a_camera_that_writes_no_other_time_is_believed(tmp_path: Path, others: dict[str, object]) -> None:
    info = read_exif(photo(tmp_path / "a.jpg", DateTime="2020:01:01 10:00:00", **others))
    assert (info.camera_time, info.time_tag, info.modified) == (datetime(2020, 1, 1, 10), "DateTime", None)


@pytest.mark.parametrize(
    ("text", "local", "utc"),
    [
        ("2017:05:16 01:48:24 PM", (13, 48, 24), None),
        ("2017-05-16T13:48:24", (13, 48, 24), None),
        ("2017/05/16 13:48:24", (13, 48, 24), None),
        ("2017.05.16 13:48:24 : ", (13, 48, 24), None),
        ("2017:05:16 13:48:24+02:00", (13, 48, 24), (11, 48, 24)),
        ("2017:05:16 13:48:24Z", (13, 48, 24), (13, 48, 24)),
        ("16 May 2017 13:48", (13, 48, 0), None),
    ],
)
def test_odd_ways_of_writing(
    tmp_path: Path, text: str, local: tuple[int, int, int], utc: tuple[int, int, int] | None
) -> None:
    info = read_exif(photo(tmp_path / "a.jpg", DateTimeOriginal=text))
    assert info.camera_time == datetime(2017, 5, 16, *local)
    assert info.timestamp == (utc and datetime(2017, 5, 16, *utc, tzinfo=UTC))


def test_one_photo_does_not_tell_day_from_month(tmp_path: Path) -> None:
    for text in ("05/06/2017 10:00:00", "25/06/2017 10:00:00"):
        info = read_exif(photo(tmp_path / "a.jpg", DateTimeOriginal=text))
        assert (info.camera_time, info.time_tag, info.time_text) == (None, "DateTimeOriginal", text)


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "2016:02:30 01:00:00", "yesterday"]
)
def test_a_senseless_time_is_reported_and_not_guessed(tmp_path: Path, text: str) -> None:
    info = read_exif(photo(tmp_path / "a.jpg", DateTimeOriginal=text))
    assert info.camera_time is None
    assert info.problem is not None
    assert "DateTimeOriginal" in info.problem
    assert info.width == 40


def test_a_photo_without_exif_has_no_problem(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg")
    assert read_exif(tmp_path / "a.jpg") == ExifInfo(width=40, height=30)


def test_files_that_are_no_photos_are_reported(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "folder.jpg").mkdir()
    assert read_exif(tmp_path / "text.jpg").problem == "not a picture of a known format"
    assert read_exif(tmp_path / "folder.jpg").problem == "is a folder"
    assert "no such file" in str(read_exif(tmp_path / "none.jpg").problem)


@given(st.text(max_size=25), st.none() | st.text(max_size=8))
def test_parsing_times_never_raises(text: str, subsecond: str | None) -> None:
    found = parse_exif_time(text, subsecond)
    assert found is None or isinstance(found, datetime)


@given(st.datetimes(min_value=datetime(1000, 1, 1)))
def test_times_come_back(time: datetime) -> None:
    written = time.strftime("%Y:%m:%d %H:%M:%S")
    assert parse_exif_time(written, f"{time.microsecond:06}") == time


@pytest.mark.field
def test_the_jura_camera_says_2006(field: Path) -> None:
    infos = [read_exif(path) for path in sorted((field / "jura-full").glob("*.jpg"))]
    assert len(infos) == 24
    assert {info.camera_time.year for info in infos if info.camera_time} == {2006}
    assert all(info.problem is None for info in infos)
    assert {(info.width, info.height) for info in infos} == {(2048, 1536)}


def with_xmp(path: Path, xmp: str, exif: Image.Exif | None = None) -> ExifInfo:
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {xmp}</x:xmpmeta>'.encode()
    Image.new("RGB", (40, 30)).save(path, xmp=packet, exif=exif or Image.Exif())
    return read_exif(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
@pytest.mark.parametrize(
    ("xmp", "tag"),
    [
        ('exif:DateTimeOriginal="2016-02-29T23:59:58"/>', "XMP exif:DateTimeOriginal"),
        ("photoshop:DateCreated='2016-02-29T23:59:58'/>", "XMP photoshop:DateCreated"),
        ("><exif:DateTimeOriginal>2016-02-29T23:59:58</exif:DateTimeOriginal>", "XMP exif:DateTimeOriginal"),
    ],
)
def test_a_time_of_capture_in_xmp_alone_is_read(tmp_path: Path, name: str, xmp: str, tag: str) -> None:
    info = with_xmp(tmp_path / name, xmp)
    assert (info.camera_time, info.time_tag) == (datetime(2016, 2, 29, 23, 59, 58), tag)


def test_exif_stands_above_xmp_and_a_date_alone_is_no_time(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "RECONYX"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2015:01:01 10:00:00"
    info = with_xmp(tmp_path / "a.jpg", 'exif:DateTimeOriginal="2016-02-29T23:59:58"/>', exif)
    assert (info.camera_time, info.time_tag) == (datetime(2015, 1, 1, 10), "DateTimeOriginal")
    for xmp in ('photoshop:DateCreated="2016-02-29"/>', 'xmp:ModifyDate="2016-02-29T23:59:58"/>'):
        assert with_xmp(tmp_path / "b.jpg", xmp).camera_time is None


def test_a_change_is_told_from_the_capture_that_xmp_keeps(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2020:01:01 00:00:00"
    xmp = 'xmp:ModifyDate="2020-01-01T00:00:00" photoshop:DateCreated="2016-02-29T23:59:58"/>'
    info = with_xmp(tmp_path / "a.jpg", xmp, exif)
    assert (info.camera_time, info.modified) == (datetime(2016, 2, 29, 23, 59, 58), datetime(2020, 1, 1))
