"""Heads for the taxa of a tree, on features that are computed once for all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.catalog import Catalog
from trapline.errors import UsageError
from trapline.metrics import fit_temperature, probabilities_of
from trapline.models import Calibration, Card, ModelFile
from trapline.models.recipe import Recipe, Taxa
from trapline.prediction.facts import ModelTree, PredictionFacts
from trapline.taxonomy import Taxonomy
from trapline.taxonomy.classes import Head, unsupported
from trapline.training import linear
from trapline.training.crossval import CrossValidation
from trapline.training.heads import LIBRARIES, MODEL, HeadLearner, folds_within, held_out
from trapline.training.history import draw_nodes, write_history
from trapline.training.judging import Judged, judge, predictions_of
from trapline.training.selection import Rows, data_summary, refuse_leaks, split_record
from trapline.training.taxa_adam import EpochHead
from trapline.training.taxa_media import TaxaMedia, select_taxa
from trapline.training.taxa_pooling import choose_pooling
from trapline.training.taxa_thresholds import choose_thresholds
from trapline.training.torch_learner import StepReport
from trapline.training.tree_heads import Decision, Fitted, class_logits, fit_together, hits, losses

Floats = npt.NDArray[np.float64]

NodeRow = dict[str, float | str | None]
"""One row of the history: of one node, at one epoch or with one strength of its regularisation."""

_WORSE_BEFORE_STOPPING = 2
_UNCHOSEN = 1.0
"""The strength of a head whose media lie in one fold, so that nothing can be left out to choose it."""


@dataclass(frozen=True)
class OutOfFold:
    """What heads that never saw a media's location say of it.

    Attributes:
        logits: [rows, classes], log probabilities.
        strengths: head name → the strength chosen for it.
        tried: one row a head and strength; see `TaxaLearner.tried`.
    """

    logits: Floats
    strengths: dict[str, float]
    tried: list[NodeRow]


class TaxaLearner:
    """Fits the heads of a tree on rows of one selection; the features are computed once.

    Args:
        recipe: with `taxa`, its backbone a model file.
        media: what the labels say at each head.
        cache: folder for features, None for the user's.
        report: told of what is being done.
    """

    def __init__(
        self, recipe: Recipe, media: TaxaMedia, cache: Path | None, report: StepReport | None
    ) -> None:
        base = HeadLearner(recipe, media.selected, cache, report)
        self.recipe, self.report = recipe, report
        self.settings = settings_of(recipe)
        self.features, self.looks, self.backbone = base.features, base.looks, base.backbone
        self.strengths = base.strengths
        self.media = media.without(base.selected.failed)
        self.heads = self.media.hierarchy.heads
        self.paths = self.media.hierarchy.path_matrix()
        self.decisions = {head.name: self.media.decision(head) for head in self.heads}

    @property
    def groups(self) -> list[tuple[Head, ...]]:
        """The heads that share one loss and one strength."""
        return [(head,) for head in self.heads] if self.settings.way == "cascade" else [self.heads]

    def fit(
        self,
        group: Sequence[Head],
        rows: Rows,
        strength: float,
        held: Rows | None = None,
        start: Fitted | None = None,
    ) -> Fitted:
        """The heads of a group on the rows; the solver `adam` chooses its epoch on the rows `held`.

        `start` are heads of another strength: sooner there, the same end.
        """
        decisions = [self._weighed(self.decisions[head.name].of(rows)) for head in group]
        if self.settings.solver == "adam":
            found = {decision.name: self._adam(decision, rows, held) for decision in decisions}
        elif self.settings.way == "cascade":
            found = {decision.name: self._alone(decision, rows, strength, start) for decision in decisions}
        else:
            found = fit_together(
                self.features[rows], decisions, strength, view_weights=self.looks.weights, start=start
            )
        return {
            decision.name: _with_prior(found[decision.name], decision, self.recipe) for decision in decisions
        }

    def out_of_fold(self, rows: Rows, folds: npt.NDArray[np.int64]) -> OutOfFold:
        """The log probabilities of all classes for each row, by heads of the folds that it is not in.

        The strength behind a fold's figures is the one that did best on the other folds.
        """
        by_head: dict[str, list[linear.LinearHead]] = {}
        strengths: dict[str, float] = {}
        tried: list[NodeRow] = []
        for place, group in enumerate(self.groups):
            self._tell("heads", place, len(self.groups))
            fitted, every, best = self._choose(group, rows, folds)
            for head in group:
                by_head[head.name] = [one[head.name] for one in fitted]
                strengths[head.name] = best
                tried += [self._row(head, key, some, rows, folds) for key, some in every.items()]
        self._tell("heads", len(self.groups), len(self.groups))
        logits = np.empty((len(rows), len(self.media.classes.names)))
        for place, fold in enumerate(np.unique(folds)):
            inside = folds == fold
            heads = {head.name: by_head[head.name][place] for head in self.heads}
            logits[inside] = self.logits(heads, rows[inside])
        return OutOfFold(logits, strengths, tried)

    def _choose(
        self, group: Sequence[Head], rows: Rows, folds: npt.NDArray[np.int64]
    ) -> tuple[list[Fitted], dict[float, list[Fitted]], float]:
        """For each fold the heads of the strength that did best on the others; all of them; the best."""
        names = np.unique(folds)
        heard = np.any([self.decisions[head.name].heard[rows] for head in group], axis=0)
        known = len(np.unique(folds[heard])) > 1
        fitted: dict[float, list[Fitted]] = {}
        found: dict[float, Floats] = {}
        before: list[Fitted] = []
        worse, best = 0, np.inf
        for strength in self.strengths if known else (_UNCHOSEN,):
            fitted[strength], values = [], np.full(len(rows), np.nan)
            for place, fold in enumerate(names):
                outside, inside = rows[folds != fold], rows[folds == fold]
                one = self.fit(group, outside, strength, inside, before[place] if before else None)
                values[folds == fold] = self._losses(group, one, inside)
                fitted[strength].append(one)
            found[strength], before = values, fitted[strength]
            mean = _mean(values)
            worse = worse + 1 if mean > best else 0
            best = min(best, mean)
            if worse == _WORSE_BEFORE_STOPPING:
                break
        means = {strength: _mean(values) for strength, values in found.items()}
        chosen = []
        for place, fold in enumerate(names):
            others = {strength: _mean(values[folds != fold]) for strength, values in found.items()}
            chosen.append(fitted[min(others, key=others.__getitem__)][place])
        return chosen, fitted, min(means, key=means.__getitem__)

    def _row(
        self,
        head: Head,
        strength: float,
        fitted: Sequence[Fitted],
        rows: Rows,
        folds: npt.NDArray[np.int64],
    ) -> NodeRow:
        """How a head of one strength does in training and out of fold; None where no media tells."""
        decision, views = self.decisions[head.name], self.looks.predict
        seen, unseen = [], np.full(len(rows), np.nan)
        for place, fold in enumerate(np.unique(folds)):
            outside, inside = rows[folds != fold], rows[folds == fold]
            one = fitted[place][head.name]
            seen.append(hits(one, decision.of(outside), self.features[outside], views))
            unseen[folds == fold] = hits(one, decision.of(inside), self.features[inside], views)
        lost = [
            self._losses([head], fitted[place], rows[folds == fold])
            for place, fold in enumerate(np.unique(folds))
        ]
        return {
            "node": head.name,
            "weight_decay": strength,
            "train_accuracy": _share(np.concatenate(seen)),
            "out_of_fold_accuracy": _share(unseen),
            "out_of_fold_log_loss": _share(np.concatenate(lost)),
        }

    def logits(self, heads: Fitted, rows: Rows) -> Floats:
        """[rows, classes]: log probabilities, as the model file will say them."""
        ordered = [heads[head.name] for head in self.heads]
        return class_logits(ordered, self.paths, self.features[rows], self.looks.predict)

    def _losses(self, group: Sequence[Head], heads: Fitted, rows: Rows) -> Floats:
        decisions = [self.decisions[head.name].of(rows) for head in group]
        return losses(heads, decisions, self.features[rows], self.looks.predict)

    def _weighed(self, decision: Decision) -> Decision:
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
        self, decision: Decision, rows: Rows, strength: float, start: Fitted | None
    ) -> linear.LinearHead:
        heard, children = decision.heard, decision.possible.shape[1]
        if not heard.any():
            return _ignorant(self.features.shape[2], children)
        return linear.fit_head(
            self.features[rows[heard]],
            decision.possible[heard].argmax(axis=1),
            children,
            strength,
            media_weights=decision.weights[heard],
            view_weights=self.looks.weights,
            start=None if start is None else start[decision.name],
        )

    def _adam(self, decision: Decision, rows: Rows, held: Rows | None) -> linear.LinearHead:
        from trapline.training.taxa_adam import fit_by_epochs

        heard = decision.heard
        if not heard.any() or held is None:
            return _ignorant(self.features.shape[2], decision.possible.shape[1])
        judged = self.decisions[decision.name].of(held)
        place = self.looks.predict[0]
        return fit_by_epochs(
            self.recipe,
            self.features[rows[heard], place],
            decision.possible[heard],
            decision.weights[heard],
            self.features[held[judged.heard], place],
            judged.possible[judged.heard],
        )

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.report is not None:
            self.report(what, done, total, "")


def settings_of(recipe: Recipe) -> Taxa:
    """The recipe's `taxa`.

    Raises:
        UsageError: it has none.
    """
    if recipe.taxa is None:
        raise UsageError(f"The recipe '{recipe.name}' has no taxa; use taxa-flat, taxa-cascade or taxa-path.")
    return recipe.taxa


def needed(taxonomy: Taxonomy | None, recipe: Recipe) -> Taxonomy:
    """The taxonomy that a recipe of taxa needs.

    Raises:
        UsageError: none was given.
    """
    if taxonomy is None:
        raise UsageError(
            f"The recipe '{recipe.name}' needs to know what the labels are: give a taxonomy (--taxonomy "
            "FILE.csv, or the folder of nested taxa; see docs/taxonomy.md)."
        )
    return taxonomy


def _ignorant(size: int, children: int) -> linear.LinearHead:
    """A head that no media trained: all children are equally probable."""
    return linear.LinearHead(np.zeros(size), np.ones(size), np.zeros((size, children)), np.zeros(children))


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _share(values: Floats) -> float | None:
    """The mean over the media that tell; None where none does."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _with_prior(head: linear.LinearHead, decision: Decision, recipe: Recipe) -> linear.LinearHead:
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


