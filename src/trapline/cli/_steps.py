"""Progress of trainings: one bar a step, with the last epoch's figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from trapline.training import StepReport


def reporter(display: Progress) -> StepReport:
    """What `trapline.training` tells, shown on a display of `trapline.cli._common.progress`."""
    tasks: dict[str, tuple[TaskID, float]] = {}

    def report(what: str, done: int, total: int, detail: str) -> None:
        if what not in tasks:
            tasks[what] = (display.add_task(what, total=total, rate=""), time.monotonic())
        task, started = tasks[what]
        rate = f"{done / max(time.monotonic() - started, 1e-9):.1f}/s"
        display.update(task, total=total, completed=done, rate=detail or rate)

    return report
