"""The predictions table: what is saved is loaded, and what is no table says so."""

from pathlib import Path

import polars as pl
import pytest

from trapline.errors import DataError, UsageError
from trapline.prediction import PredictionFacts, Predictions
from trapline.prediction.table import BOX_COLUMNS, FIXED


def predictions(**changes: object) -> Predictions:
    rows = {
        "media_id": ["001", 'b,"c"'],
        "event_id": [None, "e"],
        "box": [None, None],
        "file_path": ["001.jpg", "b.jpg"],
        "status": ["ok", "failed"],
        "reason": [None, "two\nlines"],
        "hare": [0.1, None],
        "42": [0.9, None],
    }
    table = pl.DataFrame(rows, schema=FIXED | {"hare": pl.Float32(), "42": pl.Float32()})
    arguments = {
        "table": table,
        "labels": ("hare", "42"),
        "level": "media",
        "model": "f",
        "task": "single-label",
        "facts": PredictionFacts(batch_size=3),
    }
    return Predictions(**(arguments | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_saved_is_loaded(tmp_path: Path, suffix: str) -> None:
    path = predictions().save(tmp_path / "deep" / f"p{suffix}")
    loaded = Predictions.load(path)
    assert loaded.table.equals(predictions().table)
    assert loaded.header() == predictions().header()
    assert loaded.ok["media_id"].to_list() == ["001"]
    assert not list(path.parent.glob("*.partial"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("label", ['the "grey" one', '"', "a,b", " hare ", "=1", "日本", "a;b", "'", "a\\b"])
def test_a_label_may_be_called_anything(tmp_path: Path, suffix: str, label: str) -> None:
    labels = (label, "42")
    named = predictions(labels=labels, table=predictions().table.rename({"hare": label}))
    loaded = Predictions.load(named.save(tmp_path / f"p{suffix}"))
    assert loaded.labels == labels
    assert loaded.table.equals(named.table)


def test_a_csv_whose_first_line_has_no_end_says_so(tmp_path: Path) -> None:
    path = predictions().save(tmp_path / "p.csv")
    path.write_text("a" * 200_000)
    with pytest.raises(DataError, match=r"cannot be read as predictions|need the columns") as refused:
        Predictions.load(path)  # how long a cell may be is a setting of the process
    assert len(str(refused.value)) < 2000


def test_columns_must_be_the_labels_and_no_label_may_hide_a_column() -> None:
    with pytest.raises(DataError, match="need the columns"):
        predictions(labels=("42", "hare"))
    with pytest.raises(DataError, match="named like a column"):
        predictions(labels=("hare", "status"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_boxes_carry_their_box(tmp_path: Path, suffix: str) -> None:
    box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4, "crop": "box"}
    columns = [pl.Series(name, [box[name], None], kind) for name, kind in BOX_COLUMNS.items()]
    status = pl.Series("status", ["ok", "skipped"])
    table = predictions().table.with_columns(*columns, status).select(*FIXED, *BOX_COLUMNS, "hare", "42")
    boxes = predictions(table=table, level="box")
    loaded = Predictions.load(boxes.save(tmp_path / f"p{suffix}"))
    assert loaded.table.equals(boxes.table)
    assert loaded.level == "box"
    assert loaded.failed.height == 0
    assert loaded.without_skipped().table["media_id"].to_list() == ["001"]
    with pytest.raises(DataError, match="need the columns"):
        predictions(level="box")


def test_what_is_no_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no predictions at"):
        Predictions.load(tmp_path / "none.csv")
    path = predictions().save(tmp_path / "p.csv")
    path.with_name("p.csv.json").unlink()
    with pytest.raises(DataError, match="cannot be read as predictions"):
        Predictions.load(path)
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="cannot be read as predictions"):
        Predictions.load(tmp_path / "p.parquet")


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv or \.parquet.*folder"):
        predictions().save(tmp_path / "p.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        predictions().save(tmp_path / "file" / "p.csv")


@pytest.mark.parametrize("content", ['{"my": "notes"}', "not JSON at all", "", "[1]"])
def test_a_file_beside_a_csv_that_is_not_ours_stays(content: str, tmp_path: Path) -> None:
    beside = tmp_path / "p.csv.json"
    beside.write_text(content)
    with pytest.raises(
        UsageError, match=r"p\.csv\.json exists and was not written by Trapline.*even with --force"
    ):
        predictions().save(tmp_path / "p.csv")
    assert beside.read_text() == content
    assert list(tmp_path.iterdir()) == [beside]
    predictions().save(tmp_path / "p.parquet")  # which has nothing beside it
    beside.unlink()
    predictions().save(tmp_path / "p.csv")
    predictions().save(tmp_path / "p.csv")


def test_a_folder_or_a_link_beside_a_csv_stays(tmp_path: Path) -> None:
    (tmp_path / "p.csv.json").mkdir()
    (tmp_path / "q.csv.json").symlink_to(tmp_path / "elsewhere.json")
    for name in ("p.csv", "q.csv"):
        with pytest.raises(UsageError, match="not written by Trapline"):
            predictions().save(tmp_path / name)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (["a,,,a.jpg,ok,,0.9,0.1", "a,,,a.jpg,ok,,0.9,0.1"], "a has a row more than once"),
        (["a,,,a.jpg,ok,,1,0.5"], "do not add up to 1"),
        (["a,,,a.jpg,ok,,9000,1"], "missing or not from 0 to 1"),
        (["a,,,a.jpg,ok,,,"], "missing or not from 0 to 1"),
        (["a,,,a.jpg,OK,,0.9,0.1"], "a status that is none of ok, failed"),
        (["a,,,a.jpg,,,0.9,0.1"], "a status that is none of"),
        ([",,,a.jpg,ok,,0.9,0.1"], "a.jpg has no media_id"),
    ],
)
def test_a_csv_that_was_edited_into_what_no_run_leaves_is_refused(
    rows: list[str], why: str, tmp_path: Path
) -> None:
    path = predictions().save(tmp_path / "p.csv")
    header = path.read_text().splitlines()[0]
    path.write_text("\n".join([header, "b,,,b.jpg,failed,gone,,", *rows]) + "\n")
    with pytest.raises(DataError, match=why):
        Predictions.load(path)


def test_a_column_of_notes_in_a_csv_is_left_alone(tmp_path: Path) -> None:
    path = predictions().save(tmp_path / "p.csv")
    path.write_text("media_id,event_id,box,file_path,status,reason,hare,42,note\na,,,a,ok,,0.9,0.1,seen\n")
    assert Predictions.load(path).table.row(0)[-2:] == pytest.approx((0.9, 0.1))
