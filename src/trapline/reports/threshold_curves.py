"""Figures of the thresholds of an evaluation: how many answers each leaves, and how many are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trapline.evaluation import BlankThresholds, SubjectThresholds, Thresholds
from trapline.reports.page import COLOURS, as_svg, new_figure, style_axes

MOST = 9
"""Labels and ranks that have a figure of their own: those with the most media."""


def draw_all(thresholds: Thresholds, many: str) -> Any:
    """Share answered against precision and recall, one threshold for all labels; the chosen one is a ring."""
    every = thresholds.of("all")[0]
    if len(every.curve) < 2:
        return None
    figure = new_figure(5.2, 3.4)
    axes = figure.subplots()
    answered = [100 * point.answered for point in every.curve]
    for name, colour in (("precision", "accent"), ("recall", "second")):
        shares = [getattr(point, name) for point in every.curve]
        axes.plot(answered, _drawable(shares), color=COLOURS[colour], label=name)
        chosen = getattr(every.chosen, name)
        if chosen is not None and every.chosen.answered is not None:
            axes.plot([100 * every.chosen.answered], [chosen], "o", mfc="none", ms=9, color=COLOURS["ink"])
    axes.set(xlim=(0, 102), ylim=(0, 1.02))
    style_axes(axes, x=f"share of the {many} answered, %", y="share")
    axes.legend(frameon=False, labelcolor=COLOURS["muted"], fontsize=9.5, loc="center left")
    text = "; ".join(
        f"{point.answered:.0%} answered, precision {point.precision:.2f}, recall {point.recall or 0:.2f}"
        for point in every.curve[:: max(1, len(every.curve) // 6)]
        if point.precision is not None
    )
    return as_svg(figure, "thresholds-all", f"Share answered to precision and recall: {text}")


def draw_each(thresholds: Thresholds) -> list[tuple[str, Any]]:
    """Precision and recall by threshold, a figure a label or rank; the chosen threshold is a line."""
    subjects = [one for one in thresholds.subjects if one.of != "all" and len(one.curve) > 1]
    subjects.sort(key=lambda one: (one.of, -one.media))
    return [(one.name, _draw_one(one, number)) for number, one in enumerate(subjects[:MOST])]


def _draw_one(one: SubjectThresholds, number: int) -> Any:
    figure = new_figure(3.2, 2.2)
    axes = figure.subplots()
    at = [point.threshold for point in one.curve]
    for name, colour in (("precision", "accent"), ("recall", "second")):
        shares = _drawable([getattr(point, name) for point in one.curve])
        axes.step(at, shares, where="pre", color=COLOURS[colour])
    chosen = one.chosen.threshold
    if chosen is not None:
        axes.axvline(chosen, color=COLOURS["ink"], linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    style_axes(axes, x="threshold")
    says = "none is chosen" if chosen is None else f"{chosen:g} is chosen"
    return as_svg(figure, f"threshold-{number}", f"{one.name}: precision and recall by threshold; {says}")


def draw_blank(blank: BlankThresholds) -> Any:
    """By the threshold of `blank` the share of blanks that goes, and of animals, the small ones apart."""
    figure = new_figure(5.2, 3.4)
    axes = figure.subplots()
    at = [point.threshold for point in blank.curve]
    lines: Sequence[tuple[str, str, str, Any]] = (
        ("removed", "blanks that go", "accent", "-"),
        ("lost", "animals lost", "second", "-"),
        ("small_lost", "small animals lost", "second", (0, (4, 3))),
    )
    for name, title, colour, dash in lines:
        shares = [getattr(point, name) for point in blank.curve]
        if any(share is not None for share in shares):
            axes.step(at, _drawable(shares), where="pre", color=COLOURS[colour], linestyle=dash, label=title)
    if blank.threshold is not None:
        axes.axvline(blank.threshold, color=COLOURS["ink"], linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    style_axes(axes, x="threshold of blank", y="share")
    axes.legend(frameon=False, labelcolor=COLOURS["muted"], fontsize=9.5, loc="upper right")
    text = "; ".join(
        f"{point.threshold:g}: {point.removed or 0:.2f} of the blanks, {point.lost or 0:.2f} of the animals"
        for point in blank.curve[:: max(1, len(blank.curve) // 6)]
    )
    return as_svg(figure, "thresholds-blank", f"What goes with the blanks: {text}")


def _drawable(shares: Sequence[float | None]) -> list[float]:
    return [float("nan") if share is None else share for share in shares]
