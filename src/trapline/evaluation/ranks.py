"""How good a model of taxa is at each rank, at each node, and when it may stop early.

Figures of a rank are over the animals whose label reaches it, and unconditional: whatever was said of a media
at broader ranks, a wrong taxon, one that stops above the rank and no animal at all are wrong.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from trapline import metrics
from trapline.catalog import Catalog
from trapline.metrics.intervals import draw_weights
from trapline.models import Interval
from trapline.models.card import as_intervals
from trapline.prediction import Predictions, Ranks
from trapline.taxonomy import KINDS, RANKS, Taxonomy, group_at_rank
from trapline.taxonomy.classes import Classes, Hierarchy, hierarchy_of
from trapline.taxonomy.names import Rank
from trapline.taxonomy.rollup import LEVELS, RolledUp, verdict

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Figures = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None], dict[str, Floats]]

RANKS_HEADER = ("rank", "media", "without_taxon", "coarser", "taxa", "metric", "value", "low", "high")
"""The columns of `ranks.csv`."""

NODES_HEADER = (
    "node",
    "media",
    *("accuracy", "accuracy_low", "accuracy_high"),
    *("balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high"),
)
"""The columns of `node_figures.csv`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RankResult(_Part):
    """One rank; or the kinds (animal, human, vehicle, blank, other), which every label has.

    Attributes:
        rank: its name, or `kind`.
        media: of animals whose label has a taxon of the rank, and those of labels that are not known but
            count as wrong; of the kinds all whose label is known.
        without_taxon: media left out because nothing of that rank is in them: blanks, people, vehicles, and
            labels whose path skips the rank.
        coarser: media left out because their label stops above the rank.
        taxa: how many taxa of the rank, or kinds, there are to tell apart.
        metrics: accuracy, balanced accuracy, macro F1, log loss with 95 % intervals.
    """

    rank: str
    media: int
    without_taxon: int
    coarser: int
    taxa: int
    metrics: dict[str, Interval]


class TaxonResult(_Part):
    """One taxon, or a class without one, among those of its rank; None where a figure is undefined.

    Attributes:
        name: of the taxon.
        media: that are of it.
        precision: of the media that are said to be of it at its rank, blanks and all among them, unless their
            label stops above the rank.
        recall: share of its media that are.
    """

    name: str
    media: int
    precision: float | None
    recall: float | None


