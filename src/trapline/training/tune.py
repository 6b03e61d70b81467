"""`tune`: search a recipe's declared space by location folds, with Optuna, in one process or in many."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from trapline.catalog import Catalog, SourceGoneError, harmless_cell, known_labels, training_fingerprint
from trapline.errors import DataError, TraplineError, UsageError, many, require
from trapline.metrics import LOWER_IS_BETTER, metric_names
from trapline.metrics import Task as MetricTask
from trapline.recipes import Choice, LabelRecipe, Recipe, change_recipe, joined_fields, read_recipe
from trapline.tasks import Standing, Task, run_tasks
from trapline.taxonomy import Taxonomy
from trapline.training.contract import StepReport
from trapline.training.devices import DevicesLike
from trapline.training.frozen import need_weights
from trapline.training.run import crossval
from trapline.training.run_folder import CATALOG, keep_taxonomy, read_taxonomy

if TYPE_CHECKING:
    from trapline.training.study import Direction, SharedStudy

Figure = tuple[float, float | None, float | None]
FIGURES = ("log_loss", "accuracy", "balanced_accuracy", "macro_f1")
TrialReport = Callable[[int, int, str], None]
"""Called with trials done, trials in all and a line about the best so far."""


@dataclass(frozen=True)
class TuningTrial:
    """One point of the search space and what location folds say of it.

    Attributes:
        number: from 0.
        values: dotted field (or several, joined by commas) -> value (or a list of one a field).
        metrics: name -> (value, low, high), out of fold; empty if the trial failed.
        seconds: that it took.
        failure: why it failed, or empty.
    """

    number: int
    values: dict[str, Any]
    metrics: dict[str, Figure]
    seconds: float
    failure: str = ""


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        recipe: the best recipe.
        best: its trial.
        trials: all that ended, in order.
        metric: by which the best was chosen.
        folder: of the search: `best.yaml` and the study.
    """

    recipe: Recipe
    best: TuningTrial
    trials: tuple[TuningTrial, ...]
    metric: str
    folder: Path


def tune(
    recipe: Recipe,
    catalog: Catalog,
    folder: Path | str,
    *,
    trials: int = 20,
    folds: int = 3,
    metric: str = "log_loss",
    taxonomy: Taxonomy | None = None,
    devices: DevicesLike = None,
    cache: Path | None = None,
    on: str | None = None,
    report: TrialReport | None = None,
    step_report: StepReport | None = None,
) -> Tuned:
    """Search the recipe's space; called again on the same folder it goes on until there are `trials` in all.

    Any number of processes may do so at once, on machines that share the folder: together they make that
    many trials and no more, and all return when the last has ended. A trial of one that dies counts for
    nothing and is made again.

    Args:
        recipe: its `search` is the space; its seed deals the folds and starts the search.
        catalog: labelled media of train and validation (all, without a split); a test part is never seen.
        folder: gets `study.journal`, `trials.csv` and `best.yaml` (for `--recipe-file`);
            `trapline.reports.tuning_report` makes a page of what is returned.
        trials: how many in all.
        folds: location folds a trial.
        metric: out of fold, by which trials are compared.
        taxonomy: what the labels are, for recipes of taxa.
        devices: on which networks are trained.
        cache: folder for pixels and features; None for the user's.
        on: where trials are made, several at once, each in a process of its own; see `trapline.tasks`. None
            for one after the other, here.
        report: told after each trial.
        step_report: told of the steps inside a trial that is made here.

    Raises:
        UsageError: the recipe declares no space, the folder is of another search, or the metric cannot be
            computed for the recipe.
        DataError: every trial failed, or the backbone's weights cannot be had.
        SourceGoneError: the photos can no longer be read; the same call goes on when they can.
        TasksFailedError: a trial that was made elsewhere died again and again; the same call goes on.
    """
    if not recipe.search:
        raise UsageError(
            f"The recipe '{recipe.name}' declares no search space. Give one in a recipe file: "
            "search: {optimiser.lr: {choices: [1e-3, 1e-4]}}."
        )
    require("optuna", "train", "Tuning")
    _check_metric(metric, recipe, catalog)
    need_weights(recipe, cache)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    search = _Tuning(recipe, catalog, folder, folds, metric, taxonomy, cache, devices, step_report)
    with search.opened() as study:

        def tell() -> None:
            ended = ended_trials(study)
            best = search.write(study, ended)  # a search that is killed keeps its best so far
            line = f"best {metric} {best.metrics[metric][0]:.3f} (trial {best.number})" if best else ""
            if report is not None:
                report(len(ended), trials, line)

        if on is not None:
            search.make_elsewhere(study, trials, on, tell)
        while search.make_one(study, trials):
            tell()
        ended = ended_trials(study)
        best = search.write(study, ended)
    if best is None:
        raise DataError(f"Every trial failed; the last one: {ended[-1].failure}")
    return Tuned(change_recipe(recipe, _apart(best.values)), best, tuple(ended), metric, folder)


