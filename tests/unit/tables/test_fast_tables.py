"""Large tables are read on another way, and come out the same."""

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.errors import DataError
from trapline.tables import Reading, open_reading, read_number_table, read_table, with_lines

_CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "a", "ä", "NA", "nan", "NULL", " NA ", "1", "0", "x y", "a.jpg", "é\u2028", "1,5"]
    ),
    st.text(st.sampled_from('ab",;\n\r\t |'), max_size=4),
)


def both(path: Path) -> tuple[list[object], list[object]]:
    """Rows, notes and rejected rows, or the error, of the one way and of the other."""
    answers: list[list[object]] = []
    for way in ("fast", "whole"):
        with open_reading(Reading()) as reading:
            try:
                comment = None if way == "fast" else "#"  # in no row, and read record by record because of it
                table = with_lines(read_table(path, comment=comment))
                names = sorted(table.columns)
                answers.append([names, table.select(names).rows(), reading.notes, reading.rejected])
            except DataError as error:
                answers.append([str(error)])
    return answers[0], answers[1]


@given(
    rows=st.lists(st.lists(_CELLS, min_size=0, max_size=4), max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    raw=st.booleans(),
)
@settings(deadline=None, max_examples=300)
def test_both_ways_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str, quoting: int, raw: bool
) -> None:
    path = tmp_path_factory.mktemp("both") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        if raw:
            file.write(end.join(["p,q,r", *(",".join(row) for row in rows)]) + end)
        else:
            writer = csv.writer(file, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
            writer.writerows([["p", "q", "r"], *rows])
    fast, whole = both(path)
    assert fast == whole


@given(st.lists(st.tuples(_CELLS, st.sampled_from(["0", "1", "0.5", "", "NA", "x"])), min_size=1, max_size=6))
@settings(deadline=None, max_examples=100)
def test_numbers_are_read_quickly_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("numbers") / "t.csv"
    path.write_text(
        "id,n\n" + "".join(f"{cell},{number}\n" for cell, number in rows), encoding="utf-8", newline=""
    )
    with open_reading(Reading()):
        fast = read_number_table(path, ("id",))
        if fast is not None:
            whole = read_table(path)
            assert fast["id"].to_list() == whole["id"].to_list()
            assert fast["n"].to_list() == whole["n"].cast(pl.Float64).to_list()


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("p,q,r\n1,2,3\n1,2,3,4\n4,5,6\n", ["t.csv line 3"]),
        ("p,q,r\n1,2,x\n1\n4,5,y\n", []),
        ('p,q,r\n1,2,3\n"1,2\n4,5,6\n', ["t.csv line 3"]),
    ],
)
def test_a_bad_row_costs_the_quick_way_and_nothing_else(
    text: str, rejected: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    fast, whole = both(path)
    assert fast == whole
    assert [row.where for row in fast[3]] == rejected  # type: ignore[attr-defined]
