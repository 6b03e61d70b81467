"""The labels that people may choose from: common and scientific names, found by a few letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trapline.catalog import BLANK_WORDS
from trapline.errors import DataError, UsageError
from trapline.observations import NO_ANSWER
from trapline.taxonomy import BLANK, Label, Taxonomy, default_kind, plain

MOST_LETTERS = 200
"""Of a label, or of a person's name."""


@dataclass(frozen=True)
class NamedLabel:
    """A label, and what people call it.

    Attributes:
        label: as it is kept.
        kind: one of `trapline.taxonomy.KINDS`.
        common: in the language of who named it; None where only the label is known.
        scientific: the name of its taxon; None where it has none.
    """

    label: str
    kind: str
    common: str | None = None
    scientific: str | None = None

    @property
    def spoken(self) -> list[str]:
        """All that it may be looked for by, as it is compared."""
        names = (self.label, self.common, self.scientific)
        return [_folded(name) for name in names if name]


class LabelNames:
    """The labels of a review, in order; some may come later.

    Args:
        labels: those that there are from the beginning.
        taxonomy: what they are, and what else may be chosen; None where nobody gave one.
    """

    def __init__(self, labels: Iterable[str], taxonomy: Taxonomy | None = None) -> None:
        self._taxonomy = taxonomy
        self._labels: dict[str, NamedLabel] = {}
        for name in labels:
            self.add(name)
        for label in () if taxonomy is None else taxonomy.labels.values():
            self._labels.setdefault(_blank(label.name), self._of(label))
        self.add(BLANK)

    def __contains__(self, label: str) -> bool:
        return label in self._labels

    def __iter__(self) -> Iterator[NamedLabel]:
        return iter(list(self._labels.values()))

    def __getitem__(self, label: str) -> NamedLabel:
        return self._labels[label]

    def add(self, name: str, *, common: str | None = None, scientific: str | None = None) -> NamedLabel:
        """Another label, or the same if there is one of this name.

        Raises:
            UsageError: it can be no label.
        """
        name = as_label(name)
        if name not in self._labels:
            known = self._of(self._look_up(name))
            self._labels[name] = NamedLabel(
                name, known.kind, common or known.common, scientific or known.scientific
            )
        return self._labels[name]

    def like(self, letters: str, likely: Sequence[str] = (), most: int = 40) -> list[NamedLabel]:
        """The labels that a few letters may mean.

        A name that begins with the letters comes before one with a word that does, and that before one in
        which they stand; among equals the more probable first.

        Args:
            letters: typed so far; none for all.
            likely: labels, the most probable first.
            most: how many.
        """
        typed = _folded(letters)
        order = {name: rank for rank, name in enumerate(likely)}
        ranked = []
        for at, label in enumerate(self._labels.values()):
            score = min((_distance(name, typed) for name in label.spoken), default=3)
            if score < 3:
                ranked.append((score, order.get(label.label, len(order)), at, label))
        return [label for *_, label in sorted(ranked, key=lambda one: one[:3])[:most]]

    def _look_up(self, name: str) -> Label:
        alone = Label(name, default_kind(name) or "animal")
        if self._taxonomy is None:
            return alone
        if name in self._taxonomy.labels:
            return self._taxonomy.labels[name]
        try:
            return self._taxonomy.for_labels([name]).labels[name]
        except DataError:  # a label of one's own
            return alone

    def _of(self, label: Label) -> NamedLabel:
        common = label.common_name if label.common_name != label.name else None
        return NamedLabel(_blank(label.name), label.kind, common, label.taxon)


def _distance(name: str, typed: str) -> int:
    """How far a name is from the letters: 0 it begins so, 1 a word of it does, 2 it has them, 3 not."""
    if name.startswith(typed):
        return 0
    if any(word.startswith(typed) for word in name.split()):
        return 1
    return 2 if typed in name else 3


def _folded(text: str) -> str:
    """Without case, accents and signs between words, as people type."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return " ".join(letters.replace("_", " ").replace("-", " ").split())


def _blank(name: str) -> str:
    return BLANK if plain(name) in BLANK_WORDS else name


def as_label(text: str) -> str:
    """A name as a label; the words for "nothing there" are one.

    Raises:
        UsageError: it can be none: it is empty, too long, has signs that cannot be seen, or is what tables
            write where there is no label.
    """
    name = as_shown(text, "A label")
    if plain(name) in NO_ANSWER:
        raise UsageError(
            f"'{name}' is no label: it is what tables write where there is none. Say 'cannot tell'."
        )
    return _blank(name)


def as_shown(text: str, what: str) -> str:
    """A text that people see, without spaces around it, in one normal form.

    Raises:
        UsageError: it is empty, too long, or has signs that cannot be seen.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name or len(name) > MOST_LETTERS:
        raise UsageError(f"{what} has 1 to {MOST_LETTERS} letters.")
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Co", "Cn") for sign in name):
        raise UsageError(f"{what} may not have signs that cannot be seen: {name!r}.")
    return name