def make_trial(
    recipe: dict[str, Any],
    folder: str,
    trials: int,
    folds: int,
    metric: str,
    cache: str | None,
    devices: DevicesLike,
) -> None:
    """Make one trial of a search that `tune` has begun, unless there are enough; what a task of it does.

    Args:
        recipe: as JSON.
        folder: of the search, with the catalog and, for recipes of taxa, the taxonomy.
        trials: how many in all.
        folds: location folds a trial.
        metric: by which trials are compared.
        cache: folder for pixels and features; None for the user's.
        devices: on which networks are trained.
    """
    require("optuna", "train", "Tuning")
    where = Path(folder)
    search = _Tuning(
        read_recipe(recipe, f"the recipe of {where}"),
        Catalog.load(where / CATALOG),
        where,
        folds,
        metric,
        read_taxonomy(where),
        None if cache is None else Path(cache),
        devices,
    )
    with search.opened() as study:
        search.make_one(study, trials)


@dataclass(frozen=True)
class _Tuning:
    """What is tried, on what."""

    recipe: Recipe
    catalog: Catalog
    folder: Path
    folds: int
    metric: str
    taxonomy: Taxonomy | None
    cache: Path | None
    devices: DevicesLike = None
    report: StepReport | None = None

    def opened(self) -> SharedStudy:
        """The study of the folder, begun or gone on with."""
        from trapline.training.study import SharedStudy

        wanted = {
            "recipe": self.recipe.model_dump(mode="json"),
            "catalog": training_fingerprint(self.catalog),
            "folds": self.folds,
            "metric": self.metric,
        }
        direction: Direction = "minimize" if self.metric in LOWER_IS_BETTER else "maximize"
        return SharedStudy(self.folder, wanted, direction, self.recipe.seed)

    def make_one(self, study: SharedStudy, trials: int) -> bool:
        """Make a trial here; False if there are enough.

        One that cannot be trained is written down as such, and the search goes on.
        """
        trial = study.take(trials)
        if trial is None:
            return False
        try:
            figures = self._judge(change_recipe(self.recipe, _apart(_suggest(trial, self.recipe))))
        except (UsageError, SourceGoneError):
            study.give_up(trial)
            raise  # no settings would mend it
        except TraplineError as error:
            study.fail(trial, str(error))
        except (RuntimeError, MemoryError) as error:  # PyTorch's, of memory above all
            study.fail(trial, f"{type(error).__name__}: {error}".splitlines()[0])
        except BaseException:
            study.give_up(trial)
            raise
        else:
            study.complete(trial, figures[self.metric][0], metrics=figures)
        return True

    def _judge(self, recipe: Recipe) -> dict[str, Figure]:
        scores = crossval(
            recipe,
            self.catalog,
            self.folds,
            taxonomy=self.taxonomy,
            devices=self.devices,
            cache=self.cache,
            report=self.report,
        )
        figures = {
            name: (figure.value, figure.low, figure.high)
            for name, figure in scores.metrics.items()
            if name in {self.metric, *FIGURES}
        }
        if self.metric not in figures:
            raise DataError(f"The metric '{self.metric}' is undefined for this trial.")
        return figures

    def make_elsewhere(self, study: SharedStudy, trials: int, on: str, tell: Callable[[], None]) -> None:
        """Make the trials that are left in processes of their own."""
        left = range(len(ended_trials(study)), trials)
        self.catalog.save(self.folder / CATALOG)
        keep_taxonomy(self.taxonomy, self.folder)
        arguments = {
            "recipe": self.recipe.model_dump(mode="json"),
            "folder": str(self.folder.absolute()),
            "trials": trials,
            "folds": self.folds,
            "metric": self.metric,
            "cache": None if self.cache is None else str(self.cache.absolute()),
            "devices": self.devices,
        }
        tasks = [
            Task(f"trial {one + 1} of {trials}", f"{__name__}:{make_trial.__name__}", arguments)
            for one in left
        ]
        done = 0

        def show(standing: Standing) -> None:
            nonlocal done
            if standing.done > done:
                done = standing.done
                tell()

        run_tasks(tasks, on, report=show)

    def write(self, study: SharedStudy, trials: list[TuningTrial]) -> TuningTrial | None:
        """Write all trials, and the best of those that did not fail; which it is."""
        sign = 1 if self.metric in LOWER_IS_BETTER else -1
        good = [trial for trial in trials if trial.metrics]
        best = min(good, key=lambda trial: sign * trial.metrics[self.metric][0], default=None)
        with study.writing():
            _write_csv(self.recipe, trials, self.folder / "trials.csv")
            if best is not None:
                text = yaml.safe_dump(_apart(best.values), sort_keys=False)
                head = (
                    f"# The best of {many(len(trials), 'trial')} for the recipe {self.recipe.name}; use it "
                    "with --recipe-file.\n"
                )
                (self.folder / "best.yaml").write_text(head + text, encoding="utf-8")
        return best


