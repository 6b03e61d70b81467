"""Networks that PyTorch trains; it is imported when something is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trapline.models import ModelFile, scale_logits
from trapline.recipes import NetworkRecipe
from trapline.training.arrays import Floats, Rows
from trapline.training.contract import Learner, LearntModel, Origin, OutOfFold, StepReport
from trapline.training.folds import Dealt
from trapline.training.history import draw_batches, draw_history, write_batches, write_history
from trapline.training.judging import AVERAGES_FOLDS, OF_SINGLE_MODELS
from trapline.training.selection import Selected
from trapline.training.torch_learner import TorchLearner

if TYPE_CHECKING:
    import onnx

    from trapline.training.fitting import Fitted


@dataclass(frozen=True)
class NetworkModel(LearntModel):
    """Networks whose mean the model file holds.

    Attributes:
        fitted: members of other seeds, or one a fold.
    """

    fitted: Sequence[Fitted] = ()

    @classmethod
    def of(cls, fitted: Sequence[Fitted], note: str = "") -> NetworkModel:
        """The model of some networks."""
        best = tuple(one.best_epoch for one in fitted)
        return cls(best, tuple(one.history for one in fitted), note, fitted)


class NetworkLearner(Learner[NetworkModel]):
    """Fits networks, resumable epoch by epoch; the pixels are prepared once."""

    libraries: ClassVar[tuple[str, ...]] = (
        *("trapline", "torch", "timm", "onnx", "onnxruntime", "numpy", "pillow"),
    )
    recipe: NetworkRecipe

    def __init__(
        self, recipe: NetworkRecipe, selected: Selected, cache: Path | None, report: StepReport | None
    ) -> None:
        self.recipe, self.report = recipe, report
        self.torch = TorchLearner(recipe, selected, cache, report)
        self.selected = self.torch.selected

    def fit(self, rows: Rows, held: Rows | None, chosen: NetworkModel | None, folder: Path) -> NetworkModel:
        """The recipe's members; after folds for as many epochs as were best in the middle one of them."""
        recipe = self.recipe
        epochs = None if chosen is None else round(float(np.median(chosen.best_epochs)))
        fitted = [
            self.torch.fit(
                rows,
                held,
                folder / f"member-{member}",
                what="train" if recipe.members == 1 else f"member {member + 1} of {recipe.members}",
                seed=recipe.seed + member,
                stop_after=epochs,
            )
            for member in range(recipe.members)
        ]
        note = ""
        if epochs is not None:
            note = f"; the model file was then trained on all of them for {epochs} of {recipe.epochs} epochs"
            if recipe.members > 1:
                note += f", {recipe.members} times, and averages these; {OF_SINGLE_MODELS}"
        return NetworkModel.of(fitted, note)

    def out_of_fold(self, dealt: Dealt, folder: Path) -> OutOfFold[NetworkModel]:
        """A network a fold, each judged at the epoch that the other folds chose."""
        fitted = []
        for fold, (train, held) in enumerate(dealt.parts):
            what = f"fold {fold + 1} of {len(dealt.parts)}"
            fitted.append(self.torch.fit(train, held, folder / f"fold-{fold}", what=what))
        logits = [
            scale_logits(
                one.answers.of_epoch(epoch), self.base(train), self.recipe.task, self.selected.labels
            )
            for (train, _), one, epoch in zip(dealt.parts, fitted, epochs_of_others(fitted), strict=True)
            if one.answers is not None
        ]
        return OutOfFold(np.concatenate(logits), NetworkModel.of(fitted, AVERAGES_FOLDS))

    def held_logits(self, model: NetworkModel) -> Floats:
        """What was said at the epoch that each network kept."""
        logits = [one.answers.of_epoch(one.best_epoch) for one in model.fitted if one.answers is not None]
        return np.asarray(np.mean(logits, axis=0))

    def logits(self, model: NetworkModel, rows: Rows) -> Floats:
        """What the model file will say of the rows."""
        from trapline.training.fitting import network_logits

        exact, flips = self.torch.examples.exact, self.recipe.flip_average
        by_network = [network_logits(one.network, exact, rows, flips) for one in model.fitted]
        return np.asarray(np.mean(by_network, axis=0))

    def file_logits(self, file: ModelFile, rows: Rows) -> Floats:
        """What the model file says of the photos themselves."""
        return np.asarray(file.run(self.torch.examples.exact.pixels[rows]).logits)

    def graph(self, model: NetworkModel) -> onnx.ModelProto:
        """The networks, averaged in one graph."""
        from trapline.models import average_flips, average_members
        from trapline.models.networks import network_graph

        size, graphs = self.recipe.preprocessing, []
        for one in model.fitted:
            graph = network_graph(one.network, size.height, size.width)
            graphs.append(average_flips(graph) if self.recipe.flip_average else graph)
        return graphs[0] if len(graphs) == 1 else average_members(graphs)

    def origin(self, model: NetworkModel) -> Origin:
        """What the model started from."""
        weights = model.fitted[0].weights
        size = sum(one.network.embedding_size for one in model.fitted)
        return Origin(weights.name, weights.fingerprint, weights.notices, size)

    def write_files(self, model: NetworkModel, folder: Path) -> None:
        """By epoch, and the training loss by batch."""
        last = model.fitted[-1]
        write_history(last.history, folder)
        if last.batch_losses:
            write_batches(last.batch_losses, folder)
            draw_batches(last.batch_losses, folder / "batches.png")
        kept = last.best_epoch if len(model.fitted) == 1 else None
        draw_history(model.histories, folder / "history.png", kept)


def epochs_of_others(fitted: Sequence[Fitted]) -> list[int]:
    """The epoch at which each fold is judged: the median of the other folds' best ones, if it ran as long.

    Its own best one was chosen on the very media that it is judged on.
    """
    best = [one.best_epoch for one in fitted]
    of_others = (best[:index] + best[index + 1 :] for index in range(len(best)))
    return [
        min(round(float(np.median(others))), len(one.history))
        for one, others in zip(fitted, of_others, strict=True)
    ]
