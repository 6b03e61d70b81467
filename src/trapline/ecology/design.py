"""From a formula and covariates to the columns of a model, as R's `model.matrix` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trapline.ecology.formula import Expression, Formula, Term
from trapline.errors import DataError, UsageError, many, name_some

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64] | npt.NDArray[np.object_]
"""A covariate: numbers, NaN where missing, or texts, None where missing; [R]."""

INTERCEPT = "(Intercept)"

_UNARY = {
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
}
_BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power}


@dataclass
class Design:
    """The columns of one formula; what is learnt of the first data (levels, means) holds for all later ones.

    Attributes:
        formula: of the columns.
        names: of the columns, R's: `(Intercept)`, `x`, `habitatforest`, `a:b`.
    """

    formula: Formula
    names: tuple[str, ...] = ()
    _levels: dict[Expression, tuple[str, ...]] = field(default_factory=dict)
    _scales: dict[Expression, tuple[float, float]] = field(default_factory=dict)

    def matrix(self, data: Mapping[str, Values], rows: int) -> Floats:
        """The columns for some data.

        Args:
            data: covariate → [R].
            rows: R.

        Returns:
            [R, K]; NaN in rows that lack a covariate. Text is a factor, its levels sorted, coded by treatment
            contrasts: the first level is in the intercept where that is there.

        Raises:
            UsageError: the formula names a covariate that is not there, or takes a number of a text.
            DataError: a value is infinite or undefined (a logarithm of 0), a factor has one level, or a level
                that the model was not fitted with.
        """
        columns: dict[str, Floats] = {}
        for term in self.formula.terms:
            columns |= self._columns_of(term, data, rows)
        if not self.names:
            self.names = tuple(columns)
        return np.column_stack(list(columns.values()))

    def levels_of(self, column: str) -> tuple[str, ...] | None:
        """The levels of a factor, the one in the intercept first; None of numbers."""
        for expression, levels in self._levels.items():
            if expression.columns == (column,):
                return levels
        return None

    def _columns_of(self, term: Term, data: Mapping[str, Values], rows: int) -> dict[str, Floats]:
        columns = {"": np.ones(rows)}
        for expression in term:
            coded = self._coded(expression, data, rows, whole=self._is_whole(term, expression))
            columns = {
                f"{left}:{right}".lstrip(":"): one * other
                for right, other in coded.items()
                for left, one in columns.items()
            }
        return columns if term else {INTERCEPT: columns[""]}

    def _is_whole(self, term: Term, expression: Expression) -> bool:
        """Whether a factor has a column for every level: where the rest of its term is not in the model.

        Without an intercept the first factor stands for it, as in R.
        """
        rest = frozenset(term) - {expression}
        if rest:
            return rest not in {frozenset(one) for one in self.formula.terms}
        return () not in self.formula.terms and not any(
            one in self._levels and one != expression for one in self._alone_before(expression)
        )

    def _alone_before(self, expression: Expression) -> list[Expression]:
        """What makes a term by itself before this one does."""
        alone = [term[0] for term in self.formula.terms if len(term) == 1]
        return alone[: alone.index(expression)]

    def _coded(
        self, expression: Expression, data: Mapping[str, Values], rows: int, *, whole: bool
    ) -> dict[str, Floats]:
        """One expression as columns: itself, or one for each level, without the first unless `whole`."""
        values = self._value(expression, data, rows)
        if values.dtype != object:
            return {str(expression): np.asarray(values, np.float64)}
        levels = self._levels.get(expression) or self._learn_levels(expression, values)
        missing = np.array([value is None for value in values])
        strange = sorted({str(value) for value in values[~missing]} - set(levels))
        if strange:
            raise DataError(
                f"{expression} has {name_some(strange)}, which the model was not fitted with; it knows "
                f"{name_some(levels)}."
            )
        return {
            f"{expression}{level}": np.where(missing, np.nan, (values == level).astype(np.float64))
            for level in levels[0 if whole else 1 :]
        }

    def _learn_levels(self, expression: Expression, values: Values) -> tuple[str, ...]:
        levels = tuple(sorted({str(value) for value in values if value is not None}, key=_level_key))
        if len(levels) < 2:
            raise DataError(f"The factor {expression} has one level only, {levels or 'none'}; leave it out.")
        self._levels[expression] = levels
        return levels

    def _value(self, expression: Expression, data: Mapping[str, Values], rows: int) -> Values:
        if expression.kind == "column":
            return _column(expression.value, data)
        if expression.kind == "number":
            return np.full(rows, float(expression.value))
        inner = [self._value(one, data, rows) for one in expression.arguments]
        if expression.kind == "factor":
            return _as_texts(inner[0])
        numbers = [self._numbers(one, value) for one, value in zip(expression.arguments, inner, strict=True)]
        return self._computed(expression, numbers)

    def _numbers(self, expression: Expression, values: Values) -> Floats:
        if values.dtype == object:
            raise UsageError(
                f"The formula '{self.formula.text}' takes a number of {expression}, which is text."
            )
        return np.asarray(values, np.float64)

    def _computed(self, expression: Expression, numbers: list[Floats]) -> Floats:
        if expression.kind == "I":
            return numbers[0]
        if expression.kind == "scale":
            return self._scaled(expression, numbers[0])
        with np.errstate(all="ignore"):
            if len(numbers) == 2:
                result = _BINARY[expression.kind](*numbers)
            else:
                result = -numbers[0] if expression.kind == "-" else _UNARY[expression.kind](numbers[0])
        undefined = np.isfinite(numbers).all(axis=0) & ~np.isfinite(result)
        if undefined.any():
            values = sorted({f"{one:g}" for one in numbers[0][undefined]})
            where = f"where its argument is {name_some(values)}" if len(numbers) == 1 else "in some rows"
            raise DataError(
                f"{expression} is undefined or infinite {where} ({many(int(undefined.sum()), 'row')})."
            )
        return np.asarray(result, np.float64)

    def _scaled(self, expression: Expression, values: Floats) -> Floats:
        """Less its mean, by its standard deviation (of n - 1), both of the data that the model is fitted
        to."""
        if expression not in self._scales:
            known = values[np.isfinite(values)]
            spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
            if spread == 0:
                raise DataError(f"{expression} is of one value only; leave it out.")
            self._scales[expression] = (float(known.mean()), spread)
        mean, spread = self._scales[expression]
        return (values - mean) / spread


def _column(name: str, data: Mapping[str, Values]) -> Values:
    if name not in data:
        known = f"there are {name_some(list(data), 20)}" if data else "there are no covariates"
        raise UsageError(f"The formula names {name}, which is no covariate; {known}.")
    return data[name]


def _as_texts(values: Values) -> Values:
    if values.dtype == object:
        return values
    return np.array([None if np.isnan(value) else f"{value:.15g}" for value in values], object)


def _level_key(level: str) -> tuple[int, float, str]:
    """Numbers by their size, then texts by the alphabet, as R sorts levels."""
    try:
        return (0, float(level), level)
    except ValueError:
        return (1, 0.0, level)


def refuse_dependent_columns(matrix: Floats, names: tuple[str, ...], of: str) -> None:
    """Refuse columns one of which follows from the others: their coefficients have no estimate.

    Args:
        matrix: [R, K].
        names: [K].
        of: what the formula is of, for the message.

    Raises:
        DataError: there is one; it is named.
    """
    sizes = np.sqrt((matrix**2).sum(axis=0))
    scaled = matrix / np.where(sizes > 0, sizes, 1.0)
    dependent: list[str] = []
    kept: list[int] = []
    for index, name in enumerate(names):
        if np.linalg.matrix_rank(scaled[:, [*kept, index]], tol=1e-8) == len(kept) + 1:
            kept.append(index)
        else:
            dependent.append(name)
    if dependent:
        raise DataError(
            f"The formula of {of}: {name_some(dependent)} follows from the other columns at the locations "
            "that are used (a constant, or one covariate twice), so that it has no estimate; leave it out."
        )
