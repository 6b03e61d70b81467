"""Maximum likelihood for occupancy models, with Wald and profile-likelihood intervals.

Whatever was observed (`occupancy_evidence`), a location's likelihood is ψ exp(A) + (1 - ψ) exp(B), with
logit ψ = X β (MacKenzie et al. 2002). Its derivative needs the probability that the location is occupied
given what was observed there, w = ψ exp(A) / (ψ exp(A) + (1 - ψ) exp(B)): the score of a mixture is the mean
of its parts' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import expit
from scipy.stats import chi2, norm

from trapline.ecology.design import Floats
from trapline.ecology.occupancy_evidence import Evidence, bounds_of, log_odds_parts

LEVEL = 0.95
_Z = float(norm.ppf(0.5 + LEVEL / 2))
_DROP = float(chi2.ppf(LEVEL, 1))
_STEEP = 10.0
"""A standard error of log odds, for a column of standard deviation 1, beyond which there is no finite
estimate."""
_FARTHEST = 40.0
"""How far from its estimate a coefficient is followed, in log odds for a column of standard deviation 1."""
_TOLERANCE = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 2000, "maxfun": 20000}
_PROFILE_TOLERANCE = _TOLERANCE | {"ftol": 1e-10, "gtol": 1e-5}


@dataclass(frozen=True)
class IntervalEnds:
    """The ends of an interval; None where the likelihood does not end it."""

    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class OccupancyLikelihood:
    """The likelihood of one model.

    Attributes:
        columns: [N, K], of the formula of ψ.
        evidence: of the same N locations.
    """

    columns: Floats
    evidence: Evidence

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Of all parameters."""
        return [*bounds_of([""] * self.columns.shape[1]), *self.evidence.bounds]

    def log_likelihoods(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Of each location, [N], and the probability that it is occupied given what was observed, [N]."""
        k = self.columns.shape[1]
        present, absent = log_odds_parts(self.columns @ parameters[:k])
        with_it, without = self.evidence.logs(parameters[k:])
        with_it, without = present + with_it, absent + without
        return np.logaddexp(with_it, without), expit(with_it - without)

    def loss(self, parameters: Floats) -> tuple[float, Floats]:
        """Minus the log likelihood with what is known from elsewhere, and its derivative."""
        k = self.columns.shape[1]
        logs, occupied = self.log_likelihoods(parameters)
        outside, outside_slope = self.evidence.outside(parameters[k:])
        own = (occupied - expit(self.columns @ parameters[:k])) @ self.columns
        others = self.evidence.gradient(parameters[k:], occupied) + outside_slope
        return -float(logs.sum()) - outside, -np.concatenate([own, others])


@dataclass(frozen=True, eq=False)
class Maximum:
    """The best parameters of a likelihood.

    Attributes:
        likelihood: the model.
        parameters: [P], of standardised columns: ψ's first, then the evidence's.
        loss: minus the log likelihood there, with what is known from elsewhere.
    """

    likelihood: OccupancyLikelihood
    parameters: Floats
    loss: float

    @cached_property
    def log_likelihood(self) -> float:
        """Of what was observed, without what is known from elsewhere."""
        return float(self.likelihood.log_likelihoods(self.parameters)[0].sum())

    @cached_property
    def occupied(self) -> Floats:
        """The probability that each location is occupied, given what was observed there; [N]."""
        return self.likelihood.log_likelihoods(self.parameters)[1]

    @cached_property
    def at_bound(self) -> npt.NDArray[np.bool_]:
        """[P], whether a parameter stands at the end of its range: no estimate."""
        low, high = np.array(self.likelihood.bounds).T
        return np.asarray((self.parameters - low < 1e-3) | (high - self.parameters < 1e-3), np.bool_)

    @cached_property
    def covariance(self) -> Floats:
        """[P, P], the inverse of the observed information, infinite for what the data do not determine."""
        size = len(self.parameters)
        result = np.full((size, size), np.inf)
        free = np.flatnonzero(~self.at_bound)
        if not len(free):
            return result
        information = self._information()[np.ix_(free, free)]
        values, vectors = np.linalg.eigh(information)
        if values.min() <= max(values.max(), 1e-12) * 1e-12:
            return result
        result[np.ix_(free, free)] = (vectors / values) @ vectors.T
        result[np.ix_(free, np.flatnonzero(self.at_bound))] = 0.0
        result[np.ix_(np.flatnonzero(self.at_bound), free)] = 0.0
        return result

    def _information(self) -> Floats:
        """The second derivative of the loss, by central differences of its first."""
        size = len(self.parameters)
        rows = np.empty((size, size))
        for index in range(size):
            step = 1e-4 * max(1.0, abs(self.parameters[index]))
            shift = np.zeros(size)
            shift[index] = step
            above = self.likelihood.loss(self.parameters + shift)[1]
            rows[index] = (above - self.likelihood.loss(self.parameters - shift)[1]) / (2 * step)
        return (rows + rows.T) / 2

    def standard_error(self, direction: Floats) -> float | None:
        """Of a linear combination of the parameters; None where it has no finite estimate.

        Args:
            direction: [P], what each parameter is multiplied by.
        """
        used = np.flatnonzero(direction)
        part = self.covariance[np.ix_(used, used)]
        variance = float(direction[used] @ part @ direction[used]) if np.isfinite(part).all() else np.inf
        steep = _STEEP * float(np.abs(direction).max())
        return float(np.sqrt(variance)) if 0 < variance < steep**2 else None

    def covariance_with(self, direction: Floats) -> Floats:
        """Of each parameter with a linear combination of them, [P]; 0 where that is not determined."""
        used = np.flatnonzero(direction)
        products = self.covariance[:, used] @ direction[used]
        return np.where(np.isfinite(products), products, 0.0)

    def wald(self, direction: Floats) -> IntervalEnds:
        """Estimate ± z standard errors of a linear combination, 95 %."""
        error = self.standard_error(direction)
        if error is None:
            return IntervalEnds(None, None)
        middle = float(direction @ self.parameters)
        return IntervalEnds(middle - _Z * error, middle + _Z * error)

    def profile(self, direction: Floats) -> IntervalEnds:
        """All values of a linear combination that a likelihood-ratio test does not refuse, 95 %.

        An end is None where the likelihood does not fall far enough on that side: the estimate stands at a
        boundary.
        """
        return IntervalEnds(self._end(direction, -1.0), self._end(direction, 1.0))

    def _end(self, direction: Floats, side: float) -> float | None:
        middle = float(direction @ self.parameters)
        profile = _Profile(self, direction)
        error = self.standard_error(direction) or 1.0
        farthest = _FARTHEST * float(np.abs(direction).max())
        inner, outer = 0.0, _Z * error
        while profile.drop(middle + side * outer) < _DROP:
            inner, outer = outer, outer * 1.6
            if outer > farthest:
                return None

        def beyond(away: float) -> float:
            """Of the root of the drop, which is nearly linear, so that few steps lead to its zero."""
            return float(np.sqrt(max(profile.drop(middle + side * away), 0.0)) - np.sqrt(_DROP))

        away = brentq(beyond, inner, outer, xtol=1e-4 * outer, rtol=1e-4)
        return middle + side * float(away)


class _Profile:
    """The best log likelihood where a linear combination of the parameters has a value.

    Where the likelihood is round at its maximum, the search for the others begins where they would follow
    to if it
    were a paraboloid, and knows its curvature: few steps are left.
    """

    def __init__(self, maximum: Maximum, direction: Floats) -> None:
        self.maximum, self.direction = maximum, direction
        self.pivot = int(np.abs(direction).argmax())
        self.others = np.delete(np.arange(len(direction)), self.pivot)
        self.middle = float(direction @ maximum.parameters)
        self.known: dict[float, float] = {self.middle: 0.0}
        self.follow = np.zeros(len(self.others))
        self.spread: Floats | None = None
        error = maximum.standard_error(direction)
        if error is not None:
            self.follow = (maximum.covariance_with(direction) / error**2)[self.others]
            spread = maximum.covariance[np.ix_(self.others, self.others)]
            spread = spread - np.outer(self.follow, self.follow) * error**2
            if np.isfinite(spread).all() and len(spread) and np.linalg.eigvalsh(spread).min() > 1e-10:
                self.spread = spread

    def drop(self, value: float) -> float:
        """Twice how much lower than at the maximum it is there."""
        if value not in self.known:
            self.known[value] = 2 * (self._best(value) - self.maximum.loss)
        return self.known[value]

    def _best(self, value: float) -> float:
        if not len(self.others):
            return self._loss(np.empty(0), value)[0]
        bounds = np.array([self.maximum.likelihood.bounds[index] for index in self.others])
        start = np.clip(self.maximum.parameters[self.others] + self.follow * (value - self.middle), *bounds.T)
        if self.spread is not None:
            options = {"gtol": 1e-3, "hess_inv0": (self.spread + self.spread.T) / 2}
            best = minimize(self._loss, start, args=(value,), jac=True, method="BFGS", options=options)
            if best.success and (bounds[:, 0] <= best.x).all() and (best.x <= bounds[:, 1]).all():
                return float(best.fun)
        best = minimize(
            self._loss,
            start,
            args=(value,),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options=_PROFILE_TOLERANCE,
        )
        return float(best.fun)

    def _loss(self, others: Floats, value: float) -> tuple[float, Floats]:
        ratios = self.direction[self.others] / self.direction[self.pivot]
        parameters = np.empty(len(self.direction))
        parameters[self.others] = others
        parameters[self.pivot] = value / self.direction[self.pivot] - ratios @ others
        loss, slope = self.maximum.likelihood.loss(parameters)
        return loss, slope[self.others] - slope[self.pivot] * ratios


def maximise(likelihood: OccupancyLikelihood, starts: Sequence[Floats] | None = None) -> Maximum:
    """The parameters of the highest likelihood, looked for from several starts.

    Args:
        likelihood: the model.
        starts: of all parameters; those of the evidence, with ψ a half, if None.
    """
    if starts is None:
        first = np.zeros(likelihood.columns.shape[1])
        starts = [np.concatenate([first, start]) for start in likelihood.evidence.starts()]
    best: Maximum | None = None
    for start in starts:
        result = minimize(
            likelihood.loss, start, jac=True, method="L-BFGS-B", bounds=likelihood.bounds, options=_TOLERANCE
        )
        if best is None or result.fun < best.loss - 1e-9:
            best = Maximum(likelihood, np.asarray(result.x, np.float64), float(result.fun))
    assert best is not None
    return best


@dataclass(frozen=True, eq=False)
class StandardColumns:
    """Columns of mean 0 and standard deviation 1, in which a likelihood is round, and the way back.

    Attributes:
        columns: [R, K].
        transform: [K, K]: coefficients of the columns as they were are `transform` times those of `columns`.
    """

    columns: Floats
    transform: Floats


def standardise(matrix: Floats) -> StandardColumns:
    """Centre the columns, if the first is an intercept, and divide them by their standard deviation."""
    has_intercept = bool((matrix[:, 0] == 1).all())
    means = matrix.mean(axis=0) if has_intercept else np.zeros(matrix.shape[1])
    spreads = np.sqrt(((matrix - means) ** 2).mean(axis=0))
    if has_intercept:
        means[0], spreads[0] = 0.0, 1.0
    spreads = np.where(spreads > 0, spreads, 1.0)
    transform = np.diag(1 / spreads)
    if has_intercept:
        transform[0, 1:] = -(means / spreads)[1:]
    return StandardColumns((matrix - means) / spreads, transform)
