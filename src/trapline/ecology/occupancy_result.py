"""A fitted occupancy model: estimates with intervals, predictions, and what is written of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy.special import expit, logit

from trapline.ecology.design import Design, Floats, Values
from trapline.ecology.occupancy_evidence import Scores
from trapline.ecology.occupancy_fit import IntervalEnds, Maximum
from trapline.ecology.occupancy_goodness import GoodnessOfFit, bootstrap_goodness
from trapline.ecology.occupancy_survey import Survey
from trapline.ecology.written import estimate_json
from trapline.errors import UsageError
from trapline.metrics import Estimate

Method = Literal["wald", "profile"]


@dataclass(frozen=True, eq=False)
class OccupancyQuantity:
    """One number of a model; its intervals are computed when they are first asked for.

    Attributes:
        maximum: the best parameters.
        direction: [P]: it is this linear combination of them, changed by
        change: an increasing function.
        open_ends: what an end is that the likelihood does not set: None, or for a probability 0 and 1.
        usual: which interval `interval` is, where the standard error is finite; the profile else.
    """

    maximum: Maximum
    direction: Floats
    change: Callable[[float], float]
    open_ends: tuple[float | None, float | None]
    usual: Method

    @cached_property
    def linear_error(self) -> float | None:
        """The standard error of the linear combination; None where there is no finite one."""
        return self.maximum.standard_error(self.direction)

    @cached_property
    def wald(self) -> IntervalEnds:
        """Estimate ± 1.96 standard errors, on the scale on which the model is linear; ends None where
        there is no finite standard error."""
        return self._changed(self.maximum.wald(self.direction), (None, None))

    @cached_property
    def profile(self) -> IntervalEnds:
        """What a likelihood-ratio test does not refuse; an end that the likelihood does not set is open."""
        return self._changed(self.maximum.profile(self.direction), self.open_ends)

    @property
    def method(self) -> Method:
        """Which of the two `interval` is."""
        return self.usual if self.linear_error is not None else "profile"

    @property
    def estimate(self) -> float | None:
        """None where the likelihood has no maximum at a finite value."""
        if self.linear_error is None and None in (self.profile.low, self.profile.high):
            return None
        return self.change(float(self.direction @ self.maximum.parameters))

    @property
    def interval(self) -> Estimate:
        """The estimate with the interval that is reported."""
        ends = self.wald if self.method == "wald" else self.profile
        return Estimate(self.estimate, ends.low, ends.high)

    def as_json(self) -> dict[str, Any]:
        """For JSON: `estimate`, `low`, `high`, their `method`, and both intervals."""
        return {
            **estimate_json(self.interval),
            "method": self.method,
            "wald": {"low": self.wald.low, "high": self.wald.high},
            "profile": {"low": self.profile.low, "high": self.profile.high},
        }

    def _changed(self, ends: IntervalEnds, missing: tuple[float | None, float | None]) -> IntervalEnds:
        return IntervalEnds(
            missing[0] if ends.low is None else self.change(ends.low),
            missing[1] if ends.high is None else self.change(ends.high),
        )


@dataclass(frozen=True, eq=False)
class OccupancyFit:
    """A single-season occupancy model, fitted by maximum likelihood.

    Attributes:
        kind: `detections`, `false positives` or `scores`.
        survey: what it was fitted to.
        psi_design, p_design: the columns of its formulas.
        transforms: of the two, from coefficients of standardised columns to those of the columns.
        maximum: the best parameters.
        at_psi, at_p: covariate → the value at which `psi` and `p` are reported.
        score_scale: (mean, standard deviation) that scores were standardised by; (0, 1) without scores.
        notes: what a person must know.
        goodness: if it was asked for.
    """

    kind: Literal["detections", "false positives", "scores"]
    survey: Survey
    psi_design: Design
    p_design: Design
    transforms: tuple[Floats, Floats]
    maximum: Maximum
    at_psi: Mapping[str, float | str]
    at_p: Mapping[str, float | str]
    score_scale: tuple[float, float] = (0.0, 1.0)
    notes: tuple[str, ...] = ()
    goodness: GoodnessOfFit | None = None

    @property
    def method(self) -> str:
        """The model and its source, for people."""
        return {
            "detections": "single-season occupancy by maximum likelihood (MacKenzie et al. 2002)",
            "false positives": "single-season occupancy with false positives by maximum likelihood "
            "(Royle & Link 2006; certain detections as Miller et al. 2011)",
            "scores": "continuous-score occupancy by maximum likelihood (Rhinehart et al. 2022)",
        }[self.kind]

    @property
    def psi(self) -> Estimate:
        """Occupancy at `at_psi`, with its 95 % interval: Wald for detections, else by profile likelihood."""
        return self.probabilities["psi"].interval

    @property
    def p(self) -> Estimate:
        """Detection at `at_p`; of scores, the share of files of an occupied location that show the
        species."""
        return self.probabilities["p"].interval

    @property
    def parameters(self) -> int:
        """How many the model has."""
        return len(self.maximum.parameters)

    @property
    def log_likelihood(self) -> float:
        """Of what was observed, without what is known from elsewhere."""
        return self.maximum.log_likelihood

    @property
    def aic(self) -> float:
        """2k - 2 ln L (Akaike 1973), as unmarked has it."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def aicc(self) -> float | None:
        """AIC for few locations: with 2k(k + 1)/(n - k - 1) more (Hurvich & Tsai 1989), n locations."""
        rest = len(self.survey.locations) - self.parameters - 1
        return self.aic + 2 * self.parameters * (self.parameters + 1) / rest if rest > 0 else None

    @property
    def naive(self) -> float:
        """The share of locations at which the species was detected at least once; of scores, where it was
        seen."""
        seen = np.bincount(self.survey.row_locations, self.survey.shown > 0, len(self.survey.locations)) > 0
        return float(seen.mean())

    @cached_property
    def coefficients(self) -> Mapping[str, Mapping[str, OccupancyQuantity]]:
        """`psi` and `p` → name of a column, as R has it → its coefficient, on the logit scale."""
        return {
            part: {
                name: self._quantity(self._direction(part, np.eye(len(design.names))[index]))
                for index, name in enumerate(design.names)
            }
            for part, design in (("psi", self.psi_design), ("p", self.p_design))
        }

    @cached_property
    def probabilities(self) -> Mapping[str, OccupancyQuantity]:
        """`psi` and `p`; of false positives also `false_positive`, that the species is detected at an
        occasion of a location where it is not (of rates by location, their mean), and `certain`, that a
        true one is certain."""
        result = {
            "psi": self._probability(self._direction("psi", self._row("psi"))),
            "p": self._probability(self._direction("p", self._row("p"))),
        }
        for name in ("false_positive", "certain"):
            if name in self.maximum.likelihood.evidence.names:
                result[name] = self._probability(self._own(name))
        return result

    @cached_property
    def scales(self) -> Mapping[str, OccupancyQuantity]:
        """Numbers that are no probabilities: how alike rates of false positives by location are (the sum
        of the beta distribution's two numbers); the mean and standard deviation of scores without the
        species, how much higher the mean is with it, and the standard deviation with it."""
        middle, spread = self.score_scale
        known: dict[str, Callable[[float], float]] = {
            "false_positive_concentration": lambda value: float(np.exp(value)),
            "score_mean_absent": lambda value: middle + spread * value,
            "score_sd_absent": lambda value: spread * float(np.exp(value)),
            "score_difference": lambda value: spread * float(np.exp(value)),
            "score_sd_present": lambda value: spread * float(np.exp(value)),
        }
        names = self.maximum.likelihood.evidence.names
        return {
            name: self._quantity(self._own(name), change) for name, change in known.items() if name in names
        }

    @cached_property
    def psi_mean(self) -> Estimate:
        """The mean over all locations of their ψ, with a 95 % Wald interval by the delta method on the
        logit."""
        columns = self.maximum.likelihood.columns
        each = expit(columns @ self.maximum.parameters[: columns.shape[1]])
        mean = float(each.mean())
        slope = np.zeros(self.parameters)
        slope[: columns.shape[1]] = (each * (1 - each)) @ columns / len(each)
        error = self.maximum.standard_error(slope)
        if error is None or not 0 < mean < 1:
            return Estimate(mean)
        away = 1.959963984540054 * error / (mean * (1 - mean))
        return Estimate(mean, float(expit(logit(mean) - away)), float(expit(logit(mean) + away)))

    def predict(
        self, covariates: Mapping[str, Values] | None = None, rows: int | None = None
    ) -> pl.DataFrame:
        """ψ at locations, with 95 % Wald intervals on the logit scale: what a map is made of.

        Args:
            covariates: covariate → [R]; of the model's own locations if None.
            rows: R, where covariates are given.

        Returns:
            `psi`, `low`, `high`; null where a covariate is missing, the ends also where no standard error is
            finite. Of the model's own locations also `location_id` first, and `occupied`: the probability
            that it is occupied, given what was observed there.
        """
        own = covariates is None
        data = self.survey.site_covariates if covariates is None else covariates
        count = len(self.survey.locations) if covariates is None else rows
        assert count is not None
        matrix = self.psi_design.matrix(data, count)
        known = ~np.isnan(matrix).any(axis=1)
        values = np.full((3, count), np.nan)
        for index in np.flatnonzero(known):
            direction = self._direction("psi", matrix[index])
            ends = self.maximum.wald(direction)
            middle = float(direction @ self.maximum.parameters)
            values[:, index] = [
                middle,
                np.nan if ends.low is None else ends.low,
                np.nan if ends.high is None else ends.high,
            ]
        table = pl.DataFrame(dict(zip(("psi", "low", "high"), expit(values), strict=True))).fill_nan(None)
        if not own:
            return table
        return table.select(
            pl.Series("location_id", self.survey.locations, pl.String),
            pl.all(),
            pl.Series("occupied", self.maximum.occupied),
        )

    def with_goodness(self, samples: int = 1000, seed: int = 42) -> OccupancyFit:
        """The model with its goodness of fit, by parametric bootstrap.

        Raises:
            UsageError: it is a model of scores, for which there is no such test.
        """
        if isinstance(self.maximum.likelihood.evidence, Scores):
            raise UsageError(
                "The goodness of fit is of detection histories; there is no such test for scores."
            )
        tested = bootstrap_goodness(self.maximum, self.survey.row_occasions, samples, seed)
        return replace(self, goodness=tested)

    def with_notes(self, notes: Sequence[str]) -> OccupancyFit:
        """The model with more to be known of it."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *notes))))

    def indices(self, part: str) -> dict[str, int]:
        """The columns of a formula, `psi` or `p` → the index of their coefficients among the parameters."""
        k = len(self.psi_design.names)
        names, first = (self.psi_design.names, 0) if part == "psi" else (self.p_design.names, k)
        return {name: first + index for index, name in enumerate(names)}

    def as_json(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "model": {"psi": self.psi_design.formula.text, "p": self.p_design.formula.text},
            "kind": self.kind,
            "method": self.method,
            **{name: one.as_json() for name, one in self.probabilities.items()},
            "psi_at": dict(self.at_psi),
            "p_at": dict(self.at_p),
            "psi_mean": estimate_json(self.psi_mean),
            **{name: one.as_json() for name, one in self.scales.items()},
            "coefficients": {
                part: {
                    name: one.as_json() | {"standard_error": one.linear_error} for name, one in each.items()
                }
                for part, each in self.coefficients.items()
            },
            "log_likelihood": self.log_likelihood,
            "parameters": self.parameters,
            "aic": self.aic,
            "aicc": self.aicc,
            "locations": len(self.survey.locations),
            "observations": len(self.survey.values),
            "naive": self.naive,
            "left_out": dict(self.survey.left_out),
            "goodness": None if self.goodness is None else self.goodness.as_json(),
            "notes": list(self.notes),
        }

    def _row(self, part: str) -> Floats:
        """The columns of a formula at the covariates at which its probability is reported; [K]."""
        design, at = (self.psi_design, self.at_psi) if part == "psi" else (self.p_design, self.at_p)
        data = {
            name: np.array([value], object if isinstance(value, str) else np.float64)
            for name, value in at.items()
        }
        return np.asarray(design.matrix(data, 1)[0])

    def _direction(self, part: str, row: Floats) -> Floats:
        """What a linear predictor multiplies the parameters by; [P]."""
        k = len(self.psi_design.names)
        direction = np.zeros(self.parameters)
        if part == "psi":
            direction[:k] = row @ self.transforms[0]
        else:
            direction[k : k + len(self.p_design.names)] = row @ self.transforms[1]
        return direction

    def _own(self, name: str) -> Floats:
        """The same for one parameter of the evidence."""
        direction = np.zeros(self.parameters)
        direction[len(self.psi_design.names) + self.maximum.likelihood.evidence.names.index(name)] = 1.0
        return direction

    def _quantity(
        self,
        direction: Floats,
        change: Callable[[float], float] = float,
        open_ends: tuple[float | None, float | None] = (None, None),
    ) -> OccupancyQuantity:
        usual: Method = "wald" if self.kind == "detections" else "profile"
        return OccupancyQuantity(self.maximum, direction, change, open_ends, usual)

    def _probability(self, direction: Floats) -> OccupancyQuantity:
        """Ends that the likelihood does not set are 0 and 1: a probability has no others."""
        return self._quantity(direction, lambda value: float(expit(value)), (0.0, 1.0))
