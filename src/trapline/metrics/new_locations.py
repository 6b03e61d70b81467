"""What a figure may come out at on locations that are not in the sample: prediction intervals.

The interval of a figure says how well its mean over locations like these is known. What comes at the next
location is another question: locations differ, and how much they do is known from those that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from trapline.metrics.inputs import Floats, Weights, check, check_weights
from trapline.metrics.intervals import MetricsFunction, codes_of, end_of, scale_of
from trapline.metrics.registry import measure

FEW_LOCATIONS = 5
"""Below this many locations nothing is said of others: how much locations differ is hardly known."""

_CHUNK = 2_000_000
_UNDEFINED_ALLOWED = 0.2
_ALIKE = 1e-12


@dataclass(frozen=True)
class NewLocations:
    """The 95 % prediction interval of a figure, measured on locations that are not in the sample.

    Attributes:
        locations: on so many of them together, each with as many media as those of the sample have.
        low: None where there are fewer than `FEW_LOCATIONS` locations, the figure is mostly undefined, or all
            locations show the same: how much others differ cannot be told of none that do.
        high: likewise.
    """

    locations: int
    low: float | None
    high: float | None


def effective_locations(groups: ArrayLike) -> float:
    """To how many locations of equal size those of `groups` [N] amount: N² / Σ n² (Kish 1965)."""
    sizes = np.unique(np.asarray(groups), return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def new_location_intervals(
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    *,
    locations: int = 1,
    samples: int = 1000,
    seed: int = 42,
    metrics_fn: MetricsFunction = measure,
) -> dict[str, NewLocations]:
    """By figure of `metrics_fn` what `locations` new locations together may show.

    A hierarchical bootstrap: locations drawn with replacement stand for what is not known of the population,
    and of those so many are drawn as are new, with all of their media, so that the noise of few media is in
    it. What they show varies with a standard deviation s around a mean m, on the scale on which the interval
    of the figure is made; the prediction is m ± t s, Student's t of one fewer than the locations there are,
    and s made larger for how few they are. Where the middle 95 of 100 drawings reach farther they are taken.

    Args:
        truth: int [N] or 0/1 [N, K].
        probabilities: [N, K].
        groups: [N], the location of each media.
        locations: how many new ones are measured together.
        samples: drawings of them; where one is new it is each of those that there are, up to so many.
        seed: of the drawings.
        metrics_fn: as of `estimate_all`.

    Raises:
        DataError: arrays that do not fit.
    """
    array, values = check(truth, probabilities)
    figures = partial(metrics_fn, array, values)
    codes, several = codes_of(groups, len(array)), array.ndim == 2
    return _predict(figures, codes, len(array), locations, samples, seed, several=several)


def new_location_intervals_of_sums(
    sums: Mapping[str, Floats],
    *,
    locations: int = 1,
    samples: int = 1000,
    seed: int = 42,
    figures: Callable[[Mapping[str, Floats]], Mapping[str, Floats]],
    several: bool = False,
) -> dict[str, NewLocations]:
    """As `new_location_intervals`, of sums over locations: the same, however many media there are.

    Args:
        sums: each [groups, D], of the locations in their order; `media` counts their media.
        locations: as of `new_location_intervals`, likewise the next two.
        samples: see there.
        seed: see there.
        figures: of sums [..., D] the figures, each [...].
        several: they are of media that may have several labels.
    """
    groups, media = len(sums["media"]), float(sums["media"].sum())

    def weighted(weights: Weights) -> Mapping[str, Floats]:
        w = check_weights(weights, groups)
        return figures({name: w @ values for name, values in sums.items()})

    return _predict(weighted, np.arange(groups), media, locations, samples, seed, several=several)


def _predict(
    figures: Callable[[Weights], Mapping[str, Floats]],
    codes: npt.NDArray[np.int64],
    media: float,
    locations: int,
    samples: int,
    seed: int,
    *,
    several: bool,
) -> dict[str, NewLocations]:
    names, groups = figures(None), int(codes.max()) + 1
    if groups < FEW_LOCATIONS:
        return {name: NewLocations(locations, None, None) for name in names}
    drawn: dict[str, list[Floats]] = {name: [] for name in names}
    for counts in _draw(groups, locations, samples, seed, max(1, _CHUNK // len(codes))):
        for name, value in figures(counts[:, codes]).items():
            drawn[name].append(value)
    least = 0.5 / (1 + locations * media / groups)
    unknown = (groups + (locations == 1)) / (groups - 1)  # of one location the mean is not among the drawings
    made = {}
    for name, parts in drawn.items():
        low, high = _ends(name, np.concatenate(parts), groups, unknown, least)
        end = None if high is None else end_of(name, high, several=several)
        made[name] = NewLocations(locations, low, end)
    return made


def _draw(groups: int, locations: int, samples: int, seed: int, step: int) -> Iterator[Floats]:
    """Chunks [B, groups]: how often each location is among the new ones."""
    random = np.random.default_rng(seed)
    if locations == 1:  # whatever the population, each is as likely as the others
        each = random.permutation(groups)[:samples]
        for start in range(0, len(each), step):
            yield (np.arange(groups) == each[start : start + step, None]).astype(np.float64)
        return
    population = random.multinomial(groups, np.full(groups, 1 / groups), size=samples) / groups
    counts = random.multinomial(locations, population)
    for start in range(0, samples, step):
        yield counts[start : start + step].astype(np.float64)


def _ends(
    name: str, drawn: Floats, groups: int, unknown: float, least: float
) -> tuple[float | None, float | None]:
    """Both ends of what is predicted.

    Args:
        name: of the figure.
        drawn: [B], what locations that were drawn together showed.
        groups: locations that there are.
        unknown: how many times larger the variance is than that of the drawings.
        least: half a media in those of a drawing: a share may not be told from 0 or 1 by less.
    """
    from scipy.special import expit, logit

    shown = drawn[~np.isnan(drawn)]
    if len(shown) < (1 - _UNDEFINED_ALLOWED) * len(drawn) or np.ptp(shown) <= _ALIKE:
        return None, None
    scale = scale_of(name, float(shown.mean()), shown)
    if scale == "logit":
        low, high = expit(_reach(logit(shown.clip(least, 1 - least)), groups, unknown))
        return (0.0 if low <= least else float(low)), (1.0 if high >= 1 - least else float(high))
    if scale == "logarithm":
        low, high = np.exp(_reach(np.log(shown.clip(least)), groups, unknown))
        return (0.0 if low <= least else float(low)), float(high)
    low, high = _reach(shown, groups, unknown)
    return float(low), float(high)


def _reach(values: Floats, groups: int, unknown: float) -> Floats:
    """[2], the ends of a prediction interval of values that are nearly symmetric."""
    from scipy.special import stdtrit

    reach = float(stdtrit(groups - 1, 0.975) * values.std() * np.sqrt(unknown))
    low, high = np.quantile(values, [0.025, 0.975])
    return np.array([min(values.mean() - reach, low), max(values.mean() + reach, high)])
