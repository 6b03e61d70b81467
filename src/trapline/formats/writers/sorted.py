"""Photos sorted into a folder a label, by links or copies, and back again."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from trapline.catalog import as_name, as_text, refuse_gone
from trapline.errors import DataError, UsageError, many
from trapline.formats.hidden import is_hidden
from trapline.formats.sorting_record import (
    UNDO_FILE,
    SortingRecord,
    exists,
    fingerprint,
    missing_folders,
    partial_of,
)
from trapline.formats.writers.answers import (
    describe_spread,
    describe_threshold,
    folders_of,
    observe_media,
    tell_names_apart,
)
from trapline.formats.writers.people import Copier, copier
from trapline.formats.writers.writing import Job, Written, writer
from trapline.observations import FAILED, UNCLASSIFIED, UNOBSERVED
from trapline.storage import AnyPath, RemotePath

Mode = Literal["symlink", "hardlink", "copy"]
_LONGEST = 200
"""Bytes of a folder's name: disks take 255."""
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$')


@writer(
    "sorted",
    into="folder",
    loses=("everything but the labels; probabilities, locations and times are not in a folder's name",),
)
def write_sorted(
    job: Job, *, threshold: float | None = None, mode: Mode = "symlink", blur_people: bool = False
) -> Written:
    """Photos in a folder a label, as links or copies that can be undone.

    Below its label a photo keeps its path. A photo with several answers is in several folders; one where no
    label passes is in `unclassified`, one that failed in `failed`, one about which nobody says anything in
    `unobserved`. The originals are never moved or
    changed. `trapline-sorted.json` names all that is made, before it is made; `undo_sorted` takes exactly
    that away. Photos that people move from one label's folder to another are their corrections:
    `trapline catalog CATALOG --labels FOLDER` puts them on the catalog's media.

    Args:
        job: what is to be written.
        threshold: labels below this probability are no answers.
        mode: `symlink`, `hardlink` (same disk, no rights needed on Windows) or `copy`.
        blur_people: make people in copies unrecognisable, where a detector's boxes have them.

    Raises:
        UsageError: an unknown mode, links cannot be made here or to a bucket, or people are to be blurred in
            links.
        SourceGoneError: none of the photos can be read.
        DataError: a photo is missing, two labels would share a folder, or a file is in the way that sorting
            did not make or that changed since; what was sorted before is then as it was.
    """
    if mode != "copy" and isinstance(job.catalog.root, RemotePath):
        raise UsageError(
            f"Links lead to files of this machine; make copies of photos in {job.catalog.root}: --mode copy."
        )
    refuse_gone(job.catalog)
    recorded = (job.output / UNDO_FILE).is_file()
    before = SortingRecord.read(job.output) if recorded else SortingRecord(job.output)
    entries, notes = observe_media(job, threshold)
    copies = copier(job, entries, blur_people=blur_people, mode=mode)
    called, renamed = tell_names_apart(job.names)
    folders = _folder_names([*called.values(), UNCLASSIFIED, FAILED, UNOBSERVED])
    targets = [
        (entry.media["file_path"], f"{folders[label]}/{entry.media['file_path']}")
        for entry in entries
        for label in folders_of(entry, called)
    ]
    missing = [] if mode == "symlink" else _missing(job, [path for path, _ in targets])
    if missing and mode != "symlink":
        raise DataError(
            f"{many(len(missing), 'photo is')} not below {job.catalog.root}: {', '.join(missing[:3])}."
        )
    free = before.made.keys() - set(before.changed())
    taken = next((at for _, at in targets if exists(job.output / as_name(at)) and at not in free), None)
    if taken is not None:
        raise DataError(
            f"{job.output / taken} exists and was not made by sorting, or changed since; name another folder."
        )
    if recorded:
        _refuse_what_cannot_be_made(job, [source for source, _ in targets[:1]], mode)
        before.undo()
    failed = _make(job, targets, mode, before, {folders[called[label]]: label for label in job.names}, copies)
    notes += copies.notes()
    unclassified = sum(entry.unclassified for entry in entries)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, f"their photos are in {UNCLASSIFIED}/"
    )
    notes += renamed
    notes.append(
        "undo with `trapline write … --format sorted --undo`, or trapline.formats.undo_sorted(folder)"
    )
    made = len(targets) - len(failed)
    return Written(made, f"{mode}s" if mode != "copy" else "copies", [], notes, [UNDO_FILE], failed)


