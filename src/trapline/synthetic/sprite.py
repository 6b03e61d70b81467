"""From a kind of animal and a pose to a shaded picture of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from trapline.synthetic.animals import AnimalKind, Circle, Tube
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
    (left, right), height = _extent(parts), _height(parts)
    zoom = scale * over
    columns, rows = _pixels(right - left, zoom, animal.turned), _pixels(height, zoom)
    rgb, mask = Image.new("RGB", (columns, rows)), Image.new("L", (columns, rows))
    paint, shape = ImageDraw.Draw(rgb), ImageDraw.Draw(mask)

    def to_pixels(
        x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], ...]:
        return ((x - left) * animal.turned + MARGIN) * zoom, (height - y + MARGIN) * zoom

    for tube, shade in parts:
        _draw_tube(paint, shape, tube, shade, zoom, to_pixels)
    if animal.kind.crest is not None:
        _draw_crest(paint, shape, parts, animal, zoom, to_pixels)
    size = (max(columns // over, 4), max(rows // over, 4))
    rgb, mask = rgb.resize(size, Image.Resampling.BOX), mask.resize(size, Image.Resampling.BOX)
    if animal.faces < 0:
        rgb, mask = (im.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for im in (rgb, mask))
    foot = _turn(to_pixels(np.zeros(1), np.zeros(1)), over, size[0], animal.faces)
    eye_up, eye_down = np.array(animal.kind.eye)
    eye_at = eye_up * (1 - pose.head) + eye_down * pose.head
    eye = _turn(to_pixels(eye_at[:1], eye_at[1:] + lift), over, size[0], animal.faces)
    return Sprite(_coat(rgb, mask, animal, scale), np.asarray(mask), _slope(mask, scale), foot, eye, scale)


def _pixels(metres: float, zoom: float, turned: float = 1.0) -> int:
    return max(int((metres * turned + 2 * MARGIN) * zoom) + 1, 8)


def _turn(at: tuple[npt.NDArray[np.float64], ...], over: int, width: int, faces: int) -> tuple[float, float]:
    column, row = float(at[0][0]) / over, float(at[1][0]) / over
    return (column if faces > 0 else width - column, row)


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


def _extent(parts: list[tuple[Tube, float]]) -> tuple[float, float]:
    circles = np.array([circle for tube, _ in parts for circle in tube.circles])
    return float((circles[:, 0] - circles[:, 2]).min()), float((circles[:, 0] + circles[:, 2]).max())


def _height(parts: list[tuple[Tube, float]]) -> float:
    return max(y + radius for tube, _ in parts for _, y, radius in tube.circles)


def _smooth(circles: npt.NDArray[np.float64], steps: int) -> npt.NDArray[np.float64]:
    """Points on the Catmull-Rom curve through `circles` [n, 3], `steps` between each pair."""
    padded = np.vstack([2 * circles[0] - circles[1], circles, 2 * circles[-1] - circles[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack([*pieces, circles[-1:]])


def _draw_tube(paint, shape, tube: Tube, shade: float, zoom: float, to_pixels) -> None:  # type: ignore[no-untyped-def]
    circles = np.array(tube.circles)
    length = np.hypot(*np.diff(circles[:, :2], axis=0).T).max() * zoom
    steps = int(np.clip(length / max(circles[:, 2].min() * zoom * 0.5, 1.0), 3, 12))
    points = _smooth(circles, steps)
    share = np.linspace(0, 1, len(points))[:, None]
    colours = ((1 - share) * np.array(tube.first) + share * np.array(tube.last or tube.first)) * shade
    columns, rows = to_pixels(points[:, 0], points[:, 1])
    radii = np.maximum(points[:, 2] * zoom, 0.7)
    for x, y, r, colour in zip(
        columns.tolist(), rows.tolist(), radii.tolist(), colours.astype(int).tolist(), strict=True
    ):
        box = (x - r, y - r, x + r, y + r)
        paint.ellipse(box, fill=tuple(colour))
        shape.ellipse(box, fill=255)


def _draw_crest(paint, shape, parts, animal: Individual, zoom: float, to_pixels) -> None:  # type: ignore[no-untyped-def]
    """Bristles along the back of the longest part of the body."""
    rng = np.random.default_rng(animal.grain)
    body = max((tube for tube, _ in parts), key=lambda tube: sum(r for _, _, r in tube.circles))
    points = _smooth(np.array(body.circles), 30)
    starts = points[rng.integers(0, len(points), 90)]
    x, y = to_pixels(starts[:, 0], starts[:, 1] + starts[:, 2] * 0.93)
    lean, length = rng.normal(-0.03, 0.03, 90) * zoom, rng.uniform(0.02, 0.075, 90) * zoom
    width = max(int(0.012 * zoom), 1)
    for column, row, dx, dy in zip(x, y, lean, length, strict=True):
        paint.line((column, row, column + dx, row - dy), fill=animal.kind.crest, width=width)
        shape.line((column, row, column + dx, row - dy), fill=255, width=width)


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
