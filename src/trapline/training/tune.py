"""`tune`: search a recipe's declared space by location folds, with Optuna, resumable trial by trial."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from trapline.catalog import Catalog, SourceGoneError, harmless_cell, known_labels, training_fingerprint
from trapline.errors import DataError, TraplineError, UsageError, require
from trapline.metrics import LOWER_IS_BETTER, Task, metric_names
from trapline.recipes import Choice, LabelRecipe, Recipe, change_recipe, joined_fields, read_recipe
from trapline.taxonomy import Taxonomy
from trapline.training.contract import StepReport
from trapline.training.devices import DevicesLike
from trapline.training.frozen import need_weights
from trapline.training.run import crossval

STUDY = "study.sqlite"
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
    metrics: dict[str, tuple[float, float | None, float | None]]
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
    report: TrialReport | None = None,
    step_report: StepReport | None = None,
) -> Tuned:
    """Search the recipe's space; called again on the same folder it goes on until there are `trials` in all.

    Args:
        recipe: its `search` is the space; its seed deals the folds and starts the search.
        catalog: labelled media of train and validation (all, without a split); a test part is never seen.
        folder: gets `study.sqlite`, `trials.csv` and `best.yaml` (for `--recipe-file`);
            `trapline.reports.tuning_report` makes a page of what is returned.
        trials: how many in all.
        folds: location folds a trial.
        metric: out of fold, by which trials are compared.
        taxonomy: what the labels are, for recipes of taxa.
        devices: on which networks are trained.
        cache: folder for pixels and features; None for the user's.
        report: told after each trial.
        step_report: told of the steps inside a trial.

    Raises:
        UsageError: the recipe declares no space, the folder is of another search, or the metric cannot be
            computed for the recipe.
        DataError: every trial failed, or the backbone's weights cannot be had.
        SourceGoneError: the photos can no longer be read; the same call goes on when they can.
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
    study = _open_study(recipe, catalog, folder, folds, metric)

    def evaluate(trial: Any) -> float:
        chosen = change_recipe(recipe, _apart(_suggest(trial, recipe)))
        scores = crossval(
            chosen, catalog, folds, taxonomy=taxonomy, devices=devices, cache=cache, report=step_report
        )
        figures = {
            name: (figure.value, figure.low, figure.high)
            for name, figure in scores.metrics.items()
            if name in {metric, *FIGURES}
        }
        if metric not in figures:
            raise DataError(f"The metric '{metric}' is undefined for this trial.")
        trial.set_user_attr("metrics", figures)
        return figures[metric][0]

    def after(study: Any, frozen: Any) -> None:
        ended = ended_trials(study)
        best = _write(recipe, ended, metric, folder)  # a search that is killed keeps its best so far
        line = f"best {metric} {best.metrics[metric][0]:.3f} (trial {best.number})" if best else ""
        if report is not None:
            report(len(ended), trials, line)

    while (left := trials - len(ended_trials(study))) > 0:
        study.optimize(_failing_softly(evaluate), n_trials=left, callbacks=[after])
    ended = ended_trials(study)
    best = _write(recipe, ended, metric, folder)
    if best is None:
        raise DataError(f"Every trial failed; the last one: {ended[-1].failure}")
    return Tuned(change_recipe(recipe, _apart(best.values)), best, tuple(ended), metric, folder)


def _check_metric(metric: str, recipe: Recipe, catalog: Catalog) -> None:
    """Refuse what cannot be computed for this recipe and these labels, before hours go into a trial."""
    known = metric_names(recipe.task)
    if isinstance(recipe, LabelRecipe) and recipe.task == "single-label":
        labels = catalog.table.select(known_labels(catalog.table).explode().drop_nulls().n_unique()).item()
        few = [name for name in known if name.startswith("top_") and int(name.split("_")[1]) >= labels > 0]
        known = tuple(name for name in known if name not in few)
    if metric not in known:
        everywhere = {name for task in get_args(Task) for name in metric_names(task)}
        what = f"There is no metric '{metric}'"
        if metric in everywhere:
            what = f"The metric '{metric}' cannot be computed for the {recipe.task} recipe '{recipe.name}'"
            what += " and these labels" if metric in metric_names(recipe.task) else ""
        raise UsageError(f"{what}; there are {', '.join(known)}.")


def _failing_softly(objective: Callable[[Any], float]) -> Callable[[Any], float]:
    """A trial that cannot be trained is written down as such, and the search goes on."""
    import optuna

    def attempt(trial: Any) -> float:
        try:
            return objective(trial)
        except (UsageError, SourceGoneError):
            raise  # no settings would mend it: the trial counts for nothing
        except TraplineError as error:
            reason = str(error)
        except (RuntimeError, MemoryError) as error:  # PyTorch's, of memory above all
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        trial.set_user_attr("failure", reason)
        raise optuna.TrialPruned(reason)

    return attempt


def _open_study(recipe: Recipe, catalog: Catalog, folder: Path, folds: int, metric: str) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / STUDY
    direction: Any = "minimize" if metric in LOWER_IS_BETTER else "maximize"
    study = optuna.create_study(
        storage=f"sqlite:///{path.absolute().as_posix()}",
        study_name="trapline",
        direction=direction,
        load_if_exists=True,
    )
    wanted = {
        "recipe": recipe.model_dump(mode="json"),
        "catalog": training_fingerprint(catalog),
        "folds": folds,
        "metric": metric,
    }
    if not study.user_attrs:
        for key, value in wanted.items():
            study.set_user_attr(key, value)
    before = dict(study.user_attrs)
    if before.get("recipe", wanted["recipe"]) != wanted["recipe"]:  # or written otherwise by another version
        before["recipe"] = read_recipe(before["recipe"], str(path)).model_dump(mode="json")
    different = [key for key, value in wanted.items() if before.get(key) != value]
    if different:
        raise UsageError(
            f"{folder} holds a search with another {', '.join(different)}. Go on with the same options, or "
            "name another folder with -o."
        )
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(study.trials))
    return study


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


def ended_trials(study: Any) -> list[TuningTrial]:
    """The trials that ended, well or not; one that was killed is not among them and is made again."""
    ended = []
    for frozen in study.get_trials(deepcopy=False):
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


def _write(recipe: Recipe, trials: list[TuningTrial], metric: str, folder: Path) -> TuningTrial | None:
    """Write all trials, and the best of those that did not fail; which it is."""
    _write_csv(recipe, trials, folder / "trials.csv")
    sign = 1 if metric in LOWER_IS_BETTER else -1
    good = [trial for trial in trials if trial.metrics]
    best = min(good, key=lambda trial: sign * trial.metrics[metric][0], default=None)
    if best is not None:
        text = yaml.safe_dump(_apart(best.values), sort_keys=False)
        head = (
            f"# The best of {len(trials)} trials for the recipe {recipe.name}; use it with --recipe-file.\n"
        )
        (folder / "best.yaml").write_text(head + text, encoding="utf-8")
    return best


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
