"""People in photos that leave as copies."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from trapline.errors import UsageError, many
from trapline.formats.writers.writing import Job
from trapline.images import DEFAULT_LIMITS, UNKNOWN, Box, ImageError, as_box, blurred_copy
from trapline.observations import MediaObservations, category_name, is_sure, kind_of
from trapline.storage import RemotePath, local_copy

UNSEEN = "no detector has looked for people in it: run `trapline detect`"
_UNTOLD = "its boxes do not tell people from animals"
_WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def copier(job: Job, entries: Sequence[MediaObservations], *, blur_people: bool, mode: str) -> Copier:
    """What copies the photos of a job, people in them made unrecognisable if that is asked for.

    Raises:
        UsageError: they are not copied, or no detector has looked at any.
    """
    if blur_people and mode != "copy":
        raise UsageError(
            f"--blur-people changes pictures, and --mode {mode} makes none: give it with --mode copy."
        )
    if blur_people and all(entry.media["boxes"] is None for entry in entries):
        raise UsageError(
            "--blur-people needs to know where people are, and no photo has boxes of a detector: `trapline "
            "detect` finds some."
        )
    return Copier(job, {entry.media["file_path"]: entry for entry in entries} if blur_people else {})


class Copier:
    """Copies photos one by one, and counts what became of people in them."""

    def __init__(self, job: Job, entries: dict[str, MediaObservations]) -> None:
        self._job, self._entries = job, entries
        self.counts: Counter[str] = Counter()

    def copy(self, file_path: str, target: Path) -> str | None:
        """Copy a photo; why that cannot be done, or None."""
        source = self._job.catalog.path(file_path)
        entry = self._entries.get(file_path)
        boxes = [] if entry is None else self._people(entry)
        if isinstance(boxes, str):
            return boxes
        try:
            with local_copy(source, most_bytes=DEFAULT_LIMITS.max_bytes) as here:
                return self._copy(here, target, boxes)
        except FileNotFoundError as error:
            if isinstance(source, RemotePath):
                return error.strerror
            raise

    def _copy(self, source: Path, target: Path, boxes: list[Box]) -> str | None:
        if not boxes:
            shutil.copy2(source, target)
            return None
        try:
            blurred_copy(source, target, boxes)
        except ImageError as error:
            target.unlink(missing_ok=True)
            return error.reason
        shutil.copystat(source, target)
        self.counts["whole" if boxes == [_WHOLE] else "boxes"] += 1
        return None

    def _people(self, entry: MediaObservations) -> list[Box] | str:
        """Where people are in a photo; or why that is not known."""
        if entry.media["boxes"] is None:
            return UNSEEN
        sure = [box for box in entry.media["boxes"] if is_sure(box, self._job.min_conf)]
        people = [as_box(box) for box in sure if kind_of(box) == "human"]
        if people:
            return people
        if any(self._job.kind(label) == "human" for label in entry.labels):
            return [_WHOLE]
        return _UNTOLD if any(category_name(box["category"]) == UNKNOWN for box in sure) else []

    def notes(self) -> list[str]:
        """For people: how many photos were changed, and what that does not do."""
        if not self._entries:
            return []
        photos = many(self.counts["boxes"], "photo")
        note = f"people are made unrecognisable in {photos}, where a detector's box of "
        note += f"at least {self._job.min_conf:g} (--min-conf) has them"
        if whole := self.counts["whole"]:
            note += f"; {whole} of people without such a box are blurred whole"
        return [
            f"{note}; those copies have EXIF data alone, without previews, and other contents than the "
            "photos, so that they are not known again by content"
        ]
