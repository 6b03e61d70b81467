"""Sunrise and sunset, and times of day by them.

The sun's position is the public algorithm of NOAA's Global Monitoring Laboratory, which is of Meeus (1998),
Astronomical Algorithms; here for arrays of location-days. Libraries of Python compute one sunrise a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.ecology.circular import TURN, Floats
from trapline.errors import many

Anchoring = Literal["average", "equinoctial", "single"]
"""Where the sun's day is laid: sunrise and sunset at their mean hours of these records, or at 6 and 18
o'clock, or sunrise alone at its mean hour."""

Instants = npt.NDArray[np.datetime64]

_ZENITH = np.radians(90.833)
"""The upper edge of the sun on the horizon, with refraction."""
_NOON_2000 = np.datetime64("2000-01-01T12:00", "us")
_CENTURY = np.timedelta64(36525 * 86400, "s")


@dataclass(frozen=True, eq=False)
class SunDays:
    """Sunrise and sunset of days at locations, [N] each.

    Attributes:
        sunrise: UTC, datetime64[us]; NaT where the sun does not both rise and set that day.
        sunset: likewise.
        polar: +1 where the sun stays up, -1 where it stays down, else 0.
    """

    sunrise: Instants
    sunset: Instants
    polar: npt.NDArray[np.int8]


def sun_days(dates: Instants, latitude: Floats, longitude: Floats) -> SunDays:
    """Sunrise and sunset around the solar noon of each date.

    To a minute between the polar circles, as NOAA says of its algorithm; beyond them to some minutes.

    Args:
        dates: by the sun of the location, [N], datetime64 of days.
        latitude: degrees north, WGS84 [N].
        longitude: degrees east, WGS84 [N].
    """
    midday = dates.astype("datetime64[us]") + np.timedelta64(12, "h") - _minutes(4 * longitude)
    rise, set_ = midday, midday
    for _ in range(3):  # the sun's position at the event itself, no longer at noon
        rise, up = _event(midday, rise, latitude, -1)
        set_, up_too = _event(midday, set_, latitude, 1)
    # the cosine of the hour angle at the horizon: below -1 the sun is never there, since it is always above
    side = np.where(np.fmin(up, up_too) < -1, 1, np.where(np.fmax(up, up_too) > 1, -1, 0))
    never = np.datetime64("NaT")
    return SunDays(np.where(side, never, rise), np.where(side, never, set_), side.astype(np.int8))


@dataclass(frozen=True, eq=False)
class SunTimes:
    """Times of day by the sun.

    Attributes:
        radians: Float64 [N]; null where there is none.
        anchors: hours of sunrise and of sunset on the new clock; of `single` the mean sunset.
        without_place: records without coordinates.
        without_hour: records in an hour that daylight saving skips or repeats, or without a clock.
        sun_up: records of days on which the sun does not set.
        sun_down: records of days on which it does not rise.
    """

    radians: pl.Series
    anchors: tuple[float, float]
    without_place: int
    without_hour: int
    sun_up: int
    sun_down: int

    def describe(self) -> list[str]:
        """What of the records has no time by the sun, in sentences."""
        reasons = {
            "at locations without coordinates": self.without_place,
            "in an hour that daylight saving skips or repeats, or without a clock": self.without_hour,
            "of days on which the sun does not set": self.sun_up,
            "of days on which the sun does not rise": self.sun_down,
        }
        return [
            f"{many(count, 'record')} {why} left out: no time by the sun"
            for why, count in reasons.items()
            if count
        ]


def sun_times(times: pl.DataFrame, zone: tzinfo, anchoring: Anchoring = "average") -> SunTimes:
    """Times of day by the sun, of records at known coordinates.

    From sunrise to sunset and from sunset to sunrise time runs evenly, and both stand where `anchoring` says:
    the double anchoring of Vazquez et al. (2019), Methods in Ecology and Evolution 10:1931, at the means
    ("average") or at 6 and 18 o'clock ("equinoctial", Nouvellet et al. 2012, Journal of Zoology 286:179).
    "single" shifts each day's clock by its sunrise.

    Args:
        times: one row a record: `camera_time` (wall clock), `latitude`, `longitude`.
        zone: of the clocks; an offset for clocks that never change.
        anchoring: as above.
    """
    known = times.select("camera_time", "latitude", "longitude").with_columns(
        utc=to_utc(times["camera_time"], zone)
    )
    has_place = known["latitude"].is_not_null() & known["longitude"].is_not_null()
    has_hour = known["utc"].is_not_null()
    solar_day = (pl.col("utc") + pl.duration(microseconds=pl.col("longitude") * 240e6)).dt.date()
    usable = known.with_columns(day=solar_day)
    days = usable.filter(has_place & has_hour).select("latitude", "longitude", "day").unique()
    sun = sun_days(*(days[name].to_numpy() for name in ("day", "latitude", "longitude")))
    days = days.with_columns(
        sunrise=pl.Series(sun.sunrise), sunset=pl.Series(sun.sunset), polar=pl.Series(sun.polar)
    )
    usable = usable.join(days, on=["latitude", "longitude", "day"], how="left", maintain_order="left")
    radians, anchors = _anchored(usable, anchoring)
    return SunTimes(
        radians,
        anchors,
        without_place=int((~has_place).sum()),
        without_hour=int((has_place & ~has_hour).sum()),
        sun_up=int((usable["polar"] == 1).sum() or 0),
        sun_down=int((usable["polar"] == -1).sum() or 0),
    )


