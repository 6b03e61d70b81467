"""The tree of taxa, the labels that map onto it, and probabilities summed up it."""

from trapline.taxonomy.classes import (
    Classes,
    Hierarchy,
    TaxonHead,
    classes_of,
    hierarchy_of,
    hierarchy_of_node,
    unsupported_kinds,
)
from trapline.taxonomy.names import (
    BLANK,
    KINDS,
    PART_NAMES,
    RANKS,
    Kind,
    Rank,
    default_kind,
    group_spelt_alike,
    part_of,
    plain,
    scientific,
)
from trapline.taxonomy.rollup import LEVELS, RolledUp, best_answers, levels_of, roll_up, verdict, walk_down
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
    "LEVELS",
    "PART_NAMES",
    "RANKS",
    "Classes",
    "Hierarchy",
    "Kind",
    "Label",
    "Rank",
    "RolledUp",
    "Taxon",
    "TaxonHead",
    "Taxonomy",
    "ancestor_matrix",
    "best_answers",
    "classes_of",
    "default_kind",
    "group_at_rank",
    "group_spelt_alike",
    "hierarchy_of",
    "hierarchy_of_node",
    "levels_of",
    "part_of",
    "plain",
    "read_taxonomy",
    "roll_up",
    "scientific",
    "sum_at_nodes",
    "sum_at_rank",
    "taxonomy_from_csv",
    "taxonomy_from_folders",
    "taxonomy_from_speciesnet",
    "unsupported_kinds",
    "verdict",
    "walk_down",
]
