"""Figures of activity, overlap and species accumulation; on axes of a page, or as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.arguments import Output, checked
from trapline.ecology import DayTimes, Richness, SpeciesActivity, SurveyActivity, SurveyOverlap
from trapline.errors import UsageError
from trapline.reports.page import COLOURS, new_figure, style_axes

FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
_COLUMNS, _WIDTH, _HEIGHT = 3, 3.6, 2.5
_HOURS = (0, 6, 12, 18, 24)
_PER_HOUR = 2 * np.pi / 24

Floats = npt.NDArray[np.float64]


@checked
def draw_activity(result: SurveyActivity, path: Output) -> Path:
    """Draw each species' density with its interval, a panel a species; strokes below are its records.

    Args:
        result: of `trapline.ecology.activity`.
        path: `.svg`, `.png` or `.pdf`.

    Raises:
        UsageError: another kind of file.
    """
    panels = [(one.label, partial(activity_axes, one=one)) for one in result.species]
    return _save(path, panels, x=_axis(result.times), y="density an hour")


@checked
def draw_overlap(result: SurveyOverlap, path: Output) -> Path:
    """Draw each pair's densities and what both have, shaded.

    Args:
        result: of `trapline.ecology.overlap`.
        path: `.svg`, `.png` or `.pdf`.

    Raises:
        UsageError: another kind of file.
    """
    panels = [
        (f"{one.estimator} {one.recommended.value:.2f}", partial(overlap_axes, result=result, pair=pair))
        for pair, one in result.pairs.items()
    ]
    return _save(path, panels, x=_axis(result.times), y="density an hour")


@checked
def draw_accumulation(result: Richness, path: Output) -> Path:
    """Draw Hill numbers of orders 0, 1 and 2 by sampling units, with intervals; dashed beyond the sample.

    Args:
        result: of `trapline.ecology.richness`.
        path: `.svg`, `.png` or `.pdf`.

    Raises:
        UsageError: another kind of file.
    """
    names = ("species (q = 0)", "common species (q = 1)", "dominant species (q = 2)")
    panels = [
        (name, partial(accumulation_axes, result=result, order=order)) for order, name in enumerate(names)
    ]
    return _save(path, panels, x=f"of {result.units}", y="effective species")


def activity_axes(axes: Any, one: SpeciesActivity) -> None:
    """A species' activity on axes: density, interval, records."""
    size = len(one.intervals.low)
    hours = np.arange(size + 1) * (24 / size)
    low, high, density = (
        _closed(values) for values in (one.intervals.low, one.intervals.high, one.curve.on_grid(size))
    )
    axes.fill_between(hours, low, high, color=COLOURS["accent"], alpha=0.2, linewidth=0)
    axes.plot(hours, density, color=COLOURS["accent"], linewidth=1.6)
    records = one.curve.radians[:: max(1, len(one.curve.radians) // 500)] * (24 / (2 * np.pi))
    axes.plot(records, np.zeros(len(records)), "|", color=COLOURS["muted"], markersize=5, clip_on=False)
    _day(axes)


def overlap_axes(axes: Any, result: SurveyOverlap, pair: tuple[str, str]) -> None:
    """Two species' densities on axes, the area under the lower of both shaded."""
    size = 96
    hours = np.arange(size + 1) * (24 / size)
    densities = [_closed(result.curves[label].on_grid(size)) for label in pair]
    axes.fill_between(hours, np.minimum(*densities), color=COLOURS["fill"], linewidth=0)
    for density, label, colour, style in zip(densities, pair, ("accent", "second"), ("-", "--"), strict=True):
        axes.plot(hours, density, style, color=COLOURS[colour], label=label, linewidth=1.6)
    axes.legend(frameon=False, fontsize=8)
    _day(axes)


def accumulation_axes(axes: Any, result: Richness, order: int) -> None:
    """Hill numbers of one order by sampling units on axes."""
    rows = result.curve.filter(pl.col("order") == order)
    size, estimate = rows["size"].to_numpy(), rows["estimate"].to_numpy()
    inside = size <= result.sample.size
    axes.fill_between(
        size, rows["low"].to_numpy(), rows["high"].to_numpy(), color=COLOURS["accent"], alpha=0.2, linewidth=0
    )
    axes.plot(size[inside], estimate[inside], color=COLOURS["accent"], linewidth=1.6)
    axes.plot(size[~inside], estimate[~inside], "--", color=COLOURS["accent"], linewidth=1.6)
    axes.plot([result.sample.size], [result.observed[order]], "o", color=COLOURS["accent"], markersize=5)
    axes.set_ylim(bottom=0)


def _axis(times: DayTimes) -> str:
    return f"hour by {times.clock.partition(':')[0]}"


def _closed(density: Floats) -> Floats:
    """Of the whole day, its first point again at the end; an hour."""
    return np.append(density, density[0]) * _PER_HOUR


def _day(axes: Any) -> None:
    axes.set(xlim=(0, 24), xticks=_HOURS)
    axes.set_ylim(bottom=0)


def _save(path: Path | str, panels: Sequence[tuple[str, Callable[[Any], None]]], *, x: str, y: str) -> Path:
    path = Path(path)
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise UsageError(f"A figure is written as {', '.join(FIGURE_SUFFIXES)}, not as '{path.name}'.")
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(columns * _WIDTH, rows * _HEIGHT + 0.3)
    figure.patch.set(alpha=1, facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, draw) in zip(grid, panels, strict=False):
        style_axes(axes)
        draw(axes)
        axes.set_title(title, fontsize=9.5, color=COLOURS["ink"], parse_math=False)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel(x, fontsize=9, color=COLOURS["muted"])
    figure.supylabel(y, fontsize=9, color=COLOURS["muted"])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path
