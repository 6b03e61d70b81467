"""Photos sorted into a folder a label, by links or copies, and back again."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from trapline.errors import DataError, UsageError
from trapline.formats.answers import MediaSaid, by_media, describe_spread, describe_threshold
from trapline.formats.json_file import read_json_object
from trapline.formats.writing import Job, Written, put, writer

UNDO_FILE = "trapline-sorted.json"
UNCLASSIFIED, FAILED = "unclassified", "failed"
Mode = Literal["symlink", "hardlink", "copy"]
_MODES = ("symlink", "hardlink", "copy")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$')


@writer(
    "sorted",
    into="folder",
    loses=("everything but the labels; probabilities, places and times are not in a folder's name",),
)
def write_sorted(job: Job, *, threshold: float | None = None, mode: Mode = "symlink") -> Written:
    """Photos in a folder a label, as links or copies that can be undone.

    Below its label a photo keeps its path. A photo with several answers is in several folders; one where no
    label passes is in `unclassified`, one that failed in `failed`. The originals are never moved or
    changed. `trapline-sorted.json` names all that was made; `undo_sorted` takes exactly that away.

    Args:
        job: what is to be written.
        threshold: labels below it are no answers.
        mode: `symlink`, `hardlink` (same disk, no rights needed on Windows) or `copy`.

    Raises:
        UsageError: an unknown mode, or links cannot be made here.
        DataError: a photo is missing, or two labels would share a folder.
    """
    if mode not in _MODES:
        raise UsageError(f"There is no mode '{mode}'; there are: {', '.join(_MODES)}.")
    if job.output.exists() and (job.output / UNDO_FILE).is_file():
        undo_sorted(job.output)
    entries, notes = by_media(job, threshold)
    folders = _folder_names([*job.names, UNCLASSIFIED, FAILED])
    places = [
        (entry.media["file_path"], f"{folders[label]}/{entry.media['file_path']}")
        for entry in entries
        for label in _labels(entry)
    ]
    missing = [path for path, _ in places if not job.catalog.path(path).is_file()]
    if missing and mode != "symlink":
        raise DataError(f"{len(missing)} photos are not below {job.catalog.root}: {', '.join(missing[:3])}.")
    taken = next((place for _, place in places if _exists(job.output / place)), None)
    if taken is not None:
        raise DataError(f"{job.output / taken} exists and was not made by sorting; name another folder.")
    _make(job, places, mode)
    unclassified = sum(entry.unclassified for entry in entries)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, f"their photos are in {UNCLASSIFIED}/"
    )
    notes.append(
        "undo with `trapline write … --format sorted --undo`, or trapline.formats.undo_sorted(folder)"
    )
    return Written(len(places), f"{mode}s" if mode != "copy" else "copies", [], notes, [UNDO_FILE])


def undo_sorted(folder: Path | str) -> tuple[int, list[str]]:
    """Take away what `write_sorted` made, and the folders that this leaves empty.

    Returns:
        How many files were taken away, and those that were left because they changed since.

    Raises:
        DataError: the folder was not made by sorting, or its record is wrong.
    """
    folder = Path(folder)
    record = read_json_object(folder / UNDO_FILE)
    made = record.get("made")
    if not isinstance(made, list) or not all(isinstance(entry, dict) for entry in made):
        raise DataError(f"{folder / UNDO_FILE} is no record of sorting.")
    removed, kept = 0, []
    for entry in made:
        place = PurePosixPath(str(entry.get("path")))
        if place.is_absolute() or ".." in place.parts:
            raise DataError(f"{folder / UNDO_FILE} names {place}, which is outside the folder.")
        path = folder / place
        if not _exists(path):
            continue
        if _fingerprint(path) != entry.get("is"):
            kept.append(place.as_posix())
            continue
        path.unlink()
        removed += 1
    (folder / UNDO_FILE).unlink()
    _remove_empty(folder)
    return removed, kept


def _labels(entry: MediaSaid) -> list[str]:
    return entry.labels or [FAILED if entry.failed else UNCLASSIFIED]


def _folder_names(labels: Sequence[str]) -> dict[str, str]:
    """A folder for each label that every file system takes; names that would fall together are refused."""
    names = {label: _FORBIDDEN.sub("_", label) for label in labels}
    seen: dict[str, str] = {}
    for label, name in names.items():
        other = seen.setdefault(name.casefold(), label)
        if other != label:
            raise DataError(f"The labels '{other}' and '{label}' would share the folder '{name}'.")
    return names


def _make(job: Job, places: Sequence[tuple[str, str]], mode: Mode) -> None:
    """Make all links or copies; what was made is recorded even if the run breaks, for undoing."""
    made: list[dict[str, Any]] = []
    try:
        for source, place in places:
            path = job.output / place
            path.parent.mkdir(parents=True, exist_ok=True)
            _bring(job.catalog.path(source), path, mode)
            made.append({"path": place, "is": _fingerprint(path)})
    finally:
        record = {"root": job.catalog.root.as_posix(), "mode": mode, "made": made}
        put(job.output / UNDO_FILE, json.dumps(record, indent=1, ensure_ascii=False))


def _bring(source: Path, path: Path, mode: Mode) -> None:
    if mode == "copy":
        shutil.copy2(source, path)
        return
    try:
        if mode == "symlink":
            path.symlink_to(source)
        else:
            os.link(source, path)
    except OSError as error:
        other = "hardlink" if mode == "symlink" else "copy"
        raise UsageError(f"A {mode} cannot be made at {path}: {error}. Try --mode {other}.") from error


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _fingerprint(path: Path) -> list[Any]:
    """What tells whether a file is still the one that was made: a link's target, or size and time."""
    if path.is_symlink():
        return ["symlink", path.readlink().as_posix()]
    stat = path.stat()
    return ["file", stat.st_size, stat.st_mtime_ns]


def _remove_empty(folder: Path) -> None:
    for inner, _, _ in os.walk(folder, topdown=False):
        if not any(Path(inner).iterdir()):
            Path(inner).rmdir()
