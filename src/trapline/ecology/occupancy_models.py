"""Occupancy models of arrays: detection histories, with or without false positives, and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trapline.arguments import checked
from trapline.ecology.design import Design, Floats, Values, refuse_dependent_columns
from trapline.ecology.false_positives import FalsePositiveCounts
from trapline.ecology.formula import Formula, parse_formula
from trapline.ecology.occupancy_evidence import (
    Detections,
    Evidence,
    FalsePositiveRate,
    LocalFalsePositives,
    Scores,
    UncertainDetections,
    bounds_of,
)
from trapline.ecology.occupancy_fit import Maximum, OccupancyLikelihood, maximise, standardise
from trapline.ecology.occupancy_result import OccupancyFit
from trapline.ecology.occupancy_survey import (
    CERTAIN,
    Survey,
    names_of_rows,
    restrict,
    survey_of_histories,
)
from trapline.errors import DataError, UsageError, many, name_some

FalsePositives = FalsePositiveRate | FalsePositiveCounts | Literal["estimated"]
"""What is known of false positives: a rate, an audit's counts by location, or nothing."""

_DISTRIBUTIONS = ("score_mean_absent", "score_sd_absent", "score_difference", "score_sd_present")
_FEW = 10


@checked
def fit_occupancy(
    detections: npt.ArrayLike,
    *,
    psi: str = "1",
    p: str = "1",
    locations: Sequence[str] | None = None,
    occasions: Sequence[str] | None = None,
    site_covariates: Mapping[str, object] | None = None,
    observation_covariates: Mapping[str, object] | None = None,
    effort: npt.ArrayLike | None = None,
    confirmed: npt.ArrayLike | None = None,
    certain: bool = False,
    false_positives: FalsePositives | None = None,
    at: Mapping[str, float | str] | None = None,
) -> OccupancyFit:
    """Fit a single-season occupancy model by maximum likelihood.

    Args:
        detections: [N, J]: 1 where the species was detected at that occasion, 0 where not, NaN where the
            camera did not work.
        psi: formula of occupancy, of covariates of locations: `Dist_5km + HDens_5km`.
        p: formula of detection, of covariates of locations and of observations, and of `occasion`.
        locations: [N] names.
        occasions: [J] names.
        site_covariates: name → [N], numbers or texts.
        observation_covariates: name → [N, J].
        effort: [N, J], a covariate of observations by the name `effort`.
        confirmed: [N, J], 1 where a person confirmed the detection, which makes it certain (Miller et al.
            2011).
        certain: 2 in `detections` says the same.
        false_positives: that detections may be false, and what is known of how often; without it none is.
        at: covariate → the value at which `psi` and `p` are reported, instead of its mean (of a factor: its
            first level).

    Raises:
        UsageError: a formula cannot be read, or names what is not there.
        DataError: the data cannot tell occupancy from detection: the species was detected nowhere, there
            is one occasion only, a covariate follows from others.
    """
    survey = survey_of_histories(
        with_confirmed(mark_certain(as_detections(detections), certain=certain), confirmed),
        locations,
        occasions,
        _as_covariates(site_covariates),
        _as_covariates(observation_covariates)
        | ({} if effort is None else _as_covariates({"effort": effort})),
    )
    formulas = (parse_formula(psi), parse_formula(p))
    return fit_survey(restrict(survey, [formulas[0]], [formulas[1]]), *formulas, false_positives, at or {})


@checked
def fit_score_occupancy(
    scores: npt.ArrayLike,
    files_at: Sequence[str],
    *,
    seen: npt.ArrayLike | None = None,
    psi: str = "1",
    p: str = "1",
    locations: Sequence[str] | None = None,
    site_covariates: Mapping[str, object] | None = None,
    file_covariates: Mapping[str, object] | None = None,
    audited: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    at: Mapping[str, float | str] | None = None,
) -> OccupancyFit:
    """Fit the continuous-score model of Rhinehart et al. (2022) by maximum likelihood.

    Args:
        scores: [R], one a file (photo, event, occasion): log odds of a calibrated probability, say.
        files_at: [R], the location of each.
        seen: [R], 1 where a person saw the species in it, 0 where not, NaN where nobody looked.
        psi: formula of occupancy.
        p: formula of the share of an occupied location's files that show the species.
        locations: [N] names; those of `files_at`, sorted, if None.
        site_covariates: name → [N].
        file_covariates: name → [R].
        audited: scores [M] of files of other surveys, and whether each shows the species [M].
        at: as of `fit_occupancy`.

    Raises:
        UsageError, DataError: as of `fit_occupancy`.
    """
    survey = survey_of_scores(
        np.asarray(scores, np.float64),
        files_at,
        np.full(len(files_at), np.nan) if seen is None else np.asarray(seen, np.float64),
        sorted(set(files_at)) if locations is None else locations,
        _as_covariates(site_covariates),
        _as_covariates(file_covariates),
    )
    formulas = (parse_formula(psi), parse_formula(p))
    pair = _as_audited(audited)
    return fit_scores(restrict(survey, [formulas[0]], [formulas[1]]), *formulas, pair, at or {})