def _check_metric(metric: str, recipe: Recipe, catalog: Catalog) -> None:
    """Refuse what cannot be computed for this recipe and these labels, before hours go into a trial."""
    known = metric_names(recipe.task)
    if isinstance(recipe, LabelRecipe) and recipe.task == "single-label":
        labels = catalog.table.select(known_labels(catalog.table).explode().drop_nulls().n_unique()).item()
        few = [name for name in known if name.startswith("top_") and int(name.split("_")[1]) >= labels > 0]
        known = tuple(name for name in known if name not in few)
    if metric not in known:
        everywhere = {name for task in get_args(MetricTask) for name in metric_names(task)}
        what = f"There is no metric '{metric}'"
        if metric in everywhere:
            what = f"The metric '{metric}' cannot be computed for the {recipe.task} recipe '{recipe.name}'"
            what += " and these labels" if metric in metric_names(recipe.task) else ""
        raise UsageError(f"{what}; there are {', '.join(known)}.")


def _suggest(trial: Any, recipe: Recipe) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field, dimension in recipe.search.items():
        if isinstance(dimension, Choice):  # as JSON, since Optuna's choices are plain values
            text = trial.suggest_categorical(field, [json.dumps(choice) for choice in dimension.choices])
            values[field] = json.loads(text)
        elif dimension.whole:
            values[field] = trial.suggest_int(
                field, int(dimension.low), int(dimension.high), log=dimension.log
            )
        else:
            values[field] = trial.suggest_float(field, dimension.low, dimension.high, log=dimension.log)
    return values


def _apart(values: dict[str, Any]) -> dict[str, Any]:
    """One value a field of the recipe, also where a dimension sets several."""
    fixed: dict[str, Any] = {}
    for name, value in values.items():
        fields = joined_fields(name)
        fixed |= {name: value} if len(fields) == 1 else dict(zip(fields, value, strict=True))
    return fixed


def ended_trials(study: SharedStudy) -> list[TuningTrial]:
    """The trials that ended, well or not; one that was killed is not among them and is made again."""
    ended = []
    for frozen in study.study.get_trials(deepcopy=False):
        if frozen.state.name not in ("COMPLETE", "PRUNED"):
            continue
        values = {
            field: json.loads(value) if isinstance(value, str) else value
            for field, value in frozen.params.items()
        }
        metrics = {name: tuple(figure) for name, figure in frozen.user_attrs.get("metrics", {}).items()}
        failure = frozen.user_attrs.get("failure", "")
        ended.append(TuningTrial(frozen.number, values, metrics, frozen.duration.total_seconds(), failure))
    return ended


def _write_csv(recipe: Recipe, trials: list[TuningTrial], path: Path) -> None:
    names = sorted({name for trial in trials for name in trial.metrics})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        edges = [f"{name}{edge}" for name in names for edge in ("", "_low", "_high")]
        writer.writerow(["trial", *recipe.search, *edges, "seconds", "failure"])
        for trial in trials:
            figures = [value for name in names for value in trial.metrics.get(name, (None,) * 3)]
            values = [trial.values.get(field) for field in recipe.search]
            row = [trial.number, *values, *figures, f"{trial.seconds:.1f}", trial.failure]
            writer.writerow([harmless_cell(cell) if isinstance(cell, str) else cell for cell in row])
