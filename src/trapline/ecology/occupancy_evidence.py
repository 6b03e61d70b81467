"""What was observed at locations, and how probable it is where the species is and where it is not.

Each kind of evidence answers one question: the log probability of what was observed at each location, if the
species occupies it (A) and if it does not (B). Occupancy itself is the same for all (`occupancy_fit`):
a location's likelihood is ψ exp(A) + (1 - ψ) exp(B).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, digamma, expit, logit

from trapline.ecology.design import Floats

Indices = npt.NDArray[np.int64]

NEVER = -np.inf


class Evidence(Protocol):
    """What was observed, as a model of it."""

    @property
    def locations(self) -> int:
        """N."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of its parameters, the first of which are the coefficients of detection."""
        ...

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Of each parameter."""
        ...

    def starts(self) -> list[Floats]:
        """Where to begin looking for the best parameters; more than one where there may be several maxima."""
        ...

    def logs(self, parameters: Floats) -> tuple[Floats, Floats]:
        """(A, B), each [N]; B is -inf where the species is certain to be."""
        ...

    def gradient(self, parameters: Floats, occupied: Floats) -> Floats:
        """The derivative of Σ w A + (1 - w) B by the parameters, w [N] = `occupied`."""
        ...

    def outside(self, parameters: Floats) -> tuple[float, Floats]:
        """The log likelihood of what is known from elsewhere (an audit), and its derivative."""
        ...


def log_odds_parts(scores: Floats) -> tuple[Floats, Floats]:
    """log p and log(1 - p) of log odds, without overflow."""
    return -np.logaddexp(0.0, -scores), -np.logaddexp(0.0, scores)


def sum_by(rows: Indices, values: npt.NDArray[Any], count: int) -> Floats:
    """The sums of values [R] by their rows' locations, [count]."""
    return np.bincount(rows, values, count).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Detections:
    """Detections without error but for those that are missed: MacKenzie et al. (2002), Ecology 83: 2248-2255.

    Attributes:
        locations: N.
        row_locations: [R], the location of each observation, from 0.
        detected: [R], 0 or 1.
        columns: [R, K], of the formula of p.
        names, bounds: of the K coefficients.
    """

    locations: int
    row_locations: Indices
    detected: Floats
    columns: Floats
    names: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]

    def starts(self) -> list[Floats]:
        """As of `Evidence`."""
        start = np.zeros(len(self.names))
        start[0] = -0.5
        return [start]

    def logs(self, parameters: Floats) -> tuple[Floats, Floats]:
        """As of `Evidence`."""
        present, absent = log_odds_parts(self.columns @ parameters)
        rows = np.where(self.detected > 0, present, absent)
        seen = sum_by(self.row_locations, self.detected, self.locations) > 0
        return sum_by(self.row_locations, rows, self.locations), np.where(seen, NEVER, 0.0)

    def gradient(self, parameters: Floats, occupied: Floats) -> Floats:
        """As of `Evidence`."""
        left = self.detected - expit(self.columns @ parameters)
        return np.asarray((occupied[self.row_locations] * left) @ self.columns)

    def outside(self, parameters: Floats) -> tuple[float, Floats]:
        """As of `Evidence`."""
        return 0.0, np.zeros(len(parameters))


@dataclass(frozen=True)
class FalsePositiveRate:
    """What is known from elsewhere of how often the species is detected at an occasion where it is not.

    Attributes:
        wrong: of the occasions below, those at which the species was detected all the same.
        checked: occasions at locations where the species is not (an audit's, say); may be a fraction, where
            they stand for a rate and its interval.
    """

    wrong: float
    checked: float


