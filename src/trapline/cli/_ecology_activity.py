"""Commands of `trapline ecology`: activity, overlap, richness, density."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli._common import Force, Json, Seed, print_json
from trapline.cli._ecology_options import (
    Column,
    Exclude,
    RecordsFile,
    StationsColumn,
    StationsFile,
    StationsTimeFormat,
    TimeFormat,
    Timezone,
    load_records,
    load_stations,
    refuse_outputs,
    roles_of,
    tell,
)
from trapline.errors import UsageError, many

if TYPE_CHECKING:
    from trapline.ecology import Density, Overlap, Richness, Stations, SurveyActivity, SurveyOverlap
    from trapline.metrics import Estimate

Species = Annotated[
    str | None, typer.Option(metavar="A,B,…", help="Labels with commas [all with records enough].")
]
TimeUnit = Annotated[
    str | None, typer.Option(help="Times of day in numbers without dates: fraction, hours or radians.")
]
Sun = Annotated[
    str | None,
    typer.Option(
        metavar="ANCHORS",
        help="Times by the sun: average (sunrise and sunset at their mean hours), equinoctial (6 and 18 "
        "o'clock), single (sunrise alone). Needs --timezone and coordinates.",
    ),
]
Places = Annotated[
    Path | None, typer.Option("--stations", metavar="FILE", help="For --sun: coordinates of the locations.")
]
Latitude = Annotated[float | None, typer.Option(help="For --sun: of all records, degrees north.")]
Longitude = Annotated[float | None, typer.Option(help="For --sun: of all records, degrees east.")]
OverOption = Annotated[
    str, typer.Option("--over", help="Intervals over records or locations; auto: locations from 10 on.")
]
Resamples = Annotated[int, typer.Option(min=100, help="Samples drawn anew for intervals.")]
Minutes = Annotated[float | None, typer.Option(min=0, help="Count records at least so many minutes apart.")]
Figure = Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw it: .svg, .png or .pdf.")]
Out = Annotated[Path | None, typer.Option("-o", "--output", help="The CSV to write.", show_default=False)]


def run_activity(
    records: RecordsFile,
    species: Species = None,
    output: Out = None,
    figure: Figure = None,
    adjust: Annotated[float, typer.Option(help="Smoother (above 1) or less so.")] = 1.0,
    sun: Sun = None,
    timezone: Timezone = None,
    stations: Places = None,
    stations_column: StationsColumn = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    minutes: Minutes = None,
    time_unit: TimeUnit = None,
    column: Column = None,
    time_format: TimeFormat = None,
    over: OverOption = "auto",
    resamples: Resamples = 1000,
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """When in the day each species is recorded, and what share of the day it is active."""
    from trapline import ecology

    refuse_outputs((output, figure), force, records, stations)
    result = ecology.activity(
        records,
        species=_labels(species),
        columns=_roles(column),
        time_unit=time_unit,  # type: ignore[arg-type]
        time_format=time_format,
        minutes=minutes,
        sun=sun,  # type: ignore[arg-type]
        timezone=timezone,
        stations=_stations(stations, stations_column, None, timezone),
        latitude=latitude,
        longitude=longitude,
        adjust=adjust,
        over=over,  # type: ignore[arg-type]
        resamples=resamples,
        seed=seed,
    )
    few = [f"{label} ({count})" for label, count in result.left_out.items()]
    tell([*result.times.notes, *([f"too few records for a curve: {', '.join(few)}"] if few else [])])
    if output is not None:
        result.save(output)
    if figure is not None:
        from trapline.reports import draw_activity

        draw_activity(result, figure)
    if json:
        print_json(_activity_json(result), indent=1)
    else:
        _print_activity(result)
        _print_written(output, figure)


def run_overlap(
    records: RecordsFile,
    species: Annotated[str, typer.Option(metavar="A,B", help="Two labels, or more for each pair.")],
    figure: Figure = None,
    compare: Annotated[
        int, typer.Option(min=0, help="Random exchanges of a test that both have one pattern [no test].")
    ] = 0,
    sun: Sun = None,
    timezone: Timezone = None,
    stations: Places = None,
    stations_column: StationsColumn = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    minutes: Minutes = None,
    time_unit: TimeUnit = None,
    column: Column = None,
    time_format: TimeFormat = None,
    over: OverOption = "auto",
    resamples: Resamples = 1000,
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """How far the activity of two species coincides: Dhat1, Dhat4 and Dhat5, with intervals."""
    from trapline import ecology

    refuse_outputs((figure,), force, records, stations)
    result = ecology.overlap(
        records,
        _labels(species),
        columns=_roles(column),
        time_unit=time_unit,  # type: ignore[arg-type]
        time_format=time_format,
        minutes=minutes,
        sun=sun,  # type: ignore[arg-type]
        timezone=timezone,
        stations=_stations(stations, stations_column, None, timezone),
        latitude=latitude,
        longitude=longitude,
        over=over,  # type: ignore[arg-type]
        compare=compare,
        resamples=resamples,
        seed=seed,
    )
    tell(result.times.notes)
    if figure is not None:
        from trapline.reports import draw_overlap

        draw_overlap(result, figure)
    if json:
        pairs = [_overlap_json(pair, one) for pair, one in result.pairs.items()]
        print_json(pairs[0] if len(pairs) == 1 else {"pairs": pairs}, indent=1)
    else:
        _print_overlap(result)
        _print_written(figure)


def run_richness(
    records: RecordsFile,
    stations: Annotated[
        Path | None, typer.Option("--stations", metavar="FILE", help="Locations without records count too.")
    ] = None,
    units: Annotated[
        str, typer.Option(help="What is counted: locations, occasions (of --days) or records.")
    ] = "locations",
    days: Annotated[int | None, typer.Option(min=1, help="Days of an occasion [7].")] = None,
    coverage: Annotated[
        float | None, typer.Option(help="Also at this share of completeness, as in 0.9.")
    ] = None,
    output: Out = None,
    figure: Figure = None,
    exclude: Exclude = None,
    minutes: Minutes = None,
    column: Column = None,
    time_format: TimeFormat = None,
    timezone: Timezone = None,
    stations_column: StationsColumn = None,
    stations_time_format: StationsTimeFormat = None,
    resamples: Resamples = 500,
    seed: Seed = 42,
    json: Json = False,
    force: Force = False,
) -> None:
    """How many species there are: accumulation, Chao2, Hill numbers, with intervals."""
    from trapline import ecology

    refuse_outputs((output, figure), force, records, stations)
    result = ecology.richness(
        load_records(records, column, time_format=time_format, timezone=timezone, exclude=exclude),
        stations=_stations(stations, stations_column, stations_time_format, timezone),
        units=units,  # type: ignore[arg-type]
        days=days,
        minutes=minutes,
        at_coverage=coverage,
        resamples=resamples,
        seed=seed,
    )
    tell(result.notes)
    if output is not None:
        result.save(output)
    if figure is not None:
        from trapline.reports import draw_accumulation

        draw_accumulation(result, figure)
    if json:
        print_json(_richness_json(result), indent=1)
    else:
        _print_richness(result)
        _print_written(output, figure)


def run_density(
    records: RecordsFile,
    stations: StationsFile,
    species: Annotated[str, typer.Option(metavar="LABEL", help="The label.")],
    speed: Annotated[float | None, typer.Option(help="Day range, km a day.")] = None,
    speed_se: Annotated[float, typer.Option(help="Its standard error.")] = 0.0,
    moving_speed: Annotated[
        float | None, typer.Option(help="Instead: km an hour while moving; times 24 and the activity level.")
    ] = None,
    moving_speed_se: Annotated[float, typer.Option(help="Its standard error.")] = 0.0,
    radius: Annotated[float | None, typer.Option(help="How far the camera detects it, metres.")] = None,
    radius_se: Annotated[float, typer.Option(help="Its standard error.")] = 0.0,
    angle: Annotated[float | None, typer.Option(help="The camera's arc, degrees.")] = None,
    angle_se: Annotated[float, typer.Option(help="Its standard error.")] = 0.0,
    minutes: Minutes = None,
    column: Column = None,
    time_format: TimeFormat = None,
    timezone: Timezone = None,
    stations_column: StationsColumn = None,
    stations_time_format: StationsTimeFormat = None,
    resamples: Resamples = 1000,
    seed: Seed = 42,
    json: Json = False,
) -> None:
    """Animals a square kilometre by the random encounter model; it needs speed, radius and angle."""
    from trapline import ecology

    ecology.refuse_unmeasured(speed if moving_speed is None else moving_speed, radius, angle)
    table = _stations(stations, stations_column, stations_time_format, timezone)
    assert table is not None
    result = ecology.density(
        load_records(records, column, time_format=time_format, timezone=timezone),
        table,
        species,
        minutes=minutes,
        speed=speed,
        speed_se=speed_se,
        moving_speed=moving_speed,
        moving_speed_se=moving_speed_se,
        radius=radius,
        radius_se=radius_se,
        angle=angle,
        angle_se=angle_se,
        resamples=resamples,
        seed=seed,
    )
    tell(result.notes)
    if json:
        print_json(_density_json(species, result), indent=1)
    else:
        _print_density(species, result)


def _labels(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _roles(column: list[str] | None) -> dict[str, str]:
    return roles_of(column, "--column")


def _stations(
    source: Path | None, column: list[str] | None, time_format: str | None, zone: str | None
) -> Stations | None:
    if source is not None:
        return load_stations(source, column, time_format=time_format, timezone=zone)
    if column or time_format:
        raise UsageError("--stations-column and --stations-time-format are of --stations; name that too.")
    return None


def _print_written(*paths: Path | None) -> None:
    for path in paths:
        if path is not None:
            typer.echo(f"Wrote {path}.")


def _span(estimate: Estimate, digits: int = 3) -> str:
    if estimate.value is None:
        return "not to be had"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f}–{estimate.high:.{digits}f})"


def _print_activity(result: SurveyActivity) -> None:
    typer.echo(f"Times by {result.times.clock}. Active share of the day, 95 % interval:")
    for one in result.species:
        hours, part = divmod(round(one.curve.peak_hour * 60) % 1440, 60)
        peak = f"{hours}:{part:02}"
        level = _span(one.intervals.level)
        typer.echo(
            f"  {one.label}: {level}, most at {peak}; {many(len(one.curve.radians), 'record')}, over "
            f"{one.intervals.over}"
        )


def _activity_json(result: SurveyActivity) -> dict[str, object]:
    from trapline.ecology import estimate_json

    return {
        "clock": result.times.clock,
        "made_of": result.times.made_of,
        "species": [
            {
                "label": one.label,
                "records": len(one.curve.radians),
                "concentration": one.curve.concentration,
                "level": estimate_json(one.intervals.level),
                "peak_hour": one.curve.peak_hour,
                "over": one.intervals.over,
            }
            for one in result.species
        ],
        "left_out": result.left_out,
        "density": result.table.to_dicts(),
    }


def _print_overlap(result: SurveyOverlap) -> None:
    for pair, one in result.pairs.items():
        names = f"{pair[0]} ({many(one.sizes[0], 'record')}) and {pair[1]} ({one.sizes[1]:,})"
        typer.echo(f"{names}, by {result.times.clock}:")
        for name in ("dhat1", "dhat4", "dhat5"):
            chosen = "  ← for samples of these sizes" if name == one.estimator else ""
            usual = one.basic0[name]
            typer.echo(
                f"  {name}: {_span(getattr(one, name))}   {usual.low:.3f}–{usual.high:.3f} by basic0{chosen}"
            )
        where = one.over if one.locations is None else f"{one.locations} {one.over}"
        typer.echo(f"  95 % intervals over {where}, {one.resamples:,} resamples; basic0, R's, over records.")
        if one.difference is not None:
            typer.echo(f"  One pattern, by exchanging records at random: p = {one.difference:.3g}.")


def _overlap_json(pair: tuple[str, str], one: Overlap) -> dict[str, object]:
    from trapline.ecology import estimate_json

    each = {"dhat1": one.dhat1, "dhat4": one.dhat4, "dhat5": one.dhat5}
    return {
        "species": list(pair),
        "records": list(one.sizes),
        **{name: estimate.value for name, estimate in each.items()},
        "estimator": one.estimator,
        "low": one.recommended.low,
        "high": one.recommended.high,
        "intervals": {name: estimate_json(estimate) for name, estimate in each.items()},
        "basic0": {
            "low": one.basic0[one.estimator].low,
            "high": one.basic0[one.estimator].high,
            "over": "records",
            "intervals": {name: estimate_json(estimate) for name, estimate in one.basic0.items()},
        },
        "over": one.over,
        "locations": one.locations,
        "resamples": one.resamples,
        "p_one_pattern": one.difference,
    }


def _print_richness(result: Richness) -> None:
    from trapline.metrics import Estimate

    typer.echo(
        f"{result.sample.observed:.0f} species in {result.units}; completeness (coverage) "
        f"{_span(result.completeness)}."
    )
    chao = "Chao1" if result.sample.kind == "abundance" else "Chao2"
    names = {
        0: f"species (q = 0, {chao}, at least)",
        1: "common species (q = 1)",
        2: "dominant species (q = 2)",
    }
    typer.echo("Effective species: in the sample, and of the whole assemblage with its 95 % interval")
    for order, name in names.items():
        typer.echo(f"  {name}: {result.observed[order]:.2f}; {_span(result.whole[order], 2)}")
    if result.at_coverage is not None:
        for row in result.at_coverage.iter_rows(named=True):
            one = Estimate(row["estimate"], row["low"], row["high"])
            typer.echo(
                f"  at coverage {row['coverage']:g}, q = {row['order']}: {_span(one, 2)}, "
                f"{row['size']:.1f} units"
            )


def _richness_json(result: Richness) -> dict[str, object]:
    from trapline.ecology import estimate_json

    return {
        "units": result.units,
        "size": result.sample.size,
        "kind": result.sample.kind,
        "counts": dict(zip(result.labels, result.sample.counts.tolist(), strict=True)),
        "coverage": estimate_json(result.completeness),
        "observed": {f"q{order}": value for order, value in result.observed.items()},
        "asymptotic": {f"q{order}": estimate_json(one) for order, one in result.whole.items()},
        "chao1" if result.sample.kind == "abundance" else "chao2": estimate_json(result.whole[0]),
        "curve": result.curve.to_dicts(),
        "at_coverage": None if result.at_coverage is None else result.at_coverage.to_dicts(),
    }


def _print_density(species: str, result: Density) -> None:
    typer.echo(f"{species}: {_span(result.density, 2)} animals a km², random encounter model.")
    typer.echo(
        f"  {result.encounters:,} encounters in {result.trap_days:,.1f} trap days at {result.locations} "
        f"locations; day range {result.day_range.value:.2f} km (SE {result.day_range.error:.2f})."
    )
    if result.level is not None:
        typer.echo(f"  Activity level {_span(result.level)}.")
    if result.certain:
        known = ", ".join(result.certain)
        typer.echo(f"  Taken as known without error, which makes the interval too short: {known}.")


def _density_json(species: str, result: Density) -> dict[str, object]:
    from trapline.ecology import estimate_json

    return {
        "species": species,
        "density": estimate_json(result.density),
        "encounters": result.encounters,
        "trap_days": result.trap_days,
        "locations": result.locations,
        "day_range": {"estimate": result.day_range.value, "se": result.day_range.error},
        "activity_level": None if result.level is None else estimate_json(result.level),
        "without_error": list(result.certain),
    }


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "activity": (run_activity, "When in the day species are active, and how long."),
    "overlap": (run_overlap, "How far the activity of two species coincides."),
    "richness": (run_richness, "Species accumulation, Chao2 and Hill numbers."),
    "density": (run_density, "Animals a km² by the random encounter model."),
}
"""name → the command and its short help."""
