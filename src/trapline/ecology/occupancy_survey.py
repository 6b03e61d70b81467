"""What a model is fitted to: the locations and observations that have all that its formulas need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trapline.ecology.design import Floats, Values
from trapline.ecology.formula import Formula
from trapline.ecology.occupancy_evidence import Indices
from trapline.errors import DataError, UsageError, many, name_some

OCCASION = "occasion"
"""A covariate of observations that is always there: the name of the occasion's column, a factor."""

CERTAIN = 2.0
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Survey:
    """Observations at locations, in rows, with covariates.

    Attributes:
        locations: [N], their names, or `row 1`, `row 2`.
        row_locations: [R], the location of each observation, from 0.
        row_occasions: [R], its occasion, from 0; of scores, all 0.
        values: [R], detections (0, 1, 2 if certain) or scores.
        shown: [R], 1 where the species was detected, or of scores seen by a person, 0 where not, -1 where
            nobody looked at the file.
        site_covariates: name → [N].
        row_covariates: name → [R].
        left_out: name of a location → why it is in no model.
        notes: what a person must know.
    """

    locations: tuple[str, ...]
    row_locations: Indices
    row_occasions: Indices
    values: Floats
    shown: Floats
    site_covariates: Mapping[str, Values]
    row_covariates: Mapping[str, Values]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def data_of_rows(self) -> dict[str, Values]:
        """All covariates by observation, those of locations repeated."""
        repeated = {name: values[self.row_locations] for name, values in self.site_covariates.items()}
        return {**repeated, **self.row_covariates}


def survey_of_histories(
    detections: Floats,
    locations: Sequence[str] | None,
    occasions: Sequence[str] | None,
    site_covariates: Mapping[str, Values],
    observation_covariates: Mapping[str, Values],
) -> Survey:
    """A survey of detection histories; missing cells are no rows.

    Args:
        detections: [N, J].
        locations: [N] names, or None.
        occasions: [J] names, or None.
        site_covariates: name → [N].
        observation_covariates: name → [N, J].

    Raises:
        DataError: a covariate has another shape.
        UsageError: two covariates have one name.
    """
    n, j = detections.shape
    for name, values in (*site_covariates.items(), *observation_covariates.items()):
        wanted = (n, j) if name in observation_covariates else (n,)
        if np.shape(values) != wanted:
            raise DataError(f"The covariate {name} is {np.shape(values)}, and the histories need {wanted}.")
    _refuse_twice(site_covariates, observation_covariates)
    row_locations, row_occasions = np.nonzero(~np.isnan(detections))
    names = occasions or [str(index + 1) for index in range(j)]
    rows: dict[str, Values] = {
        name: values[row_locations, row_occasions] for name, values in observation_covariates.items()
    }
    if OCCASION not in rows and OCCASION not in site_covariates:
        rows[OCCASION] = np.array(names, object)[row_occasions]
    return Survey(
        names_of_rows(locations, n),
        row_locations,
        row_occasions,
        detections[row_locations, row_occasions],
        (detections[row_locations, row_occasions] > 0).astype(np.float64),
        site_covariates,
        rows,
    )