class ChildResult(_Part):
    """One child of a node; None where a figure is undefined (no media, or never said)."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class NodeResult(_Part):
    """One decision, judged on the media that truly lie below its node.

    Attributes:
        head: the name of the decision.
        parent: the node; None for the root.
        media: that lie below it.
        accuracy: share of them that go to the right child, with its interval; None without media.
        balanced_accuracy: mean over the children of the share recognised, with its interval.
        children: the published table.
        confusion: media of true child (row) that went to child (column).
    """

    head: str
    parent: str | None
    media: int
    accuracy: Interval | None
    balanced_accuracy: Interval | None
    children: tuple[ChildResult, ...]
    confusion: tuple[tuple[int, ...], ...]


class AnsweredAt(_Part):
    """The answers that stop at one level.

    Attributes:
        level: a rank, or `kind`.
        threshold: the least probability of an answer; None where a majority answers.
        exact: answers as fine as the label.
        right: answers that are the label's taxon or lie above it, the exact ones among them.
        wrong: that lie elsewhere.
        unknown: that cannot be judged: they lie below what the label says, or name a kind where the label is
            not known.
        precision: right / (right + wrong).
    """

    level: str
    threshold: float | None
    exact: int
    right: int
    wrong: int
    unknown: int
    precision: Interval | None


class RollUpResult(_Part):
    """The rolled-up answers.

    Attributes:
        promise: the precision promised at each rank; None where nothing was promised.
        exact: answers as fine as the label.
        coarse: right answers above the label's taxon.
        wrong: answers that lie elsewhere.
        unknown: answers that cannot be judged.
        unanswered: media without an answer.
        precision: right / (right + wrong), of the answers that name a taxon; those that name a kind (animal,
            blank, …) are the level `kind`.
        hierarchical: precision, recall and F1 over the taxa on the paths, the kind among them (Kiritchenko
            et al. 2006; Silla & Freitas 2011).
        levels: the answers by the level at which they stop, finest first.
    """

    promise: float | None
    exact: int
    coarse: int
    wrong: int
    unknown: int
    unanswered: int
    precision: Interval | None
    hierarchical: dict[str, Interval]
    levels: tuple[AnsweredAt, ...]


class Said(_Part):
    """One media: what was said of it at the level of its answer, and what its label is."""

    media_id: str
    level: str | None
    prediction: str | None
    probability: float | None
    truth: str


class RankEvaluation(_Part):
    """Everything by rank.

    Attributes:
        media: labelled, predicted, of labels that the tree knows or that count as wrong.
        unknown_labels: media whose label the tree does not know.
        unknown_are_wrong: whether these count, as wrong at every rank; else they are in no figure.
        ranks: the kinds, if the model tells several apart, then the ranks, broadest first.
        taxa: every taxon of the tree, at its own rank.
        nodes: the decisions, broader before finer.
        rollup: the rolled-up answers.
        answers: one a media; for tables, not saved in the JSON.
    """

    media: int
    unknown_labels: int
    unknown_are_wrong: bool
    ranks: tuple[RankResult, ...]
    taxa: tuple[TaxonResult, ...]
    nodes: tuple[NodeResult, ...]
    rollup: RollUpResult
    answers: tuple[Said, ...] = Field((), exclude=True, repr=False)

    def save_tables(self, folder: Path | str) -> list[Path]:
        """Write `ranks.csv`, `nodes.csv`, `node_figures.csv`, a `confusion_<head>.csv` a node, `answers.csv`.

        `nodes.csv` is the published table (node, class, precision, recall, F1, support), `answers.csv` the
        published list (id, taxonomic level, prediction, truth).
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        figures = [
            [one.rank, one.media, one.without_taxon, one.coarser, one.taxa, name, *_cells(interval)]
            for one in self.ranks
            for name, interval in one.metrics.items()
        ]
        nodes = [
            [node.head, child.name, *map(_cell, (child.precision, child.recall, child.f1)), child.support]
            for node in self.nodes
            for child in node.children
        ]
        of_nodes = [
            [node.head, node.media, *_cells(node.accuracy), *_cells(node.balanced_accuracy)]
            for node in self.nodes
        ]
        said = [
            [one.media_id, one.level or "", one.prediction or "", one.truth, _cell(one.probability)]
            for one in self.answers
        ]
        written = [
            _write(folder / "ranks.csv", RANKS_HEADER, figures),
            _write(folder / "nodes.csv", ["node", "class", "precision", "recall", "f1", "support"], nodes),
            _write(folder / "node_figures.csv", NODES_HEADER, of_nodes),
            _write(
                folder / "answers.csv",
                ["id", "taxonomic_level", "prediction", "truth", "probability"],
                said,
            ),
        ]
        for node in self.nodes:
            names = [child.name for child in node.children]
            rows = [[name, *row] for name, row in zip(names, node.confusion, strict=True)]
            written.append(_write(folder / f"confusion_{node.head}.csv", ["truth", *names], rows))
        return written


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _cells(interval: Interval | None) -> list[str]:
    if interval is None:
        return ["", "", ""]
    return [_cell(interval.value), _cell(interval.low), _cell(interval.high)]


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class _Truth:
    """Media with one label and probabilities.

    Attributes:
        known: which labels the tree knows; the others count as wrong.
        unknown: how many are not known, whether they count or not.
    """

    media: list[str]
    labels: list[str]
    known: Flags
    probabilities: Floats
    codes: Codes
    unknown: int

    @property
    def of_the_tree(self) -> _Truth:
        """Those whose label the tree knows."""
        rows = np.flatnonzero(self.known)
        media, labels = ([names[row] for row in rows] for names in (self.media, self.labels))
        return _Truth(media, labels, self.known[rows], self.probabilities[rows], self.codes[rows], 0)


