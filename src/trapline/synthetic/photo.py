"""One photo: the scene, its animals and its light put together as the camera would store them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from trapline.synthetic.light import Light, light_by_day, light_by_night, shadows, sprite_shade
from trapline.synthetic.noise import Array
from trapline.synthetic.plan import Actor
from trapline.synthetic.scene import WIND_STATES, Scene
from trapline.synthetic.sprite import Sprite, draw_sprite

LOG_RANGE = float(np.log(40.0))
DISTANCES = np.exp(np.arange(256) / 255 * LOG_RANGE).astype(np.float32)  # what a code of 8 bits stands for
LINEAR = ((np.arange(256) / 255) ** 1.5).astype(np.float32)  # colours are named as they look
LEAST_VISIBLE = 0.00022  # share of the picture's pixels below which nobody would see the animal

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Seen:
    """What is really seen of one animal: its box (x, y, width, height, fractions) and share unhidden."""

    box: Box
    area: float
    unhidden: float


@dataclass
class _Canvas:
    """The picture as it grows from far to near, with the distance of every pixel and who is seen where."""

    albedo: Image.Image
    sky: Image.Image
    distance: Image.Image
    visible: list[Image.Image]
    whole: list[int]

    def cover(self, picture: Image.Image, mask: Image.Image, at: tuple[int, int], distance: float) -> None:
        """Put something in front of all that is there."""
        region = (*at, at[0] + mask.width, at[1] + mask.height)
        self.albedo.paste(picture, at, mask)
        self.distance.paste(_code(distance), region, mask)
        for covered in (self.sky, *self.visible):
            covered.paste(0, region, mask)


def _code(distance: float) -> int:
    return int(np.clip(np.log(distance) / LOG_RANGE * 255, 0, 255))


def render(
    scene: Scene, actors: Sequence[Actor], light: Light, wind: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], list[Seen]]:
    """Draw one frame without its banner.

    Returns:
        The picture, uint8 [height, width, 3], and what is seen of each animal that is seen at all.
    """
    codes = (np.log(scene.distance) / LOG_RANGE * 255).astype(np.uint8)
    sky = Image.fromarray((scene.sky * 255).astype(np.uint8))
    canvas = _Canvas(scene.backdrop.copy(), sky, Image.fromarray(codes), [], [])
    waiting = sorted(actors, key=lambda actor: -actor.distance)
    eyes: list[tuple[int, tuple[float, float], float, float]] = []
    state = int(np.clip(rng.normal(wind, 0.7), 0, WIND_STATES - 1))
    for slab in scene.slabs:
        while waiting and waiting[0].distance > slab.distance:
            eyes.append(_put_animal(canvas, scene, waiting.pop(0), light))
        for picture, mask, at in slab.states[state]:
            canvas.cover(picture, mask, at, slab.distance)
    eyes += [_put_animal(canvas, scene, actor, light) for actor in waiting]
    developed = _expose(canvas, scene, light, rng)
    if light.night:
        developed = _shine(developed, canvas, eyes, rng, scene.camera.unit)
    return developed, _find_seen(canvas, scene)


def _put_animal(
    canvas: _Canvas, scene: Scene, actor: Actor, light: Light
) -> tuple[int, tuple[float, float], float, float]:
    """Paste one animal with its shadow; returns its number, eye (column, row), shine and scale."""
    camera = scene.camera
    sprite = draw_sprite(actor.animal, actor.pose, camera.scale(actor.distance))
    left = round(camera.column(actor.across, actor.distance) - sprite.foot[0])
    top = round(camera.ground_row(actor.distance) - sprite.foot[1])
    shaded = np.clip(sprite.albedo * sprite_shade(sprite.slope, light)[..., None], 0, 1)
    picture, mask = Image.fromarray((shaded * 255).astype(np.uint8)), Image.fromarray(sprite.mask)
    blur = 0.028 * actor.speed * sprite.pixels_per_metre if light.night else 0.006 * sprite.pixels_per_metre
    if actor.pose.moves and blur >= 1:
        smear = ImageFilter.BoxBlur((min(blur, 9.0), 0))
        picture, mask = picture.filter(smear), mask.filter(smear)
    _put_shadow(canvas, sprite, mask, (left, top), light)
    canvas.cover(picture, mask, (left, top), actor.distance)
    shape = Image.new("L", canvas.albedo.size)
    shape.paste(mask, (left, top))
    canvas.visible.append(shape)
    canvas.whole.append(int((sprite.mask > 127).sum()))
    eye = (left + sprite.eye[0], top + sprite.eye[1])
    return len(canvas.visible) - 1, eye, actor.animal.kind.shine, sprite.pixels_per_metre


def _put_shadow(
    canvas: _Canvas, sprite: Sprite, mask: Image.Image, at: tuple[int, int], light: Light
) -> None:
    """Dark under its feet and, in the sun, its outline laid on the ground."""
    columns = np.flatnonzero(sprite.mask.max(axis=0) > 127)
    if len(columns) == 0:
        return
    side = mask.width // 2  # room for a leaning shadow
    height = max(int(mask.height * 0.3), 2)
    foot = int(height * sprite.foot[1] / mask.height)
    dark = Image.new("L", (mask.width + 2 * side, 2 * height))
    first, last = side + int(columns[0]), side + int(columns[-1])
    flat = 0.05 * (last - first)
    ImageDraw.Draw(dark).ellipse((first, foot - flat, last, foot + flat), fill=90 if light.night else 130)
    if not light.night and light.cloud < 0.6:
        lean = float(np.sin(light.azimuth))
        affine = (1, lean / 0.3, -side - lean / 0.3 * foot, 0, 1 / 0.3, 0)
        cast = mask.transform((dark.width, height), Image.Transform.AFFINE, affine)
        strength = 0.55 * (1 - light.cloud)
        weak = cast.point([int(value * strength) for value in range(256)])
        dark.paste(ImageChops.lighter(weak, dark.crop((0, 0, dark.width, height))), (0, 0))
    soft = dark.filter(ImageFilter.GaussianBlur(max(flat * 0.5, 1)))
    corner = (at[0] - side, round(at[1] + sprite.foot[1]) - foot)
    canvas.albedo.paste((10, 10, 12), (*corner, corner[0] + soft.width, corner[1] + soft.height), soft)


def _expose(canvas: _Canvas, scene: Scene, light: Light, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    albedo: Array = np.take(LINEAR, np.asarray(canvas.albedo))
    sky = np.asarray(np.asarray(canvas.sky, np.float32) / 255, np.float32)
    if light.night:
        return light_by_night(albedo, np.take(DISTANCES, np.asarray(canvas.distance)), sky, scene, rng)
    return light_by_day(albedo, sky, shadows(scene, light), scene, light, rng)


def _shine(
    picture: npt.NDArray[np.uint8],
    canvas: _Canvas,
    eyes: list[tuple[int, tuple[float, float], float, float]],
    rng: np.random.Generator,
    unit: float,
) -> npt.NDArray[np.uint8]:
    """Eyes that look into the lamp glow."""
    glow = Image.new("L", canvas.albedo.size)
    for number, (column, row), shine, scale in eyes:
        x, y = int(column), int(row)
        inside = 0 <= x < glow.width and 0 <= y < glow.height
        if not inside or canvas.visible[number].getpixel((x, y)) < 100 or rng.random() > 0.35 + 0.5 * shine:  # type: ignore[operator]
            continue
        radius = max(0.012 * scale, 1.1 * unit)
        ImageDraw.Draw(glow).circle((column, row), radius, fill=int(120 + 135 * shine))
    if glow.getbbox() is None:
        return picture
    halo = glow.filter(ImageFilter.GaussianBlur(2.2 * unit))
    light = np.asarray(ImageChops.add(glow, halo))[..., None]
    return np.asarray(np.maximum(picture, light))


def _find_seen(canvas: _Canvas, scene: Scene) -> list[Seen]:
    camera = scene.camera
    rows = camera.height - camera.banner
    animals = []
    for shape, whole in zip(canvas.visible, canvas.whole, strict=True):
        mask = np.asarray(shape)[:rows] > 110
        area = int(mask.sum())
        if area < LEAST_VISIBLE * camera.height * camera.width:
            continue
        y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        corner, end = np.array([x[0], y[0]]), np.array([x[-1] + 1, y[-1] + 1])
        box = np.concatenate([corner, end - corner]) / ([camera.width, camera.height] * 2)
        rounded = tuple(round(value, 4) for value in box.tolist())
        animals.append(Seen(rounded, area / (camera.height * camera.width), area / max(whole, 1)))
    return animals


def add_banner(
    picture: npt.NDArray[np.uint8], scene: Scene, location: str, time: datetime, light: Light, frame: str
) -> Image.Image:
    """The photo with the bar that the camera burns in: date, time, temperature, frame, and SYNTHETIC."""
    from PIL import ImageFont

    camera = scene.camera
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    top = camera.height - camera.banner
    fill, ink = ((8, 8, 8), (235, 235, 235)) if camera.style != 1 else ((214, 214, 208), (18, 18, 18))
    draw.rectangle((0, top, camera.width, camera.height), fill=fill)
    date = time.strftime(("%Y-%m-%d  %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m-%d-%Y %I:%M:%S%p")[camera.style])
    fahrenheit = f" {round(light.temperature * 1.8 + 32)}°F" if camera.style == 2 else ""
    text = f"SYNTHETIC   {date}   {light.temperature}°C{fahrenheit}   {location}   {frame}"
    font = ImageFont.load_default(camera.banner * 0.62)
    draw.text((camera.width * 0.015, top + camera.banner * 0.12), text, fill=ink, font=font)
    return image
