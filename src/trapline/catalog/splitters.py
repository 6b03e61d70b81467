"""Splitters: small frozen objects that say of every labelled media whether it trains, validates or tests.

>>> from trapline import ByLocation
>>> ByLocation(ratios=(70, 15, 15), seed=42)                            # shares of whole locations
ByLocation(ratios=(70, 15, 15), seed=42)
>>> ByLocation(folds=5, seed=42).get_n_splits()                         # each location validates once
5
>>> ByLocation.named(validation="SYN02", test=["SYN03", "SYN04"])       # the rest trains
ByLocation.named(validation=('SYN02',), test=('SYN03', 'SYN04'))
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog.facts import SplitMethod
from trapline.catalog.grouping import Parts
from trapline.catalog.named_parts import check_named
from trapline.catalog.parquet_file import streamed
from trapline.catalog.splits import (
    deal,
    deal_at_dates,
    deal_in_order_of_time,
    deal_to_named,
    has_events,
    name_parts,
    no_way_to_split,
    one_location,
    published_parts,
    season_count,
    times_lacking,
    with_record,
)
from trapline.catalog.table import SPLIT_PARTS, Catalog
from trapline.errors import UsageError, many

RATIOS = (70, 15, 15)
SEED = 42

Indices = npt.NDArray[np.intp]
Values = Collection[Any]
Names = str | Sequence[str]
"""What is named for a part: `S1`, `["S1", "S2"]`, `S1..S4` (S2 comes before S10)."""


class Splitter(ABC):
    """What every splitter does.

    An event is never torn, also where that joins two locations. Media of which nothing is known, neither by
    their own labels nor by their event's (`EVENT_LABELS`), are in no part, except by `ByColumn`, which takes
    what is published as it is.

    As with scikit-learn's splitters, `split` gives indices, and `cross_val_score(estimator, X, y,
    groups=locations, cv=ByLocation(folds=5))` judges by them. Groups are what the splitter keeps together or
    orders by: locations, events, seasons, times or the parts published, one a row of X.

    Attributes:
        by: what the record of a split calls the way, and `trapline split --by`.
        column: of a catalog, which holds the groups.
    """

    by: str
    column: str | None

    @abstractmethod
    def apply(self, catalog: Catalog, *, check_files: bool = True) -> Catalog:
        """The catalog with its `split` filled, and the record of that in `facts.split`.

        Args:
            catalog: with labels; a split it has is replaced.
            check_files: whether the leak check compares the content of files.

        Returns:
            the catalog; its record has by, method, seed, ratios or folds, media, locations, events and labels
            of each part, the labels that each lacks, a fingerprint and the leak check.

        Raises:
            DataError: no labels, no locations (times, seasons), or too few of them for the parts.
        """

    def get_n_splits(self, catalog: Sized | None = None, y: Any = None, groups: Values | None = None) -> int:
        """How many catalogs `folds` gives: 1 but of a splitter with folds."""
        return 1

    def folds(self, catalog: Catalog) -> Iterator[Catalog]:
        """The catalog once for each fold, in which that fold validates and the rest trains.

        The contents of files are not compared. A splitter without folds gives its one split.
        """
        yield self.apply(catalog, check_files=False)

    def split(
        self, catalog: Sized, y: Values | None = None, groups: Values | None = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """The rows that train and those that validate, for each of `folds`.

        Args:
            catalog: one, or anything with as many rows, as scikit-learn's X.
            y: beside such an X, the label of each row, so that classes are dealt evenly.
            groups: beside such an X, see the class.

        Raises:
            UsageError: X is no catalog, and what the splitter goes by is not given.
        """
        for fold in self.folds(self._as_catalog(catalog, y, groups)):
            parts = fold.table["split"]
            yield (parts == "train").arg_true().to_numpy(), (parts == "validation").arg_true().to_numpy()

    def _as_catalog(self, rows: Sized, y: Values | None = None, groups: Values | None = None) -> Catalog:
        """The catalog, or one of rows of which no more is known than what is split by."""
        if isinstance(rows, Catalog):
            return rows
        if groups is None and self.by != "random":
            raise UsageError(
                f"{type(self).__name__} splits a catalog, or rows of which it knows the {self.by}: give "
                f'groups, one a row, as groups=catalog.table["{self.column}"].'
            )
        sized = next(one for one in (groups, y, rows) if one is not None)  # a sparse X has no length
        labels = ["unknown"] * len(sized) if y is None else [f"class {one}" for one in y]
        if groups is not None and len(groups) != len(labels):
            raise UsageError(
                f"There are {many(len(groups), 'group')} for {many(len(labels), 'row')}: give one a row."
            )
        ids = pl.Series(range(len(labels))).cast(pl.String)
        table = pl.DataFrame({"media_id": ids, "file_path": ids, "labels": [[label] for label in labels]})
        if groups is not None:
            own = pl.Series(list(groups))
            own = own if self.column == "camera_time" else own.cast(pl.String)
            table = table.with_columns(own.alias(self.column or "published_split"))
        return Catalog.from_rows(table, Path(), "rows without a catalog")

    def _options(self) -> dict[str, object]:
        return dict(vars(self))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"{type(self).__name__}({given})"


@dataclass(frozen=True, init=False, repr=False)
class _Shared(Splitter):
    """Ratios or folds of what is kept together; the classes below say what that is.

    Attributes:
        ratios: of train, validation and, with a third, test; they need not sum to 1. None with folds.
        n_splits: how many folds (`folds`), `each` for one a season; None with ratios.
        fold: which of them validates in `apply`, from 0.
    """

    ratios: tuple[float, ...] | None
    n_splits: int | Literal["each"] | None
    fold: int

    def _set(
        self,
        ratios: Sequence[float] | None,
        folds: int | Literal["each"] | None,
        fold: int | None,
        **more: object,
    ) -> None:
        if ratios is not None and folds is not None:
            raise UsageError("Folds are of equal size, ratios make parts of any: ask for one of them.")
        if fold is not None and folds is None:
            raise UsageError("Which fold validates is said, but not of how many: give folds too (--folds).")
        if folds is not None:
            _check_folds(folds, fold or 0)
        given = _checked(RATIOS if ratios is None else ratios) if folds is None else None
        vars(self).update(ratios=given, n_splits=folds, fold=fold or 0, **more)

    @abstractmethod
    def _deal(self, catalog: Catalog, shares: Sequence[float]) -> Parts:
        """[media]: the part of each, −1 for media without labels."""

    def _seed(self) -> int | None:
        """By which groups are dealt; None where they are not drawn."""
        return None

    def get_n_splits(self, catalog: Sized | None = None, y: Any = None, groups: Values | None = None) -> int:
        """How many catalogs `folds` gives; one a season needs the catalog to tell."""
        return self.n_splits if isinstance(self.n_splits, int) else 1

    def apply(self, catalog: Catalog, *, check_files: bool = True) -> Catalog:
        """See `Splitter`."""
        if self.n_splits is not None:
            return self._fold(catalog, self._dealt(catalog), self.fold, check_files)
        assert self.ratios is not None
        shares = _shares(self.ratios)
        how = SplitMethod(by=self.by, method="ratios", ratios=shares, seed=self._seed())
        numbers = self._deal(catalog, list(shares.values()))
        return _divided(catalog, numbers, list(shares), how, check_files)

    def folds(self, catalog: Catalog) -> Iterator[Catalog]:
        """See `Splitter`."""
        if self.n_splits is None:
            yield from super().folds(catalog)
            return
        dealt = self._dealt(catalog)
        for fold in range(self.get_n_splits(catalog)):
            yield self._fold(catalog, dealt, fold, check_files=False)

    def _dealt(self, catalog: Catalog) -> Parts:
        number = self.get_n_splits(catalog)
        _check_folds(number, self.fold)
        return self._deal(catalog, [1 / number] * number)

    def _fold(self, catalog: Catalog, dealt: Parts, fold: int, check_files: bool) -> Catalog:
        number = self.get_n_splits(catalog)
        how = SplitMethod(by=self.by, method="kfold", folds=number, fold=fold, seed=self._seed())
        numbers = np.where(dealt < 0, -1, dealt == fold).astype(np.int16)
        return _divided(catalog, numbers, SPLIT_PARTS[:2], how, check_files)

    def _options(self) -> dict[str, object]:
        own = {name: value for name, value in vars(self).items() if name not in _SHARED}
        if self.n_splits is None:
            return {"ratios": self.ratios, **own}
        return {"folds": self.n_splits, **({"fold": self.fold} if self.fold else {}), **own}


_SHARED = ("ratios", "n_splits", "fold")


@dataclass(frozen=True, init=False, repr=False)
class _Balanced(_Shared):
    """Groups dealt at random so that each part has its share of every class."""

    seed: int

    @overload
    def __init__(self, *, ratios: Sequence[float] = RATIOS, seed: int = SEED) -> None: ...
    @overload
    def __init__(self, *, folds: int, fold: int = 0, seed: int = SEED) -> None: ...
    def __init__(
        self,
        *,
        ratios: Sequence[float] | None = None,
        folds: int | None = None,
        fold: int | None = None,
        seed: int = SEED,
    ) -> None:
        if not isinstance(seed, int) or seed < 0:
            raise UsageError(f"A seed is a whole number from 0 on, not {seed!r}.")
        self._set(ratios, folds, fold, seed=seed)

    def _deal(self, catalog: Catalog, shares: Sequence[float]) -> Parts:
        return deal(catalog, self.by, shares, self.seed)

    def _seed(self) -> int | None:
        return self.seed


class ByLocation(_Balanced):
    """Whole locations: how a model does at places that it never saw.

    Args:
        ratios: of train, validation and perhaps test; they need not sum to 1.
        folds: so many folds instead of ratios: train and validation only.
        fold: which of them validates, where one split is asked for.
        seed: deals the locations.

    Raises:
        UsageError: an option that cannot be right.
    """

    by = "location"
    column = "location_id"

    @classmethod
    def named(cls, *, train: Names = (), validation: Names = (), test: Names = ()) -> NamedParts:
        """The locations named; what is named for none trains if nothing is named for training."""
        return NamedParts("location", "location_id", _named(train, validation, test))


class ByEvent(_Balanced):
    """Whole events; locations are shared. Options as of `ByLocation`."""

    by = "event"
    column = "event_id"


class AtRandom(_Balanced):
    """Single events, or media that have none; stratified by label. Options as of `ByLocation`."""

    by = "random"
    column = "event_id"


@dataclass(frozen=True, init=False, repr=False)
class BySeason(_Shared):
    """Whole seasons in order of time: how a model does at known places, later.

    Args:
        ratios: as of `ByLocation`, the last season being the test.
        folds: so many folds of neighbouring seasons; `each` for one a season.
        fold: which of them validates, where one split is asked for.
        column: the column that holds the seasons.
    """

    by = "season"
    column: str

    @overload
    def __init__(self, *, ratios: Sequence[float] = RATIOS, column: str = "season") -> None: ...
    @overload
    def __init__(self, *, folds: int | Literal["each"], fold: int = 0, column: str = "season") -> None: ...
    def __init__(
        self,
        *,
        ratios: Sequence[float] | None = None,
        folds: int | Literal["each"] | None = None,
        fold: int | None = None,
        column: str = "season",
    ) -> None:
        self._set(ratios, folds, fold, column=column)

    @classmethod
    def named(
        cls, *, train: Names = (), validation: Names = (), test: Names = (), column: str = "season"
    ) -> NamedParts:
        """The seasons named; what is named for none trains if nothing is named for training."""
        return NamedParts("season", column, _named(train, validation, test))

    def get_n_splits(self, catalog: Sized | None = None, y: Any = None, groups: Values | None = None) -> int:
        """See `Splitter`; `each` needs the catalog to tell."""
        if self.n_splits != "each":
            return super().get_n_splits(catalog)
        if catalog is None:
            raise UsageError("How many seasons there are is in the catalog: get_n_splits(catalog).")
        return season_count(self._as_catalog(catalog, groups=groups), self.column)

    def _deal(self, catalog: Catalog, shares: Sequence[float]) -> Parts:
        return deal_in_order_of_time(catalog, shares, self.column)


@dataclass(frozen=True, init=False, repr=False)
class ByDate(Splitter):
    """Events in order of time, the latest being the test.

    Args:
        ratios: as of `ByLocation`.
        dates: one or two moments by the cameras' clocks at which validation and test begin, instead.

    Raises:
        UsageError: an option that cannot be right; dates have no zone, as cameras have none.
    """

    by = "date"
    column = "camera_time"
    ratios: tuple[float, ...] | None
    dates: tuple[datetime, ...]

    @overload
    def __init__(self, *, ratios: Sequence[float] = RATIOS) -> None: ...
    @overload
    def __init__(self, *, dates: Sequence[datetime]) -> None: ...
    def __init__(
        self, *, ratios: Sequence[float] | None = None, dates: Sequence[datetime] | None = None
    ) -> None:
        if ratios is not None and dates is not None:
            raise UsageError("Parts begin at dates, or have ratios: ask for one of them.")
        given = _checked(RATIOS if ratios is None else ratios) if dates is None else None
        vars(self).update(ratios=given, dates=() if dates is None else _checked_dates(dates))

    def apply(self, catalog: Catalog, *, check_files: bool = True) -> Catalog:
        """See `Splitter`."""
        if self.ratios is None:
            dates = tuple(str(date) for date in self.dates)
            how = SplitMethod(by=self.by, method="dates", dates=dates)
            names = SPLIT_PARTS[: len(dates) + 1]
            return _divided(catalog, deal_at_dates(catalog, self.dates), names, how, check_files)
        shares = _shares(self.ratios)
        how = SplitMethod(by=self.by, method="ratios", ratios=shares)
        numbers = deal_in_order_of_time(catalog, list(shares.values()))
        return _divided(catalog, numbers, list(shares), how, check_files)

    def _options(self) -> dict[str, object]:
        return {"dates": self.dates} if self.ratios is None else {"ratios": self.ratios}


@dataclass(frozen=True, init=False, repr=False)
class ByDefault(Splitter):
    """Whole locations; of one location alone, which cannot be kept apart from itself, what stands nearest.

    That is the order of time, else events: as figures then hold on that camera only, the record of the split
    says so (`LeakCheck.lines`).

    Attributes:
        options: of `ByLocation`; where they are not for an order of time (folds, a seed), events are dealt.
    """

    by = "location"
    column = "location_id"
    options: Mapping[str, Any]

    def __init__(self, **options: Any) -> None:
        ByLocation(**options)  # refuses what cannot be right
        vars(self).update(options=options)

    def choose(self, catalog: Catalog) -> Splitter:
        """The splitter that suits a catalog.

        Raises:
            DataError: all labelled media are of one location, and neither times nor events are known.
        """
        if one_location(catalog) is None:
            return ByLocation(**self.options)
        lacking = times_lacking(catalog)
        if not lacking and self.options.keys() <= inspect.signature(ByDate).parameters.keys():
            return ByDate(**self.options)
        if has_events(catalog):
            return ByEvent(**self.options)
        raise no_way_to_split(catalog, lacking)

    def needs_times(self, catalog: Catalog) -> bool:
        """Whether times would give a way to split where there is none yet."""
        return one_location(catalog) is not None and times_lacking(catalog) > 0 and not has_events(catalog)

    def apply(self, catalog: Catalog, *, check_files: bool = True) -> Catalog:
        """See `Splitter`."""
        return self.choose(catalog).apply(catalog, check_files=check_files)

    def get_n_splits(self, catalog: Sized | None = None, y: Any = None, groups: Values | None = None) -> int:
        """How many catalogs `folds` gives."""
        return ByLocation(**self.options).get_n_splits()

    def folds(self, catalog: Catalog) -> Iterator[Catalog]:
        """See `Splitter`."""
        yield from self.choose(catalog).folds(catalog)

    def _options(self) -> dict[str, object]:
        return dict(self.options)


@dataclass(frozen=True, kw_only=True, repr=False)
class ByColumn(Splitter):
    """A published split, taken as it is.

    Attributes:
        column: the column that holds it; None for `published_split`, or for the source's own `split` where it
            has that.
    """

    by = "column"
    column: str | None = None

    def apply(self, catalog: Catalog, *, check_files: bool = True) -> Catalog:
        """See `Splitter`."""
        column = self.column or "published_split"
        if self.column is None and column not in catalog.frame.collect_schema():
            has_split = streamed(catalog.frame.select(pl.col("split").is_not_null().any())).item()
            column = "split" if has_split else column
        how = SplitMethod(by=self.by, method="published", column=column)
        return with_record(catalog, published_parts(catalog, column), how, check_files)


@dataclass(frozen=True, repr=False)
class NamedParts(Splitter):
    """Locations or seasons named for the parts: see `ByLocation.named` and `BySeason.named`.

    Attributes:
        by: `location` or `season`.
        column: that holds them.
        parts: part → what is named for it, in pairs.
    """

    by: str
    column: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]

    def __post_init__(self) -> None:
        check_named(dict(self.parts), self.by)

    def apply(self, catalog: Catalog, *, check_files: bool = True) -> Catalog:
        """See `Splitter`.

        Raises:
            UsageError: a name that no labelled media has, or that is named for two parts.
            DataError: an event would be torn, or nothing is left to train on.
        """
        numbers, how = deal_to_named(catalog, self.by, self.column, dict(self.parts))
        return _divided(catalog, numbers, SPLIT_PARTS, how, check_files)

    def __repr__(self) -> str:
        given: dict[str, object] = {name: names for name, names in self.parts if names}
        given |= {"column": self.column} if self.by == "season" and self.column != "season" else {}
        options = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"By{self.by.capitalize()}.named({options})"


SPLITTERS: Mapping[str, Callable[..., Splitter]] = {
    kind.by: kind for kind in (ByLocation, AtRandom, ByEvent, BySeason, ByDate, ByColumn)
}
"""Way, as `--by` has it → its class."""


def make_splitter(
    by: str | None = None,
    *,
    ratios: Sequence[float] | None = None,
    folds: int | None = None,
    fold: int | None = None,
    seed: int | None = None,
    column: str | None = None,
    dates: Sequence[datetime] | None = None,
    train: Sequence[str] | None = None,
    validation: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
) -> Splitter:
    """The splitter that the options of a command mean; None where one was not given.

    Args:
        by: of `SPLITTERS`; `published` is `column`; None: `ByDefault`.
        ratios: this and what follows: of the class that `by` names.

    Raises:
        UsageError: there is no such way, or it takes no such option; the message says which does.
    """
    unsaid, by = by is None, {"published": "column"}.get(by or "location", by or "location")
    if by not in SPLITTERS:
        raise UsageError(f"A split is made by {', '.join(SPLITTERS)}, not by '{by}'.")
    options = {"ratios": ratios, "folds": folds, "fold": fold, "seed": seed, "column": column, "dates": dates}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    parts = {"train": train, "validation": validation, "test": test}
    named = {part: names for part, names in parts.items() if names}
    if not named:
        _refuse_unknown(SPLITTERS[by], given, by)
        return ByDefault(**given) if unsaid else SPLITTERS[by](**given)
    if {"ratios", "folds", "fold"} & set(given):
        raise UsageError("--train, --validate and --test name the parts; leave --ratios and --folds out.")
    make = getattr(SPLITTERS[by], "named", None)
    if make is None:
        raise UsageError(f"Parts are named by season or location (--by), not by {by}.")
    _refuse_unknown(make, given, by)
    splitter: Splitter = make(**named, **given)
    return splitter


def _refuse_unknown(make: Callable[..., Splitter], given: Mapping[str, object], by: str) -> None:
    for option in given:
        if option not in inspect.signature(make).parameters:
            takers = [way for way, kind in SPLITTERS.items() if option in inspect.signature(kind).parameters]
            also = "named parts" if by in takers else f"--by {by}"
            raise UsageError(f"--{option} goes with --by {', '.join(takers)}, not with {also}. Leave it out.")


def _check_folds(folds: int | str, fold: int) -> None:
    if folds != "each" and (not isinstance(folds, int) or folds < 2):
        raise UsageError(f"There must be at least 2 folds, not {folds!r}.")
    if not isinstance(fold, int) or fold < 0 or (isinstance(folds, int) and fold >= folds):
        raise UsageError(f"There is no fold {fold} of {folds}; they are counted from 0.")


def _checked(ratios: Sequence[float]) -> tuple[float, ...]:
    numbers = not isinstance(ratios, str) and all(isinstance(ratio, int | float) for ratio in ratios)
    if (
        not numbers
        or not 2 <= len(ratios) <= 3
        or any(not 0 <= ratio < float("inf") for ratio in ratios)
        or ratios[0] <= 0
    ):
        raise UsageError(
            f"The ratios are those of train, validation and perhaps test, as in 70,15,15; not {ratios!r}."
        )
    if sum(ratio > 0 for ratio in ratios) < 2:
        raise UsageError("A split has at least two parts that are not empty.")
    return tuple(ratios)


def _shares(ratios: Sequence[float]) -> dict[str, float]:
    """Part → its share, of those that are not empty; they sum to 1."""
    used = {part: ratio for part, ratio in zip(SPLIT_PARTS, ratios, strict=False) if ratio > 0}
    return {part: ratio / sum(used.values()) for part, ratio in used.items()}


def _checked_dates(dates: Sequence[datetime]) -> tuple[datetime, ...]:
    if isinstance(dates, str) or not all(isinstance(date, datetime) for date in dates):
        raise UsageError(f"Dates are moments, as datetime(2016, 4, 1); not {dates!r}.")
    if any(date.tzinfo is not None for date in dates):
        raise UsageError("Dates are compared with the cameras' clocks, which have no zone: leave it out.")
    if not 1 <= len(dates) <= 2 or list(dates) != sorted(set(dates)):
        raise UsageError("Give one or two dates, in order: where validation begins, and where test begins.")
    return tuple(dates)


def _named(train: Names, validation: Names, test: Names) -> tuple[tuple[str, tuple[str, ...]], ...]:
    given = [(names,) if isinstance(names, str) else tuple(names) for names in (train, validation, test)]
    if not all(isinstance(name, str) for names in given for name in names):
        raise UsageError(f"What is named for a part is text, as in 'S1'; not {given!r}.")
    return tuple(zip(SPLIT_PARTS, given, strict=True))


def _divided(
    catalog: Catalog, numbers: Parts, names: Sequence[str], how: SplitMethod, check_files: bool
) -> Catalog:
    """The catalog in the parts that the numbers name; those below 0 are of no part."""
    return with_record(catalog, name_parts(numbers, names), how, check_files)