def evaluate_ranks(
    catalog: Catalog,
    predictions: Predictions,
    *,
    part: str | None = None,
    groups: Sequence[str | None] | None = None,
    unknown_are_wrong: bool = False,
    samples: int = 1000,
    seed: int = 42,
) -> RankEvaluation | None:
    """Judge predictions of a model of taxa by rank; None for other models.

    Args:
        catalog: the truth; labels as the tree knows them, coarse ones among them.
        predictions: one row a media.
        part: of the split; None for all media.
        groups: what the intervals resample, one for each media of the part; None for locations.
        unknown_are_wrong: media of labels that the tree does not know count at every rank, and all that is
            said of them but their kind is wrong; else they are left out.
        samples: resamples behind each interval.
        seed: of the resamples.
    """
    ranks = Ranks.of_info(predictions.labels, predictions.info)
    if ranks is None or predictions.level != "media":
        return None
    classes = _classes(ranks.taxonomy, predictions)
    chosen = catalog if part is None else catalog.part(part)
    truth = _truth(chosen, predictions, classes, groups, unknown_are_wrong)
    if not truth.known.any():
        return None
    rolled = ranks.answers(truth.probabilities)
    info = predictions.info["taxonomy"]
    hierarchy = hierarchy_of(classes, info.get("head_ranks") or RANKS)
    promise = info.get("rollup", {}).get("promise")
    by_rank, taxa = _by_rank(truth, classes, samples, seed)
    return RankEvaluation(
        media=len(truth.labels),
        unknown_labels=truth.unknown,
        unknown_are_wrong=unknown_are_wrong,
        ranks=by_rank,
        taxa=taxa,
        nodes=_by_node(truth.of_the_tree, hierarchy, samples, seed),
        rollup=_rolled_up(truth, classes.taxonomy, rolled, ranks.thresholds, promise, samples, seed),
        answers=tuple(
            Said(
                media_id=media,
                level=rolled.levels[row],
                prediction=rolled.answers[row],
                probability=None if rolled.answers[row] is None else float(rolled.probabilities[row]),
                truth=truth.labels[row],
            )
            for row, media in enumerate(truth.media)
        ),
    )


def _classes(taxonomy: Taxonomy, predictions: Predictions) -> Classes:
    info = predictions.info["taxonomy"]
    of_label = info.get("classes") or {name: name for name in predictions.labels}
    return Classes(taxonomy, predictions.labels, of_label, tuple(info.get("outside", ())))


def _truth(
    catalog: Catalog,
    predictions: Predictions,
    classes: Classes,
    groups: Sequence[str | None] | None,
    unknown_are_wrong: bool,
) -> _Truth:
    place = {media: row for row, media in enumerate(predictions.table["media_id"])}
    values = predictions.probabilities()
    there: Flags = np.asarray(np.isfinite(values).all(axis=1))
    over = list(groups) if groups is not None else catalog.table["location_id"].to_list()
    rows, media, labels, keys, unknown = [], [], [], [], 0
    for number, (name, named) in enumerate(catalog.table.select("media_id", "labels").iter_rows()):
        row = place.get(name)
        if row is None or not there[row] or named is None or len(named) != 1:
            continue
        if named[0] in classes.outside:
            continue
        if named[0] not in classes.of_label:
            unknown += 1
            if not unknown_are_wrong:
                continue
        rows.append(row)
        media.append(name)
        labels.append(named[0])
        keys.append(str(over[number]) if over[number] is not None else "")
    codes = np.unique(np.array(keys, str), return_inverse=True)[1].astype(np.int64)
    known = np.array([label in classes.of_label for label in labels], bool)
    return _Truth(media, labels, known, values[rows], codes, unknown)


def _by_rank(
    truth: _Truth, classes: Classes, samples: int, seed: int
) -> tuple[tuple[RankResult, ...], tuple[TaxonResult, ...]]:
    tree = classes.taxonomy
    present = {rank for name in classes.names for rank in tree.lineage(name)}
    kinds = _kinds(truth.of_the_tree, tree, classes.names, samples, seed)
    found = [] if kinds is None else [kinds]
    taxa: dict[str, TaxonResult] = {}
    for rank in (rank for rank in RANKS if rank in present):
        groups = [group_at_rank(tree, name, rank) for name in classes.names]
        names = list(dict.fromkeys(groups))
        sums = truth.probabilities @ _membership(groups, [*names, ""])  # nothing is ever said to be unknown
        at_rank = {label: _at_rank(classes, label, rank, names) for label in dict.fromkeys(truth.labels)}
        places = np.array([at_rank[label].place for label in truth.labels])
        judged = places >= 0
        taxa = _taxa(names, places[judged], sums[judged].argmax(axis=1)) | taxa  # counts at its own rank
        status = np.array([at_rank[label].status for label in truth.labels])
        counted = status == "counted"
        if not counted.any():
            continue
        found.append(
            RankResult(
                rank=rank,
                media=int(counted.sum()),
                without_taxon=int((status == "without").sum()),
                coarser=int((status == "coarser").sum()),
                taxa=sum(name in tree.taxa and tree.taxa[name].rank == rank for name in names),
                metrics=_measure(
                    places[counted], sums[counted], truth.codes[counted], samples, seed, _figures
                ),
            )
        )
    return tuple(found), tuple(taxa.values())


@dataclass(frozen=True)
class _AtRank:
    """What a label is at a rank.

    Attributes:
        place: of its group among the names; behind them if it is not known, -1 if it may be several.
        status: `counted` in the figures of the rank, left out because it is `coarser`, or `without` a taxon.
    """

    place: int
    status: str


