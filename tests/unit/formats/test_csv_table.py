"""The table reader: usual names, mapped names, several labels, times, and every complaint with its line."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.catalog import ByLocation, Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import read
from trapline.tables import MISSING, Reading, open_reading, read_table


def table(folder: Path, text: str, **options: object) -> Catalog:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read(path, **options)


def test_zambas_csv_reads_as_it_is(tmp_path: Path) -> None:
    catalog = table(
        tmp_path,
        "filepath,label,split,site\na/1.jpg,duiker,train,s1\na/1.jpg,hog,train,s1\nb.jpg,,holdout,s2\nc.jpg,Blank,val,s2\n",
    )
    assert catalog.table["labels"].to_list() == [["duiker", "hog"], None, ["blank"]]
    assert catalog.table["split"].to_list() == ["train", "test", "validation"]
    assert catalog.table["location_id"].to_list() == ["s1", "s2", "s2"]
    assert catalog.table["media_id"].to_list() == ["a/1.jpg", "b.jpg", "c.jpg"]
    assert catalog.facts.blank_from == {"Blank": 1}
    assert catalog.root == tmp_path


def test_labels_that_differ_in_case_or_spaces_only_are_named_and_stay_apart(tmp_path: Path) -> None:
    catalog = table(
        tmp_path, "path,label\na.jpg,Red fox\nb.jpg,red_fox\nc.jpg,BLANK\nd.jpg,blank\ne.jpg,hare\n"
    )
    assert catalog.labels == ["Red fox", "blank", "hare", "red_fox"]
    (note,) = [note for note in catalog.facts.notes if note.startswith("labels that differ")]
    assert note.endswith("stay different labels: 'Red fox' and 'red_fox'")
    assert not any("differ" in note for note in table(tmp_path, "path,label\na.jpg,fox\n").facts.notes)


def test_mapped_columns_win_and_the_others_are_kept(tmp_path: Path) -> None:
    catalog = table(
        tmp_path,
        "\ufeffID;Bild;Art;species;Zeit;n\r\n7;x\\y.jpg;Fuchs | Hase;unused;03.05.2020 21:04;2\r\n",
        columns={"path": "Bild", "label": "Art", "time": "Zeit"},
        label_separator="|",
        time_format="%d.%m.%Y %H:%M",
    )
    row = catalog.table.row(0, named=True)
    assert (row["media_id"], row["file_path"], row["labels"]) == ("7", "x/y.jpg", ["Fuchs", "Hase"])
    assert row["camera_time"] == datetime(2020, 5, 3, 21, 4)
    assert row["timestamp"] is None
    assert (row["species"], row["n"]) == ("unused", "2")


def test_a_column_mapped_to_nothing_is_left_alone(tmp_path: Path) -> None:
    text = "path,label,id\na.jpg,fox,1\nb.jpg,fox,1\n"
    with pytest.raises(DataError, match=r"more than once: labels.csv line 2 .*; labels.csv line 3"):
        table(tmp_path, text)
    catalog = table(tmp_path, text, columns={"id": ""})
    assert catalog.table["media_id"].to_list() == ["a.jpg", "b.jpg"]
    assert catalog.table["id"].to_list() == ["1", "1"]


def test_free_columns_of_several_rows_are_put_together(tmp_path: Path) -> None:
    catalog = table(tmp_path, "path,label,count\na.jpg,fox,1\na.jpg,hare,2\na.jpg,fox,2\nb.jpg,,\n")
    assert catalog.table["labels"].to_list() == [["fox", "hare"], None]
    assert catalog.table["count"].to_list() == ["1; 2", None]


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        ("name,label\na.jpg,fox\n", {}, r"line 1: no column holds the path.*it has: name, label"),
        ("path,label\n,fox\n", {}, "labels.csv line 2 has no path"),
        ("path,label\na.jpg,fox\n\nb.jpg,hare,3\n", {}, "labels.csv line 4 has 3 cells"),
        ("path,label\na.jpg\n", {}, "labels.csv line 2 has 1 cell"),
        ("path,label,label\na.jpg,fox,fox\n", {}, "more than once: label"),
        ("path,,column_2\na.jpg,fox,fox\n", {}, "more than once: column_2"),
        ("", {}, "is empty"),
        ("path,label\n", {}, "No media were found"),
        ("path,label\na.jpg,fox\n", {"columns": {"label": "speceis"}}, "no column 'speceis'"),
        ("path,species\na.jpg,fox\n", {"columns": {"label": "speceis"}}, "Did you mean 'species'"),
        ("path,split\na.jpg,later\n", {}, "labels.csv line 2 has the part 'later'"),
        ("path,frame\na.jpg,two\n", {}, "labels.csv line 2 has the frame 'two'"),
        ("path,label,site\na.jpg,fox,A\na.jpg,hare,B\n", {}, "line 2: 'A'; labels.csv line 3: 'B'"),
        ("path,label\na.jpg,fox\na.jpg,empty\n", {}, "labels.csv line 2.*'blank' beside|'blank' beside"),
        (
            "path,label\n../a.jpg,fox\n",
            {},
            "labels.csv line 2 has a file_path that is not relative to the root",
        ),
        (
            "path,label\n/else/a.jpg,fox\n",
            {},
            "are not below .* with --root FOLDER",
        ),
        ("path,time\na.jpg,gestern\n", {}, r"'gestern' \(labels.csv line 2\)"),
        ("path,boxes\na.jpg,1\n", {}, "column 'boxes' is called like"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(
    tmp_path: Path, text: str, options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        table(tmp_path, text, strict=True, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"columns": {"colour": "label"}},
        {"columns": {"label": "label", "location": "label"}},
        {"part": "train"},
        {"format": "card"},
        {"timezone": "Mars/Olympus"},
        {"time_format": "%H:%M %z"},
        {"encoding": "klingon"},
    ],
)
def test_a_senseless_option_is_a_usage_error(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        table(tmp_path, "path,label,time\na.jpg,fox,2020-01-01 10:00:00\n", **options)


def test_lines_are_those_of_the_file_also_after_a_cell_of_two_lines(tmp_path: Path) -> None:
    text = 'path,note\na.jpg,"two\nlines"\n\n,x\n'
    with pytest.raises(DataError, match=r"labels\.csv line 5 has no path"):
        table(tmp_path, text, strict=True)
    rejected = table(tmp_path, text).facts.rejected
    assert rejected is not None
    assert [(row.where, row.reason) for row in rejected.rows] == [("labels.csv line 5", "has no path")]


def test_an_encoding_is_a_named_guess_or_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("path,label\na.jpg,Rötelmaus\n".encode("cp1252"))
    guessed = read(path)
    assert guessed.labels == ["Rötelmaus"]
    assert any("a guess: line 2 says 'a.jpg,Rötelmaus'" in note for note in guessed.facts.notes)
    asked = read(path, encoding="cp1252")
    assert asked.labels == ["Rötelmaus"]
    assert not any("guess" in note for note in asked.facts.notes)
    path.write_bytes("path,label\na.jpg,Rötelmaus\n".encode("cp850"))
    with pytest.raises(DataError, match=r"line 2 is not utf-8.*--encoding"):
        read(path)
    assert read(path, encoding="cp850").labels == ["Rötelmaus"]


def test_times_keep_the_wall_clock_and_know_the_instant_only_where_it_is_written(tmp_path: Path) -> None:
    catalog = table(
        tmp_path,
        "path,datetime\na.jpg,2020-03-29T02:30:00+02:00\nb.jpg,2020:03:29 02:30:00.5\n"
        "c.jpg,2020-03-29 04:00\n"
        "d.jpg,2020-13-29 04:00\ne.jpg,\nf.jpg,2020-03-29\ng.jpg,2020-03-29 04:00:00Z\n",
    )
    local = [
        datetime(2020, 3, 29, 2, 30),
        datetime(2020, 3, 29, 2, 30, 0, 500000),
        datetime(2020, 3, 29, 4, 0),
    ]
    assert catalog.table["camera_time"].to_list() == [*local, None, None, None, local[2]]
    assert catalog.table["timestamp"].drop_nulls().to_list() == [
        datetime(2020, 3, 29, 0, 30, tzinfo=UTC),
        datetime(2020, 3, 29, 4, tzinfo=UTC),
    ]
    assert catalog.table["timestamp_source"].to_list() == ["metadata"] * 3 + ["none"] * 3 + ["metadata"]
    assert any(
        "1 time cannot be read" in note and "labels.csv line 5" in note for note in catalog.facts.notes
    )
    assert any("1 are dates without a time of day" in note for note in catalog.facts.notes)
    assert catalog.table["camera_date"].to_list() == [*[None] * 5, date(2020, 3, 29), None]


def test_daylight_saving_makes_no_instant_where_there_is_none_or_two(tmp_path: Path) -> None:
    catalog = table(
        tmp_path,
        "path,time\na.jpg,2021-03-28 02:30:00\nb.jpg,2021-10-31 02:30:00\nc.jpg,2021-07-01 12:00:00\n",
        timezone="Europe/Paris",
    )
    assert catalog.table["timestamp"].to_list() == [None, None, datetime(2021, 7, 1, 10, tzinfo=UTC)]
    assert catalog.table["camera_time"].null_count() == 0
    assert any(note.startswith("2 times are skipped or repeated") for note in catalog.facts.notes)


def test_absolute_paths_below_the_root_become_relative(tmp_path: Path) -> None:
    catalog = table(tmp_path, f"path\n{tmp_path.as_posix()}/in/a.jpg\n./b.jpg\n")
    assert catalog.table["file_path"].to_list() == ["in/a.jpg", "b.jpg"]


_cells = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cs", "Zl", "Zp")), max_size=8
)


@given(st.lists(st.tuples(_cells, _cells), min_size=1, max_size=20))
@settings(deadline=None, max_examples=80)
def test_every_cell_of_a_csv_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["n", "a", "b"])
        writer.writerows((n, *row) for n, row in enumerate(rows))
    with open_reading(Reading(not_missing=MISSING, strict=True)):
        read_back = read_table(path)
    assert read_back["n"].to_list() == [str(n) for n in range(len(rows))]

    def expected(cell: str) -> str | None:
        return cell.strip() or None

    said = [(expected(a), expected(b)) for a, b in rows]
    got = [
        tuple(None if c is None else c.strip() or None for c in row)
        for row in read_back.select("a", "b").rows()
    ]
    assert got == said


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a.jpg", "b.jpg", "c.jpg", "d.jpg"]),
            st.sampled_from(["", "fox", "hare", "deer"]),
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(deadline=None, max_examples=60)
def test_no_label_is_lost_and_none_is_made(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    catalog = table(folder, "path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    said = {path: {label for other, label in rows if other == path and label} for path, _ in rows}
    got = {path: set(labels or []) for path, labels in catalog.table.select("file_path", "labels").rows()}
    assert got == said
    assert catalog.table["file_path"].to_list() == list(dict.fromkeys(path for path, _ in rows))


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_read(tmp_path: Path) -> None:
    lines = [
        f"c{n % 90}/{n}.jpg,l{n % 8},s{n % 90},2020-01-{n % 28 + 1:02} 10:00:00\n" for n in range(100_000)
    ]
    catalog = table(tmp_path, "path,label,site,datetime\n" + "".join(lines))
    assert len(catalog) == 100_000
    assert catalog.table["location_id"].n_unique() == 90


def test_event_ids_that_count_anew_at_each_camera_are_told_apart(tmp_path: Path) -> None:
    rows = [f"{place}-{photo}.jpg,fox,L{place},{photo // 2 + 1}" for place in range(6) for photo in range(4)]
    rows += ["lone.jpg,fox,L0,only", "nowhere.jpg,fox,,1"]
    catalog = table(tmp_path, "\n".join(["path,label,location,event", *rows]))
    events = catalog.table["event_id"].to_list()
    assert events[:4] == ["L0/1", "L0/1", "L0/2", "L0/2"]
    assert events[-2:] == ["only", "1"]
    assert catalog.table["event_id"].n_unique() == 14
    said = "2 event ids occur at several locations, so they count anew at each: 12 events"
    assert any(note.startswith(said) for note in catalog.facts.notes)
    placed = catalog.filter(pl.col("location_id").is_not_null())
    assert not ByLocation().apply(placed, check_files=False).facts.split.leaks.events
