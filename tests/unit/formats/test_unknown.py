"""A file that no reader recognises is answered with what to do, where that is known."""

from pathlib import Path

import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import read, read_answers


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("counts.XLSX", "save its sheet as CSV"),
        ("photos.7z", "Unpack it"),
        ("TimelapseData.ddb", "export the table"),
        ("records.rds", "never opened"),
        ("report.pdf", "page for people"),
        ("notes.xyz", "Name one with --format"),
    ],
)
def test_the_advice_follows_the_kind(name: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x00\x01 not a table")
    catalog = Catalog.from_rows([{"media_id": "a", "file_path": "a.jpg"}], tmp_path, "rows")
    for act in (lambda: read(tmp_path / name), lambda: read_answers(tmp_path / name, catalog)):
        with pytest.raises(DataError, match=advice) as refused:
            act()
        assert "Name one with --format" in str(refused.value)
