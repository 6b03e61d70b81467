"""Whether a probability of 0.8 is right eight times in ten, and what to do where it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.errors import DataError, many
from trapline.metrics.inputs import Floats, Weights, check, check_truth, check_weights, ratio

BINS = 15
"""Of a reliability diagram."""

TEMPERATURES = (0.05, 20.0)
"""The range in which a temperature is sought."""


@dataclass(frozen=True)
class CalibrationBin:
    """The predictions whose confidence lies in (`low`, `high`].

    Attributes:
        count: how many.
        confidence: their mean confidence; None if there are none.
        accuracy: the share of them that is right; None if there are none.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def _confidence_and_hits(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats]:
    array, values = check(truth, probabilities)
    if array.ndim == 1:
        return values.max(axis=1), (values.argmax(axis=1) == array).astype(np.float64)
    return values.ravel(), array.ravel().astype(np.float64)


def _bin_of(confidence: Floats, bins: int) -> npt.NDArray[np.int64]:
    """Equal-width bins, closed on the right; a confidence of 0 falls into the first."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def expected_calibration_error(
    truth: ArrayLike, probabilities: ArrayLike, weights: Weights = None, *, bins: int = BINS
) -> Floats:
    """Σ over bins of (share of the predictions in it) × |accuracy − mean confidence|, with equal-width bins.

    Single-label: of the most probable label (Guo et al. 2017, *On Calibration of Modern Neural Networks*).
    Multi-label: of every probability against whether its label is present.
    """
    count, confidence, hits = bin_sums(truth, probabilities, bins)
    w = check_weights(weights, len(count))
    return ratio(np.abs(w @ (hits - confidence)).sum(axis=-1), w @ count.sum(axis=-1))


def bin_sums(truth: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> tuple[Floats, Floats, Floats]:
    """Of each media, each [N, bins]: predictions in the bin, their confidence, and how many are right."""
    confidence, hits = _confidence_and_hits(truth, probabilities)
    media = len(np.asarray(truth))
    into = _bin_of(confidence, bins)[:, None] == np.arange(bins)

    def of_media(values: Floats) -> Floats:
        return np.asarray((into * values[:, None]).reshape(media, -1, bins).sum(axis=1))

    return of_media(np.ones_like(confidence)), of_media(confidence), of_media(hits)


def calibration_table(
    truth: ArrayLike, probabilities: ArrayLike, *, bins: int = BINS
) -> list[CalibrationBin]:
    """The bins behind `expected_calibration_error`, for a reliability diagram."""
    confidence, hits = _confidence_and_hits(truth, probabilities)
    into = _bin_of(confidence, bins)
    weights = (np.ones_like(confidence), confidence, hits)
    return table_of_bins(*(np.bincount(into, one, bins).astype(np.float64) for one in weights))


def table_of_bins(counts: Floats, confidence: Floats, hits: Floats) -> list[CalibrationBin]:
    """The table from the sums of each bin, as `bin_sums` gives them of each media."""
    bins, means, shares = len(counts), ratio(confidence, counts), ratio(hits, counts)
    return [
        CalibrationBin(
            low=index / bins,
            high=(index + 1) / bins,
            count=int(counts[index]),
            confidence=float(means[index]) if counts[index] else None,
            accuracy=float(shares[index]) if counts[index] else None,
        )
        for index in range(bins)
    ]


def fit_temperature(
    logits: ArrayLike, truth: ArrayLike, weights: Weights = None, *, strength: float = 1.0
) -> float:
    """The temperature T of softmax(logits / T), or of sigmoid(logits / T), that the media make most probable.

    The log loss over all media (Guo et al. 2017) plus strength · (1 / T + log T), a weak prior (Gamma(2, 1)
    of 1 / T with a strength of 1, its mode at T = 1): a few media without a mistake would have any T near 0,
    and hundreds with some do not notice it. The sum is convex in 1 / T, so that the one minimum is found by a
    bounded search.

    Args:
        logits: [N, K], before any calibration.
        truth: int [N] (single-label, softmax) or 0/1 [N, K] (multi-label, sigmoid).
        weights: [N], how often each media counts, or for multi-label [N, K], each label of it; None for once.
        strength: of the prior; the standard deviation of 1 / T is about one over its root.

    Returns:
        T within `TEMPERATURES`; above 1 where the model is overconfident.

    Raises:
        DataError: shapes that do not fit, or logits that are not finite.
    """
    from scipy.optimize import minimize_scalar

    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError("Logits must be finite and of shape [media, labels].")
    array = check_truth(truth, values, "logits")
    cells = weights is not None and np.ndim(weights) == 2 and array.ndim == 2
    w = np.asarray(weights, np.float64) if cells else check_weights(weights, len(values))
    if (w.ndim != 1 and w.shape != values.shape) or w.sum() == 0:
        raise DataError("A temperature needs weights of shape [media] that are not all 0.")
    losses = _softmax_losses if array.ndim == 1 else _cell_losses if cells else _sigmoid_losses
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    optimum = minimize_scalar(
        lambda inverse: (
            float((w * losses(values * inverse, array)).sum()) + strength * (inverse - np.log(inverse))
        ),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(1 / optimum.x)


def _softmax_losses(logits: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    return np.asarray(total - logits[np.arange(len(truth)), truth])


def _sigmoid_losses(logits: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(_cell_losses(logits, truth).sum(axis=1))


def _cell_losses(logits: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(np.logaddexp(0, logits) - truth * logits)


SPREADS = (0.25, 0.5, 1.0, 2.0)
"""The standard deviations between which the offsets of a softmax are averaged."""
SLOPE_STRENGTH = 4.0
"""Of the prior of their slope (see `fit_temperature`): with offsets a few media say less of it."""


def fit_offsets(logits: ArrayLike, truth: ArrayLike) -> tuple[float, Floats]:
    """A slope for all labels and an offset for each, for softmax(slope · logits + offsets).

    A temperature corrects how sure a model is; the offsets correct which labels it says too often, as where
    labels have other shares than in its training (vector scaling of Guo et al. 2017 with one slope). The
    slope has the prior of `fit_temperature`, `SLOPE_STRENGTH` strong; the offsets are drawn from a normal
    distribution around 0. How wide that is (`SPREADS`), or whether the logits need no offsets, or nothing at
    all, the media say: each is weighed by its evidence (Laplace's approximation: MacKay 1992, *Bayesian
    Interpolation*) and log slope and offsets are averaged. So a few media change little, a label that none of
    them shows keeps an offset not far below 0, and of many media the prior is not noticed.

    Args:
        logits: [N, K], before any calibration.
        truth: int [N].

    Returns:
        the slope, above 0, and offsets [K], whose mean is 0.

    Raises:
        DataError: shapes that do not fit, or logits that are not finite.
    """
    values = np.asarray(logits, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError("Logits must be finite and of shape [media, labels].")
    array = check_truth(truth, values, "logits")
    if array.ndim != 1:
        raise DataError("A softmax has one label a media; offsets of several labels are of fit_scaling.")
    labels = values.shape[1]
    values = values - values.mean(axis=1, keepdims=True)
    slope = 1 / fit_temperature(values, array, strength=SLOPE_STRENGTH)
    fits = [(1.0, np.zeros(labels)), (slope, np.zeros(labels))]
    evidence = [-float(_softmax_losses(values, array).sum()), _evidence(values, array, *fits[1], None)]
    for spread in SPREADS:
        fits.append(_fit_offsets(values, array, slope, spread))
        evidence.append(_evidence(values, array, *fits[-1], spread))
    before = np.log([len(SPREADS)] * 2 + [2] * len(SPREADS))  # as likely without offsets as with
    weights = softmax((before + evidence)[None])[0]
    slopes, offsets = (np.array(parts) for parts in zip(*fits, strict=True))
    return float(np.exp(weights @ np.log(slopes))), np.asarray(weights @ offsets)


def _fit_offsets(
    logits: Floats, truth: npt.NDArray[np.int64], slope: float, spread: float
) -> tuple[float, Floats]:
    """The maximum of the posterior, which is convex in slope and offsets; the search starts at `slope`."""
    from scipy.optimize import minimize

    labels = logits.shape[1]
    shown = np.bincount(truth, minlength=labels)
    of_truth = float(logits[np.arange(len(truth)), truth].sum())

    def posterior(parameters: Floats) -> tuple[float, Floats]:
        inverse, offsets = parameters[0], parameters[1:]
        chances = softmax(logits * inverse + offsets)
        loss = float(_softmax_losses(logits * inverse + offsets, truth).sum())
        loss += SLOPE_STRENGTH * (inverse - np.log(inverse))
        by_slope = float((chances * logits).sum()) - of_truth + SLOPE_STRENGTH * (1 - 1 / inverse)
        by_offset = chances.sum(axis=0) - shown + offsets / spread**2
        return loss + float((offsets**2).sum()) / (2 * spread**2), np.concatenate([[by_slope], by_offset])

    bounds = [(1 / TEMPERATURES[1], 1 / TEMPERATURES[0]), *[(None, None)] * labels]
    start = np.concatenate([[slope], np.zeros(labels)])
    best = minimize(posterior, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(best[0]), best[1:] - best[1:].mean()


def _evidence(
    logits: Floats, truth: npt.NDArray[np.int64], slope: float, offsets: Floats, spread: float | None
) -> float:
    """The log of what the media's chance integrates to around a maximum; without `spread` over the slope."""
    chances, k = softmax(logits * slope + offsets), SLOPE_STRENGTH
    weighted = chances * logits
    mean = weighted.sum(axis=1)
    curvature = np.array([[float((weighted * logits).sum() - (mean**2).sum()) + k / slope**2]])
    loss = float(_softmax_losses(logits * slope + offsets, truth).sum()) + k * (slope - np.log(slope))
    loss += math.lgamma(k + 1) - (k + 1) * np.log(k)
    if spread is not None:
        both = weighted.sum(axis=0) - chances.T @ mean
        own = np.diag(chances.sum(axis=0) + 1 / spread**2) - chances.T @ chances
        curvature = np.block([[curvature, both[None]], [both[:, None], own]])
        loss += float((offsets**2).sum()) / (2 * spread**2) + len(offsets) * np.log(spread)
    return float(np.log(2 * np.pi) / 2 - loss - np.linalg.slogdet(curvature)[1] / 2)


