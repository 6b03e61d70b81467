"""Occupancy of tables: histories or scores, covariates, effort, and one model or several of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl

from trapline.arguments import File, Output, Whole, checked
from trapline.ecology.design import Floats, Values
from trapline.ecology.false_positives import read_false_positives
from trapline.ecology.formula import Formula, parse_formula
from trapline.ecology.history_table import (
    match_rows,
    read_histories,
    read_observation_table,
    read_site_table,
)
from trapline.ecology.occupancy_models import (
    FalsePositives,
    fit_scores,
    fit_survey,
    mark_certain,
    survey_of_scores,
    with_confirmed,
)
from trapline.ecology.occupancy_result import OccupancyFit
from trapline.ecology.occupancy_survey import Survey, names_of_rows, restrict, survey_of_histories
from trapline.ecology.score_table import read_score_table
from trapline.ecology.written import write_table
from trapline.errors import DataError, UsageError, many, name_some

EFFORT = "effort"
"""The covariate of observations that `--effort` names."""

Files = Annotated[Mapping[str, Path | str], "tables by the names of covariates"]


@dataclass(frozen=True, eq=False)
class OccupancyModels:
    """One model or several of the same data.

    Attributes:
        fits: in the order of their AIC, the lowest first.
    """

    fits: tuple[OccupancyFit, ...]

    @property
    def best(self) -> OccupancyFit:
        """The model with the lowest AIC."""
        return self.fits[0]

    def table(self) -> pl.DataFrame:
        """The models by AIC: `psi`, `p` (formulas), `parameters`, `log_likelihood`, `aic`, `delta`, `weight`
        (Burnham & Anderson 2002), `aicc`."""
        aic = np.array([fit.aic for fit in self.fits])
        likelihood = np.exp(-(aic - aic.min()) / 2)
        return pl.DataFrame(
            {
                "psi": [fit.psi_design.formula.text for fit in self.fits],
                "p": [fit.p_design.formula.text for fit in self.fits],
                "parameters": [fit.parameters for fit in self.fits],
                "log_likelihood": [fit.log_likelihood for fit in self.fits],
                "aic": aic,
                "delta": aic - aic.min(),
                "weight": likelihood / likelihood.sum(),
                "aicc": pl.Series([fit.aicc for fit in self.fits], dtype=pl.Float64),
            }
        )

    def predictions(self) -> pl.DataFrame:
        """ψ of every location by the best model, beside its covariates: `location_id`, `psi`, `low`, `high`,
        `occupied` (given what was observed there), `left_out` (why there is none), covariates."""
        fit = self.best
        covariates = {name: _series(name, values) for name, values in fit.survey.site_covariates.items()}
        table = fit.predict().with_columns(pl.lit(None, pl.String).alias("left_out"), *covariates.values())
        missing = pl.DataFrame(
            {"location_id": list(fit.survey.left_out), "left_out": list(fit.survey.left_out.values())},
            schema={"location_id": pl.String, "left_out": pl.String},
        )
        return pl.concat([table, missing], how="diagonal")

    @checked
    def save(self, output: Output, grid: File | None = None) -> None:
        """Write ψ of every location (`predictions`), or of each row of covariates (`predict_grid`).

        Args:
            output: CSV; missing values are `NA`.
            grid: the table of covariates.
        """
        write_table(Path(output), self.predictions() if grid is None else predict_grid(self, grid))

    def as_json(self) -> dict[str, Any]:
        """The best model, and of several all as `models`, each with `delta` and `weight`."""
        if len(self.fits) == 1:
            return self.best.as_json()
        rows = self.table().select("delta", "weight").to_dicts()
        models = [fit.as_json() | row for fit, row in zip(self.fits, rows, strict=True)]
        return self.best.as_json() | {"models": models}


@checked
def occupancy(
    source: File,
    *,
    psi: str | None = None,
    p: str | None = None,
    models: Sequence[str] = (),
    covariates: File | None = None,
    observations: Files | None = None,
    effort: File | None = None,
    confirmed: File | None = None,
    certain: bool = False,
    false_positive: str | None = None,
    scores: bool = False,
    audit: File | None = None,
    at: Mapping[str, float | str] | None = None,
    goodness: Whole = 0,
    seed: int = 42,
) -> OccupancyModels:
    """Fit single-season occupancy models of tables by maximum likelihood.

    Args:
        source: detection histories, a row a location and a column an occasion; of scores a row a file.
        psi: formula of occupancy; `1` if None.
        p: formula of detection; `1` if None.
        models: several models instead, `psi: Dist_5km + HDens_5km; p: effort` each.
        covariates: table of locations. Rows are matched by the locations' names where both tables have
            some, by their order where neither has.
        observations: tables of covariates of observations, shaped as the histories, by name.
        effort: one of these, by the name `effort`.
        confirmed: a table shaped as the histories: 1 where a person confirmed the detection.
        certain: 2 in the histories is a detection that is certain.
        false_positive: that detections may be false: `RATE:LOW-HIGH`, a table of an audit's counts with
            `location_id`, `checked` and `wrong`, or `estimated`.
        scores: the source has scores.
        audit: with scores: a table of scores of files that people looked at elsewhere.
        at: covariate → value at which `psi` and `p` are reported.
        goodness: simulated data sets of the goodness of fit; 0 for none.
        seed: of them.

    Raises:
        UsageError, DataError: as of `trapline.ecology.fit_occupancy`; or tables do not fit together.
    """
    formulas = _formulas(psi, p, models)
    _refuse_unused(scores, effort, confirmed, observations, false_positive, certain, audit)
    tables = dict(observations or {}) | ({} if effort is None else {EFFORT: effort})
    told = psi is not None or p is not None or bool(models)
    _refuse_unasked(None if told else covariates, tables, _columns_of(formulas))
    if scores:
        fits = _fit_scores(Path(source), formulas, covariates, audit, at or {})
    else:
        survey = _survey(Path(source), covariates, tables, confirmed, certain=certain)
        survey = restrict(survey, [one for one, _ in formulas], [other for _, other in formulas])
        known = _known(false_positive)
        fits = [fit_survey(survey, *pair, known, _used(at or {}, pair)) for pair in formulas]
    _refuse_unknown_at(at or {}, formulas)
    result = OccupancyModels(tuple(sorted(fits, key=lambda fit: fit.aic)))
    if len(fits) > 1:
        result = OccupancyModels((result.best.with_notes([_CHOSEN]), *result.fits[1:]))
    if goodness:
        result = OccupancyModels((result.best.with_goodness(goodness, seed), *result.fits[1:]))
    return result


_CHOSEN = (
    "This model has the lowest AIC of those that were fitted; its intervals do not know that it was "
    "chosen, and are too narrow for that."
)


@checked
def predict_grid(models: OccupancyModels, path: File) -> pl.DataFrame:
    """ψ by the best model for each row of a table of covariates, beside its columns: a map.

    Raises:
        UsageError: a covariate of the model is not in the table.
        DataError: the table cannot be read, or has a level that the model does not know.
    """
    path = Path(path)
    table = read_site_table(path)
    names = table.locations
    rows = len(names) if names is not None else len(next(iter(table.columns.values())))
    predicted = models.best.predict(table.columns, rows)
    columns = [_series(name, values) for name, values in table.columns.items()]
    twice = sorted(set(table.columns) & set(predicted.columns))
    if twice:
        raise DataError(f"{path} has a column {name_some(twice)}, which is what is written; rename it.")
    first = [] if names is None else [pl.Series("location_id", names, pl.String)]
    return pl.DataFrame([*first, *columns, *predicted.get_columns()])


def parse_model(text: str) -> tuple[str, str]:
    """The formulas of `psi: Dist_5km; p: effort`; one that is not there is `1`.

    Raises:
        UsageError: it is neither.
    """
    parts = [part for part in re.split(r";|(?<=\S)\s+(?=p\s*[:~])", text) if part.strip()]
    formulas: dict[str, str] = {}
    for part in parts:
        match = re.fullmatch(r"\s*(psi|p)\s*[:~]\s*(.*\S)\s*", part)
        if match is None or match[1] in formulas:
            raise UsageError(f"A model is written 'psi: Dist_5km + HDens_5km; p: effort', not '{text}'.")
        formulas[match[1]] = match[2]
    if not formulas:
        raise UsageError("A model is empty.")
    return formulas.get("psi", "1"), formulas.get("p", "1")


def _formulas(psi: str | None, p: str | None, models: Sequence[str]) -> list[tuple[Formula, Formula]]:
    if models and (psi is not None or p is not None):
        raise UsageError(
            "--model says both formulas; leave --psi and --p out, or write them as one more --model."
        )
    texts = [parse_model(text) for text in models] or [(psi or "1", p or "1")]
    pairs = [(parse_formula(one), parse_formula(other)) for one, other in texts]
    if len(
        {
            (frozenset(map(frozenset, one.terms)), frozenset(map(frozenset, other.terms)))
            for one, other in pairs
        }
    ) < len(pairs):
        raise UsageError("Two of the models are the same.")
    return pairs


def _refuse_unused(
    scores: bool,
    effort: File | None,
    confirmed: File | None,
    observations: Files | None,
    false_positive: str | None,
    certain: bool,
    audit: File | None,
) -> None:
    """Refuse what would do nothing."""
    if not scores and audit is not None:
        raise UsageError(
            "--audit is of scores; add --scores, or give --false-positive a rate from the audit."
        )
    unused = {
        "--effort": effort is not None,
        "--confirmed": confirmed is not None,
        "--observations": bool(observations),
        "--false-positive": false_positive is not None,
        "--certain": certain,
    }
    if scores and any(unused.values()):
        name = next(name for name, is_set in unused.items() if is_set)
        raise UsageError(
            f"{name} is of detection histories, and does nothing with --scores: other columns of the table "
            "of scores are covariates, and `seen` says what people saw."
        )


def _columns_of(formulas: Sequence[tuple[Formula, Formula]]) -> set[str]:
    return {name for one, other in formulas for name in (*one.columns, *other.columns)}


def _refuse_unasked(covariates: File | None, tables: Files, used: set[str]) -> None:
    """Refuse covariates that no formula asks for: nothing would come of them."""
    if covariates is not None:
        raise UsageError("--covariates needs a formula that has some of them: --psi, --p or --model.")
    if idle := sorted(set(tables) - used):
        option = "--effort" if idle[0] == EFFORT else f"--observations {idle[0]}"
        raise UsageError(f"Nothing would come of {option}: no formula has '{idle[0]}'. Add it to --p.")


def _used(at: Mapping[str, float | str], pair: tuple[Formula, Formula]) -> dict[str, float | str]:
    columns = {*pair[0].columns, *pair[1].columns}
    return {name: value for name, value in at.items() if name in columns}


def _refuse_unknown_at(at: Mapping[str, float | str], formulas: Sequence[tuple[Formula, Formula]]) -> None:
    unused = sorted(set(at) - _columns_of(formulas))
    if unused:
        raise UsageError(f"--at names {name_some(unused)}, which no formula uses.")


def _known(text: str | None) -> FalsePositives | None:
    if text is None:
        return None
    return "estimated" if text == "estimated" else read_false_positives(text)


def _survey(
    path: Path,
    covariates: File | None,
    observations: Mapping[str, Path | str],
    confirmed: File | None,
    *,
    certain: bool,
) -> Survey:
    """The survey of a table of histories and of those that belong to it."""
    table = read_histories(path)
    detections = mark_certain(table.detections, certain=certain)
    shape = (detections.shape[0], detections.shape[1])
    notes = list(table.notes)
    if confirmed is not None:
        other = read_histories(confirmed)
        flags = _aligned(table.locations, other.locations, other.detections, shape, Path(confirmed).name)
        detections = with_confirmed(detections, flags.astype(np.float64))
        notes += other.notes
    sites, more = _site_covariates(covariates, table.locations, shape[0])
    _refuse_both(table.site_covariates, sites, path)
    rows: dict[str, Values] = {}
    for name, file in observations.items():
        others, values, remarks = read_observation_table(Path(file))
        rows[name] = _aligned(table.locations, others, values, shape, Path(file).name)
        notes += remarks
    _refuse_both(table.observation_covariates, rows, path)
    survey = survey_of_histories(
        detections,
        table.locations,
        table.occasions,
        {**table.site_covariates, **sites},
        {**table.observation_covariates, **rows},
    )
    return replace(survey, notes=tuple(dict.fromkeys([*notes, *more])))


def _refuse_both(own: Mapping[str, Values], others: Mapping[str, Values], path: Path) -> None:
    twice = sorted(set(own) & set(others))
    if twice:
        raise UsageError(
            f"{name_some(twice)} is a column of {path.name} and given by itself as well; keep one."
        )


def _site_covariates(
    path: File | None, locations: Sequence[str] | None, count: int
) -> tuple[dict[str, Values], list[str]]:
    """Covariates of the locations, in their order, and what must be known of them."""
    if path is None:
        return {}, []
    table = read_site_table(Path(path))
    name = Path(path).name
    rows_there = (
        len(table.locations) if table.locations is not None else len(next(iter(table.columns.values())))
    )
    rows = match_rows(locations, table.locations, (count, rows_there), name)
    notes = list(table.notes)
    spare = sorted(set(table.locations or ()) - set(locations or ()))
    if spare:
        notes.append(f"{name} has {many(len(spare), 'location')} without a history: {name_some(spare)}.")
    return {column: _taken(values, rows) for column, values in table.columns.items()}, notes


def _taken(values: Values, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Values:
    """The values of these rows; missing where a row is -1."""
    taken: Values = values[rows]
    taken[rows < 0] = None if values.dtype == object else np.nan
    return taken


def _aligned(
    locations: Sequence[str] | None,
    others: Sequence[str] | None,
    values: Values,
    shape: tuple[int, int],
    name: str,
) -> Values:
    """A table shaped as the histories, in their order of locations; missing where it lacks one."""
    if values.shape[1] != shape[1]:
        raise DataError(
            f"{name} has {many(values.shape[1], 'occasion')} and the histories have {shape[1]}: it must have "
            "the same columns."
        )
    return _taken(values, match_rows(locations, others, (shape[0], values.shape[0]), name))


def _fit_scores(
    path: Path,
    formulas: Sequence[tuple[Formula, Formula]],
    covariates: File | None,
    audit: File | None,
    at: Mapping[str, float | str],
) -> list[OccupancyFit]:
    table = read_score_table(path)
    if table.locations is None:
        raise DataError(f"{path} has no column of locations (location_id, Station, site).")
    locations = names_of_rows(sorted(set(table.locations)), 0)
    sites, notes = _site_covariates(covariates, locations, len(locations))
    survey = survey_of_scores(table.scores, table.locations, table.seen, locations, sites, table.covariates)
    audited, more = _audited(audit)
    survey = replace(survey, notes=tuple(dict.fromkeys([*table.notes, *notes, *more])))
    survey = restrict(survey, [one for one, _ in formulas], [other for _, other in formulas])
    return [fit_scores(survey, *pair, audited, _used(at, pair)) for pair in formulas]


def _audited(path: File | None) -> tuple[tuple[Floats, Floats], tuple[str, ...]]:
    """Scores of audited files of other surveys, and what each shows."""
    if path is None:
        return (np.empty(0), np.empty(0)), ()
    table = read_score_table(Path(path))
    known = ~np.isnan(table.seen)
    if not known.any():
        raise DataError(f"{path} has no column `seen` that says what people saw.")
    left = int((~known).sum())
    notes = (
        (f"{Path(path).name}: {many(left, 'file is')} left out, as nobody looked at them.",) if left else ()
    )
    return (table.scores[known], table.seen[known]), (*table.notes, *notes)


def _series(name: str, values: Values) -> pl.Series:
    if values.dtype == object:
        return pl.Series(name, values.tolist(), pl.String)
    return pl.Series(name, values, pl.Float64).fill_nan(None)
