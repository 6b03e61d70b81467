"""Which media train a tree of taxa, and what the label of each says at each head."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineWarning
from trapline.prediction import rank_names
from trapline.recipes import EpochTreeRecipe, Taxa, TreeRecipe
from trapline.taxonomy import (
    Classes,
    Hierarchy,
    TaxonHead,
    Taxonomy,
    classes_of,
    hierarchy_of,
    hierarchy_of_node,
)
from trapline.training.arrays import Rows
from trapline.training.selection import Selected, select_media
from trapline.training.tree_heads import HeadTargets

MOST_NAMED = 10
"""So many labels without photos are named, and the others counted."""


@dataclass(frozen=True)
class TaxaMedia:
    """The media of a training, and the tree that their labels map onto.

    Attributes:
        selected: its labels are the classes; the targets of a media whose label is coarse are all 0.
        labels: the label of each media, as the catalog has it.
        hierarchy: the decisions.
    """

    selected: Selected
    labels: tuple[str, ...]
    hierarchy: Hierarchy

    @property
    def classes(self) -> Classes:
        """What comes out."""
        return self.hierarchy.classes

    def without(self, failed: Mapping[int, str]) -> TaxaMedia:
        """The same with unreadable photos set aside."""
        return replace(self, selected=self.selected.without(failed))

    def fine(self, rows: Rows) -> Rows:
        """Those of the rows whose label is a class."""
        return rows[self.selected.targets[rows].any(axis=1)]

    def decision(self, head: TaxonHead) -> HeadTargets:
        """What all media say at a head; a media at which every child is possible says nothing."""
        by_label = {label: self._possible(head, label) for label in dict.fromkeys(self.labels)}
        possible = np.array([by_label[label] for label in self.labels])
        return HeadTargets(head.name, possible, np.ones(len(self.labels)))

    def _possible(self, head: TaxonHead, label: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if not self.hierarchy.ranks:  # one head over all classes
            below = {
                self.classes.node(name)
                for name, there in zip(self.classes.names, self.classes.possible(label), strict=True)
                if there
            }
            possible = np.array([child in below for child in head.children])
        else:
            child_index = self.hierarchy.truth_at(head, [label])[0]
            possible = np.arange(len(head.children)) == child_index
        return possible if not possible.all() else np.zeros_like(possible)


def select_taxa(
    catalog: Catalog, recipe: TreeRecipe | EpochTreeRecipe, taxonomy: Taxonomy, *, needs_split: bool = True
) -> TaxaMedia:
    """The media, classes and decisions of a training.

    With `taxa.node` its children are the classes, and media of labels outside the node are left out.

    Raises:
        DataError: no split or an empty part, labels that the taxonomy lacks, media with several labels, or
            fewer than two classes.
    """
    settings = recipe.taxa
    if needs_split:
        catalog.part("train")
        catalog.part("validation")
    chosen = select_media(catalog, recipe, needs_split=False)
    labels = tuple(named[0] for named in chosen.catalog.table["labels"].to_list())
    hierarchy = _hierarchy(taxonomy, chosen.labels, settings)
    absent = _absent(taxonomy, hierarchy.classes)
    if settings.node is not None:
        parent = hierarchy.head(settings.node).parent
        absent = [label for label in absent if parent is None or parent in taxonomy.path(label)]
        hierarchy = hierarchy_of_node(hierarchy, settings.node)
        chosen = _without_labels(chosen, hierarchy.classes.outside, settings.node)
        labels = tuple(named[0] for named in chosen.catalog.table["labels"].to_list())
    classes = hierarchy.classes
    targets = np.zeros((len(labels), len(classes.names)), np.float32)
    for row, label in enumerate(labels):
        own = classes.of_label[label]
        if own is not None:
            targets[row, classes.names.index(own)] = 1
    selected = replace(chosen, labels=classes.names, targets=targets)
    media = TaxaMedia(selected, labels, hierarchy)
    clash = sorted(rank_names() & set(classes.names))
    if clash:
        raise DataError(f"A class cannot be called '{clash[0]}': tables of predictions have such a column.")
    if needs_split:
        _check_parts(media)
    _tell_of_silence(media, absent)
    return media


def _hierarchy(taxonomy: Taxonomy, labels: tuple[str, ...], settings: Taxa) -> Hierarchy:
    ranks = () if settings.way == "flat" and settings.node is None else settings.ranks
    return hierarchy_of(classes_of(taxonomy, labels), ranks)


def _absent(taxonomy: Taxonomy, classes: Classes) -> list[str]:
    """The labels of a taxonomy of which, and of what lies below them, the data shows nothing."""
    shown = classes.taxonomy
    kinds = {label.kind for label in shown.labels.values()}
    return [
        label.name
        for label in taxonomy.labels.values()
        if (label.kind not in kinds if label.taxon is None else label.taxon not in shown.taxa)
    ]


def _without_labels(chosen: Selected, outside: Sequence[str], node: str) -> Selected:
    """The media that a single head trains on; the others are counted."""
    inside = ~chosen.catalog.table["labels"].list.first().is_in(list(outside)).to_numpy()
    new_index = np.where(inside, np.cumsum(inside) - 1, -1)
    train, validation = (new_index[rows][inside[rows]] for rows in (chosen.train, chosen.validation))
    catalog = chosen.catalog.with_table(chosen.catalog.table.filter(inside))
    left_out = {**chosen.left_out, f"outside {node}": int((~inside).sum())}
    return replace(chosen, catalog=catalog, train=train, validation=validation, left_out=left_out)


def _check_parts(media: TaxaMedia) -> None:
    for part, rows in (("train", media.selected.train), ("validation", media.selected.validation)):
        if not len(media.fine(rows)):
            raise DataError(
                f"The part '{part}' has no media with the label of a class. "
                "Split again with `trapline split`."
            )


def _tell_of_silence(media: TaxaMedia, absent: Sequence[str]) -> None:
    """Say which labels are no class or train nothing, and which classes have no training or validation media.

    Args:
        media: of the training.
        absent: labels of the taxonomy that no media has.
    """
    selected, notes = media.selected, []
    if absent:
        more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
        notes.append(
            "the taxonomy has labels without photos for training and validation, which the model will not "
            f"know: {', '.join(absent[:MOST_NAMED])}{more}"
        )
    if unseen := selected.unseen(selected.train):
        notes.append(f"no training media has the class {', '.join(unseen)}: it will hardly ever be said")
    if len(selected.validation) and (unjudged := selected.unseen(selected.validation)):
        notes.append(f"no validation media has the class {', '.join(unjudged)}: it is not judged")
    heard = np.zeros(len(media.labels), bool)
    for head in media.hierarchy.heads:
        heard |= media.decision(head).heard
    silent = Counter(label for label, there in zip(media.labels, heard, strict=True) if not there)
    if silent:
        named = ", ".join(f"{label} ({count} media)" for label, count in silent.items())
        notes.append(f"these labels stop above every head and train nothing: {named}")
    for line in notes:
        warnings.warn(f"{line[0].upper()}{line[1:]}.", TraplineWarning, stacklevel=4)
