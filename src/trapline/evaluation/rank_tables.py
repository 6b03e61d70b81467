"""The figures by rank and by node and the answers as CSV tables, the published ones among them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from trapline.catalog import harmless_cell
from trapline.evaluation.node_figures import NodeResult
from trapline.evaluation.rank_figures import RankResult, TaxonResult
from trapline.evaluation.rolled_up import JudgedObservation
from trapline.models import Interval
from trapline.taxonomy import RANKS

RANKS_HEADER = ("rank", "media", "without_taxon", "coarser", "taxa", "metric", "value", "low", "high")
"""The columns of `ranks.csv`."""

TAXA_HEADER = ("level", "class", "precision", "recall", "f1", "support")
"""The columns of `taxa.csv`: the published figures of each class and level, of whole paths."""

CHILDREN_HEADER = ("node", "class", "precision", "recall", "f1", "support")
"""The columns of `nodes.csv`, the published table."""

NODES_HEADER = (
    "node",
    "media",
    *("accuracy", "accuracy_low", "accuracy_high"),
    *("balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high"),
)
"""The columns of `node_figures.csv`."""

ANSWERS_HEADER = ("id", "taxonomic_level", "prediction", "truth", "probability")
"""The columns of `answers.csv`, the published list and the probability."""


def write_rank_table(path: Path, ranks: Sequence[RankResult]) -> Path:
    """`ranks.csv`: a row for each figure of each rank."""
    rows = [
        [one.rank, one.media, one.without_taxon, one.coarser, one.taxa, name, *_cells(interval)]
        for one in ranks
        for name, interval in one.metrics.items()
    ]
    return _write(path, RANKS_HEADER, rows)


def write_taxa(path: Path, taxa: Sequence[TaxonResult]) -> Path:
    """`taxa.csv`: a row for each taxon, broader levels first, blanks and the like before them."""
    levels = ("kind", *RANKS)
    order = sorted(taxa, key=lambda one: levels.index(one.rank) if one.rank in levels else 0)
    rows = [
        [one.rank, one.name, *map(_cell, (one.precision, one.recall, one.f1)), one.media] for one in order
    ]
    return _write(path, TAXA_HEADER, rows)


def write_node_tables(folder: Path, nodes: Sequence[NodeResult]) -> list[Path]:
    """`nodes.csv`: a row for each child of each node; `node_figures.csv`: a row for each node."""
    children = [
        [node.head, child.name, *map(_cell, (child.precision, child.recall, child.f1)), child.support]
        for node in nodes
        for child in node.children
    ]
    figures = [
        [node.head, node.media, *_cells(node.accuracy), *_cells(node.balanced_accuracy)] for node in nodes
    ]
    return [
        _write(folder / "nodes.csv", CHILDREN_HEADER, children),
        _write(folder / "node_figures.csv", NODES_HEADER, figures),
    ]


def write_answers(path: Path, answers: Sequence[JudgedObservation]) -> Path:
    """`answers.csv`: a row for each media."""
    rows = [
        [one.media_id, one.level or "", one.prediction or "", one.truth, _cell(one.probability)]
        for one in answers
    ]
    return _write(path, ANSWERS_HEADER, rows)


def write_confusion(folder: Path, node: NodeResult) -> Path:
    """`confusion_<head>.csv`: a row for each true child, a column for each child that was said."""
    names = [child.name for child in node.children]
    rows = [[name, *row] for name, row in zip(names, node.confusion, strict=True)]
    return _write(folder / f"confusion_{node.head}.csv", ["truth", *names], rows)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _cells(interval: Interval | None) -> list[str]:
    if interval is None:
        return ["", "", ""]
    return [_cell(interval.value), _cell(interval.low), _cell(interval.high)]


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """A table for people: names that a spreadsheet would run are made harmless."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in (header, *rows):
            writer.writerow([harmless_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return path
