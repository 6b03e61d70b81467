"""Probabilities summed up the tree: columns of labels in, columns of taxa out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trapline.errors import UsageError
from trapline.taxonomy.names import RANKS, Rank
from trapline.taxonomy.tree import Taxonomy

Array = npt.NDArray[np.float64]


def ancestor_matrix(taxonomy: Taxonomy, labels: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """Which label is at or below which taxon.

    Args:
        taxonomy: has all the labels (see `Taxonomy.for_labels`).
        labels: the columns of the probabilities, in their order.

    Returns:
        float64 [labels, taxa] of 0 and 1, and the taxa that have a label at or below them, broader before
        finer. `probabilities @ matrix` is the probability of each taxon; labels without a taxon add to none.

    Raises:
        UsageError: a label is not in the taxonomy.
    """
    paths = [taxonomy.path(label) for label in labels]
    needed = {taxon for path in paths for taxon in path}
    names = tuple(name for name in taxonomy.taxa if name in needed)
    column_of = {name: column for column, name in enumerate(names)}
    matrix = np.zeros((len(labels), len(names)))
    for row, path in enumerate(paths):
        matrix[row, [column_of[taxon] for taxon in path]] = 1.0
    return matrix, names


def sum_at_nodes(
    probabilities: Array, taxonomy: Taxonomy, labels: Sequence[str]
) -> tuple[Array, tuple[str, ...]]:
    """The probability of every taxon: [rows, labels] → [rows, taxa], and the taxa. NaN rows stay NaN."""
    matrix, names = ancestor_matrix(taxonomy, labels)
    return _check(probabilities, labels) @ matrix, names


def group_at_rank(taxonomy: Taxonomy, label: str, rank: Rank) -> str:
    """What a label is at a rank: its taxon of that rank; else the taxon at which it stops; else itself.

    A label that stops above the rank keeps its own group ("deer" at species is "Cervidae"), so that every
    label is in exactly one group. Where the rank is missing on the label's path but finer ones are filled,
    the next broader taxon stands in for it.
    """
    if rank not in RANKS:
        raise UsageError(f"There is no rank '{rank}'; ranks are: {', '.join(RANKS)}.")
    lineage = taxonomy.lineage(label)
    filled = [lineage[each] for each in RANKS[: RANKS.index(rank) + 1] if each in lineage]
    return filled[-1] if filled else label


def sum_at_rank(
    probabilities: Array, taxonomy: Taxonomy, labels: Sequence[str], rank: Rank
) -> tuple[Array, tuple[str, ...]]:
    """Probabilities summed into the groups of a rank (see `group_at_rank`).

    Args:
        probabilities: float64 [rows, labels]; rows that sum to 1 still do afterwards.
        taxonomy: has all the labels.
        labels: the columns of `probabilities`.
        rank: one of `RANKS`.

    Returns:
        float64 [rows, groups], and the groups in the order in which their first label comes.
    """
    groups = [group_at_rank(taxonomy, label, rank) for label in labels]
    names = tuple(dict.fromkeys(groups))
    matrix = np.zeros((len(labels), len(names)))
    matrix[np.arange(len(labels)), [names.index(group) for group in groups]] = 1.0
    return _check(probabilities, labels) @ matrix, names


def _check(probabilities: Array, labels: Sequence[str]) -> Array:
    if probabilities.ndim != 2 or probabilities.shape[1] != len(labels):
        raise UsageError(
            f"Probabilities must be [rows, {len(labels)} labels], not {list(probabilities.shape)}."
        )
    return probabilities