def to_utc(clocks: pl.Series, zone: tzinfo) -> pl.Series:
    """Instants of wall clocks, Datetime without zone in UTC; null where daylight saving skips or repeats."""
    if isinstance(zone, ZoneInfo):
        aware = clocks.dt.replace_time_zone(zone.key, ambiguous="null", non_existent="null")
        return aware.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    offset = zone.utcoffset(None)
    assert offset is not None
    return clocks - offset


def radians_of(clocks: pl.Series) -> pl.Series:
    """The time of day of wall clocks in radians, Float64."""
    day = clocks.dt.hour().cast(pl.Float64) * 3600 + clocks.dt.minute().cast(pl.Float64) * 60
    return (day + clocks.dt.second() + clocks.dt.microsecond() / 1e6) * (TURN / 86400)


def _anchored(records: pl.DataFrame, anchoring: Anchoring) -> tuple[pl.Series, tuple[float, float]]:
    """The times by the sun in radians, and the hours of both anchors."""
    offset = records["camera_time"] - records["utc"]
    clock = _numbers(radians_of(records["camera_time"]))
    rise = _numbers(radians_of(records["sunrise"] + offset))
    set_ = _numbers(radians_of(records["sunset"] + offset))
    to = (TURN / 4, 3 * TURN / 4) if anchoring == "equinoctial" else (_mean(rise), _mean(set_))
    since = (clock - rise) % TURN
    if anchoring == "single":
        turned = (since + to[0]) % TURN
    else:
        light, new_light = (set_ - rise) % TURN, (to[1] - to[0]) % TURN
        by_day = to[0] + since / light * new_light
        by_night = to[1] + (since - light) / (TURN - light) * (TURN - new_light)
        turned = np.where(since <= light, by_day, by_night) % TURN
    turned = np.where(np.isnan(set_), np.nan, turned)
    return pl.Series("radians", turned).fill_nan(None), (to[0] * 24 / TURN, to[1] * 24 / TURN)


def _numbers(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _mean(radians: Floats) -> float:
    """The circular mean of those that are known; NaN where none is."""
    known = radians[~np.isnan(radians)]
    return float(np.angle(np.exp(1j * known).mean()) % TURN) if len(known) else float("nan")


def _event(midday: Instants, guess: Instants, latitude: Floats, sign: int) -> tuple[Instants, Floats]:
    """Sunrise (sign -1) or sunset (+1) by the sun's position at `guess`, and the cosine of its hour angle."""
    declination, equation = _position(guess)
    north = np.radians(np.clip(latitude, -89.99, 89.99))
    cosine = np.cos(_ZENITH) / (np.cos(north) * np.cos(declination)) - np.tan(north) * np.tan(declination)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return midday + _minutes(4 * sign * angle - equation), cosine


def _position(moments: Instants) -> tuple[Floats, Floats]:
    """The sun's declination in radians, and the equation of time in minutes."""
    t = (moments - _NOON_2000) / _CENTURY
    length = np.radians((280.46646 + t * (36000.76983 + t * 0.0003032)) % 360)
    anomaly = np.radians(357.52911 + t * (35999.05029 - t * 0.0001537))
    eccentricity = 0.016708634 - t * (0.000042037 + t * 0.0000001267)
    centre = np.sin(anomaly) * (1.914602 - t * (0.004817 + t * 0.000014))
    centre += np.sin(2 * anomaly) * (0.019993 - t * 0.000101) + np.sin(3 * anomaly) * 0.000289
    node = np.radians(125.04 - 1934.136 * t)
    apparent = length + np.radians(centre - 0.00569 - 0.00478 * np.sin(node))
    seconds = 21.448 - t * (46.8150 + t * (0.00059 - t * 0.001813))
    tilt = np.radians(23 + (26 + seconds / 60) / 60 + 0.00256 * np.cos(node))
    y = np.tan(tilt / 2) ** 2
    equation = y * np.sin(2 * length) - 2 * eccentricity * np.sin(anomaly)
    equation += 4 * eccentricity * y * np.sin(anomaly) * np.cos(2 * length)
    equation -= 0.5 * y**2 * np.sin(4 * length) + 1.25 * eccentricity**2 * np.sin(2 * anomaly)
    return np.arcsin(np.sin(tilt) * np.sin(apparent)), 4 * np.degrees(equation)


def _minutes(values: Any) -> Any:
    return np.round(np.asarray(values) * 60e6).astype("timedelta64[us]")
