"""Networks that PyTorch trains; it is imported when something is fitted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trapline.errors import MissingExtraError, UsageError
from trapline.models import ModelFile, put_off_collecting
from trapline.recipes import NetworkRecipe
from trapline.storage import replace_whole
from trapline.training.arrays import Floats, Rows, Singles
from trapline.training.contract import FitPart, Learner, LearntModel, Origin, OutOfFold, StepReport
from trapline.training.devices import DevicesLike, find_devices
from trapline.training.folds import Dealt
from trapline.training.history import draw_batches, draw_history, write_batches, write_history
from trapline.training.judging import AVERAGES_FOLDS, OF_SINGLE_MODELS
from trapline.training.pixels import PixelCache
from trapline.training.selection import Selected, base_calibration
from trapline.training.views import changes_geometry

if TYPE_CHECKING:
    import onnx

    from trapline.training.fitting import Examples, Fitted

FITTED = "fitted.json"
"""In the folder of a fit that has ended; see `fit_network`."""
ORIGIN, ANSWERS, CHECKPOINT = "weights.json", "validation_logits.f32", "last.ckpt"
"""Likewise: where the weights came from, what was said at each epoch, and where a fit goes on."""


@dataclass(frozen=True)
class NetworkModel(LearntModel):
    """Networks whose mean the model file holds.

    Attributes:
        fitted: members of other seeds, or one a fold.
    """

    fitted: Sequence[Fitted] = ()

    @property
    def best_epochs(self) -> tuple[int, ...]:
        """Of each network, counted from 1."""
        return tuple(one.best_epoch for one in self.fitted)

    @property
    def histories(self) -> tuple[list[dict[str, float]], ...]:
        """Of each network, one dictionary an epoch."""
        return tuple(one.history for one in self.fitted)


class NetworkLearner(Learner[NetworkModel]):
    """Fits networks, resumable epoch by epoch; the pixels are prepared once."""

    libraries: ClassVar[tuple[str, ...]] = (
        *("trapline", "torch", "timm", "onnx", "onnxruntime", "numpy", "pillow"),
    )
    fits_embedding: ClassVar[bool] = True
    recipe: NetworkRecipe

    def __init__(
        self,
        recipe: NetworkRecipe,
        selected: Selected,
        cache: Path | None,
        report: StepReport | None,
        devices: DevicesLike = None,
        compiled: bool = False,
    ) -> None:
        if find_spec("torch") is None:
            raise MissingExtraError("torch", "train", f"Training the recipe '{recipe.name}'")
        self.recipe, self.report, self.compiled = recipe, report, compiled
        self.devices = find_devices(devices)  # before photos are decoded
        if compiled and len(self.devices.names) > 1:
            raise UsageError(
                "A network that is compiled trains on one device: leave --compile out, or ask for one "
                "(--devices 1)."
            )
        self.examples, self.selected = self._gather(selected, PixelCache(cache))

    def _gather(self, selected: Selected, cache: PixelCache) -> tuple[Examples, Selected]:
        catalog, size, change = selected.catalog, self.recipe.preprocessing, self.recipe.augmentation
        with ThreadPoolExecutor(1) as beside:  # decoders leave the interpreter to the import
            beside.submit(_import_pytorch)
            exact = cache.exact(catalog, size, self.tell("decode photos"))
        from trapline.training.batches import TrainingPixels
        from trapline.training.fitting import Examples

        training, whole = exact, None
        if changes_geometry(change):
            training = cache.canvas(catalog, size, change, self.tell("decode wider views"))
            if change.full_frame and size.crop is not None:
                whole = cache.canvas(catalog, size, change, self.tell("decode full frames"), whole=True)
        failed = exact.failed | training.failed | (whole.failed if whole else {})
        examples = Examples(selected.labels, selected.targets, exact, TrainingPixels(training, whole))
        return examples, selected.without(failed)

    def fit(self, rows: Rows, held: Rows | None, chosen: NetworkModel | None, folder: Path) -> NetworkModel:
        """The recipe's members; after folds for as many epochs as were best in the middle one of them."""
        members, fitted = self.recipe.members, []
        epochs = None if chosen is None else round(float(np.median(chosen.best_epochs)))
        parts = [_part(f"member-{member}", rows, held, epochs, member) for member in range(members)]
        self.share_out(parts, folder)
        for member, part in enumerate(parts):
            what = "train" if members == 1 else f"member {member + 1} of {members}"
            fitted.append(self._fit_part(part, folder, what))
        note = ""
        if epochs is not None:
            run = f"{epochs} of {self.recipe.epochs} epochs"
            note = f"; the model file was then trained on all of them for {run}"
            if members > 1:
                note += f", {members} times, and averages these; {OF_SINGLE_MODELS}"
        return NetworkModel(note, fitted)

    def make_part(self, part: FitPart, folder: Path) -> None:
        """Fit it; its checkpoints are what is kept."""
        self._fit_part(part, folder)

    def _fit_part(self, part: FitPart, folder: Path, what: str = "train") -> Fitted:
        """What was fitted of a part before, here or elsewhere, is only read."""
        arrays, (member, epochs) = part.arrays, part.arrays["member_and_epochs"].tolist()
        recipe = self.recipe.model_copy(update={"seed": self.recipe.seed + member})
        if epochs:  # chosen already
            recipe = recipe.model_copy(update={"selection": "last", "patience": None})
        return self.fit_one(
            recipe, arrays["rows"], arrays.get("held"), folder / part.name, what, epochs or None
        )

    def fit_one(
        self,
        recipe: NetworkRecipe,
        rows: Rows,
        held: Rows | None,
        folder: Path,
        what: str = "train",
        stop_after: int | None = None,
    ) -> Fitted:
        """Fit one network of the recipe, or of the recipe with another seed; see `fit_network`."""
        from trapline.training.fitting import NetworkFit, fit_network

        report = None if self.report is None else partial(self.report, what)
        base, taught = base_calibration(recipe, self.selected, rows), self.selected.taught(recipe, rows).rows
        fit = NetworkFit(
            recipe, self.examples, taught, held, folder, base, stop_after or recipe.epochs, self.compiled
        )
        return fit_network(fit, self.devices, report)

    def out_of_fold(self, dealt: Dealt, folder: Path) -> OutOfFold[NetworkModel]:
        """A network a fold, each judged at the epoch that the other folds chose."""
        fitted, logits = [], []
        parts = [_part(f"fold-{fold}", train, held) for fold, (train, held) in enumerate(dealt.parts)]
        self.share_out(parts, folder)
        for fold, part in enumerate(parts):
            fitted.append(self._fit_part(part, folder, f"fold {fold + 1} of {len(parts)}"))
        epochs = epochs_of_others(fitted)
        reached = self._go_on(parts, fitted, epochs, folder)
        for (train, _), one, epoch in zip(dealt.parts, reached, epochs, strict=True):
            logits.append(self.natural(one.said_at(epoch), train))
        return OutOfFold(np.concatenate(logits), NetworkModel(AVERAGES_FOLDS, fitted))

    def _go_on(
        self, parts: Sequence[FitPart], fitted: Sequence[Fitted], epochs: Sequence[int], folder: Path
    ) -> list[Fitted]:
        """The folds trained on to the epoch that they are judged at, where patience ended them before it.

        Patience looked at the very media that are judged. What such a fold chose for itself stays as it is.
        """
        longer: dict[int, FitPart] = {}
        for fold, (part, one, epoch) in enumerate(zip(parts, fitted, epochs, strict=True)):
            if epoch > len(one.history):
                rows, held = part.arrays["rows"], part.arrays["held"]
                longer[fold] = _part(f"{part.name}-longer", rows, held, epoch)
                _take_over(folder / part.name, folder / longer[fold].name)
        self.share_out(list(longer.values()), folder)
        reached = list(fitted)
        for fold, part in longer.items():
            reached[fold] = self._fit_part(
                part, folder, f"fold {fold + 1} of {len(parts)}, to epoch {epochs[fold]}"
            )
        return reached

    def held_logits(self, model: NetworkModel) -> Floats:
        """What was said at the epoch that each network kept."""
        return np.asarray(np.mean([one.said_at(one.best_epoch) for one in model.fitted], axis=0))

    def logits(self, model: NetworkModel, rows: Rows) -> Floats:
        """What the model file will say of the rows."""
        from trapline.training.fitting import network_logits

        exact, flips = self.examples.exact, self.recipe.flip_average
        by_network = [network_logits(one.network, exact, rows, flips) for one in model.fitted]
        return np.asarray(np.mean(by_network, axis=0))

    def embeddings(self, model: NetworkModel, rows: Rows) -> Singles:
        """Those of the networks, side by side."""
        from trapline.training.fitting import network_embeddings

        exact, flips = self.examples.exact, self.recipe.flip_average
        return np.hstack([network_embeddings(one.network, exact, rows, flips) for one in model.fitted])

    def file_logits(self, file: ModelFile, rows: Rows) -> Floats:
        """What the model file says of the photos themselves."""
        return np.asarray(file.run(self.examples.exact.pixels[rows]).logits)

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


def _part(name: str, rows: Rows, held: Rows | None, epochs: int | None = None, member: int = 0) -> FitPart:
    numbers = np.array([member, epochs or 0])
    given = {} if held is None else {"held": held}
    return FitPart(name, {"rows": rows, "member_and_epochs": numbers} | given, FITTED)


def epochs_of_others(fitted: Sequence[Fitted]) -> list[int]:
    """The epoch at which each fold is judged: the median of the other folds' best ones.

    Its own best one was chosen on the very media that it is judged on, and so was where its patience ended.
    """
    best = [one.best_epoch for one in fitted]
    of_others = (best[:index] + best[index + 1 :] for index in range(len(best)))
    return [round(float(np.median(others))) for others in of_others]


def _take_over(before: Path, folder: Path) -> None:
    """Put into a folder what a fit needs to go on where another ended; what has begun there is left alone."""
    if (folder / CHECKPOINT).is_file():
        return
    for name in (ORIGIN, ANSWERS, CHECKPOINT):  # that one last: with it the fit has begun
        with replace_whole(folder / name) as partial:
            shutil.copyfile(before / name, partial)


def _import_pytorch() -> None:
    with put_off_collecting():
        import trapline.training.fitting  # noqa: F401
