"""What a model learnt from, as its network sees it: so that photos of another kind can be told as such.

The embeddings of the photos of one location differ from one another, and the means of locations differ more
than the chance of a few photos explains. Both are modelled: in a few principal directions, turned and
scaled so that within a group the variance is 1 in each and groups are independent, the mean of `n` photos of
a group that belongs to those of training has the variance `between + 1 / n`.

This tells a camera, a country or a season from those of training. It does not tell an unknown species among
known places: there it is hardly better than chance.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trapline.errors import DataError, many

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
GroupedBy = Literal["location", "day", "event"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

FAR = 1.0
"""From this distance on a group is unlike those of training."""

_FURTHEST = 1e6
"""A coordinate beyond it counts as this: no photo makes a sum overflow."""


class Familiar(BaseModel):
    """Statistics of the embeddings of the training media, and from what distance on others are unlike them.

    Attributes:
        by: what the groups are: locations; of one camera its days, or events where the time is not known.
        groups: how many.
        media: of them, on which this rests.
        directions: base64 of little-endian float16 [P, D], row by row.
        scales: by which each row of `directions` is multiplied, [P].
        offsets: [P], added after that; the mean over the groups is then 0.
        between: [P], the variance of the groups' own means, where that within a group is 1.
        most: photos of the largest group: of more, no less variance is asked than of these.
        sizes: numbers of photos, rising from 1.
        thresholds: for each of these the root mean square of the coordinates of a mean, each over its
            standard deviation, under which 19 of 20 held-out groups stay.
        held_out: for people: on what the thresholds were set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: GroupedBy
    groups: int = Field(ge=1)
    media: int = Field(ge=1)
    directions: str
    scales: tuple[Finite, ...] = Field(min_length=1)
    offsets: tuple[Finite, ...]
    between: tuple[Positive, ...]
    most: int = Field(ge=1)
    sizes: tuple[int, ...] = Field(min_length=1)
    thresholds: tuple[Positive, ...]
    held_out: str

    @model_validator(mode="after")
    def _arrays_fit(self) -> Familiar:
        try:
            numbers, rest = divmod(len(base64.b64decode(self.directions, validate=True)), 2)
        except binascii.Error as error:
            raise DataError(f"The directions of the embeddings are no base64: {error}.") from None
        alike = len({self.width, len(self.offsets), len(self.between)}) == 1
        if rest or numbers % self.width or not alike or len(self.sizes) != len(self.thresholds):
            raise DataError("The statistics of the embeddings do not fit one another.")
        return self

    @property
    def width(self) -> int:
        """Coordinates of a photo, P."""
        return len(self.scales)

    @property
    def embedding_size(self) -> int:
        """Numbers of the embeddings, D."""
        return len(base64.b64decode(self.directions)) // (2 * self.width)

    @property
    def plane(self) -> Floats:
        """[P, D]: what an embedding is multiplied by."""
        rows = np.frombuffer(base64.b64decode(self.directions), "<f2").astype(np.float64)
        return np.asarray(rows.reshape(self.width, -1) * np.array(self.scales)[:, None])

    def distance(self, mean: npt.ArrayLike, media: int) -> float:
        """How far the mean of the coordinates of some media lies: from 1 on farther than 19 of 20 groups.

        Args:
            mean: [P].
            media: of how many it is.
        """
        variance = np.array(self.between) + 1 / min(media, self.most)
        raw = np.sqrt(np.mean(np.asarray(mean, np.float64) ** 2 / variance))
        index = np.searchsorted(self.sizes, media, side="right") - 1
        return float(raw / self.thresholds[max(0, int(index))])


class Coordinates:
    """From embeddings to coordinates; see `Familiar`.

    Args:
        familiar: of a card.
    """

    def __init__(self, familiar: Familiar) -> None:
        self._plane, self._offsets = familiar.plane, np.array(familiar.offsets)

    def __call__(self, embeddings: Singles) -> Singles:
        """float32 [N, P] of embeddings [N, D].

        Row by row: a row's last bits do not depend on how many others there are.
        """
        rows = [self._plane @ row + self._offsets for row in embeddings.astype(np.float64)]
        turned = np.array(rows).reshape(len(embeddings), len(self._offsets))
        return np.asarray(np.clip(np.nan_to_num(turned), -_FURTHEST, _FURTHEST), np.float32)


def describe_distance(where: str, media: int, distance: float, by: GroupedBy, groups: int) -> str:
    """What must be said of media that are unlike those of training.

    Args:
        where: of what they are, as in `location 7`.
        media: how many.
        distance: see `Familiar.distance`.
        by: what the groups of training are.
        groups: how many.
    """
    digits = 1 if distance >= FAR + 0.05 else 3  # 1.004 is no 1.0
    return (
        f"{where} ({many(media, 'photo')}): unlike the {groups} training {by}s (distance "
        f"{distance:.{digits}f}, where 19 of 20 held-out {by}s stay under {FAR:g}): its probabilities are "
        "not to be relied on. Label 50 of its photos and recalibrate (trapline recalibrate)."
    )


def pack_directions(plane: Floats) -> tuple[str, tuple[float, ...]]:
    """`Familiar.directions` and `Familiar.scales` of rows [P, D]."""
    scales = np.maximum(np.abs(plane).max(axis=1), np.finfo(np.float64).tiny)
    rows = (plane / scales[:, None]).astype("<f2")
    return base64.b64encode(rows.tobytes()).decode(), tuple(scales.tolist())
