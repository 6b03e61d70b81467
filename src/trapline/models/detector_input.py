"""What a detector's network takes: planes or pixels, of what size, and the sizes that it answers for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trapline.errors import DataError, UsageError
from trapline.images import Size
from trapline.models.detector_layouts import TARGET_SIZES
from trapline.models.runtimes import Session, Value

MULTIPLE = 32
_MOST_SIDE = 4096
INTEGERS: dict[str, type[np.number[Any]]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
}
"""In what numbers sizes are said, by ONNX's type."""

_PLANES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class DetectorInput:
    """What a network takes.

    Attributes:
        name: of the input for pictures.
        height: of a picture, pixels.
        width: of a picture, pixels.
        batched: whether it takes more than one picture at a time.
        pixels: whether it takes uint8 [batch, height, width, 3], RGB, of all multiples of 32; else it takes
            planes of one size.
        dtype: of its planes.
        sizes: the input for the sizes that boxes are answered for, where there is one.
    """

    name: str
    height: int
    width: int
    batched: bool
    pixels: bool
    dtype: type[np.floating[Any]]
    sizes: Value | None


def input_of(session: Session, facts: dict[str, Any], side: int | None, path: Path) -> DetectorInput:
    """What the network takes, of a side that is asked for where it takes any.

    Raises:
        DataError: it takes no pictures in a way that is known.
        UsageError: the side must be said, or is another.
    """
    pictures, *more = session.inputs
    shape, kind = pictures.shape, pictures.type
    planes = kind in _PLANES and len(shape) == 4 and shape[1] == 3
    pixels = kind == "tensor(uint8)" and shape[1:] == (None, None, 3) and "side" in facts
    sizes = more[0] if len(more) == 1 and more[0].name == TARGET_SIZES else None
    if not (planes or pixels) or (more and (sizes is None or sizes.type not in INTEGERS)):
        signature = ", ".join(f"{item.name} {item.type} {list(item.shape)}" for item in session.inputs)
        raise DataError(
            f"{path} is no detector in a layout that is known: its input should be float32 "
            f"[batch, 3, height, width], and is {signature}."
        )
    height, width = _size_of(shape[2:4] if planes else (None, None), session, facts, side, path)
    if shape[0] not in (None, 1):
        raise DataError(f"{path} takes {shape[0]} pictures at a time; export it for 1 or for any number.")
    dtype = _PLANES.get(kind, np.float32)
    return DetectorInput(pictures.name, height, width, shape[0] is None, pixels, dtype, sizes)


def _size_of(
    shape: tuple[int | None, ...], session: Session, facts: dict[str, Any], side: int | None, path: Path
) -> Size:
    """Height and width of the input: the graph's; else what is asked for, or what the file says."""
    height, width = shape
    if side is not None and {height, width} - {None, side}:
        raise UsageError(f"{path} takes pictures of {height} × {width} pixels; leave out the side of {side}.")
    if height is None or width is None:
        exported = _side_in(session.metadata)
        if side is None and "side" not in facts and exported is None:
            raise UsageError(
                f"{path} takes pictures of any size, and does not say for which it was trained: name it with "
                "--side, as in --side 1280."
            )
        stated = (facts["side"],) * 2 if "side" in facts else exported
        of_file = (side, side) if side is not None else stated
        assert of_file is not None
        height, width = height or of_file[0], width or of_file[1]
    if not (is_side(height) and is_side(width)):
        raise DataError(
            f"{path} takes pictures of {height} × {width} pixels; both must be fixed multiples of "
            f"{MULTIPLE}, up to {_MOST_SIDE}."
        )
    return height, width


def _side_in(metadata: Mapping[str, str]) -> Size | None:
    """Height and width in Ultralytics' metadata, as in `imgsz` = `[640, 640]`."""
    with suppress(ValueError):
        sizes = json.loads(metadata.get("imgsz", "null"))
        if isinstance(sizes, list) and len(sizes) == 2:
            return sizes[0], sizes[1]
    return None


def is_side(side: object) -> bool:
    """Whether an input can have that side, pixels."""
    return isinstance(side, int) and side % MULTIPLE == 0 and MULTIPLE <= side <= _MOST_SIDE
