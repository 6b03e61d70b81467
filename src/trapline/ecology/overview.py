"""What a survey says of its species, all at once: effort, rates, occupancy, activity and richness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.arguments import Count, checked
from trapline.ecology.carried import DRAWS, over_draws
from trapline.ecology.circular import TURN
from trapline.ecology.histories import detection_histories
from trapline.ecology.independence import independent_records
from trapline.ecology.occupancy_models import fit_occupancy
from trapline.ecology.operation import Operation, camera_operation
from trapline.ecology.rates import TrappingRates, trapping_rates
from trapline.ecology.records import Records
from trapline.ecology.sources import ExpectedRecords, describe_made_of
from trapline.ecology.stations import Stations
from trapline.ecology.survey_activity import SurveyActivity, activity
from trapline.ecology.survey_richness import richness
from trapline.ecology.written import estimate_json
from trapline.errors import DataError, TraplineError, many
from trapline.metrics import Estimate
from trapline.taxonomy import default_kind

Floats = npt.NDArray[np.float64]
_Figures = dict[Hashable, Estimate]

MINUTES = 30.0
"""Between independent records, as in the species table."""
OCCASION = 7
"""Days of an occasion."""
_RESAMPLES, _RESAMPLES_OF_A_DRAW = 1000, 200
_NOTHING = Estimate(None)


@dataclass(frozen=True, eq=False)
class SpeciesOverview:
    """What a survey says of one species.

    Attributes:
        label: of the species.
        records: independent ones; of expected records their mean over the draws.
        locations: at which there is one, likewise.
        most: individuals that were seen at once; None where nobody counted.
        rate: records per 100 trap days.
        naive: the share of locations with a record.
        psi: the share of locations that it occupies, by the model; None where there is none.
        p: the chance to record it in an occasion where it is, likewise.
        no_model: why there is no model of occupancy; None where there is one.
        of_model: what must be known of the model; None where there is nothing.
        activity: `hour`, `density` (share of the records an hour), `low`, `high`; None without a curve.
        no_activity: why not; None where there is one.
    """

    label: str
    records: float
    locations: float
    most: int | None
    rate: Estimate
    naive: Estimate
    psi: Estimate | None
    p: Estimate | None
    no_model: str | None
    of_model: str | None
    activity: pl.DataFrame | None
    no_activity: str | None


@dataclass(frozen=True, eq=False)
class EcologyOverview:
    """What a survey says of its species.

    Attributes:
        records: as they came, without those that are left out.
        independent: of them; of expected records all, each with its probability.
        stations: where cameras stood; `guessed` if nobody said it.
        operation: of them by day.
        species: the most recorded first.
        by_location: `location_id` and a column a species: independent records, zeros too.
        accumulation: `size`, `method`, `estimate`, `low`, `high`; None where there is none.
        observed: species with a record.
        chao: how many there are at least, by Chao2; None where it cannot be said.
        completeness: the coverage of the sample; None likewise.
        no_richness: why not; None where there is an answer.
        minutes: between independent records.
        occasion_days: of an occasion.
        sun: hours of sunrise and sunset on the clock of the curves; None by the camera's clock.
        clock: whose day it is, in words.
        draws: tables drawn of expected records; None of others.
        notes: what a person must know.
    """

    records: Records
    independent: Records
    stations: Stations
    operation: Operation
    species: tuple[SpeciesOverview, ...]
    by_location: pl.DataFrame
    accumulation: pl.DataFrame | None
    observed: float
    chao: Estimate | None
    completeness: Estimate | None
    no_richness: str | None
    minutes: float
    occasion_days: int
    sun: tuple[float, float] | None
    clock: str
    draws: int | None
    notes: tuple[str, ...] = ()

    TABLES: ClassVar[tuple[str, ...]] = (
        *("species", "by-location", "locations", "effort", "records", "activity", "accumulation"),
    )

    @property
    def made_of(self) -> str:
        """For people: of what the tables are made."""
        return describe_made_of(self.records)

    @property
    def trap_days(self) -> float:
        """Of all stations."""
        return float(np.nansum(self.operation.days))

    @property
    def records_at(self) -> dict[str, float]:
        """location → independent records of all species."""
        counts = self.by_location.select(
            "location_id", pl.sum_horizontal(pl.exclude("location_id")).alias("n")
        )
        return {name: float(count) for name, count in counts.iter_rows()}

    def tables(self) -> dict[str, pl.DataFrame]:
        """Name → table, of those that there are; each says in `made_of` of what it is made."""
        made = {
            "species": self._species_table(),
            "by-location": self.by_location,
            "locations": self._locations_table(),
            "effort": self._effort_table(),
            "records": self.independent.table,
            "activity": self._activity_table(),
            "accumulation": self.accumulation,
        }
        of = pl.lit(self.records.made_of).alias("made_of")
        return {name: table.with_columns(of) for name, table in made.items() if table is not None}

    def _species_table(self) -> pl.DataFrame:
        rows = [
            {"label": one.label, "records": one.records, "locations": one.locations, "most_at_once": one.most}
            | _columns("rate_per_100_days", one.rate)
            | _columns("naive_occupancy", one.naive)
            | _columns("psi", one.psi or _NOTHING)
            | _columns("p", one.p or _NOTHING)
            for one in self.species
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def _locations_table(self) -> pl.DataFrame:
        spots = {one.location_id: (one.latitude, one.longitude) for one in self.stations.stations}
        days: dict[str, float] = {}
        for name, row in zip(self.operation.locations, self.operation.days, strict=True):
            days[name] = days.get(name, 0.0) + float(np.nansum(row))
        counts = self.records_at
        rows = [(name, *spots[name], days[name], counts.get(name, 0.0)) for name in days]
        names = ["location_id", "latitude", "longitude", "trap_days", "records"]
        kinds = [pl.String, pl.Float64, pl.Float64, pl.Float64, pl.Float64]
        return pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")

    def _effort_table(self) -> pl.DataFrame:
        table = pl.DataFrame({"location_id": self.operation.locations, "station": self.operation.names})
        days = {date.isoformat(): self.operation.days[:, at] for at, date in enumerate(self.operation.dates)}
        return table.with_columns(pl.Series(name, values).fill_nan(None) for name, values in days.items())

    def _activity_table(self) -> pl.DataFrame | None:
        parts = [
            one.activity.select(pl.lit(one.label).alias("label"), pl.all())
            for one in self.species
            if one.activity is not None
        ]
        return pl.concat(parts) if parts else None

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        species = [
            {"label": one.label, "records": one.records, "locations": one.locations, "most_at_once": one.most}
            | {name: _as_json(getattr(one, name)) for name in ("rate", "naive", "psi", "p")}
            | {"no_model": one.no_model, "no_activity": one.no_activity}
            for one in self.species
        ]
        return {
            "source": self.records.source,
            "made_of": self.records.made_of,
            "stations": self.stations.source,
            "stations_guessed": self.stations.guessed,
            "locations": len(set(self.operation.locations)),
            "trap_days": self.trap_days,
            "minutes": self.minutes,
            "occasion_days": self.occasion_days,
            "species": species,
            "richness": {
                "observed": self.observed,
                "chao2": _as_json(self.chao),
                "completeness": _as_json(self.completeness),
                "why_not": self.no_richness,
            },
            "clock": self.clock,
            "doubts": list(self.records.doubts),
            "notes": list(self.notes),
        }


def _columns(name: str, one: Estimate) -> dict[str, float | None]:
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


def _as_json(one: Estimate | None) -> dict[str, float | None] | None:
    return None if one is None else estimate_json(one)


@dataclass(frozen=True)
class _FiguresOf:
    """What figures are made with."""

    stations: Stations
    labels: tuple[str, ...]
    minutes: float
    days: int
    timezone: str | None
    resamples: int


@checked
def overview(
    records: Records,
    stations: Stations,
    *,
    minutes: float = MINUTES,
    occasion_days: Count = OCCASION,
    timezone: str | None = None,
    species: Sequence[str] = (),
    count: Count = DRAWS,
) -> EcologyOverview:
    """Effort, rates, occupancy, activity and richness of a survey, with intervals, or why there is none.

    Of expected records every figure is made of each of the draws, and carried through by `over_draws`.

    Args:
        records: of any kind.
        stations: where cameras stood from when to when.
        minutes: between independent records, since the last independent one.
        occasion_days: of the occasions of occupancy, from each station's first day.
        timezone: of the cameras' clocks; with it, and coordinates, activity is by the sun.
        species: labels; none for all but people and vehicles.
        count: draws, of expected records.

    Raises:
        DataError: there is no record, none has a location, or one is at none of the stations.
    """
    from threadpoolctl import threadpool_limits

    chosen, notes = _chosen(records, species)
    labels = tuple(chosen.table["label"].value_counts(sort=True)["label"])
    operation = camera_operation(stations)
    expected = isinstance(chosen, ExpectedRecords)
    resamples = _RESAMPLES_OF_A_DRAW if expected else _RESAMPLES
    asked = _FiguresOf(stations, labels, minutes, occasion_days, timezone, resamples)
    why: dict[Hashable, str] = {}
    kept: dict[str, Any] = {}
    made: Counter[Hashable] = Counter()

    def figures_of(one: Records) -> Mapping[Hashable, Estimate]:
        own = _figures(one, asked, why, kept)
        made.update(own.keys())
        return own

    with threadpool_limits(1):  # small matrices: threads only wait for each other
        combined = over_draws(chosen, figures_of, count=count)
    figures = {name: _bounded(name, one) for name, one in combined.items()}
    if expected:
        figures = _of_most_draws(figures, made, count, why)
    independent = chosen if expected else independent_records(chosen, minutes)
    ordered = sorted(labels, key=lambda label: (-_value(figures[("records", label)]), label))
    locations = list(dict.fromkeys(operation.locations))
    by_location = pl.DataFrame({"location_id": locations}, schema={"location_id": pl.String}).with_columns(
        pl.Series(label, [_value(figures.get(("at", name, label))) for name in locations], dtype=pl.Float64)
        for label in ordered
    )
    species_figures = tuple(_species(label, figures, why, chosen) for label in ordered)
    methods: list[tuple[int, str]] = kept.get("sizes", [])
    return EcologyOverview(
        records=chosen,
        independent=independent,
        stations=stations,
        operation=operation,
        species=species_figures,
        by_location=by_location,
        accumulation=_accumulation(figures, methods),
        observed=_value(figures[("observed",)]),
        chao=figures.get(("chao",)),
        completeness=figures.get(("completeness",)),
        no_richness=None if ("chao",) in figures else why.get("richness"),
        minutes=minutes,
        occasion_days=occasion_days,
        sun=kept.get("anchors"),
        clock=kept.get("clock", "the camera's clock"),
        draws=count if expected else None,
        notes=tuple(
            dict.fromkeys(
                (
                    *independent.notes,
                    *operation.notes,
                    *notes,
                    *kept.get("notes", ()),
                    *_of_curves(why),
                )
            )
        ),
    )


_SHARES = ("naive", "psi", "p", "completeness")
"""Figures that are between 0 and 1; an interval that is combined of draws does not know it."""


def _bounded(name: Hashable, one: Estimate) -> Estimate:
    if not isinstance(name, tuple) or name[0] not in _SHARES:
        return one
    return replace(
        one,
        low=None if one.low is None else max(0.0, one.low),
        high=None if one.high is None else min(1.0, one.high),
    )


def _of_most_draws(
    figures: Mapping[Hashable, Estimate], made: Counter[Hashable], count: int, why: dict[Hashable, str]
) -> _Figures:
    """Without models and curves that most draws do not have; of which some lack it, `why` says so.

    The others are draws in which the species happens to be: their mean alone says too much of a rare one.
    """
    kept: _Figures = {}
    for name, one in figures.items():
        kind, label = (name[0], name[1:2]) if isinstance(name, tuple) else (name, ())
        share = f"{made[name]} of {many(count, 'draw')} of the labels"
        if kind in ("psi", "p", "density") and made[name] < count:
            of = "activity" if kind == "density" else "psi"
            if 2 * made[name] < count:
                why[(of, *label)] = f"only {share} have records enough"
                continue
            why[(f"of {of}", *label)] = f"The figures are of the {share} that have records enough."
        kept[name] = one
    return kept


def _chosen(records: Records, species: Sequence[str]) -> tuple[Records, list[str]]:
    """The records of the species that are asked for, at locations; and what was left out."""
    there = set(records.table["label"])
    if missing := [label for label in species if label not in there]:
        raise DataError(f"No record is of {missing[0]!r}; there are: {', '.join(sorted(there))}.")
    others = {label for label in there if default_kind(label) in ("human", "vehicle", "blank")}
    wanted = set(species) or there - others
    notes = [f"left out: {', '.join(sorted(others))}"] if others and not species else []
    table = records.table.filter(pl.col("label").is_in(list(wanted)))
    placed = table.filter(pl.col("location_id").is_not_null())
    if placed.is_empty():
        why = "has a location" if len(table) else "is of an animal"
        raise DataError(f"No record of {records.source} {why}: there is nothing to report.")
    if left := len(table) - len(placed):
        notes.append(f"{many(left, 'record')} without a location left out")
    return replace(records, table=placed), notes


def _figures(
    records: Records, asked: _FiguresOf, why: dict[Hashable, str], kept: dict[str, Any]
) -> Mapping[Hashable, Estimate]:
    """All numbers of one table of records, by name; `why` and `kept` keep what is no number."""
    independent = independent_records(records, asked.minutes)
    rates = trapping_rates(independent, asked.stations)
    kept.setdefault("notes", [one for one in rates.notes if one not in independent.notes])
    figures = _rates(rates, asked.labels)
    for label in asked.labels:
        figures |= _occupancy(independent, label, asked, why)
    figures |= _richness(independent, asked, why, kept)
    figures |= _activity(independent, asked, why, kept)
    return figures


def _rates(rates: TrappingRates, labels: Sequence[str]) -> _Figures:
    by_label = {one.label: one for one in rates.species}
    figures: _Figures = {("observed",): Estimate(float(len(by_label)))}
    for label in labels:
        one = by_label.get(label)
        figures[("records", label)] = Estimate(0.0 if one is None else float(one.records))
        figures[("locations", label)] = Estimate(0.0 if one is None else float(one.locations))
        figures[("rate", label)] = Estimate(0.0) if one is None else one.rate
        figures[("naive", label)] = Estimate(0.0) if one is None else one.naive_occupancy
        counts = rates.records[rates.labels.index(label)].sum(axis=1) if label in rates.labels else None
        for at, name in enumerate(rates.locations):
            figures[("at", name, label)] = Estimate(0.0 if counts is None else float(counts[at]))
    return figures


def _occupancy(records: Records, label: str, asked: _FiguresOf, why: dict[Hashable, str]) -> _Figures:
    if label not in records.table["label"]:
        return {}
    try:
        histories = detection_histories(records, asked.stations, label, asked.days)
        if len(set(histories.locations)) < _LEAST_LOCATIONS:
            raise DataError(
                f"occupancy is a share of locations, and there are {len(set(histories.locations))}; "
                f"{_LEAST_LOCATIONS} are the least"
            )
        fit = fit_occupancy(histories.detections)
    except TraplineError as error:
        why[("psi", label)] = str(error)
        return {}
    if fit.notes:
        why[("of model", label)] = " ".join(f"{note.removesuffix('.')}." for note in fit.notes)
    return {("psi", label): fit.psi, ("p", label): fit.p}


_LEAST_LOCATIONS = 3
"""Below so many a share of locations says nothing that the page could show."""


def _richness(
    records: Records, asked: _FiguresOf, why: dict[Hashable, str], kept: dict[str, Any]
) -> _Figures:
    try:
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample of few records may have none
            result = richness(records, stations=asked.stations, resamples=asked.resamples)
    except TraplineError as error:
        why["richness"] = str(error)
        return {}
    curve = result.accumulation
    kept["sizes"] = list(curve.select("size", "method").iter_rows())
    figures: _Figures = {("chao",): result.whole[0], ("completeness",): result.completeness}
    for size, value, low, high in curve.select("size", "estimate", "low", "high").iter_rows():
        figures[("size", size)] = Estimate(value, low, high)
    return figures


def _activity(
    records: Records, asked: _FiguresOf, why: dict[Hashable, str], kept: dict[str, Any]
) -> _Figures:
    try:
        result = _curves(records, asked, kept)
    except TraplineError as error:
        why["activity"] = str(error)
        return {}
    for label, count in result.left_out.items():
        why[("activity", label)] = f"{count} independent records are too few for a curve"
    kept["clock"] = result.times.clock
    figures: _Figures = {}
    for one in result.species:
        size = len(one.intervals.low)
        parts = (one.curve.on_grid(size), one.intervals.low, one.intervals.high)
        for at, numbers in enumerate(zip(*parts, strict=True)):
            figures[("density", one.label, at)] = Estimate(*(float(number) * TURN / 24 for number in numbers))
    return figures


def _curves(records: Records, asked: _FiguresOf, kept: dict[str, Any]) -> SurveyActivity:
    """By the sun where its times are known, else by the clock; which of both is kept in `kept`."""
    placed = all(one.latitude is not None for one in asked.stations.stations)
    if asked.timezone is None or not placed:
        return activity(records, resamples=asked.resamples)
    result = activity(
        records,
        sun="equinoctial",
        timezone=asked.timezone,
        stations=asked.stations,
        resamples=asked.resamples,
    )
    kept["anchors"] = (6.0, 18.0)  # where `equinoctial` lays sunrise and sunset
    return result


def _species(
    label: str, figures: Mapping[Hashable, Estimate], why: Mapping[Hashable, str], records: Records
) -> SpeciesOverview:
    grid = [key for key in figures if isinstance(key, tuple) and key[:2] == ("density", label)]
    curve = [figures[("density", label, at)] for at in range(len(grid))]
    psi = figures.get(("psi", label))
    most = records.table.filter(pl.col("label") == label)["count"].max()
    return SpeciesOverview(
        label=label,
        records=_value(figures[("records", label)]),
        locations=_value(figures[("locations", label)]),
        most=None if most is None else int(most),  # type: ignore[arg-type]
        rate=figures[("rate", label)],
        naive=figures[("naive", label)],
        psi=psi,
        p=figures.get(("p", label)),
        of_model=(" ".join(filter(None, (why.get((of, label)) for of in ("of model", "of psi")))) or None)
        if psi is not None
        else None,
        no_model=why.get(("psi", label), "there is no record") if psi is None else None,
        activity=_table_of(curve, [at * 24 / len(curve) for at in range(len(curve))], "hour", "density"),
        no_activity=None
        if curve
        else why.get(("activity", label), why.get("activity", "no record of it has a time of day")),
    )


def _of_curves(why: Mapping[Hashable, str]) -> list[str]:
    return [
        f"activity of {name[1]}: {words}"
        for name, words in why.items()
        if isinstance(name, tuple) and name[0] == "of activity"
    ]


def _accumulation(figures: Mapping[Hashable, Estimate], sizes: list[tuple[int, str]]) -> pl.DataFrame | None:
    table = _table_of(
        [figures[("size", size)] for size, _ in sizes], [size for size, _ in sizes], "size", "estimate"
    )
    return None if table is None else table.with_columns(pl.Series("method", [method for _, method in sizes]))


def _table_of(curve: Sequence[Estimate], at: Sequence[float], x: str, y: str) -> pl.DataFrame | None:
    if not curve:
        return None
    columns = {
        y: [one.value for one in curve],
        "low": [one.low for one in curve],
        "high": [one.high for one in curve],
    }
    return pl.DataFrame({x: at, **columns})


def _value(one: Estimate | None) -> float:
    return 0.0 if one is None or one.value is None else one.value
