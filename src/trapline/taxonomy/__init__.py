"""The tree of taxa, the labels that map onto it, and probabilities summed up it."""

from trapline.taxonomy.names import BLANK, KINDS, RANKS, default_kind, group_spelt_alike
from trapline.taxonomy.sources import (
    read_taxonomy,
    taxonomy_from_csv,
    taxonomy_from_folders,
    taxonomy_from_speciesnet,
)
from trapline.taxonomy.sums import ancestor_matrix, group_at_rank, sum_at_nodes, sum_at_rank
from trapline.taxonomy.tree import Label, Taxon, Taxonomy

__all__ = [
    "BLANK",
    "KINDS",
    "RANKS",
    "Label",
    "Taxon",
    "Taxonomy",
    "ancestor_matrix",
    "default_kind",
    "group_at_rank",
    "group_spelt_alike",
    "read_taxonomy",
    "sum_at_nodes",
    "sum_at_rank",
    "taxonomy_from_csv",
    "taxonomy_from_folders",
    "taxonomy_from_speciesnet",
]
