"""What the tasks of the tests do."""

import os
import signal
import time
import warnings
from pathlib import Path

from trapline.errors import DataError, TraplineWarning, UsageError


def double(number: int) -> int:
    return 2 * number


def refuse(message: str, usage: bool = False) -> None:
    raise (UsageError if usage else DataError)(message)


def fail_first(folder: str, how: str, times: int = 1) -> int:
    """Die or fail so many times, then say how often it was begun."""
    begun = len(list(Path(folder).iterdir())) + 1
    (Path(folder) / f"try-{begun}").touch()
    if begun <= times:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "abort":
            os.abort()
        elif how == "leave":
            os._exit(0)
        else:
            raise OSError(28, "No space left on device", "a/path")
    return begun


def warn(text: str) -> None:
    warnings.warn(text, TraplineWarning, stacklevel=1)
    print("no answer")


def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


def sleep(begun: str, stopped: str) -> None:
    """Wait to be stopped; put something away then."""
    Path(begun).write_text(str(os.getpid()))
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        Path(stopped).touch()
        raise


def not_json() -> object:
    return Path()


def large(letters: int) -> str:
    return "a" * letters


def take(seconds: float, folder: str, name: str) -> int:
    """Leave a file for every time that it is begun."""
    (Path(folder) / f"{name}-{os.getpid()}").touch()
    time.sleep(seconds)
    return os.getpid()
