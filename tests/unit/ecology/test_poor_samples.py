"""Surveys with few records: no warning of a library, no crash; and numbers in a wrong unit are refused."""

import warnings
from pathlib import Path

import pytest

from trapline.cli import main
from trapline.ecology import density, hill_numbers
from trapline.errors import UsageError


@pytest.mark.parametrize("counts", [[1, 2], [1], [1, 1]])
def test_resamples_without_a_species_neither_warn_nor_crash(counts: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = hill_numbers(counts, 5, "incidence", at_coverage=0.9, resamples=100)
    assert result.at_coverage is not None
    for row in result.at_coverage.iter_rows(named=True):
        assert row["low"] is None or row["low"] >= min(1.0, row["estimate"])
    assert result.observed[0] == len(counts)


@pytest.mark.parametrize(
    ("angle", "radius", "message"),
    [(0.7, 10.0, "radians, they are 40.11 degrees"), (40.0, 0.01, "in metres")],
)
def test_angles_in_radians_and_radii_in_km_are_refused(angle: float, radius: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        density(Path("none.csv"), Path("none.csv"), "fox", speed=2.0, angle=angle, radius=radius)


def test_columns_of_occupancy_stand_below_each_other_where_a_name_is_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history, sites = tmp_path / "h.csv", tmp_path / "s.csv"
    name = "distance_to_the_nearest_road_in_km"
    rows = ["1,0,1", "0,0,0", "0,1,1", "0,0,0", "1,0,0", "1,1,0", "0,0,1", "0,0,0"]
    history.write_text("Station,o1,o2,o3\n" + "".join(f"S{i},{row}\n" for i, row in enumerate(rows)))
    values = [1, 3, 2, 1, 5, 2, 4, 6]
    sites.write_text(f"Station,{name}\n" + "".join(f"S{i},{value}\n" for i, value in enumerate(values)))
    with pytest.raises(SystemExit) as ended:
        main(["ecology", "occupancy", str(history), "--covariates", str(sites), "--psi", name])
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    head = next(line for line in lines if "95 % Wald" in line)
    start = head.index("95 % by")
    for line in lines:
        if line.startswith(("psi at", f"  {name}", "p  ")):
            assert line[start - 3 : start] == "   "
            assert line[start - 4] != " "
