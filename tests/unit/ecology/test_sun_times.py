"""Sunrise and sunset against another program's, and times by the sun against their definition."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from trapline.ecology import sun_days
from trapline.ecology.circular import TURN
from trapline.ecology.sun import radians_of, sun_times, to_utc

ASTRAL = [  # of astral 3.2, which takes the horizon a little lower: UTC
    ("2009-04-21", -1.70, 101.30, "2009-04-20T23:11:46", "2009-04-21T11:15:15"),
    ("2020-06-21", 51.05, 3.72, "2020-06-21T03:30:41", "2020-06-21T20:03:20"),
    ("2020-12-21", 51.05, 3.72, "2020-12-21T07:46:38", "2020-12-21T15:40:12"),
    ("2023-03-20", 47.60, -122.30, "2023-03-20T14:12:31", "2023-03-21T02:21:35"),
    ("2020-12-21", -18.10, 178.40, "2020-12-20T17:28:05", "2020-12-21T06:40:50"),
    ("2020-06-21", -42.90, 147.30, "2020-06-20T21:42:29", "2020-06-21T06:42:44"),
    ("2024-09-10", 69.65, 18.96, "2024-09-10T03:39:42", "2024-09-10T17:39:47"),
]


@pytest.mark.parametrize(("day", "latitude", "longitude", "sunrise", "sunset"), ASTRAL)
def test_the_sun_rises_and_sets_when_another_program_says(
    day: str, latitude: float, longitude: float, sunrise: str, sunset: str
) -> None:
    sun = sun_days(np.array([day], "datetime64[D]"), np.array([latitude]), np.array([longitude]))
    for ours, theirs in ((sun.sunrise[0], sunrise), (sun.sunset[0], sunset)):
        assert abs(ours - np.datetime64(theirs)) < np.timedelta64(40, "s")
    assert sun.polar[0] == 0


def test_beyond_the_polar_circle_the_sun_stays_up_or_down_and_no_time_is_made_up() -> None:
    days = np.array(["2020-06-21", "2020-12-21", "2020-03-20"], "datetime64[D]")
    sun = sun_days(days, np.full(3, 69.65), np.full(3, 18.96))
    assert sun.polar.tolist() == [1, -1, 0]
    assert np.isnat(sun.sunrise).tolist() == [True, True, False]
    assert np.isnat(sun.sunset).tolist() == [True, True, False]


def records(
    *clocks: datetime, latitude: float | None = -1.7, longitude: float | None = 101.3
) -> pl.DataFrame:
    rows = [(clock, latitude, longitude) for clock in clocks]
    return pl.DataFrame(
        rows,
        schema={"camera_time": pl.Datetime("us"), "latitude": pl.Float64(), "longitude": pl.Float64()},
        orient="row",
    )


ZONE = timezone(timedelta(hours=7))
DAY = datetime(2009, 4, 21)
SUNRISE, SUNSET = DAY + timedelta(hours=6, minutes=11.9), DAY + timedelta(hours=18, minutes=15.1)


def test_sunrise_is_at_six_and_sunset_at_eighteen_by_the_equinox() -> None:
    noon = SUNRISE + (SUNSET - SUNRISE) / 2
    sun = sun_times(records(SUNRISE, noon, SUNSET), ZONE, "equinoctial")
    np.testing.assert_allclose(sun.radians.to_numpy(), [TURN / 4, TURN / 2, 3 * TURN / 4], atol=0.005)
    assert sun.anchors == (6, 18)


def test_of_one_day_the_average_anchors_are_that_days_so_that_the_clock_stays() -> None:
    table = records(*(DAY + timedelta(hours=hour) for hour in (1, 5, 12, 23)))
    for anchoring in ("average", "single"):
        sun = sun_times(table, ZONE, anchoring)
        np.testing.assert_allclose(
            sun.radians.to_numpy(), radians_of(table["camera_time"]).to_numpy(), atol=1e-6
        )


def test_days_of_other_lengths_are_stretched_to_the_mean_one() -> None:
    summer, winter = datetime(2020, 6, 21, 5, 31), datetime(2020, 12, 21, 8, 46)  # sunrise, clock of Ghent
    sun = sun_times(records(summer, winter, latitude=51.05, longitude=3.72), ZoneInfo("Europe/Brussels"))
    one, other = sun.radians
    assert one == pytest.approx(other, abs=0.01)
    assert sun.anchors[0] == pytest.approx((5.52 + 8.77) / 2, abs=0.05)


def test_what_has_no_time_by_the_sun_is_told_and_stays_null() -> None:
    table = pl.concat(
        [
            records(DAY),
            records(DAY, latitude=None),
            records(datetime(2020, 6, 21), latitude=75.0, longitude=20.0),
            records(datetime(2020, 12, 21), latitude=75.0, longitude=20.0),
        ]
    )
    sun = sun_times(table, ZONE)
    assert sun.radians.is_null().to_list() == [False, True, True, True]
    assert (sun.without_place, sun.without_hour, sun.sun_up, sun.sun_down) == (1, 0, 1, 1)
    assert len(sun.describe()) == 3


def test_hours_that_daylight_saving_skips_or_repeats_are_no_instants() -> None:
    clocks = pl.Series([datetime(2021, 3, 28, 2, 30), datetime(2021, 10, 31, 2, 30), datetime(2021, 7, 1)])
    made = to_utc(clocks, ZoneInfo("Europe/Brussels"))
    assert made.to_list() == [None, None, datetime(2021, 6, 30, 22)]
    assert to_utc(clocks, ZONE).to_list()[2] == datetime(2021, 6, 30, 17)
