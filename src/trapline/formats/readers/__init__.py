"""One file a foreign format that a catalog is read from; each registers its reader."""

from trapline.formats.readers import (  # noqa: F401  they register themselves
    addaxai,
    camtrap_dp,
    class_folders,
    coco_camera_traps,
    csv_table,
    drivendata,
    hakuna_ma_data,
    megadetector,
    observations,
    photo_folder,
    speciesnet,
    timelapse,
    wildlife_insights,
)
from trapline.formats.readers.camtrap_dp import CamtrapDpTables, read_camtrap_dp_tables
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.exif_times import with_times_for
from trapline.formats.readers.hakuna_ma_data import NUMBER_IN_NAME, folder_of
from trapline.formats.readers.megadetector import join_boxes
from trapline.formats.readers.registry import COMMON_OPTIONS, READERS, Reader, choose_reader, read, reader
from trapline.formats.readers.wildlife_insights import deployment_tables, read_identifications

__all__ = [
    "COMMON_OPTIONS",
    "NUMBER_IN_NAME",
    "READERS",
    "CamtrapDpTables",
    "Draft",
    "Reader",
    "choose_reader",
    "deployment_tables",
    "folder_of",
    "join_boxes",
    "read",
    "read_camtrap_dp_tables",
    "read_identifications",
    "reader",
    "with_times_for",
]
