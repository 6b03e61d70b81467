"""Independent records are camtrapR's, by definition, and merge what they stand for."""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from survey_tables import write

from trapline.ecology import RECORDS, Records, independent_records, read_records, save_records
from trapline.errors import DataError, UsageError

Since = Literal["last record", "last independent record"]
START = datetime(2021, 5, 1)


def records_at(minutes: list[int], labels: list[str] | None = None) -> Records:
    table = pl.DataFrame(
        {
            "location_id": ["A"] * len(minutes),
            "camera_time": [START + timedelta(minutes=one) for one in minutes],
            "label": labels or ["fox"] * len(minutes),
        }
    )
    nothing = [pl.lit(None, kind).alias(name) for name, kind in RECORDS.items() if name not in table.columns]
    return Records(
        table.with_columns(nothing).select(pl.col(name).cast(kind) for name, kind in RECORDS.items())
    )


def kept(records: Records) -> list[int]:
    return [int((moment - START).total_seconds() // 60) for moment in records.table["camera_time"]]


@pytest.mark.parametrize(
    ("since", "expected"), [("last record", [0, 130]), ("last independent record", [0, 60, 130])]
)
def test_what_the_time_is_measured_from(since: Since, expected: list[int]) -> None:
    chosen = independent_records(records_at([0, 40, 60, 70, 130]), 60, since=since)
    assert kept(chosen) == expected
    assert chosen.table["records"].sum() == 5


def test_exactly_so_many_minutes_are_enough_and_one_moment_is_one_record() -> None:
    assert kept(independent_records(records_at([0, 60, 60, 120]), 60)) == [0, 60, 120]
    assert kept(independent_records(records_at([0, 0, 1]), 0)) == [0, 1]
    assert kept(independent_records(records_at([0, 0, 1]), 0, since="last record")) == [0, 1]


@given(
    minutes=st.lists(st.integers(0, 300), min_size=1, max_size=12),
    gap=st.integers(0, 90),
    labels=st.data(),
)
@settings(max_examples=25, deadline=None)
def test_independence_by_its_definition(minutes: list[int], gap: int, labels: st.DataObject) -> None:
    names = labels.draw(st.lists(st.sampled_from("xy"), min_size=len(minutes), max_size=len(minutes)))
    records = records_at(minutes, names)
    for since in ("last record", "last independent record"):
        expected = []
        for label in "xy":
            before: int | None = None
            for moment in sorted({m for m, name in zip(minutes, names, strict=True) if name == label}):
                if before is None or moment - before >= gap:
                    expected.append((label, moment))
                    before = moment
                elif since == "last record":
                    before = moment
        chosen = independent_records(records, gap, since=since)
        assert list(zip(chosen.table["label"], kept(chosen), strict=True)) == expected
        assert chosen.table["records"].sum() == len(minutes)


def test_one_that_stands_for_several_has_their_largest_count_and_all_their_words(tmp_path: Path) -> None:
    text = (
        "Station,Species,DateTime,count,sex\n"
        "A,fox,2021-05-01 06:00,1,male\nA,fox,2021-05-01 06:05,3,female\nA,fox,2021-05-01 06:06,2,\n"
    )
    row = independent_records(read_records(write(tmp_path, "r.csv", text)), 30).table.row(0, named=True)
    assert (row["count"], row["sex"], row["records"]) == (3, "male; female", 3)


def test_cameras_and_individuals_are_told_apart_as_asked(tmp_path: Path) -> None:
    text = (
        "Station,Camera,Species,DateTime,individual\n"
        "A,c1,fox,2021-05-01 06:00,M1\nA,c2,fox,2021-05-01 06:01,M1\nA,c2,fox,2021-05-01 06:02,F1\n"
    )
    records = read_records(write(tmp_path, "r.csv", text))
    assert [
        len(independent_records(records, 30, by=by)) for by in ("location", "deployment", "individual")
    ] == [1, 2, 2]
    with pytest.raises(DataError, match="names no individual"):
        independent_records(records_at([0]), 30, by="individual")
    with pytest.raises(UsageError, match="from 0 on"):
        independent_records(records, -1)


@pytest.mark.field
@pytest.mark.parametrize(
    ("since", "expected"),
    [("last independent record", "expected/records_60min.csv"), ("last record", "recordTableSample.csv")],
)
def test_records_of_the_sample_photos_are_camtraprs(
    since: Since, expected: str, field: Path, tmp_path: Path
) -> None:
    folder = field / "ecology" / "camtrapr"
    records = read_records(folder / "sample_images_species_dir", exclude=["UNID"])
    save_records(independent_records(records, 60, since=since), tmp_path / "records.csv")
    ours, theirs = (
        list(csv.DictReader(path.open())) for path in (tmp_path / "records.csv", folder / expected)
    )
    # which of two photos of one moment stands for it is an accident of the system's order
    columns = [name for name in theirs[0] if name not in ("FileName", "Directory")]
    assert [[row[name] for name in columns] for row in ours] == [
        [row[name] for name in columns] for row in theirs
    ]


@pytest.mark.parametrize("minutes", [-1, float("inf"), float("nan"), 1e16])
def test_minutes_that_are_no_time_are_refused(minutes: float, tmp_path: Path) -> None:
    records = read_records(write(tmp_path, "r.csv", "Station,Species,DateTime\nA,fox,2020-01-01 10:00\n"))
    with pytest.raises(UsageError, match="minutes"):
        independent_records(records, minutes)
