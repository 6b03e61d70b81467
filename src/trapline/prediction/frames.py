"""From the frames of an event to one answer for the event: the numbers. `pooling` does it to tables.

Cameras shoot bursts, and the frames of a burst show one visit: a blurred tail in one and the whole animal in
the next. Of the probabilities p of one label in the n frames of an event,

- `mean` takes Σ p / n,
- `max` the largest,
- `noisy-or` 1 − ∏ (1 − p): as if the frames were independent looks, which they hardly are,
- `mean-logit` the sigmoid of the mean log odds,
- `geometric-mean` (∏ p)^(1/n),
- `first` that of the first good frame, as published pipelines do.

An event is blank only if all of its frames are: for the label `blank`, `max` takes the least p and `noisy-or`
∏ p. The labels of a single-label model, and of one whose labels exclude each other, are then scaled to sum
to 1. With two labels that makes `mean-logit`
and `geometric-mean` the same (both average the logit between the two). With more they differ:
`geometric-mean` is the softmax of the mean logits, and one frame that rules a label out weighs there as much
as in `mean-logit`; but a frame that is sure of a label (p near 1, long odds) weighs more in `mean-logit`,
where p / (1 − p) grows without bound, than in `geometric-mean`, where log p ends at 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trapline.metrics import log_odds, sigmoid
from trapline.models import Calibration, Card, EventPooling, PoolingMethod, apply_calibration
from trapline.taxonomy import BLANK, Hierarchy

Floats = npt.NDArray[np.float64]

_LEAST = 1e-7


def apply_pooling(
    probabilities: Floats,
    weights: Floats,
    codes: npt.NDArray[np.int64],
    pooling: EventPooling,
    task: str,
    labels: Sequence[str],
    whole: bool = True,
) -> Floats:
    """Pool frames and calibrate the events: float64 [events, labels], NaN where an event has no good frame.

    Args:
        probabilities: [N, labels], anything where the weight is 0; the frames of each event in the order
            they were shot, which `first` goes by.
        weights: [N], summing to 1 over the good frames of each event, 0 for the others.
        codes: [N], the event of each frame, 0..events-1.
        pooling: methods and calibration.
        task: `single-label` or `multi-label`.
        labels: in the order of the columns.
        whole: every label has its probability; if only the surest do, what is left of 1 is not given to them.
    """
    columns = [
        pool_column(
            probabilities[:, index], weights, codes, pooling.by_label.get(label, pooling.method), label
        )
        for index, label in enumerate(labels)
    ]
    pooled = np.stack(columns, axis=1)
    if not whole:
        pooled[pooled <= 2 * _LEAST] = 0  # what no frame tells of
    form = event_form(pooling.calibration, task)
    if form == "single-label":
        pooled = pooled / np.maximum(pooled.sum(axis=1, keepdims=True), 1e-300 if whole else 1)
    if pooling.calibration.method != "none":
        pooled = apply_calibration(pooled_logits(pooled, form), pooling.calibration, task, labels)
    pooled[np.bincount(codes, weights) == 0] = np.nan
    return pooled


def event_form(calibration: Calibration, task: str) -> str:
    """`single-label` where the answers for an event sum to 1: of one label, or of labels that exclude each
    other; else `multi-label`.

    Args:
        calibration: of events.
        task: of the model.
    """
    return "single-label" if calibration.exclusive else task


def keep_blanks_of_frames(own: Floats, pooled: Floats, labels: Sequence[str]) -> Floats:
    """Frames that say for themselves whether they are blank, and with their event what is there if not.

    With b the frame's own probability of `blank`, and B and P those of its event: `blank` has b, and another
    label (1 − b) · P / (1 − B), which of several labels is at most 1 − b. Of one label a frame they sum to 1
    as those of the event do. Where the event's `blank` is 1, it tells of no other label: the frame's own
    stand there.

    Args:
        own: [N, labels], of the frames; NaN where one failed.
        pooled: [N, labels], of the event of each.
        labels: with `blank`.
    """
    blank = list(labels).index(BLANK)
    own_blank, of_event = own[:, [blank]], pooled[:, [blank]]
    shares = np.where(
        1 - of_event < _LEAST,
        own / np.maximum(1 - own_blank, _LEAST),
        pooled / np.maximum(1 - of_event, _LEAST),
    )
    answers = (1 - own_blank) * np.minimum(shares, 1.0)  # shares: if anything is there
    answers[:, blank] = own_blank[:, 0]
    return np.asarray(answers)


def pooled_logits(pooled: Floats, task: str) -> Floats:
    """What the calibration of events is fitted on and applied to: finite, also where all frames are sure.

    Args:
        pooled: [events, labels], probabilities; of `single-label` they sum to 1.
        task: `single-label` or `multi-label`.
    """
    return log_odds(pooled) if task == "multi-label" else np.log(np.maximum(pooled, _LEAST))


def pool_nodes(
    probabilities: Floats, weights: Floats, codes: npt.NDArray[np.int64], hierarchy: Hierarchy
) -> Floats:
    """As the published cascade pools: at each node the mean of what the frames say there.

    What a frame says at a node is P(child | node), so that each counts alike there, also one that is sure to
    be elsewhere; a class has the product of the means along its path. float64 [events, classes], each row
    summing to 1; NaN where an event has no good frame. The other arguments are those of `apply_pooling`.
    """
    classes, events = len(hierarchy.classes.names), int(codes.max()) + 1
    good = np.where(weights[:, None] > 0, probabilities, 1 / classes)
    pooled = np.ones((events, classes))
    for head in hierarchy.heads:
        below = hierarchy.below(head)
        shares = np.maximum(good @ below, 1e-300)
        shares = weights[:, None] * shares / shares.sum(axis=1, keepdims=True)
        means = np.stack([np.bincount(codes, share, events) for share in shares.T], axis=1)
        pooled *= np.where(below.any(axis=1), means @ below.T, 1.0)
    pooled[np.bincount(codes, weights, events) == 0] = np.nan
    return pooled


def pool_column(
    probabilities: Floats,
    weights: Floats,
    codes: npt.NDArray[np.int64],
    method: PoolingMethod,
    label: str = "",
) -> Floats:
    """The probabilities [N] of one label pooled to [events]; see `apply_pooling`.

    Frames stand in their order.
    """
    values = np.clip(np.where(weights > 0, np.nan_to_num(probabilities, nan=0.5), 0.5), _LEAST, 1 - _LEAST)
    if label == BLANK and method in ("max", "noisy-or"):
        return 1 - pool_column(1 - values, weights, codes, method)
    if method == "max":
        pooled = np.zeros(int(codes.max()) + 1)
        np.maximum.at(pooled, codes, np.where(weights > 0, values, 0.0))
        return pooled
    if method == "first":
        good = np.flatnonzero(weights > 0)
        pooled = np.full(int(codes.max()) + 1, 0.5)
        events, first_rows = np.unique(codes[good], return_index=True)
        pooled[events] = values[good[first_rows]]
        return pooled
    if method == "mean":
        return np.asarray(np.bincount(codes, weights * values))
    if method == "mean-logit":
        return sigmoid(np.bincount(codes, weights * log_odds(values)))
    if method == "geometric-mean":
        return np.asarray(np.exp(np.bincount(codes, weights * np.log(values))))
    looks = np.bincount(codes, weights > 0)[codes]
    return np.asarray(-np.expm1(np.bincount(codes, weights * looks * np.log1p(-values))))


def pool_frames(probabilities: npt.NDArray[np.float32], card: Card) -> npt.NDArray[np.float32]:
    """One event's frames, [frames, labels], all good and of equal weight, as the card says: [labels]."""
    weights = np.full(len(probabilities), 1 / len(probabilities))
    codes = np.zeros(len(probabilities), np.int64)
    values = probabilities.astype(np.float64)
    pooled = apply_pooling(values, weights, codes, card.pooling, card.task, card.labels)
    return np.asarray(pooled[0], np.float32)
