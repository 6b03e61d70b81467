"""The classes that a model of taxa tells apart, and what each label of the data says of them.

A label is a *class* if no other label lies below its taxon. A label that stops above others ("deer", where
"elk" is a label too) is *coarse*: it is no class, but it says that one of the classes below it is there.
Labels of one taxon ("wild_pig", "wild_boar") are one class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.taxonomy.names import RANKS, Rank
from trapline.taxonomy.tree import Label, Taxonomy

ONE_OF_A_KIND = ("blank", "vehicle")
"""Kinds without a taxon of which all labels mean the same ("empty" and "blank")."""


@dataclass(frozen=True)
class Classes:
    """What a model of taxa says, and how labels map onto it, by name.

    Attributes:
        taxonomy: the part of the tree that is needed; its labels are those of the data and the classes.
        names: the classes, sorted.
        of_label: label of the data → its class; None where it is coarse.
        outside: labels of the data of which no class is a part, where a single node is decided.
    """

    taxonomy: Taxonomy
    names: tuple[str, ...]
    of_label: Mapping[str, str | None]
    outside: tuple[str, ...] = ()

    @property
    def coarse(self) -> tuple[str, ...]:
        """The labels that stop above others."""
        return tuple(label for label, name in self.of_label.items() if name is None)

    def node(self, name: str) -> str:
        """What a label or class stands for in the tree: its taxon, or itself where it has none."""
        taxon = self.taxonomy.labels[name].taxon
        return name if taxon is None else taxon

    def possible(self, label: str) -> npt.NDArray[np.bool_]:
        """[classes]: which classes a label of the data leaves possible: its own, or all below its taxon."""
        own = self.of_label[label]
        if own is not None:
            return np.array([name == own for name in self.names])
        taxon = self.node(label)
        return np.array([taxon in self.taxonomy.path(name) for name in self.names])


def classes_of(taxonomy: Taxonomy, labels: Sequence[str]) -> Classes:
    """The classes of the labels that occur in a data set.

    A class is called what its label is; where several labels mean one taxon, what the taxon is.

    Raises:
        DataError: a label is not in the taxonomy, or fewer than two classes are left.
    """
    known = taxonomy.for_labels(labels)
    by_node: dict[str, list[str]] = {}
    for name in labels:
        label = known.labels[name]
        same_kind = label.taxon is None and label.kind in ONE_OF_A_KIND
        by_node.setdefault(label.kind if same_kind else label.taxon or name, []).append(name)
    above = {taxon for name in labels for taxon in known.path(name)[:-1]}
    names = {node: _class_name(node, members) for node, members in by_node.items() if node not in above}
    of_label = {label: names.get(node) for node, members in by_node.items() for label in members}
    classes = tuple(sorted(names.values()))
    if len(classes) < 2:
        raise DataError(
            f"A model of taxa needs at least two classes; these labels make {len(classes)}: "
            f"{', '.join(labels)}."
        )
    tree = taxonomy.for_labels([*labels, *(name for name in classes if name not in labels)])
    return Classes(tree, classes, {label: of_label[label] for label in labels})


def _class_name(node: str, members: Sequence[str]) -> str:
    return members[0] if len(members) == 1 else node


@dataclass(frozen=True)
class TaxonHead:
    """One decision: which of the children of a node?

    Attributes:
        name: `<taxon>_taxon_classifier`; at the root `<broadest rank>_taxon_classifier`.
        parent: the node, None for the root.
        children: nodes: taxa, or classes that have none; at least two.
    """

    name: str
    parent: str | None
    children: tuple[str, ...]


@dataclass(frozen=True)
class Hierarchy:
    """The tree as decisions: a head for each node with several children; an only child is passed through.

    Attributes:
        classes: what comes out.
        ranks: the ranks at which there are nodes; none for a single decision between all classes.
        heads: broader before finer.
        paths: class → the nodes from below the root down to it.
    """

    classes: Classes
    ranks: tuple[Rank, ...]
    heads: tuple[TaxonHead, ...]
    paths: Mapping[str, tuple[str, ...]]

    def head(self, name: str) -> TaxonHead:
        """The head of a name.

        Raises:
            DataError: there is none; the message names those there are.
        """
        for head in self.heads:
            if head.name == name:
                return head
        raise DataError(f"There is no head '{name}'; this tree has: {', '.join(h.name for h in self.heads)}.")

    def steps(self, label: str) -> tuple[str, ...]:
        """The nodes that a label of the data says something of: all of its class's, or those down to it."""
        own = self.classes.of_label[label]
        if own is not None:
            return self.paths[own]
        path = self.classes.taxonomy.path(label)
        nodes = {node for steps in self.paths.values() for node in steps}
        return tuple(
            taxon for taxon in path if taxon in nodes and self.classes.taxonomy.taxa[taxon].rank in self.ranks
        )

    def below(self, head: TaxonHead) -> npt.NDArray[np.bool_]:
        """[classes, children of the head]: which class lies at or below which child."""
        return np.array([[node in self.paths[name] for node in head.children] for name in self.classes.names])

    def truth_at(self, head: TaxonHead, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """[labels]: the place of the child that each label lies at or below; -1 where there is none."""
        index_of = {child: number for number, child in enumerate(head.children)}
        of_label = {
            label: next((index_of[node] for node in self.steps(label) if node in index_of), -1)
            for label in dict.fromkeys(labels)
        }
        return np.array([of_label[label] for label in labels], np.int64)

    def path_matrix(self) -> npt.NDArray[np.float64]:
        """0/1 [children of all heads, in order; classes]: which decisions lead to which class."""
        rows = [child for head in self.heads for child in head.children]
        return np.array([[float(node in self.paths[name]) for name in self.classes.names] for node in rows])


def hierarchy_of(classes: Classes, ranks: Sequence[Rank]) -> Hierarchy:
    """Cut a tree into decisions.

    A class is always a node itself, also where its taxon is of another rank than `ranks`. Without ranks
    there is one head, between all classes.
    """
    tree, wanted = classes.taxonomy, tuple(rank for rank in RANKS if rank in ranks)
    paths = {}
    for name in classes.names:
        above = [taxon for taxon in tree.path(name)[:-1] if tree.taxa[taxon].rank in wanted]
        paths[name] = (*above, classes.node(name))
    children: dict[str | None, dict[str, None]] = {None: {}}
    for steps in paths.values():
        for parent, child in zip((None, *steps), steps, strict=False):
            children.setdefault(parent, {})[child] = None
    order = {taxon: index for index, taxon in enumerate(tree.taxa)}
    parents = sorted(children, key=lambda parent: -1 if parent is None else order[parent])
    heads = [
        TaxonHead(_head_name(parent, wanted), parent, tuple(sorted(children[parent])))
        for parent in parents
        if len(children[parent]) > 1
    ]
    return Hierarchy(classes, wanted, tuple(heads), paths)


def hierarchy_of_node(hierarchy: Hierarchy, name: str) -> Hierarchy:
    """One head alone: the classes are its children, and labels of the data mean the child they lie below.

    Labels from which the child cannot be told ("cat" at the cats) are coarse, those elsewhere outside.

    Raises:
        DataError: there is no such head, or a label is called as a child is and means another taxon.
    """
    head, classes = hierarchy.head(name), hierarchy.classes
    index_of = dict(zip(classes.of_label, hierarchy.truth_at(head, list(classes.of_label)), strict=True))
    of_label = {
        label: head.children[index_of[label]] if index_of[label] >= 0 else None
        for label in classes.of_label
        if index_of[label] >= 0 or _may_lie_below(classes.taxonomy, label, head.parent)
    }
    tree = classes.taxonomy
    labels = {label: tree.labels[label] for label in of_label}
    for child in head.children:
        if child not in tree.taxa:
            continue
        kinds = {tree.kind(label) for label, own in of_label.items() if own == child}
        one = labels.setdefault(child, Label(child, kinds.pop() if len(kinds) == 1 else "animal", child))
        if one.taxon != child:
            raise DataError(
                f"The label '{child}' means {one.taxon}, and the node '{name}' has a child {child}: "
                "rename the label."
            )
    known = replace(tree, labels=labels).for_labels(list(labels))
    outside = tuple(label for label in classes.of_label if label not in of_label)
    return hierarchy_of(Classes(known, tuple(sorted(head.children)), of_label, outside), hierarchy.ranks)


def _may_lie_below(tree: Taxonomy, label: str, node: str | None) -> bool:
    """Whether what a label says leaves open that it lies below a node (None: the root)."""
    path = tree.path(label)
    return node is None or node in path or (bool(path) and path[-1] in tree.path(node))


def _head_name(parent: str | None, ranks: Sequence[Rank]) -> str:
    if parent is not None:
        return f"{parent.lower().replace(' ', '_')}_taxon_classifier"
    return f"{ranks[0]}_taxon_classifier" if ranks else "taxon_classifier"


def unsupported_kinds(classes: Classes) -> frozenset[str]:
    """Taxa that no evidence can tell from their parent: only children of a taxon at which labels stop.

    "rabbit" (a family) and "hare" (a genus of it): nothing shows what makes a rabbit no hare, though the one
    known genus of the family gets all of the family's probability. What lies below is not supported either.
    """
    tree = classes.taxonomy
    stops = {classes.node(label) for label in classes.coarse}
    operators: set[str] = set()
    for taxon in tree.taxa.values():
        only = taxon.parent is not None and len(tree.children(taxon.parent)) == 1
        if taxon.parent in operators or (only and taxon.parent in stops):
            operators.add(taxon.name)
    return frozenset(operators)
