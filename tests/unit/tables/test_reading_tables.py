"""Other people's tables: however they are written they are read the same, and that is noted."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from trapline.errors import DataError, UsageError
from trapline.tables import (
    MISSING,
    Reading,
    open_reading,
    read_flat_table,
    read_header,
    read_numbers,
    read_table,
    split_cells,
)

PLAIN = "filepath,label,count\na.jpg,fox,1\nhöhle/b.jpg,hare,22\nc.jpg,deer,3\n"
ROWS = [("a.jpg", "fox", "1"), ("höhle/b.jpg", "hare", "22"), ("c.jpg", "deer", "3")]


def read(path: Path, content: str | bytes, **how: object) -> tuple[pl.DataFrame, Reading]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with open_reading(Reading(**how)) as reading:  # type: ignore[arg-type]
        return read_table(path), reading


def quoted(text: str, sign: str = '"') -> str:
    cells = [[f"{sign}{cell}{sign}" for cell in line.split(",")] for line in text.splitlines()]
    return "\n".join(",".join(line) for line in cells) + "\n"


def each_line(text: str, change: str) -> str:
    return "".join(change.format(line=line, n=n) + "\n" for n, line in enumerate(text.splitlines()))


WAYS: dict[str, str | bytes] = {
    "plain": PLAIN,
    "a byte order mark": PLAIN.encode("utf-8-sig"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "Windows' line ends": PLAIN.replace("\n", "\r\n"),
    "old Macs' line ends": PLAIN.replace("\n", "\r"),
    "blank lines": "\n\n" + PLAIN.replace("\n", "\n\n"),
    "blank cells in place of lines": PLAIN + ",,\n ,, \n",
    "all in quotes": quoted(PLAIN),
    "all in apostrophes": quoted(PLAIN, "'"),
    "spaces around": PLAIN.replace(",", " , "),
    "no end of the last line": PLAIN.rstrip(),
    "sep=;": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "SEP=| in quotes": '"SEP=|"\n' + PLAIN.replace(",", "|"),
    "sep=tab": "sep=\t\n" + PLAIN.replace(",", "\t"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, little end, no mark": PLAIN.encode("utf-16-le"),
    "UTF-16, big end, no mark": PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "cp1252": PLAIN.encode("cp1252"),
    "gzip": gzip.compress(PLAIN.encode()),
    "gzip in two parts": gzip.compress(PLAIN[:20].encode()) + gzip.compress(PLAIN[20:].encode()),
    "separators at the ends": each_line(PLAIN, "{line},,"),
    "separators at the ends of rows only": PLAIN.replace("\n", ",\n").replace("count,\n", "count\n"),
    "R's row names": "".join(f'"{n or ""}",{line}\n' for n, line in enumerate(quoted(PLAIN).splitlines())),
    "R's row names of a part": each_line(PLAIN, "{n}7,{line}").replace("07,", ",", 1),
    "R's row names without a header": PLAIN.splitlines()[0]
    + "\n"
    + "".join(f"{n},{line}\n" for n, line in enumerate(PLAIN.splitlines()) if n),
    "R's write.table": "".join(
        (f'"{n}" ' if n else "") + line.replace(",", " ") + "\n"
        for n, line in enumerate(quoted(PLAIN).splitlines())
    ),
    "R's write.table without row names": quoted(PLAIN).replace(",", " "),
    "R's write.table without quotes": PLAIN.replace(",", " "),
    "R's write.table with commas": "".join(
        (f'"{n}",' if n else "") + line + "\n" for n, line in enumerate(quoted(PLAIN).splitlines())
    ),
    "a comment above": "# exported by a tool\n" + PLAIN,
    "comments above": "# a tool\n#\n# 2024-05-01, version 1, of all\n\n" + PLAIN,
    "a comment as wide as the table": "# a tool, 2024, of all\n" + PLAIN,
    "a comment above R's table": "# of R\n" + quoted(PLAIN).replace(",", " "),
    "a title above": "Photos of 2024\n\n" + PLAIN,
    "titles above, as spreadsheets write them": "Photos of 2024,,\n,,\n" + PLAIN,
    "a title with commas above semicolons": "Photos, by A, B and C\n" + PLAIN.replace(",", ";"),
    "words and values above": "Project:,Höhle\nExported:,2024-05-01\n" + PLAIN,
    "groups above names": "Image,,Annotation\n" + PLAIN,
    "pandas' row names": "".join(
        f"{n - 1 if n else 'Unnamed: 0'},{line}\n" for n, line in enumerate(PLAIN.splitlines())
    ),
    "pandas' row names twice": "".join(
        f"{n - 1 if n else ''},{n + 4 if n else 'Unnamed: 0'},{line}\n"
        for n, line in enumerate(PLAIN.splitlines())
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_table_is_the_same_however_it_is_written(way: str, tmp_path: Path) -> None:
    table, reading = read(tmp_path / "t.csv", WAYS[way])
    assert table.select("filepath", "label", "count").rows() == ROWS
    assert table.columns == ["filepath", "label", "count", "_place"]
    assert not reading.rejected_count


@pytest.mark.parametrize("way", WAYS)
def test_the_header_alone_says_the_same_names(way: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    content = WAYS[way]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert [name for name in read_header(path) if name and "Unnamed" not in name] == [
        "filepath",
        "label",
        "count",
    ]


@pytest.mark.parametrize(
    ("above", "says"),
    [
        ("Photos of 2024\n", "line 1, 'Photos of 2024'"),
        ("\n# a\n# b\n\n", "line 2, '# a', and 1 more"),
        ("Photos of 2024,,\n", "line 1, 'Photos of 2024,,'"),
    ],
)
def test_what_stands_above_the_header_is_told_of(above: str, says: str, tmp_path: Path) -> None:
    table, reading = read(tmp_path / "t.csv", above + PLAIN)
    assert any(note.endswith(f"no row and left out: {says}") for note in reading.notes)
    assert table["_place"][0] == f"t.csv line {above.count(chr(10)) + 2}"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("#file,species\na.jpg,fox\nb.jpg,hare\n", ["#file", "species"]),
        ("#file,species,count\nsome,fox,many\na.jpg,fox,2\nb.jpg,fox,2\n", ["#file", "species", "count"]),
        ("# file, species\na.jpg,fox\n", ["# file", "species"]),
        ("file,species\nsome,fox\na.jpg,fox\nb.jpg,hare\n", ["file", "species"]),
        ("site,species,count\nr1,fox,\nr2,hare,1\nr3,hare,2\n", ["site", "species", "count"]),
        (
            '"site","species","n"\n"a","A","fox",NA\n"b","B","hare",1\n"c","B","hare",1\n',
            ["column_1", "site", "species", "n"],
        ),
        ("file name\nIMG 1.jpg\nIMG 2.jpg\n", ["file name"]),
        ("species file\nfox a.jpg\nhare b.jpg\n", ["species file"]),  # of the file "fox a.jpg"?
        ("Where,What\nfile,species\na.jpg,fox\nb.jpg,hare\n", ["Where", "What"]),
    ],
)
def test_a_header_is_not_taken_for_a_title(text: str, names: list[str], tmp_path: Path) -> None:
    table, reading = read(tmp_path / "t.csv", text)
    assert table.columns[:-1] == names
    assert not any("above the header" in note for note in reading.notes)


def test_a_row_with_zeroes_in_it_is_damaged_and_costs_itself(tmp_path: Path) -> None:
    text = "filepath,label\na.jpg,fo\0x\nb.jpg,hare\n" + "\0" * 50
    table, reading = read(tmp_path / "t.csv", text)
    assert table.drop("_place").rows() == [("b.jpg", "hare")]
    assert [row.where for row in reading.rejected] == ["t.csv line 2", "t.csv line 4"]
    assert "NUL bytes" in reading.describe_rejected()[0]
    with pytest.raises(DataError, match="line 1, the header, has NUL"):
        read(tmp_path / "t.csv", "file\0path,label\na.jpg,fox\n")


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01\x02", b"\xff\xd8\xff\xe0", gzip.compress(b"x", mtime=0)[:9], b"PK\x03\x04"]
)
def test_the_header_of_what_is_no_table_is_nothing_to_stumble_over(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    assert len(read_header(tmp_path / "t.csv")) <= 1


@pytest.mark.parametrize(
    ("text", "columns", "note"),
    [
        (",label\na.jpg,fox\nb.jpg,hare\n", ["column_1", "label"], "column 1 has no name"),
        (
            "filepath,,label\na.jpg,9,fox\nb.jpg,9,hare\n",
            ["filepath", "column_2", "label"],
            "column 2 has no",
        ),
        ("filepath,label,\na.jpg,fox,see notes\n", ["filepath", "label", "column_3"], "column 3 has no name"),
    ],
)
def test_a_column_without_a_name_that_holds_something_is_kept(
    text: str, columns: list[str], note: str, tmp_path: Path
) -> None:
    table, reading = read(tmp_path / "t.csv", text)
    assert table.columns[:-1] == columns
    assert any(note in sentence for sentence in reading.notes)


@pytest.mark.parametrize("word", MISSING)
def test_what_stands_for_a_missing_value_is_null_and_counted(word: str, tmp_path: Path) -> None:
    text = f"filepath,label,event\na.jpg,{word},{word}\nb.jpg,fox,{word}\nc.jpg,hare,1\n"
    table, reading = read(tmp_path / "t.csv", text)
    assert table["label"].to_list() == [None, "fox", "hare"]
    assert table["event"].to_list() == [None, None, "1"]
    assert f"t.csv: taken for a missing value: '{word}' in label (1), event (2)" in reading.notes[0]
    kept, silent = read(tmp_path / "t.csv", text, not_missing=[word])
    assert kept["label"].to_list() == [word, "fox", "hare"]
    assert silent.notes == []
    one, _ = read(tmp_path / "t.csv", text, not_missing=[f"label={word}"])
    assert (one["label"].to_list(), one["event"].to_list()) == ([word, "fox", "hare"], [None, None, "1"])


@pytest.mark.parametrize("word", ["na", "none", "nan.jpg", "Nana", "NA NA", "-", "unknown", "0"])
def test_other_words_are_words(word: str, tmp_path: Path) -> None:
    table, reading = read(tmp_path / "t.csv", f"filepath,label\na.jpg,{word}\n")
    assert table["label"].to_list() == [word]
    assert reading.notes == []


def test_words_of_one_cell_may_be_missing_too(tmp_path: Path) -> None:
    with open_reading(Reading()) as reading:
        cells = pl.Series("label", ["fox|NA", "NA|NaN", None, "hare| |deer", "|"])
        words = split_cells(cells, "|", "t.csv").to_list()
    assert words == [["fox"], [], None, ["hare", "deer"], []]
    assert "'NA' in label (2)" in reading.notes[0]


def test_a_word_that_nobody_takes_for_missing_is_a_usage_error() -> None:
    Reading(not_missing=["NA", "country=NULL"]).check_words()
    for word in ("fox", "country=fox", ""):
        with pytest.raises(UsageError, match="never taken for a missing value"):
            Reading(not_missing=[word]).check_words()


@pytest.mark.parametrize("text", ["Fähe", "Dachs – jung", "“fox”", "naïve café", "don’t"])
def test_cp1252_is_a_guess_that_is_named(text: str, tmp_path: Path) -> None:
    table, reading = read(tmp_path / "t.csv", f"filepath,label\na.jpg,{text}\n".encode("cp1252"))
    assert table["label"].to_list() == [text]
    assert f"is a guess: line 2 says 'a.jpg,{text}'" in reading.notes[0]


@pytest.mark.parametrize(
    "content",
    [
        "filepath,label\nHöhle/a.jpg,fox\n".encode("cp850"),
        "filepath,label\na.jpg,Blässhuhn\n".encode("mac_roman"),
        "filepath,label\na.jpg,Fähe\n".encode() + "b.jpg,Fähe\n".encode("cp1252"),
        b"filepath,label\na.jpg,f\x81x\n",
    ],
)
def test_what_may_be_something_else_is_asked_for(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv line \d is not utf-8\. Name its encoding"):
        read(tmp_path / "t.csv", content)


@pytest.mark.parametrize("encoding", ["cp1252", "cp850", "mac_roman", "latin-1", "cp1250"])
def test_an_encoding_that_is_named_is_used(encoding: str, tmp_path: Path) -> None:
    table, _ = read(tmp_path / "t.csv", PLAIN.encode(encoding), encoding=encoding)
    assert table.select("filepath", "label", "count").rows() == ROWS


def test_a_bomb_in_gzip_and_a_workbook_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unpacks to more than 64 MiB"):
        read(tmp_path / "t.csv", gzip.compress(b"a,b\n" + b"1,2\n" * 20_000_000))
    with pytest.raises(DataError, match=r"ends too early|cannot be unpacked"):
        read(tmp_path / "t.csv", gzip.compress(PLAIN.encode())[:-9])
    with pytest.raises(DataError, match="a zip or a workbook"):
        read(tmp_path / "t.csv", b"PK\x03\x04rest")


@pytest.mark.parametrize(
    ("rows", "kept", "rejected"),
    [
        ("b.jpg,fox\n", [("b.jpg", "fox", None)], []),  # shorter: the last cells are empty
        ("b.jpg\n", [("b.jpg", None, None)], []),
        ("second line of a note\n", [], [3]),  # no file as the others of its column
        ("b.jpg,17\n", [], [3]),
        ("b.jpg,fox,2,,\n", [("b.jpg", "fox", "2")], []),
        ("b.jpg,fox, or dog,2\n", [], [3]),
        ("b.jpg,fox,2,extra\nd.jpg,fox,2\n", [("d.jpg", "fox", "2")], [3]),
        ('b.jpg,"fox,2\nd.jpg,fox,2\n', [("d.jpg", "fox", "2")], [3]),
        ('b.jpg,fox,"2\nd.jpg,fox,2\n', [("d.jpg", "fox", "2")], [3]),
        ('b.jpg,"fox,2\nd.jpg,"fox,2\ne.jpg,fox,2\n', [("e.jpg", "fox", "2")], [3, 4]),
        ('"b.jpg,fox,2\nd.jpg,fox,2\n"e.jpg,fox,2\n', [("d.jpg", "fox", "2")], [3, 5]),
    ],
)
def test_a_row_of_another_width_does_not_take_the_others_with_it(
    rows: str, kept: list[tuple[str | None, ...]], rejected: list[int], tmp_path: Path
) -> None:
    text = f"filepath,label,count\na.jpg,fox,1\n{rows}c.jpg,hare,3\n"
    table, reading = read(tmp_path / "t.csv", text)
    assert table.drop("_place").rows() == [("a.jpg", "fox", "1"), *kept, ("c.jpg", "hare", "3")]
    assert [row.where for row in reading.rejected] == [f"t.csv line {line}" for line in rejected]
    assert reading.rejected_count == len(rejected)
    if rejected:
        with pytest.raises(DataError, match=rf"t\.csv line {rejected[0]} has"):
            read(tmp_path / "t.csv", text, strict=True)


def test_where_empty_cells_are_written_a_short_row_lacks_some(tmp_path: Path) -> None:
    text = "filepath,label,count\na.jpg,fox,\nb.jpg,fox\nc.jpg,hare,3\n"
    table, reading = read(tmp_path / "t.csv", text)
    assert table["filepath"].to_list() == ["a.jpg", "c.jpg"]
    assert [row.where for row in reading.rejected] == ["t.csv line 3"]


def test_thousands_of_bad_rows_are_counted_and_the_first_are_listed(tmp_path: Path) -> None:
    rows = "".join(f"{n}.jpg,fox\n{n}.jpg,fox,1\n" for n in range(3000))
    table, reading = read(tmp_path / "t.csv", "filepath,label\n" + rows)
    assert (table.height, reading.rejected_count, len(reading.rejected)) == (3000, 3000, 2000)


def test_quotes_without_end_do_not_take_for_ever(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a quote does not close"):
        read(tmp_path / "t.csv", "filepath,label\n" + '"a.jpg,fox\n' * 30_001)


@pytest.mark.parametrize(
    ("cells", "most", "numbers"),
    [
        (["1,5", "2"], None, [1.5, 2.0]),
        (["0,123", "0,456"], None, [0.123, 0.456]),
        (["50,123", "-4,250"], 90, [50.123, -4.25]),
        (["1,234", "2,345"], None, [None, None]),  # thousands, or decimals?
        (["1.5", "2,5"], None, [1.5, None]),
        (["1,234.5"], None, [None]),
        (["1e-05", ".5", "+3", "-2."], None, [1e-05, 0.5, 3.0, -2.0]),
        (["1,00E-05"], None, [1e-05]),
        (["0,9", "1E-05", "3"], 1, [0.9, 1e-05, 3.0]),
        (["nan", "inf", "1_0", "0x1", "١", None], None, [None] * 6),
    ],
)
def test_commas_are_decimal_where_a_column_can_hold_nothing_else(
    cells: list[str | None], most: float | None, numbers: list[float | None]
) -> None:
    with open_reading(Reading()):
        assert read_numbers(pl.Series("n", cells, pl.String), most=most).to_list() == numbers


@pytest.mark.parametrize("text", ["", "\n\n", ",,\n1,2,3\n", "sep=;\n"])
def test_a_table_without_a_header_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it has no header line"):
        read(tmp_path / "t.csv", text)


def test_commas_in_names_and_cells_do_not_hide_the_separator(tmp_path: Path) -> None:
    table, _ = read(tmp_path / "t.csv", "file;species, sure;x, y, z\na.jpg;fox, red;1\nb.jpg;hare;2\n")
    assert table.columns[:-1] == ["file", "species, sure", "x, y, z"]
    assert table["species, sure"].to_list() == ["fox, red", "hare"]


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    table, _ = read(tmp_path / "t.csv", "id,label\n0012,fox\n1.0,fox\n1e5,fox\n+7,fox\n")
    assert table["id"].to_list() == ["0012", "1.0", "1e5", "+7"]


@pytest.mark.parametrize("flat", [False, True])
def test_a_header_in_the_middle_is_no_row(flat: bool, tmp_path: Path) -> None:
    source = tmp_path / "joined.csv"
    source.write_text("file,species\na.jpg,fox\nfile,species\nb.jpg,species\nfile,hare\n", encoding="utf-8")
    with open_reading(Reading()) as reading:
        table = read_flat_table(source, ["file"]) if flat else read_table(source)
    assert table["species"].to_list() == ["fox", "species", "hare"]
    assert reading.describe_rejected()[0].endswith("joined.csv line 3 is the header once more")
