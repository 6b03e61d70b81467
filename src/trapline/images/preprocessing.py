"""What happens to a photo between its file and the network: a description, stored in the model file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CropPolicy(BaseModel):
    """How a photo is cut to what a detector found.

    Attributes:
        categories: the box categories that count, by name (`animal`), and `unknown`; empty for all.
        min_conf: boxes below this confidence are left out; a box without one was drawn by hand and counts.
        context: the crop's sides over the box's; 1.0 is the bare box.
        square: grow the box's shorter side to the longer first. A crop that crosses the image's edge is
            shifted inwards, and clipped only where it is larger than the image.
        min_side: the crop's least side, as a fraction of the image's shorter side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    categories: tuple[str, ...] = ("animal",)
    min_conf: float = Field(0.2, ge=0, le=1)
    context: float = Field(1.3, ge=1, le=10)
    square: bool = True
    min_side: float = Field(0.1, ge=0, le=1)


class Preprocessing(BaseModel):
    """Everything that decides the pixels a network sees; train, predict and serve share it.

    Order: decode (upright, RGB; colour profiles are ignored) → mask banners → crop to the box, or the full
    frame where there is none → fit to `height` × `width` with `interpolation`. Scaling to floats and
    normalisation happen inside the model file's graph.

    Attributes:
        height: of the network's input, pixels.
        width: of the network's input, pixels.
        fit: `squash` ignores the aspect ratio, `letterbox` pads with black, `crop` cuts the centre, `corner`
            scales into the upper left corner and pads with grey (114), as detectors of the YOLOX kind expect.
        crop_fraction: with `fit="crop"`, the share of the shorter side that is kept (timm's crop_pct).
        interpolation: the resampling filter, always antialiased.
        mask_top: share of the height blackened at the top, where cameras burn in a banner.
        mask_bottom: the same at the bottom.
        cut_banners: leave these shares out of a full frame instead of blackening them.
        crop: how boxes are used, or None for the full frame.
        decoding: `pillow` decodes and resizes with Pillow, which is what cards mean that do not say it; with
            `quick`, libraries do it that use a processor's vector instructions, in two thirds of the time,
            and some 0.5 % of the values come out different, by one or two. Trapline's recipes say `quick`.
        oversampling: a JPEG is decoded at a reduced scale only if this many of its pixels are left for one of
            the input's. With two, 98.8 % of a classifier's top labels agree with full decoding, with one
            95 %; detectors take one. Two is not written down: cards of all times mean it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(224, ge=8, le=4096)
    width: int = Field(224, ge=8, le=4096)
    fit: Literal["squash", "letterbox", "crop", "corner"] = "squash"
    crop_fraction: float = Field(1.0, gt=0, le=1)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "area"] = "bicubic"
    mask_top: float = Field(0.0, ge=0, lt=0.5)
    mask_bottom: float = Field(0.0, ge=0, lt=0.5)
    cut_banners: bool = False
    crop: CropPolicy | None = None
    decoding: Literal["pillow", "quick"] = Field("pillow", exclude_if=lambda how: how == "pillow")
    oversampling: int = Field(2, ge=1, le=8, exclude_if=lambda pixels: pixels == 2)
