"""One file a foreign format: into a catalog, out of predictions."""

from trapline.formats import class_folders, coco_camera_traps, csv_table, drivendata, photo_folder
from trapline.formats.megadetector import join_boxes
from trapline.formats.registry import READERS, Reader, read, reader

__all__ = [
    "READERS",
    "Reader",
    "class_folders",
    "coco_camera_traps",
    "csv_table",
    "drivendata",
    "join_boxes",
    "photo_folder",
    "read",
    "reader",
]
