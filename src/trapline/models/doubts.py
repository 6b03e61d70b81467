"""What must be known of a model before its answers are believed, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trapline.errors import many
from trapline.metrics import FEW_LOCATIONS, TEMPERATURES, least_locations
from trapline.models.answer_choices import choose_by_share, describe_answers, describe_units
from trapline.models.card import Card
from trapline.models.new_locations import MeasuredAt
from trapline.taxonomy import AnswerShare

_WITHOUT_PROMISE = (
    "say how many photos to answer, now (predict --answer 80%) or in training (--set taxa.answer=80%): the "
    "promise that then holds is told."
)
MORE_ANSWERS = (
    "Train with --folds 5, which judges on all photos (where locations are not known, with --set "
    "fold_by=event too; taxa.solver=adam takes no folds: give it more validation locations). Or "
    f"{_WITHOUT_PROMISE}"
)
"""What helps where a model of taxa answers nothing."""


TRIALS = {
    "one": (
        "In our trials models measured by days of one camera were right on 0.77 to 0.97 of its photos, and "
        "on 0.37 to 0.87 of those of others; one that was measured at 0.90 (0.84 to 0.94) came to 0.45."
    ),
    "few": (
        "In our trials the interval of a mean over four locations held what came at one other 72 times in "
        "100."
    ),
}
"""What came elsewhere of models measured at one location and at few: by `benchmarks/axes.py`, whose tables
stand in `benchmarks/RESULTS.md` (the six rows from one camera to another set; accuracy, measured at 4)."""


def card_doubts(card: Card) -> list[str]:
    """All that its card gives cause to doubt."""
    doubts = (
        origin_doubt(card),
        few_locations_doubt(card),
        review_doubt(card),
        chance_doubt(card),
        *calibration_doubts(card),
        promise_doubt(card),
        share_doubt(card),
    )
    return [doubt for doubt in doubts if doubt]


def origin_doubt(card: Card) -> str | None:
    """What nobody here knows of a model that was trained elsewhere."""
    if card.origin is None:
        return None
    return (
        "The model was trained elsewhere: on which media and locations is not known, so that no evaluation "
        "can tell whether it has seen the photos that it is judged on."
    ) + (
        " Its probabilities are not calibrated (trapline recalibrate, with labelled photos)."
        if card.calibration.method == "none"
        else ""
    )


def few_locations_doubt(card: Card) -> str:
    """What stands above all else of a model that was measured at too few locations; empty of any other."""
    return "" if card.figures_at is None else describe_few_locations(card.figures_at)


def describe_few_locations(measured: MeasuredAt, what: str = "Measured") -> str:
    """That figures are of too few locations to tell of others, and what others came to in our trials.

    Args:
        measured: where the figures were measured.
        what: was measured, as the sentence begins.

    Returns:
        Sentences; none where there are locations enough.
    """
    if not measured.few:
        return ""
    where = _where_few(measured)
    if measured.locations == 0:
        return (
            f"{what} {where}, which may all be of one camera. {TRIALS['one']} Name the locations when you "
            "make the catalog (trapline catalog --help)."
        )
    if measured.locations == 1:
        return (
            f"{what} {where}: figures, probabilities and promises hold on this camera only. "
            f"{TRIALS['one']} {_HELPS}"
        )
    return (
        f"{what} {where}: too few to tell how figures differ from one to the next, so that nothing is known "
        f"of others. {TRIALS['few']} {_HELPS}"
    )


def name_few_locations(measured: MeasuredAt) -> str:
    """The same of a model in a line, for where the rest was told before; empty of locations enough."""
    if not measured.few:
        return ""
    return (
        f"The model was measured {_where_few(measured)}: too few to tell of others (what that means: "
        "trapline show, of the model)."
    )


def _where_few(measured: MeasuredAt) -> str:
    if measured.locations == 0:
        return "on media of no known location"
    if measured.locations == 1:
        return "at one location" + ("" if measured.only is None else f" ({measured.only})")
    amount = (
        f", most of whose media are of a few (they amount to {measured.effective:.1f} of equal size)"
        if measured.locations >= FEW_LOCATIONS
        else ""
    )
    return f"at {measured.locations} locations{amount}"


def familiar_doubt(card: Card) -> str:
    """That nothing is said of photos that are unlike those of training, where the card cannot tell; empty of
    a card that can, and of a backbone."""
    if card.familiar is not None or card.task == "features":
        return ""
    return (
        "Whether photos are unlike those that the model learnt from cannot be told: its card keeps no "
        "statistics of them."
    )


_HELPS = "Before you believe it at another, label photos from there and judge it on them (trapline evaluate)."


def review_doubt(card: Card) -> str | None:
    """What must be said of a model that was taught in a review: on what its figures rest, where they hold."""
    if card.split.get("by") != "decisions":
        return None
    named, parts = card.split.get("named") or {}, card.training_data
    streams = ", ".join(named.get("train", ())) or "nobody"
    by_chance = "drawn by chance" in named.get("validation", ())
    others = "drawn by chance" if by_chance else "of those, which are no random sample"
    few = card.calibration.method == "none"
    return (
        f"Taught in a review on {parts['train']['media']} media (asked for by: {streams}) and judged on "
        f"{parts['validation']['media']} others {others}, of the same locations: its figures tell nothing of "
        "new ones."
    ) + (" Its probabilities are not calibrated: too few media were drawn by chance for it." if few else "")


def chance_doubt(card: Card) -> str | None:
    """What must be said of a model whose figures are those of one that does not look at the photos.

    Always saying the same label has a balanced accuracy of one over the labels, and an order by anything
    but the photo an area under the curve of one half.
    """
    for name, chance in (("balanced_accuracy", 1 / max(1, len(card.labels))), ("macro_auc", 0.5)):
        figure = card.metrics.get(name)
        if figure is not None and figure.value <= chance + 1e-9:
            return (
                f"The model is no better than chance: {name.replace('_', ' ')} {figure.value:.3f}, and "
                f"{chance:.3f} needs no look at the photos. Train longer, lower the learning rate "
                "(--set optimiser.lr=…), or look at the labels (trapline explore)."
            )
    return None


def calibration_doubts(card: Card) -> list[str]:
    """What must be known of a calibration, besides that its locations are few (`few_locations_doubt`)."""
    calibration = card.calibration
    low, high = TEMPERATURES
    if calibration.method == "none":
        return []
    alike = len(set(calibration.slopes)) == 1  # of labels that exclude each other
    temperature = 1 / calibration.slopes[0] if alike else calibration.temperature
    if 2 * low < temperature < high / 2:
        return []
    return [
        f"The temperature {temperature:.2g} is extreme: the media that it was fitted on are "
        "too few, too easy, or unlike those of training."
    ]


def share_doubt(card: Card) -> str:
    """Whether fewer photos are answered than were asked for; empty if not."""
    made = card.taxonomy.get("rollup") or {}
    if not made.get("answer") or choose_by_share(made["choices"], AnswerShare.parse(made["answer"])):
        return ""
    reached = describe_answers(card) or "as far as is known, fewer"
    return (
        f"Answers were asked for {made['answer']} of photos, and no promise from {made['promise']:g} on "
        f"reaches that: this is the lowest. It answers, {reached}."
    )


def promise_doubt(card: Card) -> str:
    """Which answers a model of taxa will never give, as it could promise no rank; empty if it could any.

    The ranks that could be promised have a threshold in the card.
    """
    made = card.taxonomy.get("rollup")
    if not made or set(card.thresholds) - {"kind"}:
        return ""
    left = (
        "its answers name no taxon, only animal, human, vehicle or blank"
        if "kind" in card.thresholds
        else "it answers nothing (the column answer stays empty)"
    )
    folds = bool(card.recipe.get("folds"))
    more = _WITHOUT_PROMISE[0].upper() + _WITHOUT_PROMISE[1:] if folds else MORE_ANSWERS
    return (
        f"No rank could be promised: on {made['media']} single photos of {describe_units(made)} no "
        f"probability was found from which {made['promise']:.0%} of answers are right, with confidence "
        f"{made['confidence']:.2f}; so {left}.{_why_broken(made)}{_too_few(made)} {more} Or take the "
        "ranks' own columns as they are."
    )


def _too_few(made: Mapping[str, Any]) -> str:
    """How many locations such a promise needs, where there are fewer."""
    needed = least_locations(made["promise"], made["confidence"])
    if made["groups"] >= needed:
        return ""
    return (
        f" {made['promise']:.0%} needs at least {needed} {made['over']}, more of unequal size: ask for less."
    )


def _why_broken(made: Mapping[str, Any]) -> str:
    """Which labels break a promise, and over what; empty where the card does not tell."""
    of_promise = [one for one in made.get("choices") or () if one["promise"] == made["promise"]]
    broken = of_promise[0].get("broken_by") if of_promise else None
    if not broken:
        return ""
    units = " and ".join([made["over"], *(made.get("axes") or ())])
    wrong = ", ".join(f"{label} {count}" for label, count in broken["wrong"].items())
    surely = f"of the {many(broken['sure'], 'photo')} that it answers so surely at {broken['level']}"
    sentences = [
        f" {surely.capitalize()}, most wrong are those of: {wrong}."
        if wrong
        else f" None {surely} is wrong: they are too few, or of too few {units}."
    ]
    names = [made["over"] if name == "groups" else name for name in broken["over"]]
    if made.get("axes") and names:
        sentences.append(f"Alone already it does not hold over {' or '.join(names)}.")
    elif made.get("axes"):
        sentences.append("It does not hold along all of them at once.")
    return " ".join(sentences)


def kinds_doubt(card: Card) -> str:
    """How far a model can be believed that tells animal, person and vehicle apart in boxes."""
    recalls = [
        figure.value
        for name, figure in card.metrics.items()
        if name.startswith("person_recall_") and name.endswith("_left_out")
    ]
    known = (
        f" Of the people in boxes, at cameras of which it knew nothing, it named {min(recalls):.0%} to "
        f"{max(recalls):.0%}."
        if recalls
        else ""
    )
    return (
        f"Animal, person and vehicle are told apart by the model {card.name}.{known} A box that it calls "
        "animal or unknown may still be a person."
    )
