"""One file a foreign format: into a catalog, out of predictions."""

from trapline.formats import (
    camtrap_dp,
    class_folders,
    coco_camera_traps,
    csv_table,
    drivendata,
    hakuna_ma_data,
    photo_folder,
    speciesnet,
    timelapse,
)
from trapline.formats.megadetector import join_boxes
from trapline.formats.registry import READERS, Reader, read, reader
from trapline.formats.write_megadetector import write_boxes
from trapline.formats.writers import WRITERS, WriteReport, undo_sorted, write

__all__ = [
    "READERS",
    "WRITERS",
    "Reader",
    "WriteReport",
    "camtrap_dp",
    "class_folders",
    "coco_camera_traps",
    "csv_table",
    "drivendata",
    "hakuna_ma_data",
    "join_boxes",
    "photo_folder",
    "read",
    "reader",
    "speciesnet",
    "timelapse",
    "undo_sorted",
    "write",
    "write_boxes",
]
