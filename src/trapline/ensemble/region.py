"""What lives where the photos were taken, as weights on the probabilities of a model of taxa."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from trapline.errors import DataError, UsageError
from trapline.prediction import Predictions, RegionWeights, probability_columns
from trapline.tables import read_numbers, read_table
from trapline.taxonomy import KINDS, RANKS, Taxonomy, default_kind, plain, scientific

UNLISTED = 0.01
"""The weight of taxa that a list does not name: a hundred times rarer here than where the model learnt."""

_LEAST = 1e-9  # of a probability, so that a list can overrule a network that is too sure

_BINOMIAL = re.compile(r"(?P<genus>[A-Z][a-z-]+) [a-z-]+( [a-z-]+)?$")
"""A species or subspecies as it is written; "lynx spider" is none."""


@dataclass(frozen=True)
class RegionalList:
    """What lives somewhere.

    Attributes:
        weights: label, kind, scientific name, synonym or common name → how many times more often it is met
            here than where the model learnt; 0 rules it out. A taxon stands for all below it.
        above: name → scientific names of taxa above it, for names that the model's tree does not have.
    """

    weights: Mapping[str, float]
    above: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_region(path: Path | str) -> RegionalList:
    """A CSV with the column `name`, and if you like `weight` (else 1 each) and ranks (`genus`, `family`, …).

    Raises:
        DataError: no such file or column, a name twice, or a weight that is no number from 0 on; the line
            is named.
    """
    path = Path(path)
    table = read_table(path)
    if not table.height or "name" not in table.columns:
        raise DataError(f"The list {path} needs a column 'name', and rows.")
    texts = table["weight"].fill_null("1") if "weight" in table.columns else pl.Series(["1"] * table.height)
    numbers = read_numbers(texts)
    weights: dict[str, float] = {}
    above: dict[str, tuple[str, ...]] = {}
    for row, text, weight in zip(table.iter_rows(named=True), texts, numbers, strict=True):
        name = row["name"]
        if not name or name in weights or weight is None or not 0 <= weight < float("inf"):
            raise DataError(
                f"{row['_place']}: a name that was not named before and a weight from 0 on are needed, not "
                f"'{name or ''}' and '{text}'."
            )
        weights[name] = weight
        above[name] = tuple(row[rank] for rank in RANKS if row.get(rank))
    return RegionalList(weights, above)


def label_weights(
    taxonomy: Taxonomy, labels: tuple[str, ...], region: RegionalList, unlisted: float = UNLISTED
) -> RegionWeights:
    """The weight of each label: that of the finest name that the list has for it.

    That is its own name; else, of a label that stops above listed taxa, the largest weight of those (the
    label "deer" is met where one kind of deer is); else the finest taxon above it; else its kind. What lies
    above a listed name is known from the tree, from the genus in a scientific name and from the list's own
    ranks. Labels of animals that nothing names are `unlisted`; others (blank, vehicle, people) keep 1.

    Args:
        taxonomy: has the labels.
        labels: of the predictions.
        region: the list; names that say nothing of any label are passed over.
        unlisted: of animals that are not named; 0 rules them out.

    Raises:
        DataError: nothing of the list says anything of a label, two names of one taxon have different
            weights, or nothing is left possible.
    """
    nodes = {name: _node(taxonomy, name) for name in region.weights}
    by_node = _weigh_nodes(region.weights, nodes)
    lines = {name: _line(taxonomy, name, node, region.above.get(name, ())) for name, node in nodes.items()}
    reached = {node for label in labels for node in _path(taxonomy, label)}
    own = {_own(taxonomy, label) for label in labels}
    unknown = [name for name, node in nodes.items() if node not in reached and not lines[name] & own]
    if len(unknown) == len(nodes):
        raise DataError(
            f"None of the list's names is known to the model: {', '.join(unknown[:5])}. It knows "
            f"{', '.join(labels[:10])}."
        )
    below: dict[str, float] = {}
    for name, weight in region.weights.items():
        below |= {taxon: max(weight, below.get(taxon, 0.0)) for taxon in lines[name]}
    named = {label: _find_named(taxonomy, label, by_node, below) for label in labels}
    not_named = [label for label in labels if named[label] is None and taxonomy.kind(label) == "animal"]
    weights = {label: 1.0 if weight is None else weight for label, weight in named.items()}
    weights |= dict.fromkeys(not_named, unlisted)
    if not any(weights.values()):
        raise DataError("The list rules out every label of the model.")
    return RegionWeights(
        weights=weights, unlisted=unlisted, not_named=tuple(not_named), unknown=tuple(sorted(unknown))
    )


def _own(taxonomy: Taxonomy, label: str) -> str:
    return taxonomy.labels[label].taxon or label


def _path(taxonomy: Taxonomy, label: str) -> tuple[str, ...]:
    """Everything that a label is, broader before finer: its kind, its taxa, itself."""
    return (taxonomy.kind(label), *taxonomy.path(label), label)


def _find_named(
    taxonomy: Taxonomy, label: str, by_node: Mapping[str, float], below: Mapping[str, float]
) -> float | None:
    """The weight that a list has for a label, see `label_weights`; None where it has none.

    Args:
        taxonomy: has the label.
        label: of the predictions.
        by_node: node of the tree → weight.
        below: taxon → the largest weight of a listed name at or below it.
    """
    own = _own(taxonomy, label)
    if own in by_node:
        return by_node[own]
    if below.get(own):
        return below[own]
    above = [by_node[node] for node in _path(taxonomy, label) if node in by_node]
    return above[-1] if above else None


def _node(taxonomy: Taxonomy, name: str) -> str | None:
    """The kind, taxon, or label without one that a listed name means; None if the tree does not have it."""
    kind = default_kind(name) or next((kind for kind in KINDS if kind == plain(name)), None)
    if kind in {label.kind for label in taxonomy.labels.values()}:
        return kind
    try:
        taxon = taxonomy.for_labels([name]).labels[name].taxon
    except DataError:
        return None
    if taxon is not None:
        return taxon
    return next((label for label in taxonomy.labels if plain(label) == plain(name)), None)


def _weigh_nodes(weights: Mapping[str, float], nodes: Mapping[str, str | None]) -> dict[str, float]:
    """Node → weight.

    Raises:
        DataError: two names of one node have different weights.
    """
    first: dict[str, str] = {}
    for name, node in nodes.items():
        if node is not None and weights[first.setdefault(node, name)] != weights[name]:
            raise DataError(
                f"The list gives two weights to {node}: {weights[first[node]]:g} as '{first[node]}' and "
                f"{weights[name]:g} as '{name}'. Leave one of them out."
            )
    return {node: weights[name] for node, name in first.items()}


def _line(taxonomy: Taxonomy, name: str, node: str | None, above: Sequence[str]) -> frozenset[str]:
    """The taxa of the tree that a listed name is, or lies below, as far as it is known."""
    known = [name, *above] if node is None else [node, *above]
    if node is None and (binomial := _BINOMIAL.match(name.replace("_", " "))):
        known.append(binomial["genus"])
    names: set[str] = set()
    for taxon in map(scientific, known):
        if taxon in taxonomy.taxa:
            path = taxonomy.path(taxon)
            names.update(path[: path.index(taxon) + 1])
    return frozenset(names)


def weigh_by_region(
    predictions: Predictions, region: RegionalList, unlisted: float = UNLISTED
) -> Predictions:
    """Probabilities as they are where other taxa are common: multiplied by weights, and scaled to sum to 1.

    Bayes' rule for a change of the prior alone (Saerens et al. 2002): a weight says how many times more
    often a taxon is met here than where the model learnt, beside the others. The roll-up's thresholds stay;
    what they promise was measured without the list. `facts.region` keeps the weights, the labels that are
    not named, and the names of the list that say nothing of any label.

    Args:
        predictions: of a model of taxa.
        region: see `label_weights`.
        unlisted: see `label_weights`.

    Raises:
        UsageError: the model is not one of taxa, or says several labels, or `unlisted` is negative, or the
            predictions were weighed before (the weights would multiply).
        DataError: see `label_weights`.
    """
    tree = predictions.facts.taxonomy
    if tree is None or predictions.task != "single-label":
        raise UsageError("A regional list needs predictions of a model of taxa (see docs/taxonomy.md).")
    if predictions.facts.region is not None:
        raise UsageError("These predictions were weighed by a list already; weigh those it was applied to.")
    if unlisted < 0:
        raise UsageError(f"The weight of what is not listed cannot be negative ({unlisted}).")
    weighed = label_weights(Taxonomy.from_json(tree.as_json()), predictions.labels, region, unlisted)
    ordered = np.array([weighed.weights[label] for label in predictions.labels])
    values = np.maximum(predictions.probabilities(), _LEAST) * ordered
    values /= values.sum(axis=1, keepdims=True)
    table = predictions.table.with_columns(probability_columns(predictions.labels, values))
    calibration = predictions.facts.calibration
    if calibration:
        calibration = f"{calibration}; then weighed by a regional list, not measured with it"
    facts = replace(predictions.facts, region=weighed, calibration=calibration)
    return replace(predictions, table=table, facts=facts)