def fit_survey(
    survey: Survey,
    psi: Formula,
    p: Formula,
    false_positives: FalsePositives | None,
    at: Mapping[str, float | str],
) -> OccupancyFit:
    """Fit a model of detections to a survey that has all that its formulas need; else as `fit_occupancy`."""
    uncertain = false_positives is not None or bool((survey.values == CERTAIN).any())
    _refuse_undetermined(survey, uncertain=uncertain)
    parts = _columns(survey, psi, p)
    detections = Detections(
        len(survey.locations),
        survey.row_locations,
        survey.shown,
        parts.p_columns,
        parts.p_design.names,
        bounds_of(parts.p_design.names),
    )
    evidence: Evidence = detections
    if uncertain:
        evidence = _with_false_positives(survey, detections, false_positives)
    maximum = maximise(OccupancyLikelihood(parts.psi_columns, evidence))
    kind: Literal["detections", "false positives"] = "false positives" if uncertain else "detections"
    notes = [*survey.notes, *_notes_of_false_positives(false_positives, maximum, detections)]
    return _fit(kind, survey, parts, maximum, at, notes, (0.0, 1.0))


def fit_scores(
    survey: Survey,
    psi: Formula,
    p: Formula,
    audited: tuple[Floats, Floats],
    at: Mapping[str, float | str],
) -> OccupancyFit:
    """Fit a model of scores to a survey that has all that its formulas need; else as
    `fit_score_occupancy`."""
    if np.bincount(survey.row_locations).max() < 2:
        raise DataError("No location has more than one score: occupancy and detection cannot be told apart.")
    middle, spread = float(survey.values.mean()), float(survey.values.std())
    if spread == 0:
        raise DataError("All scores are equal, and tell nothing.")
    parts = _columns(survey, psi, p)
    known = np.concatenate([survey.shown[survey.shown >= 0], audited[1]])
    least = np.log(1e-2)
    evidence = Scores(
        len(survey.locations),
        survey.row_locations,
        (survey.values - middle) / spread,
        survey.shown,
        parts.p_columns,
        (*parts.p_design.names, *_DISTRIBUTIONS),
        (*bounds_of(parts.p_design.names), (-50.0, 50.0), (least, 5.0), (-7.0, 5.0), (least, 5.0)),
        (audited[0] - middle) / spread,
        audited[1],
    )
    maximum = maximise(OccupancyLikelihood(parts.psi_columns, evidence))
    notes = [*survey.notes, *_notes_of_scores(known)]
    return _fit("scores", survey, parts, maximum, at, notes, (middle, spread))


@dataclass(frozen=True, eq=False)
class _Columns:
    """The columns of both formulas, standardised, and the way back."""

    psi_design: Design
    p_design: Design
    psi_columns: Floats
    p_columns: Floats
    transforms: tuple[Floats, Floats]


def _columns(survey: Survey, psi: Formula, p: Formula) -> _Columns:
    designs = (Design(psi), Design(p))
    data = (survey.site_covariates, survey.data_of_rows())
    counts = (len(survey.locations), len(survey.values))
    matrices = []
    for design, covariates, rows, name in zip(designs, data, counts, ("psi", "p"), strict=True):
        matrix = design.matrix(covariates, rows)
        refuse_dependent_columns(matrix, design.names, name)
        matrices.append(standardise(matrix))
    one, other = matrices
    return _Columns(*designs, one.columns, other.columns, (one.transform, other.transform))


def _fit(
    kind: Literal["detections", "false positives", "scores"],
    survey: Survey,
    parts: _Columns,
    maximum: Maximum,
    at: Mapping[str, float | str],
    notes: Sequence[str],
    score_scale: tuple[float, float],
) -> OccupancyFit:
    at_psi = _reported_at(parts.psi_design, survey.site_covariates, at)
    at_p = _reported_at(parts.p_design, survey.data_of_rows(), at)
    unused = sorted(set(at) - set(at_psi) - set(at_p))
    if unused:
        raise UsageError(f"--at names {name_some(unused)}, which no formula uses.")
    fit = OccupancyFit(
        kind,
        survey,
        parts.psi_design,
        parts.p_design,
        parts.transforms,
        maximum,
        at_psi,
        at_p,
        score_scale,
        tuple(dict.fromkeys(notes)),
    )
    return fit.with_notes(boundary_notes(fit))


