"""A summary called .xlsx is a workbook, and no file is called what it is not."""

import csv
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.errors import UsageError
from trapline.formats import WRITERS, write
from trapline.formats.writers.workbook import workbook_bytes

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
DAY_0 = datetime(1899, 12, 30)  # of Excel's serial days


def cells(path: Path) -> list[list[str | float | None]]:
    """The one sheet of a workbook (ECMA-376): text as text, numbers as numbers; a formula or link fails."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        strings = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
        texts = ["".join(one.itertext()) for one in strings.iter(f"{SHEET}si")]
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    assert [name for name in names if name.startswith("xl/worksheets/sheet")] == ["xl/worksheets/sheet1.xml"]
    assert not list(sheet.iter(f"{SHEET}f"))
    assert not list(sheet.iter(f"{SHEET}hyperlink"))
    table = []
    for row in sheet.iter(f"{SHEET}row"):
        values: dict[int, str | float] = {}
        for cell in row.iter(f"{SHEET}c"):
            value = cell.find(f"{SHEET}v")
            if value is not None and value.text is not None:
                column = ord(cell.attrib["r"][0]) - ord("A")
                is_text = cell.attrib.get("t") == "s"
                values[column] = texts[int(value.text)] if is_text else float(value.text)
        table.append([values.get(column) for column in range(max(values) + 1)])
    return table


def test_a_summary_called_xlsx_is_a_workbook_with_what_the_csv_has(scene: Any, tmp_path: Path) -> None:
    made = scene()
    reports = [
        write(
            made.predictions, made.catalog, tmp_path / f"s{ending}", format="summary", taxonomy=made.taxonomy
        )
        for ending in (".csv", ".xlsx")
    ]
    assert reports[0].rows == reports[1].rows
    header, *rows = cells(tmp_path / "s.xlsx")
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    assert header == list(expected[0])
    assert len(rows) == len(expected)
    for row, texts in zip(rows, expected, strict=True):
        for name, cell in zip(texts, [*row, *[None] * (len(texts) - len(row))], strict=True):
            if name in ("first", "last") and isinstance(cell, float):
                moment = DAY_0 + timedelta(seconds=round(cell * 86400))
                assert texts[name] == moment.isoformat(" ")
            elif name in ("media", "independent_events", "media_without_time"):
                assert isinstance(cell, float)
                assert int(texts[name]) == cell
            elif name == "mean_probability":
                assert (cell is None or cell == "") if not texts[name] else float(texts[name]) == cell
            else:
                assert (cell or "") == texts[name]


@settings(max_examples=25, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=30)
    | st.sampled_from(
        ["=1+1", "{=1}", "http://x.org/a", "internal:S!A1", "0012", "1e5", "@x", " a ", "+1", "_x0041_"]
    )
)
def test_text_is_text_in_a_workbook(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("book") / "t.xlsx"
    path.write_bytes(workbook_bytes(pl.DataFrame({"name": [text], "n": [1]}), "t"))
    (_, (name, number)) = cells(path)
    if text == "_x0041_":  # Excel's way of writing a character by its number is itself written by it
        text = "_x005F_x0041_"
    assert (name, number) == (text, 1.0)


@pytest.mark.parametrize("name", sorted(name for name, one in WRITERS.items() if one.into == "file"))
@pytest.mark.parametrize("ending", [".xlsx", ".xls", ".ods", ".txt", ""])
def test_no_file_is_called_what_it_is_not(name: str, ending: str, scene: Any, tmp_path: Path) -> None:
    if ending in WRITERS[name].endings:
        pytest.skip("that is what it is")
    made = scene()
    with pytest.raises(UsageError, match=rf"{name} is written as \.\w+.*not as 'out{ending}'"):
        write(made.predictions, made.catalog, tmp_path / f"out{ending}", format=name)
    assert not (tmp_path / f"out{ending}").exists()
