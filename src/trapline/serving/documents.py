"""What the HTTP interfaces take and answer: the forms in `/openapi.json`. Requests are checked against
theirs; answers are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, RootModel, SkipValidation
from pydantic.json_schema import models_json_schema

_REFERENCE = "#/components/schemas/{model}"

_FORM = ConfigDict(extra="forbid", protected_namespaces=())


class Document(BaseModel):
    """An object with these members and no others; members with a default may be missing."""

    model_config = _FORM


Share = Annotated[float, Field(ge=0, le=1)]
Base64 = Annotated[str, Field(json_schema_extra={"format": "byte"})]


class PhotoBox(Document):
    """Of a detector; the sides are fractions of the photo."""

    model_config = _FORM | ConfigDict(coerce_numbers_to_str=True)

    x: Share
    y: Share
    width: Share
    height: Share
    category: str = "animal"
    conf: float | None = None


class Photo(Document):
    """A photo in JSON: base64, or its address; the boxes are checked apart, which are many."""

    model_config = _FORM | ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["b64"]}, {"required": ["url"]}]}
    )

    b64: Base64 | None = None
    url: str | None = None
    name: str | None = None
    boxes: Annotated[list[PhotoBox] | None, SkipValidation] = None


class Tolerant(BaseModel):
    """An object of a foreign protocol, which may have members that nobody here looks at."""

    model_config = ConfigDict(strict=True, protected_namespaces=())


class V2Flags(Tolerant):
    """Of a request."""

    event: bool = False
    binary_data_output: bool = False


class V2OutputFlags(Tolerant):
    """Of an output that is asked for; null is what the request says."""

    binary_data: bool | None = None


class V2Wanted(Tolerant):
    """An output that is asked for."""

    name: str
    parameters: V2OutputFlags = V2OutputFlags()


class V2Size(Tolerant):
    """Of an input."""

    binary_data_size: int | None = Field(None, ge=0)


class V2Input(Tolerant):
    """A tensor, whose numbers or files stand in `data`, or behind the JSON."""

    name: str = Field(json_schema_extra={"enum": ["encoded", "images"]})
    datatype: str = Field(json_schema_extra={"enum": ["BYTES", "UINT8"]})
    shape: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], FailFast()]
    data: Any = Field(None, json_schema_extra={"type": "array"})
    parameters: V2Size = V2Size()


class V2Request(Tolerant):
    """One input, and perhaps which outputs are wanted, and how."""

    id: Any = Field(None, json_schema_extra={"type": "string"})
    parameters: V2Flags = V2Flags()
    inputs: list[V2Input] = Field(min_length=1, max_length=1)
    outputs: list[V2Wanted] = Field([], max_length=8)


class TfRequest(Tolerant):
    """`instances` or `inputs`: photos, or tensors by the name of an input."""

    signature_name: str = ""
    instances: Any = Field(None, json_schema_extra={"type": "array", "minItems": 1})
    inputs: Any = None


def reference(model: type[BaseModel]) -> dict[str, str]:
    """The schema of a form, as a reference to it."""
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def body_of(kinds: Mapping[str, Any]) -> dict[str, Any]:
    """What an operation adds to its description that takes these types of content, each with its schema."""
    content = {kind: {"schema": schema} for kind, schema in kinds.items()}
    return {"requestBody": {"required": True, "content": content}}


def schemas_of(*forms: type[BaseModel]) -> dict[str, Any]:
    """Name → schema, of these forms of requests and all that they refer to."""
    _, schemas = models_json_schema([(one, "validation") for one in forms], ref_template=_REFERENCE)
    return dict(schemas["$defs"])


class Refusal(Document):
    """Why there is no answer: `error` for people, `code` for programs."""

    error: str
    code: str


class ModelDocument(Document):
    """The model that answered."""

    name: str
    fingerprint: str
    task: str
    calibration: str
    thresholds: dict[str, float]
    thresholds_of: str | None = Field(
        None, description="Of which answers the thresholds are, where they were chosen; null elsewhere."
    )
    sees: Literal["crops", "photos"] | None = Field(
        description="What it learnt to look at: photos cut to boxes, which you send, or whole photos."
    )
    few_locations: str | None = Field(
        None, description="What must be known first of a model measured at too few locations; null of others."
    )
    not_compared: str | None = Field(
        None, description="Why photos are not compared with those of training; null where they are."
    )
    computed_by: str | None = Field(
        None,
        description="Of a gateway: the fingerprint that the model server states; null if it states none.",
    )


class Shown(Document):
    """A label and its probability."""

    label: str
    probability: float = Field(ge=0, le=1)


class TaxonDocument(Document):
    """The finest taxon that keeps what the model promises."""

    name: str
    rank: str
    probability: float


class AnswerDocument(Document):
    """Of a photo, or of an event."""

    name: str | None
    status: Literal["ok", "failed"]
    reason: str | None
    labels: list[str]
    taxon: TaxonDocument | None
    top: list[Shown]
    probabilities: dict[str, float]


class FamiliarDocument(Document):
    """How far the photos of a request lie, together, from what the model has learnt from: from 1 on farther
    than 19 of 20 of the groups that were held out.
    """

    photos: int
    distance: float
    far: bool


class AnswersDocument(Document):
    """Of a request to `/predict`, in the order of its photos; of an event one."""

    model: ModelDocument
    event: bool
    familiar: FamiliarDocument | None
    answers: list[AnswerDocument] = Field(min_length=1)


class PredictedDocument(RootModel[AnswersDocument | dict[str, float]]):
    """`{"url": …}` is answered flat, label to probability; everything else by `answers`."""


class Live(Document):
    """The process runs."""

    status: Literal["live"]


class Ready(Document):
    """Requests can be answered; model → fingerprint."""

    status: Literal["ready"]
    models: dict[str, str]


class V2Server(Document):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class V2Live(Document):
    """The server runs."""

    live: Literal[True]


class V2Ready(Document):
    """The server can answer."""

    ready: Literal[True]


class V2ModelReady(V2Ready):
    """The named model can answer."""

    name: str


class V2Spec(Document):
    """A tensor; -1 is a side of any length."""

    name: str
    datatype: str
    shape: list[int]


class V2Model(Document):
    """A model: its tensors; labels, task and fingerprint as texts in `properties`."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[V2Spec]
    outputs: list[V2Spec]
    properties: dict[str, str]


class V2Output(Document):
    """The probabilities, row after row."""

    name: Literal["probabilities"]
    datatype: Literal["FP32"]
    shape: list[int] = Field(min_length=2, max_length=2)
    data: list[float]


class V2Inferred(Document):
    """The answer in JSON; with `binary_data` its head, with the numbers after it."""

    model_name: str
    model_version: str
    id: str = ""
    parameters: dict[str, str]
    outputs: list[V2Output] = Field(min_length=1, max_length=1)


class TfPredicted(RootModel[dict[Literal["predictions", "outputs"], list[list[float]]]]):
    """`predictions` of `instances`, `outputs` of `inputs`: probabilities, a row a photo."""


class TfVersion(Document):
    """A version of a model."""

    version: str
    state: Literal["AVAILABLE"]
    status: dict[str, str]


class TfStatus(Document):
    """Whether a model can answer."""

    model_version_status: list[TfVersion]


class TfSpec(Document):
    """Which model a document is about."""

    name: str
    signature_name: str
    version: str


class TfMetadata(Document):
    """A model's signatures, as TensorFlow Serving writes them."""

    model_spec: TfSpec
    metadata: dict[str, Any]
