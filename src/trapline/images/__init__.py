"""From a file to pixels: the only room that opens an image."""

from trapline.images.crops import (
    Box,
    Rectangle,
    as_box,
    choose_box,
    crop_array,
    crop_rectangle,
    passing_boxes,
    refusal,
)
from trapline.images.decode import DEFAULT_LIMITS, SUFFIXES, Limits, Loaded, load
from trapline.images.decoders import Decoder, Decoders, borrowed
from trapline.images.errors import ImageError
from trapline.images.exif import ExifInfo, parse_exif_time, read_exif
from trapline.images.hashing import near_duplicates, perceptual_hash
from trapline.images.prepare import Prepared, prepare
from trapline.images.preprocessing import CropPolicy, Preprocessing
from trapline.images.resize import fit, plan_fit

__all__ = [
    "DEFAULT_LIMITS",
    "SUFFIXES",
    "Box",
    "CropPolicy",
    "Decoder",
    "Decoders",
    "ExifInfo",
    "ImageError",
    "Limits",
    "Loaded",
    "Prepared",
    "Preprocessing",
    "Rectangle",
    "as_box",
    "borrowed",
    "choose_box",
    "crop_array",
    "crop_rectangle",
    "fit",
    "load",
    "near_duplicates",
    "parse_exif_time",
    "passing_boxes",
    "perceptual_hash",
    "plan_fit",
    "prepare",
    "read_exif",
    "refusal",
]
