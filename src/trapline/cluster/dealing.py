"""The shards of a run dealt to an engine: processes of this machine, or the machines of a Ray cluster."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trapline.cluster.kinds import ToPlan
from trapline.cluster.plan import Plan
from trapline.cluster.planning import plan_shards
from trapline.cluster.run_folder import RunFolder
from trapline.cluster.status import run_status
from trapline.cluster.working import Worked, work
from trapline.errors import DataError, UsageError
from trapline.prediction import Progress
from trapline.storage import AnyPath, as_any_path, lock
from trapline.tasks import Standing, Task, cores_each, run_tasks

_MOST_MEDIA, _LEAST_MEDIA, _SHARDS = 8192, 256, 64
"""Of a shard, and how many there should be of a small run: so that all have something to do until the end."""

_SHARE_FOR_LOOKING = 0.05
"""Of the time: how far a run is stands in as many files as it has attempts."""


def deal_shards(
    folder: AnyPath | str,
    on: str,
    *,
    root: AnyPath | str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Worked:
    """Have all shards done that are not, each as a task of its own.

    Args:
        folder: of the run; and the photos: every machine of the engine must find them under these paths.
        on: the engine, as in `run_tasks`.
        root: where the photos are, if not where the plan says.
        workers: processes that decode photos for a shard; None for one a core of its own.
        threads: the network runs on for a shard, and the cores that it has; None for the engine's choice.
        progress: told how far the run is, now and then.
        say: told of tries that were lost.

    Returns:
        what was done now.

    Raises:
        TasksFailedError: shards could not be done.
        DataError: the folder is none of a run.
    """
    began, files = time.monotonic(), RunFolder(as_any_path(folder))
    plan = files.plan()
    finished = files.finished()
    left = [number for number in range(len(plan.shards)) if number not in finished]
    cores = threads or cores_each(on, len(left))
    arguments = {
        "folder": _from_anywhere(folder),
        "root": None if root is None else _from_anywhere(root),
        "workers": workers or cores,
        "threads": cores,
    }
    tasks = [
        Task(f"shard {number}", f"{__name__}:do_shard", {**arguments, "shard": number}) for number in left
    ]
    watch = _RunWatch(as_any_path(folder), progress, say)
    gpus = 1 if plan.options.get("runtime") == "cuda" else 0
    run_tasks(tasks, on, cores=cores, gpus=gpus, report=watch.look)
    inputs = watch.look_once_more()
    return Worked(left, inputs, time.monotonic() - began)


def do_shard(folder: str, root: str | None, workers: int, threads: int, shard: int) -> None:
    """Do one shard; the task that an engine does.

    Raises:
        TraplineError: it could not be done.
    """
    work(folder, shard, root=root, workers=workers, threads=threads).refuse_failures()


def _from_anywhere(path: AnyPath | str) -> str:
    path = as_any_path(path)
    return str(path.absolute() if isinstance(path, Path) else path)


class _RunWatch:
    """Tells how far a run is, seldom enough to cost little."""

    def __init__(
        self, folder: AnyPath, progress: Callable[[Progress], object] | None, say: Callable[[str], object]
    ) -> None:
        self._folder, self._progress, self._say = folder, progress, say
        self._began = time.monotonic()
        self._next = 0.0
        self._earlier = run_status(folder).done

    def look(self, standing: Standing) -> None:
        """Say what happened, and how far the shards are."""
        for line in standing.news:
            self._say(line)
        if self._progress is not None and time.monotonic() >= self._next:
            self.look_once_more()

    def look_once_more(self) -> int:
        """Tell how far the shards are: how many inputs have been answered since the beginning."""
        began = time.monotonic()
        now = run_status(self._folder)
        if self._progress is not None:
            self._progress(Progress(now.done, now.inputs, self._earlier, began - self._began))
        self._next = began + max(1.0, (time.monotonic() - began) / _SHARE_FOR_LOOKING)
        return now.done - self._earlier


@contextmanager
def planned_beside(
    work: ToPlan, output: Path, *, fresh: bool = False, shard_size: int | None = None
) -> Iterator[Path]:
    """The folder `<output>.run` with the plan of this work: a new one, or an earlier run's to go on with.

    It is removed when what is done with it has ended well, and stays otherwise: the same command goes on.

    Args:
        work: what is to be done.
        output: of the whole.
        fresh: throw away what an earlier run has done.
        shard_size: media a shard has at least; None for a choice by their number.

    Raises:
        UsageError: an earlier run there has another model, other media or other options; or another run is
            at work there.
    """
    folder, planned = _beside(output, "run"), _beside(output, "run-new")
    output.parent.mkdir(parents=True, exist_ok=True)
    lock_path = _beside(output, "run-lock")
    with lock_path.open("a+b") as file:
        lock(file, output)
        try:
            shutil.rmtree(planned, ignore_errors=True)
            size = shard_size or min(_MOST_MEDIA, max(_LEAST_MEDIA, len(work.media) // _SHARDS))
            _begin_or_go_on(plan_shards(work, planned, shard_size=size), planned, folder, fresh)
            yield folder
            shutil.rmtree(folder)
        finally:
            lock_path.unlink(missing_ok=True)


def _beside(output: Path, suffix: str) -> Path:
    return output.with_name(f"{output.name}.{suffix}")


def _begin_or_go_on(plan: Plan, planned: Path, folder: Path, fresh: bool) -> None:
    if fresh or not (folder / "plan.json").exists():  # what was not planned to the end is nothing yet
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        planned.rename(folder)
        return
    shutil.rmtree(planned)
    try:
        same = RunFolder(folder).plan().id == plan.id
    except DataError:  # of another Trapline, or damaged
        same = False
    if not same:
        raise UsageError(
            f"{folder} holds the work of a run with another model, other media or other options. Use those "
            "to go on, name another output with -o, or start again with --fresh."
        )
