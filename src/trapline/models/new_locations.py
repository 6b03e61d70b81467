"""What figures say of locations that nobody has measured at: for the card and for evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from trapline.metrics import (
    FEW_LOCATIONS,
    MetricsFunction,
    Weights,
    accuracy,
    balanced_accuracy,
    effective_locations,
    knows_enough,
    log_loss,
    macro_f1,
    new_location_intervals,
    subset_accuracy,
)

TOGETHER = (1, 10)
"""Of how many new locations together it is told: the next camera, and a small project of them."""


class NewLocationsInterval(BaseModel):
    """Where a figure will be, in 95 of 100 cases, on locations that it was not measured at.

    Attributes:
        locations: so many new ones together, each with as many media as those that were measured.
        low: the lower end.
        high: the upper end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    locations: int = Field(ge=1)
    low: float
    high: float


class MeasuredAt(BaseModel):
    """At how many locations figures were measured.

    Attributes:
        locations: that are known; 0 where none is.
        effective: to how many of equal size they amount.
        only: the one, where it is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    locations: int = Field(ge=0)
    effective: float = Field(ge=0)
    only: str | None = None

    @classmethod
    def of(cls, media_per_location: Mapping[str, int]) -> MeasuredAt:
        """Of known locations, and how many media were judged at each."""
        counts = np.array(list(media_per_location.values()))
        if not len(counts):
            return cls(locations=0, effective=0)
        codes = np.repeat(np.arange(len(counts)), counts)
        only = next(iter(media_per_location)) if len(counts) == 1 else None
        return cls(locations=len(counts), effective=round(effective_locations(codes), 2), only=only)

    @classmethod
    def at(cls, locations: Sequence[str | None]) -> MeasuredAt:
        """Of the location of each media; None where it is not known."""
        names, counts = np.unique([name for name in locations if name is not None], return_counts=True)
        return cls.of(dict(zip(names.tolist(), counts.tolist(), strict=True)))

    @property
    def few(self) -> bool:
        """Whether nothing can be told of other locations."""
        return self.effective < FEW_LOCATIONS


AtNewLocations = dict[str, tuple[NewLocationsInterval, ...]]
"""Figure -> its prediction intervals, one for each number of new locations."""


def at_new_locations(
    truth: ArrayLike,
    probabilities: ArrayLike,
    locations: Sequence[str | None],
    *,
    blank: int | None = None,
    exclusive: bool = False,
    kept: int | None = None,
    samples: int = 1000,
    seed: int = 42,
) -> AtNewLocations:
    """The headline figures at one new location and on ten together; empty where there are too few to tell.

    Args:
        truth: int [N] or 0/1 [N, K], of media whose location the model was not trained on.
        probabilities: [N, K].
        locations: [N]; media of no known location (None) are left out.
        blank: the column of the label that excludes all others, if there is one.
        exclusive: as of `trapline.metrics.measure`.
        kept: likewise.
        samples: drawings of new locations.
        seed: of the drawings.
    """
    if MeasuredAt.at(locations).few:
        return {}
    known = np.array([name is not None for name in locations], bool)
    names = np.array([name for name in locations if name is not None])
    figures: MetricsFunction = partial(_headlines, blank=blank, exclusive=exclusive, kept=kept)
    intervals: AtNewLocations = {}
    for number in TOGETHER:
        new = new_location_intervals(
            np.asarray(truth)[known],
            np.asarray(probabilities)[known],
            names,
            locations=number,
            samples=samples,
            seed=seed,
            metrics_fn=figures,
        )
        for name, one in new.items():
            if one.low is not None and one.high is not None:
                ends = NewLocationsInterval(locations=number, low=one.low, high=one.high)
                intervals[name] = (*intervals.get(name, ()), ends)
    return intervals


def _headlines(
    truth: ArrayLike,
    probabilities: ArrayLike,
    weights: Weights = None,
    *,
    blank: int | None,
    exclusive: bool,
    kept: int | None,
) -> dict[str, npt.NDArray[np.float64]]:
    """The figures that people read first, of those that `measure` gives."""
    several = np.ndim(truth) == 2
    figures = {}
    if several:
        figures["subset_accuracy"] = subset_accuracy(truth, probabilities, weights, blank)
    if exclusive or not several:
        figures["accuracy"] = accuracy(truth, probabilities, weights)
    if not several:
        figures["balanced_accuracy"] = balanced_accuracy(truth, probabilities, weights)
    figures["macro_f1"] = macro_f1(truth, probabilities, weights, blank)
    figures["log_loss"] = log_loss(truth, probabilities, weights)
    return {name: value for name, value in figures.items() if kept is None or knows_enough(name, kept)}
