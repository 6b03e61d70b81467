"""The fixed background of a location: ground, far forest, and what stands between it and the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from trapline.synthetic.camera import Camera
from trapline.synthetic.noise import Array, fractal_noise, look_up, window
from trapline.synthetic.plants import Painter, Pair, bush, fern, grass, rock, trunk

FARTHEST = 32.0  # metres; the wall of the forest
SLABS = (14.0, 8.0, 6.0, 4.8, 3.8, 3.0, 2.3, 1.0)  # nearest distance of each slab, metres


@dataclass(frozen=True)
class Palette:
    """Colours of a habitat (0–255) and how much grows in it.

    Attributes:
        ground: colours between which the ground runs.
        leaf: colours between which leaves run.
        bark: colours between which bark runs.
        trees: trunks within 14 m, from–to; bushes, ferns, rocks, grass (blades) likewise.
        open_sky: share of the far wall through which the sky is seen.
    """

    ground: Pair
    leaf: Pair
    bark: Pair
    trees: tuple[int, int]
    bushes: tuple[int, int]
    ferns: tuple[int, int]
    rocks: tuple[int, int]
    grass: tuple[int, int]
    open_sky: float


PALETTES: dict[str, Palette] = {
    "spruce": Palette(
        ((58, 46, 34), (104, 92, 58)), ((26, 46, 30), (74, 98, 56)), ((62, 50, 42), (110, 92, 78)),
        (6, 11), (1, 4), (3, 10), (0, 2), (150, 700), 0.15,
    ),
    "beech": Palette(
        ((86, 58, 36), (150, 108, 66)), ((60, 88, 34), (140, 160, 70)), ((96, 94, 88), (150, 146, 134)),
        (4, 8), (1, 4), (0, 4), (0, 2), (80, 500), 0.3,
    ),
    "meadow": Palette(
        ((74, 80, 40), (128, 130, 70)), ((66, 92, 36), (150, 164, 76)), ((74, 60, 46), (120, 102, 84)),
        (0, 3), (2, 6), (0, 3), (0, 2), (2200, 4200), 0.55,
    ),
    "scrub": Palette(
        ((122, 98, 68), (176, 150, 108)), ((74, 84, 48), (150, 150, 96)), ((84, 66, 50), (140, 118, 94)),
        (0, 3), (4, 9), (0, 2), (3, 8), (400, 1400), 0.5,
    ),
    "birch": Palette(
        ((64, 62, 38), (118, 110, 64)), ((70, 96, 40), (164, 170, 74)), ((170, 168, 160), (222, 218, 208)),
        (5, 9), (1, 3), (3, 9), (0, 3), (700, 2000), 0.4,
    ),
}  # fmt: skip


DRAWN_BY = {"trunk": trunk, "bush": bush, "fern": fern, "rock": rock}

WIND_STATES = 7  # each one more pushed about than the one before

Layer = tuple[Image.Image, Image.Image, tuple[int, int]]


@dataclass(frozen=True)
class Slab:
    """What stands between two distances, as it looks in each state of the wind.

    Attributes:
        distance: metres; its light falls off with this.
        states: for each state of the wind its layers, from back to front: RGB, mask (L), column and row.
    """

    distance: float
    states: tuple[tuple[Layer, ...], ...]


@dataclass(frozen=True)
class Scene:
    """The background of one location.

    Attributes:
        camera: what sees it.
        habitat: the name of its palette.
        backdrop: far wall, sky and bare ground; RGB, uint8.
        sky: where the backdrop is sky, float32 [height, width], 0–1.
        distance: of the backdrop, metres, float32 [height, width].
        slabs: from far to near.
        canopy: tile of the light that falls through leaves, float32 [512, 512].
        trunks: (across, distance, radius) of the trees, metres, for their shadows.
        shade: share of the sunlight that the canopy keeps out.
        sun_from: compass direction of the camera's view, radians; turns the shadows.
    """

    camera: Camera
    habitat: str
    backdrop: Image.Image
    sky: Array
    distance: Array
    slabs: tuple[Slab, ...]
    canopy: Array
    trunks: tuple[tuple[float, float, float], ...]
    shade: float
    sun_from: float


def draw_scene(rng: np.random.Generator, camera: Camera, habitat: str) -> Scene:
    """The background of a new location in a habitat (a name in `PALETTES`)."""
    palette = _own_palette(PALETTES[habitat], rng)
    distance = np.broadcast_to(camera.ground_distance(FARTHEST), (camera.height, camera.width))
    ground = _ground(rng, camera, palette, distance)
    wall, sky = _wall(rng, camera, palette)
    edge = camera.ground_row(FARTHEST * 0.62) + 7 * camera.unit * _outline(rng, camera.width)
    above = np.clip((edge[None] - np.arange(camera.height)[:, None]) / 2 + 0.5, 0, 1)[..., None]
    backdrop = Image.fromarray((ground * (1 - above) + wall * above).astype(np.uint8))
    slabs, trunks = _slabs(rng, camera, palette)
    return Scene(
        camera, habitat, backdrop, (sky * above[..., 0]).astype(np.float32), np.ascontiguousarray(distance),
        slabs, fractal_noise(rng, 512, 1.3), trunks, float(rng.uniform(0.45, 0.95) * (1 - palette.open_sky)),
        float(rng.uniform(0, 2 * np.pi)),
    )  # fmt: skip


def _own_palette(palette: Palette, rng: np.random.Generator) -> Palette:
    """The palette with the season and soil of one location."""

    def shift(pair: Pair, spread: float) -> Pair:
        factor = rng.normal(1, spread, 3) * rng.normal(1, spread)
        first, last = (np.clip(np.array(colour) * factor, 8, 245).astype(int).tolist() for colour in pair)
        return tuple(first), tuple(last)

    ground, leaf, bark = shift(palette.ground, 0.055), shift(palette.leaf, 0.06), shift(palette.bark, 0.05)
    open_sky = float(np.clip(palette.open_sky + rng.normal(0, 0.12), 0.02, 0.75))
    return replace(palette, ground=ground, leaf=leaf, bark=bark, open_sky=open_sky)


def _outline(rng: np.random.Generator, width: int) -> npt.NDArray[np.float64]:
    row = fractal_noise(rng, 256, 1.6)[0]
    return np.asarray(np.interp(np.linspace(0, 200, width), np.arange(256), row) - 0.5)


def _blend(pair: Pair, share: Array) -> Array:
    first, last = (np.array(colour, np.float32) for colour in pair)
    return (first + (last - first) * share[..., None]).astype(np.float32)


def _ground(rng: np.random.Generator, camera: Camera, palette: Palette, distance: Array) -> Array:
    """Leaf litter, soil and tracks in perspective, float32 [height, width, 3], 0–255."""
    columns = np.arange(camera.width)[None] - camera.width / 2
    across = columns * distance / camera.focal
    fine, broad = fractal_noise(rng, 512, 0.75), fractal_noise(rng, 512, 1.5)
    near = np.clip(4.5 / distance, 0, 1)
    litter = look_up(fine, distance * 190, across * 190) * near + 0.5 * (1 - near)
    patches = look_up(broad, distance * 60, across * 60)
    share = np.clip(0.15 + 0.55 * patches + 0.7 * (litter - 0.5), 0, 1).astype(np.float32)
    colour = _blend(palette.ground, share) * (0.7 + 0.6 * litter)[..., None]
    mossy = look_up(broad, distance * 45 + 200, across * 45 + 300)
    moss = np.clip((mossy - 0.55) * 4, 0, 1) * rng.uniform(0, 0.9)
    colour += (_blend(palette.leaf, litter.astype(np.float32)) * 0.9 - colour) * moss[..., None]
    if rng.random() < 0.45:  # an animal track or a path
        centre = rng.normal(0, 0.8) + rng.normal(0, 0.25) * distance
        centre = centre + 0.35 * np.sin(distance + rng.uniform(0, 6))
        path = np.exp(-(((across - centre) / rng.uniform(0.25, 0.7)) ** 4)) * rng.uniform(0.4, 0.8)
        earth = np.array(palette.ground[1], np.float32) * rng.uniform(0.8, 1.15)
        colour += (earth * (0.8 + 0.35 * litter)[..., None] - colour) * path[..., None]
    haze = np.clip((distance - 8) / 40, 0, 0.5)[..., None]
    return np.asarray(np.clip(colour * (1 - haze) + 130 * haze, 0, 255), np.float32)


def _wall(rng: np.random.Generator, camera: Camera, palette: Palette) -> tuple[Array, Array]:
    """The forest behind all, float32 [height, width, 3], 0–255, and how much of each pixel is sky."""
    height, width = camera.height, camera.width
    leaves, clumps = fractal_noise(rng, 512, 1.05), fractal_noise(rng, 512, 1.7)
    zoom = camera.unit
    grain = window(leaves, height, width, rng, zoom)
    mass = window(clumps, height, width, rng, 1.2 * zoom)
    share = np.clip(0.1 + 0.45 * mass + 0.6 * (grain - 0.45), 0, 1).astype(np.float32)
    colour = _blend(palette.leaf, share) * (0.45 + 0.75 * grain)[..., None]
    for _ in range(int(rng.integers(8, 38) * (1 - palette.open_sky))):
        _far_trunk(rng, camera, palette, colour, grain)
    rows = np.arange(height)[:, None] / max(camera.horizon, 1)
    gaps = np.quantile(mass, palette.open_sky)
    sky = np.clip((gaps - mass - 0.35 * (rows - 0.35) + 0.25 * (grain - 0.5)) * 9, 0, 1)
    colour = colour * 0.8 + 26  # haze
    blue = np.array([176, 192, 206], np.float32) * rng.uniform(0.85, 1.05)
    colour += (blue - colour) * sky[..., None]
    return colour.astype(np.float32), sky.astype(np.float32)


def _far_trunk(
    rng: np.random.Generator, camera: Camera, palette: Palette, colour: Array, grain: Array
) -> None:
    distance = rng.uniform(13, 30)
    half = max(camera.scale(distance) * rng.uniform(0.08, 0.22), 1)
    middle = rng.uniform(0, camera.width)
    first, last = max(int(middle - half), 0), min(int(middle + half) + 1, camera.width)
    if last <= first:
        return
    round_ = np.sqrt(np.clip(1 - ((np.arange(first, last) - middle) / (half + 1)) ** 2, 0.05, 1))
    bark = np.array(palette.bark[0]) * rng.uniform(0.6, 1.1)
    top = int(camera.horizon * rng.uniform(0, 0.4)) if rng.random() < 0.4 else 0
    strip = grain[top:, first:last, None]
    colour[top:, first:last] = bark * (0.5 + 0.5 * round_[None, :, None]) * (0.75 + 0.5 * strip)


def _slabs(
    rng: np.random.Generator, camera: Camera, palette: Palette
) -> tuple[tuple[Slab, ...], tuple[tuple[float, float, float], ...]]:
    """Everything that grows or lies nearer than the wall, sorted by distance into slabs."""
    trunks = [
        (float(rng.normal(0, 0.36) * d), d, float(rng.uniform(0.07, 0.26)))
        for d in _distances(rng, palette.trees, 3.0, 14.0)
    ]
    things: list[tuple[float, str, tuple[float, float]]] = [(d, "trunk", (x, r)) for x, d, r in trunks]
    for name, number, nearest in (
        ("bush", palette.bushes, 3.2), ("fern", palette.ferns, 2.0), ("rock", palette.rocks, 2.4),
    ):  # fmt: skip
        things += [
            (d, name, (float(rng.uniform(-0.5, 0.5) * d), float(rng.uniform(0.6, 1.4))))
            for d in _distances(rng, number, nearest, 13.0)
        ]
    if rng.random() < 0.5:  # a plant close to the lens, at one side
        things.append((1.35, str(rng.choice(["fern", "bush"])), (float(rng.choice([-0.62, 0.62])), 0.55)))
    blades = np.sort(1 / rng.uniform(1 / 14, 1 / 1.5, int(rng.integers(*palette.grass))))[::-1]
    slabs, farther = [], 1e9
    for nearest in SLABS:
        painter = Painter(camera, palette.leaf, palette.bark, rng)
        inside = [thing for thing in things if nearest <= thing[0] < farther]
        for distance, name, (across, size) in sorted(inside, reverse=True):
            DRAWN_BY[name](painter, across, distance, size)
        grass(painter, blades[(blades >= nearest) & (blades < farther)])
        distance = min(nearest * 1.15, 20.0)
        slabs.append(Slab(distance, _wind_states(rng, painter, camera.ground_row(distance))))
        farther = nearest
    return tuple(slabs), tuple(trunks)


def _wind_states(rng: np.random.Generator, painter: Painter, base: float) -> tuple[tuple[Layer, ...], ...]:
    """A slab as it sways about the row it stands on."""
    still = _layer(painter.still)
    states = []
    for state in range(WIND_STATES):
        push = float(rng.normal(0, 0.022 * state))
        lean = (1, push, -push * base, 0, 1, 0)
        swayed = painter.sways.transform(painter.sways.size, Image.Transform.AFFINE, lean)
        states.append((*still, *_layer(swayed)))
    return tuple(states)


def _layer(picture: Image.Image) -> tuple[Layer, ...]:
    """The picture cut to what is on it; nothing if there is nothing."""
    box = picture.getbbox(alpha_only=True)
    if box is None:
        return ()
    part = picture.crop(box)
    return ((part.convert("RGB"), part.getchannel("A"), (box[0], box[1])),)


def _distances(
    rng: np.random.Generator, number: tuple[int, int], nearest: float, farthest: float
) -> list[float]:
    return [float(d) for d in rng.uniform(nearest, farthest, int(rng.integers(number[0], number[1] + 1)))]
