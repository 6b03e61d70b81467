"""A review opened: one server for one file of decisions, which are of these photos."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from trapline.errors import DataError, UsageError
from trapline.review.desk import Desk, DeskOptions
from trapline.review.log import DecisionLog
from trapline.review.pictures import PictureStore
from trapline.review.project import Project
from trapline.review.teaching import Teacher
from trapline.storage import lock

_RUNNING = "running"
"""Beside what can be made again: where the server of the file is, or was; locked as long as it runs."""

_LONGEST_LINK = 500
"""Bytes that are read of it."""

_PORT = re.compile(rb"http://\S*:(\d{1,5})/")


def folder_of(path: Path) -> Path:
    """Where is kept, beside a file of decisions, what can be made again: pictures, features, models.

    Raises:
        UsageError: the file would be called like the folder.
    """
    folder = path.with_suffix(".review")
    if folder == path:
        raise UsageError(
            f"{path} is what the folder beside the decisions is called. Name a file like {path.stem}.db."
        )
    return folder


@contextmanager
def open_review(
    project: Project, path: Path, options: DeskOptions | None = None, *, train: bool = False
) -> Iterator[Desk]:
    """The desk of a review; where it is served is said to others who try to open the same file.

    Args:
        project: what is reviewed.
        path: of the decisions; made, or gone on with.
        options: how it is gone about.
        train: a model learns from what is decided, meanwhile.

    Raises:
        UsageError: another server has the file, or it is of other photos.
        DataError: it holds no decisions but something else, or cannot be written.
    """
    with only_one(path) as running, DecisionLog.open(path, create=True) as log:
        folder = folder_of(path)
        pictures = PictureStore(folder / "pictures")
        teacher = Teacher(folder, project.catalog, log, taxonomy=project.tree) if train else None
        try:
            if teacher is not None:
                teacher.start()
            yield Desk(project, log, pictures, options, teacher, running.at, running.port_before)
        finally:
            pictures.close()
            if teacher is not None:
                teacher.stop()


class Running:
    """Says to others where the server of a file of decisions is, and to the next one where it was.

    Args:
        file: beside that of the decisions; what it says is of the server before.

    Attributes:
        port_before: of that server; 0 where there was none.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        there = _PORT.match(file.read(_LONGEST_LINK))
        self.port_before = int(there[1]) if there and 0 < int(there[1]) < 2**16 else 0
        file.truncate(0)  # until it is known where this one is

    def at(self, link: str) -> None:
        """Note the link, without its token."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"{link.partition('?')[0]} (process {os.getpid()})\n".encode())
        self._file.flush()


@contextmanager
def only_one(path: Path) -> Iterator[Running]:
    """While this is open no other server on this machine opens the same file of decisions.

    Args:
        path: of the file.

    Raises:
        UsageError: another has it; it says where.
        DataError: nothing can be written beside it.
    """
    where = folder_of(path) / _RUNNING
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        file = where.open("a+b")
    except OSError as error:
        raise DataError(
            f"Nothing can be written to {where.parent}: {error.strerror or error}. Name another file with -o."
        ) from None
    with file:
        try:
            lock(file, path)
        except UsageError:
            file.seek(0)
            there = file.read(_LONGEST_LINK).decode("utf-8", "replace").strip() or "another process"
            raise UsageError(
                f"{path} is being reviewed already, at {there}. Open the link that was printed there, end "
                "that server, or name another file with -o."
            ) from None
        yield Running(file)
