"""A media is its picture: known under any name, by what was kept where it is not there, and never guessed."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from PIL import ExifTags, Image

from trapline.catalog import Catalog, MediaFile, content_hash, equal_files, identify, media_files


def catalog_of(root: Path, names: dict[str, bytes]) -> Catalog:
    for name, content in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return Catalog.from_rows([{"media_id": name, "file_path": name} for name in names], root, "files")


def test_the_hash_is_that_of_the_bytes_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a") == hashlib.blake2b(b"abc", digest_size=16).hexdigest()
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "pipe", "."):
        with pytest.raises(OSError, match=r".+"):
            content_hash(tmp_path / name)


def test_what_was_read_once_is_known_when_it_is_gone(tmp_path: Path) -> None:
    known = identify(catalog_of(tmp_path, {"a": b"one", "b": b"two", "c": b"longer"}))
    assert known.table["content_size"].to_list() == [3, 3, 6]
    (tmp_path / "a").unlink()
    (tmp_path / "card").mkdir()
    copy = catalog_of(tmp_path / "card", {"IMG_0001": b"one", "IMG_0002": b"six"})
    assert equal_files([*media_files(known), *media_files(copy)]) == [[0, 3]]
    assert identify(known).table.equals(known.table), "what is known of a file that is gone stays"
    assert known.save(tmp_path / "c.parquet")
    assert Catalog.load(tmp_path / "c.parquet").table.equals(known.table)


def test_what_a_file_holds_now_counts_before_what_was_kept_of_it(tmp_path: Path) -> None:
    known = identify(catalog_of(tmp_path, {"a": b"one", "b": b"two"}))
    (tmp_path / "a").write_bytes(b"two")
    assert equal_files(media_files(known)) == [[0, 1]]


def test_only_the_files_that_are_asked_for_are_read(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, {"a": b"one", "b": b"two"})
    some = identify(catalog, only=pl.Series([True, False]))
    assert some.table["content_hash"].is_null().to_list() == [False, True]
    assert some.table["content_size"].to_list() == [3, None]
    assert identify(some).table["content_hash"][0] == some.table["content_hash"][0]


def test_of_which_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    gone = MediaFile(tmp_path / "gone")
    assert equal_files([gone, MediaFile(tmp_path / "other")]) == []
    unread = identify(Catalog.from_rows([{"media_id": "x", "file_path": "gone"}], tmp_path, "files"))
    assert unread.table.select("content_size", "content_hash").row(0) == (None, None)
    assert unread.table.schema["content_size"] == pl.Int64


def photo(path: Path, grey: int = 90, taken: str | None = None, **tags: str) -> Path:
    """A small JPEG as a camera writes it, with its time and other tags of EXIF."""
    exif = Image.Exif()
    for name, text in tags.items():
        exif[ExifTags.Base[name]] = text
    if taken is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (16, 16), grey).save(path, exif=exif)
    return path


def insert(path: Path, marker: int, content: bytes) -> None:
    """Write a segment of metadata at the front of a JPEG."""
    data = path.read_bytes()
    length = (len(content) + 2).to_bytes(2, "big")
    path.write_bytes(data[:2] + bytes([0xFF, marker]) + length + content + data[2:])


TIME = "2024:05:01 04:05:06"
TAGS: dict[str, Callable[[Path], object]] = {
    "xmp": lambda path: insert(path, 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"),
    "iptc": lambda path: insert(path, 0xED, b"Photoshop 3.0\x008BIM fox"),
    "comment": lambda path: insert(path, 0xFE, b"a fox, I think"),
    "exif": lambda path: photo(path, taken=TIME, ImageDescription="a fox", DateTime="2025:01:01 00:00:00"),
    "large": lambda path: [insert(path, 0xE1, bytes(60_000)) for _ in range(40)],
}


@pytest.mark.parametrize("name", TAGS)
def test_a_photo_that_was_tagged_is_the_same_photo(name: str, tmp_path: Path) -> None:
    one, other = photo(tmp_path / "a.jpg", taken=TIME), photo(tmp_path / "b.jpg", taken=TIME)
    TAGS[name](other)
    assert one.read_bytes() != other.read_bytes()
    assert equal_files([MediaFile(one), MediaFile(other)]) == [[0, 1]]


@pytest.mark.parametrize("taken", ["2024:05:01 04:05:07", None])
def test_two_black_frames_of_different_times_are_two_photos(taken: str | None, tmp_path: Path) -> None:
    one, other = photo(tmp_path / "a.jpg", 0, TIME), photo(tmp_path / "b.jpg", 0, taken)
    assert equal_files([MediaFile(one), MediaFile(other)]) == []


def test_damaged_files_are_known_by_what_they_hold(tmp_path: Path) -> None:
    whole = photo(tmp_path / "whole.jpg", taken=TIME)
    data = whole.read_bytes()
    damaged = {
        "cut in its header": data[:30],
        "cut in its picture": data[:-5],
        "segments without end": b"\xff\xd8" + b"\xff\xe1\x00\x02" * 20_000,
        "no segments": b"\xff\xd8\xff\xda",
        "exif of nonsense": data.replace(b"Exif\0\0II", b"Exif\0\0XX").replace(b"Exif\0\0MM", b"Exif\0\0XX"),
    }
    files = [MediaFile(whole)]
    for name, content in damaged.items():
        for copy in ("1", "2"):
            (tmp_path / (name + copy)).write_bytes(content)
            files.append(MediaFile(tmp_path / (name + copy)))
    assert equal_files(files) == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]


def test_empty_files_are_not_one_photo(tmp_path: Path) -> None:
    known = identify(catalog_of(tmp_path, {"a.jpg": b"", "b.jpg": b"", "c.jpg": b"x"}))
    assert equal_files(media_files(known)) == []
    (tmp_path / "a.jpg").unlink()
    assert equal_files([*media_files(known), *media_files(known)]) == [[2, 5]]


def test_what_was_kept_counts_where_that_is_asked(tmp_path: Path) -> None:
    known = identify(catalog_of(tmp_path, {"a": b"one", "b": b"two"}))
    catalog_of(tmp_path, {"a": b"six", "b": b"ten", "c": b"one"})  # another card under the same names
    before, now = media_files(known, as_kept=True), media_files(known)
    assert equal_files([*before, *now, MediaFile(tmp_path / "c")]) == [[0, 4]]
