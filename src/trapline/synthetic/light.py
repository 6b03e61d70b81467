"""Daylight and infrared: from what things reflect to what the sensor records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from trapline.synthetic.camera import Camera
from trapline.synthetic.noise import Array, look_up, window
from trapline.synthetic.scene import Scene


@dataclass(frozen=True)
class Light:
    """The light of one frame.

    Attributes:
        night: the camera took an infrared picture.
        elevation: of the sun, 0 at the horizon, 1 at its highest.
        azimuth: of the sun against the camera's view, radians.
        cloud: 0 clear – 1 overcast.
        temperature: degrees Celsius, for the banner.
    """

    night: bool
    elevation: float
    azimuth: float
    cloud: float
    temperature: int


def light_at(time: datetime, scene: Scene, cloud: float, warmth: float) -> Light:
    """The light at a local time: sun up from 5 to 21 o'clock, infrared a little before and after."""
    hour = time.hour + time.minute / 60
    elevation = float(np.sin(np.pi * (hour - 5) / 16)) if 5 < hour < 21 else 0.0
    azimuth = scene.sun_from + np.pi * (hour - 13) / 12
    temperature = round(13 + warmth + 8 * np.sin(np.pi * (hour - 9) / 12))
    return Light(elevation < 0.06, elevation, float(azimuth), cloud, temperature)


def sprite_shade(slope: Array, light: Light, bulge: float = 1.0) -> Array:
    """How much light a rounded body gets where it turns away, float32 [height, width]."""
    right, down = slope * bulge
    length = np.sqrt(right**2 + down**2 + 1)
    if light.night:  # the lamp is at the camera
        return np.asarray(0.35 + 0.8 / length, np.float32)
    side = np.sin(light.azimuth) * (1 - light.cloud)
    towards = (-right * 0.5 * side - down * -0.8 + 0.45) / length
    return np.asarray(0.5 + 0.62 * np.clip(towards, 0, 1.2), np.float32)


