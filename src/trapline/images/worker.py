"""The process in which photos are decoded, apart from the run: what a decoder does to it stays in it.

It reads jobs on standard input and writes answers on standard output, one after the other; see `decoders` for
the other end. Frames in both directions: lengths, then the content. It ends by itself when its input ends,
and when a job takes too long; on Linux the system ends it as soon as the other end is gone, whatever it is
decoding, elsewhere it ends when no job comes for a while.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from trapline.images.crops import Box
from trapline.images.decode import Content, Limits, Size
from trapline.images.errors import ImageError
from trapline.images.prepare import Kept, prepare
from trapline.images.preprocessing import Preprocessing

JOB = struct.Struct("<I")
"""Bytes of JSON that follow: `path`, or `bytes`, the number of those of the photo that follow in turn, and
perhaps its `name` and `mark` (see `Content`); `box`, `seconds`; `kept`, if it is asked for only if it need
not be decoded; and `preprocessing`, `limits` where they are new."""

ANSWER = struct.Struct("<?IIII")
"""Whether it was decoded; height and width of the picture in the input (`Prepared.inner`); bytes of UTF-8 (a
reason, or a warning) and then of pixels that follow."""

HELLO = b"!"
"""What comes before the first answer: the process is ready."""

NOT_KEPT = (False, "", b"", (0, 0))
"""The answer to what would have to be decoded."""

IDLE_SECONDS = 60.0
_SILENCE = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open as long as the process lives
WATCH_STATUSES = (1, -14)
"""With which a process ends whose time is over: faulthandler's, and SIGALRM's."""


def main(lifeline: int | None = None) -> None:
    """Answer jobs until there are no more.

    Args:
        lifeline: a pipe that closes when the process at the other end is gone; None where there is no such.
    """
    if lifeline is not None:
        _hang_on(lifeline)
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no answer
    answers.write(HELLO)
    answers.flush()
    preprocessing, limits, kept = Preprocessing(), Limits(), Kept()
    while True:
        _end_after(IDLE_SECONDS if lifeline is None else 0)
        job = _next_job(jobs)
        if job is None:
            return
        if "preprocessing" in job:
            preprocessing = Preprocessing.model_validate(job["preprocessing"])
            limits = Limits(**job["limits"])
            _limit_memory(limits.memory)
        source = _source(job, jobs)
        _end_after(job["seconds"])
        box = None if job["box"] is None else Box(*job["box"])
        if "kept" in job and (
            isinstance(source, bytes) or kept.find(source, preprocessing, box, limits) is None
        ):
            done, text, pixels, inner = NOT_KEPT
        else:
            done, text, pixels, inner = answer(source, box, preprocessing, limits, kept)
        reply = text.encode(errors="replace")
        answers.write(ANSWER.pack(done, *inner, len(reply), len(pixels)) + reply)
        answers.write(pixels)
        answers.flush()


def _source(job: dict[str, Any], jobs: BinaryIO) -> Path | Content | bytes:
    if "path" in job:
        return Path(job["path"])
    content = jobs.read(job["bytes"])
    return Content(job["name"], content, tuple(job["mark"])) if "name" in job else content


def _end_after(seconds: float) -> None:
    """Have this process end in that time, even while a decoder keeps the interpreter busy; 0 for never.

    The system's alarm does it where there is one; elsewhere faulthandler's watch, a thread each time.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_SILENCE)
    else:
        faulthandler.cancel_dump_traceback_later()


def _hang_on(lifeline: int) -> None:
    """Have the system end this process (SIGIO) once the pipe's other end closes: no thread and no interpreter
    is needed for it, so it works in the middle of a decoder too.
    """
    import fcntl

    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    os.set_blocking(lifeline, False)
    try:
        gone = os.read(lifeline, 1) == b""  # closed before the system was asked
    except BlockingIOError:
        gone = False
    if gone:
        os._exit(0)


def _next_job(jobs: BinaryIO) -> dict[str, Any] | None:
    start = jobs.read(JOB.size)
    if len(start) < JOB.size:
        return None
    job: dict[str, Any] = json.loads(jobs.read(JOB.unpack(start)[0]))
    return job


def _limit_memory(more: int) -> None:
    """Refuse this process more memory than it has and so much beside it: Linux only, where it is known."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        return


def answer(
    source: Path | Content | bytes,
    box: Box | None,
    preprocessing: Preprocessing,
    limits: Limits,
    kept: Kept,
) -> tuple[bool, str, bytes, Size]:
    """Whether a photo could be decoded, the warning or the reason, its pixels and `Prepared.inner`."""
    try:
        prepared = prepare(source, preprocessing, box, limits, kept)
    except ImageError as error:
        return False, error.reason, b"", (0, 0)
    except Exception as error:  # noqa: BLE001 - one photo never ends the run; its row says what happened
        return False, f"unexpected {type(error).__name__}: {error}", b"", (0, 0)
    return True, prepared.warning or "", prepared.pixels.tobytes(), prepared.inner
