"""A search for settings as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapline import __version__
from trapline.evaluation import title
from trapline.metrics import LOWER_IS_BETTER
from trapline.models import Interval
from trapline.reports.page import COLOURS, as_svg, new_figure, render, style_axes

if TYPE_CHECKING:
    from trapline.training import Tuned, TuningTrial


def tuning_report(tuned: Tuned, path: Path | str) -> Path:
    """Write the page: the best trial, the metric against each field, all trials from best to worst.

    Args:
        tuned: what `trapline.tune` found.
        path: the `.html` to write; it needs nothing beside it.
    """
    sign = 1 if tuned.metric in LOWER_IS_BETTER else -1
    rows = sorted(
        tuned.trials, key=lambda one: sign * one.metrics[tuned.metric][0] if one.metrics else float("inf")
    )
    best = rows[0]
    names = [tuned.metric, *(name for name in best.metrics if name != tuned.metric)]
    return render(
        "tuning.html.j2",
        Path(path),
        recipe=tuned.recipe.name,
        metric=tuned.metric,
        best=best,
        figures_of_best=_intervals(best),
        rows=[(trial, _intervals(trial)) for trial in rows],
        names=names,
        fields=list(tuned.recipe.search),
        failed=sum(not row.metrics for row in rows),
        within=_share_within(rows, tuned.metric),
        minutes=sum(row.seconds for row in rows) / 60,
        figures=[(field, _figure(tuned, rows, field)) for field in tuned.recipe.search],
        trapline=__version__,
    )


def _intervals(trial: TuningTrial) -> dict[str, Interval]:
    return {name: Interval(value=at, low=low, high=high) for name, (at, low, high) in trial.metrics.items()}


def _share_within(rows: list[TuningTrial], metric: str) -> int:
    """How many of the other trials have a figure inside the best one's interval."""
    _, low, high = rows[0].metrics[metric]
    if low is None or high is None:
        return 0
    return sum(low <= trial.metrics[metric][0] <= high for trial in rows[1:] if trial.metrics)


def _figure(tuned: Tuned, rows: list[TuningTrial], field: str) -> Any:
    """The metric of each trial against one field."""
    dimension: Any = tuned.recipe.search[field]
    choices = getattr(dimension, "choices", None)
    good = [row for row in rows if row.metrics]
    figure = new_figure(3.4, 2.6)
    axes = figure.subplots()
    positions = [row.values[field] for row in good]
    if choices is not None:
        known = list(choices)
        axes.set_xticks(range(len(known)), [str(choice) for choice in known])
        axes.set_xlim(-0.5, len(known) - 0.5)
        positions = [known.index(value) for value in positions]
    elif dimension.log:
        axes.set_xscale("log")
    # the best last, so that it lies on top
    for value, row in reversed(list(zip(positions, good, strict=True))):
        colour = COLOURS["second" if row is rows[0] else "accent"]
        axes.plot([value], [row.metrics[tuned.metric][0]], "o", color=colour, markersize=6)
    style_axes(axes, y=title(tuned.metric).lower())
    told = ", ".join(f"{row.values[field]}: {row.metrics[tuned.metric][0]:.3f}" for row in good)
    return as_svg(
        figure,
        f"tuning-{list(tuned.recipe.search).index(field)}",
        f"{title(tuned.metric)} by {field}: {told}",
    )
