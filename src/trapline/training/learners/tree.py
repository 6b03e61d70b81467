"""Heads for the taxa of a tree, on features that are computed once for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from trapline.models import Calibration
from trapline.prediction import ModelTree, PredictionFacts
from trapline.recipes import EpochTreeRecipe, TreeRecipe
from trapline.taxonomy import TaxonHead, Taxonomy, unsupported_kinds
from trapline.training import linear, strengths
from trapline.training.arrays import Floats, Rows
from trapline.training.contract import FitPart, LearntModel, OutOfFold, StepReport
from trapline.training.folds import Dealt, folds_within
from trapline.training.history import draw_nodes, write_history
from trapline.training.judging import Judged, predictions_of
from trapline.training.learners.seen import FrozenLearner, save_folds_heads
from trapline.training.run_folder import keep_taxonomy
from trapline.training.selection import data_summary
from trapline.training.strengths import ToTry, try_strengths
from trapline.training.taxa_adam import EpochHead
from trapline.training.taxa_choices import choose_pooling, choose_thresholds, other_axes
from trapline.training.taxa_media import TaxaMedia
from trapline.training.tree_heads import Fitted, HeadTargets, class_logits, fit_together, hits, losses

if TYPE_CHECKING:
    import onnx

NodeRow = dict[str, float | str | None]
"""One row of the history: of one node, at one epoch or with one strength of its regularisation."""

_UNCHOSEN = 1.0
"""The strength of a head whose media lie in one fold, so that nothing can be left out to choose it."""


@dataclass(frozen=True)
class TreeModel(LearntModel):
    """The heads of a model file, and how they were chosen.

    Attributes:
        heads: name → the head.
        strengths: name → the strength chosen for it.
        tried: one row a head and strength; empty where heads were trained by epochs.
    """

    heads: Fitted = field(default_factory=dict)
    strengths: Mapping[str, float] = field(default_factory=dict)
    tried: Sequence[NodeRow] = ()

    @property
    def history(self) -> list[NodeRow]:
        """One row a node and epoch where heads were trained by epochs, else one a node and strength."""
        return list(self.tried) or [
            {"node": name, **row}
            for name, head in self.heads.items()
            if isinstance(head, EpochHead)
            for row in head.history
        ]

    @property
    def kept(self) -> Mapping[str, float]:
        """Node → the epoch, or the strength, that was kept."""
        if self.tried:
            return self.strengths
        return {name: head.best_epoch for name, head in self.heads.items() if isinstance(head, EpochHead)}


class TreeLearner(FrozenLearner[TreeModel]):
    """Fits the heads of a tree; see `FrozenLearner`.

    Args:
        recipe: with `taxa`.
        taxonomy: what the labels are, whole.
        media: what the labels say at each head.
        cache: folder for features, None for the user's.
        report: told of what is being done.
    """

    needs_every_label: ClassVar[bool | None] = False
    recipe: TreeRecipe | EpochTreeRecipe

    def __init__(
        self,
        recipe: TreeRecipe | EpochTreeRecipe,
        taxonomy: Taxonomy,
        media: TaxaMedia,
        cache: Path | None,
        report: StepReport | None,
    ) -> None:
        self.settings, self.taxonomy = recipe.taxa, taxonomy
        super().__init__(recipe, media.selected, cache, report)
        self.media = replace(media, selected=self.selected)
        fixed = recipe.optimiser.weight_decay
        self.strengths = (fixed,) if fixed else strengths.WEIGHT_DECAYS
        self.heads = self.media.hierarchy.heads
        self.paths = self.media.hierarchy.path_matrix()
        self.decisions = {head.name: self.media.decision(head) for head in self.heads}

    @property
    def groups(self) -> list[tuple[TaxonHead, ...]]:
        """The heads that share one loss and one strength."""
        return [(head,) for head in self.heads] if self.settings.way == "cascade" else [self.heads]

    def fit(self, rows: Rows, held: Rows | None, chosen: TreeModel | None, folder: Path) -> TreeModel:
        """All heads, of the strengths that did best in folds over the rows, or by epochs."""
        if isinstance(self.recipe, EpochTreeRecipe):
            decay = self.recipe.optimiser.weight_decay
            chosen = TreeModel(strengths={head.name: decay for head in self.heads})
        elif chosen is None:
            chosen = self._search(rows, folds_within(self.selected, rows, self.recipe), folder).model
        heads: dict[str, linear.LinearLayer] = {}
        for group in self.groups:
            heads.update(self.fit_group(group, rows, chosen.strengths[group[0].name], held))
        return replace(chosen, heads=heads)

    def out_of_fold(self, dealt: Dealt, folder: Path) -> OutOfFold[TreeModel]:
        """The log probabilities of all classes for each row, by heads of the folds that it is not in."""
        return self._search(dealt.rows, dealt.numbers, folder)

    def logits(self, model: TreeModel, rows: Rows) -> Floats:
        """[rows, classes]: log probabilities, as the model file will say them."""
        return self._class_logits(model.heads, rows)

    def base(self, rows: Rows) -> Calibration:
        """Nothing: each head puts its own prior back."""
        return Calibration()

    def judge(self, rows: Rows, logits: Floats, base: Calibration, dealt: Dealt | None = None) -> Judged:
        """The same, and how the crops of an observation are pooled."""
        judged = super().judge(rows, logits, base, dealt)
        predictions = predictions_of(self.recipe, self.selected, judged, "", PredictionFacts())
        event = choose_pooling(predictions, self.selected.catalog, self.media.classes.of_label)
        return replace(judged, event=event)

    def describe(self, model: TreeModel, judged: Judged) -> dict[str, Any]:
        """The tree, its heads, and the thresholds of the roll-up, chosen on the media that were judged.

        The record says over what the bound is: locations, or events where these are not known or there is
        one; and seasons and sets, where the catalog knows several.
        """
        groups = self.selected.groups(judged.rows)
        labels = [self.media.labels[row] for row in judged.rows]
        thresholds, promised = choose_thresholds(
            judged.probabilities,
            labels,
            groups.keys,
            self.media.classes,
            self.settings,
            other_axes(self.selected.catalog.table[judged.rows.tolist()]),
        )
        counts = {label: self.media.labels.count(label) for label in self.media.classes.coarse}
        return {
            "name": self.settings.node or self.recipe.name,
            "thresholds": thresholds,
            "taxonomy": self._tree(model) | {"rollup": promised | {"over": groups.over}},
            "training_data": data_summary(self.selected, self.recipe.preprocessing.crop) | {"coarse": counts},
        }

    def facts(self, judged: Judged, described: Mapping[str, Any]) -> PredictionFacts:
        """With the tree, by which ranks are computed, and the thresholds."""
        tree = ModelTree.from_json(described["taxonomy"], "The model's taxonomy")
        return replace(super().facts(judged, described), taxonomy=tree, thresholds=described["thresholds"])

    def graph(self, model: TreeModel) -> onnx.ModelProto:
        """The backbone with all heads, multiplied along the paths."""
        from trapline.models import attach_tree, average_flips, fold_scaling

        layers = [
            (head.name, fold_scaling(one.weights, one.bias, one.mean, one.scale))
            for head in self.heads
            for one in [model.heads[head.name]]
        ]
        joined = attach_tree(self.seeing(), layers, self.paths)
        return average_flips(joined) if self.recipe.flip_average else joined

    def write_files(self, model: TreeModel, folder: Path) -> None:
        """The accuracy of each node, by epoch or by strength, and the taxonomy."""
        if model.history:
            write_history(model.history, folder)
            draw_nodes(model.history, model.kept, folder / "history.png")
        keep_taxonomy(self.taxonomy, folder)

    def fit_group(
        self,
        group: Sequence[TaxonHead],
        rows: Rows,
        strength: float,
        held: Rows | None = None,
        start: Fitted | None = None,
    ) -> Fitted:
        """The heads of a group on the rows; the solver `adam` chooses its epoch on the rows `held`.

        `start` are heads of another strength: sooner there, the same end.
        """
        decisions = [self._weighed(self.decisions[head.name].of(rows)) for head in group]
        if self.settings.way == "cascade" or isinstance(self.recipe, EpochTreeRecipe):
            heads = {one.name: self._alone(one, rows, strength, held, start) for one in decisions}
        else:
            heads = fit_together(
                self.features[rows], decisions, strength, view_weights=self.looks.weights, start=start
            )
        return {one.name: _with_prior(heads[one.name], one, self.recipe) for one in decisions}

    def make_part(self, part: FitPart, folder: Path) -> None:
        """The heads of one fold."""
        rows, folds, fold = (part.arrays[name] for name in ("rows", "folds", "fold"))
        heads: dict[str, dict[float, linear.LinearLayer]] = defaultdict(dict)
        for group in self.groups:
            for strength, fitted in self._to_try(group, rows, folds).heads_of_fold(int(fold)).items():
                for name, head in fitted.items():
                    heads[name][strength] = head
        save_folds_heads(heads, folder / part.name)

    def _search(self, rows: Rows, folds: Rows, folder: Path) -> OutOfFold[TreeModel]:
        """The log probabilities of all classes for each row, by heads of the folds that it is not in.

        The strength behind a fold's figures is the one that did best on the other folds.
        """
        by_fold: list[dict[str, linear.LinearLayer]] = [{} for _ in np.unique(folds)]
        chosen: dict[str, float] = {}
        rows_tried: list[NodeRow] = []
        made = self.heads_of_folds(rows, folds, folder)
        told = self.tell("heads")
        for index, group in enumerate(self.groups):
            told(index, len(self.groups))
            of_group = [_of_group(group, heads) for heads in made]
            tried = try_strengths(self._to_try(group, rows, folds), made=of_group)
            for number, strength in enumerate(tried.best_of_others()):
                by_fold[number].update(tried.heads[strength][number])
            for head in group:
                chosen[head.name] = tried.best
                rows_tried += [self._row(head, key, some, rows, folds) for key, some in tried.heads.items()]
        told(len(self.groups), len(self.groups))
        logits = np.empty((len(rows), len(self.media.classes.names)))
        for fold, heads in zip(np.unique(folds), by_fold, strict=True):
            logits[folds == fold] = self._class_logits(heads, rows[folds == fold])
        return OutOfFold(logits, TreeModel(strengths=chosen, tried=rows_tried))

    def _to_try(self, group: Sequence[TaxonHead], rows: Rows, folds: Rows) -> ToTry[Fitted]:
        """The heads of a group for all strengths and folds; what is said of a row is its loss."""

        def fit(strength: float, outside: Rows, inside: Rows, start: Fitted | None) -> Fitted:
            return self.fit_group(group, rows[outside], strength, rows[inside], start)

        def answer(heads: Fitted, outside: Rows, inside: Rows) -> Floats:
            return self._losses(group, heads, rows[inside])

        heard = np.any([self.decisions[head.name].heard[rows] for head in group], axis=0)
        known = len(np.unique(folds[heard])) > 1
        wanted = self.strengths if known else (_UNCHOSEN,)
        return ToTry(wanted, folds, fit, answer, lambda values, _: _share(values) or 0.0)

    def _row(
        self, head: TaxonHead, strength: float, fitted: Sequence[Fitted], rows: Rows, folds: Rows
    ) -> NodeRow:
        """How a head of one strength does in training and out of fold; None where no media tells."""
        figures: dict[str, list[Floats]] = {}
        for fold, heads in zip(np.unique(folds), fitted, strict=True):
            outside, inside = rows[folds != fold], rows[folds == fold]
            figures.setdefault("train_accuracy", []).append(self._hits(head, heads, outside))
            figures.setdefault("out_of_fold_accuracy", []).append(self._hits(head, heads, inside))
            figures.setdefault("out_of_fold_log_loss", []).append(self._losses([head], heads, inside))
        shares = {name: _share(np.concatenate(values)) for name, values in figures.items()}
        return {"node": head.name, "weight_decay": strength, **shares}

    def _hits(self, head: TaxonHead, heads: Fitted, rows: Rows) -> Floats:
        decision = self.decisions[head.name].of(rows)
        return hits(heads[head.name], decision, self.features[rows], self.looks.predict)

    def _class_logits(self, heads: Fitted, rows: Rows) -> Floats:
        ordered = [heads[head.name] for head in self.heads]
        return class_logits(ordered, self.paths, self.features[rows], self.looks.predict)

    def _losses(self, group: Sequence[TaxonHead], heads: Fitted, rows: Rows) -> Floats:
        decisions = [self.decisions[head.name].of(rows) for head in group]
        return losses(heads, decisions, self.features[rows], self.looks.predict)

    def _weighed(self, decision: HeadTargets) -> HeadTargets:
        """With the recipe's balance: at each head all children that occur count alike."""
        if self.recipe.balance == "none":
            return decision
        alone = decision.possible.sum(axis=1) == 1
        counts = np.maximum(decision.possible[alone].sum(axis=0), 1)
        weights = np.where(alone, (decision.possible / counts).sum(axis=1), 0.0)
        weights = np.where(decision.heard & ~alone, weights[alone].mean() if alone.any() else 1.0, weights)
        heard = decision.heard
        return replace(decision, weights=weights / weights[heard].mean() if heard.any() else weights)

    def _alone(
        self, decision: HeadTargets, rows: Rows, strength: float, held: Rows | None, start: Fitted | None
    ) -> linear.LinearLayer:
        """One head by itself, at its optimum or by epochs; where no media tells, one that knows nothing."""
        heard, children = decision.heard, decision.possible.shape[1]
        if not heard.any():
            size = self.features.shape[2]
            zeros = np.zeros((size, children)), np.zeros(children)
            return linear.LinearLayer(np.zeros(size), np.ones(size), *zeros)
        possible, weights = decision.possible[heard], decision.weights[heard]
        if isinstance(self.recipe, EpochTreeRecipe):
            from trapline.training.taxa_adam import fit_by_epochs

            assert held is not None  # by its class such a recipe has a validation part
            judged, seen = self.decisions[decision.name].of(held), self.features[:, self.looks.predict[0]]
            telling = judged.heard
            return fit_by_epochs(
                self.recipe,
                seen[rows[heard]],
                possible,
                weights,
                seen[held[telling]],
                judged.possible[telling],
            )
        return linear.fit_head(
            self.features[rows[heard]],
            possible.argmax(axis=1),
            children,
            strength,
            media_weights=weights,
            view_weights=self.looks.weights,
            start=None if start is None else start[decision.name],
        )

    def _tree(self, model: TreeModel) -> dict[str, Any]:
        """The tree as the card keeps it: taxa and labels, the heads by name, and how ranks are computed."""
        hierarchy = self.media.hierarchy
        heads = [
            {
                "name": head.name,
                "parent": head.parent,
                "children": list(head.children),
                "media": int(self.decisions[head.name].heard.sum()),
                "weight_decay": model.strengths[head.name],
            }
            for head in hierarchy.heads
        ]
        return {
            **hierarchy.classes.taxonomy.to_json(),
            "way": self.settings.way,
            "head_ranks": list(self.settings.ranks),
            "heads": heads,
            "classes": dict(hierarchy.classes.of_label),
            "outside": list(hierarchy.classes.outside),
            "unsupported": sorted(unsupported_kinds(hierarchy.classes)),
            "ranks": "P(taxon) = the sum of P(label) over the labels at or below it; "
            "P(child | parent) = P(child) / P(parent)",
        }


def _of_group(
    group: Sequence[TaxonHead], heads: Mapping[str, Mapping[float, linear.LinearLayer]]
) -> dict[float, Fitted]:
    """Of the heads of a fold those of a group, by strength."""
    strengths_tried = heads.get(group[0].name, {})
    return {
        strength: {head.name: heads[head.name][strength] for head in group} for strength in strengths_tried
    }


def _share(values: Floats) -> float | None:
    """The mean over the media that tell; None where none does."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _with_prior(
    head: linear.LinearLayer, decision: HeadTargets, recipe: TreeRecipe | EpochTreeRecipe
) -> linear.LinearLayer:
    """After balanced training: the natural shares of the children put back (Saerens et al. 2002)."""
    if recipe.balance == "none" or not recipe.correct_prior:
        return head
    alone = decision.possible.sum(axis=1) == 1
    counts = decision.possible[alone].sum(axis=0)
    there = counts > 0
    if not there.any():
        return head
    shift = np.zeros(len(counts))
    shift[there] = np.log(counts[there] / counts.sum()) - np.log(1 / there.sum())
    return replace(head, bias=head.bias + shift)
