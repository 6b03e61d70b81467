"""The label shares of new media, of a model's own answers for them; and the answers under those shares.

A model answers as if labels were as common as where it learnt. Where that alone has changed (label shift),
the new shares are the fixed point of Bayes' rule and a mean: Saerens, Latinne and Decaestecker 2002,
*Adjusting the Outputs of a Classifier to New a Priori Probabilities*. Of labels that do not exclude each
other each has its own share and its own fixed point. `kept` media of the old shares are counted beside the
new: without them a rare label that the model does not see is ruled out. Shapes: answers [N, K], shares [K].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trapline.errors import DataError
from trapline.metrics.inputs import Floats
from trapline.metrics.several import log_odds, sigmoid

LEAST = 1e-6
"""Shares and answers are kept this far from 0 and 1."""
_STEPS, _STILL = 1000, 1e-9


def shift_shares(
    answers: ArrayLike, before: ArrayLike, after: ArrayLike, *, multi_label: bool = False
) -> Floats:
    """[N, K]: the answers as they are where labels have other shares: Bayes' rule.

    Args:
        answers: given as if `before`.
        before: [K], shares where the model learnt.
        after: [K], shares here.
        multi_label: whether labels do not exclude each other.
    """
    if multi_label:
        shift = log_odds(after, LEAST) - log_odds(before, LEAST)
        return sigmoid(log_odds(answers, LEAST) + shift)
    weighed = np.clip(np.asarray(answers, float), LEAST, 1) * np.asarray(after) / np.asarray(before)
    return np.asarray(weighed / weighed.sum(axis=1, keepdims=True))


def estimate_shares(
    answers: ArrayLike, before: ArrayLike, *, kept: float = 0.0, multi_label: bool = False
) -> Floats:
    """[K]: the shares of the labels among these media, by expectation and maximisation.

    Args:
        answers: [N, K], calibrated where the labels' shares were `before`.
        before: [K].
        kept: so many media of the old shares count beside these.
        multi_label: whether labels do not exclude each other.

    Raises:
        DataError: no answers, answers that are not finite, or shares outside 0 to 1.
    """
    values = np.asarray(answers, float)
    old = np.clip(np.asarray(before, float), LEAST, 1 - LEAST)
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise DataError("Shares are estimated of finite answers, [media, labels], of at least one media.")
    if old.shape != values.shape[1:] or not np.isfinite(old).all():
        raise DataError("There must be one share a label, from 0 to 1.")
    after = old
    for _ in range(_STEPS):
        answered = shift_shares(values, old, after, multi_label=multi_label)
        last, after = after, (kept * old + answered.sum(axis=0)) / (kept + len(values))
        after = np.clip(after, LEAST, 1 - LEAST)
        if np.abs(after - last).max() < _STILL:
            break
    return np.asarray(after, np.float64)
