"""Rates are records by effort, with intervals over locations."""

from pathlib import Path

import pytest
from scipy.stats import binomtest
from survey_tables import RECORDS, STATIONS, write

from trapline.ecology import guess_stations, read_records, trapping_rates
from trapline.errors import DataError
from trapline.metrics import estimate_binomial


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path, "r.csv", RECORDS), write(tmp_path, "s.csv", STATIONS)


def test_a_rate_is_records_by_hundred_trap_days(tables: tuple[Path, Path]) -> None:
    rates = trapping_rates(*tables)
    assert [(one.label, one.records, one.locations) for one in rates.species] == [
        ("VTA", 5, 3),
        ("TRA", 1, 1),
    ]
    vta = rates.species[0]
    assert vta.rate.value == pytest.approx(100 * 5 / 122.5)
    low, value, high = vta.rate.low, vta.rate.value, vta.rate.high
    assert low is not None
    assert value is not None
    assert high is not None
    assert 0 < low < value < high
    assert [one.naive_occupancy.value for one in rates.species] == pytest.approx([1, 1 / 3])
    april = rates.months[0]
    assert (april.label, april.month, april.records, april.trap_days) == ("VTA", "2009-04", 4, 82.5)
    assert rates.trap_days.sum() == 122.5
    assert any("said not to have worked" in note for note in rates.notes)


def test_a_rate_above_one_a_day_has_no_negative_end(tmp_path: Path) -> None:
    lines = [
        f"{s},fox,2020-01-0{d} {h:02}:00"
        for s, n in (("A", 20), ("B", 2), ("C", 1))
        for d in (2, 3)
        for h in range(n)
    ]
    records = write(tmp_path, "r.csv", "Station,Species,DateTime\n" + "\n".join(lines))
    stations = write(
        tmp_path, "s.csv", "Station,start,end\n" + "".join(f"{s},2020-01-01,2020-01-04\n" for s in "ABC")
    )
    rate = trapping_rates(records, stations).species[0].rate
    assert rate.value == pytest.approx(100 * 46 / 9)
    assert rate.low is not None
    assert rate.low > 0


def test_one_location_has_no_interval_and_it_is_told(tmp_path: Path) -> None:
    records = write(tmp_path, "r.csv", "Station,Species,DateTime\nA,fox,2020-01-02 10:00\n")
    stations = write(tmp_path, "s.csv", "Station,start,end\nA,2020-01-01,2020-01-06\n")
    rates = trapping_rates(records, stations)
    assert (rates.species[0].rate.value, rates.species[0].rate.low) == (20, None)
    assert rates.species[0].naive_occupancy.low is None
    assert any("no intervals" in note for note in rates.notes)


def test_photos_of_one_day_alone_ask_for_the_table_of_stations(tmp_path: Path) -> None:
    records = read_records(write(tmp_path, "r.csv", "Station,Species,DateTime\nA,fox,2020-01-02 10:00\n"))
    with pytest.raises(DataError, match=r"of one day: say when it stood \(stations\)"):
        trapping_rates(records, guess_stations(records))


def test_stations_that_never_worked_are_no_zero(tmp_path: Path) -> None:
    records = write(
        tmp_path, "r.csv", "Station,Species,DateTime\nA,fox,2020-01-02 10:00\nB,fox,2020-01-02 10:00\n"
    )
    text = "Station,start,end,Problem1_from,Problem1_to\n{}B,2020-01-01,2020-01-06,2020-01-01,2020-01-06\n"
    stations = write(tmp_path, "s.csv", text.format("A,2020-01-01,2020-01-06,,\n"))
    rates = trapping_rates(records, stations)
    assert rates.locations == ("A",)
    assert rates.species[0].records == 1
    assert any("1 record of stations that never worked" in note for note in rates.notes)
    with pytest.raises(DataError, match="there is no effort"):
        trapping_rates(
            write(tmp_path, "b.csv", "Station,Species,DateTime\nB,fox,2020-01-02 10:00\n"),
            write(tmp_path, "t.csv", text.format("")),
        )


def test_the_table_by_location_adds_up(tables: tuple[Path, Path], tmp_path: Path) -> None:
    rates = trapping_rates(*tables)
    rates.save_by_location(tmp_path / "l.csv")
    rows = [line.split(",") for line in (tmp_path / "l.csv").read_text().splitlines()[1:]]
    assert len(rows) == 3 * 2 * 2  # stations, months, labels
    assert sum(int(row[3]) for row in rows) == 6
    assert sum(float(row[4]) for row in rows if row[2] == "VTA") == 122.5


@pytest.mark.parametrize(("hits", "units"), [(0, 5), (3, 3), (2, 9), (37, 80)])
def test_the_share_of_locations_has_the_exact_interval(hits: int, units: int) -> None:
    estimate = estimate_binomial(hits, units)
    exact = binomtest(hits, units).proportion_ci(method="exact")
    assert [estimate.low, estimate.high] == pytest.approx([exact.low, exact.high])


def test_a_species_at_one_of_several_locations_has_no_interval_and_it_is_told(
    tables: tuple[Path, Path],
) -> None:
    rates = trapping_rates(*tables)
    one = next(each for each in rates.species if each.label == "TRA")
    assert (one.rate.value, one.rate.low, one.rate.high) == (pytest.approx(100 / 122.5), None, None)
    assert one.naive_occupancy.low is not None
    assert any("one location alone: TRA" in note for note in rates.notes)
