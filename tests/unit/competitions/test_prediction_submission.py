"""Submission files: joined by id, checked, and nothing filled in silently."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.competitions import check_submission, read_format, write_submission
from trapline.errors import DataError, UsageError
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED, Task

LABELS = ("hare", "lynx")


def table(
    rows: dict[str, Sequence[float] | None], labels: Sequence[str] = LABELS, task: Task = "single-label"
) -> Predictions:
    fixed = {
        "media_id": list(rows),
        "file_path": [f"{name}.jpg" for name in rows],
        "status": ["failed" if values is None else "ok" for values in rows.values()],
        "reason": ["the file is empty" if values is None else None for values in rows.values()],
    }
    columns = {name: fixed.get(name, [None] * len(rows)) for name in FIXED}
    numbers = {
        label: [None if values is None else values[place] for values in rows.values()]
        for place, label in enumerate(labels)
    }
    types = FIXED | dict.fromkeys(labels, pl.Float32())
    return Predictions(
        pl.DataFrame(columns | numbers, schema=types), tuple(labels), "media", "fingerprint", task
    )


def format_file(folder: Path, text: str = "id,lynx,hare\nb,0.5,0.5\na,0.5,0.5\n") -> Path:
    path = folder / "submission_format.csv"
    path.write_text(text)
    return path


def test_rows_columns_and_order_are_the_formats(tmp_path: Path) -> None:
    predictions = table({"a": (0.25, 0.75), "extra": (0.5, 0.5), "b": (1.0, 0.0)})
    written = write_submission(predictions, format_file(tmp_path), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "id,lynx,hare\nb,0.0,1.0\na,0.75,0.25\n"
    assert (written.rows, written.filled, written.absent_labels, written.unused) == (2, (), (), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "submission_format.csv"]


def test_failed_and_missing_media_are_an_error_unless_filling_is_asked_for(tmp_path: Path) -> None:
    wanted = format_file(tmp_path, "id,lynx,hare\na,0.5,0.5\nb,0.5,0.5\nc,0.5,0.5\nd,0.5,0.5\n")
    predictions = table({"a": (0.2, 0.8), "b": None, "d": (0.4, 0.6)})
    with pytest.raises(DataError, match=r"2 of the 4 ids.*b \(failed: the file is empty\), c\..*--fill"):
        write_submission(predictions, wanted, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()
    written = write_submission(predictions, wanted, tmp_path / "s.csv", fill="uniform")
    assert written.filled == ("b", "c")
    assert pl.read_csv(tmp_path / "s.csv").row(1) == ("b", 0.5, 0.5)
    write_submission(predictions, wanted, tmp_path / "s.csv", fill="prior")
    assert pl.read_csv(tmp_path / "s.csv").row(2)[1:] == pytest.approx((0.7, 0.3))


def test_ids_that_never_match_are_shown_side_by_side(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"look like 'x/a\.jpg', the format's like 'b'"):
        write_submission(table({"x/a.jpg": (0.5, 0.5)}), format_file(tmp_path), tmp_path / "s.csv")


@pytest.mark.parametrize("word", ["empty", "Empty", "Blank"])
def test_blank_goes_by_the_formats_word_for_it(tmp_path: Path, word: str) -> None:
    rows = {"a": (0.25, 0.75), "b": (1.0, 0.0)}
    wanted = format_file(tmp_path, f"id,{word},hare\na,0,0\nb,0,0\n")
    write_submission(table(rows, ("hare", "blank"), "multi-label"), wanted, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == f"id,{word},hare\na,0.75,0.25\nb,0.0,1.0\n"


def test_labels_must_fit(tmp_path: Path) -> None:
    rows = {"a": (0.25, 0.75), "b": (1.0, 0.0)}
    with pytest.raises(DataError, match="does not want: fox"):
        write_submission(table(rows, ("hare", "fox")), format_file(tmp_path), tmp_path / "s.csv")
    wanted = format_file(tmp_path, "id,lynx,other,hare\na,0,0,1\nb,0,0,1\n")
    with pytest.raises(DataError, match=r"does not know: other.*--absent"):
        write_submission(table(rows), wanted, tmp_path / "s.csv")
    written = write_submission(table(rows), wanted, tmp_path / "s.csv", absent=0.1)
    assert written.absent_labels == ("other",)
    assert pl.read_csv(tmp_path / "s.csv").row(0)[1:] == pytest.approx((0.675, 0.1, 0.225))
    with pytest.raises(UsageError, match="--absent"):
        write_submission(table(rows), wanted, tmp_path / "s.csv", absent=1.0)


def test_clipping_keeps_rows_that_sum_to_one(tmp_path: Path) -> None:
    predictions = table({"a": (1.0, 0.0), "b": (0.5, 0.5)})
    write_submission(predictions, format_file(tmp_path), tmp_path / "s.csv", clip=0.01)
    lynx, hare = pl.read_csv(tmp_path / "s.csv").row(1)[1:]
    assert lynx == pytest.approx(0.01)
    assert lynx + hare == pytest.approx(1)
    with pytest.raises(UsageError, match="--clip"):
        write_submission(predictions, format_file(tmp_path), tmp_path / "s.csv", clip=0.5)


def test_events_are_joined_by_event(tmp_path: Path) -> None:
    media = table({"x": (0.25, 0.75), "y": (1.0, 0.0)}, task="multi-label")
    rows = media.table.with_columns(event_id=pl.Series(["a", "b"]), media_id=pl.lit(None, pl.String))
    events = Predictions(rows, LABELS, "event", "fingerprint", "multi-label")
    write_submission(events, format_file(tmp_path, "seq_id,hare,lynx\nb,0,0\na,0,0\n"), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "seq_id,hare,lynx\nb,1.0,0.0\na,0.25,0.75\n"
    alone = rows.with_columns(event_id=pl.lit(None, pl.String), media_id=pl.Series(["m1", "m2"]))
    with_strays = replace(events, table=pl.concat([rows, alone]))  # media without an event are not asked for
    written = write_submission(
        with_strays, format_file(tmp_path, "seq_id,hare,lynx\nb,0,0\na,0,0\n"), tmp_path / "t.csv"
    )
    assert written.unused == 2
    assert (tmp_path / "t.csv").read_text() == (tmp_path / "s.csv").read_text()


def test_doubled_predictions_are_refused(tmp_path: Path) -> None:
    predictions = table({"a": (0.5, 0.5), "b": (0.5, 0.5)})
    doubled = Predictions(
        pl.concat([predictions.table, predictions.table[:1]]), LABELS, "media", "f", "single-label"
    )
    with pytest.raises(DataError, match="more than once: a"):
        write_submission(doubled, format_file(tmp_path), tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,lynx,hare\nb,0.5,0.5\n", "1 id is missing: a"),
        ("id,lynx,hare\nb,0.5,0.5\na,0.5,0.5\nc,0.5,0.5\n", "not in the format: c"),
        ("id,lynx,hare\nb,0.5,0.5\na,0.5,0.5\na,0.5,0.5\n", "more than once: a"),
        ("id,lynx,hare\na,0.5,0.5\nb,0.5,0.5\n", "another order from line 2"),
        ("id,hare,lynx\nb,0.5,0.5\na,0.5,0.5\n", "must be id, lynx, hare"),
        ("id,lynx,fox\nb,0.5,0.5\na,0.5,0.5\n", "Missing columns: hare"),
        ("id,lynx,fox\nb,0.5,0.5\na,0.5,0.5\n", "Unwanted columns: fox"),
        ("b,0.5,0.5\na,0.5,0.5\n", "header is lost"),
        ("id,lynx,hare\nb,NaN,0.5\na,0.5,0.5\n", "1 row has NaN or infinity: line 2"),
        ("id,lynx,hare\nb,0.5,0.5\na,,0.5\n", "no number: line 3"),
        ("id,lynx,hare\nb,0_0,1.0\na,0.5,0.5\n", "no number: line 2"),
        ("id,lynx,hare\nb,0.5,0.5\n\na,0.5,0.5\n", "1 row is empty: line 3"),
        ("id,lynx,hare\nb,-0.5,1.5\na,0.5,0.5\n", "outside 0 to 1: line 2"),
        ("id,lynx,hare\nb,0.5,0.4\na,0.5,0.5\n", "does not sum to 1: line 2"),
        ("id,lynx,hare\nb,0.5\na,0.5,0.5\n", "does not have 3 fields: line 2"),
    ],
)
def test_the_check_names_each_fault(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    found = check_submission(tmp_path / "s.csv", format_file(tmp_path))
    assert any(problem in line for line in found), found


@pytest.mark.parametrize(
    ("start", "more"),
    [
        ("id,lynx,hare\nb,0.5,", "1"),  # a line without an end
        ("id,lynx,hare\nb,0.5,", "0.5,"),
        ("id,lynx,hare\nb,0.5,", '"0.5","\n'),  # a record without an end, in short lines
        ("id,lynx,hare\nb,0.5,0.5\n", "\0"),
        ("", "id,"),
    ],
)
def test_a_record_without_end_is_not_read_to_its_end(tmp_path: Path, start: str, more: str) -> None:
    (tmp_path / "s.csv").write_text(start + more * (5 * 2**20 // len(more)))
    tracemalloc.start()
    with pytest.raises(DataError, match="more than 1048576 characters, or no end"):
        check_submission(tmp_path / "s.csv", format_file(tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


def test_no_more_rows_are_read_than_the_format_could_have(tmp_path: Path) -> None:
    rows = "".join(f"x{row},2,nan\n" for row in range(200_000))
    (tmp_path / "s.csv").write_text(f"id,lynx,hare\n{rows}")
    tracemalloc.start()
    first, *_ = check_submission(tmp_path / "s.csv", format_file(tmp_path))
    assert "more than 1004 rows, and the format has 2" in first
    assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    tracemalloc.stop()


def test_names_without_end_are_shown_shortened(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"id,lynx,hare\nb,0.5,0.5\n{'a' * 100_000},0.5,0.5\n")
    found = " ".join(check_submission(tmp_path / "s.csv", format_file(tmp_path)))
    assert "aaa…" in found
    assert len(found) < 500


def test_rows_of_a_multi_label_format_need_not_sum_to_one(tmp_path: Path) -> None:
    wanted = format_file(tmp_path, "id,lynx,hare\nb,0,0\na,0,0\n")
    (tmp_path / "s.csv").write_text("id,lynx,hare\nb,0.9,0.9\na,0.1,0.0\n")
    assert read_format(wanted).task == "multi-label"
    assert check_submission(tmp_path / "s.csv", wanted) == []
    assert len(check_submission(tmp_path / "s.csv", wanted, task="single-label")) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("id,a,b\n", "no rows"),
        ("id\nx\n", "id column and one column a label"),
        ("id,a,a\nx,0,0\n", "each once"),
        ("id,a\nx,0\nx,0\n", "more than once: x"),
        ("id,a\nx,0,1\n", "line 2 has 3 fields"),
    ],
)
def test_a_wrong_format_file_is_an_error(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read_format(format_file(tmp_path, text))


def test_missing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no submission format"):
        read_format(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no submission at"):
        check_submission(tmp_path / "none.csv", format_file(tmp_path))


@given(st.permutations(list(range(8))), st.permutations([0, 1, 2]), st.integers(0, 2**32 - 1))
def test_every_id_keeps_its_numbers_in_any_order(order: list[int], columns: list[int], seed: int) -> None:
    import tempfile

    numbers = np.random.default_rng(seed).dirichlet(np.ones(3), 8).astype(np.float32)
    labels = ("a", "b", "c")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        header = ",".join(["id", *(labels[column] for column in columns)])
        lines = [f"m{row},0.4,0.3,0.3" for row in order]
        wanted = format_file(folder, "\n".join([header, *lines]))
        predictions = table({f"m{row}": numbers[row].tolist() for row in range(8)}, labels)
        write_submission(predictions, wanted, folder / "s.csv")
        found = pl.read_csv(folder / "s.csv")
    assert found["id"].to_list() == [f"m{row}" for row in order]
    assert np.allclose(found.select(labels).to_numpy(), numbers[order], atol=1e-6)


@pytest.mark.field
def test_the_real_competitions_submission_passes_and_a_spoiled_one_does_not(
    field: Path, tmp_path: Path
) -> None:
    folder = field / "conser-vision-metadata"
    real = folder / "submission_convnext_tiny_megadetector_ensemble.csv"
    wanted = folder / "submission_format.csv"
    assert read_format(wanted).task == "single-label"
    assert check_submission(real, wanted) == []
    lines = real.read_text().splitlines()
    (tmp_path / "s.csv").write_text("\n".join([*lines[:7], *lines[8:]]))
    assert check_submission(tmp_path / "s.csv", wanted) == [f"1 id is missing: {lines[7].split(',')[0]}."]


@pytest.mark.field
@pytest.mark.parametrize(
    ("folder", "rows", "task"),
    [("caltech-night", 233, "single-label"), ("trailcam-bursts", 90, "multi-label")],
)
def test_real_formats_are_read(field: Path, folder: str, rows: int, task: str) -> None:
    found = read_format(field / folder / "submission_format.csv")
    assert (len(found.ids), found.task) == (rows, task)
