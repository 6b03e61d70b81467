"""Trunks, bushes, ferns, rocks and grass, painted into the slabs of a scene."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from trapline.synthetic.camera import Camera
from trapline.synthetic.noise import Array, fur, window

Pair = tuple[tuple[int, int, int], tuple[int, int, int]]


class Painter:
    """Two transparent pictures of a slab (what stands still, what sways) and the means to paint on them."""

    def __init__(self, camera: Camera, leaf: Pair, bark: Pair, rng: np.random.Generator) -> None:
        self.camera, self.rng = camera, rng
        self.leaf, self.bark = (np.array(pair, np.float32) for pair in (leaf, bark))
        size = (camera.width, camera.height)
        self.still, self.sways = (Image.new("RGBA", size, (60, 60, 40, 0)) for _ in range(2))
        self.draw = ImageDraw.Draw(self.sways)

    def leaf_colour(self, share: float, light: float) -> tuple[int, int, int]:
        """A leaf's colour: `share` between the palette's two, `light` what it is multiplied with."""
        red, green, blue = np.clip((self.leaf[0] * (1 - share) + self.leaf[1] * share) * light, 0, 255)
        return int(red), int(green), int(blue)

    def paste(self, colour: Array, mask: npt.NDArray[np.float32], left: int, top: int) -> None:
        """Put a solid thing, float32 0–255 [h, w, 3] with its mask 0–1, on the still picture."""
        picture = Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8))
        alpha = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
        solid = picture.convert("RGBA")
        solid.putalpha(alpha)
        whole = Image.new("RGBA", self.still.size, (60, 60, 40, 0))
        whole.paste(solid, (left, top))
        self.still.alpha_composite(whole)


def trunk(painter: Painter, across: float, distance: float, radius: float) -> None:
    """A tree from its root to the upper edge of the picture."""
    camera, rng = painter.camera, painter.rng
    base, middle = camera.ground_row(distance), camera.column(across, distance)
    half = radius * camera.scale(distance)
    rows = min(int(base + 0.3 * half), camera.height)
    left, width = int(middle - 2 * half), int(4 * half) + 2
    if rows < 4 or left + width < 0 or left > camera.width:
        return
    y = np.arange(rows)[:, None]
    flare = 1 + 0.55 * np.exp(-(base - y).clip(0) / (0.8 * half + 1))
    bend = half * 0.5 * np.sin(y / (camera.height * rng.uniform(0.5, 1.2)) + rng.uniform(0, 6))
    away = (np.arange(width)[None] - width / 2 - bend) / (half * flare)
    grain = window(fur().T, rows, width, rng, max(half / 45, 0.4))
    mask = np.clip((1 - np.abs(away) + 0.08 * (grain - 0.5)) * half * 0.8, 0, 1)
    mask *= np.clip((base + 0.25 * half * np.sqrt(np.clip(1 - away**2, 0, 1)) - y) / 2, 0, 1)
    light = (0.35 + 0.65 * np.sqrt(np.clip(1 - away**2, 0, 1))) * (0.55 + 0.9 * grain)
    share = np.clip(grain[..., None] * 1.1 - 0.1, 0, 1)
    colour = (painter.bark[0] * (1 - share) + painter.bark[1] * share) * light[..., None]
    if painter.bark[1].mean() > 190:  # birch: dark bands
        bands = window(fur(), rows, width, rng, max(half / 25, 0.5)) > 0.74
        colour = np.where(bands[..., None], colour * 0.28, colour)
    painter.paste(colour.astype(np.float32), mask.astype(np.float32), left, 0)


def rock(painter: Painter, across: float, distance: float, size: float) -> None:
    """A boulder, half sunk into the ground."""
    camera, rng = painter.camera, painter.rng
    radius = 0.32 * size * camera.scale(distance)
    side = int(2.6 * radius) + 4
    y, x = np.mgrid[0:side, 0:side] / (side / 2) - 1
    angle = np.arctan2(y, x)
    ragged = 1 + sum(rng.normal(0, 0.09) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4, 5, 7))
    away = np.hypot(x * rng.uniform(0.8, 1.0), y * rng.uniform(1.1, 1.7)) / (0.74 * ragged)
    grain = window(fur(False), side, side, rng, max(radius / 60, 0.4))
    mask = np.clip((1 - away) * radius * 0.7, 0, 1) * np.clip((0.42 - y) * radius, 0, 1)
    light = np.clip(0.75 - 0.75 * y + 0.1 * x, 0.2, 1.4) * (0.55 + 0.8 * grain)
    colour = np.array([128, 124, 116], np.float32) * rng.uniform(0.75, 1.15) * light[..., None]
    moss = np.clip((window(fur(False), side, side, rng, max(radius / 30, 0.5)) - 0.55 - 0.3 * y) * 4, 0, 0.8)
    colour += (painter.leaf[1] * 0.8 * light[..., None] - colour) * moss[..., None]
    left, top = camera.column(across, distance) - side / 2, camera.ground_row(distance) - 0.68 * side
    painter.paste(colour.astype(np.float32), mask.astype(np.float32), int(left), int(top))


def bush(painter: Painter, across: float, distance: float, size: float) -> None:
    """A shrub: some hundred leaves, the inner ones dark, the upper ones light."""
    camera, rng = painter.camera, painter.rng
    scale = camera.scale(distance) * size
    middle, base = camera.column(across, distance), camera.ground_row(distance)
    tall, wide = rng.uniform(0.5, 1.1) * scale, rng.uniform(0.35, 0.65) * scale
    for _ in range(int(rng.integers(3, 7))):  # stems
        end = (middle + rng.normal(0, 0.5) * wide, base - tall * rng.uniform(0.5, 0.95))
        stem, start = tuple(int(v) for v in painter.bark[0] * 0.6), middle + rng.normal(0, 0.08) * wide
        painter.draw.line((start, base, *end), fill=stem, width=max(int(scale / 90), 1))
    number = int(np.clip(tall * wide / 26 / camera.unit**2, 120, 620))
    u = rng.normal(0, 0.5, number).clip(-1.1, 1.1)
    v = rng.beta(2.2, 1.7, number)
    depth = np.sort(rng.random(number))
    radius = np.clip(0.035 * scale, 1.3, 14 * camera.unit) * rng.uniform(0.6, 1.3, number)
    for across_, up, light, r in zip(u, v, depth, radius, strict=True):
        x, y = middle + across_ * wide * (1.15 - 0.5 * up), base - up * tall
        colour = painter.leaf_colour(rng.random(), 0.3 + 0.5 * light + 0.4 * up * light)
        _leaf(painter.draw, x, y, r, rng.uniform(0, np.pi), colour)


def _leaf(
    draw: ImageDraw.ImageDraw, x: float, y: float, r: float, angle: float, colour: tuple[int, int, int]
) -> None:
    dx, dy = np.cos(angle) * r, np.sin(angle) * r
    draw.polygon([(x - dx * 1.5, y - dy * 1.5), (x - dy * 0.6, y + dx * 0.6),
                  (x + dx * 1.5, y + dy * 1.5), (x + dy * 0.6, y - dx * 0.6)], fill=colour)  # fmt: skip


def fern(painter: Painter, across: float, distance: float, size: float) -> None:
    """A fan of fronds with their leaflets."""
    camera, rng = painter.camera, painter.rng
    scale = camera.scale(distance) * size
    middle, base = camera.column(across, distance), camera.ground_row(distance)
    for lean in rng.permutation(np.linspace(-1.15, 1.15, int(rng.integers(6, 12)))):
        length = scale * rng.uniform(0.32, 0.6)
        light = rng.uniform(0.5, 1.15)
        t = np.linspace(0, 1, 14)
        angle = lean * (0.35 + 0.9 * t)
        x = middle + np.cumsum(np.sin(angle)) * length / 14
        y = base - np.cumsum(np.cos(angle)) * length / 14
        stem = painter.leaf_colour(0.2, light * 0.6)
        painter.draw.line(list(zip(x, y, strict=True)), fill=stem, width=max(int(length / 70), 1))
        for k in range(1, 14):
            reach = length * 0.17 * (1 - t[k]) ** 0.7 + 1
            colour = painter.leaf_colour(rng.random() * 0.6 + 0.2, light * (0.7 + 0.3 * t[k]))
            for side in (reach, -reach):
                end = (x[k] + np.cos(angle[k]) * side, y[k] + np.sin(angle[k]) * side - reach * 0.3)
                painter.draw.line((x[k], y[k], *end), fill=colour, width=max(int(length / 60), 1))


def grass(painter: Painter, distances: npt.NDArray[np.float64]) -> None:
    """Blades of grass in tufts, one a distance (metres, far to near)."""
    camera, rng = painter.camera, painter.rng
    tufts = rng.uniform(-0.55, 0.55, 1 + len(distances) // 12)
    for distance in distances.tolist():
        scale = camera.scale(distance)
        x = camera.width / 2 + camera.focal * (tufts[rng.integers(len(tufts))] + rng.normal(0, 0.035))
        y = camera.ground_row(distance)
        tall, lean = scale * rng.gamma(6, 0.024), rng.normal(0, 0.35)
        half = max(scale * 0.005, 0.55)
        top = (x + lean * tall, y - tall)
        bend, row = x + lean * tall * 0.3, y - tall * 0.6
        colour = painter.leaf_colour(rng.random(), rng.uniform(0.5, 1.2))
        left, right = [(x - half, y), (bend - half * 0.8, row)], [(bend + half * 0.8, row), (x + half, y)]
        painter.draw.polygon([*left, top, *right], fill=colour)
