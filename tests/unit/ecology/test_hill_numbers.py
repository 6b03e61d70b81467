"""Hill numbers, Chao's estimators, rarefaction: against definitions and what R's iNEXT publishes."""

from math import comb, exp, log
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.ecology import RECORDS, Records, hill_numbers, read_stations, richness
from trapline.ecology.hill import (
    SpeciesCounts,
    _rest_of_series,
    assemblage,
    asymptotic,
    coverage,
    diversity,
    unseen_variance,
)
from trapline.ecology.hill_curves import chao_interval, size_at_coverage
from trapline.errors import DataError, UsageError

# spiders of two plots of Harvard Forest (Ellison et al. 2010; Chao et al. 2014, Ecological Monographs 84:45)
GIRDLED = [46, 22, 17, 15, 15, 9, 8, 6, 6, 4, 2, 2, 2, 2, *[1] * 12]
LOGGED = [88, 22, 16, 15, 13, 10, 8, 8, 7, 7, 7, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, *[1] * 14]
INEXT = {
    "girdled": (GIRDLED, (26, 12.060, 7.840), (43.893, 13.826, 8.175), 0.929),
    "logged": (LOGGED, (37, 14.421, 6.761), (61.403, 16.337, 6.920), 0.945),
}


def individuals(counts: list[int]) -> SpeciesCounts:
    return SpeciesCounts(np.array(counts), sum(counts), "abundance")


def units(counts: list[int], size: int) -> SpeciesCounts:
    return SpeciesCounts(np.array(counts), size, "incidence")


@pytest.mark.parametrize("plot", INEXT)
def test_spiders_agree_with_inext(plot: str) -> None:
    counts, observed, whole, complete = INEXT[plot]
    sample = individuals(counts)
    size = np.array([sample.size])
    assert [float(diversity(sample, q, size)[0]) for q in range(3)] == pytest.approx(observed, abs=1e-3)
    assert [float(asymptotic(sample, q)) for q in range(3)] == pytest.approx(whole, abs=1e-3)
    assert float(coverage(sample, size)[0]) == pytest.approx(complete, abs=1e-3)


def test_the_interval_of_chao1_agrees_with_inext() -> None:
    sample = individuals(GIRDLED)
    one = chao_interval(sample)
    assert (one.low, one.high) == pytest.approx((30.511, 96.971), abs=1e-3)
    assert float(unseen_variance(sample)) ** 0.5 == pytest.approx(14.306, abs=1e-3)


counts_of = st.lists(st.integers(1, 12), min_size=2, max_size=8)


@settings(max_examples=40, deadline=None)
@given(counts_of, st.data())
def test_rarefaction_of_individuals_is_the_mean_over_all_smaller_samples(
    counts: list[int], data: st.DataObject
) -> None:
    n = sum(counts)
    m = data.draw(st.integers(1, n - 1))
    expected = sum(1 - comb(n - x, m) / comb(n, m) for x in counts)
    seen = {k: sum(comb(x, k) * comb(n - x, m - k) for x in counts) / comb(n, m) for k in range(1, m + 1)}
    entropy = -sum(k / m * log(k / m) * f for k, f in seen.items())
    simpson = sum((k / m) ** 2 * f for k, f in seen.items())
    values = [float(diversity(individuals(counts), q, np.array([m]))[0]) for q in range(3)]
    assert values == pytest.approx([expected, exp(entropy), 1 / simpson])


@settings(max_examples=40, deadline=None)
@given(counts_of, st.data())
def test_rarefaction_of_units_is_maos_tau_and_its_likes(counts: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(max(counts) + 1, 20))
    t = data.draw(st.integers(1, total - 1))
    expected = sum(1 - comb(total - y, t) / comb(total, t) for y in counts)
    seen = {
        k: sum(comb(y, k) * comb(total - y, t - k) for y in counts) / comb(total, t) for k in range(1, t + 1)
    }
    mean = t * sum(counts) / total
    entropy = -sum(k / mean * log(k / mean) * q for k, q in seen.items())
    simpson = sum((k / mean) ** 2 * q for k, q in seen.items())
    values = [float(diversity(units(counts, total), q, np.array([t]))[0]) for q in range(3)]
    assert values == pytest.approx([expected, exp(entropy), 1 / simpson])


