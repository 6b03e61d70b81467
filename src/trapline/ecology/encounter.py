"""Density of animals that cannot be told apart: the random encounter model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trapline.arguments import Count, Whole, checked
from trapline.ecology.circular import Floats
from trapline.ecology.curves import activity_density, curve_intervals
from trapline.ecology.day_times import times_of_records
from trapline.ecology.independence import independent_records
from trapline.ecology.rates import TrappingRates, trapping_rates
from trapline.ecology.record_tables import read_records
from trapline.ecology.records import Records
from trapline.ecology.station_tables import read_stations
from trapline.ecology.stations import Stations
from trapline.errors import DataError, UsageError, many
from trapline.metrics import Estimate

_NEEDED = {
    "speed": "how far an animal goes in a day, km (--speed), or its speed while it moves (--moving-speed)",
    "radius": "how far the camera sees one, metres (--radius)",
    "angle": "the arc that the camera sees, degrees (--angle)",
}
_FEW_LOCATIONS = 20
_Z = 1.959963984540054


@dataclass(frozen=True)
class Measured:
    """A number that was measured elsewhere, and its standard error."""

    value: float
    error: float = 0.0


@dataclass(frozen=True, eq=False)
class Density:
    """Animals a square kilometre, by the random encounter model.

    Attributes:
        density: a km².
        encounters: records of the species.
        trap_days: of all locations.
        locations: how many worked.
        day_range: km a day, as told, or of the speed while moving and the activity level.
        level: the activity level; None where the day range was told.
        certain: parameters that were told without a standard error, and so for certain.
        notes: what a person must know.
    """

    density: Estimate
    encounters: int
    trap_days: float
    locations: int
    day_range: Measured
    level: Estimate | None
    certain: tuple[str, ...]
    notes: tuple[str, ...] = ()


def encounter_density(
    encounters: Floats,
    days: Floats,
    speed: Measured,
    radius: Measured,
    angle: Measured,
    *,
    resamples: int = 1000,
    seed: int = 42,
) -> Estimate:
    """D = y / t · π / (v r (2 + θ)), animals a km², with its 95 % interval.

    Rowcliffe, Field, Turvey & Carbone (2008), Journal of Applied Ecology 45:1228. The spread of y / t is that
    of locations drawn anew, those of the parameters come by the delta method; the interval is log-normal.

    Args:
        encounters: records at each location [L].
        days: trap days of each [L].
        speed: km a day.
        radius: metres.
        angle: degrees, of the whole arc.
        resamples: of locations.
        seed: of them.
    """
    reach, arc = radius.value / 1000, math.radians(angle.value)
    value = float(encounters.sum() / days.sum() * math.pi / (speed.value * reach * (2 + arc)))
    if value == 0:
        return Estimate(0.0)
    drawn = np.random.default_rng(seed).multinomial(len(days), np.full(len(days), 1 / len(days)), resamples)
    rates = (drawn @ encounters) / (drawn @ days)
    relative = (rates.std(ddof=1) / rates.mean()) ** 2
    relative += sum((one.error / one.value) ** 2 for one in (speed, radius))
    relative += (math.radians(angle.error) / (2 + arc)) ** 2
    spread = math.exp(_Z * math.sqrt(math.log1p(relative)))
    return Estimate(value, value / spread, value * spread)


@checked
def density(
    records: Path | str | Records,
    stations: Path | str | Stations,
    species: str,
    *,
    minutes: float | None = None,
    speed: float | None = None,
    speed_se: float = 0.0,
    moving_speed: float | None = None,
    moving_speed_se: float = 0.0,
    radius: float | None = None,
    radius_se: float = 0.0,
    angle: float | None = None,
    angle_se: float = 0.0,
    species_column: str | None = None,
    resamples: Count = 1000,
    seed: Whole = 42,
) -> Density:
    """How many animals there are a square kilometre: the random encounter model.

    It needs what no photo tells: how far an animal goes in a day, and how far and how wide the camera sees
    it. Cameras must stand at random of the animals' ways, and a record be one encounter.

    Args:
        records: of encounters: a table, package, download, catalog or folder.
        stations: the table of cameras.
        species: a label.
        minutes: records of one location that are nearer in time are one encounter; None: each is one.
        speed: the day range, km a day.
        speed_se: its standard error.
        moving_speed: instead, km an hour while it moves; times 24 hours and the activity level of the records
            (Rowcliffe et al. 2016, Remote Sensing in Ecology and Conservation 2:84).
        moving_speed_se: its standard error.
        radius: of detection, metres.
        radius_se: its standard error.
        angle: of detection, degrees, the whole arc.
        angle_se: its standard error.
        species_column: the column of the labels.
        resamples: of locations.
        seed: of them.

    Raises:
        UsageError: a parameter is missing, or cannot be; all that are missing are named.
        DataError: there is no record of the species, or one at a location that the stations do not have.
    """
    refuse_unmeasured(speed if moving_speed is None else moving_speed, radius, angle)
    if speed is not None and moving_speed is not None:
        raise UsageError("--speed is the day range and --moving-speed makes one: tell one of them.")
    if (speed_se and speed is None) or (moving_speed_se and moving_speed is None):
        raise UsageError("--speed-se is of --speed, and --moving-speed-se of --moving-speed.")
    assert radius is not None
    assert angle is not None
    _refuse_impossible(
        angle,
        {
            "speed": (speed, speed_se),
            "moving_speed": (moving_speed, moving_speed_se),
            "radius": (radius, radius_se),
            "angle": (angle, angle_se),
        },
    )
    known = records if isinstance(records, Records) else read_records(records, species_column=species_column)
    placed = stations if isinstance(stations, Stations) else read_stations(stations)
    thin = known if minutes is None else independent_records(known, minutes)
    rates = trapping_rates(thin, placed)
    encounters, days = _by_location(rates, species)
    level = None
    if moving_speed is None:
        assert speed is not None
        day_range = Measured(speed, speed_se)
    else:
        level, day_range = _day_range(
            known, species, Measured(moving_speed, moving_speed_se), resamples, seed
        )
    value = encounter_density(
        encounters,
        days,
        day_range,
        Measured(radius, radius_se),
        Measured(angle, angle_se),
        resamples=resamples,
        seed=seed,
    )
    told = {
        "speed": speed_se if moving_speed is None else moving_speed_se,
        "radius": radius_se,
        "angle": angle_se,
    }
    few = []
    if len(days) < _FEW_LOCATIONS:
        few = [f"{many(len(days), 'location is')} few to draw anew: the interval is too short"]
    return Density(
        value,
        int(encounters.sum()),
        float(days.sum()),
        len(days),
        day_range,
        level,
        tuple(name for name, error in told.items() if error == 0),
        (*thin.notes, *placed.notes, *rates.notes, *few),
    )


def refuse_unmeasured(speed: float | None, radius: float | None, angle: float | None) -> None:
    """Refuse a density without what no photo tells.

    Raises:
        UsageError: a parameter is missing; all that are missing are named.
    """
    told = {"speed": speed, "radius": radius, "angle": angle}
    missing = [words for name, words in _NEEDED.items() if told[name] is None]
    if missing:
        raise UsageError(
            "Density is not to be had of records alone; the random encounter model needs "
            f"{'; '.join(missing)}."
        )


def _refuse_impossible(angle: float, told: Mapping[str, tuple[float | None, float]]) -> None:
    for name, (value, error) in told.items():
        option = f"--{name.replace('_', '-')}"
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{option} must be above 0, not {value:g}.")
        if error < 0:
            raise UsageError(f"{option}-se is a standard error and at least 0, not {error:g}.")
    if angle <= 2 * math.pi:
        raise UsageError(
            f"--angle is in degrees, and no camera sees an arc of {angle:g} alone; if these are radians, "
            f"they are {math.degrees(angle):.4g} degrees."
        )
    radius = told["radius"][0]
    if radius is not None and radius < 0.1:
        raise UsageError(f"--radius is in metres, and {radius:g} m is none; is it in km?")
    if angle > 360:
        raise UsageError(f"--angle is of an arc in degrees, at most 360, not {angle:g}.")


def _by_location(rates: TrappingRates, species: str) -> tuple[Floats, Floats]:
    """Records of the species and trap days, of each location that worked, [L] each."""
    if species not in rates.labels:
        raise DataError(f"There is no record of {species!r}; there are: {', '.join(rates.labels)}.")
    days = rates.trap_days.sum(axis=1)
    if len(days) < 2:
        raise DataError(f"{len(days)} location worked: an interval over locations needs two at least.")
    return rates.records[rates.labels.index(species)].sum(axis=1).astype(np.float64), days


def _day_range(
    records: Records, species: str, speed: Measured, resamples: int, seed: int
) -> tuple[Estimate, Measured]:
    """The activity level, and km a day of an animal that moves so fast while it is active."""
    times = times_of_records(records)
    curve = activity_density(times.radians(species))
    spread = curve_intervals(curve, times.locations(species), resamples=resamples, seed=seed)
    value = 24 * speed.value * curve.level
    relative = math.hypot(speed.error / speed.value, spread.level_error / curve.level)
    return spread.level, Measured(value, value * relative)