@dataclass(frozen=True, eq=False)
class UncertainDetections:
    """Detections some of which are false, some perhaps certain.

    Royle & Link (2006), Ecology 87: 835-841: at an occupied location the species is detected with
    probability p, at another with p10. Certain detections (2 in the history) are those of the
    observation-confirmation design of Miller et al. (2011), Ecology 92: 1422-1428: one of an occupied
    location is certain with probability b, one of another never.

    Attributes:
        detections: rows, 0 and 1 of them, and the formula of p.
        certain: [R], 1 where the detection is certain.
        confirms: whether detections may be certain, and b is a parameter.
        known: what is known of p10 from elsewhere, as binomial likelihood; None where nothing is.
    """

    detections: Detections
    certain: Floats
    confirms: bool
    known: FalsePositiveRate | None

    @property
    def locations(self) -> int:
        """As of `Evidence`."""
        return self.detections.locations

    @property
    def names(self) -> tuple[str, ...]:
        """As of `Evidence`."""
        return (*self.detections.names, "false_positive", *(("certain",) if self.confirms else ()))

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """As of `Evidence`."""
        return (*self.detections.bounds, (-14.0, 4.0), *(((-14.0, 14.0),) if self.confirms else ()))

    def starts(self) -> list[Floats]:
        """As of `Evidence`."""
        rates = [0.01, 0.05, 0.2]
        if self.known is not None:
            rates = [(self.known.wrong + 0.5) / (self.known.checked + 1), *rates]
        tail = [0.0] if self.confirms else []
        start = np.zeros(len(self.detections.names))
        return [np.concatenate([start, [logit(rate)], tail]) for rate in rates]

    def logs(self, parameters: Floats) -> tuple[Floats, Floats]:
        """As of `Evidence`."""
        own = self.detections
        present, _ = own.logs(parameters[: len(own.names)])
        if self.confirms:
            sure, unsure = log_odds_parts(parameters[-1:])
            rows = np.where(self.certain > 0, sure[0], np.where(own.detected > 0, unsure[0], 0.0))
            present = present + sum_by(own.row_locations, rows, own.locations)
        wrong, right = log_odds_parts(parameters[len(own.names) :][:1])
        rows = np.where(own.detected > 0, wrong[0], right[0])
        absent = sum_by(own.row_locations, rows, own.locations)
        surely = sum_by(own.row_locations, self.certain, own.locations) > 0
        return present, np.where(surely, NEVER, absent)

    def gradient(self, parameters: Floats, occupied: Floats) -> Floats:
        """As of `Evidence`."""
        own, k = self.detections, len(self.detections.names)
        weights = occupied[own.row_locations]
        parts = [own.gradient(parameters[:k], occupied)]
        parts.append(np.atleast_1d(((1 - weights) * (own.detected - expit(parameters[k]))).sum()))
        if self.confirms:
            told = weights * own.detected
            parts.append(np.atleast_1d((told * (self.certain - expit(parameters[-1]))).sum()))
        return np.concatenate(parts)

    def outside(self, parameters: Floats) -> tuple[float, Floats]:
        """As of `Evidence`."""
        slope = np.zeros(len(parameters))
        if self.known is None:
            return 0.0, slope
        k = len(self.detections.names)
        wrong, right = log_odds_parts(parameters[k : k + 1])
        slope[k] = self.known.wrong - self.known.checked * expit(parameters[k])
        value = self.known.wrong * wrong[0] + (self.known.checked - self.known.wrong) * right[0]
        return float(value), slope