@dataclass(frozen=True)
class TaxaFit:
    """The heads of a model file, how they were chosen, and what is said of media they did not see."""

    heads: Fitted
    strengths: dict[str, float]
    tried: list[NodeRow]
    judged: Judged

    @property
    def history(self) -> list[NodeRow]:
        """One row a node and epoch where heads were trained by epochs, else one a node and strength."""
        return self.tried or [
            {"node": name, **row}
            for name, head in self.heads.items()
            if isinstance(head, EpochHead)
            for row in head.history
        ]

    @property
    def kept(self) -> dict[str, float]:
        """Node → the epoch, or the strength, that was kept."""
        if self.tried:
            return self.strengths
        return {name: head.best_epoch for name, head in self.heads.items() if isinstance(head, EpochHead)}


def fit_taxa(learner: TaxaLearner) -> TaxaFit:
    """Train by the recipe's `fit`: on the train part, or on all with figures out of fold."""
    recipe, selected = learner.recipe, learner.media.selected
    if recipe.fit == "train":
        train, validation = selected.train, selected.validation
        if learner.settings.solver == "adam":
            strengths = {head.name: recipe.optimiser.weight_decay for head in learner.heads}
            tried: list[NodeRow] = []
        else:
            found = learner.out_of_fold(train, folds_within(selected, train, recipe))
            strengths, tried = found.strengths, found.tried
        heads = _fit_all(learner, train, strengths, validation)
        judged = judge_taxa(learner, validation, learner.logits(heads, validation))
        return TaxaFit(heads, strengths, tried, judged)
    rows, folds = held_out(selected, recipe.folds, recipe, needs_every_label=False)
    found = learner.out_of_fold(rows, folds)
    judged = judge_taxa(learner, rows, found.logits, folds)
    return TaxaFit(
        _fit_all(learner, np.sort(rows), found.strengths, None), found.strengths, found.tried, judged
    )


