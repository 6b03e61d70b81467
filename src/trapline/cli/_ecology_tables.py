"""Commands of `trapline ecology`: effort, records, histories, rates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.cli._common import Force, Json, print_json
from trapline.cli._ecology_options import (
    CamerasOption,
    ClassifiedBy,
    Column,
    Exclude,
    HoursOption,
    Levels,
    OccasionStart,
    Out,
    RecordsFile,
    SkipUnknown,
    StationsColumn,
    StationsFile,
    StationsTimeFormat,
    TimeFormat,
    Timezone,
    load_records,
    load_stations,
    refuse_outputs,
    target,
    tell,
)
from trapline.errors import UsageError

if TYPE_CHECKING:
    from trapline.ecology import Effort, Histories, Records, Stations

_SINCE = {"last-independent-record": "last independent record", "last-record": "last record"}
Minutes = Annotated[
    float | None,
    typer.Option(min=0, help="Count records at least so many minutes apart, as `ecology records` does."),
]
Since = Annotated[
    str, typer.Option(help="What minutes are counted from: last-independent-record or last-record.")
]


def run_effort(
    stations: Annotated[
        Path | None,
        typer.Argument(metavar="[STATIONS]", help="When cameras stood: camtrapR's table, deployments, …"),
    ] = None,
    records: Annotated[
        Path | None, typer.Option("--records", help="Photos: those that contradict the table are named.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write camera operation by day, as camtrapR's CSV.")
    ] = None,
    propose: Annotated[
        Path | None,
        typer.Option(help="Without stations: write the span of the photos as a table for you to correct."),
    ] = None,
    hours: HoursOption = "table",
    cameras: CamerasOption = "any",
    occasion_start: OccasionStart = 0,
    skip_unknown: SkipUnknown = False,
    column: Column = None,
    stations_column: StationsColumn = None,
    time_format: TimeFormat = None,
    stations_time_format: StationsTimeFormat = None,
    timezone: Timezone = None,
    json: Json = False,
    force: Force = False,
) -> None:
    """How many days each station worked, and which days the photos contradict.

    Without a table of stations the span of the photos is shown, which is a guess.
    """
    from trapline.ecology import survey_effort

    if stations is None and records is None:
        raise UsageError("Name a table of stations; or --records alone, whose span is offered as a guess.")
    if stations is None and output is not None:
        raise UsageError("Camera operation is not written of a guess. --propose writes a table to correct.")
    if stations is not None and propose is not None:
        raise UsageError("--propose is for want of a table of stations, and there is one.")
    idle = {"--column": column, "--time-format": time_format, "--skip-unknown": skip_unknown}
    if records is None and any(idle.values()):
        name = next(name for name, value in idle.items() if value)
        raise UsageError(f"{name} is of --records, and there are none.")
    refuse_outputs((output, propose), force, stations, records)
    reading: dict[str, Any] = {"time_format": time_format, "timezone": timezone}
    if stations is None:
        table, photos = _guess(records, column, reading), None
    else:
        table = load_stations(stations, stations_column, time_format=stations_time_format, timezone=timezone)
        photos = None if records is None else load_records(records, column, **reading)
    if table.guessed and output is not None:
        raise UsageError(f"{table.source} says that it is a guess, which is not written as camera operation.")
    effort = survey_effort(
        table,
        photos,
        hours=hours,  # type: ignore[arg-type]
        cameras=cameras,  # type: ignore[arg-type]
        occasion_start=occasion_start,
        skip_unknown=skip_unknown,
    )
    if output is not None:
        effort.operation.save(output)
    if propose is not None:
        table.save_proposal(propose)
    tell(effort.notes)
    if json:
        print_json(_effort_json(effort), indent=1)
    else:
        _print_effort(effort)


def _guess(records: Path | None, column: list[str] | None, reading: dict[str, Any]) -> Stations:
    from trapline.catalog import open_catalog
    from trapline.ecology import guess_stations

    assert records is not None
    if records.suffix.lower() == ".parquet":
        return guess_stations(open_catalog(str(records)))
    return guess_stations(load_records(records, column, **reading))


def _effort_json(effort: Effort) -> dict[str, object]:
    return {
        "guessed": effort.guessed,
        "trap_days": effort.trap_days,
        "stations": [vars(station) for station in effort.stations],
        "contradictions": [vars(each) for each in effort.contradictions],
        "notes": list(effort.notes),
    }


def _print_effort(effort: Effort) -> None:
    header = ("station", "first day", "last day", "trap days", "idle days", "records")
    rows = [
        (
            name,
            str(one.first_day),
            str(one.last_day),
            f"{one.trap_days:.1f}",
            str(one.idle_days),
            "" if one.records is None else str(one.records),
        )
        for name, one in zip(effort.operation.names, effort.stations, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        typer.echo("  ".join(cells).rstrip())
    guess = " (a guess: the span of the photos)" if effort.guessed else ""
    typer.echo(f"{effort.trap_days:,.1f} trap days of {len(rows):,} stations{guess}.")


def run_records(
    source: RecordsFile,
    output: Out = None,
    minutes: Annotated[float, typer.Option(min=0, help="Independent records are so far apart.")] = 60.0,
    since: Since = "last-independent-record",
    by: Annotated[
        str, typer.Option(help="Apart by location, by deployment (each camera), or by individual.")
    ] = "location",
    exclude: Exclude = None,
    column: Column = None,
    time_format: TimeFormat = None,
    timezone: Timezone = None,
    classified_by: ClassifiedBy = "human",
    levels: Levels = "location/label",
    json: Json = False,
    force: Force = False,
) -> None:
    """Independent records by label and location, as camtrapR's table of records."""
    from trapline.ecology import save_records

    refuse_outputs((output,), force, source)
    records = load_records(
        source,
        column,
        time_format=time_format,
        timezone=timezone,
        exclude=exclude,
        classified_by=classified_by,
        levels=levels,
    )
    chosen = _independent(records, minutes, since, by)
    tell(chosen.notes)
    if output is not None or not json:
        save_records(chosen, target(output))
    if json:
        labels = (
            chosen.table["label"].value_counts(sort=True).sort("count", "label", descending=[True, False])
        )
        counts = {"records": len(chosen), "of": len(records), "labels": dict(labels.iter_rows())}
        print_json({**counts, "notes": list(chosen.notes)}, indent=1)


