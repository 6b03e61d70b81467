"""Decoding in processes of their own: a photo that crashes or hangs the decoder costs its row, not the run.

Pillow's decoders are C, and files found in the wild have crashed them before. A run that decoded in its own
process would end with the first such file, in the middle of the night. The processes are started as plain
commands and not by `multiprocessing`, which would run the caller's script once more; they talk through pipes,
which the system takes away however a run ends.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.errors import TraplineError
from trapline.images.crops import Box
from trapline.images.decode import DEFAULT_LIMITS, Content, Limits, Size, fetch, name_of
from trapline.images.errors import ImageError
from trapline.images.prepare import Prepared
from trapline.images.preprocessing import Preprocessing
from trapline.images.worker import ANSWER, HELLO, JOB, WATCH_STATUSES
from trapline.storage import RemotePath

_PIPE_BYTES = 2**20
"""A photo's pixels fit in whole, so that the decoder can go on while nobody reads them yet."""

_GOODBYE_SECONDS = 1.0
"""For a process that has closed its pipes to be gone: only then is it known why it ended."""

_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
"""For glibc: memory of up to 64 MiB that a photo leaves free is kept for the next. To get it from the system
anew, page by page, can take longer than resizing."""

_LOW_PRIORITY = 10
"""Of 0 to 19: about a tenth of the processor that another process gets."""


class _LostError(Exception):
    """The process ended before it answered."""


