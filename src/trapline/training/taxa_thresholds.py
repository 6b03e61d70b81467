"""Thresholds of the roll-up, chosen on media that no head saw, so that each rank keeps its promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.metrics import choose_threshold
from trapline.recipes import Taxa
from trapline.taxonomy import Classes, best_answers, levels_of, unsupported_kinds, verdict
from trapline.training.arrays import Floats

METHOD = (
    "at each rank, of the media that no finer rank answers: the lowest threshold whose one-sided bound of "
    "precision (Clopper-Pearson at the effective number of media; Korn & Graubard 1998, Kish 1965) keeps the "
    "promise, tried in a fixed order (Angelopoulos et al. 2021)"
)


def choose_thresholds(
    probabilities: Floats, labels: list[str], groups: npt.NDArray[Any], classes: Classes, settings: Taxa
) -> tuple[dict[str, float], dict[str, Any]]:
    """The threshold of each level that can keep the promise, and the record for the card.

    Media whose label says less than a level are not counted there, unless the answer is wrong already.

    Args:
        probabilities: [N, classes], calibrated, of media that no head was trained on.
        labels: [N], the truth, as the data has it.
        groups: [N], what is right or wrong together: the location of each, or its event.
        classes: the tree and its classes.
        settings: `promise` and `confidence`.
    """
    tree = classes.taxonomy
    bests = best_answers(probabilities, levels_of(tree, classes.names, unsupported_kinds(classes)))
    open_rows = np.ones(len(labels), bool)
    thresholds: dict[str, float] = {}
    table = {}
    for best in reversed(bests):
        pairs = list(zip(best.answers, labels, strict=True))
        known = {
            (answer, label): "none" if answer is None else verdict(tree, answer, label)
            for answer, label in dict.fromkeys(pairs)
        }
        verdict_of = np.array([known[pair] for pair in pairs])
        judged = open_rows & ~np.isin(verdict_of, ("unknown", "none"))
        choice = choose_threshold(
            best.probabilities[judged],
            verdict_of[judged] == "right",
            groups[judged],
            promise=settings.promise,
            confidence=settings.confidence,
        )
        if choice is None:
            continue
        thresholds[best.level] = np.floor(choice.threshold * 1e6) / 1e6  # tables hold float32
        open_rows &= ~(best.probabilities >= thresholds[best.level])  # NaN: the path has no such rank
        table[best.level] = {
            "media": choice.answered,
            "right": choice.right,
            "groups": choice.groups,
            "bound": round(choice.bound, 4),
        }
    order = [best.level for best in bests if best.level in thresholds]
    record = {
        "promise": settings.promise,
        "confidence": settings.confidence,
        "method": METHOD,
        "media": len(labels),
        "groups": len(np.unique(groups)),
        "chosen_on": {level: table[level] for level in order},
        "unanswered": int(open_rows.sum()),
    }
    return {level: thresholds[level] for level in order}, record
