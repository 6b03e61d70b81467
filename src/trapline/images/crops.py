"""From detector boxes to the rectangle that is cut; pure geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trapline.images.preprocessing import CropPolicy

UNKNOWN = "unknown"
"""The category of a box that is not told apart: it may be of any, and is cut to as those that are wanted."""


@dataclass(frozen=True)
class Box:
    """A detected box: position and size as fractions of the upright picture, origin at top left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Rectangle:
    """A part of a picture, pixels, not necessarily whole ones; `right` and `bottom` are exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """`right` less `left`."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """`bottom` less `top`."""
        return self.bottom - self.top

    def scale(self, factor: float) -> Rectangle:
        """The same part of the picture at another scale."""
        return Rectangle(self.left * factor, self.top * factor, self.right * factor, self.bottom * factor)


def refusal(box: Mapping[str, Any], crop: CropPolicy) -> str | None:
    """Why the policy does not let a box through; None if it does."""
    if crop.categories and box["category"] not in (*crop.categories, UNKNOWN):
        return f"category {box['category']}: the model looks at {', '.join(crop.categories)}"
    if _confidence(box) < crop.min_conf:
        return f"confidence {box['conf']:.3g} is under the model's {crop.min_conf:.3g}"
    if box["width"] <= 0 or box["height"] <= 0:
        return "the box has no area"
    return None


def _confidence(box: Mapping[str, Any]) -> float:
    conf = box["conf"]
    return 1.0 if conf is None else float(conf)  # without one it was drawn by hand


def choose_box(boxes: Sequence[Mapping[str, Any]] | None, crop: CropPolicy | None) -> Box | None:
    """The most confident box that passes the policy (the first of equals); None means the full frame.

    Args:
        boxes: a catalog's `boxes` of one media: category, conf, x, y, width, height; or None.
        crop: the model's policy; None never crops.
    """
    if crop is None:
        return None
    passing = [box for box in boxes or () if refusal(box, crop) is None]
    return as_box(max(passing, key=_confidence)) if passing else None


def as_box(box: Mapping[str, Any]) -> Box:
    """The geometry of one of a catalog's boxes."""
    return Box(float(box["x"]), float(box["y"]), float(box["width"]), float(box["height"]))


def crop_rectangle(height: int, width: int, box: Box | None, policy: CropPolicy | None) -> Rectangle:
    """The part of a `height` × `width` picture that is cut for a box.

    The box is made square (if asked) and grown by the context about its centre, no smaller than the least
    side; where that crosses an edge it is shifted inwards, and clipped only if it is larger than the picture.
    """
    if box is None or policy is None:
        return Rectangle(0.0, 0.0, float(width), float(height))
    sides = (box.width * width, box.height * height)
    if policy.square:
        sides = (max(sides), max(sides))
    least = policy.min_side * min(height, width)
    left, right = _span(box.x + box.width / 2, max(sides[0] * policy.context, least), width)
    top, bottom = _span(box.y + box.height / 2, max(sides[1] * policy.context, least), height)
    return Rectangle(left, top, right, bottom)


def _span(centre: float, side: float, length: int) -> tuple[float, float]:
    side = min(max(side, 1.0), float(length))
    start = min(max(centre * length - side / 2, 0.0), length - side)
    return start, start + side