def _independent(records: Records, minutes: float, since: str, by: str = "location") -> Records:
    from trapline.ecology import independent_records

    if since not in _SINCE:
        raise UsageError(f"--since is {' or '.join(_SINCE)}, not {since!r}.")
    return independent_records(records, minutes, since=_SINCE[since], by=by)  # type: ignore[arg-type]


def run_histories(
    records: RecordsFile,
    species: Annotated[str, typer.Option(metavar="LABEL", help="The label or scientific name.")],
    days: Annotated[int, typer.Option(min=1, help="How many days an occasion is.")],
    stations: StationsFile = None,
    origin: Annotated[
        str,
        typer.Option(
            "--from", help="Occasions begin with each station's first day, with the survey's, or a date."
        ),
    ] = "station",
    output: Out = None,
    effort: Annotated[Path | None, typer.Option(help="Write the trap days of each occasion.")] = None,
    scale_effort: Annotated[
        bool, typer.Option("--scale-effort", help="Effort less its mean, by its standard deviation.")
    ] = False,
    counts: Annotated[
        str | None, typer.Option(help="Write how many records or individuals, instead of 0 and 1.")
    ] = None,
    min_active_days: Annotated[float | None, typer.Option(help="Occasions with less effort are NA.")] = None,
    complete_only: Annotated[
        bool, typer.Option("--complete-only", help="Occasions with a day without effort are NA.")
    ] = False,
    buffer: Annotated[int, typer.Option(min=0, help="Begin occasions so many days later.")] = 0,
    max_days: Annotated[int | None, typer.Option(min=1, help="So many days of a station at most.")] = None,
    seasons_in_columns: Annotated[
        bool,
        typer.Option(
            "--seasons-in-columns", help="A row a location, its sessions side by side: unmarkedMultFrame."
        ),
    ] = False,
    hours: HoursOption = "table",
    cameras: CamerasOption = "any",
    occasion_start: OccasionStart = 0,
    skip_unknown: SkipUnknown = False,
    column: Column = None,
    stations_column: StationsColumn = None,
    time_format: TimeFormat = None,
    stations_time_format: StationsTimeFormat = None,
    timezone: Timezone = None,
    classified_by: ClassifiedBy = "human",
    json: Json = False,
    force: Force = False,
) -> None:
    """The detection history of a species, for unmarked, spOccupancy and camtrapR.

    A row a station, a column an occasion: 1 recorded, 0 not, NA where the station did not work.
    """
    from trapline.ecology import detection_histories

    if counts not in (None, "records", "individuals"):
        raise UsageError(f"--counts is records or individuals, not {counts!r}.")
    if scale_effort and effort is None and not json:
        raise UsageError("--scale-effort scales the effort, which nothing asks for. Add --effort FILE.")
    refuse_outputs((output, effort), force, records, stations)
    histories = detection_histories(
        load_records(
            records, column, time_format=time_format, timezone=timezone, classified_by=classified_by
        ),
        _stations(stations, records, stations_column, stations_time_format, timezone),
        species,
        days,
        origin=_origin(origin),
        hours=hours,  # type: ignore[arg-type]
        cameras=cameras,  # type: ignore[arg-type]
        occasion_start=occasion_start,
        min_active_days=min_active_days,
        complete_only=complete_only,
        buffer=buffer,
        max_days=max_days,
        scale_effort=scale_effort,
        count=counts or "records",  # type: ignore[arg-type]
        skip_unknown=skip_unknown,
    )
    histories = histories.by_season() if seasons_in_columns else histories
    tell(histories.notes)
    if output is not None or not json:
        histories.save(target(output), what="detections" if counts is None else "counts")
    if effort is not None:
        histories.save(effort, what="effort")
    if json:
        print_json(_histories_json(histories))