def _fit_all(
    learner: TaxaLearner, rows: Rows, strengths: dict[str, float], held: Rows | None
) -> dict[str, linear.LinearHead]:
    heads: dict[str, linear.LinearHead] = {}
    for group in learner.groups:
        heads.update(learner.fit(group, rows, strengths[group[0].name], held))
    return heads


def judge_taxa(
    learner: TaxaLearner, rows: Rows, logits: Floats, folds: npt.NDArray[np.int64] | None = None
) -> Judged:
    """Calibrate and measure on the rows whose label is a class; probabilities for all rows.

    Coarse labels have no class to compare with; they are judged by rank (`trapline evaluate`).
    """
    media, recipe = learner.media, learner.recipe
    fine = media.selected.targets[rows].any(axis=1)
    numbers = None if folds is None else folds[fine]
    coarse = int((~fine).sum())
    caveat = f"; {coarse} media of coarser labels are judged by rank only" if coarse else ""
    judged = judge(
        recipe, media.selected, rows[fine], logits[fine], Calibration(), folds=numbers, caveat=caveat
    )
    temperature = np.full((len(rows), 1), judged.calibration.temperature)
    if folds is not None and recipe.calibration == "temperature":
        truth = media.selected.targets[rows].argmax(axis=1)
        for fold in np.unique(folds):
            others = (folds != fold) & fine
            temperature[folds == fold] = fit_temperature(logits[others], truth[others])
    return replace(judged, rows=rows, probabilities=probabilities_of(logits / temperature, recipe.task))


