"""Detection histories: at each station, on each occasion, whether a species was recorded; and the effort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.arguments import File, checked
from trapline.ecology.matching import RecordsAtStations, match_records
from trapline.ecology.operation import Cameras, Hours, Operation, camera_operation, row_name
from trapline.ecology.record_tables import as_records
from trapline.ecology.records import Records
from trapline.ecology.station_tables import as_stations
from trapline.ecology.stations import Stations
from trapline.ecology.written import Target, write_matrix
from trapline.errors import DataError, UsageError, many, name_some

Floats = npt.NDArray[np.float64]
Counted = Literal["records", "individuals"]
Origin = Literal["station", "survey"]


@dataclass(frozen=True, eq=False)
class Histories:
    """Detection histories of one species.

    Attributes:
        label: of the species.
        locations: of each row.
        sessions: of each row; None of surveys without.
        names: of each row as it is written: the location, or with its session as camtrapR writes it.
        occasions: names of the columns.
        detections: float64 [rows, occasions]: 1 recorded, 0 not, NaN where the station did not work.
        counts: float64 [rows, occasions]: how many records, or individuals; NaN likewise.
        effort: float64 [rows, occasions]: trap days; NaN likewise. Scaled if `scaling` says so.
        first_days: of the first occasion of each row.
        days: how long an occasion is.
        scaling: mean and standard deviation of the effort before it was scaled; None where it was not.
        records: how many count in a cell.
        notes: what a person must know: records that count nowhere and why.
    """

    label: str
    locations: tuple[str, ...]
    sessions: tuple[str | None, ...]
    names: tuple[str, ...]
    occasions: tuple[str, ...]
    detections: Floats
    counts: Floats
    effort: Floats
    first_days: tuple[date, ...]
    days: int
    scaling: tuple[float, float] | None = None
    records: int = 0
    notes: tuple[str, ...] = ()

    def save(self, to: Target, *, what: Literal["detections", "counts", "effort"] = "detections") -> None:
        """Write a matrix as a CSV that unmarked, spOccupancy and camtrapR take.

        In R: `read.csv(…, row.names = 1)`.
        """
        write_matrix(to, self.names, self.occasions, getattr(self, what))

    def by_season(self) -> Histories:
        """One row a location, the occasions of its sessions side by side: for unmarked's `unmarkedMultFrame`.

        Every location has all occasions of all sessions, NaN where it was not in one.

        Raises:
            UsageError: there are no sessions.
        """
        sessions = list(dict.fromkeys(self.sessions))
        if sessions == [None]:
            raise UsageError("The stations name no sessions, so that there are no seasons to put in columns.")
        locations = list(dict.fromkeys(self.locations))
        width = len(self.occasions)
        rows = [locations.index(location) for location in self.locations]
        starts = [sessions.index(session) * width for session in self.sessions]

        def widened(matrix: Floats) -> Floats:
            wide = np.full((len(locations), len(sessions) * width), np.nan)
            for row, start, values in zip(rows, starts, matrix, strict=True):
                wide[row, start : start + width] = values
            return wide

        first = dict(zip(reversed(self.locations), reversed(self.first_days), strict=True))
        return replace(
            self,
            locations=tuple(locations),
            sessions=(None,) * len(locations),
            names=tuple(locations),
            occasions=tuple(f"{session}_{name}" for session in sessions for name in self.occasions),
            first_days=tuple(first[location] for location in locations),
            detections=widened(self.detections),
            counts=widened(self.counts),
            effort=widened(self.effort),
        )


@checked
def detection_histories(
    records: Records | File,
    stations: Stations | File,
    species: str,
    days: int,
    *,
    origin: Origin | date = "station",
    hours: Hours = "table",
    cameras: Cameras = "any",
    occasion_start: int = 0,
    min_active_days: float | None = None,
    complete_only: bool = False,
    buffer: int = 0,
    max_days: int | None = None,
    scale_effort: bool = False,
    count: Counted = "records",
    skip_unknown: bool = False,
) -> Histories:
    """On which occasions a species was recorded at which station, and how many days each station worked.

    An occasion is `days` days, counted from `origin`; the last one may be shorter. Its effort is the sum of
    its days of camera operation. A cell is NaN where the station worked on none of its days (it did not
    stand, or was broken); else 1 if a record lies in it and 0 if none does, however few of its days the
    station worked, unless `min_active_days` or `complete_only` ask for more. This is camtrapR's
    `detectionHistory` with `includeEffort = TRUE`; with `complete_only` it is `includeEffort = FALSE`.

    A record counts in the cell of its day, also on a day on which the station is said not to have worked (it
    did, as the photo shows; the effort stays as the table says). Records that count in no cell are named in
    `notes`: of days on which no camera stood there, or outside the occasions, or in a cell that is NaN.

    Args:
        records: of the species, and of others; or their table, as of `read_records`.
        stations: where cameras stood from when to when; or their table, as of `read_stations`.
        species: a label of the records.
        days: of an occasion.
        origin: `station`: each station's first day (of each session); `survey`: the first day of all (of each
            session); or a date.
        hours: as of `camera_operation`, likewise the next two.
        cameras: see there.
        occasion_start: see there; occasions begin at that hour too.
        min_active_days: a cell is NaN with less effort than that.
        complete_only: a cell is NaN unless the station worked on each of its days, if only for a part of it.
        buffer: occasions begin so many days later than `origin` says.
        max_days: so many days of each station at most, from its own first day on; from `origin` where that is
            a date.
        scale_effort: effort less its mean, by its standard deviation, over all cells.
        count: what `counts` counts.
        skip_unknown: leave out records at locations that no station is at, instead of refusing.

    Raises:
        UsageError: an option that cannot be right; or no record has the label, and it may be mistyped.
        DataError: records are at unknown locations, or lack counts that are asked for.
    """
    _check(days, min_active_days, buffer, max_days, cameras)
    records, stations = as_records(records), as_stations(stations)
    label = choose_label(records, species)
    operation = camera_operation(stations, hours=hours, cameras=cameras, occasion_start=occasion_start)
    only = replace(records, table=records.table.filter(pl.col("label") == label))
    matched = match_records(only, operation, skip_unknown=skip_unknown)
    starts = _starts(operation, origin, buffer)
    spans = _spans(operation, starts, max_days, own=not isinstance(origin, date))
    occasions = max(math.ceil(span / days) for span in spans)
    if occasions < 1:
        where = f"{origin}" if isinstance(origin, date) else f"the {origin}'s first day"
        late = f" and {many(buffer, 'day')} of buffer" if buffer else ""
        raise UsageError(
            f"No station stood there from {where}{late} on; the last day is {operation.dates[-1]}."
        )
    by_day = _from_start(operation.days, starts, spans, occasions * days)
    effort, active = _effort(by_day.reshape(len(starts), occasions, days))
    kept = effort > 0
    if complete_only:
        kept &= active == days
    if min_active_days is not None:
        kept &= effort >= min_active_days
    counts, notes = _counts(matched, starts, spans, days, effort.shape, count, operation)
    lost = counts.records[~kept].sum()
    if lost:
        notes.append(f"{many(int(lost), 'record')} on occasions with too little effort, whose cells are NA")
    values = np.where(kept, counts.wanted, np.nan)
    effort = np.where(kept, effort, np.nan)
    scaling = _scaling(effort) if scale_effort else None
    return Histories(
        label,
        operation.locations,
        operation.sessions,
        tuple(map(row_name, operation.locations, operation.sessions)),
        tuple(f"o{number}" for number in range(1, occasions + 1)),
        np.where(np.isnan(values), np.nan, np.where(kept, counts.records > 0, 0)),
        values,
        effort if scaling is None else (effort - scaling[0]) / scaling[1],
        tuple(operation.dates[0] + timedelta(days=int(start)) for start in starts),
        days,
        scaling,
        int(counts.records[kept].sum()),
        (*records.notes, *operation.notes, *matched.notes, *notes),
    )


def choose_label(records: Records, species: str) -> str:
    """The label that a species is meant by: to the letter, or the one that differs in case alone.

    Raises:
        UsageError: no record has it; a label that is mistyped must not look like an absence.
    """
    labels = records.table["label"].unique().sort().to_list()
    if species in labels:
        return species
    alike = [label for label in labels if label.casefold() == species.strip().casefold()]
    if len(alike) == 1:
        return str(alike[0])
    raise UsageError(
        f"No record of {records.source} is of {species!r}. Its labels are: {name_some(labels, 20)}."
    )


def _check(
    days: int, min_active_days: float | None, buffer: int, max_days: int | None, cameras: Cameras
) -> None:
    wrong = {
        "--days": days if days < 1 else None,
        "--min-active-days": min_active_days
        if min_active_days is not None and not min_active_days > 0
        else None,
        "--buffer": buffer if buffer < 0 else None,
        "--max-days": max_days if max_days is not None and max_days < 1 else None,
    }
    for option, value in wrong.items():
        if value is not None:
            raise UsageError(f"{option} cannot be {value:g}.")
    if min_active_days is not None and cameras != "sum" and min_active_days > days:
        raise UsageError(f"An occasion of {many(days, 'day')} cannot have {min_active_days:g} active ones.")
    if cameras == "separate":
        raise UsageError("Histories are of stations: cameras can be any, all or sum, not separate.")


def _starts(operation: Operation, origin: Origin | date, buffer: int) -> npt.NDArray[np.int64]:
    """[rows]: the day on which each row's first occasion begins, as an index of dates; it may be before."""
    stands = ~np.isnan(operation.days)
    first = stands.argmax(axis=1)
    if isinstance(origin, date):
        return np.full(len(first), (origin - operation.dates[0]).days, dtype=np.int64) + buffer
    if origin == "survey":
        sessions = np.array([session or "" for session in operation.sessions])
        for session in set(sessions):
            first[sessions == session] = first[sessions == session].min()
    return np.asarray(first + buffer, dtype=np.int64)