def _at_rank(classes: Classes, label: str, rank: Rank, names: Sequence[str]) -> _AtRank:
    if label not in classes.of_label:
        return _AtRank(len(names), "counted")
    tree, own = classes.taxonomy, classes.of_label[label]
    finest, animal = tree.rank(label), tree.kind(label) == "animal"
    above = finest is not None and RANKS.index(finest) < RANKS.index(rank)
    place = -1 if own is None and above else names.index(group_at_rank(tree, own or label, rank))
    if animal and rank in tree.lineage(label):
        return _AtRank(place, "counted")
    return _AtRank(place, "coarser" if animal and above else "without")


def _kinds(
    truth: _Truth, tree: Taxonomy, classes: Sequence[str], samples: int, seed: int
) -> RankResult | None:
    """Animal, human, vehicle, blank or other, over all media; None where the model knows one kind only."""
    said, true = ([tree.kind(name) for name in names] for names in (classes, truth.labels))
    if len(set(said)) < 2:
        return None
    names = list(dict.fromkeys((*said, *true)))
    places = np.array([names.index(kind) for kind in true])
    sums = truth.probabilities @ _membership(said, names)
    return RankResult(
        rank="kind",
        media=len(true),
        without_taxon=0,
        coarser=0,
        taxa=len(set(said)),
        metrics=_measure(places, sums, truth.codes, samples, seed, _figures),
    )


def _membership(groups: Sequence[str], names: Sequence[str]) -> Floats:
    """0/1 [groups, names]: which column of probabilities adds to which name."""
    return np.array([[float(group == name) for name in names] for group in groups])


def _measure(
    true: Codes, sums: Floats, codes: Codes, samples: int, seed: int, figures: Figures
) -> dict[str, Interval]:
    return as_intervals(metrics.bootstrap_all(true, sums, codes, samples, seed, metrics_fn=figures))


def _taxa(names: Sequence[str], true: Codes, said: Codes) -> dict[str, TaxonResult]:
    found = {}
    for place, name in enumerate(names):
        there, answered = true == place, said == place
        both = int((there & answered).sum())
        found[name] = TaxonResult(
            name=name,
            media=int(there.sum()),
            precision=both / int(answered.sum()) if answered.any() else None,
            recall=both / int(there.sum()) if there.any() else None,
        )
    return found


def _hits(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None
) -> dict[str, Floats]:
    return {
        "accuracy": metrics.accuracy(truth, probabilities, weights),
        "balanced_accuracy": metrics.balanced_accuracy(truth, probabilities, weights),
    }


def _figures(
    truth: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None
) -> dict[str, Floats]:
    return {
        **_hits(truth, probabilities, weights),
        "macro_f1": metrics.macro_f1(truth, probabilities, weights),
        "log_loss": metrics.log_loss(truth, probabilities, weights),
    }


def _by_node(truth: _Truth, hierarchy: Hierarchy, samples: int, seed: int) -> tuple[NodeResult, ...]:
    found = []
    for head in hierarchy.heads:
        below = np.array(
            [
                [float(child in hierarchy.paths[name]) for child in head.children]
                for name in hierarchy.classes.names
            ]
        )
        places = hierarchy.truth_at(head, truth.labels)
        rows = np.flatnonzero(places >= 0)
        sums = truth.probabilities[rows] @ below
        figures = _measure(places[rows], sums, truth.codes[rows], samples, seed, _hits) if len(rows) else {}
        size = len(head.children)
        cells = np.asarray(places[rows] * size + sums.argmax(axis=1))
        table = np.bincount(cells, minlength=size * size).reshape(size, size)
        found.append(_node(head.name, head.parent, head.children, table, figures))
    return tuple(found)


def _node(
    head: str, parent: str | None, names: Sequence[str], table: Codes, figures: dict[str, Interval]
) -> NodeResult:
    right, support, said = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    return NodeResult(
        head=head,
        parent=parent,
        media=int(table.sum()),
        accuracy=figures.get("accuracy"),
        balanced_accuracy=figures.get("balanced_accuracy"),
        children=tuple(
            ChildResult(
                name=name,
                precision=float(right[k] / said[k]) if said[k] else None,
                recall=float(right[k] / support[k]) if support[k] else None,
                f1=float(2 * right[k] / (said[k] + support[k])) if said[k] + support[k] else None,
                support=int(support[k]),
            )
            for k, name in enumerate(names)
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in table),
    )