def _stations(
    source: Path | None,
    records: Path,
    column: list[str] | None,
    time_format: str | None,
    timezone: str | None,
) -> Stations:
    """The table of stations, or that of the package which the records are of; a guess is refused."""
    if source is None and records.name.lower().endswith((".csv", ".csv.gz", ".tsv", ".txt", ".parquet")):
        raise UsageError(
            "Name the table of stations with --stations: without it nothing says when a camera saw nothing. "
            f"Where there is none, `trapline ecology effort --records {records}` shows the photos' span."
        )
    stations = load_stations(source or records, column, time_format=time_format, timezone=timezone)
    if stations.guessed:
        raise UsageError(
            f"{stations.source} says that it is a guess. Correct it, and take the column 'guessed' out."
        )
    return stations


def _origin(text: str) -> Any:
    if text in ("station", "survey"):
        return text
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--from is station, survey, or a date as in 2009-04-02; not {text!r}.") from None


def _histories_json(histories: Histories) -> dict[str, object]:
    import numpy as np

    matrices = {
        name: [[None if np.isnan(cell) else float(cell) for cell in row] for row in getattr(histories, name)]
        for name in ("detections", "counts", "effort")
    }
    return {
        "label": histories.label,
        "stations": histories.names,
        "occasions": histories.occasions,
        "days": histories.days,
        "first_days": histories.first_days,
        "records": histories.records,
        **matrices,
        "effort_scaling": None
        if histories.scaling is None
        else {"mean": histories.scaling[0], "standard_deviation": histories.scaling[1]},
        "notes": list(histories.notes),
    }


def run_rates(
    records: RecordsFile,
    stations: StationsFile = None,
    output: Out = None,
    months: Annotated[Path | None, typer.Option(help="Write rates by month as a CSV.")] = None,
    by_location: Annotated[
        Path | None, typer.Option(help="Write records and trap days by location and month as a CSV.")
    ] = None,
    minutes: Minutes = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Of --minutes: last-independent-record or last-record  [the former].", show_default=False
        ),
    ] = None,
    exclude: Exclude = None,
    hours: HoursOption = "table",
    cameras: CamerasOption = "any",
    skip_unknown: SkipUnknown = False,
    column: Column = None,
    stations_column: StationsColumn = None,
    time_format: TimeFormat = None,
    stations_time_format: StationsTimeFormat = None,
    timezone: Timezone = None,
    classified_by: ClassifiedBy = "human",
    json: Json = False,
    force: Force = False,
) -> None:
    """Records per 100 trap days and naive occupancy of each species, with intervals over locations."""
    from trapline.ecology import trapping_rates

    if since is not None and minutes is None:
        raise UsageError("--since says what --minutes are counted from, and there are none. Add --minutes.")
    refuse_outputs((output, months, by_location), force, records, stations)
    chosen = load_records(
        records,
        column,
        time_format=time_format,
        timezone=timezone,
        exclude=exclude,
        classified_by=classified_by,
    )
    rates = trapping_rates(
        chosen if minutes is None else _independent(chosen, minutes, since or "last-independent-record"),
        _stations(stations, records, stations_column, stations_time_format, timezone),
        hours=hours,  # type: ignore[arg-type]
        cameras=cameras,  # type: ignore[arg-type]
        skip_unknown=skip_unknown,
    )
    tell(rates.notes)
    if output is not None or not json:
        rates.save(target(output))
    if months is not None:
        rates.save_months(months)
    if by_location is not None:
        rates.save_by_location(by_location)
    if json:
        print_json(rates.as_json(), indent=1)


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "effort": (run_effort, "Trap days of each station, and days that photos contradict."),
    "records": (run_records, "Independent records, as camtrapR's table."),
    "histories": (run_histories, "Detection histories and effort by occasion."),
    "rates": (run_rates, "Records per trap day and naive occupancy, with intervals."),
}
"""name → the command and its short help."""