def fit_scaling(
    logits: ArrayLike, truth: ArrayLike, weights: Weights = None, *, spread: float = 0.3
) -> tuple[Floats, Floats]:
    """A slope and an offset a label that minimise the log loss of sigmoid(slope · logits + offset).

    Platt's scaling (1999), held together: the labels' log slopes and offsets are drawn from normal
    distributions around shared ones, so that a label with few positives keeps near the others (the maximum
    of the posterior; shared values have standard deviation 1 and 3).

    Args:
        logits: [N, K], before any calibration.
        truth: 0/1 [N, K].
        weights: 0..1 [N, K], what each label of each media counts; None for all 1.
        spread: standard deviation of the labels' log slopes, and half that of their offsets; 0 for one slope
            and one offset for all labels.

    Returns:
        slopes [K], above 0, and offsets [K].
    """
    from scipy.optimize import minimize

    values, array = np.asarray(logits, np.float64), np.asarray(truth, np.float64)
    if values.ndim != 2 or values.shape != array.shape or not np.isfinite(values).all():
        raise DataError("Logits must be finite and, as the truth, of shape [media, labels].")
    counts = np.ones_like(values) if weights is None else np.asarray(weights, np.float64)
    labels = values.shape[1]
    own = labels if spread > 0 else 0

    def unpack(parameters: Floats) -> tuple[Floats, Floats]:
        slopes, offsets = np.full(labels, parameters[0]), np.full(labels, parameters[1])
        if own:
            slopes, offsets = slopes + parameters[2 : 2 + own], offsets + parameters[2 + own :]
        return np.exp(slopes), offsets

    def posterior(parameters: Floats) -> tuple[float, Floats]:
        slopes, offsets = unpack(parameters)
        scaled = values * slopes + offsets
        off = (1 / (1 + np.exp(-np.clip(scaled, -700, 700))) - array) * counts
        by_slope, by_offset = (off * values).sum(axis=0) * slopes, off.sum(axis=0)
        loss = float((counts * (np.logaddexp(0, scaled) - array * scaled)).sum())
        widths = np.array([1.0, 3.0] + [spread] * own + [2 * spread] * own)
        gradient = np.concatenate([[by_slope.sum(), by_offset.sum()], by_slope[:own], by_offset[:own]])
        return loss + float((parameters**2 / (2 * widths**2)).sum()), gradient + parameters / widths**2

    best = minimize(posterior, np.zeros(2 + 2 * own), jac=True, method="L-BFGS-B")
    return unpack(best.x)


