"""The circle: while people decide, their decisions teach a model, whose answers are what they see next.

`Teacher` is the near end of processes that embed and train (`teaching_worker`): none of it holds up a page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from trapline.catalog import Catalog
from trapline.errors import TraplineError, describe_system_error, many
from trapline.prediction import Predictions
from trapline.recipes import Recipe, resolve_recipe
from trapline.review.answering import NOT_YET
from trapline.review.embedding import Embeddings, boxed_media
from trapline.review.events import Events
from trapline.review.lesson import FIRST
from trapline.review.log import DecisionLog
from trapline.review.rounds import CATALOG, EMBEDDINGS, Round, as_teachable, finished_rounds
from trapline.review.spread import compact
from trapline.taxonomy import Taxonomy

EACH = 20
"""Decisions between two rounds; or a tenth of all, if that is more."""
_SOONER = 5
"""Decisions after which it is tried again where something was lacking."""
_GROWTH = 1.25
"""By how much the photos that are read must grow before the points of the events are made anew."""
_LEARNING = "learning from the decisions"
_STEPS = {
    "features": "looking at the photos that were decided",
    "heads": "trying which rules fit them",
    "export": "writing the model down",
}
"""What a training that a review does reports of, for people."""

Standing = Literal["reading", "waiting", "learning", "ready", "failed"]


@dataclass(frozen=True)
class TeachingState:
    """Where the circle stands.

    Attributes:
        state: `reading` photos, `waiting` for decisions, `learning`, `ready` (there is a model), or `failed`.
        round: of the latest model; 0 before the first.
        message: for people, one sentence.
    """

    state: Standing
    round: int
    message: str


def describe_step(what: str) -> str:
    """What the training of a review is doing now, in plain words; of a step that has none, that it learns."""
    return f"{_LEARNING}: {_STEPS[what]}" if what in _STEPS else _LEARNING


class Teacher:
    """Embeds the photos of a project, trains on its decisions as they grow, and answers all of it anew.

    >>> teacher = Teacher(Path("decisions.review"), catalog, log)     # doctest: +SKIP
    >>> teacher.start()                                               # photos are read in the background
    >>> log.add(decision); teacher.maybe_train()                      # after each decision
    >>> teacher.suggestions()                                         # of the latest model, when there is one
    >>> teacher.finish()                                              # a last round; the model file's path

    All methods may be called from any thread; only `finish` waits.

    Args:
        folder: beside the decisions: what is made here can be made again.
        catalog: of the project.
        log: its decisions.
        recipe: of a head (see `rounds.as_teachable`); None for `head`.
        taxonomy: as of `rounds.teach`, likewise the next.
        cache: folder of features; None for the user's.

    Raises:
        UsageError: the recipe is none that a review can teach by.
    """

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        log: DecisionLog,
        *,
        recipe: Recipe | None = None,
        taxonomy: Taxonomy | None = None,
        cache: Path | None = None,
    ) -> None:
        self.folder, self.catalog, self.log = folder, catalog, log
        self.recipe = as_teachable(resolve_recipe("head") if recipe is None else recipe)
        self._taxonomy, self._cache = taxonomy, cache
        self._boxed = boxed_media(catalog, self.recipe.preprocessing.crop)
        self._events = Events.of(catalog)
        self._lock = threading.Lock()
        self._reader, self._learner = (
            _BackgroundProcess(folder / name) for name in ("reading.log", "learning.log")
        )
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._read = self._learning = ""
        self._trouble = self._waiting = ""
        self._points: npt.NDArray[np.float32] | None = None
        self._points_of = 0
        self._lesson: dict[str, Any] = {"rows": 0}
        self._next_look = FIRST
        self._behind = False
        self._answers: tuple[Round, Predictions] | None = None

    # ---- what others ask

    def start(self) -> None:
        """Begin to read the photos; a model of an earlier day answers at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.catalog.save(self.folder / CATALOG)
        self._load_answers()
        self._behind = len(self.log) >= self._next_look  # it was ended before it had learnt what was decided
        self._in_background(self._embed)

    def state(self) -> TeachingState:
        """Where it stands, for the page."""
        with self._lock:
            number = self._answers[0].number if self._answers else 0
            if self._learning:
                return TeachingState("learning", number, self._learning)
            if self._trouble:
                return TeachingState("failed", number, self._trouble)
            if self._read:
                return TeachingState("reading", number, self._read)
            if number:
                return TeachingState("ready", number, self._describe())
            return TeachingState("waiting", 0, self._waiting or f"the first {FIRST} decisions teach a model")

    def points(self) -> npt.NDArray[np.float32] | None:
        """float32 [E, d]: the events by what is seen in them, as `Situation.embeddings` has them; NaN for
        those of which no photo is read yet. None before any is."""
        return self._points

    def suggestions(self) -> Predictions | None:
        """What the latest model says of all media: the same object until there is a newer one."""
        with self._lock:
            return self._answers[1] if self._answers else None

    def maybe_train(self) -> bool:
        """Train if enough is decided since the last time; to be called after each decision.

        Returns:
            Whether it has begun.
        """
        return len(self.log) >= self._next_look and self.train()

    def train(self) -> bool:
        """Train now, unless it is being done.

        Returns:
            Whether it has begun.
        """
        with self._lock:
            if self._stopped or self._learning:
                return False
            self._learning = _LEARNING
        self._in_background(self._teach)
        return True

    def finish(self) -> Path | None:
        """Train a last time if something was decided since, and stop; the latest model file, if any."""
        self._reader.end()
        self._join("_teach")
        if len(self.log) > self._lesson["rows"] and self.train():
            self._join("_teach")
        self.stop()
        rounds = finished_rounds(self.folder)
        return rounds[-1].model if rounds else None

    def stop(self) -> None:
        """End all that runs; what was finished stays."""
        with self._lock:
            self._stopped = True
        self._reader.end()
        self._learner.end()
        for thread in self._threads:
            thread.join()

    # ---- what is done in the background

    def _embed(self) -> None:
        with self._lock:
            self._read = "reading the photos"
        result = self._run(self._reader, "embed", self._tell_read)
        self._reader.end()
        self._update_points(always=True)
        with self._lock:
            self._read = ""
            self._trouble = result.get("error", self._trouble)
        answers = self.suggestions()
        if answers is not None and (answers.table["reason"] == NOT_YET).any():
            self._run(self._learner, "answer", lambda line: None)
            self._load_answers()
        if self._behind:
            self.maybe_train()

    def _tell_read(self, line: dict[str, Any]) -> None:
        self._update_points()
        with self._lock:
            self._read = f"reading the photos: {line['done']:,} of {line['total']:,}"

    def _update_points(self, *, always: bool = False) -> None:
        embeddings = Embeddings.open(self.folder / EMBEDDINGS)
        if embeddings is None:
            return
        known = int(embeddings.known.sum())
        if known and (always or known >= _GROWTH * self._points_of):
            means = embeddings.of_events(self._events.of_row, len(self._events), self._boxed)
            self._points, self._points_of = compact(means), known

    def _teach(self) -> None:
        rows = len(self.log)
        result = self._run(self._learner, "teach", self._tell_learning)
        if "round" in result:
            self._load_answers()
        with self._lock:
            self._learning = ""
            self._trouble, self._waiting = result.get("error", ""), result.get("waiting", "")
            self._next_look = rows + (_SOONER if self._waiting else max(EACH, rows // 10))

    def _tell_learning(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._learning = describe_step(line["what"])

    def _load_answers(self) -> None:
        rounds = finished_rounds(self.folder)
        if not rounds:
            return
        answers = Predictions.load(rounds[-1].answers)
        if answers.table["media_id"].equals(self.catalog.table["media_id"]):
            lesson = rounds[-1].lesson
            with self._lock:
                self._answers, self._lesson = (rounds[-1], answers), lesson
                self._next_look = lesson["rows"] + max(EACH, lesson["rows"] // 10)

    def _describe(self) -> str:
        learnt, left = self._lesson["events"], self._lesson["left_out"]
        others = "; ".join(f"{count:,}: {why}" for why, count in sorted(left.items()))
        return f"learnt from {many(learnt, 'event')}" + (
            f", and nothing from others ({others})" if others else ""
        )

    # ---- processes and threads

    def _run(
        self, worker: _BackgroundProcess, kind: str, on_line: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        job = {
            "kind": kind,
            "folder": str(self.folder.absolute()),
            "log": str(self.log.path.absolute()),
            "recipe": self.recipe.model_dump(mode="json"),
            "taxonomy": None if self._taxonomy is None else self._taxonomy.to_json(),
            "cache": None if self._cache is None else str(self._cache),
        }
        return worker.ask(job, on_line)

    def _in_background(self, work: Callable[[], None]) -> None:
        def attempt() -> None:
            try:
                work()
            except (TraplineError, OSError) as error:  # the page goes on and says so
                words = describe_system_error(error) if isinstance(error, OSError) else str(error)
                with self._lock:
                    self._trouble, self._learning, self._read = words, "", ""

        thread = threading.Thread(target=attempt, name=work.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _join(self, name: str) -> None:
        for thread in self._threads:
            if thread.name == name:
                thread.join()


class _BackgroundProcess:
    """A process that does one job after another; where it crashed, the next job starts another."""

    def __init__(self, words: Path) -> None:
        self._words = words
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        self._asked = threading.Lock()

    def ask(self, job: Mapping[str, Any], on_line: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Have a job done: what came of it, `error` if nothing did, empty if the process was ended."""
        with self._asked:  # one after the other
            return self._ask(job, on_line)

    def _ask(self, job: Mapping[str, Any], on_line: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):  # it is gone: no line will come
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        for text in process.stdout:
            line: dict[str, Any] = json.loads(text)
            if "ended" in line:
                return line
            on_line(line)
        status = self._close(process)
        if self._ended:
            return {}
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return {
            "error": f"The process that works on this review in the background crashed ({how}; its words are "
            f"in {self._words}). What was decided is safe, and it is tried again after more decisions."
        }

    def end(self) -> None:
        """Kill it, also from another thread; it does nothing more."""
        self._ended = True
        process = self._process
        if process is not None:
            with suppress(OSError):
                process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[str]:
        if self._process is None:
            with self._words.open("w", encoding="utf-8") as words:
                self._process = self._launch(words)
        if self._ended:  # by another thread, which found no process yet
            self._process.kill()
        return self._process

    def _close(self, process: subprocess.Popen[str]) -> int:
        self._process = None
        with process:
            return process.wait()

    def _launch(self, words: IO[str]) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(  # noqa: S603 - our own command
                _command(),
                stdin=subprocess.PIPE,  # it ends when this does
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the server, which then ends it
            )
        except OSError as error:
            raise TraplineError(f"No process for teaching can be started: {error}.") from error


def _command() -> list[str]:
    """The worker, with this process's import path wherever that came from."""
    start = (
        f"import sys; sys.path[:] = {sys.path!r}; from trapline.review.teaching_worker import main; main()"
    )
    return [sys.executable, "-c", start]