def promised_thresholds(learner: TaxaLearner, judged: Judged) -> tuple[dict[str, float], dict[str, Any]]:
    """The roll-up's thresholds, chosen on the media that were judged; see `choose_thresholds`.

    The record says over what the bound is: locations, or events where these are not known or there is one.
    """
    groups = learner.media.selected.groups(judged.rows)
    labels = [learner.media.labels[row] for row in judged.rows]
    chosen, record = choose_thresholds(
        judged.probabilities, labels, groups.keys, learner.media.classes, learner.settings
    )
    return chosen, record | {"over": groups.over}


def train_taxa(
    recipe: Recipe,
    catalog: Catalog,
    run_folder: Path | str,
    taxonomy: Taxonomy,
    *,
    allow_leak: bool = False,
    cache: Path | None = None,
    report: StepReport | None = None,
) -> Path:
    """Train the heads of a tree, or the one that `taxa.node` names, and write one model file of all.

    Args:
        recipe: with `taxa` and the backbone `model-file:…`.
        catalog: with labels and, for `fit` `train`, a split.
        run_folder: gets `model.onnx`, `validation.parquet`, `history.csv` and `history.png` (the accuracy of
            each node in training and on media it did not see, by epoch or by the strengths that were tried)
            and `taxonomy.json`.
        taxonomy: what the labels are.
        allow_leak: train although the split leaks; the card says so.
        cache: folder for features; None for the user's.
        report: told of each step.

    Raises:
        UsageError: the recipe asks for what heads on fixed features cannot do, or its backbone is missing.
        DataError: the split leaks, a part is empty, labels are not in the taxonomy, photos cannot be read.
    """
    folder = Path(run_folder)
    media = select_taxa(catalog, recipe, taxonomy, needs_split=recipe.fit == "train")
    leaks = refuse_leaks(catalog, allow_leak)
    learner = TaxaLearner(recipe, media, cache, report)
    fitted = fit_taxa(learner)
    caveat = " LEAKING SPLIT: these figures flatter the model." if leaks.leaking else ""
    settings, judged = learner.settings, fitted.judged
    thresholds, promised = promised_thresholds(learner, judged)
    said = predictions_of(recipe, learner.media.selected, judged, "", PredictionFacts())
    card = Card(
        name=settings.node or recipe.name,
        task="single-label",
        labels=media.classes.names,
        embedding_size=learner.backbone.card.embedding_size,
        preprocessing=recipe.preprocessing,
        calibration=judged.calibration,
        event=choose_pooling(said, learner.media.selected.catalog, media.classes.of_label),
        thresholds=thresholds,
        taxonomy=described(learner, fitted) | {"rollup": promised},
        recipe=recipe.model_dump(mode="json"),
        split=split_record(catalog, leaks),
        training_data=data_summary(learner.media.selected, recipe.preprocessing.crop)
        | {"coarse": _coarse(learner.media)},
        metrics=judged.metrics,
        metrics_on=judged.measured_on + caveat,
        backbone={"name": learner.backbone.card.name, "fingerprint": learner.backbone.fingerprint},
        notices=learner.backbone.card.notices,
        versions={name: version(name) for name in LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    model = _write(learner, fitted.heads, card, folder / MODEL)
    facts = replace(
        said.facts,
        recipe=recipe.name,
        measured_on=card.metrics_on,
        taxonomy=ModelTree.from_json(card.taxonomy, "The model's taxonomy"),
        thresholds=card.thresholds,
        event=card.event or said.facts.event,
    )
    fingerprint = ModelFile(model, threads=1).fingerprint
    replace(said, model=fingerprint, facts=facts).save(folder / "validation.parquet")
    if fitted.history:
        write_history(fitted.history, folder)
        draw_nodes(fitted.history, fitted.kept, folder / "history.png")
    text = json.dumps(taxonomy.to_json(), ensure_ascii=False, indent=1)
    (folder / "taxonomy.json").write_text(text, encoding="utf-8")
    return model


def crossval_taxa(
    recipe: Recipe,
    catalog: Catalog,
    taxonomy: Taxonomy,
    folds: int | Sequence[Catalog] = 5,
    *,
    strengths: tuple[float, ...] = (),
    cache: Path | None = None,
    report: StepReport | None = None,
) -> CrossValidation:
    """Judge a recipe of taxa by location folds; see `trapline.training.crossval`.

    `strengths` of the regularisation to choose from, strongest first, are the usual ones if none are given.
    """
    started = time.monotonic()
    if settings_of(recipe).solver == "adam":
        raise UsageError("The solver 'adam' is judged on a validation part, not by folds.")
    media = select_taxa(catalog, recipe, taxonomy, needs_split=False)
    learner = TaxaLearner(recipe, media, cache, report)
    learner.strengths = strengths or learner.strengths
    rows, numbers = held_out(learner.media.selected, folds, recipe, needs_every_label=False)
    found = learner.out_of_fold(rows, numbers)
    judged = judge_taxa(learner, rows, found.logits, numbers)
    tree = described(learner, TaxaFit({}, found.strengths, found.tried, judged))
    facts = PredictionFacts(
        recipe=recipe.name,
        measured_on=judged.measured_on,
        taxonomy=ModelTree.from_json(tree, "The model's taxonomy"),
    )
    return CrossValidation(
        predictions=predictions_of(recipe, learner.media.selected, judged, "out-of-fold", facts),
        metrics=judged.metrics,
        judged=judged,
        logits=found.logits.astype(np.float32),
        folds=numbers,
        best_epochs=(),
        histories=(),
        seconds=time.monotonic() - started,
    )


def described(learner: TaxaLearner, fitted: TaxaFit) -> dict[str, Any]:
    """The tree as the card keeps it: taxa and labels, the heads by name, and how ranks are computed."""
    hierarchy = learner.media.hierarchy
    heads = [
        {
            "name": head.name,
            "parent": head.parent,
            "children": list(head.children),
            "media": int(learner.decisions[head.name].heard.sum()),
            "weight_decay": fitted.strengths[head.name],
        }
        for head in hierarchy.heads
    ]
    return {
        **hierarchy.classes.taxonomy.to_json(),
        "way": learner.settings.way,
        "head_ranks": list(learner.settings.ranks),
        "heads": heads,
        "classes": dict(hierarchy.classes.of_label),
        "outside": list(hierarchy.classes.outside),
        "unsupported": sorted(unsupported(hierarchy.classes)),
        "ranks": "P(taxon) = the sum of P(label) over the labels at or below it; "
        "P(child | parent) = P(child) / P(parent)",
    }


def _coarse(media: TaxaMedia) -> dict[str, int]:
    coarse = media.classes.coarse
    return {label: media.labels.count(label) for label in coarse}


def _write(learner: TaxaLearner, heads: Fitted, card: Card, path: Path) -> Path:
    from trapline.models.onnx_graph import (
        attach_tree,
        average_flips,
        fold_scaling,
        read_graph,
        write_model_file,
    )

    layers = [
        (head.name, fold_scaling(one.weights, one.bias, one.mean, one.scale))
        for head in learner.heads
        for one in [heads[head.name]]
    ]
    joined = attach_tree(read_graph(learner.backbone), layers, learner.paths)
    return write_model_file(average_flips(joined) if learner.recipe.flip_average else joined, card, path)
