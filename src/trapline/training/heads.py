"""Heads on the embedding of a model file: features by ONNX Runtime, the head by scikit-learn, one ONNX file.

Nothing here needs PyTorch. The features of each photo are computed once and kept; a head then trains in
seconds. What a head takes from its recipe stands in docs/backbones.md, and in `trapline.models.acting`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trapline.catalog import Catalog, split_catalog
from trapline.errors import DataError
from trapline.metrics import binary_losses, log_loss, probabilities_of
from trapline.models import Calibration, Card, ModelFile, backbones
from trapline.models.calibrated import scale_logits
from trapline.models.recipe import MODEL_FILE, Recipe
from trapline.prediction.facts import PredictionFacts
from trapline.training import linear
from trapline.training.crossval import CrossValidation, fold_rows
from trapline.training.dense import DenseHead, fit_dense
from trapline.training.event_features import event_rows, over_events
from trapline.training.events import known_labels
from trapline.training.features import View, embed_views
from trapline.training.frozen import background_backbone
from trapline.training.history import draw_history, draw_strengths, epoch_figures, write_history
from trapline.training.judging import AVERAGES_FOLDS, Judged, judge, predictions_of, with_note
from trapline.training.selection import (
    Rows,
    Selected,
    data_summary,
    refuse_leaks,
    select_media,
    split_record,
)
from trapline.training.targets import (
    base_calibration,
    label_weights,
    log_prior,
    sampling_weights,
    truth_of,
)
from trapline.training.torch_learner import StepReport

if TYPE_CHECKING:
    from trapline.models.onnx_graph import Layer

AnyHead = linear.LinearHead | DenseHead

LIBRARIES = ("trapline", "onnx", "onnxruntime", "scikit-learn", "numpy", "pillow")
MODEL = "model.onnx"


@dataclass(frozen=True)
class Looks:
    """The views of each photo that a head trains on.

    Attributes:
        views: the first is the one that prediction uses.
        weights: the share of each in training.
        predict: the places of the views that the model file averages.
    """

    views: tuple[View, ...]
    weights: tuple[float, ...]
    predict: tuple[int, ...]


class HeadLearner:
    """Fits heads of one recipe on rows of one selection; the features are computed once.

    Args:
        recipe: one whose backbone is a model file.
        selected: the media.
        cache: folder for features, None for the user's.
        report: told of what is being done.

    Attributes:
        backbone: as the recipe names it.
        network: what is looked through: the backbone, or what sees with it.
    """

    def __init__(
        self, recipe: Recipe, selected: Selected, cache: Path | None, report: StepReport | None
    ) -> None:
        self.recipe, self.report = recipe, report
        self.looks = looks_of(recipe)
        self.backbone = ModelFile(backbones.find(recipe.backbone.removeprefix(MODEL_FILE)))
        self.network = background_backbone(self.backbone, cache) if recipe.background_view else self.backbone
        found = embed_views(
            self.network,
            selected.catalog,
            self.looks.views,
            cache=cache or "user",
            skip_unreadable=True,
            progress=self._tell("features"),
        )
        self.features, self.warnings = found.values, found.warnings
        self.selected = selected.without(found.failed)
        if recipe.event_statistics:
            self.selected, members = event_rows(self.selected)
            self.features = over_events(self.features, members, recipe.event_statistics)

    @property
    def strengths(self) -> tuple[float, ...]:
        """Those to choose from; the recipe's own if it names one."""
        if self.recipe.head.hidden:
            return (self.recipe.optimiser.weight_decay,)
        fixed = self.recipe.optimiser.weight_decay
        return (fixed,) if fixed else linear.WEIGHT_DECAYS

    def truth(self, rows: Rows) -> npt.NDArray[np.int64]:
        """What the rows show, as `trapline.metrics` takes it."""
        return truth_of(self.selected.targets[rows], self.recipe.task)

    def taught(self, rows: Rows) -> Rows:
        """Those of the rows that train; see `Selected.taught`."""
        return self.selected.taught(self.recipe, rows).rows

    def base(self, rows: Rows) -> Calibration:
        """What balancing the rows, and leaving blanks out, calls for; see `base_calibration`."""
        return base_calibration(self.recipe, self.selected, rows)

    def natural(self, logits: npt.NDArray[np.float64], rows: Rows) -> npt.NDArray[np.float64]:
        """What a head fitted on the rows says of any media, with the priors of the rows put right."""
        return scale_logits(logits, self.base(rows), self.recipe.task, self.selected.labels)

    def score(self, rows: Rows, folds: npt.NDArray[np.int64]) -> linear.Score:
        """The log loss of natural logits of some of the rows.

        Of a multi-label task a label counts where the other folds show it: no strength can teach the others.
        """
        truth, task = self.truth(rows), self.recipe.task
        softmax = "single-label" if self.recipe.exclusive else task
        known = known_labels(self.selected, rows, folds)

        def loss(logits: npt.NDArray[np.float64], inside: Rows) -> float:
            probabilities = probabilities_of(logits, softmax)
            if task == "single-label":
                return float(log_loss(truth[inside], probabilities))
            return float(binary_losses(truth[inside], probabilities)[known[inside]].mean())

        return loss

    def fit(self, rows: Rows, strength: float, held: Rows | None = None) -> AnyHead:
        """One head on those of the rows that may train; epochs of hidden layers are judged on `held`."""
        taught = self.taught(rows)
        if self.recipe.head.hidden:
            targets = self.selected.targets[taught]
            judge = None if held is None else partial(self._figures, rows, held)
            return fit_dense(self.recipe, self.features[taught], targets, self.looks.weights, judge)
        head = linear.fit_head(
            self.features[taught],
            self.truth(taught),
            len(self.selected.labels),
            strength,
            media_weights=self._weigh(taught),
            view_weights=self.looks.weights,
        )
        return self._adjusted(head, rows)

    def out_of_fold(self, rows: Rows, folds: npt.NDArray[np.int64]) -> linear.OutOfFold:
        """Heads for all strengths and folds of the rows, and what they say, with the priors put right.

        A fold's labels have no part in what is said of it: its priors are those of the other folds.
        """
        if self.recipe.head.hidden:
            return self._dense_out_of_fold(rows, folds)
        found = linear.out_of_fold(
            self.features[rows],
            self.truth(rows),
            len(self.selected.labels),
            folds,
            strengths=self.strengths,
            weigh=lambda inside: self._weigh(rows[inside]),
            teach=lambda others: others[np.isin(rows[others], self.taught(rows[others]))],
            correct=lambda logits, others: self.natural(logits - self._added(rows[others]), rows[others]),
            score=self.score(rows, folds),
            view_weights=self.looks.weights,
            predict_views=self.looks.predict,
            progress=self._tell("heads"),
        )
        heads = {key: [self._adjusted(head, rows) for head in some] for key, some in found.heads.items()}
        return replace(found, heads=heads)

    def _figures(self, rows: Rows, held: Rows, head: DenseHead) -> dict[str, float]:
        """How a head that trains on the rows does on those that are held out."""
        recipe = self.recipe
        logits = self.natural(self.logits(head, held), rows)
        softmax = "single-label" if recipe.exclusive else recipe.task
        return epoch_figures(self.truth(held), probabilities_of(logits, softmax), recipe.exclusive)

    def logits(self, head: AnyHead, rows: Rows) -> npt.NDArray[np.float64]:
        """What the model file will say of the rows."""
        return linear.view_logits(head, self.features[rows], self.looks.predict)

    def _adjusted(self, head: linear.LinearHead, rows: Rows) -> linear.LinearHead:
        """What the head says less what training on the rows had added to it.

        A linear head is fitted to the sum of both, and its bias is free: the sum is the plain fit.
        """
        return replace(head, bias=head.bias - self._added(rows))

    def _added(self, rows: Rows) -> npt.NDArray[np.float64]:
        """[labels]: with logit adjustment the log prior, else nothing."""
        if self.recipe.balance != "logit-adjustment":
            return np.zeros(len(self.selected.labels))
        return log_prior(self.selected.targets[self.taught(rows)], self.recipe.task)

    def _dense_out_of_fold(self, rows: Rows, folds: npt.NDArray[np.int64]) -> linear.OutOfFold:
        (strength,) = self.strengths
        logits, heads = np.empty((len(rows), len(self.selected.labels))), []
        for fold in np.unique(folds):
            others, held = rows[folds != fold], rows[folds == fold]
            heads.append(self.fit(others, strength))
            logits[folds == fold] = self.natural(self.logits(heads[-1], held), others)
        loss = self.score(rows, folds)(logits, np.arange(len(rows)))
        return linear.OutOfFold({strength: logits}, {strength: heads}, {strength: loss})

    def _weigh(self, rows: Rows) -> npt.NDArray[np.float64] | None:
        targets = self.selected.targets[rows]
        if self.recipe.balance == "sampling":
            return sampling_weights(targets)
        if self.recipe.balance in ("none", "logit-adjustment"):
            return None
        weights = label_weights(targets, self.recipe.task)
        if self.recipe.task == "single-label":
            return np.asarray(weights[targets.argmax(axis=1)])
        return np.where(targets > 0, weights, 1.0)

    def _tell(self, what: str) -> Callable[[int, int], None]:
        def tell(done: int, total: int) -> None:
            if self.report is not None:
                self.report(what, done, total, "")

        return tell


