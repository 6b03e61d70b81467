"""How the figures are called and explained in reports and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trapline.errors import many, name_some
from trapline.metrics import LOWER_IS_BETTER
from trapline.models import MORE_ANSWERS, AtNewLocations, Interval, NewLocationsInterval

if TYPE_CHECKING:
    from trapline.evaluation.coarser import CoarserAnswer
    from trapline.evaluation.matching import Counts
    from trapline.evaluation.rank_figures import RankResult
    from trapline.evaluation.ranks import RankEvaluation
    from trapline.evaluation.rolled_up import RollUpResult
    from trapline.evaluation.threshold_figures import BlankThresholds
    from trapline.evaluation.thresholds import Thresholds


@dataclass(frozen=True)
class Words:
    """A figure's title, and one sentence for a reader who has not met it."""

    title: str
    meaning: str


@dataclass(frozen=True)
class Unit:
    """What a row that is judged is called."""

    one: str
    many: str


UNITS = {"media": Unit("photo", "photos"), "event": Unit("event", "events"), "box": Unit("box", "boxes")}

ANSWERS = {"rolled-up": "Rolled-up answers", "greedy": "Greedy answers, always to a leaf"}
"""How the answers of a model of taxa were found."""

FIGURES: dict[str, Words] = {
    "accuracy": Words("Accuracy", "Share of photos whose most probable label is right."),
    "exact_accuracy": Words(
        "Exact accuracy", "Share of photos whose answer says all that the label does, none coarser."
    ),
    "balanced_accuracy": Words(
        "Balanced accuracy", "Mean over the labels of the share recognised; rare labels count as much."
    ),
    "exact_balanced_accuracy": Words(
        "Exact balanced accuracy", "Balanced accuracy where answers that say less than the label are wrong."
    ),
    "macro_f1": Words("Macro F1", "Mean over the labels of the balance between missed and false ones."),
    "exact_macro_f1": Words(
        "Exact macro F1", "Macro F1 where answers that say less than the label are wrong."
    ),
    "top_2_accuracy": Words("Top-2 accuracy", "Share of photos whose true label is among the first two."),
    "top_3_accuracy": Words("Top-3 accuracy", "Share of photos whose true label is among the first three."),
    "top_5_accuracy": Words(
        "Top-5 accuracy",
        "Share of photos whose true label is among the first five; with several labels the share of them.",
    ),
    "categorical_cross_entropy": Words(
        "Categorical cross-entropy",
        "What a softmax is trained on: minus the logarithm of the share that each label of a photo has.",
    ),
    "subset_accuracy": Words("All labels right", "Share of photos whose every label is said and no other."),
    "exact_subset_accuracy": Words(
        "All labels exactly right", "The same where answers that say less than a label are wrong."
    ),
    "mean_average_precision": Words(
        "Mean average precision", "How well each label's probability puts photos with it before the others."
    ),
    "log_loss": Words(
        "Log loss", "Punishes confidence in the wrong label; what competitions often score by."
    ),
    "brier_score": Words("Brier score", "Mean squared distance between the probabilities and the truth."),
    "expected_calibration_error": Words(
        "Calibration error",
        "How far confidence and the share that is right differ, on average (ECE, 15 bins).",
    ),
    "macro_auc": Words(
        "Macro AUC", "Chance that a photo with a label is ranked before one without; mean over the labels."
    ),
}


def title(figure: str) -> str:
    """The title of a figure; of one that was registered elsewhere, its name in words."""
    return FIGURES[figure].title if figure in FIGURES else figure.replace("_", " ").capitalize()


def meaning(figure: str, level: str = "media") -> str:
    """One sentence on a figure, in words of the level; empty for one that was registered elsewhere."""
    unit = UNITS[level]
    sentence = FIGURES[figure].meaning if figure in FIGURES else ""
    return sentence.replace("photos", unit.many).replace("photo", unit.one)


def direction(figure: str) -> str:
    """Whether more or less is better."""
    return "lower is better" if figure in LOWER_IS_BETTER else "higher is better"


def number(value: float | None, digits: int = 3) -> str:
    """A figure with three digits; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def span(interval: Interval | None) -> str:
    """The interval as `0.597–0.780`; empty where there is none."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"{interval.low:.3f}–{interval.high:.3f}"


def with_span(interval: Interval | None) -> str:
    """A figure and its interval on one line: `0.687 (0.597–0.780)`."""
    if interval is None:
        return "–"
    return f"{number(interval.value)} ({span(interval)})" if span(interval) else number(interval.value)