def _spans(
    operation: Operation, starts: npt.NDArray[np.int64], max_days: int | None, *, own: bool
) -> npt.NDArray[np.int64]:
    """[rows]: how many days there are from the start to the last day of each row that counts.

    `own`: the most days are counted from each row's own first day, which may lie after the start.
    """
    stands = ~np.isnan(operation.days)
    last = stands.shape[1] - 1 - stands[:, ::-1].argmax(axis=1)
    if max_days is not None:
        begin = np.maximum(starts, stands.argmax(axis=1)) if own else starts
        last = np.minimum(last, begin + max_days - 1)
    return np.asarray(np.maximum(last - starts + 1, 0), dtype=np.int64)


def _from_start(
    days: Floats, starts: npt.NDArray[np.int64], spans: npt.NDArray[np.int64], width: int
) -> Floats:
    """[rows, width]: the days of each row from its start on, NaN before the first and after its span."""
    rows = np.full((len(days), width), np.nan)
    for row, (start, span) in enumerate(zip(starts.tolist(), spans.tolist(), strict=True)):
        begin = max(start, 0)
        part = days[row, begin : start + span]
        rows[row, begin - start : begin - start + len(part)] = part
    return rows


def _effort(by_occasion: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """[rows, occasions] of [rows, occasions, days]: trap days, and on how many days the station worked."""
    known = np.nan_to_num(by_occasion)
    return known.sum(axis=2), (known > 0).sum(axis=2)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Float64 [rows, occasions]: how many records there are, and of what is to be counted."""

    records: Floats
    wanted: Floats


def _counts(
    matched: RecordsAtStations,
    starts: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    days: int,
    shape: Sequence[int],
    count: Counted,
    operation: Operation,
) -> tuple[_Cells, list[str]]:
    outside = matched.outside
    rows = matched.rows[~outside]
    since = matched.days[~outside] - starts[rows]
    inside = (since >= 0) & (since < spans[rows])
    cells = rows[inside], since[inside] // days
    records, wanted = np.zeros(shape), np.zeros(shape)
    np.add.at(records, cells, 1.0)
    if count == "individuals":
        counted = matched.table.filter(pl.Series(~outside)).filter(pl.Series(inside))["count"]
        if counted.null_count():
            raise DataError(
                f"{counted.null_count():,} of {many(len(counted), 'record has')} no count of individuals. "
                "Count records instead."
            )
        np.add.at(wanted, cells, counted.to_numpy().astype(np.float64))
    return _Cells(records, records if count == "records" else wanted), [
        *_note_outside(matched),
        *_note_before(int((~inside).sum())),
        *_note_idle(matched, operation),
    ]


def _note_outside(matched: RecordsAtStations) -> list[str]:
    """Records of days on which no camera stood at their location."""
    count = int(matched.outside.sum())
    if not count:
        return []
    first = _named(matched, matched.outside)
    return [f"{many(count, 'record')} of days on which no camera stood there, counted nowhere: {first}"]


def _note_before(count: int) -> list[str]:
    if not count:
        return []
    return [f"{many(count, 'record')} before the first occasion or after the last, counted nowhere"]


def _note_idle(matched: RecordsAtStations, operation: Operation) -> list[str]:
    """Records of days on which their station is said not to have worked at all."""
    idle = ~matched.outside & (
        operation.days[matched.rows, np.clip(matched.days, 0, len(operation.dates) - 1)] == 0
    )
    count = int(idle.sum())
    if not count:
        return []
    return [
        f"{many(count, 'record')} of days on which the station is said not to have worked, counted all the "
        f"same, with the effort as the table has it: {_named(matched, idle)}"
    ]


def _named(matched: RecordsAtStations, which: npt.NDArray[np.bool_]) -> str:
    """The first few days of records, with their locations."""
    days = matched.table.filter(pl.Series(which)).select(
        pl.concat_str("location_id", pl.lit(" "), pl.col("camera_time").dt.date().cast(pl.String)).alias(
            "day"
        )
    )["day"]
    return name_some(days.unique(maintain_order=True).to_list())


def _scaling(effort: Floats) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over all cells, as R's `scale`."""
    known = effort[~np.isnan(effort)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    if not spread > 0:
        raise UsageError("All occasions have the same effort, which cannot be scaled.")
    return float(known.mean()), spread
