"""Which labels say less than which: "animal" of a fox, "human" of a hunter, "deer" of a roe deer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.taxonomy.names import default_kind
from trapline.taxonomy.rollup import says_less
from trapline.taxonomy.tree import Label, Taxonomy

Flags = npt.NDArray[np.bool_]


def coarser_labels(taxonomy: Taxonomy, labels: Sequence[str], answers: Collection[str]) -> Flags:
    """[K, K]: whether the label of a column says less than that of the row, and is right all the same.

    Only labels on the way from the true one up to the root are looked at.

    Args:
        taxonomy: what the labels are; those that it lacks say less than none.
        labels: K names.
        answers: those of them that can be said.
    """
    whole = _within(taxonomy, labels)
    table = np.zeros((len(labels), len(labels)), np.bool_)
    columns = [k for k, answer in enumerate(labels) if answer in answers and answer in whole.labels]
    of_taxon: defaultdict[str | None, list[int]] = defaultdict(list)
    for column in columns:
        of_taxon[whole.labels[labels[column]].taxon].append(column)
    for row, true in enumerate(labels):
        if true not in whole.labels:
            continue
        taxon = whole.labels[true].taxon
        way = () if taxon is None else (None, *{taxon, *whole.path(true)})
        for column in columns if taxon is None else [one for above in way for one in of_taxon[above]]:
            table[row, column] = says_less(whole, labels[column], true)
    return table


def with_kinds(taxonomy: Taxonomy | None, labels: Sequence[str]) -> Taxonomy:
    """A taxonomy that has all of the labels: of those that it lacks the kind by their name, else `animal`."""
    known = Taxonomy({}, {}, "the names of the labels") if taxonomy is None else _within(taxonomy, labels)
    by_name = {name: Label(name, default_kind(name) or "animal") for name in labels}
    return Taxonomy(known.taxa, {**by_name, **known.labels}, known.source)


def _within(taxonomy: Taxonomy, labels: Sequence[str]) -> Taxonomy:
    """The taxonomy with those of the labels that it knows, and no others."""
    of_tree: dict[str, Label] = {}
    for name in labels:
        try:
            of_tree |= taxonomy.for_labels([name]).labels
        except DataError:  # a label that is not known counts as every other does
            continue
    return Taxonomy(taxonomy.taxa, of_tree, taxonomy.source)