SPOKEN = ("accuracy", "subset_accuracy", "balanced_accuracy", "macro_f1", "log_loss")
"""Figures of which it is said what they will be at new locations, in this order."""


def ends(interval: NewLocationsInterval) -> str:
    """`0.41–0.97`."""
    return f"{interval.low:.2f}–{interval.high:.2f}"


def together(locations: int) -> str:
    """On how many new locations together."""
    return "at one new location" if locations == 1 else f"on {locations} new ones together"


def at_new(metrics: Mapping[str, Interval], new: AtNewLocations, over: str = "location") -> list[str]:
    """What is known of the mean, and what will come at new locations, a sentence a figure.

    `Accuracy 0.751 (0.70–0.80: the mean over locations like these); at one new location 0.41–0.97, on 10 new
    ones together 0.63–0.85.`
    """
    sentences = []
    for name in SPOKEN:
        if name in new and name in metrics:
            one = metrics[name]
            mean = (
                ""
                if one.low is None or one.high is None
                else f" ({one.low:.2f}–{one.high:.2f}: the mean over {over}s like these)"
            )
            elsewhere = ", ".join(f"{together(at.locations)} {ends(at)}" for at in new[name])
            sentences.append(f"{title(name)} {number(one.value)}{mean}; {elsewhere}.")
    return sentences


def rounded(interval: Interval | None) -> str:
    """A number of things and its interval: `45 (30–61)`."""
    if interval is None:
        return "–"
    ends = (
        "" if interval.low is None or interval.high is None else f" ({interval.low:.0f}–{interval.high:.0f})"
    )
    return f"{interval.value:.0f}{ends}"


def rank_lines(ranks: RankEvaluation) -> list[str]:
    """The figures by rank and what became of the rolled-up answers, as lines."""
    figures = list(dict.fromkeys(name for one in ranks.ranks for name in one.metrics))
    rows = [("By rank, unconditional", "media", *(title(name) for name in figures), "left out")]
    for one in ranks.ranks:
        cells = (with_span(one.metrics.get(name)) for name in figures)
        rows.append((one.rank, str(one.media), *cells, describe_left_out(one)))
    strange = [describe_unknown(ranks)] if ranks.unknown_labels else []
    return [*columns(rows), *strange, "", *_rolled_lines(ranks.rollup), *_curve_lines(ranks)]


def _curve_lines(ranks: RankEvaluation) -> list[str]:
    """What other promises would answer, a row each: at each rank the share of media and its precision."""
    lines = ranks.curve_by_level()
    if not lines:
        return []
    rows = [("Promise", *(f"answered at {level}, right" for level in lines))]
    for points in zip(*lines.values(), strict=True):
        mark = " *" if points[0].chosen else ""
        cells = (f"{point.answered:.0%}, {with_span(point.precision)}" for point in points)
        rows.append((f"{points[0].promise:g}{mark}", *cells))
    ends = "* as answered here; `trapline predict --answer 80%` or --promise 0.9 answers otherwise."
    return ["", *columns(rows), ends]


def describe_coarser(coarser: Sequence[CoarserAnswer], counts: Counts) -> str:
    """How often an answer says less than the label, and which do."""
    pairs = name_some([f"{one.label} called {one.answer} ({one.media})" for one in coarser])
    share = counts.coarser / max(counts.evaluated, 1)
    of = f"{counts.coarser} of {counts.evaluated} ({share:.1%})"
    return f"Right but coarser, and counted as right: {of}, {pairs}."


_WHOSE = {"all": "all labels alike", "rank": "rank {}", "label": "{}"}


def threshold_lines(thresholds: Thresholds) -> list[str]:
    """The chosen thresholds, what they leave, and what they keep elsewhere; then what goes with blanks."""
    rows: list[tuple[str, ...]] = [
        ("Thresholds", "wanted", "threshold", "answered", "precision", "recall", "elsewhere", "")
    ]
    for one in thresholds.subjects:
        chosen = one.chosen
        cells = (
            chosen.wanted,
            number(chosen.threshold, 4),
            "–" if chosen.answered is None else f"{chosen.answered:.1%}",
            *(number(value) for value in (chosen.precision, chosen.recall)),
            with_span(chosen.elsewhere),
            chosen.state,
        )
        rows.append((_WHOSE[one.of].format(one.name), *cells))
    return [*columns(rows), *describe_thresholds(thresholds), *_blank_lines(thresholds.blank)]


