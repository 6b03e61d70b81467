"""The photos of mistakes on a page, large enough to judge them by, and the way to decide on exactly these."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from trapline.addresses import address_of
from trapline.catalog import as_name
from trapline.evaluation import Mistake, Neighbour
from trapline.reports.page import LARGE, THUMBNAIL, thumbnail
from trapline.reports.shell import quoted
from trapline.storage import AnyPath, as_any_path

NEAR = 96
"""Pixels of the longer side of a training photo beside a mistake."""

MOST_BYTES = 12_000_000
"""Pictures of a page are large until they take so many bytes together; those after them are small."""


@dataclass(frozen=True)
class ShownMistake:
    """A mistake on the page.

    Attributes:
        mistake: what it is.
        address: of its picture; None where the photo cannot be read.
        file: of the photo itself, as seen from the page; None where it is not there, or in a bucket.
        alike: small pictures of the training photos that look most like it.
    """

    mistake: Mistake
    address: str | None
    file: str | None
    alike: tuple[tuple[Neighbour, str | None], ...] = ()


def show_mistakes(mistakes: Sequence[Mistake], root: AnyPath, page: Path) -> list[ShownMistake]:
    """The mistakes with their pictures, inside the page, and the way from it to their photos."""
    paths = [root / as_name(one.file_path) for one in mistakes]
    shown = zip(mistakes, _pictures(paths), paths, strict=True)
    return [
        ShownMistake(
            one,
            picture,
            _link(path, page),
            tuple((near, thumbnail(root / as_name(near.file_path), side=NEAR)) for near in one.alike),
        )
        for one, picture, path in shown
    ]


def _pictures(paths: Sequence[AnyPath]) -> Iterator[str | None]:
    size = 0
    for path in paths:
        picture = thumbnail(path, side=LARGE if size < MOST_BYTES else THUMBNAIL)
        size += len(picture or "")
        yield picture


def _link(path: AnyPath, page: Path) -> str | None:
    if not isinstance(path, Path) or not path.is_file():
        return None
    try:
        return quote(Path(os.path.relpath(path, page.absolute().parent)).as_posix())
    except ValueError:  # another drive of Windows
        return path.absolute().as_uri()


def listed_beside(page: Path, what: str) -> Path:
    """The table that is written beside a page, of its `mistakes` or `label_errors`."""
    return page.with_name(f"{page.stem}.{what}.csv")


def review_command(files: Sequence[AnyPath | str], listed: Path) -> str:
    """The command that asks for exactly what is listed; without files their place is held by words."""
    sources = [quoted(as_any_path(one)) for one in files] or ["CATALOG", "PREDICTIONS"]
    return f"trapline review {' '.join(sources)} --only {quoted(address_of(listed))} -o decisions.db"
