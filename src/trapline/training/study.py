"""A study that any number of processes work on at once: exactly so many trials, whoever dies of them.

Optuna's journal, one file to which everybody adds lines, is the only truth: each reads the same order of
events in it and so knows the same, also on a network disk (a lock there is a file that only one can make;
SQLite's are not to be trusted on such disks). A process takes a trial by adding it. It may keep it where
fewer than the wanted number stand before it that ended or are at work; of two that take the last one at once
the second gives it back. A trial whose process has died counts for nothing, and another is made in its place.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileBackend,
    JournalFileOpenLock,
)
from optuna.trial import TrialState

from trapline.errors import DataError, TraplineWarning, UsageError
from trapline.recipes import read_recipe
from trapline.training.alive import Alive, Watch

JOURNAL = "study.journal"
OLD = "study.sqlite"
"""Of earlier versions; read once, and left as it is."""

NAME = "trapline"
Direction = Literal["minimize", "maximize"]
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
_LOOK_SECONDS = 0.5
_BEGIN_SECONDS = 30.0
"""For another process to write down what the study is of, once it has made the file."""


class SharedStudy:
    """The study of a folder, as one process works on it.

    Args:
        folder: of the search; it exists.
        wanted: what the study is of, JSON-able; that of an earlier one must be the same.
        direction: `minimize` or `maximize`.
        seed: of the first process; others that work at the same time draw otherwise.

    Raises:
        UsageError: the folder holds a study of something else.
        DataError: its file is damaged.
    """

    def __init__(self, folder: Path, wanted: Mapping[str, Any], direction: Direction, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.path = folder / JOURNAL
        if not self.path.exists():
            _begin(self.path, folder / OLD, wanted, direction)
        self.study = _load(self.path, set(wanted))
        _refuse_other(self.study, wanted, folder)
        self._alive, self._watch = Alive(folder / "workers"), Watch(folder / "workers")
        alone = not self._watch.others(self._alive.name)
        drawn = seed + len(self.study.trials) + (0 if alone else secrets.randbits(24))
        self.study.sampler = optuna.samplers.TPESampler(seed=drawn)

    def __enter__(self) -> SharedStudy:
        return self

    def __exit__(self, *_: object) -> None:
        self._alive.close()

    def take(self, trials: int) -> Any | None:
        """A new trial to be made by this process; None once as many have ended.

        While all that are wanted are at work elsewhere, this waits: one of them may die.
        """
        while True:
            every = self.study.get_trials(deepcopy=False)
            self._give_up_dead(every)
            if sum(trial.state in ENDED for trial in every) >= trials:
                return None
            if sum(_counts(trial) for trial in every) < trials:
                mine = self.study.ask()
                mine.set_user_attr("worker", self._alive.name)
                before = self.study.get_trials(deepcopy=False)[: mine.number]
                if sum(_counts(trial) for trial in before) < trials:
                    return mine
                self.give_up(mine)
            time.sleep(_LOOK_SECONDS)

    def complete(self, trial: Any, value: float, **facts: object) -> None:
        """Write down what a trial has found."""
        self._tell(trial, facts, values=value)

    def fail(self, trial: Any, reason: str) -> None:
        """Write down that a trial ended and found nothing."""
        self._tell(trial, {"failure": reason}, state=TrialState.PRUNED)

    def give_up(self, trial: Any) -> None:
        """A trial that did not end: it counts for nothing."""
        self._tell(trial, {}, state=TrialState.FAIL)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One process at a time writes what is beside the study."""
        with _locked(JournalFileOpenLock(str(self.path.with_name("results")))):
            yield

    def _tell(self, trial: Any, facts: Mapping[str, object], **result: Any) -> None:
        try:
            for name, value in facts.items():
                trial.set_user_attr(name, value)
            self.study.tell(trial.number, **result)
        except (UpdateFinishedTrialError, ValueError):
            if not self.study.get_trials(deepcopy=False)[trial.number].state.is_finished():
                raise
            warnings.warn(
                f"Trial {trial.number} counts for nothing: this process was not heard of for so long that "
                "another took it for dead.",
                TraplineWarning,
                stacklevel=3,
            )

    def _give_up_dead(self, every: Iterable[Any]) -> None:
        """Write down which of those at work are not any more."""
        for trial in every:
            if trial.state != TrialState.RUNNING:
                continue
            worker = str(trial.user_attrs.get("worker", f"trial-{trial.number}"))
            if not self._watch.is_alive(worker):
                with suppress(UpdateFinishedTrialError, ValueError):  # somebody else has said so
                    self.study.tell(trial.number, state=TrialState.FAIL)
                self._watch.forget(worker)


