"""What lives where the photos were taken, as weights on the probabilities of a model of taxa."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from trapline.errors import DataError, UsageError
from trapline.prediction.table import Predictions
from trapline.taxonomy import Taxonomy

UNLISTED = 0.01
"""The weight of taxa that a list does not name: a hundred times rarer here than where the model learnt."""

_LEAST = 1e-9  # of a probability, so that a list can overrule a network that is too sure


def read_region(path: Path | str) -> dict[str, float]:
    """Names and weights of a CSV with the columns `name` and, if there is one, `weight` (else 1 each).

    Raises:
        DataError: no such file or column, a name twice, or a weight that is no number from 0 on; the line
            is named.
    """
    path = Path(path)
    try:
        table = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
        rows = [(table.line_num, row) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The list {path} cannot be read: {error}") from error
    if not rows or "name" not in rows[0][1]:
        raise DataError(f"The list {path} needs a column 'name', and rows.")
    found: dict[str, float] = {}
    for line, row in rows:
        name, text = (row["name"] or "").strip(), (row.get("weight") or "1").strip()
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if not name or name in found or not 0 <= weight < float("inf"):
            raise DataError(
                f"{path.name} line {line}: a name that was not named before and a weight from 0 on are "
                f"needed, not '{name}' and '{text}'."
            )
        found[name] = weight
    return found


def label_weights(
    taxonomy: Taxonomy, labels: tuple[str, ...], region: Mapping[str, float], unlisted: float = UNLISTED
) -> dict[str, float]:
    """The weight of each label: that of the finest taxon on its path that the list names.

    Labels without a taxon (blank, vehicle) and people keep the weight 1 unless they are named.

    Args:
        taxonomy: has the labels.
        labels: of the predictions.
        region: label, scientific name, synonym or common name → weight; a taxon stands for all below it.
        unlisted: of animals that are not named; 0 rules them out.

    Raises:
        DataError: none of the names is in the tree (others are passed over), or nothing is left possible.
    """
    known = {name: _node(taxonomy, name) for name in region}
    by_node = {node: region[name] for name, node in known.items() if node is not None}
    if not by_node:
        raise DataError(
            f"None of the list's names is known to the model: {', '.join(list(region)[:5])}. It knows "
            f"{', '.join(labels[:10])}."
        )
    weights = {}
    for label in labels:
        named = [by_node[node] for node in (*taxonomy.path(label), label) if node in by_node]
        others = unlisted if taxonomy.kind(label) == "animal" else 1.0
        weights[label] = named[-1] if named else others
    if not any(weights.values()):
        raise DataError("The list rules out every label of the model.")
    return weights


def _node(taxonomy: Taxonomy, name: str) -> str | None:
    """The taxon (or label without one) that a name of a list means; None if the tree does not have it."""
    try:
        return taxonomy.for_labels([name]).labels[name].taxon or name
    except DataError:
        return None


def weigh_by_region(
    predictions: Predictions, region: Mapping[str, float], unlisted: float = UNLISTED
) -> Predictions:
    """Probabilities as they are where other taxa are common: multiplied by weights, and scaled to sum to 1.

    Bayes' rule for a change of the prior alone (Saerens et al. 2002): a weight says how many times more
    often a taxon is met here than where the model learnt, beside the others. The roll-up's thresholds stay;
    what they promise was measured without the list. `info["region"]` keeps the weights, and the names of the
    list that the model does not know.

    Args:
        predictions: of a model of taxa.
        region: see `label_weights`.
        unlisted: see `label_weights`.

    Raises:
        UsageError: the model is not one of taxa, or says several labels, or `unlisted` is negative, or the
            predictions were weighed before (the weights would multiply).
        DataError: see `label_weights`.
    """
    taxonomy = predictions.info.get("taxonomy")
    if not taxonomy or predictions.task != "single-label":
        raise UsageError("A regional list needs predictions of a model of taxa (see docs/taxonomy.md).")
    if "region" in predictions.info:
        raise UsageError("These predictions were weighed by a list already; weigh those it was applied to.")
    if unlisted < 0:
        raise UsageError(f"The weight of what is not listed cannot be negative ({unlisted}).")
    tree = Taxonomy.from_json(taxonomy)
    weights = label_weights(tree, predictions.labels, region, unlisted)
    ordered = np.array([weights[label] for label in predictions.labels])
    values = np.maximum(predictions.probabilities(), _LEAST) * ordered
    values /= values.sum(axis=1, keepdims=True)
    numbers = pl.from_numpy(values.astype(np.float32), list(predictions.labels))
    table = predictions.table.with_columns(
        numbers.select(pl.all().fill_nan(None)).get_column(label) for label in predictions.labels
    )
    unknown = sorted(name for name in region if _node(tree, name) is None)
    info = {**predictions.info, "region": {"weights": weights, "unlisted": unlisted, "unknown": unknown}}
    if info.get("calibration"):
        info["calibration"] = f"{info['calibration']}; then weighed by a regional list, not measured with it"
    return replace(predictions, table=table, info=info)
