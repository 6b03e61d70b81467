"""From a kind of animal and a pose to a shaded picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from trapline.synthetic.animals import AnimalKind, Circle, Colour, Tube
from trapline.synthetic.noise import Array, fur, window

MARGIN = 0.1  # metres around the body, for the blur


@dataclass(frozen=True)
class Individual:
    """What stays the same of one animal through its event.

    Attributes:
        kind: what it is.
        size: against the kind's usual size.
        tint: what its coat is multiplied with, red, green, blue.
        faces: 1 goes right, -1 goes left.
        turned: how long it looks: 1 from the side, less when it comes or goes.
        grain: seed of its fur.
    """

    kind: AnimalKind
    size: float
    tint: tuple[float, float, float]
    faces: int
    turned: float
    grain: int


@dataclass(frozen=True)
class Pose:
    """How an animal stands in one frame: gait cycle (0–1), head (0 up – 1 down), whether it moves."""

    cycle: float
    head: float
    moves: bool


@dataclass(frozen=True)
class Sprite:
    """An animal as it is pasted: albedo, shape and relief, and where its feet and its eye are.

    Attributes:
        albedo: float32 [height, width, 3], 0–1.
        mask: uint8 [height, width].
        slope: float32 [2, height, width], how the surface turns away, right and down.
        foot: (column, row) of the point of the ground it stands on.
        eye: (column, row) of its eye.
        pixels_per_metre: its scale.
    """

    albedo: Array
    mask: npt.NDArray[np.uint8]
    slope: Array
    foot: tuple[float, float]
    eye: tuple[float, float]
    pixels_per_metre: float


def draw_individual(kind: AnimalKind, rng: np.random.Generator, faces: int) -> Individual:
    """One animal of a kind: its own size and coat."""
    brightness = rng.normal(1, 0.16)
    red, green, blue = (float(np.clip(brightness + d, 0.6, 1.4)) for d in rng.normal(0, 0.05, 3))
    size = float(np.clip(rng.normal(1, 0.12), 0.72, 1.28))
    turned = float(rng.choice([1.0, 0.92, 0.78, 0.6], p=[0.45, 0.25, 0.2, 0.1]))
    return Individual(kind, size, (red, green, blue), faces, turned, int(rng.integers(2**31)))


def draw_sprite(animal: Individual, pose: Pose, pixels_per_metre: float) -> Sprite:
    """Draw one animal at a scale (pixels a metre); small ones are drawn large and reduced."""
    scale = pixels_per_metre * animal.size
    over = 1 if scale > 180 else 2 if scale > 60 else 3
    parts, lift = _parts(animal.kind, pose)
    drawing = _Drawing(parts, animal.turned, scale * over)
    for tube, shade in parts:
        drawing.add_tube(tube, shade)
    if animal.kind.crest is not None:
        drawing.add_crest(max((tube for tube, _ in parts), key=_bulk), animal.kind.crest, animal.grain)
    columns, rows = drawing.rgb.size
    size = (max(columns // over, 4), max(rows // over, 4))
    rgb, mask = (im.resize(size, Image.Resampling.BOX) for im in (drawing.rgb, drawing.mask))
    if animal.faces < 0:
        rgb, mask = (im.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for im in (rgb, mask))
    eye_up, eye_down = np.array(animal.kind.eye)
    eye_across, eye_height = eye_up * (1 - pose.head) + eye_down * pose.head
    foot, eye = (
        (column / over if animal.faces > 0 else size[0] - column / over, row / over)
        for column, row in (drawing.pixel_of(0.0, 0.0), drawing.pixel_of(eye_across, eye_height + lift))
    )
    return Sprite(_coat(rgb, mask, animal, scale), np.asarray(mask), _slope(mask, scale), foot, eye, scale)


class _Drawing:
    """An animal's picture and its mask while they are drawn, `zoom` pixels a metre."""

    def __init__(self, parts: list[tuple[Tube, float]], turned: float, zoom: float) -> None:
        across, up, radius = np.array([circle for tube, _ in parts for circle in tube.circles]).T
        self.left, self.top = float((across - radius).min()), float((up + radius).max())
        self.turned, self.zoom = turned, zoom
        width = (float((across + radius).max()) - self.left) * turned
        columns, rows = (max(int((side + 2 * MARGIN) * zoom) + 1, 8) for side in (width, self.top))
        self.rgb, self.mask = Image.new("RGB", (columns, rows)), Image.new("L", (columns, rows))
        self.paint, self.shape = ImageDraw.Draw(self.rgb), ImageDraw.Draw(self.mask)

    def pixel_of(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Column and row of points of the body, metres."""
        return ((x - self.left) * self.turned + MARGIN) * self.zoom, (self.top - y + MARGIN) * self.zoom

    def add_tube(self, tube: Tube, shade: float) -> None:
        """A part of the body, its colours multiplied with `shade`."""
        circles = np.array(tube.circles)
        length = np.hypot(*np.diff(circles[:, :2], axis=0).T).max() * self.zoom
        steps = int(np.clip(length / max(circles[:, 2].min() * self.zoom * 0.5, 1.0), 3, 12))
        x, y, radius = _smooth(circles, steps).T
        share = np.linspace(0, 1, len(x))[:, None]
        colours = ((1 - share) * np.array(tube.first) + share * np.array(tube.last or tube.first)) * shade
        columns, rows = self.pixel_of(x, y)
        points = np.stack([columns, rows, np.maximum(radius * self.zoom, 0.7)], axis=1)
        for (column, row, r), colour in zip(points.tolist(), colours.astype(int).tolist(), strict=True):
            self.paint.circle((column, row), r, fill=tuple(colour))
            self.shape.circle((column, row), r, fill=255)

    def add_crest(self, body: Tube, colour: Colour, grain: int) -> None:
        """Bristles along the back of a part of the body."""
        rng, zoom = np.random.default_rng(grain), self.zoom
        points = _smooth(np.array(body.circles), 30)
        starts = points[rng.integers(0, len(points), 90)]
        x, y = self.pixel_of(starts[:, 0], starts[:, 1] + starts[:, 2] * 0.93)
        lean, length = rng.normal(-0.03, 0.03, 90) * zoom, rng.uniform(0.02, 0.075, 90) * zoom
        width = max(int(0.012 * zoom), 1)
        for column, row, dx, dy in zip(x, y, lean, length, strict=True):
            self.paint.line((column, row, column + dx, row - dy), fill=colour, width=width)
            self.shape.line((column, row, column + dx, row - dy), fill=255, width=width)


def _bulk(tube: Tube) -> float:
    return sum(radius for _, _, radius in tube.circles)


def _parts(kind: AnimalKind, pose: Pose) -> tuple[list[tuple[Tube, float]], float]:
    """Every tube of the animal in the order of drawing with its shade, and how far it is off the ground."""
    lift = 0.10 * max(0.0, np.sin(2 * np.pi * pose.cycle)) if kind.gait == "bound" and pose.moves else 0.0
    offsets = {"walk": (0.0, 0.5, 0.25, 0.75), "trot": (0.0, 0.5, 0.5, 0.0), "bound": (0.0, 0.06, 0.5, 0.56)}
    near_hind, far_hind, near_fore, far_fore = (
        (pose.cycle + offset) % 1 if pose.moves else still
        for offset, still in zip(offsets[kind.gait], (0.03, 0.12, 0.97, 0.07), strict=True)
    )
    head = [_between(up, down, pose.head) for up, down in zip(kind.head_up, kind.head_down, strict=True)]
    far = [_leg(kind.hind, far_hind, kind.stride)]
    near = [_leg(kind.hind, near_hind, kind.stride)]
    if kind.fore is not None:
        far.append(_leg(kind.fore, far_fore, kind.stride))
        near.append(_leg(kind.fore, near_fore, kind.stride))
    parts = [(leg, 0.6) for leg in far]
    parts += [(tube, 1.0) for tube in (*kind.body, *near, *head)]
    if lift:
        parts = [(_raise_parts(tube, lift), shade) for tube, shade in parts]
    return parts, float(lift)


def _leg(leg: Tube, cycle: float, stride: float) -> Tube:
    """The leg swung to a place in its cycle: the foot goes back on the ground and forward through the air."""
    hip = leg.circles[0][1]
    angle = 2 * np.pi * cycle
    swing, rise = stride * np.cos(angle), 0.35 * stride * max(0.0, -np.sin(angle))
    moved = []
    for x, y, radius in leg.circles:
        share = 1 - y / hip
        moved.append((x + swing * share, y + rise * share, radius))
    return Tube(tuple(moved), leg.first, leg.last)


def _between(up: Tube, down: tuple[Circle, ...], share: float) -> Tube:
    circles = np.array(up.circles) * (1 - share) + np.array(down) * share
    return Tube(tuple((float(x), float(y), float(r)) for x, y, r in circles), up.first, up.last)


def _raise_parts(tube: Tube, lift: float) -> Tube:
    return Tube(tuple((x, y + lift, r) for x, y, r in tube.circles), tube.first, tube.last)


def _smooth(circles: npt.NDArray[np.float64], steps: int) -> npt.NDArray[np.float64]:
    """Points on the Catmull-Rom curve through `circles` [n, 3], `steps` between each pair."""
    padded = np.vstack([2 * circles[0] - circles[1], circles, 2 * circles[-1] - circles[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        square, cube = (2 * a - 5 * b + 4 * c - d) * t**2, (3 * b - a - 3 * c + d) * t**3
        pieces.append(0.5 * (2 * b + (c - a) * t + square + cube))
    return np.vstack([*pieces, circles[-1:]])


def _coat(rgb: Image.Image, mask: Image.Image, animal: Individual, scale: float) -> Array:
    """The albedo: colours that run into one another a little, with the grain of fur on them."""
    soft = np.asarray(rgb.filter(ImageFilter.GaussianBlur(max(0.012 * scale, 0.3))), np.float32) / 255
    cover = np.asarray(mask.filter(ImageFilter.GaussianBlur(max(0.012 * scale, 0.3))), np.float32) / 255
    colour = soft / np.maximum(cover, 0.05)[..., None]  # undo the dark that the blur drew in from outside
    rng = np.random.default_rng(animal.grain)
    height, width = colour.shape[:2]
    grain = window(fur(), height, width, rng, max(scale / 260, 0.3)) - 0.5
    patches = window(fur(False), height, width, rng, max(scale / 40, 0.3)) - 0.5
    strength = animal.kind.coarse * (2.2 * grain + 1.2 * patches)
    tint = np.array(animal.tint, np.float32)
    return np.clip(colour * tint * (1 + strength)[..., None], 0, 1).astype(np.float32)


def _slope(mask: Image.Image, scale: float) -> Array:
    """How the body bulges, guessed from its outline: a broad and a fine blur of the mask as heights."""
    slope = np.zeros((2, mask.height, mask.width))
    for metres, weight in ((0.09, 1.6), (0.03, 0.8)):
        radius = max(metres * scale, 0.5)
        height = np.asarray(
            mask.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius * 0.7)), np.float32
        )
        down, right = np.gradient(height * (radius * weight / 255))
        slope = slope + np.stack([right, down])
    return np.asarray(slope, np.float32)
