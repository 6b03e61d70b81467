"""From the body of an HTTP request to photos: bounded reading, multipart forms, JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import gc
import json
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from trapline.serving.answers import MOST_PHOTOS, RequestPhoto
from trapline.serving.documents import PhotoBox
from trapline.serving.refusals import BUSY, INVALID, TOO_LARGE, TOO_SLOW, UNSUPPORTED, RefusedError, until
from trapline.serving.settings import MOST_BODY, MOST_HELD, MOST_JSON

_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
"""A surrogate: two stand for one character, one alone for none."""

_CHARSETS = frozenset({"utf-8", "iso-8859-1", "us-ascii"})
"""Of the names in a form: those that RFC 5987 has everyone know."""

MOST_BOXES = 1000
"""Of one photo."""

_BOX = (
    "A box must have x, y, width and height as fractions of the photo, from 0 to 1; category and conf may be "
    "left out. "
)

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Held:
    """Counts the bytes of all requests in memory, so that their sum stays bounded whatever comes."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self.most, self.bytes = most, 0

    def add(self, count: int) -> None:
        """Hold some more.

        Raises:
            RefusedError: there is no room.
        """
        if self.bytes + count > self.most:
            raise RefusedError(BUSY, "Too much is being uploaded now. Try again.", retry_after=1, close=True)
        self.bytes += count


@dataclass
class Body:
    """What a request holds in memory, its body or its message, until it is answered; use as a context."""

    held: Held
    _size: int = field(default=0, init=False)

    async def read(self, request: Request, deadline: float, most: int = MOST_BODY) -> bytes:
        """All of it.

        Raises:
            RefusedError: it is too large or packed, comes too slowly, or there is no room for it.
        """
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusedError(UNSUPPORTED, "Send the body as it is, without a content encoding.", close=True)
        stated = request.headers.get("content-length", "0")
        if stated.isdecimal() and int(stated) > most:
            raise _too_large(most)
        chunks: list[bytes] = []
        async with until(deadline, RefusedError(TOO_SLOW, "The request came too slowly.", close=True)):
            async for chunk in request.stream():
                if self._size + len(chunk) > most:
                    raise _too_large(most)
                self.hold(len(chunk))
                chunks.append(chunk)
        return b"".join(chunks)

    def hold(self, count: int) -> None:
        """Count bytes that are held for this request until it is answered.

        Raises:
            RefusedError: there is no room.
        """
        self.held.add(count)
        self._size += count

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.held.bytes -= self._size


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of the work, which is given up when the client goes away.

    Args:
        request: whose body has been read.
        work: on its answer.

    Raises:
        ClientDisconnect: the client has gone.
    """
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> RefusedError:
    return RefusedError(TOO_LARGE, f"A request may have at most {most} bytes.", close=True)


def parse_json(content: bytes) -> Any:
    """JSON in UTF-8.

    Raises:
        RefusedError: it is none, or too large, or has half a character, which no answer could hold.
    """
    if len(content) > MOST_JSON:
        raise RefusedError(TOO_LARGE, f"JSON may have at most {MOST_JSON} bytes; upload photos as files.")
    try:
        document = _loaded(content)
        if _HALF_CHARACTER.search(content):
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RefusedError(INVALID, "The JSON has a text that is no Unicode: a lone surrogate.") from None
    except (ValueError, RecursionError):
        raise RefusedError(INVALID, "The body is not JSON.") from None
    return document


def _loaded(content: bytes) -> Any:
    """`json.loads`, which lets nobody else run, so it should be short: the collector would look at millions
    of new lists, none of which is garbage, again and again, and take twice as long as the parsing.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(content)
    finally:
        if collecting:
            gc.enable()


