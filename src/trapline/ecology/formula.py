"""Formulas as R writes them, `a*b + I(x^2) + log(x) - 1`, read into terms. Nothing of them is run as code.

The rules are those of Wilkinson & Rogers (1973), as R's `formula` documents them: `+` adds terms, `-` takes
them away, `:` is an interaction, `*` both and their interaction, `^` all interactions up to a degree, and
within a function arithmetic is arithmetic. An intercept is there unless it is taken away (`- 1`, `+ 0`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trapline.errors import UsageError

FUNCTIONS = ("I", "log", "log2", "log10", "log1p", "exp", "sqrt", "abs", "sin", "cos", "scale", "factor")
"""What may be called in a formula; `as.factor` is `factor`."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|`(?P<quoted>[^`]+)`|(?P<name>[^\W\d][\w.]*)|(?P<sign>\*\*|[-+*/:^(),~]))"
)
_MOST_TERMS = 200
_MOST_WORDS, _DEEPEST = 400, 50
"""What is longer or nests deeper is no formula of a person, and in the end deeper than Python can follow."""
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_SIGN = 3
"""How closely operators bind, and a minus before one value."""


@dataclass(frozen=True)
class Expression:
    """A column, a number, or a function or operator of others.

    Attributes:
        kind: `column`, `number`, the name of a function, or one of + - * / ^.
        arguments: of a function or operator.
        value: the column's name, or the number as it is written.
        depth: how many operations stand in one another.

    Raises:
        UsageError: too many do.
    """

    kind: str
    arguments: tuple[Expression, ...] = ()
    value: str = ""
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        depth = 1 + max((one.depth for one in self.arguments), default=0)
        if depth > _DEEPEST:
            raise _too_deep()
        object.__setattr__(self, "depth", depth)

    def __str__(self) -> str:
        if not self.arguments:
            return self.value
        if self.kind not in _BINDS:
            return f"{self.kind}({', '.join(map(str, self.arguments))})"
        if len(self.arguments) == 1:
            return f"-{self._inner(0)}"
        between = f" {self.kind} " if self.kind in "+-*" else self.kind
        return between.join(self._inner(index) for index in (0, 1))

    def _inner(self, index: int) -> str:
        """An argument of an operator, in brackets where it binds less."""
        one = self.arguments[index]
        own = _BINDS[self.kind] if len(self.arguments) == 2 else _SIGN
        if not one.arguments or one.kind not in _BINDS:
            return str(one)
        inner = _BINDS[one.kind] if len(one.arguments) == 2 else _SIGN
        first = 1 if self.kind == "^" else 0
        return f"({one})" if inner < own or (inner == own and index != first) else str(one)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        if self.kind == "column":
            return (self.value,)
        return tuple(dict.fromkeys(name for one in self.arguments for name in one.columns))


Term = tuple[Expression, ...]
"""What is multiplied in one term; the empty term is the intercept."""


