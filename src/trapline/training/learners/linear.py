"""Linear heads at their optimum, by scikit-learn; folds choose how strongly they are regularised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from trapline.metrics import binary_losses, log_loss, probabilities_of
from trapline.recipes import DenseRecipe, HeadRecipe
from trapline.training import linear, strengths
from trapline.training.arrays import Floats, Rows
from trapline.training.contract import FitPart, LearntModel, OutOfFold
from trapline.training.events import could_be_learnt, known_labels
from trapline.training.folds import Dealt, folds_within
from trapline.training.history import draw_strengths, write_history
from trapline.training.judging import AVERAGES_FOLDS
from trapline.training.learners.seen import FrozenLearner, save_folds_heads
from trapline.training.strengths import Score, ToTry, Tried, try_strengths
from trapline.training.targets import added_prior, label_weights, sampling_weights, truth_of

if TYPE_CHECKING:
    import onnx

M = TypeVar("M", bound=LearntModel)


@dataclass(frozen=True)
class LinearModel(LearntModel):
    """Heads whose mean the model file holds.

    Attributes:
        heads: one, or one a fold.
        losses: strength -> log loss out of fold.
        strength: that was kept.
    """

    heads: Sequence[linear.LinearLayer] = ()
    losses: Mapping[float, float] = field(default_factory=dict)
    strength: float = 0.0


class LabelLearner(FrozenLearner[M]):
    """What heads of labels share: which rows train, and how much each counts."""

    recipe: HeadRecipe | DenseRecipe

    def truth(self, rows: Rows) -> Rows:
        """What the rows show, as `trapline.metrics` takes it."""
        return truth_of(self.selected.targets[rows], self.recipe.task)

    def taught(self, rows: Rows) -> Rows:
        """Those of the rows that train; see `Selected.taught`."""
        return self.selected.taught(self.recipe, rows).rows


class LinearLearner(LabelLearner[LinearModel]):
    """Fits linear heads; see `FrozenLearner`."""

    recipe: HeadRecipe

    def fit(self, rows: Rows, held: Rows | None, chosen: LinearModel | None, folder: Path) -> LinearModel:
        """One head, of the strength that did best in folds over the rows."""
        if chosen is None:
            folds = folds_within(self.selected, rows, self.recipe)
            tried = self._try_strengths(rows, folds, folder)
            chosen = LinearModel(losses=tried.losses, strength=tried.best)
        head = self._fit(self.taught(rows), chosen.strength)
        return replace(chosen, heads=[self._adjusted(head, rows)], note="")

    def out_of_fold(self, dealt: Dealt, folder: Path) -> OutOfFold[LinearModel]:
        """Heads of the folds; behind each fold's logits the strength that did best on the others."""
        tried = self._try_strengths(dealt.rows, dealt.numbers, folder)
        heads = [self._adjusted(head, dealt.rows) for head in tried.heads[tried.best]]
        model = LinearModel(note=AVERAGES_FOLDS, heads=heads, losses=tried.losses, strength=tried.best)
        return OutOfFold(tried.cross_fitted(), model)

    def logits(self, model: LinearModel, rows: Rows) -> Floats:
        """What the model file will say of the rows."""
        features = self.features[rows]
        by_head = [linear.view_logits(head, features, self.looks.predict) for head in model.heads]
        return np.asarray(np.mean(by_head, axis=0))

    def graph(self, model: LinearModel) -> onnx.ModelProto:
        """The backbone with the mean of the heads."""
        from trapline.models import Layer, attach_head, average_flips, fold_scaling

        folded = [fold_scaling(head.weights, head.bias, head.mean, head.scale) for head in model.heads]
        weights, bias = (np.mean([layer[index] for layer in folded], axis=0) for index in (0, 1))
        joined = attach_head(self.seeing(), [Layer(weights, bias)])
        return average_flips(joined) if self.recipe.flip_average else joined

    def write_files(self, model: LinearModel, folder: Path) -> None:
        """One row a strength, drawn where there was a choice."""
        losses = [{"weight_decay": key, "out_of_fold_log_loss": value} for key, value in model.losses.items()]
        write_history(losses, folder)
        if len(losses) > 1:
            draw_strengths(model.losses, model.strength, folder / "history.png")

    def _fit(
        self, taught: Rows, strength: float, start: linear.LinearLayer | None = None
    ) -> linear.LinearLayer:
        return linear.fit_head(
            self.features[taught],
            self.truth(taught),
            len(self.selected.labels),
            strength,
            media_weights=self._weigh(taught),
            view_weights=self.looks.weights,
            start=start,
            exclusive=self.recipe.exclusive,
        )

    def make_part(self, part: FitPart, folder: Path) -> None:
        """The heads of one fold."""
        what = self._to_try(part.arrays["rows"], part.arrays["folds"])
        save_folds_heads({"": what.heads_of_fold(int(part.arrays["fold"]))}, folder / part.name)

    def _try_strengths(self, rows: Rows, folds: Rows, folder: Path) -> Tried[linear.LinearLayer]:
        """Heads for all strengths and folds of the rows, and what they say, with the priors put right."""
        made = [heads[""] for heads in self.heads_of_folds(rows, folds, folder)]
        return try_strengths(self._to_try(rows, folds), self.tell("heads"), made)

    def _to_try(self, rows: Rows, folds: Rows) -> ToTry[linear.LinearLayer]:

        def fit(
            strength: float, outside: Rows, inside: Rows, start: linear.LinearLayer | None
        ) -> linear.LinearLayer:
            others = rows[outside]
            return self._fit(others[np.isin(others, self.taught(others))], strength, start)

        def answer(head: linear.LinearLayer, outside: Rows, inside: Rows) -> Floats:
            logits = linear.view_logits(head, self.features[rows[inside]], self.looks.predict)
            return self.natural(logits - self._added(rows[outside]), rows[outside])

        fixed = self.recipe.optimiser.weight_decay
        wanted = (fixed,) if fixed else strengths.WEIGHT_DECAYS
        return ToTry(wanted, folds, fit, answer, self._score(rows, folds))

    def _score(self, rows: Rows, folds: Rows) -> Score:
        """The log loss of natural logits of some of the rows.

        A label counts where the other folds show it: no strength can teach the others.
        """
        truth, single = self.truth(rows), self.recipe.task == "single-label"
        known = known_labels(self.selected, rows, folds)
        teaches = could_be_learnt(known, truth)

        def loss(logits: Floats, inside: Rows) -> float:
            probabilities = probabilities_of(logits, self.recipe.softmax)
            if single:
                counts = teaches[inside]
                return float(log_loss(truth[inside][counts], probabilities[counts])) if counts.any() else 0.0
            return float(binary_losses(truth[inside], probabilities)[known[inside]].mean())

        return loss

    def _adjusted(self, head: linear.LinearLayer, rows: Rows) -> linear.LinearLayer:
        """What the head says less what training on the rows had added to it.

        A linear head is fitted to the sum of both, and its bias is free: the sum is the plain fit.
        """
        return replace(head, bias=head.bias - self._added(rows))

    def _added(self, rows: Rows) -> Floats:
        return added_prior(self.recipe, self.selected.targets[self.taught(rows)])

    def _weigh(self, rows: Rows) -> Floats | None:
        targets = self.selected.targets[rows]
        if self.recipe.balance == "sampling":
            return sampling_weights(targets)
        if self.recipe.balance in ("none", "logit-adjustment"):
            return None
        weights = label_weights(targets, self.recipe.task)
        if self.recipe.task == "single-label":
            return np.asarray(weights[targets.argmax(axis=1)])
        return np.where(targets > 0, weights, 1.0)
