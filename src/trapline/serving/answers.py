"""From the bytes of photos to answers: the one way that every server takes, whatever it speaks.

A server turns its request into `RequestPhoto`s, and an `Answer` into its response; between the two stands
only this.
Light on purpose: no table and no web framework is imported, so that a function in the cloud starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError, UsageError, many
from trapline.images import ImageError, Limits, choose_box, prepare
from trapline.metrics import labels_said
from trapline.models import (
    FAR,
    NO_PROBABILITY,
    Card,
    Coordinates,
    ModelFile,
    blank_column,
    familiar_doubt,
    few_locations_doubt,
)

if TYPE_CHECKING:
    from trapline.prediction import Ranks

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

SERVING_LIMITS = Limits(max_bytes=32 * 2**20, max_pixels=50_000_000, max_seconds=10.0)
"""Of one photo. Narrower than those of `predict`: who sends it is a stranger. A decoder needs 4 bytes a pixel
(JPEG is decoded at a reduced scale where that is enough)."""

MOST_PHOTOS = 64
"""In one request."""

TOP = 5
"""Labels in the `top` of an answer, unless another number is asked for."""


@dataclass(frozen=True)
class RequestPhoto:
    """A photo as it came.

    Attributes:
        content: the encoded file.
        name: as the client calls it; comes back in the answer.
        boxes: what a detector found, as in a catalog (category, conf, x, y, width, height as fractions);
            only a model made for crops looks at them.
    """

    content: bytes
    name: str | None = None
    boxes: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Answer:
    """What the model says of a photo, or of an event.

    Attributes:
        name: of the photo; None for an event.
        probabilities: float32 [labels], calibrated; None if the photo cannot be read.
        reason: why there is no answer; or what was odd about the photo that was answered.
        coordinates: float32 [photos, P], where the embeddings of what was read lie; None where the model's
            card has no statistics of them, or another server has computed.
    """

    name: str | None
    probabilities: Floats | None
    reason: str | None = None
    coordinates: Floats | None = None

    @property
    def status(self) -> Literal["ok", "failed"]:
        """`ok` or `failed`, as in a table of predictions."""
        return "failed" if self.probabilities is None else "ok"


@dataclass(frozen=True)
class PreparedPhoto:
    """What the network sees of a photo: uint8 [height, width, 3], or None and why."""

    name: str | None
    pixels: Pixels | None
    reason: str | None


def check_classifier(model: ModelFile) -> ModelFile:
    """The model, if it can answer.

    Raises:
        UsageError: it is a backbone without labels, or looks at whole events.
    """
    if model.card.task == "features":
        raise UsageError(
            f"{model.path} is a backbone without labels; train a head on it with `trapline train`."
        )
    if model.card.batch == "event":
        raise UsageError(
            f"{model.path} looks at the frames of an event together, and the server at one photo at a time. "
            "Use `trapline predict --level event`, or serve a model of single photos."
        )
    return model


def answer(
    model: ModelFile, photos: Sequence[RequestPhoto | bytes], limits: Limits = SERVING_LIMITS
) -> list[Answer]:
    """One answer a photo, in their order; a photo that cannot be read fails alone.

    The network is asked about one photo at a time: on a processor a batch is no quicker, and an answer then
    does not depend on what else was asked.

    Raises:
        UsageError: the model is a backbone.
        DataError: no photos, or more than `MOST_PHOTOS`.
    """
    check_classifier(model)
    check_count(len(photos))
    return [answer_view(model, look(photo, model.card, limits)) for photo in photos]


def answer_event(
    model: ModelFile, photos: Sequence[RequestPhoto | bytes], limits: Limits = SERVING_LIMITS
) -> Answer:
    """One answer for the frames of one event.

    Raises:
        UsageError: the model is a backbone.
        DataError: no photos, or more than `MOST_PHOTOS`.
    """
    return pool(answer(model, photos, limits), model.card)


def check_count(photos: int, most: int = MOST_PHOTOS) -> None:
    """Refuse a request without photos, or with too many.

    Raises:
        DataError: it is such a one.
    """
    if photos == 0:
        raise DataError("The request holds no photo.")
    if photos > most:
        raise DataError(f"The request holds {many(photos, 'photo')}; at most {most} are answered at once.")


def look(photo: RequestPhoto | bytes, card: Card, limits: Limits = SERVING_LIMITS) -> PreparedPhoto:
    """Decode a photo into what the network sees; never raises on what the photo holds."""
    if isinstance(photo, bytes):
        photo = RequestPhoto(photo)
    try:
        box = choose_box(photo.boxes, card.preprocessing.crop)
        prepared = prepare(photo.content, card.preprocessing, box, limits)
    except ImageError as error:
        return PreparedPhoto(photo.name, None, error.reason)
    return PreparedPhoto(photo.name, prepared.pixels, prepared.warning)


def answer_view(model: ModelFile, view: PreparedPhoto) -> Answer:
    """The answer to a decoded photo; failed if it could not be decoded."""
    if view.pixels is None:
        return Answer(view.name, None, view.reason)
    return check_answer(view, *(rows[0] for rows in run_model(model, view.pixels[np.newaxis])))


_COORDINATES: WeakKeyDictionary[ModelFile, Coordinates] = WeakKeyDictionary()


def run_model(model: ModelFile, pixels: Pixels) -> tuple[Floats, Floats]:
    """Probabilities [N, labels], and coordinates [N, P]: P is 0 where the card has no statistics."""
    outputs, familiar = model.run(pixels), model.card.familiar
    if familiar is None:
        return outputs.probabilities, np.empty((len(pixels), 0), np.float32)
    if model not in _COORDINATES:
        _COORDINATES[model] = Coordinates(familiar)
    return outputs.probabilities, _COORDINATES[model](outputs.embedding)


def check_answer(
    view: PreparedPhoto, probabilities: Floats | None, coordinates: Floats | None = None
) -> Answer:
    """The answer to a photo, failed if what the network answered is no number or no probability.

    Args:
        view: of the photo.
        probabilities: float32 [labels]; None if it could not be decoded.
        coordinates: float32 [P]; None where another server has computed.
    """
    if probabilities is None:
        return Answer(view.name, None, view.reason)
    if not np.isfinite(probabilities).all():
        return Answer(view.name, None, NO_PROBABILITY)
    known = None if coordinates is None or not len(coordinates) else coordinates[np.newaxis]
    return Answer(view.name, probabilities, view.reason, known)


def familiar_document(answers: Sequence[Answer], card: Card) -> dict[str, Any] | None:
    """How far the photos of a request lie from what the model has learnt from, together; JSON-able.

    None where that cannot be told.
    """
    known = [one.coordinates for one in answers if one.coordinates is not None]
    if card.familiar is None or not known:
        return None
    photos = np.concatenate(known).astype(np.float64)
    distance = card.familiar.distance(photos.mean(axis=0), len(photos))
    return {"photos": len(photos), "distance": round(distance, 3), "far": distance >= FAR}


def pool(answers: Sequence[Answer], card: Card) -> Answer:
    """The answers to an event's frames as one; it fails only if every frame did."""
    from trapline.prediction import pool_frames

    read = [one.probabilities for one in answers if one.probabilities is not None]
    failed = len(answers) - len(read)
    if not read:
        return Answer(None, None, f"none of the {many(failed, 'photo')} can be read: {answers[0].reason}")
    reason = f"{failed} of {many(len(answers), 'photo')} cannot be read" if failed else None
    known = [one.coordinates for one in answers if one.coordinates is not None]
    together = np.concatenate(known) if known else None
    return Answer(None, pool_frames(np.stack(read), card), reason, together)


