"""A file is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from trapline.storage import replace_whole


def test_a_new_file_takes_the_place_of_the_old_one_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "made" / "table.csv"
    for text in ("old", "new"):
        with replace_whole(path) as partial:
            partial.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def _half_write(path: Path, error: BaseException) -> None:
    with replace_whole(path) as partial:
        partial.write_text("ne")
        raise error


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(type(error)):
        _half_write(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
