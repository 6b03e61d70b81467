"""What a request to `/predict` asks: photos and options, from its query and a form, JSON or an image."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from trapline.serving.answers import MOST_PHOTOS, TOP, RequestPhoto
from trapline.serving.body import Body, check_form, parse_base64, parse_boxes, parse_form, parse_json
from trapline.serving.documents import Base64, Photo
from trapline.serving.refusals import INVALID, UNSUPPORTED, RefusedError
from trapline.serving.service import Service
from trapline.serving.settings import MOST_BODY, MOST_JSON

F = TypeVar("F", bound=Callable[..., Any])

_ONE_OF = frozenset({"url", "image", "images"})
_PHOTO = "A photo is a base64 text, or an object with 'b64' or 'url'; the 'name' of a photo is a text. "

Seconds = Annotated[
    float | None, Query(gt=0, allow_inf_nan=False, description="Give up after so many seconds.")
]
"""The option that the foreign protocols over HTTP have too."""


def of_model(add: Callable[..., Any], end: str = "", **options: Any) -> Callable[[F], F]:
    """Add an operation on a model of a foreign protocol: by its name, and by name and version.

    Args:
        add: `get` or `post` of a router.
        end: of its path.
        options: of `add`.
    """

    def decorate(operation: F) -> F:
        for version in ("", "/versions/{version}"):
            add(f"/models/{{name}}{version}{end}", **options)(operation)
        return operation

    return decorate


class Options(BaseModel):
    """How the photos are to be answered; whatever else is said is refused rather than left unheard."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    top: int = Field(TOP, ge=1, le=10_000, description="Labels in `top`.")
    event: bool = Field(False, description="The photos are frames of one event: one pooled answer.")
    model: str | None = Field(None, description="Which model; the first one if left out.")
    seconds: float | None = Field(None, gt=0, description="Give up after so many seconds.")

    def merge_body(self, given: Mapping[str, Any], *, typed: bool) -> Options:
        """These of the query with those that the body holds.

        Args:
            given: option → value.
            typed: whether the values have types, as JSON's have, or are texts.

        Raises:
            RefusedError: there is no such option or value, or it is said twice.
        """
        twice = sorted(self.model_fields_set & given.keys())
        if twice:
            raise RefusedError(INVALID, f"'{twice[0]}' is said in the query and in the body; say it once.")
        return check_form(Options, {**self.model_dump(exclude_unset=True), **given}, strict=typed)


class PhotosForm(Options):
    """A form with photos as files."""

    file: list[Annotated[str, Field(json_schema_extra={"format": "binary"})]] = []


class PhotosJson(Options):
    """JSON with photos; `url` is answered flat, label to probability."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["url"]}, {"required": ["image"]}, {"required": ["images"]}]
        }
    )

    url: str = ""
    image: Base64 | Photo = ""
    images: list[Base64 | Photo] = Field([], json_schema_extra={"minItems": 1})


@dataclass(frozen=True)
class Address:
    """A photo that is to be fetched."""

    url: str
    name: str | None = None
    boxes: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class PredictRequest:
    """A request.

    Attributes:
        photos: as they came, or where they are.
        options: how to answer.
        flat: whether the answer is the flat one, label to probability.
    """

    photos: Sequence[RequestPhoto | Address]
    options: Options
    flat: bool = False


async def read_request(
    request: Request, query: Options, body: Body, service: Service, deadline: float
) -> PredictRequest:
    """What a request asks.

    Raises:
        RefusedError: it cannot be understood, or came too slowly, or is too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        content = await body.read(request, deadline, MOST_JSON)
        return await service.convert(lambda: from_json(content, query), deadline)
    if kind == "multipart/form-data":
        content = await body.read(request, deadline, MOST_BODY)
        whole_kind = request.headers["content-type"]
        photos, fields = await service.convert(lambda: parse_form(content, whole_kind), deadline)
        return PredictRequest(photos, query.merge_body(fields, typed=False))
    if kind.startswith("image/") or kind == "application/octet-stream":
        return PredictRequest([RequestPhoto(await body.read(request, deadline, MOST_BODY))], query)
    raise RefusedError(
        UNSUPPORTED, "Send multipart/form-data, application/json, or one image as image/*.", close=True
    )


def from_json(content: bytes, query: Options) -> PredictRequest:
    """What JSON asks.

    Raises:
        RefusedError: it is no JSON, or holds what is not understood.
    """
    document = parse_json(content)
    if not isinstance(document, dict) or len(document.keys() & _ONE_OF) != 1:
        raise RefusedError(INVALID, "The JSON must be an object with one of 'url', 'image' and 'images'.")
    beside = {name: value for name, value in document.items() if name not in _ONE_OF}
    for name in beside.keys() & Photo.model_fields:
        raise RefusedError(INVALID, f'\'{name}\' is of a photo: {{"image": {{"b64": "…", "{name}": …}}}}.')
    options = query.merge_body(beside, typed=True)
    if "url" in document:
        return PredictRequest([_photo({"url": document["url"]})], options, flat=True)
    given = document.get("images", [document.get("image")])
    if not isinstance(given, list) or len(given) > MOST_PHOTOS:
        raise RefusedError(INVALID, f"'images' must be a list of at most {MOST_PHOTOS} photos.")
    return PredictRequest([_photo(one) for one in given], options)


def _photo(one: Any) -> RequestPhoto | Address:
    if isinstance(one, str):
        return RequestPhoto(parse_base64(one))
    photo = check_form(Photo, one, _PHOTO)
    boxes = parse_boxes(photo.boxes)
    if photo.url is None and photo.b64 is not None:
        return RequestPhoto(parse_base64(photo.b64), photo.name, boxes)
    if photo.url is not None and photo.b64 is None:
        return Address(photo.url, photo.name, boxes)
    raise RefusedError(INVALID, _PHOTO)


async def fetch_photos(
    predict: PredictRequest, body: Body, service: Service, deadline: float
) -> list[RequestPhoto]:
    """The photos, those from addresses fetched.

    Raises:
        RefusedError: an address is not allowed, does not answer in time, or has no photo.
    """
    photos: list[RequestPhoto] = []
    for one in predict.photos:
        if isinstance(one, Address):
            seconds = deadline - asyncio.get_running_loop().time()
            content = await service.fetcher.fetch(one.url, seconds, body.hold)
            photos.append(RequestPhoto(content, one.name or one.url, one.boxes))
        else:
            photos.append(one)
    return photos