def as_flat(answer: Answer, card: Card) -> dict[str, float]:
    """Label → probability.

    Raises:
        DataError: the photo could not be read.
    """
    if answer.probabilities is None:
        raise DataError(f"{answer.name or 'The photo'} cannot be used as a picture: {answer.reason}.")
    return dict(zip(card.labels, map(float, answer.probabilities), strict=True))


def as_document(
    answer: Answer, model: ModelFile, top: int = TOP, *, of_event: bool = False
) -> dict[str, Any]:
    """The rich form, JSON-able.

    `labels` are those that the model holds for shown: of a single-label model the most probable one, if it
    passes its threshold; of a multi-label model all that pass theirs (0.5 where the card has none), `blank`
    only alone.
    """
    card = model.card
    document: dict[str, Any] = {"name": answer.name, "status": answer.status, "reason": answer.reason}
    if answer.probabilities is None:
        return document | {"labels": [], "top": [], "taxon": None, "probabilities": {}}
    flat = as_flat(answer, card)
    ranked = sorted(flat, key=lambda label: -flat[label])
    return document | {
        "labels": _labels_shown(flat, ranked, card, "event" if of_event else "media"),
        "top": [{"label": label, "probability": flat[label]} for label in ranked[:top]],
        "taxon": _taxon(answer.probabilities, model),
        "probabilities": flat,
    }


_RANKS: WeakKeyDictionary[ModelFile, Ranks] = WeakKeyDictionary()


def _taxon(probabilities: Floats, model: ModelFile) -> dict[str, Any] | None:
    """The rolled-up answer of a model of taxa: the finest one that keeps what the card promises."""
    if not model.card.taxonomy:
        return None
    if model not in _RANKS:
        from trapline.prediction import Ranks

        _RANKS[model] = Ranks(model.card.labels, model.card.taxonomy, model.card.thresholds)
    rolled = _RANKS[model].answers(probabilities[np.newaxis].astype(np.float64))
    if rolled.answers[0] is None:
        return None
    return {
        "name": rolled.answers[0],
        "rank": rolled.levels[0],
        "probability": float(rolled.probabilities[0]),
    }


def _labels_shown(
    flat: Mapping[str, float], ranked: Sequence[str], card: Card, level: Literal["media", "event"]
) -> list[str]:
    if card.task == "multi-label":
        limits = card.limits(level, 0.5)
        told = labels_said([flat[label] for label in card.labels], limits, blank_column(card.labels))
        shown = dict(zip(card.labels, told.tolist(), strict=True))
        return [label for label in ranked if shown[label]]
    least = dict(zip(card.labels, card.limits(level, 0.0), strict=True))
    return [label for label in ranked[:1] if flat[label] >= least[label]]


def describe(model: ModelFile) -> dict[str, Any]:
    """What a client should know of the model that answered, JSON-able."""
    card = model.card
    return {
        "name": card.name,
        "fingerprint": model.fingerprint,
        "task": card.task,
        "calibration": card.calibration.fitted_on,
        "thresholds": dict(card.thresholds),
        "thresholds_of": None if card.chosen_labels is None else card.chosen_labels.describe(),
        "sees": sees(card),
        "few_locations": few_locations_doubt(card) or None,
        "not_compared": familiar_doubt(card) or None,
    }


def sees(card: Card) -> Literal["crops", "photos"] | None:
    """What the model learnt to look at: photos cut to a detector's boxes, or whole ones; None where the card
    does not say which of the two its photos were.
    """
    if card.saw_crops is None:
        return None
    return "crops" if card.saw_crops else "photos"
