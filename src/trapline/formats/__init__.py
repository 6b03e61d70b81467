"""Foreign formats: `readers` into a catalog, `writers` out of predictions, and what both share."""

from trapline.formats.readers import READERS, Reader, join_boxes, read, reader
from trapline.formats.writers import WRITERS, Writer, WriteReport, undo_sorted, write, write_boxes, writer

__all__ = [
    "READERS",
    "WRITERS",
    "Reader",
    "WriteReport",
    "Writer",
    "join_boxes",
    "read",
    "reader",
    "undo_sorted",
    "write",
    "write_boxes",
    "writer",
]
