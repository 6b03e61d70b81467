"""Pixels and fits of the recipes that PyTorch trains; imports PyTorch only when something is fitted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trapline.errors import MissingExtraError
from trapline.models import put_off_collecting
from trapline.recipes import NetworkRecipe
from trapline.training.arrays import Rows
from trapline.training.contract import StepReport
from trapline.training.pixels import PixelCache, Progress
from trapline.training.selection import Selected, base_calibration
from trapline.training.views import changes_geometry

if TYPE_CHECKING:
    from trapline.training.fitting import Examples, Fitted


class TorchLearner:
    """Fits networks of one recipe on rows of one selection; the pixels are prepared once.

    Args:
        recipe: any whose backbone is trained.
        selected: the media.
        cache: folder for pixels, None for the user's.
        report: told of what is being done.
    """

    def __init__(
        self, recipe: NetworkRecipe, selected: Selected, cache: Path | None, report: StepReport | None
    ) -> None:
        if find_spec("torch") is None:
            raise MissingExtraError("torch", "train", f"Training the recipe '{recipe.name}'")
        self.recipe, self.report = recipe, report
        self.examples, self.selected = self._gather(selected, PixelCache(cache))

    def _gather(self, selected: Selected, cache: PixelCache) -> tuple[Examples, Selected]:
        size, change = self.recipe.preprocessing, self.recipe.augmentation
        with ThreadPoolExecutor(1) as beside:  # decoders leave the interpreter to the import
            beside.submit(_import_pytorch)
            exact = cache.exact(selected.catalog, size, self._tell("decode photos"))
        from trapline.training.batches import TrainingPixels
        from trapline.training.fitting import Examples

        training, whole, failed = exact, None, dict(exact.failed)
        if changes_geometry(change):
            training = cache.canvas(selected.catalog, size, change, self._tell("decode wider views"))
            failed |= training.failed
            if change.full_frame and size.crop is not None:
                whole = cache.canvas(
                    selected.catalog, size, change, self._tell("decode full frames"), whole=True
                )
                failed |= whole.failed
        examples = Examples(selected.labels, selected.targets, exact, TrainingPixels(training, whole))
        return examples, selected.without(failed)

    def fit(
        self,
        train: Rows,
        validation: Rows | None,
        folder: Path,
        *,
        what: str = "train",
        seed: int | None = None,
        stop_after: int | None = None,
    ) -> Fitted:
        """Fit one network, with another seed than the recipe's if one is given; see `fit_network`."""
        from trapline.training.fitting import fit_network

        recipe = self.recipe if seed is None else self.recipe.model_copy(update={"seed": seed})
        base = base_calibration(recipe, self.selected, train)
        train = self.selected.taught(recipe, train).rows
        told = self._line(what)
        return fit_network(
            recipe, self.examples, train, validation, folder, base=base, stop_after=stop_after, report=told
        )

    def _tell(self, what: str) -> Progress | None:
        report = self.report
        return None if report is None else lambda done, total: report(what, done, total, "")

    def _line(self, what: str) -> Callable[[int, int, str], None] | None:
        report = self.report
        return None if report is None else lambda done, total, line: report(what, done, total, line)


def _import_pytorch() -> None:
    with put_off_collecting():
        import trapline.training.fitting  # noqa: F401
