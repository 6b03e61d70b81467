"""What SpeciesNet's labels are called, `uuid;class;order;family;genus;species;common name`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from trapline.taxonomy.names import BLANK

SpeciesNetNames = Literal["common", "scientific"]


def name_speciesnet_labels(labels: Collection[str], names: SpeciesNetNames = "common") -> dict[str, str]:
    """Each label and its common or scientific name; two of one name have both.

    No tree is made of them: SpeciesNet's own list puts Bovidae in two orders.
    """
    by: dict[SpeciesNetNames, Callable[[Sequence[str]], str]] = {"common": _common, "scientific": _scientific}
    parts = {label: label.split(";") for label in labels}
    called = {label: by[names](each) for label, each in parts.items()}
    counts = Counter(called.values())
    return {
        label: name if counts[name] == 1 else f"{_common(parts[label])} ({_scientific(parts[label])})"
        for label, name in called.items()
    }


def _common(parts: Sequence[str]) -> str:
    return (parts[-1] if parts[-1] != "blank" else BLANK) or _scientific(parts)


def _scientific(parts: Sequence[str]) -> str:
    """Genus and species, or the lowest rank that is given; what is no taxon has its common name."""
    ranks = [part for part in parts[1:-1] if part]
    if len(parts) < 7 or not ranks:
        return parts[-1]
    name = f"{parts[4]} {parts[5]}" if parts[4] and parts[5] else ranks[-1]
    return name[:1].upper() + name[1:]