def train_head(
    recipe: Recipe,
    catalog: Catalog,
    run_folder: Path | str,
    *,
    allow_leak: bool = False,
    cache: Path | None = None,
    report: StepReport | None = None,
) -> Path:
    """Train a head on a model file's embedding and write the model file of both.

    The strength of the regularisation is chosen by location folds inside the training media (unless
    `optimiser.weight_decay` names one), the temperature on media that no head saw.

    Args:
        recipe: with the backbone `model-file:…`.
        catalog: with labels and a split into train and validation.
        run_folder: gets `model.onnx`, `validation.parquet`, `history.csv` (strengths and their losses; of
            hidden layers the epochs) and, where there was a choice or an epoch, `history.png`.
        allow_leak: train although the split leaks; the card says so.
        cache: folder for features; None for the user's.
        report: told of each step.

    Returns:
        the path of the model file.

    Raises:
        UsageError: its backbone is missing.
        DataError: the split leaks, a part is empty, a label has no training media, photos cannot be read.
    """
    folder = Path(run_folder)
    selected = select_media(catalog, recipe, needs_split=recipe.fit == "train")
    leaks = refuse_leaks(catalog, allow_leak)
    learner = HeadLearner(recipe, selected, cache, report)
    heads, found, judged = _fit(learner)
    caveat = " LEAKING SPLIT: these figures flatter the model." if leaks.leaking else ""
    card = Card(
        name=recipe.name,
        task=recipe.task,
        labels=learner.selected.labels,
        embedding_size=learner.network.card.embedding_size * max(1, len(recipe.event_statistics)),
        preprocessing=recipe.preprocessing,
        calibration=judged.calibration,
        event=judged.event,
        batch="event" if recipe.event_statistics else "media",
        recipe=recipe.model_dump(mode="json"),
        split=split_record(catalog, leaks),
        training_data=data_summary(learner.selected, recipe.preprocessing.crop),
        metrics=judged.metrics,
        metrics_on=judged.measured_on + caveat,
        backbone={"name": learner.backbone.card.name, "fingerprint": learner.backbone.fingerprint},
        notices=learner.backbone.card.notices,
        versions={name: version(name) for name in LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    model = _write(learner, heads, card, folder / MODEL)
    facts = PredictionFacts(recipe=recipe.name, measured_on=card.metrics_on)
    fingerprint = ModelFile(model, threads=1).fingerprint
    predictions_of(recipe, learner.selected, judged, fingerprint, facts).save(folder / "validation.parquet")
    _write_history(heads[0], found, folder)
    return model


def _write_history(head: AnyHead, found: linear.OutOfFold, folder: Path) -> None:
    if isinstance(head, DenseHead):
        write_history(head.history, folder)
        draw_history([head.history], folder / "history.png")
        return
    losses = [{"weight_decay": key, "out_of_fold_log_loss": value} for key, value in found.losses.items()]
    write_history(losses, folder)
    if len(losses) > 1:
        draw_strengths(found.losses, found.best, folder / "history.png")


def crossval_head(
    recipe: Recipe,
    catalog: Catalog,
    folds: int | Sequence[Catalog] = 5,
    *,
    cache: Path | None = None,
    report: StepReport | None = None,
) -> CrossValidation:
    """Judge a head recipe by location folds; the features are computed once.

    The strength and the temperature behind the figures of a fold were chosen on the other folds.

    Args:
        recipe: with the backbone `model-file:…`; `fit` is not looked at.
        catalog: all labelled media of its parts train and validation are used; without a split all.
        folds: how many (dealt with the recipe's seed), or the folds themselves.
        cache: folder for features; None for the user's.
        report: told of each step.
    """
    started = time.monotonic()
    learner = HeadLearner(recipe, select_media(catalog, recipe, needs_split=False), cache, report)
    rows, numbers = held_out(learner.selected, folds, recipe)
    found = learner.out_of_fold(rows, numbers)
    logits, judged = _judge_folds(learner, found, rows, numbers)
    facts = PredictionFacts(recipe=recipe.name, measured_on=judged.measured_on)
    return CrossValidation(
        predictions=predictions_of(recipe, learner.selected, judged, "out-of-fold", facts),
        metrics=judged.metrics,
        judged=judged,
        logits=logits.astype(np.float32),
        folds=numbers,
        best_epochs=(),
        histories=(),
        seconds=time.monotonic() - started,
    )


def looks_of(recipe: Recipe) -> Looks:
    """The views that a recipe's flips and full frames call for, weighted by their chances."""
    change, cropped = recipe.augmentation, recipe.preprocessing
    frames = [(cropped, 1.0)]
    if change.full_frame and cropped.crop is not None:
        frames = [
            (cropped, 1 - change.full_frame),
            (cropped.model_copy(update={"crop": None}), change.full_frame),
        ]
    flips = [(False, 1 - change.horizontal_flip), (True, change.horizontal_flip)]
    weighted = [
        (View(frame, mirrored), share * chance) for frame, share in frames for mirrored, chance in flips
    ]
    needed = [View(cropped)] + ([View(cropped, mirrored=True)] if recipe.flip_average else [])
    kept = [(view, weight) for view, weight in weighted if weight > 0 or view in needed]
    views = tuple(view for view, _ in kept)
    return Looks(views, tuple(weight for _, weight in kept), tuple(views.index(view) for view in needed))


def _fit(learner: HeadLearner) -> tuple[list[AnyHead], linear.OutOfFold, Judged]:
    """The heads whose mean the model file holds, how they were chosen, and what is said of unseen media."""
    recipe, selected = learner.recipe, learner.selected
    if recipe.fit == "train":
        if recipe.head.hidden:  # there is no strength to choose
            found = linear.OutOfFold({}, {}, dict.fromkeys(learner.strengths, float("nan")))
        else:
            folds = folds_within(selected, selected.train, recipe)
            found = learner.out_of_fold(selected.train, folds)
        head: AnyHead = learner.fit(selected.train, found.best, selected.validation)
        logits = learner.natural(learner.logits(head, selected.validation), selected.train)
        judged = judge(recipe, selected, selected.validation, logits, learner.base(selected.train))
        return [head], found, judged
    rows, numbers = held_out(selected, recipe.folds, recipe)
    found = learner.out_of_fold(rows, numbers)
    _, judged = _judge_folds(learner, found, rows, numbers)
    if recipe.fit == "folds":
        return found.heads[found.best], found, with_note(judged, AVERAGES_FOLDS)
    return [learner.fit(np.sort(rows), found.best)], found, judged


def _judge_folds(
    learner: HeadLearner, found: linear.OutOfFold, rows: Rows, numbers: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], Judged]:
    logits = linear.cross_fitted(found, numbers, learner.score(rows, numbers))
    return logits, judge(learner.recipe, learner.selected, rows, logits, learner.base(rows), folds=numbers)


def held_out(
    selected: Selected,
    folds: int | Sequence[Catalog],
    recipe: Recipe,
    *,
    needs_every_label: bool | None = None,
) -> tuple[Rows, npt.NDArray[np.int64]]:
    """The rows that are held out, fold after fold, and the fold of each; see `fold_rows`."""
    dealt = fold_rows(selected, folds, recipe, needs_every_label=needs_every_label)
    parts = [rows for _, rows in dealt]
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), numbers


