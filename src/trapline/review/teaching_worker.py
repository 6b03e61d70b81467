"""The process that embeds the photos of a project and teaches its models; see `teaching` for the other end.

Jobs come as lines of JSON on its standard input. It writes lines of JSON on standard output: what is being
done, and at the end of each job what came of it. It lets others have the processor first, and ends when its
input does: when whoever started it is gone.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from trapline.catalog import Catalog
from trapline.errors import TraplineError
from trapline.models import ModelFile
from trapline.recipes import read_recipe
from trapline.review.embedding import Embeddings, embed_project
from trapline.review.log import DecisionLog
from trapline.review.rounds import (
    CATALOG,
    EMBEDDINGS,
    answer_project,
    as_teachable,
    finished_rounds,
    open_backbone,
    prepare_lesson,
    teach,
)
from trapline.taxonomy import Taxonomy
from trapline.training import FeatureView

_STEPS_A_SECOND = 5


def main() -> None:
    """Do the jobs on standard input, one after the other."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no line
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_take, args=(jobs,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(5)
    while True:
        job: dict[str, Any] = json.loads(jobs.get())
        try:
            done = _JOBS[job["kind"]](job, _LineWriter(lines))
        except TraplineError as error:
            done = {"error": str(error)}
        lines.write(json.dumps(done | {"ended": True}) + "\n")
        lines.flush()


def _take(jobs: queue.SimpleQueue[str]) -> None:
    """Take jobs, until whoever gives them is gone: then the process ends, whatever it is doing."""
    with suppress(OSError, ValueError):
        for line in sys.stdin:
            jobs.put(line)
    os._exit(0)


class _LineWriter:
    """Tells what is being done, a few times a second."""

    def __init__(self, lines: TextIO) -> None:
        self._lines, self._told = lines, 0.0

    def __call__(self, what: str, done: int, total: int, detail: str = "") -> None:
        now = time.monotonic()
        if done < total and now - self._told < 1 / _STEPS_A_SECOND:
            return
        self._told = now
        self._lines.write(json.dumps({"what": what, "done": done, "total": total}) + "\n")
        self._lines.flush()


def _embed(job: dict[str, Any], tell: _LineWriter) -> dict[str, Any]:
    folder, cache = Path(job["folder"]), _cache(job)
    recipe = as_teachable(read_recipe(job["recipe"], "the review's recipe"))
    catalog = Catalog.load(folder / CATALOG)
    embed_project(
        open_backbone(recipe, cache),
        catalog,
        FeatureView(recipe.preprocessing),
        folder / EMBEDDINGS,
        cache=cache,
        progress=lambda done, total: tell("photos", done, total),
    )
    return {}


def _teach(job: dict[str, Any], tell: _LineWriter) -> dict[str, Any]:
    folder = Path(job["folder"])
    recipe = as_teachable(read_recipe(job["recipe"], "the review's recipe"))
    catalog = Catalog.load(folder / CATALOG)
    with DecisionLog.open(job["log"]) as log:
        lesson = prepare_lesson(catalog, log)
        if lesson.lacks:
            return {"waiting": lesson.lacks}
        if Embeddings.open(folder / EMBEDDINGS) is None:
            return {"waiting": "no photo is read yet"}
        tree = None if job["taxonomy"] is None else Taxonomy.from_json(job["taxonomy"])
        taught = teach(folder, catalog, lesson, log, recipe, taxonomy=tree, cache=_cache(job), report=tell)
    return {"round": taught.number}


def _answer(job: dict[str, Any], tell: _LineWriter) -> dict[str, Any]:
    """The latest model is asked again, about what was not read when it was made."""
    folder = Path(job["folder"])
    latest = finished_rounds(folder)[-1]
    catalog = Catalog.load(folder / CATALOG)
    answer_project(folder, catalog, ModelFile(latest.model, threads=1), latest.answers)
    return {"round": latest.number}


def _cache(job: dict[str, Any]) -> Path | None:
    return None if job["cache"] is None else Path(job["cache"])


_JOBS: dict[str, Callable[[dict[str, Any], _LineWriter], dict[str, Any]]] = {
    "embed": _embed,
    "teach": _teach,
    "answer": _answer,
}