def describe_thresholds(thresholds: Thresholds) -> list[str]:
    """What the chosen thresholds do together, and what the states mean."""
    units = "media" if thresholds.over == "media" else f"{thresholds.over}s"
    lines = [
        f"Chosen on {many(thresholds.groups, thresholds.over)}; elsewhere: chosen on some of them, "
        f"judged at the others. promised: holds at {units} like these with 90 % confidence; reached here: "
        "on these, look at elsewhere; not reached: by no threshold, or on too few answers to tell, so that "
        "`trapline write --thresholds` gives no such answer."
    ]
    for name, together in (("label", thresholds.together), ("rank", thresholds.ranks)):
        if together is not None:
            answered = (
                "" if together.answered is None else f"{with_span(together.answered)} of all are answered, "
            )
            alone = ", each taken alone" if name == "label" and together.answered is None else ""
            lines.append(
                f"Each {name} with its own threshold, elsewhere{alone}: {answered}"
                f"{with_span(together.precision)} of the answers are right."
            )
    return lines


def _blank_lines(blank: BlankThresholds | None) -> list[str]:
    if blank is None:
        return []
    if blank.threshold is None:
        return ["Blanks: no threshold of blank loses so few animals as is wanted, of animals enough to tell."]
    worst = name_some([f"{one.label} {one.lost} of {one.media}" for one in blank.labels])
    return [
        f"Blanks put aside from {blank.threshold:g} on, elsewhere: {with_span(blank.removed)} of "
        f"{many(blank.blanks, 'blank')} go, and with them {with_span(blank.lost)} of "
        f"{many(blank.animals, 'animal')}.",
        describe_small(blank),
        *([f"Most lost, here where it was chosen: {worst}."] if blank.labels else []),
    ]


def describe_small(blank: BlankThresholds) -> str:
    """What becomes of animals that are small in the photo."""
    if not blank.boxed:
        return "How many of them are small in the photo is not known: there are no boxes."
    if not blank.small:
        return f"None of the {many(blank.boxed, 'animal')} with boxes takes less than 1 % of its photo."
    return (
        f"Of {many(blank.small, 'animal that takes')} less than 1 % of the photo (of {blank.boxed} with "
        f"boxes) {with_span(blank.small_lost)} are lost."
    )


def describe_unknown(ranks: RankEvaluation) -> str:
    """What became of media whose label the model does not know."""
    sentence = f"{many(ranks.unknown_labels, 'media has')} a label that the model does not know"
    if ranks.unknown_are_wrong:
        return (
            f"{sentence}: they count as wrong at every rank, and every taxon that is said of them is wrong."
        )
    return f"{sentence}: they are in no figure by rank."


def describe_left_out(rank: RankResult) -> str:
    """How many media are not in the figures of a rank, and why; empty if all are."""
    parts = []
    if rank.without_taxon:
        parts.append(f"{rank.without_taxon} with no {rank.rank} (blank, people, …)")
    if rank.coarser:
        parts.append(f"{rank.coarser} known less finely")
    return ", ".join(parts)


def _rolled_lines(rolled: RollUpResult) -> list[str]:
    shares = [
        f"{rolled.exact} exact",
        f"{rolled.coarse} right but coarser",
        f"{rolled.wrong} wrong",
        f"{rolled.unanswered} without an answer",
        *([f"{rolled.unknown} that cannot be judged"] if rolled.unknown else []),
    ]
    promise = "" if rolled.promise is None else f", promised {rolled.promise:.2f} a rank"
    first = f"{ANSWERS[rolled.way]}: {', '.join(shares)}."
    if not rolled.levels:
        promised = "anything" if rolled.promise is None else f"{rolled.promise:.2f}"
        return [
            first,
            f"The validation photos could not promise {promised} at any rank. {MORE_ANSWERS}",
        ]
    rows: list[tuple[str, ...]] = [
        ("By level of the answer", "right", "exact", "coarser", "wrong", "not judged")
    ]
    for one in rolled.levels:
        counts = (one.exact, one.right - one.exact, one.wrong, one.unknown)
        rows.append((one.level, with_span(one.precision), *map(str, counts)))
    parts = ", ".join(f"{name} {with_span(value)}" for name, value in rolled.hierarchical.items())
    return [
        first,
        f"Of the answers that name a taxon {with_span(rolled.precision)} are right{promise}.",
        *columns(rows),
        f"Hierarchical: {parts}.",
    ]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    if not rows:
        return []
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
