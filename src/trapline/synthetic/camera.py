"""The camera of a location: where a point of the ground falls in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at a height above flat ground.

    Attributes:
        width: of the picture, pixels.
        height: of the picture, pixels.
        focal: focal length, pixels.
        lens_height: of the lens above the ground, metres.
        horizon: the row of the horizon, pixels from the top.
        banner: height of the black bar at the lower edge, pixels.
        style: which maker's banner it writes, 0–2.
        cast: what its sensor multiplies red, green and blue with.
        flash: strength of its infrared lamp; 1 lights 8 metres.
        flash_side: where the lamp's beam points, in picture widths from the middle.
        quality: of its JPEG files.
    """

    width: int
    height: int
    focal: float
    lens_height: float
    horizon: float
    banner: int
    style: int
    cast: tuple[float, float, float]
    flash: float
    flash_side: float
    quality: int

    @property
    def unit(self) -> float:
        """Pixels of this picture for one pixel of a picture 640 wide."""
        return self.width / 640

    def scale(self, distance: float) -> float:
        """Pixels for a metre at a distance in metres."""
        return self.focal / distance

    def ground_row(self, distance: float) -> float:
        """The row on which things at a distance (metres) stand."""
        return self.horizon + self.focal * self.lens_height / distance

    def column(self, across: float, distance: float) -> float:
        """The column of a point `across` metres right of the axis at a distance in metres."""
        return self.width / 2 + self.focal * across / distance

    def ground_distance(self, farthest: float) -> npt.NDArray[np.float32]:
        """float32 [height, 1]: the distance of the ground in every row; `farthest` above the horizon."""
        below = np.maximum(np.arange(self.height) - self.horizon, 1e-3)
        return np.asarray(np.minimum(self.focal * self.lens_height / below, farthest)[:, None], np.float32)


def draw_camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    """A camera as somebody might have strapped it to a tree."""
    width, height = size
    return Camera(
        width=width,
        height=height,
        focal=width * rng.uniform(1.0, 1.25),
        lens_height=rng.uniform(0.55, 1.1),
        horizon=height * rng.uniform(0.26, 0.44),
        banner=round(height * 0.058),
        style=int(rng.integers(3)),
        cast=tuple(float(v) for v in 1 + rng.normal(0, 0.04, 3)),  # type: ignore[arg-type]
        flash=float(rng.uniform(0.75, 1.3)),
        flash_side=float(rng.normal(0, 0.08)),
        quality=int(rng.integers(66, 80)),
    )
