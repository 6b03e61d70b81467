"""The evaluation as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from trapline.errors import DataError, many
from trapline.evaluation import UNITS, Evaluation, compare, title, write_mistakes
from trapline.metrics import LOWER_IS_BETTER
from trapline.models import MORE_ANSWERS
from trapline.reports.mistakes import ShownMistake, listed_beside, review_command, show_mistakes
from trapline.reports.page import COLOURS, as_svg, new_figure, render, style_axes
from trapline.reports.threshold_curves import draw_all, draw_blank, draw_each
from trapline.reports.tree_figure import draw_tree
from trapline.storage import AnyPath
from trapline.taxonomy import Taxonomy

TILES = {
    "single-label": ("accuracy", "macro_f1", "log_loss", "expected_calibration_error"),
    "multi-label": ("subset_accuracy", "mean_average_precision", "log_loss", "macro_auc"),
    "exclusive": ("accuracy", "top_5_accuracy", "categorical_cross_entropy", "log_loss"),
}
WIDE = 12
"""With more labels than this, the confusion matrix is drawn in small cells."""


def write_evaluation(
    evaluation: Evaluation,
    path: Path,
    *,
    pictures: int,
    beside: dict[str, Evaluation],
    files: Sequence[AnyPath | str] = (),
) -> Path:
    """Write the page; see `Evaluation.save_report`."""
    kind = "exclusive" if evaluation.model_info.exclusive else evaluation.task
    table = evaluation.confusion
    listed = write_mistakes(evaluation.mistakes, evaluation.level, listed_beside(path, "mistakes"))
    return render(
        "evaluation.html.j2",
        path,
        e=evaluation,
        unit=UNITS[evaluation.level],
        right=title(_right(evaluation)),
        tiles=[name for name in TILES[kind] if name in evaluation.metrics],
        lower=LOWER_IS_BETTER,
        comparison=compare({evaluation.name: evaluation, **beside}) if beside else None,
        labels=sorted(evaluation.per_label, key=lambda result: -result.media),
        confusion=None if table is None else _heat_rows(evaluation.labels, table),
        counts=_counts(evaluation),
        wide=len(evaluation.labels) > WIDE,
        most=WIDE,
        more_answers=MORE_ANSWERS,
        node_confusions=_node_confusions(evaluation),
        reliability=_reliability(evaluation),
        locations=_locations(evaluation),
        pictures=_pictures(evaluation, pictures, path),
        listed=listed.name,
        review=review_command(files, listed),
        tree=_tree(evaluation),
        answer_curve=_answer_curve(evaluation),
        **_thresholds(evaluation),
    )


def _thresholds(evaluation: Evaluation) -> dict[str, Any]:
    """The figures of thresholds, where some were chosen."""
    thresholds = evaluation.thresholds
    if thresholds is None:
        return dict.fromkeys(("curve_of_all", "curves_of_each", "curve_of_blank"))
    return {
        "curve_of_all": draw_all(thresholds, UNITS[evaluation.level].many),
        "curves_of_each": draw_each(thresholds),
        "curve_of_blank": None if thresholds.blank is None else draw_blank(thresholds.blank),
    }


def _right(evaluation: Evaluation) -> str:
    """The figure that says how many are right."""
    return TILES[evaluation.task][0]


HeatRows = list[tuple[str, int, list[tuple[str, int, float]]]]


def _heat_rows(names: Sequence[str], table: Sequence[Sequence[int]]) -> HeatRows:
    """Rows of (true name, media, cells of (said name, media, share of the row)).

    Names that no media has and that were never said are left out.
    """
    shown = [k for k in range(len(names)) if any(table[k]) or any(row[k] for row in table)]
    return [
        (
            names[row],
            sum(table[row]),
            [(names[k], table[row][k], table[row][k] / max(sum(table[row]), 1)) for k in shown],
        )
        for row in shown
    ]


def _counts(evaluation: Evaluation) -> Any:
    """Two bars a label: how many show it, and of how many it was said; None for multi-label."""
    if evaluation.confusion is None:
        return None
    true = [sum(row) for row in evaluation.confusion]
    predicted = [sum(column) for column in zip(*evaluation.confusion, strict=True)]
    shown = sorted((k for k in range(len(true)) if true[k] or predicted[k]), key=lambda k: true[k])
    figure = new_figure(7.2, 0.9 + 0.36 * len(shown))
    axes = figure.subplots()
    middles = range(len(shown))
    for label, counts, up, colour in (("true", true, 0.2, "accent"), ("said", predicted, -0.2, "second")):
        at = [middle + up for middle in middles]
        axes.barh(at, [counts[k] for k in shown], 0.38, color=COLOURS[colour], label=label)
    axes.set_yticks(list(middles), [evaluation.labels[k] for k in shown], parse_math=False)
    style_axes(axes, x=UNITS[evaluation.level].many)
    axes.legend(frameon=False, labelcolor=COLOURS["muted"], fontsize=9.5, loc="lower right")
    text = ", ".join(f"{evaluation.labels[k]} {true[k]} and {predicted[k]}" for k in reversed(shown))
    return as_svg(figure, "counts", f"For each label, how many show it and of how many it was said: {text}")


def _node_confusions(evaluation: Evaluation) -> dict[str, HeatRows]:
    """Head → its table, of the heads below whose node there are media."""
    nodes = () if evaluation.ranks is None else evaluation.ranks.nodes
    return {
        node.head: _heat_rows([child.name for child in node.children], node.confusion)
        for node in nodes
        if node.media
    }


def _reliability(evaluation: Evaluation) -> Any:
    bins = [entry for entry in evaluation.calibration if entry.count]
    total = sum(entry.count for entry in bins)
    figure = new_figure(5.2, 4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    width = bins[0].high - bins[0].low
    middles = [(entry.low + entry.high) / 2 for entry in bins]
    upper.bar(middles, [entry.accuracy or 0.0 for entry in bins], width * 0.92, color=COLOURS["accent"])
    upper.plot([0, 1], [0, 1], color=COLOURS["second"], linewidth=1.4, linestyle=(0, (4, 3)))
    lower.bar(middles, [entry.count / total for entry in bins], width * 0.92, color=COLOURS["muted"])
    upper.set(xlim=(0, 1), ylim=(0, 1.02))
    style_axes(upper, y="share that is right")
    style_axes(lower, x="confidence", y="share")
    text = ", ".join(f"{entry.confidence:.2f} → {entry.accuracy:.2f}" for entry in bins)
    return as_svg(figure, "reliability", f"Reliability diagram, confidence to share that is right: {text}")


def _locations(evaluation: Evaluation) -> Any:
    """One bar a location, as wide as it has media, as high as its accuracy; the worst at the left."""
    locations = sorted(evaluation.per_location, key=lambda location: (location.accuracy, -location.media))
    if len(locations) < 2:
        return None
    *starts, total = accumulate((location.media for location in locations), initial=0)
    figure = new_figure(5.2, 3.4)
    axes = figure.subplots()
    widths = [100 * location.media / total for location in locations]
    left = [100 * start / total for start in starts]
    edge: dict[str, Any] = {
        "align": "edge",
        "edgecolor": COLOURS["paper"],
        "linewidth": 0.5 if len(locations) < 40 else 0.2,
    }
    axes.bar(left, [1.0] * len(locations), widths, color=COLOURS["fill"], **edge)
    colours = [COLOURS["second" if location.seen else "accent"] for location in locations]
    axes.bar(left, [location.accuracy for location in locations], widths, color=colours, **edge)
    mean = sum(location.accuracy * location.media for location in locations) / total
    axes.axhline(mean, color=COLOURS["ink"], linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 100), ylim=(0, 1.02))
    unit, right = UNITS[evaluation.level], title(_right(evaluation))
    style_axes(axes, x=f"share of the {unit.many}, %", y=right.lower())
    none = sum(location.accuracy == 0 for location in locations)
    return as_svg(
        figure,
        "locations",
        f"{right} at {many(len(locations), 'location')}, sorted; {none} have none right; mean {mean:.2f}",
    )


def _tree(evaluation: Evaluation) -> Any:
    tree = evaluation.model_info.taxonomy
    if evaluation.ranks is None or tree is None:
        return None
    return draw_tree(evaluation.ranks, Taxonomy.from_json(tree.as_json()))


def _answer_curve(evaluation: Evaluation) -> Any:
    """Share answered against precision, a line a level; the choice that was made is a ring."""
    lines = {} if evaluation.ranks is None else evaluation.ranks.curve_by_level()
    lines = {
        level: line for level, line in lines.items() if len({round(one.answered, 2) for one in line}) > 1
    }
    if not lines:
        return None
    figure = new_figure(5.2, 3.6)
    axes = figure.subplots()
    text = []
    for (level, line), (colour, dash) in zip(lines.items(), _LINES, strict=False):
        known = [(100 * one.answered, one.precision, one.chosen) for one in line if one.precision is not None]
        across = [share for share, _, _ in known]
        up = [precision.value for _, precision, _ in known]
        axes.plot(across, up, color=COLOURS[colour], linestyle=dash, marker=".", label=level)
        bounds = [(one.low or one.value, one.high or one.value) for _, one, _ in known]
        if level in list(lines)[:2]:  # more bands hide one another
            low, high = zip(*bounds, strict=True)
            axes.fill_between(across, low, high, color=COLOURS[colour], alpha=0.12)
        for share, precision, chosen in known:
            if chosen:
                axes.plot([share], [precision.value], "o", mfc="none", ms=10, color=COLOURS["ink"])
        text.append(f"{level}: " + ", ".join(f"{a:.0f} % → {p:.2f}" for a, p in zip(across, up, strict=True)))
    axes.set(xlim=(0, 102), ylim=(0, 1.02))
    unit = UNITS[evaluation.level]
    style_axes(axes, x=f"share of the {unit.many} answered, %", y="share of these that is right")
    axes.legend(frameon=False, labelcolor=COLOURS["muted"], fontsize=9.5, loc="lower left")
    return as_svg(figure, "answer-curve", f"Share answered to share that is right: {'; '.join(text)}")


_LINES: tuple[tuple[str, Any], ...] = (
    ("accent", "-"),
    ("second", "-"),
    ("ink", (0, (4, 2))),
    ("muted", (0, (4, 3))),
    ("muted", (0, (1, 2))),
    ("line", "-"),
    ("line", (0, (1, 2))),
)
"""A colour and a dash for each rank, from the finest."""


def _pictures(evaluation: Evaluation, most: int, page: Path) -> list[ShownMistake]:
    if most == 0 or not evaluation.mistakes:
        return []
    if evaluation.root is None:
        raise DataError(
            "This evaluation was read from JSON and does not know where its photos are: leave pictures out "
            "(pictures=0), or evaluate again."
        )
    return show_mistakes(evaluation.mistakes[:most], evaluation.root, page)