@dataclass(frozen=True)
class Formula:
    """One side of a model.

    Attributes:
        text: as it was written, without `~`.
        terms: the intercept first, if it is there, then by how many expressions they multiply.
    """

    text: str
    terms: tuple[Term, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(dict.fromkeys(name for term in self.terms for one in term for name in one.columns))


def parse_formula(text: str) -> Formula:
    """Read a formula; a `~` before it may be there or not.

    Raises:
        UsageError: it is none, or uses what is not known here; it says what.
    """
    words = _words_of(text)
    if words[:1] == [("sign", "~")]:
        words = words[1:]
    parser = _Parser(text, words or [("number", "1")])
    terms = parser.sum(start=[()])
    parser.expect_end()
    if not terms:
        raise UsageError(f"The formula '{text}' has no term: '1' is the intercept alone.")
    ordered = sorted(terms, key=len)
    return Formula(text.strip().removeprefix("~").strip() or "1", tuple(ordered))


def _words_of(text: str) -> list[tuple[str, str]]:
    """The tokens of a formula: (kind, text)."""
    words, offset = [], 0
    stripped = text.rstrip()
    while offset < len(stripped):
        match = _TOKEN.match(stripped, offset)
        if match is None:
            raise UsageError(
                f"The formula '{text}' has '{stripped[offset:].strip()[:1]}', which is not known here."
            )
        kind = match.lastgroup or ""
        word = match[kind]
        kind = "name" if kind == "quoted" else kind
        words.append((kind, "^" if word == "**" else word))
        if len(words) > _MOST_WORDS:
            raise UsageError(
                f"The formula '{text[:60]}…' has more than {_MOST_WORDS} words and signs. Make columns of "
                "what it computes in the table of covariates."
            )
        offset = match.end()
    return words


class _Parser:
    """Reads tokens one after the other; each method reads one level of precedence, R's."""

    def __init__(self, text: str, words: Sequence[tuple[str, str]]) -> None:
        self.text, self.words, self.index, self.depth = text, list(words), 0, 0

    def _next(self) -> tuple[str, str]:
        return self.words[self.index] if self.index < len(self.words) else ("end", "its end")

    def _take(self, *signs: str) -> str | None:
        """The next token, if it is one of these signs."""
        kind, word = self._next()
        if kind == "sign" and word in signs:
            self.index += 1
            return word
        return None

    def _refuse(self, wanted: str) -> UsageError:
        return UsageError(f"The formula '{self.text}' has {self._next()[1]} where {wanted} should be.")

    def _close(self) -> None:
        if self._take(")") is None:
            raise self._refuse("a closing bracket")
        self.depth -= 1

    def _open(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _too_deep()

    def expect_end(self) -> None:
        if self.index < len(self.words):
            raise self._refuse("an operator (+ - * : ^)")

    def sum(self, start: list[Term]) -> list[Term]:
        terms = list(start)
        sign: str | None = self._take("+", "-") or "+"
        while sign is not None:
            nothing = self._next() == ("number", "0")
            added = self._product()
            if nothing:
                sign, added = ("-" if sign == "+" else "+"), [()]
            terms = _union(terms, added) if sign == "+" else _without(terms, added)
            if len(terms) > _MOST_TERMS:
                raise UsageError(f"The formula '{self.text}' has more than {_MOST_TERMS} terms.")
            sign = self._take("+", "-")
        return terms

    def _product(self) -> list[Term]:
        terms = self._interaction()
        while self._take("*"):
            terms = _crossed(terms, self._interaction())
        return terms

    def _interaction(self) -> list[Term]:
        terms = self._power()
        while self._take(":"):
            terms = _interacted(terms, self._power())
        return terms

    def _power(self) -> list[Term]:
        terms = base = self._atom()
        if self._take("^"):
            kind, word = self._next()
            if kind != "number" or word not in ("1", "2", "3", "4", "5"):
                raise self._refuse("a degree from 1 to 5 (a square of a column is I(x^2))")
            self.index += 1
            for _ in range(int(word) - 1):
                terms = _crossed(terms, base)
        return terms

    def _atom(self) -> list[Term]:
        kind, word = self._next()
        if self._take("("):
            self._open()
            terms = self.sum(start=[])
            self._close()
            return terms
        if kind == "number" and word in ("0", "1"):
            self.index += 1
            return [()]
        if kind != "name":
            raise self._refuse("a column, a function or 1")
        return [(self._value_of_name(),)]

    def _value_of_name(self) -> Expression:
        """A column, or a function of what stands in the brackets after its name."""
        name = self._next()[1]
        self.index += 1
        if not self._take("("):
            return Expression("column", value=name)
        name = "factor" if name == "as.factor" else name
        if name not in FUNCTIONS:
            raise UsageError(
                f"The formula '{self.text}' calls {name}(), which is not known here; what is: "
                f"{', '.join(FUNCTIONS)}. Make a column of it in the table of covariates instead"
                + (", or write x + I(x^2)." if name == "poly" else ".")
            )
        self._open()
        inner = self._arithmetic()
        self._close()
        return Expression(name, (inner,))

    def _arithmetic(self) -> Expression:
        return self._left_to_right(("+", "-"), lambda: self._left_to_right(("*", "/"), self._signed))

    def _left_to_right(self, signs: tuple[str, ...], inner: Callable[[], Expression]) -> Expression:
        left = inner()
        while sign := self._take(*signs):
            left = Expression(sign, (left, inner()))
        return left

    def _signed(self) -> Expression:
        """A minus binds less than a power: -x^2 is -(x^2)."""
        if self._take("-"):
            self._open()
            value = Expression("-", (self._signed(),))
            self.depth -= 1
            return value
        base = self._operand()
        if not self._take("^"):
            return base
        self._open()
        power = Expression("^", (base, self._signed()))
        self.depth -= 1
        return power

    def _operand(self) -> Expression:
        kind, word = self._next()
        if kind == "number":
            self.index += 1
            return Expression("number", value=word)
        if kind == "name":
            return self._value_of_name()
        if self._take("("):
            self._open()
            inner = self._arithmetic()
            self._close()
            return inner
        raise self._refuse("a column or a number")


def _too_deep() -> UsageError:
    return UsageError(
        f"The formula has more than {_DEEPEST} brackets or operations within one another. Make columns of "
        "what it computes in the table of covariates."
    )


def _union(terms: list[Term], added: list[Term]) -> list[Term]:
    """Both, each once; the order of what is multiplied in a term does not matter."""
    known = {frozenset(term) for term in terms}
    result = list(terms)
    for term in added:
        if frozenset(term) not in known:
            known.add(frozenset(term))
            result.append(term)
    return result


def _without(terms: list[Term], removed: list[Term]) -> list[Term]:
    gone = {frozenset(term) for term in removed}
    return [term for term in terms if frozenset(term) not in gone]


def _interacted(left: list[Term], right: list[Term]) -> list[Term]:
    if len(left) * len(right) > _MOST_TERMS**2:
        raise UsageError(f"The formula has more than {_MOST_TERMS} terms.")
    return _union([], [tuple(dict.fromkeys((*one, *other))) for one in left for other in right])


def _crossed(left: list[Term], right: list[Term]) -> list[Term]:
    return _union(_union(left, right), _interacted(left, right))
