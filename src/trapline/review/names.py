"""The labels that people may choose from, with their common and scientific names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trapline.catalog import BLANK_WORDS
from trapline.errors import DataError, UsageError
from trapline.observations import NO_ANSWER
from trapline.tables import MISSING
from trapline.taxonomy import BLANK, Label, Taxonomy, default_kind, plain

MOST_LETTERS = 200
"""Of a label, or of a person's name."""

UNTOLD = ("unknown", "unidentified", "unidentifiable", "undetermined", "indeterminate", "cannot tell")
"""What people, and detectors, write where they cannot tell."""


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

    def add(self, name: str, *, common: str | None = None, scientific: str | None = None) -> NamedLabel:
        """Another label, or the same if there is one of this name.

        Raises:
            UsageError: it can be no label.
        """
        name = as_label(name)
        common = common and as_shown(common, "A common name")
        scientific = scientific and as_shown(scientific, "A scientific name")
        if name not in self._labels:
            known = self._of(self._look_up(name))
            self._labels[name] = NamedLabel(
                name, known.kind, common or known.common, scientific or known.scientific
            )
        return self._labels[name]

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


def as_new_label(text: str) -> str:
    """A name that somebody gives, as a label.

    Raises:
        UsageError: it can be none, or would be no label in a table that is written of it and read again.
    """
    name = as_label(text)
    if plain(name) in UNTOLD:
        raise UsageError(f"'{name}' is no label: it is what is written where nobody can. Say 'cannot tell'.")
    if name in MISSING:
        raise UsageError(
            f"'{name}' is no label: tables write it where there is no value. Give it another name."
        )
    return name


def as_shown(text: str, what: str) -> str:
    """A text that people see, without spaces around it, in one normal form.

    Raises:
        UsageError: it is empty, too long, or has signs that cannot be seen.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    refuse_unseen(name, what)
    return name


def refuse_unseen(text: str, what: str) -> None:
    """Refuse a text that people could not see as it is. Joiners of letters and of emoji may be in it.

    Raises:
        UsageError: it is empty, too long, or has signs that cannot be seen.
    """
    if not text or len(text) > MOST_LETTERS:
        raise UsageError(f"{what} has 1 to {MOST_LETTERS} letters.")
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") for sign in text):
        raise UsageError(f"{what} may not have signs that cannot be seen: {text!r}.")