def parse_base64(text: str) -> bytes:
    """The bytes that a text stands for; the head of a `data:` address is left out.

    Raises:
        RefusedError: it is not base64.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(INVALID, "A photo in JSON must be base64.") from None


@dataclass
class _Part:
    head: dict[str, bytes] = field(default_factory=dict)
    content: list[bytes] = field(default_factory=list)


class _Form(MultipartParser):
    """Collects the parts of a multipart form, each when the parser says what it has found."""

    def __init__(self, boundary: bytes) -> None:
        super().__init__(boundary)
        self.parts: list[_Part] = []
        self.ended = False
        self._name = self._value = b""

    def callback(
        self, name: str, data: bytes | None = None, start: int | None = None, end: int | None = None
    ) -> None:
        """The parser has come to this."""
        piece = b"" if data is None else data[start:end]
        match name:
            case "part_begin":
                if len(self.parts) >= 2 * MOST_PHOTOS:
                    raise RefusedError(
                        INVALID, f"The form has more than {2 * MOST_PHOTOS} parts.", close=True
                    )
                self.parts.append(_Part())
            case "part_data":
                self.parts[-1].content.append(piece)
            case "header_field":
                self._name += piece
            case "header_value":
                self._value += piece
            case "header_end":
                self.parts[-1].head[self._name.decode("latin-1").lower()] = self._value
                self._name = self._value = b""
            case "end":
                self.ended = True


def parse_form(content: bytes, content_type: str) -> tuple[list[RequestPhoto], dict[str, str]]:
    """The files of a multipart form as photos, and its other fields.

    Raises:
        RefusedError: it is no whole multipart form.
    """
    _, options = parse_options_header(content_type)
    try:
        form = _Form(options[b"boundary"])
        form.write(content)
        form.finalize()
    except (KeyError, ValueError, MultipartParseError):
        raise RefusedError(INVALID, "The body is not a multipart form.") from None
    if not form.ended:
        raise RefusedError(INVALID, "The multipart form has no end.")
    photos: list[RequestPhoto] = []
    fields: dict[str, str] = {}
    for part in form.parts:
        parameters, content = _disposition(part), b"".join(part.content)
        if _is_file(part, parameters):
            photos.append(RequestPhoto(content, parameters.get("filename")))
        elif "name" not in parameters:
            raise RefusedError(INVALID, "A part of the form has neither a name nor a file.")
        elif parameters["name"] in fields:
            raise RefusedError(INVALID, f"The form says '{parameters['name'][:50]}' twice; say it once.")
        else:
            fields[parameters["name"]] = content.decode("utf-8", "replace")
    return photos, fields


def _is_file(part: _Part, parameters: Mapping[str, str]) -> bool:
    """Whether a part is a photo: it has a file's name (which clients may leave out by RFC 7578), or a file's
    type, or is called as our description calls photos.
    """
    coding = part.head.get("content-transfer-encoding", b"binary").strip().lower()
    if coding not in (b"binary", b"8bit", b"7bit"):
        raise RefusedError(UNSUPPORTED, "Send the parts of a form as they are, without a transfer encoding.")
    kind = part.head.get("content-type", b"").strip().lower()
    return (
        "filename" in parameters
        or kind.startswith((b"image/", b"application/octet-stream"))
        or parameters.get("name") == "file"
    )


def _disposition(part: _Part) -> dict[str, str]:
    """The parameters of a part's Content-Disposition. `filename*=UTF-8''…` (RFC 5987; RFC 2231 in pieces)
    stands above a plain `filename`, in which clients that send both put what old servers can bear.

    Raises:
        RefusedError: one is in an encoding that nobody has to know.
    """
    head = part.head.get("content-disposition", b"")
    _, plain = parse_options_header(head)
    parameters = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in plain.items()}
    message = Message()
    message["content-disposition"] = head.decode("latin-1")
    try:
        pairs = message.get_params(failobj=[], header="content-disposition")
        for name, value in pairs:
            if isinstance(value, tuple):  # charset, language, the text as latin-1
                charset = (value[0] or "utf-8").lower()
                if charset not in _CHARSETS:
                    raise LookupError(charset)
                parameters[name.lower()] = value[2].encode("latin-1").decode(charset, "replace")
            else:
                parameters.setdefault(name.lower(), value)
    except (ValueError, LookupError):
        raise RefusedError(INVALID, "A name in the form cannot be decoded; send it in UTF-8.") from None
    return parameters


def check_form(form: type[M], document: Any, wanted: str = "", *, strict: bool | None = None) -> M:
    """A document as an object of this form.

    Args:
        form: with its members.
        document: from JSON, or texts by name.
        wanted: the form in words, where the members are no options.
        strict: whether a value must have its type, or may be its text; None for what the form says.

    Raises:
        RefusedError: it is not of this form, and where.
    """
    if isinstance(document, dict) and form.model_config.get("extra") == "forbid":
        for name in document.keys() - form.model_fields:  # before an error is made of each of a million
            raise RefusedError(INVALID, wanted + _no_member(name, form, "" if wanted else "option "))
    try:
        return form.model_validate(document, strict=strict)
    except ValidationError as error:
        raise RefusedError(INVALID, wanted + complaint(error.errors(), form)) from None


def complaint(errors: Sequence[Any], form: type[BaseModel]) -> str:
    """What is wrong, of pydantic's errors the first three."""
    return "; ".join(_describe_wrong(one, form) for one in errors[:3])


def _describe_wrong(error: Any, form: type[BaseModel]) -> str:
    where = [str(one)[:50] for one in error["loc"]]
    match error["type"]:
        case "extra_forbidden":
            return _no_member(where[-1], form, "option ")
        case "bool_type":
            return f"The parameter '{where[-1]}' is true or false."
        case "model_type":
            return f"{'.'.join(where) or 'The JSON'} must be an object."
    return f"{'.'.join(where)}: {error['msg']}"


def _no_member(name: str, form: type[BaseModel], what: str) -> str:
    return f"There is no {what}'{name[:50]}'; there are: {', '.join(form.model_fields)}."


def parse_boxes(boxes: Any) -> Sequence[Mapping[str, Any]] | None:
    """A photo's boxes from JSON, as a catalog holds them.

    Raises:
        RefusedError: they are not a list of boxes.
    """
    if boxes is None:
        return None
    if not isinstance(boxes, list) or len(boxes) > MOST_BOXES:
        raise RefusedError(INVALID, f"'boxes' must be a list of at most {MOST_BOXES} boxes.")
    return [check_form(PhotoBox, one, _BOX).model_dump() for one in boxes]
