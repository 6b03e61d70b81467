"""Progress of trainings: a bar for the step that is at work, with the last epoch's figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.progress import Progress, TaskID

    from trapline.training import StepReport


def reporter(display: Progress, keep: Collection[str] = ()) -> StepReport:
    """What `trapline.training` tells, shown on a display of `trapline.cli._common.progress`.

    Nobody says when a step ends, and some end before their total (a search that found its answer): the bars
    of the others are hidden as soon as one reports, so that none stays behind half full.
    Those of `keep` count other steps, and stay.
    """
    tasks: dict[str, TaskID] = {}
    began: dict[str, tuple[float, int]] = {}  # when, and how much was done then
    last: dict[str, int] = {}

    def report(what: str, done: int, total: int, detail: str) -> None:
        if what not in tasks:
            tasks[what] = display.add_task(what, total=total, rate="")
        if done < last.get(what, done + 1):  # new, or the step comes again
            display.reset(tasks[what], total=total)
            began[what] = (time.monotonic(), done)
        last[what] = done
        since, before = began[what]
        seconds = time.monotonic() - since
        rate = f"{(done - before) / seconds:.1f}/s" if seconds > 1 else ""
        for name, task in tasks.items():
            if name != what and name not in keep:
                display.update(task, visible=False)
        display.update(tasks[what], total=total, completed=done, rate=detail or rate, visible=True)

    return report
