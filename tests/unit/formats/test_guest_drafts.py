"""What a reader of another package may hand over wrongly is said, with its name and never as a traceback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.errors import DataError
from trapline.formats import READERS, read
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.registry import reader
from trapline.registry import GuestError

ROWS: dict[str, Any] = {
    "media_id": ["a", "b"],
    "file_path": ["a.jpg", "b.jpg"],
    "labels": [["fox"], None],
    "_time_text": ["2020-01-01 10:00:00"] * 2,
}


@pytest.fixture
def rows() -> Iterator[dict[str, Any]]:
    """The rows of a guest's draft, to be changed; the guest is registered for as long as the test."""
    given = dict(ROWS)

    def guest(source: Path) -> Draft:
        """Give whatever the test wants."""
        return Draft(pl.DataFrame(given), source, "a guest's source")

    reader("guest-draft", recognise=lambda source: None)(guest)
    yield given
    del READERS._entries["guest-draft"], READERS._functions["guest-draft"]


def test_rows_without_a_line_are_read(rows: dict[str, Any], tmp_path: Path) -> None:
    assert read(tmp_path, format="guest-draft").table["media_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"file_path": None}, "no column 'file_path'"),
        ({"media_id": None}, "no column 'media_id'"),
        ({"labels": ["fox", "hare"]}, r"'labels' of its Draft is String, not List\(String\)"),
        ({"labels": [[1], [2]]}, r"List\(Int64\), not List\(String\)"),
        ({"event_labels": ["fox", "hare"]}, "'event_labels' of its Draft is String"),
    ],
)
def test_rows_of_another_form_are_refused(
    changes: dict[str, Any], complaint: str, rows: dict[str, Any], tmp_path: Path
) -> None:
    rows.update(changes)
    for name in [name for name, values in changes.items() if values is None]:
        del rows[name]
    with pytest.raises(GuestError, match=complaint):
        read(tmp_path, format="guest-draft", strict=True)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"media_id": ["a", "a"]}, "row 2 of a guest's source"),
        ({"file_path": ["a.jpg", "../b.jpg"]}, "row 2 of a guest's source"),
        ({"_time_text": ["yesterday", ""]}, "row 1 of a guest's source"),
    ],
)
def test_rows_with_a_wrong_value_are_named_by_number_where_they_have_no_line(
    changes: dict[str, Any], complaint: str, rows: dict[str, Any], tmp_path: Path
) -> None:
    rows.update(changes)
    with pytest.raises(DataError, match=complaint):
        read(tmp_path, format="guest-draft", strict=True)
