"""Times of day are read of tables without dates, however they are written, and of records with one."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from trapline.ecology import activity, overlap, read_day_times, read_stations
from trapline.ecology.circular import TURN
from trapline.errors import DataError, UsageError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("header", "cell", "unit"),
    [
        ("Zone,Sps,Time", "1,tiger,0.25", None),
        ("Species;Time", "tiger;0,25", None),
        ("species,time", "tiger,06:00", None),
        ("species,time", "tiger,6:00:00 AM", None),
        ("species,hour", "tiger,6.0", None),
        ("species,timeRad", f"tiger,{TURN / 4}", None),
        ("species,time", f"tiger,{TURN / 4}", "radians"),
        ("species,time", "tiger,6", "hours"),
    ],
)
def test_a_quarter_of_the_day_is_read_however_it_is_written(
    tmp_path: Path, header: str, cell: str, unit: str | None
) -> None:
    times = read_day_times(write(tmp_path / "t.csv", f"{header}\n{cell}\n{cell}\n"), time_unit=unit)  # type: ignore[arg-type]
    np.testing.assert_allclose(times.radians("tiger"), [TURN / 4] * 2)
    assert times.locations("tiger") is None


def test_numbers_of_no_unit_that_is_known_are_asked_about(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "species,time\ntiger,13.5\ntiger,2\n")
    with pytest.raises(DataError, match=r"up to 13.5.*--time-unit"):
        read_day_times(table)


def test_a_row_without_a_time_is_left_out_and_told(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "station,species,time\n007,tiger,0.5\n007,tiger,\n007,tiger,0.25\n")
    times = read_day_times(table)
    assert len(times.radians("tiger")) == 2
    assert any("1 row cannot be used" in note and "line 3" in note for note in times.notes)
    known = times.locations("tiger")
    assert known is not None
    assert known.tolist() == ["007", "007"]


def test_columns_of_other_names_are_told(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "wer,wann\ntiger,0.5\ntiger,0.25\n")
    times = read_day_times(table, columns={"species": "wer", "time_of_day": "wann"})
    assert times.labels == ["tiger"]


def test_records_with_dates_are_read_as_records_are(tmp_path: Path) -> None:
    table = write(
        tmp_path / "t.csv",
        "Station,Species,DateTimeOriginal,Time\nA,deer,2021-05-01 06:00:00,06:00:00\n"
        "A,deer,2021-05-01 06:10:00,06:10:00\nB,deer,2021-05-01 18:00:00,18:00:00\n",
    )
    times = read_day_times(table)
    np.testing.assert_allclose(times.radians("deer")[::2], [TURN / 4, 3 * TURN / 4])
    assert times.table["camera_time"][0] == datetime(2021, 5, 1, 6)
    assert len(read_day_times(table, minutes=60).radians("deer")) == 2
    with pytest.raises(UsageError, match="--time-unit"):
        read_day_times(table, time_unit="hours")


def test_what_needs_a_date_is_refused_without_one(tmp_path: Path) -> None:
    rows = "".join(f"tiger,{n / 20}\nboar,{n / 30}\n" for n in range(1, 19))
    table = write(tmp_path / "t.csv", f"species,time\n{rows}")
    with pytest.raises(UsageError, match="minutes needs them"):
        activity(table, minutes=60)
    with pytest.raises(UsageError, match="no dates, and timezone"):
        activity(table, sun="average", timezone="+07:00", latitude=1, longitude=100)
    with pytest.raises(UsageError, match=r"needs .*timezone"):
        activity(table, sun="average", latitude=1, longitude=100)
    with pytest.raises(UsageError, match=r"only .*sun needs"):
        activity(table, latitude=1.0)
    with pytest.raises(UsageError, match="two species at least"):
        overlap(table, ["tiger"])
    with pytest.raises(DataError, match=r"no record of .lynx'.*boar, tiger"):
        overlap(table, ["tiger", "lynx"])
    with pytest.raises(UsageError, match="twice"):
        overlap(table, ["tiger", "tiger"])


def test_activity_by_the_sun_of_stations(tmp_path: Path) -> None:
    rows = "".join(f"A,deer,2021-05-{day:02} {day % 24:02}:30:00\n" for day in range(1, 30))
    table = write(tmp_path / "r.csv", f"station,species,datetime\n{rows}")
    stations = write(
        tmp_path / "s.csv",
        "Station,latitude,longitude,Setup_date,Retrieval_date\nA,51,4,2021-04-01,2021-06-30\n",
    )
    result = activity(
        table, sun="equinoctial", timezone="+02:00", stations=read_stations(stations), resamples=100
    )
    assert result.times.clock == "the sun: sunrise at 6:00, sunset at 18:00 (equinoctial), clocks in +02:00"
    (deer,) = result.species
    assert len(deer.curve.radians) == 29
    assert result.table.columns == ["label", "hour", "density", "low", "high"]
    assert (result.table["density"] * 0.25).sum() == pytest.approx(1, abs=1e-6)


def test_species_with_too_few_records_are_named_and_refused_where_asked_for(tmp_path: Path) -> None:
    rows = "".join(f"deer,0.{n}\n" for n in range(1, 9))
    table = write(tmp_path / "t.csv", f"species,time\n{rows}fox,0.2\n")
    assert activity(table, resamples=100).left_out == {"fox": 1}
    with pytest.raises(DataError, match="fox: of 1 record"):
        activity(table, species=["fox"])


@pytest.mark.field
def test_kerinci_agrees_with_r(field: Path) -> None:
    table = field / "ecology" / "kerinci" / "kerinci.csv"
    one = overlap(table, ["tiger", "macaque", "tapir"], resamples=100)
    assert [curve.concentration for curve in list(one.curves.values())[:2]] == pytest.approx(
        [10.446, 28.760], abs=1e-3
    )
    wanted = {
        ("tiger", "macaque"): (0.5321, 0.5280, 0.4975, (201, 273)),
        ("tiger", "tapir"): (0.5211, 0.5227, 0.4853, (201, 181)),
    }
    for pair, (dhat1, dhat4, dhat5, sizes) in wanted.items():
        one_of = one.pairs[pair]
        values = [one_of.dhat1.value, one_of.dhat4.value, one_of.dhat5.value]
        assert values == pytest.approx([dhat1, dhat4, dhat5], abs=1e-3)
        assert one_of.sizes == sizes
    usual = overlap(table, ["tiger", "macaque"], resamples=600).pairs["tiger", "macaque"].basic0["dhat4"]
    assert (usual.low, usual.high) == pytest.approx((0.461, 0.592), abs=0.015)
