"""Hill numbers: observed, of the whole assemblage, rarefied and extrapolated, and how complete a sample is.

Formulas of Chao, Gotelli, Hsieh, Sander, Ma, Colwell & Ellison (2014), Ecological Monographs 84:45, which R's
iNEXT computes: the diversity of order q is the effective number of species, of all (q = 0), of common (1) and
of dominant ones (2). A sample is counts of individuals, or in how many sampling units each species was found.
All functions take many samples at once, so that an interval costs one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln, hyperu

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Kind = Literal["incidence", "abundance"]
ORDERS = (0, 1, 2)
_TERMS = 50


@dataclass(frozen=True, eq=False)
class SpeciesCounts:
    """How often each species was recorded, in one sample or in several of equal size.

    Attributes:
        counts: of individuals, or of sampling units with the species, [..., S].
        size: individuals in all, or sampling units. Samples of individuals that are drawn anew are of one
            size.
        kind: which of both.
    """

    counts: Ints
    size: int
    kind: Kind

    @property
    def total(self) -> Floats:
        """Individuals, or incidences in all units, [...]."""
        return np.asarray(self.counts.sum(axis=-1), dtype=np.float64)

    @property
    def observed(self) -> Floats:
        """Species that were recorded, [...]."""
        return np.asarray((self.counts > 0).sum(axis=-1), dtype=np.float64)

    def species_seen(self, times: int) -> Floats:
        """Species recorded just so often, [...]: singletons and doubletons, uniques and duplicates."""
        return np.asarray((self.counts == times).sum(axis=-1), dtype=np.float64)


def unseen_species(sample: SpeciesCounts) -> Floats:
    """Species that were missed, at least: Chao1 or Chao2 less the observed, [...].

    Chao (1984), Scandinavian Journal of Statistics 11:265, and (1987), Biometrics 43:783; where no species
    was recorded twice, the bias-corrected form.
    """
    once, twice = sample.species_seen(1), sample.species_seen(2)
    share = (sample.size - 1) / sample.size
    with_twice = once**2 / (2 * np.maximum(twice, 1))
    return np.asarray(share * np.where(twice > 0, with_twice, once * (once - 1) / 2))


def unseen_variance(sample: SpeciesCounts) -> Floats:
    """The variance of Chao1 and Chao2 (Chao 1987; Colwell's EstimateS has the forms for few species),
    [...].
    """
    once, twice = sample.species_seen(1), sample.species_seen(2)
    share = (sample.size - 1) / sample.size
    ratio = once / np.maximum(twice, 1)
    usual = twice * (share / 2 * ratio**2 + share**2 * ratio**3 + share**2 / 4 * ratio**4)
    whole = np.maximum(sample.observed + unseen_species(sample), 1)
    corrected = share * once * (once - 1) / 2 + share**2 * once * (2 * once - 1) ** 2 / 4
    corrected -= share**2 * once**4 / (4 * whole)
    return np.asarray(np.where(twice > 0, usual, np.maximum(corrected, 0.0)))


def coverage(sample: SpeciesCounts, sizes: Ints) -> Floats:
    """The share of individuals (or incidences) of the assemblage that belong to species in a sample of a
    size.

    Chao & Jost (2012), Ecology 93:2533; for sampling units Chao et al. (2014).

    Args:
        sample: [..., S].
        sizes: [M], from 1 on.

    Returns:
        [..., M].
    """
    out = np.empty((*sample.counts.shape[:-1], len(sizes)))
    left = _missing_pace(sample)
    unseen = sample.species_seen(1) / sample.total
    for index, size in enumerate(sizes):
        if size < sample.size:
            # of the others, when one record of the species is set aside
            missed = np.exp(_log_missed(sample.counts - 1, sample.size - 1, int(size)))
            out[..., index] = 1 - (sample.counts / sample.total[..., None] * missed).sum(axis=-1)
        else:
            out[..., index] = 1 - unseen * left ** (size - sample.size + 1)
    return out


def asymptotic(sample: SpeciesCounts, order: int) -> Floats:
    """The Hill number of the whole assemblage; of order 0 it is a lower bound, [...].

    Order 0: Chao1 or Chao2. Order 1: Chao, Wang & Jost (2013), Methods in Ecology and Evolution 4:1091. Order
    2: the unbiased estimator of Simpson's concentration.
    """
    if order == 0:
        return sample.observed + unseen_species(sample)
    if order == 1:
        return np.asarray(np.exp(_entropy(sample)))
    with np.errstate(divide="ignore"):  # of a sample in which all is seen once nothing can be said: infinite
        return np.asarray(1 / _concentration(sample))


def diversity(sample: SpeciesCounts, order: int, sizes: Ints) -> Floats:
    """Hill numbers of samples of given sizes: expected of smaller ones, predicted of larger ones.

    Order 0 is the expected number of species: the species accumulation curve without its chance, Mao's tau
    (Colwell et al. 2012, Journal of Plant Ecology 5:3).

    Args:
        sample: [..., S].
        order: 0, 1 or 2.
        sizes: [M], from 1 on; beyond twice the sample's the prediction leans on the asymptote.

    Returns:
        [..., M].
    """
    compute = {0: _richness_at, 1: _shannon_at, 2: _simpson_at}[order]
    return np.stack([compute(sample, int(size)) for size in sizes], axis=-1)


def assemblage(sample: SpeciesCounts) -> Floats:
    """Probabilities of all species, those that were missed among them, as estimated from one sample.

    Chao et al. (2014), appendix G: those of recorded species are lowered so that the missed ones have what
    the coverage leaves; these are taken to be equally rare. For individuals they sum to 1, for sampling units
    each is of being found in one.

    Args:
        sample: one, [S].

    Returns:
        [S + missed].
    """
    shares = sample.counts[sample.counts > 0] / sample.size
    missing = float(1 - coverage(sample, np.array([sample.size]))[0])
    missing *= float(sample.total) / sample.size  # in units of probabilities of a sampling unit
    absent = shares * (1 - shares) ** sample.size
    lowered = missing / absent.sum() if absent.sum() > 0 else 0.0
    seen = shares * (1 - lowered * (1 - shares) ** sample.size)
    unseen = int(np.ceil(unseen_species(sample)))
    return np.concatenate([seen, np.full(unseen, missing / unseen if unseen else 0.0)])


def drawn(probabilities: Floats, like: SpeciesCounts, many: int, rng: np.random.Generator) -> SpeciesCounts:
    """Samples [≤ many, S] of an assemblage, as large as one that was taken.

    Those without any species are left out: of such a survey nothing would have been estimated.
    """
    if like.kind == "abundance":
        counts = rng.multinomial(like.size, probabilities / probabilities.sum(), many)
    else:
        counts = rng.binomial(like.size, np.minimum(probabilities, 1.0), (many, len(probabilities)))
    return SpeciesCounts(counts[counts.any(axis=1)].astype(np.int64), like.size, like.kind)


def _missing_pace(sample: SpeciesCounts) -> Floats:
    """By what each more individual or unit multiplies the share that is missing, [...]."""
    once, twice = sample.species_seen(1), sample.species_seen(2)
    n = sample.size
    usual = (n - 1) * once / np.maximum((n - 1) * once + 2 * twice, 1)
    corrected = (n - 1) * (once - 1) / np.maximum((n - 1) * (once - 1) + 2, 1)
    return np.asarray(np.where(twice > 0, usual, np.maximum(corrected, 0.0)))


def _log_missed(counts: Ints, size: int, smaller: int) -> Floats:
    """log of the chance that a species recorded so often is in none of `smaller` drawn without putting
    back.
    """
    rest = np.maximum(size - counts, 0)
    possible = rest >= smaller
    kept = np.where(possible, rest, smaller)
    logs = gammaln(kept + 1) - gammaln(kept - smaller + 1) - gammaln(size + 1) + gammaln(size - smaller + 1)
    return np.where(possible, logs, -np.inf)


def _richness_at(sample: SpeciesCounts, size: int) -> Floats:
    if size < sample.size:
        missed = np.where(sample.counts > 0, np.exp(_log_missed(sample.counts, sample.size, size)), 0.0)
        return np.asarray(sample.observed - missed.sum(axis=-1))
    unseen = unseen_species(sample)
    once = sample.species_seen(1)
    pace = 1 - once / np.maximum(sample.size * unseen + once, 1e-300)
    return np.asarray(sample.observed + unseen * (1 - pace ** (size - sample.size)))


def _shannon_at(sample: SpeciesCounts, size: int) -> Floats:
    if size < sample.size:
        return np.asarray(np.exp(_rarefied_entropy(sample, size)))
    more = 1 - sample.size / size
    shares = sample.counts / sample.total[..., None]
    observed = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1)
    return np.asarray(np.exp((1 - more) * observed + more * _entropy(sample)))


def _simpson_at(sample: SpeciesCounts, size: int) -> Floats:
    mean = sample.total / sample.size  # 1 for individuals
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (1 / (size * mean) + (size - 1) / size * _concentration(sample)))


def _concentration(sample: SpeciesCounts) -> Floats:
    """The unbiased estimator of the sum of squared shares, [...]."""
    pairs = (sample.counts * (sample.counts - 1)).sum(axis=-1)
    return np.asarray(pairs / (sample.total**2 * (1 - 1 / sample.size)))


def _entropy(sample: SpeciesCounts) -> Floats:
    """Shannon's entropy of the assemblage, [...]: of individuals, or of shares of incidences."""
    counts, n = sample.counts, sample.size
    usable = (counts > 0) & (counts < n)
    sums = np.where(usable, counts / n * (digamma(n) - digamma(np.where(usable, counts, 1))), 0.0)
    seen = sums.sum(axis=-1) + _unseen_entropy(sample)
    per_unit = n / sample.total
    return np.asarray(per_unit * seen + np.log(1 / per_unit))


def _unseen_entropy(sample: SpeciesCounts) -> Floats:
    """What missed species add to it, [...].

    The formula's bracket, -log A less the first n - 1 terms of its series, over (1 - A)^(n - 1), is what is
    left of the series, and summed as that: so nothing small is the difference of large numbers.
    """
    once, twice = sample.species_seen(1), sample.species_seen(2)
    n = sample.size
    usual = 2 * twice / np.maximum((n - 1) * once + 2 * twice, 1)
    corrected = 2 / np.maximum((n - 1) * (once - 1) + 2, 2)
    left = 1 - np.where(twice > 0, usual, np.where(once > 0, corrected, 1.0))
    return np.asarray(once / n * _rest_of_series(left, n))


def _rest_of_series(x: Floats, n: int) -> Floats:
    """Σ x^(j + 1) / (n + j) over j from 0 on: some terms, and those after them by Euler and Maclaurin,
    [...].
    """
    pace = -np.log(np.maximum(x, 1e-300))[..., None]
    j = np.arange(_TERMS)
    first = (np.exp(-pace * (j + 1)) / (n + j)).sum(axis=-1)
    pace, from_there = pace[..., 0], float(n + _TERMS)
    term = np.exp(-pace * (_TERMS + 1)) / from_there
    slope = pace + 1 / from_there  # how fast the terms fall there
    integral = term * from_there * hyperu(1, 1, pace * from_there)
    return np.asarray(first + integral + term * (1 / 2 + slope / 12 - slope**3 / 720))


def _rarefied_entropy(sample: SpeciesCounts, size: int) -> Floats:
    """The entropy of the expected frequencies in a smaller sample, [...]."""
    known, index = np.unique(sample.counts, return_inverse=True)
    mean = sample.total * size / sample.size
    plain, logged = np.zeros(len(known)), np.zeros(len(known))
    for row, count in enumerate(known):
        low = max(1, int(count) + size - sample.size)
        k = np.arange(low, min(int(count), size) + 1, dtype=np.float64)
        chance = np.exp(
            _log_choose(count, k)
            + _log_choose(sample.size - count, size - k)
            - _log_choose(sample.size, size)
        )
        plain[row], logged[row] = (chance * k).sum(), (chance * k * np.log(k)).sum()
    shape = sample.counts.shape
    sums = logged[index].reshape(shape).sum(axis=-1)
    weights = plain[index].reshape(shape).sum(axis=-1)
    # -Σ (k/U) log(k/U) f_k, with U = the mean number of individuals or incidences
    return np.asarray((weights * np.log(mean) - sums) / mean)


def _log_choose(n: float | Floats, k: float | Floats) -> Floats:
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))
