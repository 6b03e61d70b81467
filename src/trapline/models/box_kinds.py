"""What a box shows, told by a model of its own: for detectors that call everything an animal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.images import UNKNOWN, Box, Size, crop_rectangle, fit
from trapline.models import kinds
from trapline.models.card import Card
from trapline.models.file import ModelFile

_PERSON = "person"
_CROPS = 16
"""That the network sees at a time: a photo may have 64 boxes, and memory should not."""

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class BoxKinds:
    """A model that tells what boxes show, opened.

    It looks at crops of the very picture that the detector saw, which is in memory: no photo is decoded
    twice, and the model was trained on such crops.

    Args:
        path: of the model file, which has a threshold for each label.
        threads: the network runs on; None for one a core.
        runtime: see `ModelFile`.

    Attributes:
        categories: what a box may be: the model's labels, and `UNKNOWN`.
    """

    def __init__(
        self, path: Path | str | None = None, *, threads: int | None = None, runtime: str = "auto"
    ) -> None:
        file = kinds.path(kinds.STANDARD) if path is None else path
        self.model = ModelFile(file, threads=threads, runtime=runtime)
        card = self.model.card
        if card.preprocessing.crop is None or set(card.thresholds) != set(card.labels):
            raise DataError(f"{file} is no model of what boxes show: it has no crop or lacks thresholds.")
        self.categories = (*card.labels, UNKNOWN)

    @property
    def fingerprint(self) -> str:
        """Of the model file."""
        return self.model.fingerprint

    def tell(
        self, pictures: Pixels, inner: Sequence[Size], boxes: Sequence[Floats], confs: Sequence[Floats]
    ) -> list[Rows]:
        """What the boxes of a batch of pictures show.

        Boxes that the detector itself hardly believes (below the card's `min_conf`) are `UNKNOWN` unasked.

        Args:
            pictures: uint8 [N, height, width, 3], RGB, as the detector saw them.
            inner: height and width of each picture in its input.
            boxes: of each picture float32 [boxes, 4]: left, top, width and height in pixels of the input.
            confs: of each picture float32 [boxes], how confident the detector is.

        Returns:
            of each picture int64 [boxes], indices into `categories`.
        """
        policy = self.model.card.preprocessing.crop
        assert policy is not None
        told = [np.full(len(conf), len(self.categories) - 1, np.int64) for conf in confs]
        asked = [
            (picture, box)
            for picture, conf in enumerate(confs)
            for box in np.flatnonzero(conf >= policy.min_conf).tolist()
        ]
        for start in range(0, len(asked), _CROPS):
            some = asked[start : start + _CROPS]
            card = self.model.card
            crops = np.stack([crop_of(pictures[row], inner[row], boxes[row][box], card) for row, box in some])
            chosen = choose_kinds(self.model.run(crops).probabilities, card)
            for (row, box), kind in zip(some, chosen.tolist(), strict=True):
                told[row][box] = kind
        return told


def crop_of(picture: Pixels, inner: Size, box: Floats, card: Card) -> Pixels:
    """What the model sees of a box, in training too: uint8 [height, width, 3], as its card says.

    Args:
        picture: uint8 [height, width, 3], the detector's input.
        inner: height and width of the photo in it.
        box: left, top, width and height in its pixels.
        card: of the model.
    """
    height, width = inner
    left, top = max(float(box[0]), 0.0), max(float(box[1]), 0.0)
    right, bottom = min(float(box[0] + box[2]), width), min(float(box[1] + box[3]), height)
    clipped = Box(left / width, top / height, (right - left) / width, (bottom - top) / height)
    region = crop_rectangle(height, width, clipped, card.preprocessing.crop)
    return fit(np.ascontiguousarray(picture[:height, :width]), card.preprocessing, region)


def choose_kinds(probabilities: npt.NDArray[np.floating[Any]], card: Card) -> Rows:
    """int64 [n]: of each row's labels the one that is said, or the number of labels for `UNKNOWN`.

    A person is said from a person's threshold on, whatever else is more probable: a photo of a person that is
    taken for one of an animal is shown to others. Else the most probable label is, if it reaches its own.
    """
    thresholds = np.array([card.thresholds[label] for label in card.labels])
    best = probabilities.argmax(axis=1)
    reached = probabilities[np.arange(len(best)), best] >= thresholds[best]
    chosen = np.where(reached, best, len(card.labels))
    if _PERSON in card.labels:
        person = card.labels.index(_PERSON)
        chosen = np.where(probabilities[:, person] >= thresholds[person], person, chosen)
    return np.asarray(chosen, np.int64)
