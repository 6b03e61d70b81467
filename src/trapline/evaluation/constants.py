"""Guesses that look at no photo: what a model must beat before anything else is said about it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trapline import metrics
from trapline.evaluation.result import ConstantGuess
from trapline.evaluation.training_media import Training
from trapline.models import blank_column


def compare_with_constants(
    truth: npt.NDArray[np.int64],
    labels: tuple[str, ...],
    trained_on: Training,
    *,
    weights: npt.NDArray[np.float64] | None = None,
    exclusive: bool = False,
    kept: int | None = None,
) -> tuple[ConstantGuess, ...]:
    """Every figure for a uniform guess, the label frequencies, and the most frequent label.

    Frequencies are those of the training media where these are known, else those of the evaluated media
    themselves, which flatters the guess; its meaning says which. A guess is judged as a model is: of several
    labels `blank` is said alone.

    Args:
        truth: of the evaluated media, as the metrics take it.
        labels: its columns.
        trained_on: what is known of the training.
        weights: how many media each row of the truth stands for; None for one.
        exclusive: as of `metrics.measure`, likewise `kept`.
        kept: see there.
    """
    single = truth.ndim == 1
    known = trained_on.frequencies(labels, single)
    prior = known if known is not None else _own_frequencies(truth, weights, len(labels))
    source = "training media" if known is not None else "evaluated media themselves"
    uniform = np.full(len(labels), 1 / len(labels) if single else 0.5)
    guesses = [
        ("uniform", "every label alike" if single else "every label with probability 0.5", uniform),
        ("priors", f"the label frequencies of the {source}", prior),
    ]
    if single:
        majority = np.zeros(len(labels))
        majority[prior.argmax()] = 1
        name = labels[int(prior.argmax())]
        guesses.append(("majority", f"always {name}, the most frequent label of the {source}", majority))
    else:
        guesses.append(("nothing", "no label at all", np.zeros(len(labels))))
    blank = None if single else blank_column(labels)
    results = []
    for name, meaning, row in guesses:
        alike = np.tile(row, (len(truth), 1))
        measured = metrics.measure(truth, alike, weights, blank, exclusive, kept)
        figures = {key: float(value) for key, value in measured.items() if not np.isnan(value)}
        results.append(ConstantGuess(name=name, meaning=meaning, metrics=figures))
    return tuple(results)


def _own_frequencies(
    truth: npt.NDArray[np.int64], weights: npt.NDArray[np.float64] | None, labels: int
) -> npt.NDArray[np.float64]:
    if truth.ndim == 2:
        return np.asarray(np.average(truth, axis=0, weights=weights))
    return np.bincount(truth, weights, labels) / (len(truth) if weights is None else weights.sum())