def _counts(trial: Any) -> bool:
    """Whether a trial is one of those that are wanted: it ended, or somebody is at it."""
    return trial.state in ENDED or trial.state == TrialState.RUNNING


def _begin(path: Path, old: Path, wanted: Mapping[str, Any], direction: Direction) -> None:
    """Make the journal, whole, unless another process is first; with the trials of an earlier version."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}.partial")
    try:
        storage = JournalStorage(_Log(partial))
        study = optuna.create_study(storage=storage, study_name=NAME, direction=direction)
        before = _old_study(old)
        facts = dict(wanted) if before is None else before.user_attrs or dict(wanted)
        for key, value in facts.items():
            study.set_user_attr(key, value)
        if before is not None:
            study.add_trials([_ended(trial) for trial in before.trials])
        _publish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _old_study(path: Path) -> Any | None:
    if not path.is_file():
        return None
    try:
        return optuna.load_study(study_name=NAME, storage=f"sqlite:///{path.absolute().as_posix()}")
    except KeyError:  # of a run that was killed before it had begun
        return None
    except Exception as error:
        raise DataError(
            f"{path}, the study of an earlier version, cannot be read: {error}. Move it away to begin anew."
        ) from error


def _ended(trial: Any) -> Any:
    """A trial as it was; one that did not end keeps its number and counts for nothing."""
    if trial.state.is_finished():
        return trial
    return optuna.trial.create_trial(state=TrialState.FAIL)


def _publish(partial: Path, path: Path) -> None:
    """Give the file its name unless there is one of that name, in one step where the disk can do so."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return
    except OSError:  # a disk without hard links
        with suppress(FileExistsError), path.open("xb") as file, partial.open("rb") as content:
            shutil.copyfileobj(content, file)


def _load(path: Path, needed: set[str]) -> Any:
    """The study, once whoever makes the file has written all of its beginning."""
    until = time.monotonic() + _BEGIN_SECONDS
    while True:
        with suppress(KeyError, ValueError):
            study = optuna.load_study(study_name=NAME, storage=JournalStorage(_Log(path)), sampler=_SAMPLER)
            if needed <= set(study.user_attrs):
                return study
        if time.monotonic() > until:
            raise DataError(
                f"{path} is damaged: it does not say of what the search is. Move it away to begin anew."
            )
        time.sleep(_LOOK_SECONDS)


_SAMPLER = optuna.samplers.RandomSampler(seed=0)  # until it is known how this process draws


def _refuse_other(study: Any, wanted: Mapping[str, Any], folder: Path) -> None:
    before = dict(study.user_attrs)
    if before["recipe"] != wanted["recipe"]:  # or written otherwise by another version
        before["recipe"] = read_recipe(before["recipe"], str(folder / JOURNAL)).model_dump(mode="json")
    different = [key for key, value in wanted.items() if before.get(key) != value]
    if different:
        raise UsageError(
            f"{folder} holds a search with another {', '.join(different)}. Go on with the same options, or "
            "name another folder with -o."
        )


class _Log(BaseJournalBackend):
    """Optuna's file of lines, of which one that a dying machine left half behind costs nobody else's."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, JournalFileOpenLock(str(path))
        self._file = JournalFileBackend(str(path), lock_obj=_Held(str(path)))

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The lines from a number on."""
        return self._file.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines, behind the last whole one."""
        with _locked(self._lock):
            _cut_half_line(self._path)
            self._file.append_logs(logs)


class _Held(JournalFileOpenLock):
    """A lock that is held already."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@contextmanager
def _locked(lock: JournalFileOpenLock) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # taken from us, for dead
            lock.release()


def _cut_half_line(path: Path) -> None:
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        begin = max(0, end - 2**20)
        file.seek(begin)
        file.truncate(begin + file.read().rfind(b"\n") + 1)
