"""Parts of a training made in other processes: its folds, its members.

What they need lies in the folder of the run: the recipe, the catalog and, for each part, what it is fitted
on. What they leave lies there too, and the training goes on with it as with what it had fitted itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from trapline.catalog import Catalog
from trapline.errors import TraplineWarning, UsageError
from trapline.recipes import HeadRecipe, NetworkRecipe, Recipe, TreeRecipe, read_recipe
from trapline.storage import replace_whole
from trapline.tasks import Standing, Task, run_tasks
from trapline.taxonomy import Taxonomy
from trapline.training.contract import FitPart, StepReport
from trapline.training.devices import DevicesLike
from trapline.training.learners import choose_learner
from trapline.training.run_folder import CATALOG, RECIPE, begin, keep_taxonomy, read_taxonomy

PART = "part.npz"


def refuse_alone(recipe: Recipe) -> None:
    """Refuse to share out a training of one model, before any work.

    Raises:
        UsageError: so it is.
    """
    chosen_by_folds = isinstance(recipe, HeadRecipe | TreeRecipe)
    several = isinstance(recipe, NetworkRecipe) and recipe.members > 1
    if recipe.fit == "train" and not (chosen_by_folds or several):
        raise UsageError(
            f"The recipe '{recipe.name}' fits one model here, which cannot be shared out: leave --on out, "
            "ask for folds (--folds 5) or, of a network, for several members (--set members=3)."
        )


@dataclass(frozen=True)
class Elsewhere:
    """Makes parts of one training in processes of their own; a `trapline.training.contract.MakeParts`.

    Attributes:
        on: where; see `trapline.tasks.run_tasks`.
        recipe: that is trained.
        catalog: on which.
        taxonomy: what the labels are, where the recipe asks.
        needs_split: see `choose_learner`.
        cache: folder for pixels and features; None for the user's.
        devices: on which networks are trained.
        report: told how many parts are done.
        compiled: whether PyTorch compiles networks.
    """

    on: str
    recipe: Recipe
    catalog: Catalog
    taxonomy: Taxonomy | None
    needs_split: bool
    cache: Path | None
    devices: DevicesLike
    report: StepReport | None
    compiled: bool = False

    def __call__(self, parts: Sequence[FitPart], folder: Path) -> None:
        """Have them made; one alone is left to whoever asks.

        Raises:
            TasksFailedError: some could not be made; what the others left stands.
        """
        if len(parts) < 2:
            return
        parts = [part for part in parts if not (folder / part.name / part.leaves).is_file()]
        begin(folder, self.recipe, self.catalog)
        try:
            for part in parts:
                self._put_down(part, folder / part.name)
            run_tasks([self._task(part, folder) for part in parts], self.on, report=self._show)
        finally:
            for part in parts:
                (folder / part.name / PART).unlink(missing_ok=True)

    def _put_down(self, part: FitPart, folder: Path) -> None:
        with replace_whole(folder / PART) as partial, partial.open("wb") as file:
            np.savez(file, **part.arrays)
        keep_taxonomy(self.taxonomy, folder)

    def _task(self, part: FitPart, folder: Path) -> Task:
        arguments = {
            "folder": str(folder.absolute()),
            "part": part.name,
            "needs_split": self.needs_split,
            "cache": None if self.cache is None else str(self.cache.absolute()),
            "devices": self.devices,
            "compiled": self.compiled,
        }
        return Task(part.name, f"{__name__}:{make_part.__name__}", arguments)

    def _show(self, standing: Standing) -> None:
        if self.report is not None:
            self.report("parts", standing.done, standing.total, "; ".join(standing.news))


def make_part(
    folder: str, part: str, needs_split: bool, cache: str | None, devices: DevicesLike, compiled: bool
) -> None:
    """Fit one part of a training that another process has begun; what a task of it does.

    Args:
        folder: of the run.
        part: its name.
        needs_split: see `choose_learner`.
        cache: folder for pixels and features; None for the user's.
        devices: on which networks are trained.
        compiled: whether PyTorch compiles them.

    Raises:
        UsageError: the folder is not here.
    """
    run = Path(folder)
    path = run / part / PART
    if not path.is_file():
        raise UsageError(f"{path} is not on this machine. Name a folder of the run that all machines share.")
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    recipe = read_recipe(yaml.safe_load((run / RECIPE).read_text(encoding="utf-8")), str(run / RECIPE))
    catalog, taxonomy = Catalog.load(run / CATALOG), read_taxonomy(run / part)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraplineWarning)  # who asked for the part has said so
        make = choose_learner(
            recipe, catalog, taxonomy, needs_split=needs_split, devices=devices, compiled=compiled
        )
        learner = make(None if cache is None else Path(cache), None)
    learner.make_part(FitPart(part, arrays, leaves=""), run)