def undo_sorted(folder: Path | str) -> tuple[int, list[str]]:
    """Take away what `write_sorted` made, wherever it stopped, and those of its folders that this empties.

    Returns:
        How many files were taken away, and those that were left because they changed since; while there are
        such, the record stays.

    Raises:
        DataError: the folder was not made by sorting, or its record is wrong.
    """
    return SortingRecord.read(Path(folder)).undo()


def _folder_names(labels: Sequence[str]) -> dict[str, str]:
    """A folder for each label that every file system takes; names that would fall together are refused."""
    names = {label: _folder_name(label) for label in labels}
    seen: dict[str, str] = {}
    for label, name in names.items():
        other = seen.setdefault(name.casefold(), label)
        if other != label:
            raise DataError(f"The labels '{other}' and '{label}' would share the folder '{name}'.")
    return names


def _folder_name(label: str) -> str:
    """What a label's folder is called: no device of Windows, nothing hidden, accents in one form."""
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", label))
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return f"_{name}" if is_hidden(name) or _DEVICE.match(name) else name


def _make(
    job: Job,
    targets: Sequence[tuple[str, str]],
    mode: Mode,
    before: SortingRecord,
    labels: Mapping[str, str],
    copies: Copier,
) -> list[str]:
    """Make all links or copies, after what is to be made is on record; what changed `before` stays there.

    Returns:
        Those that could not be made, and why.
    """
    failed = []
    after = SortingRecord(
        job.output,
        before.made
        | {target: _expected_fingerprint(job.catalog.path(source), mode) for source, target in targets},
        [*before.folders, *missing_folders(job.output, [target for _, target in targets])],
        {
            "root": as_text(job.catalog.root.as_posix()),
            "mode": mode,
            "labels": {**labels, UNCLASSIFIED: None, FAILED: None, UNOBSERVED: None},
        },
    )
    after.save()
    try:
        for source, target in targets:
            path = job.output / as_name(target)
            path.parent.mkdir(parents=True, exist_ok=True)
            if mode != "copy":
                _link(job.catalog.on_disk(source), path, mode)
            elif (why := copies.copy(source, partial_of(path))) is None:
                partial_of(path).replace(path)
            else:
                failed.append(f"{target}: {why}")
                del after.made[target]
                continue
            after.made[target] = fingerprint(path)
    finally:
        after.save()
    return failed


def _missing(job: Job, file_paths: Sequence[str]) -> list[str]:
    """Photos that are not there; at an address it shows when they are copied."""
    if isinstance(job.catalog.root, RemotePath):
        return []
    return [path for path in file_paths if not job.catalog.path(path).is_file()]


def _expected_fingerprint(source: AnyPath, mode: Mode) -> list[Any]:
    if isinstance(source, RemotePath):
        return ["copy", str(source)]  # of no file: what is not whole yet is nobody's
    return ["symlink", as_text(source.as_posix())] if mode == "symlink" else fingerprint(source.resolve())


def _refuse_what_cannot_be_made(job: Job, sources: Sequence[str], mode: Mode) -> None:
    for source in sources if mode != "copy" else ():
        trial = partial_of(job.output / as_name(PurePosixPath(source).name))
        _link(job.catalog.on_disk(source), trial, mode)
        trial.unlink()


def _link(source: Path, path: Path, mode: Mode) -> None:
    try:
        if mode == "symlink":
            path.symlink_to(source)
        else:
            os.link(source, path)
    except OSError as error:
        other = "hardlink" if mode == "symlink" else "copy"
        raise UsageError(f"A {mode} cannot be made at {path}: {error}. Try --mode {other}.") from error
