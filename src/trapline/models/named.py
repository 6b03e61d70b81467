"""From what a user names to the file of a model: a path, a ready model's id, or `auto`."""

from __future__ import annotations

import re
from pathlib import Path

from trapline.errors import DataError, UsageError
from trapline.models import detectors
from trapline.models.ready import ReadyModel, close_names, ready_model
from trapline.models.ready_files import ready_path

_NAME = re.compile(r"(?!.*\.onnx$)[\w.-]+", re.IGNORECASE)


def ready_of(named: Path | str) -> ReadyModel | None:
    """The ready model of that id; None for a `Path`, and for text that is none.

    An id stands before a file of that name in the current folder, which is called `./NAME`.
    """
    return ready_model(named) if isinstance(named, str) and _NAME.fullmatch(named) else None


def find_model(named: Path | str) -> Path:
    """The model file that is named: a path, or the id of a ready model.

    Raises:
        DataError: there is no such file, or the ready model is not on this machine or is none that is read.
        UsageError: the id is a detector's.
    """
    if ready := ready_of(named):
        if ready.task == "detector":
            raise UsageError(f"{ready.id} is a detector, which finds boxes; name a model that tells labels.")
        return _on_this_machine(ready)
    if not Path(named).exists():
        raise DataError(
            f"There is no model file at {named}.{_close(named)} `trapline train` makes one, and "
            "`trapline models list` lists ready ones."
        )
    return Path(named)


def find_detector(named: Path | str = detectors.AUTO) -> Path:
    """The ONNX file of a detector: a path, the id of a ready one, or `auto` for the one that is shipped.

    Raises:
        DataError: there is no such file, or the ready detector is not on this machine.
        UsageError: the id is not a detector's.
    """
    if named == detectors.AUTO:
        return detectors.path(detectors.STANDARD)
    if ready := ready_of(named):
        if ready.task != "detector":
            raise UsageError(f"{ready.id} is no detector: it finds no boxes.")
        return _on_this_machine(ready)
    if not Path(named).exists():
        raise DataError(
            f"There is no detector at {named}.{_close(named)} Where none is named, the one that comes with "
            f"Trapline is used ({detectors.STANDARD}); `trapline models list` lists others."
        )
    return Path(named)


def names_detector(boxes: Path | str) -> bool:
    """Whether boxes are to be found, and not read: `auto`, a detector's ONNX file, or a ready model's id."""
    is_file = str(boxes) == detectors.AUTO or Path(boxes).suffix.lower() == ".onnx"
    return is_file or ready_of(boxes) is not None


def _on_this_machine(ready: ReadyModel) -> Path:
    if path := ready_path(ready):
        return path
    how = f"trapline models get {ready.id}" + ("" if ready.fetchable else " --file FILE")
    raise DataError(
        f"The ready model {ready.id} is not on this machine: {how}. `trapline models show {ready.id}` says "
        "what it is."
    )


def _close(named: Path | str) -> str:
    close = close_names(named) if isinstance(named, str) and _NAME.fullmatch(named) else []
    return f" Of the ready models, do you mean {' or '.join(close)}?" if close else ""
