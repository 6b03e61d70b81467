"""No cell of a table for people is run by a spreadsheet; the page on formats names the exact tables."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import Catalog, harmless_cell
from trapline.formats import WRITERS, write
from trapline.prediction import Predictions

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
EXACT = {"csv", "observations", "camtrap-dp", "wildlife-insights"}
"""Tables that are joined by their names."""
NO_TABLES = {"parquet", "megadetector", "speciesnet", "coco-camera-traps", "sorted", "xmp"}
RUNS = re.compile(r"(^|[;,|\t\r\n])\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
EVIL = "=HYPERLINK(1)"


def runs(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return bool(RUNS.search(cell))
    return False


def evil(made: Any) -> tuple[Predictions, Catalog]:
    table = made.predictions.table.rename({"fox": EVIL})
    labels = tuple(EVIL if label == "fox" else label for label in made.predictions.labels)
    rows = made.catalog.table.with_columns(location_id=pl.lit(" @SUM(1)"))
    catalog = Catalog.from_rows(rows, made.catalog.root, "evil")
    return replace(made.predictions, table=table, labels=labels), catalog


def test_every_writer_is_one_or_the_other() -> None:
    assert set(WRITERS) == EXACT | NO_TABLES | {"summary"}
    page = " ".join(PAGE.read_text("utf-8").split())
    exact = page[page.index("keep every name as it is:") :].split(". ")[0]
    assert all(f"`{name}`" in exact for name in EXACT)


@pytest.mark.parametrize("name", sorted(set(WRITERS) - EXACT - NO_TABLES))
def test_no_cell_is_run(name: str, scene: Any, tmp_path: Path) -> None:
    predictions, catalog = evil(scene())
    write(predictions, catalog, tmp_path / "out.csv", format=name)
    text = (tmp_path / "out.csv").read_text("utf-8")
    assert EVIL in text
    assert not [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row if runs(cell)]


def test_our_own_table_is_joined_by_exact_names(scene: Any, tmp_path: Path) -> None:
    predictions, catalog = evil(scene())
    write(predictions, catalog, tmp_path / "out.csv", format="csv")
    again = Predictions.load(tmp_path / "out.csv")
    assert again.labels == predictions.labels
    assert again.table["file_path"].to_list() == predictions.table["file_path"].to_list()


@given(st.one_of(st.text(), st.text("=+-@\t\r\n ;,|'a1.＝", max_size=12)))
def test_a_harmless_cell_is_never_run_and_loses_nothing(cell: str) -> None:
    done = harmless_cell(cell)
    assert not runs(done)
    assert harmless_cell(done) == done
    assert done.replace("'", "") == cell.replace("'", "")
    if not runs(cell):
        assert done == cell


@pytest.mark.parametrize("cell", ["-3.5", "+1e5", "red fox", "a-b", "Felis sp. (=lynx)"])
def test_numbers_and_names_stay(cell: str) -> None:
    assert harmless_cell(cell) == cell
