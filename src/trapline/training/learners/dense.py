"""Hidden layers on a frozen backbone: the head of published pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trapline.metrics import probabilities_of
from trapline.recipes import DenseRecipe
from trapline.training.arrays import Floats, Rows
from trapline.training.contract import FitPart, LearntModel, OutOfFold
from trapline.training.dense import DenseHead, fit_dense
from trapline.training.folds import Dealt
from trapline.training.heads_file import load_dense, save_dense
from trapline.training.history import draw_history, epoch_figures, write_history
from trapline.training.learners.linear import LabelLearner
from trapline.training.learners.seen import HEADS
from trapline.training.linear import view_logits

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class DenseModel(LearntModel):
    """One head; of folds one a fold.

    Attributes:
        heads: of them the first is the model file's.
    """

    heads: Sequence[DenseHead] = ()


class DenseLearner(LabelLearner[DenseModel]):
    """Fits hidden layers; see `FrozenLearner`."""

    recipe: DenseRecipe

    def fit(self, rows: Rows, held: Rows | None, chosen: DenseModel | None, folder: Path) -> DenseModel:
        """One head on those of the rows that may train; its epochs are told on `held`."""
        taught = self.taught(rows)
        judge = None if held is None else partial(self._figures, rows, held)
        head = fit_dense(
            self.recipe, self.features[taught], self.selected.targets[taught], self.looks.weights, judge
        )
        return DenseModel(heads=[head])

    def out_of_fold(self, dealt: Dealt, folder: Path) -> OutOfFold[DenseModel]:
        """A head a fold; nothing is chosen by them."""
        fitted = self._fit_folds([train for train, _ in dealt.parts], folder)
        logits = [
            self.natural(self.logits(one, held), train)
            for one, (train, held) in zip(fitted, dealt.parts, strict=True)
        ]
        return OutOfFold(np.concatenate(logits), DenseModel(heads=[one.heads[0] for one in fitted]))

    def make_part(self, part: FitPart, folder: Path) -> None:
        """The head of one fold."""
        model = self.fit(part.arrays["rows"], None, None, folder)
        save_dense(model.heads[0], folder / part.name / HEADS)

    def _fit_folds(self, trains: Sequence[Rows], folder: Path) -> list[DenseModel]:
        if self.elsewhere is None:
            return [self.fit(train, None, None, folder) for train in trains]
        parts = [FitPart(f"fold-{fold}", {"rows": train}, HEADS) for fold, train in enumerate(trains)]
        self.share_out(parts, folder)
        return [DenseModel(heads=[load_dense(folder / part.name / HEADS)]) for part in parts]

    def logits(self, model: DenseModel, rows: Rows) -> Floats:
        """What the model file will say of the rows."""
        return view_logits(model.heads[0], self.features[rows], self.looks.predict)

    def graph(self, model: DenseModel) -> onnx.ModelProto:
        """The backbone with the head's layers."""
        from trapline.models import Layer, attach_head, average_flips, fold_scaling

        head = model.heads[0]
        first, *rest = head.layers
        layers = [fold_scaling(*first, head.mean, head.scale), *(Layer(*layer) for layer in rest)]
        joined = attach_head(self.seeing(), layers)
        return average_flips(joined) if self.recipe.flip_average else joined

    def write_files(self, model: DenseModel, folder: Path) -> None:
        """One row an epoch, the last perhaps cut short by `steps`."""
        history = model.heads[0].history
        write_history(history, folder)
        draw_history([history], folder / "history.png")

    def _figures(self, rows: Rows, held: Rows, head: DenseHead) -> dict[str, float]:
        """How a head that trains on the rows does on those that are held out."""
        logits = self.natural(self.logits(DenseModel(heads=[head]), held), rows)
        probabilities = probabilities_of(logits, self.recipe.softmax)
        return epoch_figures(self.truth(held), probabilities, self.recipe.exclusive)
