"""The record of sorted folders: what was to be made, so that it can be undone wherever the work stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from trapline.catalog import as_name, as_text
from trapline.errors import DataError
from trapline.formats.json_file import read_json_object
from trapline.storage import beside, replace_text, sync_folder

UNDO_FILE = "trapline-sorted.json"
_PARTIAL = ".trapline-partial"


@dataclass
class SortingRecord:
    """What sorting makes in a folder; on disk before the first of it is made.

    Attributes:
        folder: the output.
        made: path, relative to the folder → fingerprint of the file that is, or is to be, there.
        folders: those that sorting makes, relative, the deepest last; `.` for the output itself.
        facts: JSON-able, for people.
    """

    folder: Path
    made: dict[str, list[Any]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> SortingRecord:
        """The record in a folder.

        Raises:
            DataError: there is none, it is wrong, or names something outside the folder.
        """
        path = folder / UNDO_FILE
        document = read_json_object(path)
        made, folders = document.pop("made", None), document.pop("folders", [])
        if not isinstance(made, list) or not all(isinstance(entry, dict) for entry in made):
            raise DataError(f"{path} is no record of sorting.")
        if not isinstance(folders, list):
            raise DataError(f"{path} is no record of sorting: its folders are no list.")
        fingerprints = {str(entry.get("path")): entry.get("is") or [] for entry in made}
        for target in (*fingerprints, *folders):
            relative = PurePosixPath(str(target))
            if relative.is_absolute() or ".." in relative.parts:
                raise DataError(f"{path} names {target}, which is outside the folder.")
        return cls(folder, fingerprints, [str(each) for each in folders], document)

    def save(self) -> None:
        """Write the record so that it outlives a power cut."""
        made = [{"path": target, "is": fingerprint} for target, fingerprint in self.made.items()]
        document = self.facts | {"folders": self.folders, "made": made}
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self.folder / UNDO_FILE, json.dumps(document, indent=1, ensure_ascii=False))
        sync_folder(self.folder)

    def changed(self) -> list[str]:
        """The paths where something else is than what was made."""
        files = ((target, self.folder / as_name(target)) for target in self.made)
        return [target for target, path in files if exists(path) and fingerprint(path) != self.made[target]]

    def undo(self) -> tuple[int, list[str]]:
        """Take away what was made, whole or half, and the folders made for it that this leaves empty.

        What changed since is left, and stays in the record.

        Returns:
            How many files were taken away, and those that were left.
        """
        kept, removed = dict.fromkeys(self.changed()), 0
        for target in self.made:
            path = self.folder / as_name(target)
            if target in kept:
                continue
            partial_of(path).unlink(missing_ok=True)
            if exists(path):
                path.unlink()
                removed += 1
        self.made = {target: self.made[target] for target in kept}
        self._remove_folders([name for name in self.folders if name != "."])
        if not kept:
            (self.folder / UNDO_FILE).unlink()
            self._remove_folders(["."] if "." in self.folders else [])
        self.folders = [name for name in self.folders if (self.folder / as_name(name)).is_dir()]
        if kept:
            self.save()
        return removed, list(kept)

    def _remove_folders(self, names: Sequence[str]) -> None:
        for name in reversed(names):
            path = self.folder / as_name(name)
            if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()


def missing_folders(output: Path, targets: Iterable[str]) -> list[str]:
    """The folders that files at `targets` need and that are not there, the deepest last."""
    needed = {parent for target in targets for parent in PurePosixPath(target).parents}
    absent = [folder for folder in needed if not (output / as_name(folder.as_posix())).exists()]
    return [folder.as_posix() for folder in sorted(absent, key=lambda folder: (len(folder.parts), folder))]


def partial_of(path: Path) -> Path:
    """Where a copy grows before it takes its place."""
    return beside(path, _PARTIAL)


def exists(path: Path) -> bool:
    """Something is there, be it a link to nothing."""
    return path.is_symlink() or path.exists()


def fingerprint(path: Path) -> list[Any]:
    """What tells whether a file is still the one that was made: a link's target, or size and time."""
    if path.is_symlink():
        return ["symlink", as_text(path.readlink().as_posix())]
    stat = path.stat()
    return ["file", stat.st_size, stat.st_mtime_ns]
