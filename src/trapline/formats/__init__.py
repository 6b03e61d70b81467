"""Foreign formats: `readers` into a catalog, `writers` out of predictions, and what both share."""

from trapline.formats.readers import COMMON_OPTIONS, READERS, Draft, Reader, join_boxes, read, reader
from trapline.formats.times import wall_clock
from trapline.formats.writers import (
    WRITERS,
    Job,
    Writer,
    WriteReport,
    Written,
    undo_sorted,
    write,
    write_boxes,
    writer,
)

__all__ = [
    "COMMON_OPTIONS",
    "READERS",
    "WRITERS",
    "Draft",
    "Job",
    "Reader",
    "WriteReport",
    "Writer",
    "Written",
    "join_boxes",
    "read",
    "reader",
    "undo_sorted",
    "wall_clock",
    "write",
    "write_boxes",
    "writer",
]
