"""The rounds of teaching of a project: a folder each, which is there whole or not at all."""

from __future__ import annotations

import json
import shutil
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineWarning, UsageError
from trapline.models import ModelFile
from trapline.prediction import Predictions
from trapline.recipes import MODEL_FILE, HeadRecipe, Recipe
from trapline.review.answering import answer_media, audit_answers, judge_events
from trapline.review.embedding import Embeddings
from trapline.review.labels import only_decided, with_decisions
from trapline.review.lesson import Lesson, deal
from trapline.review.log import DecisionLog, TeachingPoint
from trapline.storage import replace_text
from trapline.taxonomy import Taxonomy
from trapline.training import StepReport, head_recipe, train

MODEL, ANSWERS, LESSON = "model.onnx", "predictions.parquet", "lesson.json"
CATALOG = "catalog.parquet"
"""The project's, for the processes that work on it."""
EMBEDDINGS = "embeddings"
_MODELS = "models"
_KEPT_ROUNDS = 3


@dataclass(frozen=True)
class Round:
    """One model of a project and what it says of it.

    Attributes:
        number: counted from 1.
        folder: with `model.onnx`, `predictions.parquet` and what a training run leaves.
    """

    number: int
    folder: Path

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / MODEL

    @property
    def answers(self) -> Path:
        """What it says of the project: a table of predictions, one row a media."""
        return self.folder / ANSWERS

    @property
    def lesson(self) -> dict[str, Any]:
        """What it was taught: `rows` of the log, `events`, their `labels`, `left_out`: why → events."""
        content: dict[str, Any] = json.loads((self.folder / LESSON).read_text(encoding="utf-8"))
        return content


def finished_rounds(folder: Path) -> list[Round]:
    """Those that are there, the latest last.

    Args:
        folder: of the project, beside its decisions.
    """
    there = (folder / _MODELS).glob("round-*/" + LESSON)
    numbered = {path.parent.name.removeprefix("round-"): path.parent for path in there}
    return sorted(
        (Round(int(name), path) for name, path in numbered.items() if name.isdigit()),
        key=lambda one: one.number,
    )


def as_teachable(recipe: Recipe) -> HeadRecipe:
    """The recipe, if a review can teach by it: a head on embeddings that are computed once.

    Raises:
        UsageError: why it cannot.
    """
    if not isinstance(recipe, HeadRecipe):
        raise UsageError(
            f"A review teaches a linear head on a frozen backbone, in seconds; '{recipe.name}' trains "
            f"{recipe.trains}. Review by the recipe 'head', and train '{recipe.name}' on the decisions "
            "afterwards (trapline train … --decisions)."
        )
    named = {
        "flip_average": recipe.flip_average,
        "event_statistics": bool(recipe.event_statistics),
        "task=multi-label": recipe.task == "multi-label",
        "sample": recipe.sample is not None,
    }
    if unfit := [name for name, given in named.items() if given]:
        raise UsageError(
            f"A review cannot teach with {', '.join(unfit)}: it answers single photos of one label each, "
            "from one embedding. Leave that out, and train with it on the decisions afterwards "
            "(trapline train … --decisions)."
        )
    return recipe


def open_backbone(recipe: HeadRecipe, cache: Path | None) -> ModelFile:
    """The model file whose embedding the head is for."""
    return ModelFile(head_recipe(recipe, cache).backbone.removeprefix(MODEL_FILE))


def prepare_lesson(catalog: Catalog, log: DecisionLog) -> Lesson:
    """What the decisions of a log can teach now; labels that the catalog came with teach nothing.

    Raises:
        DataError: no decision is of a media of the catalog.
    """
    decided = only_decided(with_decisions(catalog, log, held=()))
    return deal(decided, log.drawn())


def teach(
    folder: Path,
    catalog: Catalog,
    lesson: Lesson,
    log: DecisionLog,
    recipe: HeadRecipe,
    *,
    taxonomy: Taxonomy | None = None,
    cache: Path | None = None,
    report: StepReport | None = None,
) -> Round:
    """Train on what is decided, answer all media of the project, and add a point to the curve.

    Args:
        folder: of the project, with its embeddings.
        catalog: of the project.
        lesson: of its decisions; lacks nothing.
        log: that keeps the curve.
        recipe: see `as_teachable`.
        taxonomy: by which the audit knows an answer that only says less than what is seen.
        cache: folder of features; None for the user's.
        report: told of each step.

    Raises:
        DataError: too little is decided (it says what is missing), or the training fails.
    """
    if lesson.lacks:
        raise DataError(f"Nothing can be learnt yet: {lesson.lacks}.")
    rows, before = len(log), finished_rounds(folder)
    number = before[-1].number + 1 if before else 1
    made = folder / _MODELS / f"round-{number:03d}"
    begun = made.with_suffix(".begun")
    shutil.rmtree(begun, ignore_errors=True)  # of one that was killed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TraplineWarning)  # labels that nothing judges: the lesson knows
        model = ModelFile(
            train(lesson.recipe(recipe), lesson.catalog, begun, cache=cache, report=report), threads=1
        )
    embeddings, answers = answer_project(folder, catalog, model, begun / ANSWERS)
    loss = judge_events(model, embeddings, catalog, lesson.catalog) if lesson.drawn else None
    audited = audit_answers(log, catalog, answers, taxonomy)
    learnt = {
        "rows": rows,
        "events": lesson.events,
        "labels": dict(lesson.labels),
        "left_out": dict(lesson.left_out),
    }
    replace_text(begun / LESSON, json.dumps(learnt, ensure_ascii=False))
    begun.replace(made)
    log.add_point(TeachingPoint(log.now(), number, lesson.events, *audited, log_loss=loss))
    for old in finished_rounds(folder)[:-_KEPT_ROUNDS]:
        with suppress(OSError):  # somebody has a file of it open
            shutil.rmtree(old.folder)
    return Round(number, made)


def answer_project(
    folder: Path, catalog: Catalog, model: ModelFile, output: Path
) -> tuple[Embeddings, Predictions]:
    """Write what a model says of all media of a project whose embeddings are known so far."""
    embeddings = Embeddings.open(folder / EMBEDDINGS)
    if embeddings is None:
        raise DataError(f"No photo of {catalog.source} is read yet, so that no model can be asked.")
    answers = answer_media(model, embeddings, catalog)
    answers.save(output)
    return embeddings, answers
