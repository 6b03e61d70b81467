"""A media is its bytes: known under any name, by what was kept where it is not there, and never guessed."""

import hashlib
import os
from pathlib import Path

import polars as pl
import pytest

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
    assert known.table["file_size"].to_list() == [3, 3, 6]
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


def test_of_which_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    gone = MediaFile(tmp_path / "gone")
    assert equal_files([gone, MediaFile(tmp_path / "other")]) == []
    unread = identify(Catalog.from_rows([{"media_id": "x", "file_path": "gone"}], tmp_path, "files"))
    assert unread.table.select("file_size", "content_hash").row(0) == (None, None)
    assert unread.table.schema["file_size"] == pl.Int64