class Decoder:
    """A process that decodes one photo at a time; not to be used by two threads at once.

    Attributes:
        ended: whether `end` was called.
        worn: whether `step_back` was called.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._told: tuple[Preprocessing, Limits] | None = None
        self._lifeline: int | None = None  # never written to: the system closes it with this process
        self.ended = self.worn = False

    def prepare_into(
        self,
        pixels: npt.NDArray[np.uint8],
        source: Path | RemotePath | Content | bytes,
        preprocessing: Preprocessing,
        box: Box | None = None,
        limits: Limits = DEFAULT_LIMITS,
        seconds: float | None = None,
        *,
        only_kept: bool = False,
    ) -> Prepared:
        """The same as `prepare`, in the other process.

        Args:
            pixels: uint8 [height, width, 3], contiguous; filled, or left black if the photo fails.
            source: the photo's file, or its content; of a bucket it is read here, and not by the other
                process.
            preprocessing: from the model's card.
            box: what to cut to.
            limits: on the file, the picture, the memory and the seconds it may take.
            seconds: that it may take, if that is less.
            only_kept: decode nothing: this is the file that was prepared last, and its picture may serve once
                more (see `Kept`).

        Returns:
            what `prepare` returns, with `pixels` itself.

        Raises:
            ImageError: as of `prepare`; or the decoder crashed on this photo twice, or took too long, or was
                ended; or it would have to decode and must not.
            SourceGoneError: nothing of the bucket can be read.
            TraplineError: no process can be started.
        """
        if isinstance(source, RemotePath):
            source = fetch(source, limits)
        allowed = min(limits.max_seconds, limits.max_seconds if seconds is None else max(seconds, 0.001))
        job: dict[str, Any] = {
            **_described(source),
            "box": None if box is None else (box.x, box.y, box.width, box.height),
            "seconds": allowed,
            **({"kept": True} if only_kept else {}),
        }
        for last in (False, True):
            started = time.monotonic()
            try:
                done, reply, inner = self._ask(pixels, source, job, preprocessing, limits)
            except _LostError:
                status = self.close(_GOODBYE_SECONDS)
                pixels[:] = 0
                if self.ended:
                    raise ImageError(name_of(source), "its decoding was ended") from None
                if status in WATCH_STATUSES and time.monotonic() - started >= allowed:
                    raise ImageError(name_of(source), f"took more than {allowed:.3g} s") from None
                if last:  # twice: it was the photo, and not somebody who ended the process
                    raise ImageError(name_of(source), f"the decoder crashed ({_describe(status)})") from None
            except BaseException:  # what is left of its answer in the pipe must not become the next one's
                self.close()
                raise
            else:
                if not done:
                    raise ImageError(name_of(source), reply)
                return Prepared(pixels, reply or None, inner)
        raise AssertionError("unreachable")

    def _ask(
        self,
        pixels: npt.NDArray[np.uint8],
        source: Path | Content | bytes,
        job: dict[str, Any],
        preprocessing: Preprocessing,
        limits: Limits,
    ) -> tuple[bool, str, Size]:
        process = self._start()
        if self._told != (preprocessing, limits):
            job = job | {"preprocessing": preprocessing.model_dump(), "limits": asdict(limits)}
        content = json.dumps(job).encode()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(JOB.pack(len(content)) + content)
            if not isinstance(source, Path):
                process.stdin.write(source.content if isinstance(source, Content) else source)
            process.stdin.flush()
        except OSError:
            raise _LostError from None
        self._told = (preprocessing, limits)
        start = process.stdout.read(ANSWER.size)
        if len(start) < ANSWER.size:
            raise _LostError
        done, high, wide, reply, size = ANSWER.unpack(start)
        text = process.stdout.read(reply)
        if len(text) < reply:
            raise _LostError
        flat = memoryview(pixels.data).cast("B")
        if done and (size != len(flat) or process.stdout.readinto(flat) < size):  # type: ignore[attr-defined]
            raise _LostError
        return done, text.decode(), (high, wide)

    def _start(self) -> subprocess.Popen[bytes]:
        if self.ended:
            raise _LostError
        for last in (False, True):
            if self._process is not None:
                break
            self._told = None
            self._process = process = self._launch()
            if self.ended:  # by another thread, which found no process yet
                process.kill()
            _widen(process)
            assert process.stdout is not None
            if process.stdout.read(len(HELLO)) == HELLO:
                break
            status = self.close(_GOODBYE_SECONDS)
            if self.ended:
                raise _LostError
            if last:
                raise TraplineError(
                    f"No process for decoding can be started: it ended ({_describe(status)})."
                )
        assert self._process is not None
        return self._process

    def _launch(self) -> subprocess.Popen[bytes]:
        read: int | None = None
        try:
            if sys.platform == "linux":
                read, self._lifeline = os.pipe()
            return subprocess.Popen(  # noqa: S603 - our own command
                _command(read),
                pass_fds=() if read is None else (read,),
                env=os.environ | _KEEP_MEMORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the run, which then lets go of this
            )
        except OSError as error:
            self.close()
            raise TraplineError(f"No process for decoding can be started: {error}.") from error
        finally:
            if read is not None:
                os.close(read)

    def start(self) -> None:
        """Start the process if it does not run, and wait until it is ready.

        Raises:
            TraplineError: it cannot be started.
        """
        with suppress(_LostError):
            self._start()

    def end(self) -> None:
        """Kill the process, also from another thread than the one that waits for it; no other is started."""
        self.ended = True
        process = self._process
        if process is not None:
            with suppress(OSError):
                process.kill()

    def step_back(self) -> None:
        """Let others have the processor first, from now on; it is not lent again."""
        self.worn = True
        process = self._process
        if process is not None and hasattr(os, "setpriority"):
            with suppress(OSError):  # it has just ended
                os.setpriority(os.PRIO_PGRP, process.pid, _LOW_PRIORITY)

    def close(self, patience: float = 0.0) -> int:
        """End the process; returns its exit status.

        Args:
            patience: seconds for it to end by itself before.
        """
        process, self._process = self._process, None
        lifeline, self._lifeline = self._lifeline, None
        if process is not None and patience:
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
        if lifeline is not None:
            os.close(lifeline)
        if process is None:
            return 0
        with suppress(OSError):
            process.kill()
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close() if pipe is not None else None
        return status


def _described(source: Path | Content | bytes) -> dict[str, Any]:
    """A photo in a job."""
    if isinstance(source, Path):
        return {"path": str(source)}
    if isinstance(source, bytes):
        return {"bytes": len(source)}
    named = {} if source.mark is None else {"name": source.name, "mark": source.mark}
    return {"bytes": len(source.content)} | named


def _command(lifeline: int | None) -> list[str]:
    """The worker, with this process's import path wherever that came from."""
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {sys.path!r}; from trapline.images.worker import main; main({lifeline})",
    ]


def _widen(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "linux":
        import fcntl

        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


class Decoders:
    """Decoders that are lent for one photo at a time and kept for the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Decoder] = []
        self._lent: set[Decoder] = set()
        self._ended = False

    @contextmanager
    def borrow(self) -> Iterator[Decoder]:
        """A decoder for one photo."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else Decoder()
            self._lent.add(decoder)
            if self._ended:
                decoder.end()
        try:
            yield decoder
        finally:
            with self._lock:
                self._lent.discard(decoder)
                if decoder.ended or decoder.worn:
                    decoder.close()
                else:
                    self._idle.append(decoder)

    def add(self) -> None:
        """Start one more, for whoever comes next.

        Raises:
            TraplineError: it cannot be started.
        """
        decoder = Decoder()
        decoder.start()
        with self._lock:
            if not self._ended:
                self._idle.append(decoder)
                return
        decoder.close()

    def close(self) -> None:
        """End the processes that nobody is using."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def end(self) -> None:
        """End all, whatever they are decoding, for good: those who wait are told."""
        with self._lock:
            self._ended = True
            for decoder in self._lent:
                decoder.end()
        self.close()


_SHARED = Decoders()
borrowed = _SHARED.borrow
"""A decoder for one photo of a run; it is kept for the next, in this run or another."""

close_all = atexit.register(_SHARED.close)