def folds_within(selected: Selected, rows: Rows, recipe: Recipe) -> npt.NDArray[np.int64]:
    """[rows]: folds by what `fold_by` says; by event or media where that is not known or the same for all."""
    inside = selected.catalog.with_table(selected.catalog.table[rows.tolist()])
    by, most = _ways_to_deal(inside, recipe)
    folds = most if by == "season" else min(recipe.folds, most)
    if folds < 2:
        raise DataError("The part 'train' has one media only; nothing can be learnt from it.")
    numbers = np.zeros(len(rows), np.int64)
    for fold in range(folds):
        dealt: Any = split_catalog(
            inside, by=by, method="kfold", folds=folds, fold=fold, seed=recipe.seed, check_files=False
        )
        numbers[(dealt.table["split"] == "validation").to_numpy()] = fold
    return numbers


def _ways_to_deal(catalog: Catalog, recipe: Recipe) -> tuple[str, int]:
    """By what folds can be dealt, and how many of these there are."""
    column = {"location": "location_id", "season": "season"}.get(recipe.fold_by)
    if column in catalog.table.columns:
        groups = catalog.table[column]
        if not groups.null_count() and groups.n_unique() > 1:
            return recipe.fold_by, groups.n_unique()
    return "random", len(catalog)


def _layers(heads: Sequence[AnyHead]) -> list[Layer]:
    """The dense layers of a head; of several linear ones their mean."""
    from trapline.models.onnx_graph import Layer, fold_scaling

    if isinstance(heads[0], DenseHead):
        first, *rest = heads[0].layers
        return [fold_scaling(*first, heads[0].mean, heads[0].scale), *(Layer(*layer) for layer in rest)]
    folded = [
        fold_scaling(head.weights, head.bias, head.mean, head.scale)
        for head in heads
        if isinstance(head, linear.LinearHead)
    ]
    weights, bias = (np.mean([layer[place] for layer in folded], axis=0) for place in (0, 1))
    return [Layer(weights, bias)]


def _write(learner: HeadLearner, heads: Sequence[AnyHead], card: Card, path: Path) -> Path:
    from trapline.models.graph_events import describe_events
    from trapline.models.onnx_graph import (
        attach_head,
        average_flips,
        read_graph,
        write_model_file,
    )

    graph = read_graph(learner.network)
    if learner.recipe.event_statistics:
        graph = describe_events(graph, learner.recipe.event_statistics)
    joined = attach_head(graph, _layers(heads))
    return write_model_file(average_flips(joined) if learner.recipe.flip_average else joined, card, path)