def _reported_at(
    design: Design, data: Mapping[str, Values], at: Mapping[str, float | str]
) -> dict[str, float | str]:
    """The value of each covariate of a formula: as asked, else its mean, or of a factor its first level."""
    values: dict[str, float | str] = {}
    for name in design.formula.columns:
        levels = design.levels_of(name)
        is_text = data[name].dtype == object
        if name in at:
            value = at[name]
            values[name] = str(value) if is_text else _as_number(name, value)
        elif levels is not None:
            values[name] = levels[0] if is_text else float(levels[0])
        else:
            values[name] = float(np.asarray(data[name], np.float64).mean())
    return values


def _as_number(name: str, value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"--at {name}={value}: {name} is a number.") from None


def boundary_notes(fit: OccupancyFit) -> list[str]:
    """What to say of estimates that are no finite ones."""
    notes = []
    values, steep = fit.maximum.parameters, []
    for part in ("psi", "p"):
        for name, index in fit.indices(part).items():
            if fit.maximum.standard_error(np.eye(len(values))[index]) is None:
                steep.append(f"{name} of {part}" if name != "(Intercept)" else part)
    if steep:
        notes.append(
            f"The data do not end the estimate of {name_some(steep)}: it stands at a boundary (detected "
            "everywhere, detected never, or told apart without error by a covariate). No Wald interval is "
            "there; the profile interval is, open on one side."
        )
    if len(fit.survey.locations) < _FEW * len(values):
        notes.append(
            f"{many(len(fit.survey.locations), 'location is')} few for {many(len(values), 'parameter')}: "
            "where the two intervals differ, trust the profile interval."
        )
    return notes


def _refuse_undetermined(survey: Survey, *, uncertain: bool) -> None:
    if not (survey.values > 0).any():
        raise DataError(
            f"The species was detected at none of {many(len(survey.locations), 'location')}: occupancy and "
            "detection cannot be told apart, and neither has an estimate or an interval."
        )
    if np.bincount(survey.row_locations).max() < 2:
        raise DataError(
            "No location has more than one occasion that counts: occupancy and detection cannot be told "
            "apart. Make shorter occasions (trapline ecology histories --days)."
        )


def _with_false_positives(
    survey: Survey, detections: Detections, known: FalsePositives | None
) -> UncertainDetections | LocalFalsePositives:
    certain = (survey.values == CERTAIN).astype(np.float64)
    confirms = bool(certain.any())
    if not isinstance(known, FalsePositiveCounts):
        rate = known if isinstance(known, FalsePositiveRate) else None
        return UncertainDetections(detections, certain, confirms, rate)
    if confirms:
        raise UsageError(
            "Rates of false positives by location and certain detections are two models; give the rate as "
            "one (--false-positive RATE:LOW-HIGH), or take the certain detections away."
        )
    wrong, checked, elsewhere = known.at(survey.locations)
    return LocalFalsePositives(detections, wrong, checked, *elsewhere)


def _notes_of_false_positives(
    known: FalsePositives | None, maximum: Maximum, detections: Detections
) -> list[str]:
    evidence = maximum.likelihood.evidence
    notes = []
    if known == "estimated" and isinstance(evidence, UncertainDetections) and not evidence.confirms:
        notes.append(
            "Nothing is known of false positives but these histories: that the species is detected more "
            "often where it is than where it is not is all that tells them apart (Royle & Link 2006). "
            "Confirm some detections or give a rate from an audit, if you can."
        )
    if isinstance(evidence, UncertainDetections | LocalFalsePositives):
        k = maximum.likelihood.columns.shape[1]
        scores = detections.columns @ maximum.parameters[k : k + len(detections.names)]
        if scores.mean() <= maximum.parameters[k + len(detections.names)]:
            notes.append(
                "The species is detected as often where it is not as where it is: psi and p are not to "
                "be used."
            )
    if isinstance(evidence, LocalFalsePositives) and maximum.at_bound[-1]:
        notes.append("The audit shows no difference between locations in their rates of false positives.")
    return notes


def _notes_of_scores(known: Floats) -> list[str]:
    with_it, without = int((known > 0).sum()), int((known == 0).sum())
    if min(with_it, without) >= _FEW:
        return []
    return [
        f"People looked at {many(with_it, 'file')} with the species and {without} without it: with fewer "
        f"than {_FEW} of each the two distributions of scores rest on their shape alone."
    ]


