"""How good a model of taxa is at each rank, at each node, and when it may stop early."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from pydantic import Field

from trapline.arguments import Output, checked
from trapline.catalog import Catalog
from trapline.evaluation.answer_curve import CurvePoint, trace_curve
from trapline.evaluation.node_figures import NodeResult, figures_by_node
from trapline.evaluation.rank_figures import RankResult, TaxonResult, figures_by_rank
from trapline.evaluation.rank_tables import (
    write_answers,
    write_confusion,
    write_node_tables,
    write_rank_table,
    write_taxa,
)
from trapline.evaluation.rank_truth import truth_by_rank
from trapline.evaluation.result_part import ResultPart
from trapline.evaluation.rolled_up import (
    JudgedObservation,
    RollUpResult,
    Way,
    judge_rolled_up,
    list_observations,
)
from trapline.prediction import Predictions, Ranks
from trapline.taxonomy import walk_down


class RankEvaluation(ResultPart):
    """Everything by rank.

    Attributes:
        media: labelled, predicted, of labels that the tree knows or that count as wrong.
        unknown_labels: media whose label the tree does not know.
        unknown_are_wrong: whether these count, as wrong at every rank; else they are in no figure.
        ranks: the kinds, if the model tells several apart, then the ranks, broadest first.
        taxa: every taxon of the tree, at its own rank.
        nodes: the decisions, broader before finer.
        rollup: the rolled-up answers.
        curve: what the card's other choices would answer, by the share of media.
        answers: one a media; for tables, not saved in the JSON.
    """

    media: int
    unknown_labels: int
    unknown_are_wrong: bool
    ranks: tuple[RankResult, ...]
    taxa: tuple[TaxonResult, ...]
    nodes: tuple[NodeResult, ...]
    rollup: RollUpResult
    curve: tuple[CurvePoint, ...] = ()
    answers: tuple[JudgedObservation, ...] = Field((), exclude=True, repr=False)

    def curve_by_level(self) -> dict[str, list[CurvePoint]]:
        """Rank, the finest first → its points by rising promise; of ranks answered alike the finest."""
        lines = {
            level: [point for point in self.curve if point.level == level]
            for level in dict.fromkeys(point.level for point in self.curve if point.level != "kind")
        }
        shares = {level: [point.answered for point in line] for level, line in lines.items()}
        order = list(lines)
        alike = {level for level, finer in pairwise(order) if shares[level] == shares[finer]}
        return {level: lines[level] for level in reversed(order) if level not in alike}

    @checked
    def save_tables(self, folder: Output) -> list[Path]:
        """Write the tables by rank, by taxon, by node and of the answers, as CSV.

        They are `ranks.csv`, `nodes.csv` (the published table of each node: class, precision, recall, F1,
        support), `node_figures.csv`, `answers.csv` (the published list: id, taxonomic level, prediction,
        truth), `taxa.csv` (precision, recall, F1 and support of each class of each level) and a
        `confusion_<head>.csv` a node.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return [
            write_rank_table(folder / "ranks.csv", self.ranks),
            *write_node_tables(folder, self.nodes),
            write_answers(folder / "answers.csv", self.answers),
            write_taxa(folder / "taxa.csv", self.taxa),
            *(write_confusion(folder, node) for node in self.nodes),
        ]


def evaluate_ranks(
    catalog: Catalog,
    predictions: Predictions,
    *,
    groups: Sequence[str | None],
    unknown_are_wrong: bool,
    way: Way,
    samples: int,
    seed: int,
) -> RankEvaluation | None:
    """Judge predictions of a model of taxa by rank; None for other models.

    Args:
        catalog: the truth; labels as the tree knows them, coarse ones among them.
        predictions: one row a media.
        groups: what the intervals are over, one for each media of the catalog.
        unknown_are_wrong: media of labels that the tree does not know count at every rank, and all that is
            said of them but their kind is wrong; else they are left out.
        way: `rolled-up` answers stop where the evidence does; `greedy` is the published descent, at each node
            to the most probable child and always to a leaf.
        samples: as of `metrics.estimate`, for the intervals.
        seed: likewise.
    """
    ranks = Ranks.of_facts(predictions.labels, predictions.facts)
    if ranks is None:
        return None
    hierarchy = ranks.hierarchy
    classes = hierarchy.classes
    truth = truth_by_rank(catalog, predictions, classes, groups, unknown_are_wrong, samples, seed)
    if not truth.known.any():
        return None
    if way == "greedy":
        answers, thresholds, promise = walk_down(truth.probabilities, hierarchy), None, None
    else:
        answers, thresholds = ranks.answers(truth.probabilities), ranks.thresholds
        promise = ranks.promise
    by_rank, taxa = figures_by_rank(truth, classes)
    return RankEvaluation(
        media=len(truth.labels),
        unknown_labels=truth.unknown,
        unknown_are_wrong=unknown_are_wrong,
        ranks=by_rank,
        taxa=taxa,
        nodes=figures_by_node(truth.of_the_tree, hierarchy),
        rollup=judge_rolled_up(truth, classes.taxonomy, answers, thresholds, promise, way),
        curve=() if way == "greedy" else trace_curve(truth, ranks),
        answers=list_observations(truth, answers),
    )