def shift_logits(
    logits: ArrayLike, from_prior: ArrayLike, to_prior: ArrayLike, *, multi_label: bool = False
) -> Floats:
    """Logits of a model trained under one class prior, as they would be under another.

    Bayes' rule: only the priors differ, so that each logit moves by log(to / from) (Saerens et al. 2002,
    *Adjusting the Outputs of a Classifier to New a Priori Probabilities*); for multi-label by the
    difference of the priors' own logits.

    Args:
        logits: [N, K].
        from_prior: [K], the label frequencies training saw (uniform after balanced sampling).
        to_prior: [K], those to be expected.
        multi_label: priors are chances a label (0..1 exclusive), not shares of a whole.

    Raises:
        DataError: a prior of another length, or one that is not positive (a label never seen has no shift).
    """
    values = np.asarray(logits, dtype=np.float64)
    seen, wanted = (np.asarray(prior, dtype=np.float64) for prior in (from_prior, to_prior))
    for name, prior in (("from_prior", seen), ("to_prior", wanted)):
        if prior.shape != values.shape[-1:] or not (np.isfinite(prior) & (prior > 0)).all():
            raise DataError(
                f"{name} needs one positive number for each of the {many(values.shape[-1], 'label')}."
            )
        if multi_label and (prior >= 1).any():
            raise DataError(f"{name} has a chance of 1 or more.")
    if multi_label:
        return np.asarray(values + np.log(wanted / (1 - wanted)) - np.log(seen / (1 - seen)))
    return np.asarray(values + np.log(wanted / wanted.sum()) - np.log(seen / seen.sum()))


def probabilities_of(
    logits: ArrayLike, task: str, shift: Sequence[float] = (), temperature: float = 1.0
) -> Floats:
    """What a model file makes of its logits: softmax or sigmoid of (logits + shift) / temperature."""
    values = (np.asarray(logits, np.float64) + (np.asarray(shift) if len(shift) else 0.0)) / temperature
    if task == "multi-label":
        return np.asarray(1 / (1 + np.exp(-np.clip(values, -700, 700))))
    return softmax(values)


def softmax(logits: Floats) -> Floats:
    """exp(x) / Σ exp(x) over the labels of [N, K], without overflow."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