def as_detections(values: npt.ArrayLike) -> Floats:
    """[N, J] of numbers; NaN where missing.

    Raises:
        DataError: it has another shape, or no numbers.
    """
    try:
        detections = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise DataError("Detections must be numbers: 0, 1 and NaN.") from None
    if detections.ndim != 2 or 0 in detections.shape:
        raise DataError(f"Detections must be locations × occasions, not {list(detections.shape)}.")
    return detections


def mark_certain(detections: Floats, *, certain: bool) -> Floats:
    """The detections, of which 2 says that it is certain, if it may.

    Raises:
        DataError: there are other values than 0, 1 and that.
    """
    allowed = [0.0, 1.0, CERTAIN] if certain else [0.0, 1.0]
    other = np.unique(detections[~np.isnan(detections) & ~np.isin(detections, allowed)])
    if len(other):
        raise DataError(
            f"The histories have {name_some([f'{value:g}' for value in other], 3)}: numbers of records are "
            "no detections. Give 0 and 1, and NA where the camera did not work; if 2 is a detection that "
            "is certain, say --certain."
        )
    if certain and not (detections == CERTAIN).any():
        raise DataError("--certain says that 2 is a detection that is certain, and the histories have no 2.")
    return detections


def with_confirmed(detections: Floats, confirmed: npt.ArrayLike | None) -> Floats:
    """The detections with `CERTAIN` where a person confirmed them.

    Raises:
        DataError: another shape, or what is confirmed was never told.
    """
    if confirmed is None:
        return detections
    flags = np.nan_to_num(as_detections(confirmed)) > 0
    if flags.shape != detections.shape:
        raise DataError(f"What is confirmed is {flags.shape}, and the histories are {detections.shape}.")
    alone = int((flags & ~(detections > 0)).sum())
    if alone:
        raise DataError(
            f"{many(alone, 'occasion is')} confirmed at which the histories have no detection: write a "
            "detection (1) where a person saw the species."
        )
    return np.where(flags, CERTAIN, detections)


def survey_of_scores(
    scores: Floats,
    files_at: Sequence[str],
    seen: Floats,
    locations: Sequence[str],
    site_covariates: Mapping[str, Values],
    file_covariates: Mapping[str, Values],
) -> Survey:
    """A survey of scores, a row a file; arguments as of `fit_score_occupancy`.

    Raises:
        DataError: lengths differ, a score is missing or infinite, or a file's location is unknown.
    """
    lengths = {len(scores), len(files_at), len(seen), *map(len, file_covariates.values())}
    if len(lengths) > 1:
        raise DataError(
            f"Scores, their locations and covariates must be equally many, not {sorted(lengths)}."
        )
    if not np.isfinite(scores).all():
        raise DataError(f"{many(int((~np.isfinite(scores)).sum()), 'score is')} missing or infinite.")
    index = {name: row for row, name in enumerate(locations)}
    unknown = sorted(set(files_at) - set(index))
    if unknown:
        raise DataError(f"Files are of locations that are not listed: {name_some(unknown)}.")
    wrong = ~(np.isnan(seen) | np.isin(seen, [0.0, 1.0]))
    if wrong.any():
        raise DataError("Whether a person saw the species in a file is 1, 0 or missing.")
    return Survey(
        names_of_rows(locations, len(locations)),
        np.array([index[name] for name in files_at], np.int64),
        np.zeros(len(scores), np.int64),
        scores,
        np.where(np.isnan(seen), -1.0, seen),
        site_covariates,
        file_covariates,
    )


def _as_audited(pair: tuple[npt.ArrayLike, npt.ArrayLike] | None) -> tuple[Floats, Floats]:
    if pair is None:
        return np.empty(0), np.empty(0)
    scores, shown = (np.asarray(one, np.float64) for one in pair)
    if scores.shape != shown.shape or not np.isin(shown, [0.0, 1.0]).all() or not np.isfinite(scores).all():
        raise DataError("Audited scores are numbers, and each shows the species (1) or not (0).")
    return scores, shown


def _as_covariates(columns: Mapping[str, object] | None) -> dict[str, Values]:
    """Arrays of numbers, NaN where missing, or of texts, None where missing."""
    return {name: as_covariate(values) for name, values in (columns or {}).items()}


def as_covariate(values: object) -> Values:
    """Numbers as float64, truth values and texts as objects."""
    array = np.asarray(values)
    if array.dtype.kind in "iuf":
        return np.asarray(array, np.float64)
    texts = [None if _is_nothing(value) else value for value in array.ravel()]
    if all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in texts
    ):
        return np.array([np.nan if value is None else value for value in texts], np.float64).reshape(
            array.shape
        )
    as_text = [None if value is None else str(value) for value in texts]
    result = np.empty(len(as_text), object)
    result[:] = as_text
    return result.reshape(array.shape)


def _is_nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
