"""Heads of a tree fitted together, and what they say of each class. Pure numbers.

A decision knows for each media which of its children the media's label leaves possible: one child where the
label is fine enough, several where it stops above them. The loss of a media is the sum over its decisions of
-log P(one of the possible children), so that a label that stops early trains the decisions above it and says
nothing of those below. With one possible child each this is the log loss of the path to the label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trapline.training.arrays import Flags, Floats, Rows, Singles
from trapline.training.linear import LinearLayer, standardised, view_logits

_MAX_ITERATIONS = 300
_TOLERANCE = 1e-5  # of the gradient, as scikit-learn's


@dataclass(frozen=True)
class HeadTargets:
    """What N media say at one head of K children.

    Attributes:
        name: of the head.
        possible: bool [N, K]; a row without any says nothing here.
        weights: [N], how much each media counts; those that say something average 1.
    """

    name: str
    possible: Flags
    weights: Floats

    @property
    def heard(self) -> Flags:
        """[N]: which media say something here."""
        return np.asarray(self.possible.any(axis=1))

    def of(self, rows: Rows) -> HeadTargets:
        """The same of some of the media."""
        return HeadTargets(self.name, self.possible[rows], self.weights[rows])


Fitted = Mapping[str, LinearLayer]
"""Head name → the head."""


def fit_together(
    features: Singles,
    decisions: Sequence[HeadTargets],
    weight_decay: float,
    *,
    view_weights: Sequence[float] = (1.0,),
    start: Fitted | None = None,
) -> dict[str, LinearLayer]:
    """Fit heads on the sum of their losses by one run of L-BFGS (Liu & Nocedal 1989; SciPy's).

    The loss is the mean over all N media of the sum over the decisions, plus `weight_decay / 2` times the
    squared weights of standardised features. A child that no media leaves possible keeps a chance of half a
    media in N; a head that no media reaches knows nothing: all its children are equally probable.

    Args:
        features: float32 [N, V, D].
        decisions: of the N media.
        weight_decay: strength of the regularisation.
        view_weights: [V], the share of each view.
        start: heads to start from.
    """
    scaled = standardised(features, view_weights)
    views = features.shape[1]
    problems = [_Problem.make(decision, scaled.values, scaled.weights, views) for decision in decisions]
    width = sum(problem.size for problem in problems)
    size = features.shape[2]
    parameters = np.zeros((size + 1, width))
    slices = np.split(np.arange(width), np.cumsum([problem.size for problem in problems])[:-1])
    if start is not None:
        for problem, indices in zip(problems, slices, strict=True):
            head = start[problem.name]
            parameters[:-1, indices] = head.weights[:, problem.present]
            parameters[-1, indices] = head.bias[problem.present]
    fitted = _minimise(problems, slices, parameters, weight_decay)
    return {
        problem.name: LinearLayer(
            scaled.mean, scaled.scale, *problem.whole(fitted[:, indices], len(features))
        )
        for problem, indices in zip(problems, slices, strict=True)
    }


@dataclass(frozen=True)
class _Problem:
    """A decision in the shape of the optimisation: rows are views of the media that are heard."""

    name: str
    children: int
    present: Rows  # children that some media leaves possible
    values: Singles  # [rows, D]
    possible: Flags  # [rows, present]
    weights: Singles  # [rows]

    @property
    def size(self) -> int:
        return len(self.present)

    @classmethod
    def make(cls, decision: HeadTargets, values: Floats, of_view: Floats, views: int) -> _Problem:
        heard = decision.heard
        present = np.flatnonzero(decision.possible[heard].any(axis=0))
        rows = np.repeat(heard, views)
        possible = np.repeat(decision.possible[heard][:, present], views, axis=0)
        weights = of_view[rows] * np.repeat(decision.weights[heard], views)
        return cls(
            decision.name,
            decision.possible.shape[1],
            present,
            values[rows].astype(np.float32),
            possible,
            weights.astype(np.float32),
        )

    def loss(self, parameters: Singles) -> tuple[float, Singles]:
        """The weighted loss and its gradient, for parameters [D + 1, present], the bias last."""
        logits = self.values @ parameters[:-1] + parameters[-1]
        every = logits - _log_sum(logits)
        allowed = np.where(self.possible, logits, -np.inf)
        allowed = allowed - _log_sum(allowed)
        inside = (every * self.possible).sum(axis=1)  # only for one possible child; else below
        several = self.possible.sum(axis=1) > 1
        if several.any():
            inside[several] = _log_sum(np.where(self.possible, every, -np.inf)[several])[:, 0]
        slope = (np.exp(every) - np.exp(allowed)) * self.weights[:, None]
        gradient = np.vstack([self.values.T @ slope, slope.sum(axis=0)])
        return -float(self.weights @ inside), gradient

    def whole(self, parameters: Floats, media: int) -> tuple[Floats, Floats]:
        """Weights [D, children] and bias [children]."""
        weights, bias = np.zeros((len(parameters) - 1, self.children)), np.zeros(self.children)
        if self.size == 0:
            return weights, bias
        weights[:, self.present], bias[self.present] = parameters[:-1], parameters[-1]
        absent = np.setdiff1d(np.arange(self.children), self.present)
        logits = self.values @ parameters[:-1] + parameters[-1]
        bias[absent] = float(_log_sum(logits).mean()) + np.log(0.5 / media)
        return weights, bias


def _minimise(
    problems: Sequence[_Problem], slices: Sequence[Rows], start: Floats, weight_decay: float
) -> Floats:
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    shape = start.shape
    if not start.size:  # no media says anything; older SciPy refuses to minimise over nothing
        return start

    def loss(flat: Floats) -> tuple[float, Floats]:
        parameters = flat.reshape(shape)
        single = parameters.astype(np.float32)
        total = weight_decay / 2 * float((parameters[:-1] ** 2).sum())
        gradient = weight_decay * parameters
        gradient[-1] = 0
        for problem, indices in zip(problems, slices, strict=True):
            if problem.size > 1:
                value, slope = problem.loss(single[:, indices])
                total += value
                gradient[:, indices] += slope
        return total, gradient.ravel()

    with threadpool_limits(1):  # narrow matrices: threads only wait for each other
        optimum = minimize(
            loss,
            start.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_ITERATIONS, "gtol": _TOLERANCE, "ftol": 1e-9},
        )
    return np.asarray(optimum.x).reshape(shape)


def _log_sum(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """log Σ exp over the last axis, kept as an axis of 1."""
    top = values.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis=-1, keepdims=True)) + top)


def losses(
    heads: Fitted, decisions: Sequence[HeadTargets], features: Singles, views: Sequence[int]
) -> Floats:
    """[N]: the sum over the decisions of -log P(a possible child); NaN where a media says nothing."""
    total, heard = np.zeros(len(features)), np.zeros(len(features), bool)
    for decision in decisions:
        rows = np.flatnonzero(decision.heard)
        if len(rows):
            logits = view_logits(heads[decision.name], features[rows], views)
            allowed = np.where(decision.possible[rows], logits, -np.inf)
            total[rows] += (_log_sum(logits) - _log_sum(allowed))[:, 0]
            heard[rows] = True
    return np.where(heard, total, np.nan)


def hits(head: LinearLayer, decision: HeadTargets, features: Singles, views: Sequence[int]) -> Floats:
    """[N]: 1 where the most probable child is the only possible one, else 0; NaN but where one is."""
    correct = np.full(len(features), np.nan)
    rows = np.flatnonzero(decision.possible.sum(axis=1) == 1)
    if len(rows):
        answers = view_logits(head, features[rows], views).argmax(axis=1)
        correct[rows] = decision.possible[rows, answers]
    return correct


def class_logits(
    heads: Sequence[LinearLayer], paths: Floats, features: Singles, views: Sequence[int]
) -> Floats:
    """[N, classes]: log P(class), the sum of the conditional log probabilities along its path.

    Args:
        heads: in the order of the rows of `paths`.
        paths: 0/1 [children of all heads, classes].
        features: float32 [N, V, D].
        views: those whose logits prediction averages.
    """
    total = np.zeros((len(features), paths.shape[1]))
    for view in views:
        columns = []
        for head in heads:
            logits = head.logits(features[:, view])
            columns.append(logits - _log_sum(logits))
        total += np.hstack(columns) @ paths
    return total / len(views)