@dataclass(frozen=True, eq=False)
class LocalFalsePositives:
    """Detections some of which are false, at a rate that differs from location to location.

    The model of Royle & Link (2006) in which p10 of a location is drawn from a beta distribution,
    integrated out; of its mean and spread an audit's counts by location tell, as beta-binomial likelihood.
    A location that was audited itself has its own counts in both.

    Attributes:
        detections: rows, 0 and 1 of them, and the formula of p.
        wrong: [N], of the audited occasions of each location without the species, those at which it was told.
        checked: [N], the audited occasions; 0 where there were none.
        wrong_elsewhere: [M], the same of audited locations that are not in the histories.
        checked_elsewhere: [M].
    """

    detections: Detections
    wrong: Floats
    checked: Floats
    wrong_elsewhere: Floats
    checked_elsewhere: Floats

    @property
    def locations(self) -> int:
        """As of `Evidence`."""
        return self.detections.locations

    @property
    def names(self) -> tuple[str, ...]:
        """As of `Evidence`."""
        return (*self.detections.names, "false_positive", "false_positive_concentration")

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """As of `Evidence`."""
        return (*self.detections.bounds, (-14.0, 4.0), (-2.0, 8.0))

    def starts(self) -> list[Floats]:
        """As of `Evidence`."""
        wrong = self.wrong.sum() + self.wrong_elsewhere.sum()
        checked = self.checked.sum() + self.checked_elsewhere.sum()
        rate = logit((wrong + 0.5) / (checked + 1))
        start = np.zeros(len(self.detections.names))
        return [np.concatenate([start, [rate, spread]]) for spread in (2.0, 5.0)]

    def logs(self, parameters: Floats) -> tuple[Floats, Floats]:
        """As of `Evidence`."""
        own = self.detections
        present, _ = own.logs(parameters[: len(own.names)])
        told, silent = self._totals()
        left, right = _beta_of(parameters)
        audited = _beta_binomial(left, right, self.wrong, self.checked - self.wrong)
        both = _beta_binomial(left, right, self.wrong + told, self.checked - self.wrong + silent)
        return present + audited, both

    def gradient(self, parameters: Floats, occupied: Floats) -> Floats:
        """As of `Evidence`."""
        k = len(self.detections.names)
        told, silent = self._totals()
        left, right = _beta_of(parameters)
        fine = self.checked - self.wrong
        audited = _beta_binomial_slopes(left, right, self.wrong, fine)
        both = _beta_binomial_slopes(left, right, self.wrong + told, fine + silent)
        slopes = audited @ occupied + both @ (1 - occupied)
        own = self.detections.gradient(parameters[:k], occupied)
        return np.concatenate([own, _by_mean_and_concentration(left, right, slopes)])

    def outside(self, parameters: Floats) -> tuple[float, Floats]:
        """As of `Evidence`."""
        left, right = _beta_of(parameters)
        fine = self.checked_elsewhere - self.wrong_elsewhere
        value = _beta_binomial(left, right, self.wrong_elsewhere, fine).sum()
        slopes = _beta_binomial_slopes(left, right, self.wrong_elsewhere, fine).sum(axis=1)
        slope = np.zeros(len(parameters))
        slope[-2:] = _by_mean_and_concentration(left, right, slopes)
        return float(value), slope

    def conditional_logs(self, parameters: Floats, told: Floats, silent: Floats, sites: Indices) -> Floats:
        """The log probability of histories at locations without the species, given what was audited there.

        Args:
            parameters: of the model.
            told: [H, 1], at how many occasions the species is detected.
            silent: [H, 1], at how many it is not.
            sites: [S], locations.

        Returns:
            [H, S].
        """
        left, right = _beta_of(parameters)
        wrong, fine = self.wrong[sites], (self.checked - self.wrong)[sites]
        both = _beta_binomial(left, right, wrong + told, fine + silent)
        return both - _beta_binomial(left, right, wrong, fine)

    def _totals(self) -> tuple[Floats, Floats]:
        """At each location, occasions at which the species was detected, and was not; [N] each."""
        own = self.detections
        told = sum_by(own.row_locations, own.detected, own.locations)
        return told, sum_by(own.row_locations, np.ones(len(own.detected)), own.locations) - told


def _beta_of(parameters: Floats) -> tuple[float, float]:
    """The two numbers of the beta distribution, of its mean's log odds and the log of their sum."""
    mean, total = expit(parameters[-2]), np.exp(parameters[-1])
    return float(mean * total), float((1 - mean) * total)


def _beta_binomial(left: float, right: float, wrong: Floats, fine: Floats) -> Floats:
    return np.asarray(betaln(left + wrong, right + fine) - betaln(left, right))


def _beta_binomial_slopes(left: float, right: float, wrong: Floats, fine: Floats) -> Floats:
    """Derivatives by the two numbers of the beta distribution, [2, N]."""
    total = digamma(left + right) - digamma(left + right + wrong + fine)
    return np.stack(
        [digamma(left + wrong) - digamma(left) + total, digamma(right + fine) - digamma(right) + total]
    )


