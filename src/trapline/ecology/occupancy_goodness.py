"""Goodness of fit of occupancy models by parametric bootstrap.

MacKenzie & Bailey (2004), Journal of Agricultural, Biological, and Environmental Statistics 9: 300-318:
Pearson's chi-square over detection histories, by cohorts of locations that were active at the same
occasions; its distribution is simulated, since expected counts are small. Beside it Freeman & Tukey's
statistic over the number of detections at each location (Kéry & Royle 2016, Applied Hierarchical Modeling
in Ecology 1, section 10.8).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit

from trapline.ecology.design import Floats
from trapline.ecology.occupancy_evidence import (
    NEVER,
    Detections,
    Indices,
    LocalFalsePositives,
    UncertainDetections,
    log_odds_parts,
)
from trapline.ecology.occupancy_fit import Maximum, OccupancyLikelihood, maximise
from trapline.errors import UsageError

HistoryEvidence = Detections | UncertainDetections | LocalFalsePositives


@dataclass(frozen=True)
class GoodnessOfFit:
    """How well a model fits.

    Attributes:
        chi_square: Pearson's, over detection histories.
        chi_square_p: the share of simulated data sets with one as large, (1 + how many) / (1 + samples).
        c_hat: the chi-square over the mean of the simulated ones; well above 1: more varies than the model
            says.
        freeman_tukey: over detections by location.
        freeman_tukey_p: as above.
        samples: simulated data sets.
        seed: of them.
    """

    chi_square: float
    chi_square_p: float
    c_hat: float
    freeman_tukey: float
    freeman_tukey_p: float
    samples: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """For JSON, with its method."""
        return {
            "method": "parametric bootstrap (MacKenzie & Bailey 2004)",
            "chi_square": {"value": self.chi_square, "p": self.chi_square_p, "c_hat": self.c_hat},
            "freeman_tukey": {"value": self.freeman_tukey, "p": self.freeman_tukey_p},
            "samples": self.samples,
            "seed": self.seed,
        }


def bootstrap_goodness(maximum: Maximum, occasions: Indices, samples: int, seed: int) -> GoodnessOfFit:
    """Test a fitted model of detection histories.

    Args:
        maximum: the model.
        occasions: [R], the occasion of each of its observations.
        samples: data sets to simulate and fit.
        seed: of them.
    """
    if samples < 1:
        raise UsageError("--goodness must be at least one simulated data set; 1000 are usual.")
    random = np.random.default_rng(seed)
    chi_square, freeman_tukey = _statistics(maximum, occasions)
    simulated = np.empty((samples, 2))
    for index in range(samples):
        evidence = simulate(maximum, random)
        again = maximise(OccupancyLikelihood(maximum.likelihood.columns, evidence), [maximum.parameters])
        simulated[index] = _statistics(again, occasions)
    beyond = (1 + (simulated >= [chi_square, freeman_tukey]).sum(axis=0)) / (1 + samples)
    return GoodnessOfFit(
        chi_square,
        float(beyond[0]),
        chi_square / float(simulated[:, 0].mean()),
        freeman_tukey,
        float(beyond[1]),
        samples,
        seed,
    )


def simulate(maximum: Maximum, random: np.random.Generator) -> HistoryEvidence:
    """Other detections at the same locations and occasions, drawn of a fitted model."""
    evidence = _evidence_of(maximum)
    own = _detections_of(evidence)
    k = maximum.likelihood.columns.shape[1]
    psi = expit(maximum.likelihood.columns @ maximum.parameters[:k])
    occupied = (random.random(own.locations) < psi)[own.row_locations]
    rates = np.where(occupied, *_rates(evidence, maximum.parameters[k:], random))
    detected = (random.random(len(rates)) < rates).astype(np.float64)
    drawn = replace(own, detected=detected)
    if isinstance(evidence, Detections):
        return drawn
    if isinstance(evidence, LocalFalsePositives):
        return replace(evidence, detections=drawn)
    sure = expit(maximum.parameters[-1]) if evidence.confirms else 0.0
    certain = (occupied & (detected > 0) & (random.random(len(rates)) < sure)).astype(np.float64)
    return replace(evidence, detections=drawn, certain=certain)


def _evidence_of(maximum: Maximum) -> HistoryEvidence:
    evidence = maximum.likelihood.evidence
    assert isinstance(evidence, Detections | UncertainDetections | LocalFalsePositives)
    return evidence


def _detections_of(evidence: HistoryEvidence) -> Detections:
    return evidence if isinstance(evidence, Detections) else evidence.detections


def _rates(
    evidence: HistoryEvidence, parameters: Floats, random: np.random.Generator | None
) -> tuple[Floats, Floats]:
    """Of each observation, that the species is detected at an occupied location, and at another; [R] each.

    Rates that differ by location are drawn where there is `random`, and are their means else.
    """
    own = _detections_of(evidence)
    present = expit(own.columns @ parameters[: len(own.names)])
    if isinstance(evidence, Detections):
        return present, np.zeros(len(present))
    if isinstance(evidence, UncertainDetections):
        return present, np.full(len(present), expit(parameters[len(own.names)]))
    mean, total = expit(parameters[-2]), np.exp(parameters[-1])
    left = mean * total + evidence.wrong
    right = (1 - mean) * total + evidence.checked - evidence.wrong
    each = left / (left + right) if random is None else random.beta(left, right)
    return present, each[own.row_locations]


def _statistics(maximum: Maximum, occasions: Indices) -> tuple[float, float]:
    """Pearson's chi-square over histories, and Freeman and Tukey's statistic over locations."""
    evidence = _evidence_of(maximum)
    own = _detections_of(evidence)
    k = maximum.likelihood.columns.shape[1]
    predictor = maximum.likelihood.columns @ maximum.parameters[:k]
    present, absent = _rates(evidence, maximum.parameters[k:], None)
    psi = expit(predictor)[own.row_locations]
    expected = np.bincount(own.row_locations, psi * present + (1 - psi) * absent, own.locations)
    told = np.bincount(own.row_locations, own.detected, own.locations)
    freeman_tukey = float(((np.sqrt(told) - np.sqrt(expected)) ** 2).sum())
    return _chi_square(evidence, predictor, maximum.parameters[k:], occasions), freeman_tukey


def _chi_square(
    evidence: HistoryEvidence, predictor: Floats, parameters: Floats, occasions: Indices
) -> float:
    own = _detections_of(evidence)
    shape = (own.locations, int(occasions.max()) + 1)
    rows = np.full(shape, -1)
    rows[own.row_locations, occasions] = np.arange(len(occasions))
    told = own.detected + (evidence.certain if isinstance(evidence, UncertainDetections) else 0.0)
    cohorts, members = np.unique(rows >= 0, axis=0, return_inverse=True)
    total = 0.0
    for number, active in enumerate(cohorts):
        sites = np.flatnonzero(members.ravel() == number)
        inside = rows[np.ix_(sites, np.flatnonzero(active))]
        histories, counts = np.unique(told[inside], axis=0, return_counts=True)
        expected = _expected(evidence, parameters, predictor[sites], histories, inside, sites)
        total += float(((counts - expected) ** 2 / np.maximum(expected, 1e-300)).sum())
        total += max(len(sites) - float(expected.sum()), 0.0)  # histories that nobody had
    return total


def _expected(
    evidence: HistoryEvidence,
    parameters: Floats,
    predictor: Floats,
    histories: Floats,
    rows: Indices,
    sites: Indices,
) -> Floats:
    """How many locations of a cohort are expected to have each history.

    Args:
        evidence: of the model.
        parameters: of the evidence.
        predictor: [S], log odds of ψ.
        histories: [H, J].
        rows: [S, J], the observations of the cohort's locations.
        sites: [S], these locations.

    Returns:
        [H].
    """
    own = _detections_of(evidence)
    k = len(own.names)
    yes, no = log_odds_parts((own.columns @ parameters[:k])[rows])
    told = (histories > 0).astype(np.float64)
    present = told @ yes.T + (1 - told) @ no.T
    certain = (histories > 1).sum(axis=1)
    if isinstance(evidence, UncertainDetections) and evidence.confirms:
        sure, unsure = log_odds_parts(parameters[-1:])
        present += (certain * sure[0] + (told.sum(axis=1) - certain) * unsure[0])[:, None]
    absent = _absent_logs(evidence, parameters, told, sites)
    absent = np.where(certain[:, None] > 0, NEVER, absent)
    occupied, free = log_odds_parts(predictor)
    return np.asarray(np.exp(np.logaddexp(occupied + present, free + absent)).sum(axis=1))


def _absent_logs(evidence: HistoryEvidence, parameters: Floats, told: Floats, sites: Indices) -> Floats:
    """The log probability of histories [H, J] at locations without the species, [H, S] or [H, 1]."""
    counts = told.sum(axis=1)[:, None]
    silent = told.shape[1] - counts
    if isinstance(evidence, Detections):
        return np.where(counts > 0, NEVER, 0.0)
    if isinstance(evidence, UncertainDetections):
        wrong, right = log_odds_parts(parameters[len(evidence.detections.names) :][:1])
        return np.asarray(counts * wrong[0] + silent * right[0])
    return evidence.conditional_logs(parameters, counts, silent, sites)