def shadows(scene: Scene, light: Light) -> Array:
    """The share of the sun that reaches each pixel of the backdrop, float32 [height, width]."""
    camera = scene.camera
    reach = 0.9 * (1 - 0.6 * light.elevation)
    right, away = np.sin(light.azimuth) * reach, np.cos(light.azimuth) * reach
    columns = np.arange(camera.width)[None] - camera.width / 2
    down = scene.distance[:, :1] * 60
    down = down - 240 * away + np.minimum(np.arange(camera.height)[:, None] - camera.horizon, 0) * 1.3
    flecks = look_up(scene.canopy, down, columns * (scene.distance[:, :1] / camera.focal * 60) - 240 * right)
    sun = np.clip((flecks - scene.shade * 0.9) * 7 + 0.5, 0, 1)
    even = np.clip((scene.distance[:, :1] - 6) / 8, 0, 1)  # flecks there are finer than the pixels
    sun += (1 - 0.8 * scene.shade - sun) * even
    bars = Image.new("L", (camera.width // 4, camera.height // 4), 255)
    draw = ImageDraw.Draw(bars)
    for x, distance, radius in scene.trunks:
        ends = [(x - radius, distance), (x + radius, distance)]
        far = max(distance + 14 * away, 1.2)
        ends += [(x + 14 * right + radius, far), (x + 14 * right - radius, far)]
        draw.polygon([(camera.column(a, d) / 4, camera.ground_row(d) / 4) for a, d in ends], fill=60)
    soft = bars.resize((camera.width, camera.height), Image.Resampling.BILINEAR)
    return np.asarray(sun * np.asarray(soft, np.float32) / 255, np.float32)


def light_by_day(
    albedo: Array, sky: Array, sun: Array, scene: Scene, light: Light, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """A colour photo.

    Args:
        albedo: float32 [height, width, 3], 0–1; sky: float32 [height, width], the share of sky;
        sun: float32 [height, width], the share of direct light.
        scene: whose camera took it.
        light: of the frame.
        rng: of the sensor's noise.
    """
    low = 1 - min(light.elevation * 1.6, 1)
    warm = np.array([1 + 0.22 * low, 1 + 0.02 * low, 1 - 0.26 * low], np.float32)
    direct = (1.0 - 0.9 * light.cloud) * (0.35 + 0.65 * light.elevation)
    ambient = np.array([0.60, 0.64, 0.72], np.float32) * (0.85 + 0.35 * light.cloud)
    picture = sun[..., None] * (direct * warm)  # worked on in place: this is most of the drawing's time
    picture += ambient
    picture *= albedo
    ground = 1 - sky
    level = float((picture[..., 1] * ground).sum() / max(float(ground.sum()), 1.0))
    glow = (0.75 + 0.45 * light.elevation) * (warm * 0.5 + 0.5)
    picture += (glow - picture) * sky[..., None]
    gain = rng.normal(0.33, 0.02) / max(level, 0.02) * (0.75 + 0.25 * min(light.elevation * 3, 1))
    grey = (picture[..., 0] + picture[..., 1] + picture[..., 2]) * np.float32(0.06)
    picture *= np.float32(0.82)  # cheap sensors are not vivid
    picture += grey[..., None]
    picture *= gain * np.array(scene.camera.cast, np.float32) * _vignette(scene.camera, 0.22)[..., None]
    picture += _grain(scene.camera, rng)[..., None] * (0.008 + 0.02 * low)
    return _develop(picture, 1.06)


def light_by_night(
    albedo: Array, distance: Array, sky: Array, scene: Scene, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """An infrared photo, grey: near things glare, far ones are lost, leaves are bright."""
    camera = scene.camera
    red, green, blue = np.moveaxis(albedo, -1, 0)
    leafy = np.clip(green - np.maximum(red, blue), 0, 1)
    near_infrared = 0.5 * red + 0.3 * green + 0.2 * blue + 1.1 * leafy + 0.06
    y, x = np.ogrid[0 : camera.height, 0 : camera.width]
    off = ((x / camera.width - 0.5 - camera.flash_side) / 0.52) ** 2
    off = off + ((y / camera.height - 0.55) / 0.68) ** 2
    beam = (np.exp(-0.75 * off) + 0.05).astype(np.float32)
    lit = near_infrared * (1 - sky) * beam * camera.flash * (4.2 / (distance + 0.8)) ** 1.7
    # the camera's own exposure, in part
    lit = lit * rng.normal(1.25, 0.05) / (0.75 + np.quantile(lit[::5, ::5], 0.9))
    glare = Image.fromarray((np.clip(lit, 0, 1) * 255).astype(np.uint8))
    small = glare.resize((camera.width // 8, camera.height // 8), Image.Resampling.BOX)
    halo = small.filter(ImageFilter.GaussianBlur(1.8)).resize(glare.size, Image.Resampling.BILINEAR)
    lit = lit + 0.12 / 255 * np.asarray(halo, np.float32) + 0.012
    lit = lit + _grain(camera, rng) * (0.016 + 0.03 * np.sqrt(np.clip(lit, 0, 1)))
    grey = _develop(lit * _vignette(camera, 0.35), 1.0)
    return np.repeat(grey[..., None], 3, axis=2)


@cache
def _vignette(camera: Camera, strength: float) -> Array:
    y = np.linspace(-1, 1, camera.height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, camera.width, dtype=np.float32)[None]
    return np.asarray(1 - strength * (x**2 + y**2) / 2, np.float32)


@cache
def _noise_tile() -> Array:
    return np.random.default_rng(11).standard_normal((1024, 1024), dtype=np.float32)


def _grain(camera: Camera, rng: np.random.Generator) -> Array:
    """The sensor's noise of one frame, float32 [height, width], standard deviation 1."""
    return window(_noise_tile(), camera.height, camera.width, rng)


def _develop(linear: Array, contrast: float) -> npt.NDArray[np.uint8]:
    """A soft shoulder for the lights and gamma, to 8 bits; by a table of 4,096 levels up to 4."""
    tone = np.arange(4096) / 1024
    tone = (tone * (1 + tone / 2.2) / (1 + tone)) ** (1 / 1.9)
    table = np.clip(((tone - 0.5) * contrast + 0.5) * 255, 0, 255).astype(np.uint8)
    return np.take(table, np.clip(linear * 1024, 0, 4095).astype(np.uint16))
