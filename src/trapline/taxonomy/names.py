"""Ranks, kinds, folders that are no taxa, and when two written names are the same name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

Rank = Literal["class", "order", "family", "genus", "species", "subspecies"]
Kind = Literal["animal", "human", "vehicle", "blank", "other"]

RANKS: tuple[Rank, ...] = ("class", "order", "family", "genus", "species", "subspecies")
"""The ranks of the tree, from the broadest to the finest; a path through the tree may leave some out."""

KINDS: tuple[Kind, ...] = ("animal", "human", "vehicle", "blank", "other")
"""What a label stands for. `other` is neither a taxon nor one of the rest ("other", "unidentified")."""

BLANK = "blank"
"""The label of photos on which nothing is."""

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}
"""How others call the parts of a split."""

_KIND_OF_NAME: dict[str, Kind] = {
    "blank": "blank",
    "empty": "blank",
    "human": "human",
    "person": "human",
    "people": "human",
    "homo sapiens": "human",
    "vehicle": "vehicle",
    "other": "other",
    "unknown": "other",
}

_PARTICLES = "de|da|do|du|del|della|den|der|des|di|la|le|van|von|zu"
_EPITHET = rf"(?!(?:{_PARTICLES})\b)[a-z][a-z-]+"
_AUTHOR = rf"(?:(?:{_PARTICLES}) )*(?:[dl]['’])?[A-ZÀ-ÖØ-Þ][^\s,&]*"
_BINOMIAL_AND_AUTHOR = re.compile(rf"^([A-Z][a-z-]+ {_EPITHET}(?: {_EPITHET})?),? \(?{_AUTHOR}")
_NAME_AUTHOR_YEAR = re.compile(
    rf"^([A-Z][a-z-]+|{_EPITHET}(?: {_EPITHET})?),? "
    rf"\(?{_AUTHOR}(?:(?: |, | & | and | et ){_AUTHOR})*(?: et al\.?)?,? \d{{4}}\)?$"
)
_UNDETERMINED = re.compile(r"^(?:(\w[\w-]*) )?(?:sp|spp|ssp|indet|cf|aff)\.?(?: .*)?$", re.IGNORECASE)


def plain(name: str) -> str:
    """A name for comparing: without case, accents in one form, underscores and runs of spaces one space."""
    composed = name if name.isascii() else unicodedata.normalize("NFC", name)
    return " ".join(composed.replace("_", " ").split()).casefold()


def group_spelt_alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Names that are one to a reader and several to a computer: apart in case, spaces or underscores only."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(plain(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def scientific(name: str) -> str:
    """A scientific name as it is written: one capital in front, spaces for underscores."""
    return " ".join(name.replace("_", " ").split()).capitalize()


def without_author(name: str) -> str:
    """A scientific name without who described it, and when: `Lepus europaeus Pallas, 1778` is a species.

    An author stands with a capital or in brackets behind an epithet; behind a name of one word only together
    with a year, as `Lepus Europaeus` may be a species all the same.
    """
    spaced = " ".join(name.replace("_", " ").split())
    match = _BINOMIAL_AND_AUTHOR.match(spaced) or _NAME_AUTHOR_YEAR.match(spaced)
    return match[1] if match else name


def undetermined(name: str) -> str | None:
    """The genus of a name that stops at it (`Lepus sp.`, `Lepus cf. timidus`), empty where it names none
    (`sp.`); None for all other names.
    """
    match = _UNDETERMINED.match(" ".join(name.replace("_", " ").split()))
    return (match[1] or "") if match else None


def default_kind(label: str) -> Kind | None:
    """What a label stands for where its name can only mean one thing ("empty"); None otherwise."""
    return _KIND_OF_NAME.get(plain(label))


def part_of(folder: str) -> str | None:
    """The part of a split that a folder is named for; also as in `taxon_train`."""
    return PART_NAMES.get(re.split("[_-]", folder.lower())[-1])
