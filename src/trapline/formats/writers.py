"""Every writer, registered."""

from trapline.formats import (
    write_camtrap_dp,
    write_coco,
    write_megadetector,
    write_sorted,
    write_speciesnet,
    write_summary,
    write_table,
    write_wildlife_insights,
    write_xmp,
)
from trapline.formats.write_sorted import undo_sorted
from trapline.formats.writing import WRITERS, Writer, WriteReport, write, writer

__all__ = [
    "WRITERS",
    "WriteReport",
    "Writer",
    "undo_sorted",
    "write",
    "write_camtrap_dp",
    "write_coco",
    "write_megadetector",
    "write_sorted",
    "write_speciesnet",
    "write_summary",
    "write_table",
    "write_wildlife_insights",
    "write_xmp",
    "writer",
]
