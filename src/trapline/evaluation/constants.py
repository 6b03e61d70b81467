"""Guesses that look at no photo: what a model must beat before anything else is said about it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trapline import metrics
from trapline.evaluation.matching import Matched
from trapline.evaluation.result import ConstantGuess
from trapline.evaluation.training_media import Training


def compare_with_constants(matched: Matched, trained_on: Training) -> tuple[ConstantGuess, ...]:
    """Every figure for a uniform guess, the label frequencies, and the most frequent label.

    Frequencies are those of the training media where these are known, else those of the evaluated media
    themselves, which flatters the guess; its meaning says which.
    """
    labels = len(matched.labels)
    single = matched.truth.ndim == 1
    known = trained_on.frequencies(matched.labels, single)
    prior = known if known is not None else _own_frequencies(matched.truth, labels)
    source = "training media" if known is not None else "evaluated media themselves"
    uniform = np.full(labels, 1 / labels if single else 0.5)
    guesses = [
        ("uniform", "every label alike" if single else "every label with probability 0.5", uniform),
        ("priors", f"the label frequencies of the {source}", prior),
    ]
    if single:
        majority = np.zeros(labels)
        majority[prior.argmax()] = 1
        name = matched.labels[int(prior.argmax())]
        guesses.append(("majority", f"always {name}, the most frequent label of the {source}", majority))
    else:
        guesses.append(("nothing", "no label at all", np.zeros(labels)))
    return tuple(_constant(name, meaning, row, matched) for name, meaning, row in guesses)


def _own_frequencies(truth: npt.NDArray[np.int64], labels: int) -> npt.NDArray[np.float64]:
    if truth.ndim == 2:
        return np.asarray(truth.mean(axis=0))
    return np.bincount(truth, minlength=labels) / len(truth)


def _constant(name: str, meaning: str, row: npt.NDArray[np.float64], matched: Matched) -> ConstantGuess:
    alike = np.tile(row, (len(matched.truth), 1))
    measured = metrics.measure(matched.truth, alike, exclusive=matched.exclusive, kept=matched.kept)
    figures = {key: float(value) for key, value in measured.items() if not np.isnan(value)}
    return ConstantGuess(name=name, meaning=meaning, metrics=figures)
