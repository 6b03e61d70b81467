"""One of the processes that train a network together; see `trapline.training.devices`."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import warnings
from typing import BinaryIO

from trapline.errors import TraplineError


def main() -> None:
    """Take a job from standard input, do it, and say on standard output how it goes."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not get between
    content = sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "little"))
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    warnings.simplefilter("ignore")  # the process that started this one has said what is to be said
    try:
        _work(content, told)
    except BaseException as error:  # noqa: BLE001 - it is raised where somebody sees it
        _say(told, "failed", _portable(error))
    else:
        _say(told, "done", None)
    told.flush()
    os._exit(0)  # whatever threads a library has left


def _work(content: bytes, told: BinaryIO) -> None:
    from trapline.training.batches import Part
    from trapline.training.devices import RankJob
    from trapline.training.ranks import RankGroup

    job: RankJob = pickle.loads(content)  # noqa: S301 - of the process that started this one
    ranks = RankGroup(Part(job.rank, len(job.devices)), job.devices[job.rank])
    with ranks.meeting(job.meeting):
        job.shared.take_part(ranks, (lambda *step: _say(told, "step", step)) if ranks.first else None)


def _end_with_the_caller() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _say(told: BinaryIO, what: str, content: object) -> None:
    told.write(pickle.dumps((what, content)))
    told.flush()


def _portable(error: BaseException) -> BaseException:
    """The error, or one like it that can be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    except Exception:  # noqa: BLE001 - whatever pickle cannot do
        if isinstance(error, TraplineError):
            return TraplineError(str(error))
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