def names_of_rows(locations: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """The names of locations, or of the rows that stand for them."""
    return tuple(locations) if locations is not None else tuple(f"row {row + 1}" for row in range(count))


def _refuse_twice(sites: Mapping[str, Values], observations: Mapping[str, Values]) -> None:
    twice = sorted(set(sites) & set(observations))
    if twice:
        raise UsageError(f"{name_some(twice)} is a covariate of locations and of observations; rename one.")


def restrict(survey: Survey, psi: Sequence[Formula], p: Sequence[Formula]) -> Survey:
    """The survey without what lacks a covariate that any of the models needs, so that all are of the same
    data.

    Args:
        survey: all of it.
        psi: the formulas of occupancy.
        p: those of detection.

    Raises:
        UsageError: a formula names no covariate that is there.
        DataError: nothing is left.
    """
    site_needs = [name for formula in psi for name in formula.columns]
    row_needs = [name for formula in p for name in formula.columns]
    _refuse_unknown(survey, site_needs, row_needs)
    both = [*site_needs, *(name for name in row_needs if name in survey.site_covariates)]
    bad_sites = _lacking(survey.site_covariates, both, len(survey.locations))
    own = [name for name in row_needs if name in survey.row_covariates]
    bad_rows = _lacking(survey.row_covariates, own, len(survey.values))
    good_rows = ~bad_rows & ~bad_sites[survey.row_locations]
    observed = np.bincount(survey.row_locations[good_rows], minlength=len(survey.locations)) > 0
    left_out = _reasons(survey, both, bad_sites, observed)
    notes = [*survey.notes, *_notes_of(left_out)]
    lost = int((bad_rows & observed[survey.row_locations]).sum())
    if lost:
        notes.append(
            f"{many(lost, 'observation')} left out, for want of {name_some(list(dict.fromkeys(own)))}."
        )
    if not observed.any():
        raise DataError(f"No location is left to fit a model to. {' '.join(notes)}")
    return replace(_kept(survey, observed, good_rows), left_out=left_out, notes=tuple(notes))


def _refuse_unknown(survey: Survey, site_needs: Sequence[str], row_needs: Sequence[str]) -> None:
    known = [name for name in survey.row_covariates if name != OCCASION]
    of_sites = list(survey.site_covariates)
    for name in site_needs:
        if name in survey.row_covariates:
            raise UsageError(f"psi is of locations, and {name} differs from one observation to the next.")
        if name not in survey.site_covariates:
            raise UsageError(
                f"The formula of psi names {name}, which is no covariate of locations; {_listed(of_sites)}."
            )
    for name in row_needs:
        if name not in survey.row_covariates and name not in survey.site_covariates:
            raise UsageError(
                f"The formula of p names {name}, which is no covariate; {_listed([*of_sites, *known])}."
            )


def _listed(names: Sequence[str]) -> str:
    return f"there are {name_some(names, 20)}" if names else "there are none (--covariates names their table)"


def _lacking(covariates: Mapping[str, Values], needed: Sequence[str], count: int) -> npt.NDArray[np.bool_]:
    lacking = np.zeros(count, bool)
    for name in dict.fromkeys(needed):
        lacking |= is_missing(covariates[name])
    return lacking


def is_missing(values: Values) -> npt.NDArray[np.bool_]:
    """Which values are missing: NaN of numbers, None of texts."""
    if values.dtype == object:
        return np.array([value is None for value in values.ravel()], bool).reshape(values.shape)
    return np.isnan(np.asarray(values, np.float64))


def _reasons(
    survey: Survey, needed: Sequence[str], bad: npt.NDArray[np.bool_], observed: npt.NDArray[np.bool_]
) -> dict[str, str]:
    """Location → why it is left out."""
    reasons = {}
    for index in np.flatnonzero(~observed):
        lacks = [
            name
            for name in dict.fromkeys(needed)
            if is_missing(survey.site_covariates[name][index : index + 1])[0]
        ]
        reasons[survey.locations[index]] = f"lacks {', '.join(lacks)}" if bad[index] else "has no observation"
    return reasons


def _notes_of(left_out: Mapping[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for location, reason in left_out.items():
        by_reason.setdefault(reason, []).append(location)
    return [
        f"{many(len(names), 'location')} left out, as "
        f"{'each' if len(names) > 1 else 'it'} {reason}: {name_some(names, _SHOWN)}."
        for reason, names in by_reason.items()
    ]


def _kept(survey: Survey, sites: npt.NDArray[np.bool_], rows: npt.NDArray[np.bool_]) -> Survey:
    numbers = np.cumsum(sites) - 1
    return Survey(
        tuple(name for name, kept in zip(survey.locations, sites, strict=True) if kept),
        numbers[survey.row_locations[rows]],
        survey.row_occasions[rows],
        survey.values[rows],
        survey.shown[rows],
        {name: values[sites] for name, values in survey.site_covariates.items()},
        {name: values[rows] for name, values in survey.row_covariates.items()},
    )
