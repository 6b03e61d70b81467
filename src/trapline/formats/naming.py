"""Names of files as other tools write them, and the media that they mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from trapline.catalog import as_text
from trapline.errors import DataError, many


def match_names(
    paths: Sequence[str],
    names: Sequence[str],
    source: Path,
    entry: Callable[[int], str] = "images[{}]".format,
) -> list[int | None]:
    """For each name of a file the index of its path; None where it has none. A name may stand there twice.

    Names are matched from their ends, folder by folder: a name may lack leading folders that the path has,
    or have more. They are compared to the letter; where that finds nothing with backslashes as slashes, then
    with accents in one form (NFC), then without regard to case, then with `%20` as a blank and
    without blanks at the edges of names: each only where one path alone can be meant.
    A path that a name has in a stricter form is no other's in a looser one.

    Args:
        paths: of the media.
        names: as the file has them.
        source: the file, for messages.
        entry: what a name's entry is called in messages, by its number.

    Raises:
        DataError: no name matches, a name matches several paths, or two different ones the same path.
    """
    rows = match_some_names(paths, names, source, entry)
    if all(row is None for row in rows):
        from trapline.images import is_video

        example = f"{names[0]!r} there, {paths[0]!r} here" if names and paths else "one of them is empty"
        videos = sum(map(is_video, names))
        example += f"; {videos:,} of its {many(len(names), 'name is')} of videos" if videos else ""
        raise DataError(f"{source} names no media of the catalog: {example}.")
    return rows


def match_some_names(
    paths: Sequence[str], names: Sequence[str], source: Path, entry: Callable[[int], str]
) -> list[int | None]:
    """As `match_names`, where it may be that no name matches.

    Raises:
        DataError: a name matches several paths, or two different ones the same path.
    """
    numbers: dict[str, int] = {}
    for number, name in enumerate(names):
        numbers.setdefault(name, number)
    owner: dict[int, int] = {}
    row_of: dict[int, int] = {}
    for form in _FORMS:
        left = {number: form(name) for name, number in numbers.items() if number not in row_of}
        if not left:
            break
        here = paths if form is _normalise_path else [form(path) for path in paths]
        matches = _match_form(here, left, owner, source, entry)
        row_of |= matches
        owner |= {row: number for number, row in matches.items()}
    return [row_of.get(numbers[name]) for name in names]


def _normalise_path(name: str) -> str:
    """As a detector on Linux writes what is on the disk: a backslash is part of a name."""
    return name.replace("\\", as_text("\\")).removeprefix("./")


def _slashes(name: str) -> str:
    return re.sub(r"/+", "/", name.replace("\\", "/")).removeprefix("./")


def _compose(name: str) -> str:
    """As `_slashes`, and accents that a Mac writes behind their letters with these."""
    return unicodedata.normalize("NFC", _slashes(name))


def _fold_case(name: str) -> str:
    return _compose(name).casefold()


def _decode(name: str) -> str:
    """As `_fold_case`, what addresses cannot hold (`%20`) as on the disk, without blanks at the edges."""
    return re.sub(r"\s*/\s*", "/", _fold_case(unquote(name))).strip()


LOOSER_FORMS: tuple[Callable[[str], str], ...] = (_compose, _fold_case, _decode)
"""Accents in one form, any case, and as addresses have it."""
_FORMS = (_normalise_path, _slashes, *LOOSER_FORMS)
"""In which names are compared, one after the other: what is the same to the letter is the same before what is
the same on a disk that does not tell accents or cases apart."""


def _match_form(
    paths: Sequence[str],
    names: Mapping[int, str],
    taken: Mapping[int, int],
    source: Path,
    entry: Callable[[int], str],
) -> dict[int, int]:
    """Number of a name → index in `paths`, both in one form; paths that are taken are not found."""
    by_name: dict[str, list[int]] = {}
    whole: dict[str, list[int]] = {}
    for index, path in enumerate(paths):
        if index not in taken:
            by_name.setdefault(path.rsplit("/", 1)[-1], []).append(index)
            whole.setdefault(path, []).append(index)
    rows: dict[int, int] = {}
    owner: dict[int, int] = {}
    for number, name in names.items():
        fits = whole.get(name) or _match_by_end(paths, by_name.get(name.rsplit("/", 1)[-1], []), name)
        if len(fits) > 1:
            several = ", ".join(paths[row] for row in fits[:4])
            raise DataError(
                f"{source}: {entry(number)} ({name}) could be any of {len(fits)} media: {several}. Name "
                "files in it with their folders, and in upper and lower case, as in the catalog."
            )
        for row in fits:
            if row in owner:
                raise DataError(
                    f"{source}: {entry(owner[row])} ({names[owner[row]]}) and {entry(number)} "
                    f"({name}) both match the media {paths[row]}. Name files in it as in the catalog."
                )
            rows[number], owner[row] = row, number
    return rows


def _match_by_end(paths: Sequence[str], rows: Sequence[int], name: str) -> list[int]:
    """The media whose path ends like `name`, or that `name` ends like."""
    return [
        row for row in rows if f"/{paths[row]}".endswith(f"/{name}") or f"/{name}".endswith(f"/{paths[row]}")
    ]
