"""What a model of taxa would answer by each of its card's choices: how many photos, and how often rightly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trapline.evaluation.rank_truth import RankTruth
from trapline.evaluation.result_part import ResultPart
from trapline.evaluation.rolled_up import verdicts_on
from trapline.models import Interval
from trapline.prediction import Ranks
from trapline.taxonomy import LEVELS, answered_at

_SAMPLES = 300


class CurvePoint(ResultPart):
    """Of one choice at one level.

    Attributes:
        promise: the share of right answers that its thresholds keep.
        chosen: whether these are the thresholds of the answers that are judged.
        level: a rank, or `kind`.
        answered: the share of media that are answered there, finer, or as finely as the model can.
        precision: of these answers the share that is right.
    """

    promise: float
    chosen: bool
    level: str
    answered: float
    precision: Interval | None


def trace_curve(truth: RankTruth, ranks: Ranks) -> tuple[CurvePoint, ...]:
    """The curve on the evaluated media, which chose nothing; empty where the card has no choices."""
    resampling = replace(truth.resampling, samples=min(_SAMPLES, truth.resampling.samples))
    points = []
    for choice in ranks.choices:
        rolled = ranks.answers(truth.probabilities, choice["thresholds"])
        verdict_of = verdicts_on(truth, ranks.taxonomy, rolled)
        right, wrong = verdict_of == "right", verdict_of == "wrong"
        for level in LEVELS:
            if level not in choice["curve"]:
                continue
            there = answered_at(rolled, level, ranks.taxonomy, ranks.labels)
            points.append(
                CurvePoint(
                    promise=choice["promise"],
                    chosen=choice["thresholds"] == ranks.thresholds,
                    level=level,
                    answered=float(np.mean(there)),
                    precision=resampling.share(right & there, (right | wrong) & there),
                )
            )
    return tuple(points)