def _by_mean_and_concentration(left: float, right: float, slopes: Floats) -> Floats:
    """Derivatives by the two numbers made those by the parameters, [2]."""
    mean, total = left / (left + right), left + right
    by_mean = (slopes[0] - slopes[1]) * total * mean * (1 - mean)
    return np.array([by_mean, slopes[0] * left + slopes[1] * right])


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a classifier, one a file, some of them of files that people looked at.

    Rhinehart, Turek & Kitzes (2022), Methods in Ecology and Evolution 13: 1778-1789: a file of an occupied
    location shows the species with probability θ, of another never; scores of files that show it are
    normal with mean μ1 and standard deviation σ1, of the others with μ0 < μ1 and σ0. Here by maximum
    likelihood. Scores of audited files of other surveys tell of the two distributions alone.

    Attributes:
        locations: N.
        row_locations: [R], the location of each file.
        scores: [R], of mean 0 and standard deviation 1 or nearly so.
        shown: [R], 1 where a person saw the species, 0 where not, -1 where nobody looked.
        columns: [R, K], of the formula of θ.
        names, bounds: of the K coefficients and the four parameters of the distributions.
        audited_scores: [M], of files without location.
        audited_shown: [M], 0 or 1.
    """

    locations: int
    row_locations: Indices
    scores: Floats
    shown: Floats
    columns: Floats
    names: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]
    audited_scores: Floats
    audited_shown: Floats

    def starts(self) -> list[Floats]:
        """As of `Evidence`."""
        known = np.concatenate([self.scores[self.shown >= 0], self.audited_scores])
        shown = np.concatenate([self.shown[self.shown >= 0], self.audited_shown])
        start = np.zeros(len(self.names) - 4)
        starts = []
        if min((shown > 0).sum(), (shown == 0).sum()) >= 2:
            low, high = known[shown == 0], known[shown > 0]
            gap = max(float(high.mean() - low.mean()), 0.1)
            spreads = [max(float(one.std()), 0.1) for one in (low, high)]
            starts.append(
                np.concatenate([start, _distributions(float(low.mean()), spreads[0], gap, spreads[1])])
            )
        for share in (0.6, 0.9):
            cut = float(np.quantile(self.scores, share))
            low, high = self.scores[self.scores <= cut], self.scores[self.scores > cut]
            gap = max(float(high.mean() - low.mean()), 0.1) if len(high) else 1.0
            spreads = [max(float(one.std()), 0.1) if len(one) else 0.5 for one in (low, high)]
            starts.append(
                np.concatenate([start, _distributions(float(low.mean()), spreads[0], gap, spreads[1])])
            )
        return starts

    def logs(self, parameters: Floats) -> tuple[Floats, Floats]:
        """As of `Evidence`."""
        with_it, without, absent = self._row_logs(parameters)
        unknown = np.logaddexp(with_it, without)
        present = np.where(self.shown > 0, with_it, np.where(self.shown == 0, without, unknown))
        surely = sum_by(self.row_locations, self.shown > 0, self.locations) > 0
        sums = sum_by(self.row_locations, absent, self.locations)
        return sum_by(self.row_locations, present, self.locations), np.where(surely, NEVER, sums)

    def gradient(self, parameters: Floats, occupied: Floats) -> Floats:
        """As of `Evidence`."""
        k = len(self.names) - 4
        with_it, without, _ = self._row_logs(parameters)
        shows = np.where(self.shown >= 0, self.shown, expit(with_it - without))
        weights = occupied[self.row_locations]
        own = (weights * (shows - expit(self.columns @ parameters[:k]))) @ self.columns
        return np.concatenate([own, _normal_slopes(parameters[k:], self.scores, weights * shows)])

    def outside(self, parameters: Floats) -> tuple[float, Floats]:
        """As of `Evidence`."""
        k = len(self.names) - 4
        low, high = _normal_logs(parameters[k:], self.audited_scores)
        slope = np.zeros(len(parameters))
        slope[k:] = _normal_slopes(parameters[k:], self.audited_scores, self.audited_shown)
        return float(np.where(self.audited_shown > 0, high, low).sum()), slope

    def _row_logs(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """Of each file, at an occupied location: that it shows the species and has its score, that it does
        not and has it; and at another location; [R] each."""
        k = len(self.names) - 4
        shows, does_not = log_odds_parts(self.columns @ parameters[:k])
        low, high = _normal_logs(parameters[k:], self.scores)
        return shows + high, does_not + low, low


def _distributions(mean: float, spread: float, gap: float, spread_shown: float) -> Floats:
    """The parameters: mean and log spread of scores without the species, log of how much higher its mean is
    with it, log spread with it."""
    return np.array([mean, np.log(spread), np.log(gap), np.log(spread_shown)])


def _standardised(parameters: Floats, scores: Floats) -> tuple[Floats, Floats]:
    mean, log_spread, log_gap, log_spread_shown = parameters
    return (scores - mean) / np.exp(log_spread), (scores - mean - np.exp(log_gap)) / np.exp(log_spread_shown)


def _normal_logs(parameters: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Log densities of scores without and with the species."""
    low, high = _standardised(parameters, scores)
    constant = 0.5 * np.log(2 * np.pi)
    return -0.5 * low**2 - parameters[1] - constant, -0.5 * high**2 - parameters[3] - constant


def _normal_slopes(parameters: Floats, scores: Floats, shows: Floats) -> Floats:
    """The derivative of Σ (1 - s) log f0 + s log f1 by the four parameters, s [R] = `shows`."""
    low, high = _standardised(parameters, scores)
    by_low = (1 - shows) * low / np.exp(parameters[1])
    by_high = shows * high / np.exp(parameters[3])
    return np.array(
        [
            by_low.sum() + by_high.sum(),
            ((1 - shows) * (low**2 - 1)).sum(),
            np.exp(parameters[2]) * by_high.sum(),
            (shows * (high**2 - 1)).sum(),
        ]
    )


def bounds_of(names: Sequence[str], most: float = 30.0) -> tuple[tuple[float, float], ...]:
    """Bounds of coefficients of standardised columns."""
    return ((-most, most),) * len(names)
