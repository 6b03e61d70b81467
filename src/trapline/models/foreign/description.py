"""What must be known of a model that was trained elsewhere, and what a user says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import onnx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trapline.errors import DataError, UsageError, name_some

Numbers = tuple[float, float, float]
Scaling = Literal["0-255", "0-1", "-1-1", "imagenet", "caffe"]
IMAGENET: tuple[Numbers, Numbers] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's photos, red, green and blue, on the scale 0..1."""

_MOST_BYTES = 2**22
_NUMBERED = re.compile(r"\d+([\s,:]|;[^;]*$)")


class Description(BaseModel):
    """What is said of a foreign model; None is not said.

    Attributes:
        labels: in the order of its answers.
        name: of the model, for the card.
        height: of its input, pixels.
        width: of its input, pixels.
        layout: the order of its input's dimensions.
        channels: their order.
        scaling: what its input's numbers are: pixels 0..255, 0..1 or -1..1; `imagenet` is 0..1 less
            ImageNet's mean over its deviation; `caffe` is BGR 0..255 less the mean.
        mean: a channel, in the model's order; taken off after `scaling`, which then is `0-1` where not said.
        std: divided by after that.
        activation: what makes probabilities of its answers: `softmax`, `sigmoid`, or `none`, where they are
            probabilities.
        fit: see `Preprocessing`.
        crop_fraction: likewise.
        interpolation: likewise.
        output: which of its outputs is meant, by name.
        embedding: which value of the graph is the embedding, by name.
        network: timm's or torchvision's name of it, for a file of tensors only.
        hidden_activation: between the dense layers of a head, of which files of tensors say nothing.
        notices: licences and origins that must travel with the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...] | None = None
    name: str | None = None
    height: int | None = Field(None, ge=8, le=4096)
    width: int | None = Field(None, ge=8, le=4096)
    layout: Literal["NCHW", "NHWC"] | None = None
    channels: Literal["RGB", "BGR"] | None = None
    scaling: Scaling | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    activation: Literal["softmax", "sigmoid", "none"] | None = None
    fit: Literal["squash", "letterbox", "crop"] | None = None
    crop_fraction: float | None = Field(None, gt=0, le=1)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "area"] | None = None
    output: str | None = None
    embedding: str | None = None
    network: str | None = None
    hidden_activation: Literal["relu", "gelu", "silu", "tanh", "leaky_relu", "none"] | None = None
    notices: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Description:
        if self.scaling in ("imagenet", "caffe") and (self.mean or self.std):
            raise ValueError(f"scaling {self.scaling} has a mean of its own; leave out mean and std")
        if self.scaling == "caffe" and self.channels == "RGB":
            raise ValueError("scaling caffe is of BGR")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be above 0")
        if self.mean is not None and self.scaling in (None, "0-1") and max(map(abs, self.mean)) > 1:
            raise ValueError("the mean is on the scale 0-1; means of pixels need scaling 0-255")
        if self.crop_fraction is not None and self.fit not in (None, "crop"):
            raise ValueError("crop_fraction is of the fit crop")
        return self

    @property
    def is_scaled(self) -> bool:
        """Whether it is said what the input's numbers are."""
        return self.scaling is not None or self.mean is not None or self.std is not None

    def over(self, known: Description) -> Description:
        """This, and `known` where this says nothing. Of the scaling both are never mixed."""
        mine = self.model_dump(exclude_none=True)
        theirs = known.model_dump(exclude_none=True)
        if self.is_scaled:
            theirs = {key: value for key, value in theirs.items() if key not in ("scaling", "mean", "std")}
        if self.fit is not None and self.fit != "crop":
            theirs.pop("crop_fraction", None)
        return describe(theirs | mine)


@dataclass(frozen=True)
class Translated:
    """A foreign model as ONNX, and what its file says.

    Attributes:
        graph: pictures in, answers out.
        known: what the file, or the convention of its framework, says; the user's word stands above it.
        assumed: the conventions among these, a sentence each.
    """

    graph: onnx.ModelProto
    known: Description = field(default_factory=Description)
    assumed: tuple[str, ...] = ()