@pytest.mark.parametrize("sample", [individuals(GIRDLED), units([9, 7, 4, 2, 2, 1, 1, 1], 12)])
def test_curves_rise_through_the_sample_to_the_asymptote(sample: SpeciesCounts) -> None:
    n = sample.size
    sizes = np.array([1, n // 2, n - 1, n, n + 1, 2 * n, 100_000 * n])
    for order in range(3):
        values = diversity(sample, order, sizes)
        assert (np.diff(values) > -1e-9).all()
        assert values[-1] == pytest.approx(float(asymptotic(sample, order)), rel=1e-3)
    covered = coverage(sample, sizes)
    assert (np.diff(covered) > -1e-9).all()
    assert covered[-1] == pytest.approx(1)
    at = size_at_coverage(sample, float(covered[1]))
    assert at == pytest.approx(sizes[1], abs=1e-6)


@pytest.mark.parametrize("n", [2, 30, 5000])
@pytest.mark.parametrize("x", [0.0, 0.3, 0.9, 0.999])
def test_what_is_left_of_the_series_is_its_sum(n: int, x: float) -> None:
    j = np.arange(200_000)
    assert float(_rest_of_series(np.array(x), n)) == pytest.approx(
        float((x ** (j + 1) / (n + j)).sum()), rel=1e-6
    )


@pytest.mark.parametrize("sample", [individuals(GIRDLED), units([9, 7, 4, 2, 2, 1, 1, 1], 12)])
def test_the_estimated_assemblage_has_the_samples_coverage(sample: SpeciesCounts) -> None:
    made = assemblage(sample)
    total = float(sample.total) / sample.size
    assert made.sum() == pytest.approx(total)
    missed = made[len(sample.counts) :].sum() / total
    assert missed == pytest.approx(1 - float(coverage(sample, np.array([sample.size]))[0]))


def test_where_all_was_seen_often_nothing_is_missed() -> None:
    result = hill_numbers([8, 7, 9, 6], 10, resamples=50)
    assert (result.whole[0].value, result.whole[0].low, result.whole[0].high) == (4, 4, 5)
    assert result.completeness.value == 1


def test_where_all_was_seen_once_dominance_is_not_to_be_had() -> None:
    result = hill_numbers([1, 1, 1], 3, "abundance", resamples=50)
    assert result.whole[2].value is None
    assert result.completeness.value == pytest.approx(1 / 3)


def test_intervals_are_of_whole_species_and_the_same_again() -> None:
    one, again = (hill_numbers(GIRDLED, 168, "abundance", resamples=50, at_coverage=0.9) for _ in range(2))
    assert (one.whole[0].low, one.whole[0].high) == (30, 97)
    assert one.curve.equals(again.curve)
    assert one.at_coverage is not None
    assert one.at_coverage["size"][0] == pytest.approx(84.88, abs=0.01)
    assert set(one.curve["method"]) == {"rarefied", "observed", "extrapolated"}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="10 sampling units of 5"):
        hill_numbers([10], 5)
    with pytest.raises(DataError, match="sum to 3"):
        hill_numbers([1, 2], 9, "abundance")
    with pytest.raises(DataError, match="one sampling unit"):
        hill_numbers([1, 1], 1)
    with pytest.raises(UsageError, match="between 0 and 1"):
        hill_numbers([1, 2], 3, at_coverage=95.0)


def records(*rows: tuple[str, str, str]) -> Records:
    table = pl.DataFrame(rows, schema=["location_id", "label", "camera_time"], orient="row").with_columns(
        pl.col("camera_time").str.to_datetime("%Y-%m-%d %H:%M")
    )
    table = table.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in RECORDS.items() if name not in table.columns
    )
    return Records(table.select(pl.col(name).cast(kind) for name, kind in RECORDS.items()), source="a test")


SEEN = records(
    ("A", "deer", "2021-05-01 10:00"),
    ("A", "deer", "2021-05-01 11:00"),
    ("A", "deer", "2021-05-12 10:00"),
    ("A", "fox", "2021-05-02 10:00"),
    ("B", "deer", "2021-05-03 10:00"),
)


@pytest.fixture
def stations(tmp_path: Path) -> Path:
    path = tmp_path / "s.csv"
    path.write_text(
        "Station,Setup_date,Retrieval_date\nA,2021-05-01,2021-05-14\nB,2021-05-01,2021-05-07\n"
        "C,2021-05-01,2021-05-14\n"
    )
    return path


def test_sampling_units_are_locations_occasions_or_records(stations: Path) -> None:
    alone = richness(SEEN, resamples=50)
    assert (dict(zip(alone.labels, alone.sample.counts, strict=True)), alone.sample.size) == (
        {"deer": 2, "fox": 1},
        2,
    )
    assert any("locations without any record are not known" in note for note in alone.notes)
    assert richness(SEEN, stations=stations, resamples=50).sample.size == 3
    occasions = richness(SEEN, stations=read_stations(stations), units="occasions", resamples=50)
    assert occasions.sample.counts.tolist() == [3, 1]
    assert occasions.sample.size == 5
    assert occasions.units == "5 occasions of 7 days at 3 stations"
    assert richness(SEEN, units="records", resamples=50).sample.size == 5
    assert richness(SEEN, units="records", minutes=90, resamples=50).sample.size == 4


def test_records_at_strange_locations_and_idle_options_are_refused(stations: Path) -> None:
    stranger = records(("A", "deer", "2021-05-01 10:00"), ("Z", "fox", "2021-05-01 10:00"))
    with pytest.raises(DataError, match="no station is at: Z"):
        richness(stranger, stations=stations)
    with pytest.raises(UsageError, match="occasions needs stations"):
        richness(SEEN, units="occasions")
    with pytest.raises(UsageError, match="days is of units occasions"):
        richness(SEEN, days=5)
    with pytest.raises(UsageError, match="read already"):
        richness(SEEN, exclude=["fox"])
    with pytest.raises(UsageError, match="minutes thins records"):
        richness(SEEN, minutes=60)


def test_a_table_of_the_curve_is_written(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    hill_numbers(GIRDLED, 168, "abundance", sizes=[84, 168], resamples=50).save(path)
    lines = path.read_text().splitlines()
    assert lines[0].startswith("order,size,method,estimate,low,high,coverage")
    assert len(lines) == 7
