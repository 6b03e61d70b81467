"""The random encounter model: its formula, its interval, and what it refuses to do without."""

from math import pi, radians
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trapline.ecology import Measured, density, encounter_density
from trapline.errors import DataError, UsageError

ENCOUNTERS, DAYS = np.array([4.0, 0, 9, 2]), np.array([30.0, 30, 28, 12])
TOLD: dict[str, Any] = {"speed": 4.0, "radius": 9.0, "angle": 40.0}


@pytest.fixture
def survey(tmp_path: Path) -> tuple[Path, Path]:
    records, stations = tmp_path / "r.csv", tmp_path / "s.csv"
    rows = [f"A,deer,2021-05-{day:02} {day % 24:02}:00" for day in range(2, 12)]
    rows += ["A,deer,2021-05-02 02:05", "B,fox,2021-05-02 10:00"]
    records.write_text("station,species,datetime\n" + "\n".join(rows) + "\n")
    stations.write_text(
        "Station,Setup_date,Retrieval_date\nA,2021-05-01,2021-05-21\nB,2021-05-01,2021-05-11\n"
    )
    return records, stations


def test_density_is_the_formula_of_the_paper() -> None:
    one = encounter_density(ENCOUNTERS, DAYS, Measured(4), Measured(9), Measured(40))
    wanted = 15 / 100 * pi / (4 * 0.009 * (2 + radians(40)))
    assert one.value == pytest.approx(wanted)
    assert one.low is not None
    assert one.high is not None
    assert one.low * one.high == pytest.approx(wanted**2)


def test_uncertain_parameters_widen_the_interval_by_the_delta_method() -> None:
    days = np.full(200, 10.0)
    encounters = np.full(200, 3.0)  # no spread of locations at all
    one = encounter_density(encounters, days, Measured(4, 0.4), Measured(9), Measured(40))
    assert one.high is not None
    assert one.value is not None
    assert np.log(one.high / one.value) == pytest.approx(1.96 * 0.1, rel=0.01)


def test_a_survey_counts_stations_without_records_and_says_what_it_took_for_certain(
    survey: tuple[Path, Path],
) -> None:
    one = density(*survey, "deer", **TOLD, radius_se=0.5)
    assert (one.encounters, one.trap_days, one.locations) == (11, 30.0, 2)
    assert one.certain == ("speed", "angle")
    assert one.density.value == pytest.approx(11 / 30 * pi / (4 * 0.009 * (2 + radians(40))))
    assert any("few to draw anew" in note for note in one.notes)
    assert density(*survey, "deer", **TOLD, minutes=30).encounters == 10


def test_the_day_range_is_made_of_the_speed_while_moving_and_the_activity_level(
    survey: tuple[Path, Path],
) -> None:
    one = density(
        *survey, "deer", moving_speed=0.5, moving_speed_se=0.1, radius=9.0, angle=40.0, resamples=100
    )
    assert one.level is not None
    assert one.level.value is not None
    assert one.day_range.value == pytest.approx(0.5 * 24 * one.level.value)
    assert one.day_range.error > 0.2 * one.day_range.value


def test_nothing_is_made_up_for_what_is_missing(survey: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"needs how far an animal goes.*how far the camera sees.*arc"):
        density(*survey, "deer")
    with pytest.raises(UsageError, match="needs the arc"):
        density(*survey, "deer", speed=4.0, radius=9.0)
    with pytest.raises(UsageError, match="tell one of them"):
        density(*survey, "deer", **TOLD, moving_speed=1.0)
    with pytest.raises(UsageError, match="speed_se is of speed"):
        density(*survey, "deer", moving_speed=1.0, speed_se=1.0, radius=9.0, angle=40.0)
    with pytest.raises(UsageError, match="above 0"):
        density(*survey, "deer", **TOLD | {"radius": -1.0})
    with pytest.raises(UsageError, match="at least 0"):
        density(*survey, "deer", **TOLD, speed_se=-1.0)
    with pytest.raises(UsageError, match="at most 360"):
        density(*survey, "deer", **TOLD | {"angle": 700.0})
    with pytest.raises(DataError, match="no record of 'lynx'; there are: deer, fox"):
        density(*survey, "lynx", **TOLD)
