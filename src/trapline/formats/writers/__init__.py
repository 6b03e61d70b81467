"""One file a foreign format that predictions leave by; each registers its writer."""

from trapline.formats.writers import (  # noqa: F401  they register themselves
    camtrap_dp,
    coco,
    sorted,
    speciesnet,
    summary,
    table,
    wildlife_insights,
    xmp,
)
from trapline.formats.writers.megadetector import write_boxes
from trapline.formats.writers.sorted import undo_sorted
from trapline.formats.writers.summary import INTERVAL, independent_times
from trapline.formats.writers.writing import WRITERS, Job, Writer, WriteReport, Written, write, writer

__all__ = [
    "INTERVAL",
    "WRITERS",
    "Job",
    "WriteReport",
    "Writer",
    "Written",
    "independent_times",
    "undo_sorted",
    "write",
    "write_boxes",
    "writer",
]
