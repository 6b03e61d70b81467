"""A run of a network that is ended from another thread: at a deadline, or because nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from trapline.errors import DataError, TraplineError

_RUN_SECONDS, _RUN_SECONDS_AN_IMAGE = 60.0, 30.0
_LOOK_SECONDS = 0.5


class HaltedError(TraplineError):
    """A run, or the trial of a model, that was ended before it was done."""


class Halt:
    """Ends all that runs under it, once and for good.

    ONNX Runtime looks at it between the nodes of a graph, and so in every round of a loop; a single node that
    never ends can only be ended with the process that it runs in, and so can any loop in OpenVINO. `running`
    then stays above 0.

    Attributes:
        ended: whether it has been asked to.
        running: how many runs are under way beneath it.
    """

    def __init__(self) -> None:
        self.ended, self.running = False, 0
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []

    def now(self) -> None:
        """End what runs; what begins later ends at once."""
        with self._lock:
            self.ended = True
            for end in self._ends:
                end()

    @contextmanager
    def bound(self) -> Iterator[None]:
        """The runs of this thread (or task, and of the threads that it asks) are ended by this."""
        token = _bound.set(self)
        try:
            yield
        finally:
            _bound.reset(token)

    @contextmanager
    def over(self, end: Callable[[], None]) -> Iterator[None]:
        """One run, that `end` ends.

        Raises:
            HaltedError: instead of whatever the ended run raised.
        """
        with self._lock:
            self._ends.append(end)
            self.running += 1
            if self.ended:
                end()
        try:
            yield
        except Exception as error:
            if self.ended:
                raise HaltedError("The network was stopped before it had answered.") from error
            raise
        finally:
            with self._lock:
                self._ends.remove(end)
                self.running -= 1


class _Watch:
    """Ends halts that are due, by one thread for all: a timer for each run would cost a twentieth of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[Halt, float] = {}
        self._thread: threading.Thread | None = None

    def begin(self, halt: Halt, due: float) -> None:
        """End it, unless `end` comes before."""
        with self._lock:
            self._due[halt] = due
            if self._thread is None or not self._thread.is_alive():  # a process that was forked has none
                self._thread = threading.Thread(target=self._look, name="halts", daemon=True)
                self._thread.start()

    def end(self, halt: Halt) -> None:
        """It is done."""
        with self._lock:
            self._due.pop(halt, None)

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                due = [halt for halt, until in self._due.items() if until <= time.monotonic()]
            for halt in due:
                halt.now()


_watch = _Watch()
_bound: ContextVar[Halt | None] = ContextVar("halt", default=None)


@contextmanager
def halt_for(images: int) -> Iterator[Halt]:
    """What ends a run on so many images: the halt that is bound here, else one that comes by itself, after
    many times what the slowest network needs.

    Raises:
        DataError: the latter has come.
    """
    bound = _bound.get()
    if bound is not None:
        yield bound
        return
    halt, seconds = Halt(), _RUN_SECONDS + _RUN_SECONDS_AN_IMAGE * images
    _watch.begin(halt, time.monotonic() + seconds)
    try:
        yield halt
    except HaltedError as error:
        raise DataError(
            f"The network was not done with {images} images after {seconds:.0f} s, so it may never be. "
            "Use another model."
        ) from error
    finally:
        _watch.end(halt)