def _rolled_up(
    truth: _Truth,
    tree: Taxonomy,
    rolled: RolledUp,
    thresholds: dict[str, float] | None,
    promise: float | None,
    samples: int,
    seed: int,
) -> RollUpResult:
    pairs = list(zip(rolled.answers.tolist(), truth.labels, strict=True))
    verdicts = {pair: _judge(tree, *pair) for pair in set(pairs)}
    said = np.array([verdicts[pair] for pair in pairs])
    right, wrong = said == "right", said == "wrong"
    finest = {pair: _as_fine(tree, *pair) for pair in set(pairs)}
    exact = right & np.array([finest[pair] for pair in pairs])
    names_taxon = np.asarray(rolled.levels != "kind", bool)
    levels = []
    for level in reversed(LEVELS):
        here = np.asarray(rolled.levels == level, bool)
        if not here.any() and level not in (thresholds or {}):
            continue
        levels.append(
            AnsweredAt(
                level=level,
                threshold=None if thresholds is None else thresholds.get(level),
                exact=int((exact & here).sum()),
                right=int((right & here).sum()),
                wrong=int((wrong & here).sum()),
                unknown=int(((said == "unknown") & here).sum()),
                precision=_share(right & here, (right | wrong) & here, truth.codes, samples, seed),
            )
        )
    return RollUpResult(
        promise=promise,
        exact=int(exact.sum()),
        coarse=int((right & ~exact).sum()),
        wrong=int(wrong.sum()),
        unknown=int((said == "unknown").sum()),
        unanswered=int((said == "none").sum()),
        precision=_share(right & names_taxon, (right | wrong) & names_taxon, truth.codes, samples, seed),
        hierarchical=_hierarchical(tree, pairs, truth.codes, samples, seed),
        levels=tuple(levels),
    )


def _judge(tree: Taxonomy, answer: str | None, label: str) -> str:
    """The verdict on an answer; `none` without one. Of a label that is not known every taxon is wrong."""
    if answer is None:
        return "none"
    if label not in tree.labels:
        return "unknown" if answer in KINDS else "wrong"
    return verdict(tree, answer, label)


def _as_fine(tree: Taxonomy, answer: str | None, label: str) -> bool:
    """Whether a right answer says all that the label does."""
    if answer is None or label not in tree.labels:
        return False
    taxon = tree.labels[label].taxon
    return answer == (tree.labels[label].kind if taxon is None else taxon)


def _hierarchical(
    tree: Taxonomy, pairs: Sequence[tuple[str | None, str]], codes: Codes, samples: int, seed: int
) -> dict[str, Interval]:
    """Σ |said ∩ true| over Σ |said|, over Σ |true|, and twice over both; of the taxa on the paths."""
    counts = {pair: _path_counts(tree, *pair) for pair in set(pairs)}
    both, said, true = np.array([counts[pair] for pair in pairs], float).T
    figures = {
        "precision": _share(both, said, codes, samples, seed),
        "recall": _share(both, true, codes, samples, seed),
        "f1": _share(2 * both, said + true, codes, samples, seed),
    }
    return {name: interval for name, interval in figures.items() if interval is not None}


def _path_counts(tree: Taxonomy, answer: str | None, label: str) -> tuple[int, int, int]:
    if label not in tree.labels:
        return 0, 0 if answer is None or answer in KINDS else len(tree.path(answer)), 1
    true = {tree.kind(label), *tree.path(label)}
    if answer is None:
        return 0, 0, len(true)
    if answer not in tree.taxa:
        said = {answer}
    else:
        kinds = {tree.kind(name) for name in tree.labels if answer in tree.path(name)}
        said = {*tree.path(answer), *(kinds if len(kinds) == 1 else ())}
    return len(said & true), len(said), len(true)


def _share(
    part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic], codes: Codes, samples: int, seed: int
) -> Interval | None:
    """Σ part / Σ whole with its 95 % interval over groups; None where the whole is empty."""
    above, below = part.astype(float), whole.astype(float)
    if not below.sum():
        return None
    value = float(above.sum() / below.sum())
    drawn = []
    for weights in draw_weights(codes, samples, seed) if codes.max() else ():
        bases = weights @ below
        drawn.append(np.divide(weights @ above, bases, out=np.full(len(bases), np.nan), where=bases > 0))
    ratios = np.concatenate(drawn) if drawn else np.array([np.nan])
    if np.isnan(ratios).mean() > metrics.intervals.UNDEFINED_ALLOWED:
        return Interval(value=value)
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return Interval(value=value) if low == high else Interval(value=value, low=float(low), high=float(high))
