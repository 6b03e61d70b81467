"""Clocks of cameras that were never set: times at which no photo can have been taken."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from trapline.catalog.parquet_file import streamed
from trapline.errors import many

FIRST_CAMERA_TRAPS = 2000
"""The year before which no digital camera trap stood."""

_RESET = date(2000, 1, 1)


def impossible_times(times: pl.Series | pl.LazyFrame) -> dict[str, int]:
    """How many times lie before digital camera traps, on the day of reset clocks, and in the future.

    They are kept as the cameras wrote them: only a table of clocks puts them right.

    Args:
        times: Datetime, null where unknown; a series, or a frame of one column.

    Returns:
        when, in words -> how many; only what there is.
    """
    frame = times if isinstance(times, pl.LazyFrame) else times.to_frame().lazy()
    tomorrow = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    time = pl.first()
    counts = streamed(
        frame.select(
            (time.dt.year() < FIRST_CAMERA_TRAPS).sum().alias(f"before {FIRST_CAMERA_TRAPS}"),
            (time.dt.date() == _RESET).sum().alias(f"on 1 January {_RESET.year}"),
            (time > tomorrow).sum().alias("in the future"),
        )
    ).row(0, named=True)
    return {when: count for when, count in counts.items() if count}


def describe_impossible_times(times: pl.Series) -> list[str]:
    """For people: how many times are impossible, in which way, and what can be done.

    Args:
        times: as of `impossible_times`.
    """
    return [
        f"{many(count, 'time lies')} {when}: the clock of a camera was never set, or lost its setting; they "
        "are kept as written (--clock-shifts of `trapline catalog` puts clocks right)"
        for when, count in impossible_times(times).items()
    ]
