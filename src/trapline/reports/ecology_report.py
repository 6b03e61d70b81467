"""What a survey says of its species as one HTML page, and its tables beside the page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trapline.catalog import harmless_cell
from trapline.ecology import EcologyOverview, SpeciesOverview, Station
from trapline.errors import many
from trapline.reports.ecology_methods import methods
from trapline.reports.page import COLOURS, as_svg, new_figure, render, style_axes
from trapline.storage import replace_whole

MOST_CURVES = 12
"""Species whose activity is drawn; the table beside the page has all."""
_MOST_ROWS = 60
"""Locations that are named in the chart of effort; of more the rows are thin and have no names."""
_MOST_NAMES = 25
"""Locations that are named on the map."""
_MOST_LETTERS = 16
_KM_A_DEGREE = 111.195
"""Of latitude, on a sphere of 6,371 km."""


def write_ecology_report(overview: EcologyOverview, path: Path) -> list[Path]:
    """Write the page, and each of its tables as `NAME-<table>.csv` beside it.

    Args:
        overview: of `trapline.ecology.overview`.
        path: of the page.

    Returns:
        all files, the page first.
    """
    made = overview.tables()
    tables = [_write_table(table, path, name) for name, table in made.items()]
    for name in set(EcologyOverview.TABLES) - set(made):  # an earlier page's
        _table_path(path, name).unlink(missing_ok=True)
    render(
        "ecology.html.j2",
        path,
        o=overview,
        effort=_effort(overview),
        place_map=_place_map(overview),
        heat=_heat(overview),
        widest=max((one.rate.value or 0.0 for one in overview.species), default=0.0) or 1.0,
        curves=[(one, _curve(overview, one)) for one in overview.species if one.activity is not None][
            :MOST_CURVES
        ],
        without_curve=_by_reason((one.label, one.no_activity) for one in overview.species),
        without_model=_by_reason((one.label, one.no_model) for one in overview.species),
        of_models=_by_reason((one.label, one.of_model) for one in overview.species),
        methods=methods(overview),
        accumulation=_accumulation(overview),
        files=[
            (name, file.name, table.height) for (name, table), file in zip(made.items(), tables, strict=True)
        ],
        trapline=version("trapline"),
    )
    return [path, *tables]


def _by_reason(whys: Iterable[tuple[str, str | None]]) -> list[tuple[str, list[str]]]:
    """Why -> the labels of which there is nothing for that."""
    reasons: dict[str, list[str]] = {}
    for label, why in whys:
        if why is not None:
            reasons.setdefault(why, []).append(label)
    return list(reasons.items())


def report_files(path: Path) -> list[Path]:
    """All files that `write_ecology_report` may write for a page."""
    return [path, *(_table_path(path, name) for name in EcologyOverview.TABLES)]


def _table_path(page: Path, name: str) -> Path:
    return page.with_name(f"{page.stem}-{name}.csv")


def _write_table(table: pl.DataFrame, page: Path, name: str) -> Path:
    """A table as CSV that R and spreadsheets read: `NA` where nothing is known, no cell that is run."""
    path = _table_path(page, name)
    texts = [column for column, kind in table.schema.items() if kind == pl.String]
    safe = table.with_columns(
        pl.col(column).map_elements(harmless_cell, return_dtype=pl.String) for column in texts
    ).rename(harmless_cell)  # labels are names of columns
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_whole(path) as partial:
        safe.write_csv(partial, null_value="NA", datetime_format="%Y-%m-%d %H:%M:%S")
    return path


# ---- figures


def _effort(overview: EcologyOverview) -> Any:
    """A row a station, a bar where it worked, in lighter colour where it stood and did not."""
    operation = overview.operation
    rows = len(operation.locations)
    named = rows <= _MOST_ROWS
    figure = new_figure(9.0, min(14.0, 0.9 + rows * (0.24 if named else 0.08)))
    axes = figure.subplots()
    for row, days in enumerate(operation.days):
        for kind, where in (("fill", days == 0), ("accent", days > 0)):
            spans = _runs(where)
            axes.broken_barh(spans, (row - 0.4, 0.8), facecolors=COLOURS["muted" if kind == "fill" else kind])
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(-0.5, max(1, len(operation.dates)) - 0.5)
    ticks = np.unique(
        np.linspace(0, len(operation.dates) - 1, min(6, len(operation.dates))).round().astype(int)
    )
    axes.set_xticks(ticks, [operation.dates[tick].isoformat() for tick in ticks])
    names = [_cut(name) for name in operation.names] if named else []
    axes.set_yticks(range(len(names)), names, parse_math=False)  # a name may hold dollars
    style_axes(axes)
    worked = float(np.nansum(operation.days))
    return as_svg(figure, "effort", f"Camera operation of {rows} stations by day, {worked:,.0f} days in all")


def _runs(where: Any) -> list[tuple[float, float]]:
    """(first index - 0.5, length) of each run of true."""
    edges = np.flatnonzero(np.diff(np.r_[False, where, False].astype(int)))
    return [(start - 0.5, float(end - start)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _place_map(overview: EcologyOverview) -> Any:
    """Locations where they are, with a scale bar; None without coordinates. Areas are numbers of records."""
    known = {one.location_id: one for one in overview.stations.stations if _has_place(one)}
    if not known:
        return None
    middle = math.cos(math.radians(float(np.mean([one.latitude for one in known.values()]))))
    x = np.array([float(one.longitude or 0.0) for one in known.values()]) * _KM_A_DEGREE * middle
    y = np.array([float(one.latitude or 0.0) for one in known.values()]) * _KM_A_DEGREE
    x, y = x - x.mean(), y - y.mean()
    span = max(float(np.ptp(x)), float(np.ptp(y)), 0.1)
    counts = np.array([overview.records_at.get(name, 0.0) for name in known])
    figure = new_figure(6.4, 5.0)
    axes = figure.subplots()
    most = max(float(counts.max()), 1.0)
    axes.scatter(x, y, 18 + 260 * counts / most, color=COLOURS["accent"], alpha=0.55, linewidths=0)
    axes.scatter(x, y, 9, color=COLOURS["ink"])
    if len(known) <= _MOST_NAMES:
        for name, east, north in zip(known, x, y, strict=True):
            axes.annotate(
                _cut(name),
                (east, north),
                (6, 5),
                textcoords="offset points",
                color=COLOURS["ink"],
                fontsize=8,
                parse_math=False,
            )
    _scale_bar(axes, x, y, span)
    axes.set_aspect("equal")
    axes.margins(0.14)
    axes.set_axis_off()
    return as_svg(
        figure,
        "map",
        f"Where the {many(len(known), 'location is')}, {span:.3g} km across; larger: more records",
    )


def _cut(name: str) -> str:
    """A name as a figure can bear it; the tables have it whole."""
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


def _has_place(station: Station) -> bool:
    return station.latitude is not None and station.longitude is not None


def _scale_bar(axes: Any, x: Any, y: Any, span: float) -> None:
    """About a quarter of the map, a round number of kilometres or metres; north is up."""
    least = 10 ** math.floor(math.log10(span / 4))
    length = max(step * least for step in (1, 2, 5) if step * least <= span / 4 * 1.0001)
    left, low = float(x.min()), float(y.min()) - 0.12 * span
    axes.plot([left, left + length], [low, low], color=COLOURS["ink"], linewidth=2, solid_capstyle="butt")
    words = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    axes.annotate(
        words, (left, low), (0, -12), textcoords="offset points", color=COLOURS["muted"], fontsize=8.5
    )
    axes.annotate(
        "N ↑",
        (float(x.max()), low),
        (0, -12),
        textcoords="offset points",
        color=COLOURS["muted"],
        fontsize=8.5,
    )


def _curve(overview: EcologyOverview, one: SpeciesOverview) -> Any:
    """The density over the day, in shares of the records an hour; night by the sun is shaded."""
    assert one.activity is not None
    table = pl.concat([one.activity, one.activity.head(1).with_columns(hour=pl.lit(24.0))])
    hours, values, low, high = (
        table[name].cast(pl.Float64).to_numpy() for name in ("hour", "density", "low", "high")
    )
    figure = new_figure(3.6, 2.3)
    axes = figure.subplots()
    if overview.sun is not None:
        for start, end in ((0.0, overview.sun[0]), (overview.sun[1], 24.0)):
            axes.axvspan(start, end, color=COLOURS["fill"], linewidth=0)
    axes.fill_between(hours, low, high, color=COLOURS["accent"], alpha=0.2, linewidth=0)
    axes.plot(hours, values, color=COLOURS["accent"], linewidth=1.8)
    axes.set_xlim(0, 24)
    axes.set_ylim(0, None)
    axes.set_xticks([0, 6, 12, 18, 24])
    style_axes(axes, x="hour", y="share an hour")
    peak = float(hours[int(values.argmax())])
    name = f"activity{overview.species.index(one)}"
    return as_svg(figure, name, f"Activity of {one.label} by hour, most at {peak:.0f} h")


def _accumulation(overview: EcologyOverview) -> Any:
    """Species expected of so many sampling units, with the interval; beyond the sample dashed."""
    table = overview.accumulation
    if table is None or not table.height:
        return None
    sizes, values = table["size"].to_numpy(), table["estimate"].to_numpy()
    beyond = (table["method"] == "extrapolated").to_numpy()
    figure = new_figure(6.0, 3.2)
    axes = figure.subplots()
    low, high = (table[name].cast(pl.Float64).to_numpy() for name in ("low", "high"))
    axes.fill_between(sizes, low, high, color=COLOURS["accent"], alpha=0.2, linewidth=0)
    inside = ~beyond
    axes.plot(sizes[inside], values[inside], color=COLOURS["accent"], linewidth=1.8)
    last = int(np.flatnonzero(inside)[-1]) if inside.any() else 0
    axes.plot(sizes[last:], values[last:], color=COLOURS["accent"], linewidth=1.4, linestyle="--")
    axes.set_xlim(0, None)
    axes.set_ylim(0, None)
    style_axes(axes, x="locations", y="species")
    return as_svg(
        figure,
        "accumulation",
        f"Species by locations: {values[last]:.1f} at the {sizes[last]:.0f} of the sample",
    )


def _heat(overview: EcologyOverview) -> list[tuple[str, list[tuple[str, float, str]]]]:
    """(location, (number, shade 0..1, words) of each species) of independent records."""
    table = overview.by_location
    most = table.select(pl.max_horizontal(pl.exclude("location_id").max())).item()
    top = math.log1p(float(most or 0.0)) or 1.0
    return [
        (row["location_id"], [_heat_cell(row, one.label, top) for one in overview.species])
        for row in table.iter_rows(named=True)
    ]


def _heat_cell(row: dict[str, Any], label: str, top: float) -> tuple[str, float, str]:
    number = float(row[label])
    shown = "" if number < 0.05 else f"{number:.0f}" if number == round(number) else f"{number:.1f}"
    return shown, math.log1p(number) / top, f"{label} at {row['location_id']}: {number:g}"
