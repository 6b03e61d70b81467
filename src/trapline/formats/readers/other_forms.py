"""Photos that a table names as another disk does, which may not tell accents or cases apart."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl

from trapline.catalog import as_name, as_text
from trapline.errors import many
from trapline.formats.naming import LOOSER_FORMS

_FOLDER = "^(.*)/"


def as_on_disk(paths: pl.Series, root: Path) -> tuple[pl.Series, list[str]]:
    """Paths as the disk writes them, and what to say of it.

    A path that is not there is looked for folder by folder with accents in one form (NFC: a Mac writes them
    behind their letters), then without regard to case (Windows), then with `%20` as a blank (addresses) and
    without blanks at the edges of names (tables lose them): each only where one name alone can be meant, and
    where no other path is of that file.

    Args:
        paths: of a catalog, relative to `root`.
        root: the folder.

    Returns:
        String [paths]: those that are there, and those that are nowhere, stay.
    """
    disk = _Disk(root)
    folders = {folder: disk.folder(folder) for folder in paths.str.extract(_FOLDER, 1).fill_null("").unique()}
    if not any(here is not None for here in folders.values()):
        return paths, []
    table = paths.drop_nulls().unique().alias("path").to_frame()
    table = table.with_columns(pl.col("path").str.extract(_FOLDER, 1).fill_null("").alias("folder"))
    candidates = {
        path: here
        for (folder,), part in table.group_by("folder")
        if (there := folders[str(folder)]) is not None
        for path in _not_there(part["path"], disk.names(there), same_folder=there == folder)
        if (here := disk.path(path)) is not None and here != path
    }
    taken = set(table["path"].filter(table["path"].is_in(list(candidates.values()))))
    counts = Counter(candidates.values())
    renamed = {path: here for path, here in candidates.items() if counts[here] == 1 and here not in taken}
    if not renamed:
        return paths, []
    first = min(renamed)
    return paths.replace(renamed), [
        f"{many(len(renamed), 'path differs')} from those on the disk in accents, upper and lower case, "
        f"blanks or %20 only: {first!r} is taken for {renamed[first]!r}"
    ]


def _not_there(paths: pl.Series, names: pl.Series, *, same_folder: bool) -> pl.Series:
    """Those of the paths in a folder, of which these are the names, that may be there in another form."""
    own = paths.str.replace("^.*/", "")
    alike = _plain(own).is_in(_plain(names).implode()) | own.str.contains("%", literal=True)
    return paths.filter(alike & ~own.is_in(names.implode()) if same_folder else alike)


def _plain(names: pl.Series) -> pl.Series:
    """About what `LOOSER_FORMS` make of names, for millions at once."""
    return names.str.normalize("NFC").str.to_lowercase().str.strip_chars()


class _Disk:
    """What is in the folders below a root, each of which is looked into once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, str | None] = {"": "" if root.is_dir() else None}
        self._names: dict[str, pl.Series] = {}
        self._forms: dict[tuple[str, Callable[[str], str]], dict[str, list[str]]] = {}

    def folder(self, path: str) -> str | None:
        """A folder as the disk writes it; None where it is not there in any form."""
        if path not in self._folders:
            exact = _is_folder(self._root / as_name(path))
            self._folders[path] = path if exact else self.path(path)
        return self._folders[path]

    def path(self, path: str) -> str | None:
        """A file or folder as the disk writes it; None where it is not there, or several could be meant."""
        above, _, name = path.rpartition("/")
        folder = self.folder(above)
        if folder is None:
            return None
        here = self._name(folder, name)
        return here if here is None or not folder else f"{folder}/{here}"

    def names(self, folder: str) -> pl.Series:
        """Of all that is in a folder which is there."""
        if folder not in self._names:
            try:
                names = [as_text(name) for name in os.listdir(self._root / as_name(folder))]  # noqa: PTH208 - a Path for each name is slow
            except OSError:
                names = []
            self._names[folder] = pl.Series("name", names, pl.String)
        return self._names[folder]

    def _name(self, folder: str, name: str) -> str | None:
        for form in LOOSER_FORMS:
            if (folder, form) not in self._forms:
                alike: dict[str, list[str]] = {}
                for each in self.names(folder):
                    alike.setdefault(form(each), []).append(each)
                self._forms[folder, form] = alike
            fits = self._forms[folder, form].get(form(name), [])
            if name in fits:
                return name
            if fits:
                return fits[0] if len(fits) == 1 else None
        return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False
