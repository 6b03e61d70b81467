"""The search goes on past trials that fail, and refuses a metric that there is not before it trains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog, SourceGoneError, refuse_gone
from trapline.errors import DataError, UsageError
from trapline.metrics import Task, metric_names
from trapline.models.card import Interval
from trapline.recipes import Recipe, change_recipe, resolve_recipe
from trapline.training import tune
from trapline.training.judging import intervals_of

optuna = pytest.importorskip("optuna")

RECIPE = change_recipe(
    resolve_recipe("head"), {"search": {"optimiser.weight_decay": {"choices": [0.1, 0.3]}}}
)

TASKS: tuple[Task, ...] = ("single-label", "multi-label")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    rows = [{"media_id": "m", "file_path": "m.jpg", "location_id": "L", "labels": ["fox"]}]
    return Catalog.from_rows(rows, tmp_path, "one")


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the trials say these figures in turn; None cannot be trained, below 0 is undefined."""

    def script(*figures: float | None) -> None:
        left = iter(figures)

        def judged(*_: Any, **__: Any) -> Any:
            value = next(left)
            if value is None:
                raise DataError("no photo could be read")
            figures = {} if value < 0 else {"log_loss": Interval(value=value)}
            return SimpleNamespace(metrics=figures)

        monkeypatch.setattr(sys.modules["trapline.training.tune"], "crossval", judged)

    return script


def test_a_search_is_not_gone_on_with_after_labels_were_corrected(
    catalog: Catalog, say: Callable[..., None], tmp_path: Path
) -> None:
    say(0.7)
    tune(RECIPE, catalog, tmp_path / "s", trials=1)
    corrected = catalog.with_table(catalog.table.with_columns(labels=pl.lit(["hare"])))
    with pytest.raises(UsageError, match="another catalog"):
        tune(RECIPE, corrected, tmp_path / "s", trials=2)


def test_the_search_goes_on_when_the_first_trials_fail(
    catalog: Catalog, say: Callable[..., None], tmp_path: Path
) -> None:
    told: list[str] = []
    say(None, -1, 0.7, 0.5)
    found = tune(RECIPE, catalog, tmp_path / "s", trials=4, report=lambda *line: told.append(line[2]))
    assert [trial.failure for trial in found.trials] == [
        "no photo could be read", "The metric 'log_loss' is undefined for this trial.", "", "",
    ]  # fmt: skip
    assert (found.best.number, found.best.metrics["log_loss"][0]) == (3, 0.5)
    assert told == ["", "", "best log_loss 0.700 (trial 2)", "best log_loss 0.500 (trial 3)"]
    assert len((tmp_path / "s" / "trials.csv").read_text().splitlines()) == 5


def test_a_search_whose_trials_all_fail_says_so(
    catalog: Catalog, say: Callable[..., None], tmp_path: Path
) -> None:
    say(None, None)
    with pytest.raises(DataError, match=r"Every trial failed.*no photo could be read"):
        tune(RECIPE, catalog, tmp_path / "s", trials=2)


def test_photos_that_are_gone_cost_no_trial(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(_: Recipe, asked: Catalog, *__: Any, **___: Any) -> Any:
        refuse_gone(asked)
        return SimpleNamespace(metrics={"log_loss": Interval(value=0.7)})

    monkeypatch.setattr(sys.modules["trapline.training.tune"], "crossval", judged)
    with pytest.raises(SourceGoneError, match="None of the 1 photo"):
        tune(RECIPE, catalog, tmp_path / "s", trials=2)
    (tmp_path / "m.jpg").write_bytes(b"photo")
    found = tune(RECIPE, catalog, tmp_path / "s", trials=2)
    assert [trial.failure for trial in found.trials] == ["", ""]


def test_fields_that_move_together_are_set_together(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[Recipe] = []

    def judged(recipe: Recipe, *_: Any, **__: Any) -> Any:
        tried.append(recipe)
        return SimpleNamespace(metrics={"log_loss": Interval(value=1 - 0.1 * recipe.head.batch_norm)})

    monkeypatch.setattr(sys.modules["trapline.training.tune"], "crossval", judged)
    found = tune(resolve_recipe("small-cnn"), catalog, tmp_path / "s", trials=8)
    pairs = {(recipe.backbone, recipe.head.batch_norm) for recipe in tried}
    assert pairs == {("small-cnn", False), ("small-cnn-bn", True)}
    assert (found.recipe.backbone, found.recipe.head.batch_norm) == ("small-cnn-bn", True)
    best = resolve_recipe("small-cnn", tmp_path / "s" / "best.yaml")
    assert (best.backbone, best.head.batch_norm) == ("small-cnn-bn", True)
    header = (tmp_path / "s" / "trials.csv").read_text().splitlines()[0]
    assert '"backbone, head.batch_norm"' in header


def test_joined_fields_need_a_value_each() -> None:
    with pytest.raises(UsageError, match=r"'epochs, seed' takes choices that are lists of 2 values"):
        change_recipe(RECIPE, {"search": {"epochs, seed": {"choices": [[1, 2], [3]]}}})


def test_an_unknown_metric_is_refused_before_anything_is_made(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no metric 'acuracy'"):
        tune(RECIPE, catalog, tmp_path / "s", metric="acuracy")
    assert not (tmp_path / "s").exists()


@cache
def figures_of(task: Task) -> dict[str, Interval]:
    """What cross-validation says of seven media with a label each."""
    truth = np.arange(7) if task == "single-label" else np.eye(7, dtype=int)
    said = np.full((7, 7), 1 / 7)
    return intervals_of(tuple("abcdefg"), truth, said, np.arange(7), seed=1, exclusive=False)


@pytest.mark.parametrize("metric", sorted({name for task in TASKS for name in metric_names(task)}))
@pytest.mark.parametrize("task", TASKS)
def test_every_metric_is_taken_or_refused_before_the_first_trial(
    metric: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [[name] for name in "abcdefg"]
    rows = [
        {"media_id": str(place), "file_path": f"{place}.jpg", "location_id": f"L{place}", "labels": label}
        for place, label in enumerate(labels)
    ]
    asked: list[int] = []

    def judged(recipe: Recipe, *_: Any, **__: Any) -> Any:
        asked.append(1)
        return SimpleNamespace(metrics=figures_of(recipe.task))

    monkeypatch.setattr(sys.modules["trapline.training.tune"], "crossval", judged)
    recipe = change_recipe(RECIPE, {"task": task})
    catalog = Catalog.from_rows(rows, tmp_path, "seven")
    if metric in metric_names(task):
        found = tune(recipe, catalog, tmp_path / "s", trials=1, metric=metric)
        assert (found.best.metrics[metric][0] >= 0, found.best.failure) == (True, "")
    else:
        with pytest.raises(UsageError, match=f"'{metric}' cannot be computed.*there are .*log_loss"):
            tune(recipe, catalog, tmp_path / "s", trials=1, metric=metric)
        assert not asked


def test_a_rank_that_the_labels_do_not_have_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'top_5_accuracy' cannot be computed .* and these labels"):
        tune(RECIPE, catalog, tmp_path / "s", metric="top_5_accuracy")


def test_a_trial_that_the_libraries_end_is_written_down_with_their_reason(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(sys.modules["trapline.training.tune"], "crossval", judged)
    with pytest.raises(DataError, match=r"Every trial failed.*RuntimeError: CUDA out of memory"):
        tune(RECIPE, catalog, tmp_path / "s", trials=1)