def describe(fields: Mapping[str, Any]) -> Description:
    """A description of what was said.

    Raises:
        UsageError: a field is unknown, of another type, or does not go with another.
    """
    try:
        return Description.model_validate(dict(fields))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            if one["loc"]
            else one["msg"].removeprefix("Value error, ")
            for one in error.errors()
        ]
        raise UsageError(
            f"The model is described wrongly: {name_some(problems, 3, between='; ')}."
        ) from error


def read_manifest(path: Path) -> dict[str, Any]:
    """The fields of a description that a YAML or JSON file holds; `labels` may name a file beside it.

    Raises:
        DataError: it cannot be read, or is no mapping.
    """
    fields = _read_structured(path)
    if not isinstance(fields, dict):
        raise DataError(f"{path} must hold names and values, as in 'scaling: 0-1'.")
    if isinstance(fields.get("labels"), str):
        fields = fields | {"labels": read_labels(path.parent / fields["labels"])}
    return _of_options(fields)


def _of_options(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields of a description that are called as the options are: `size`, `output-name`, `notice` …"""
    made = {str(name).replace("-", "_"): value for name, value in fields.items()}
    for option, field_name in (("output_name", "output"), ("notice", "notices")):
        if option in made:
            made[field_name] = made.pop(option)
    if isinstance(made.get("notices"), str):
        made["notices"] = [made["notices"]]
    if "size" in made:
        made["height"], made["width"] = sides_of(str(made.pop("size")))
    return made


def sides_of(text: str) -> tuple[int, int]:
    """Height and width of `224`, or `384x512`.

    Raises:
        UsageError: it is neither.
    """
    sides = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text.strip())
    if sides is None:
        raise UsageError(f"--size is 224, or 384x512 (height x width); not '{text}'.")
    return int(sides[1]), int(sides[2] or sides[1])


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in a file: one a line, or JSON or YAML: a list, `{"0": "fox"}` or `{"fox": 0}`.

    Raises:
        DataError: it cannot be read, or its numbers are not 0, 1, 2 …
    """
    if path.suffix.lower() in (".json", ".yaml", ".yml"):
        return labels_of(_read_structured(path), str(path))
    lines = label_lines(path)
    if path.suffix.lower() in (".csv", ".tsv") and any(re.search("[,;\t]", line) for line in lines):
        raise DataError(f"{path} is a table; give its labels alone, one a line, in the order of the answers.")
    if lines and all(map(_NUMBERED.match, lines)):
        raise DataError(
            f"The lines of {path} begin with numbers ('{lines[0][:40]}'), and a line is a label: take them "
            'off, or give a YAML file with 0: "fox", 1: "hare".'
        )
    return tuple(lines)


def label_lines(path: Path) -> list[str]:
    """The lines of a file that has something on each.

    Raises:
        DataError: it cannot be read, or one is empty.
    """
    lines = [line.strip() for line in _text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not all(lines):
        raise DataError(f"{path} line {lines.index('') + 1} is empty, and every line is a label.")
    return lines


def labels_of(content: Any, where: str) -> tuple[str, ...]:
    """Labels in their order, of a list or of a mapping from or to their numbers."""
    if isinstance(content, dict) and content:
        turned = {key: value for value, key in content.items()}
        numbered = content if all(str(key).isdecimal() for key in content) else turned
        if all(str(key).isdecimal() for key in numbered):
            ordered = {int(key): value for key, value in numbered.items()}
            if sorted(ordered) != list(range(len(content))):
                raise DataError(f"The labels in {where} must be numbered 0, 1, 2 … without a gap.")
            content = [ordered[index] for index in range(len(ordered))]
    if not isinstance(content, list | tuple) or not all(isinstance(one, str) for one in content):
        raise DataError(
            f"The labels in {where} must be a list of texts, or numbered from 0 on; in YAML, texts such as "
            "no and 1 need quotes."
        )
    return tuple(content)


def _read_structured(path: Path) -> Any:
    text = _text(path)
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is larger than {_MOST_BYTES >> 20} MB; that is no list of labels.")
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8.") from error
