"""The catalogue of ready models, `ready.toml`: what is known of each, and nothing else.

It is read without anything heavy, so that it can be listed as quickly as help is shown.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from trapline.errors import UsageError

DATA = Path(__file__).with_name("ready.toml")
HOSTS = ("zenodo.org", "www.kaggle.com", "github.com")
"""From which files are fetched without a mirror."""

LAYOUTS = {
    "trapline": "a model file of Trapline",
    "yolox": "YOLOX: a row a cell, [x, y, width, height, conf, a conf a category]",
    "yolo-with-nms": "YOLO, overlaps removed inside: a row a box, [left, top, right, bottom, conf, category]",
    "yolov5": "YOLOv5: a row a candidate, [x, y, width, height, conf, a conf a category]",
    "yolov9": "YOLOv8, 9, 11: a column a candidate, [x, y, width, height, a conf a category]",
    "rtdetr-top-k": "RT-DETR: a row a box, [x, y, width, height as fractions, conf, category]",
    "classifier": "a score a label, of pixels scaled outside the network",
    "keras-classifier": "a score a label, of a Keras network",
    "encoder": "an embedding, of pixels scaled outside the network",
    "not-stated": "not known",
}
"""In what form a model answers."""

READ_AS_IT_IS = ("trapline", "yolox", "yolo-with-nms", "yolov5", "yolov9", "rtdetr-top-k")
"""The layouts that are read without another step."""

TERMS = {
    "copyleft": "what is built on it must be passed on under the same licence",
    "non-commercial": "not for commercial use",
    "unverified": "nobody has verified it, so that you must",
}
"""What a licence asks for that one must agree to, or know."""


def _web(url: str) -> str:
    if urlsplit(url).scheme != "https" or not urlsplit(url).hostname:
        raise ValueError("no address that begins with https://")
    return url


Address = Annotated[str, AfterValidator(_web)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ReadyInput(BaseModel):
    """What the network is shown, as its publishers say; None is not known.

    Attributes:
        height, width: of the picture, pixels.
        fit: how a photo gets that size: `letterbox` keeps its sides and pads, `stretch` does not, and `bands`
            cuts off above and below first.
        colour: order of the channels.
        scale: of the numbers.
        crop: `box`, cut to an animal's box, or `whole`, the photo.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: int | None = None
    width: int | None = None
    fit: Literal["letterbox", "stretch", "bands"] | None = None
    colour: Literal["rgb", "bgr"] | None = None
    scale: Literal["0-1", "0-255"] | None = None
    crop: Literal["box", "whole"] | None = None

    def describe(self) -> str:
        """In words; empty if nothing is known."""
        crops = {"box": "cut to an animal's box", "whole": "the whole photo", None: ""}
        fits = {"letterbox": "padded", "stretch": "stretched", "bands": "cut above and below", None: ""}
        size = f"{self.height} × {self.width} pixels (height × width)" if self.height and self.width else ""
        scale = f"numbers of {self.scale}" if self.scale else ""
        return ", ".join(filter(None, (size, fits[self.fit], self.colour, scale, crops[self.crop])))


class ReadyModel(BaseModel):
    """A ready model; what no source states is None or empty.

    Attributes:
        id: its name wherever a model or a detector is named.
        aliases: other names of it.
        title: what people call it.
        task: what it is for.
        shipped: it comes with Trapline.
        labels: what it answers, in its order.
        label_count: how many, where they are not listed here.
        labels_from: where they are listed.
        region: whose animals it knows.
        developer: who made it.
        licence: SPDX's name of it, or `not verified`.
        terms: keys of `TERMS`; where there are some, `get` asks.
        licence_source: where the licence is stated.
        licence_note: where sources differ.
        page: to read about it.
        urls: of its file, tried in this order.
        file: its name, also at a mirror.
        holds: what kind of file it is.
        sha256, md5: of that file, as a publisher states them.
        size: of that file, bytes.
        size_stated: of the network, as its publisher's page says it.
        layout: a key of `LAYOUTS`.
        input: what it is shown.
        activation: what makes chances of its answers.
        trained_on: on which photos.
        citation: whom to cite.
        note: what else one should know.
        run: whether it was ever run with Trapline: `here`, or `never`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$")]
    aliases: tuple[str, ...] = ()
    title: str
    task: Literal["detector", "classifier", "encoder"]
    shipped: bool = False
    labels: tuple[str, ...] = ()
    label_count: int | None = None
    labels_from: str | None = None
    region: str | None = None
    developer: str | None = None
    licence: str
    terms: tuple[Literal["copyleft", "non-commercial", "unverified"], ...] = ()
    licence_source: Address | None = None
    licence_note: str | None = None
    page: Address | None = None
    urls: tuple[Address, ...] = ()
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")] | None = None
    holds: Literal["onnx", "zip", "tar", "pytorch-pickle"]
    sha256: Digest | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    size: int | None = None
    size_stated: str | None = None
    layout: str
    input: ReadyInput = ReadyInput()
    activation: Literal["softmax", "sigmoid"] | None = None
    trained_on: str | None = None
    citation: str | None = None
    note: str | None = None
    run: Literal["here", "never"]

    @model_validator(mode="after")
    def _check(self) -> ReadyModel:
        if self.layout not in LAYOUTS:
            raise ValueError(f"its layout is none of {', '.join(LAYOUTS)}")
        if strange := [url for url in self.urls if urlsplit(url).hostname not in HOSTS]:
            raise ValueError(f"{strange[0]} is at none of {', '.join(HOSTS)}")
        if self.urls and self.file is None:
            raise ValueError("its file has an address and no name")
        if "not verified" in self.licence and "unverified" not in self.terms:
            raise ValueError("a licence that is not verified is one of its terms")
        return self

    @property
    def fetchable(self) -> bool:
        """Whether there is a file that can be fetched and opened: nothing that runs code is."""
        return bool(self.urls) and self.holds != "pytorch-pickle"

    def use(self) -> str:
        """What Trapline can do with it, in a sentence."""
        if self.layout in READ_AS_IT_IS:
            return "read as it is"
        if self.task == "detector":
            return "read where its file tells its layout; else name it with --layout"
        return "`get` makes a model file of it" if self.task == "classifier" else "not read yet"


@cache
def ready_models() -> tuple[ReadyModel, ...]:
    """All ready models, in the catalogue's order."""
    with DATA.open("rb") as file:
        return tuple(ReadyModel.model_validate(entry) for entry in tomllib.load(file)["model"])


@cache
def _by_name() -> dict[str, ReadyModel]:
    return {name.casefold(): model for model in ready_models() for name in (model.id, *model.aliases)}


def ready_model(name: str) -> ReadyModel | None:
    """The ready model of that id or alias, however its letters are written; None if there is none."""
    return _by_name().get(name.casefold())


def close_names(name: str) -> list[str]:
    """Ids that are written much like a name, the closest first, three at most."""
    close = get_close_matches(name.casefold(), _by_name(), n=5, cutoff=0.7)
    return list(dict.fromkeys(_by_name()[other].id for other in close))[:3]


def named_model(name: str) -> ReadyModel:
    """The same as `ready_model`.

    Raises:
        UsageError: there is none of that name.
    """
    if model := ready_model(name):
        return model
    close = close_names(name)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise UsageError(f"No ready model is called '{name}'.{hint} `trapline models list` lists them.")
