"""What the HTTP interfaces answer, for `/openapi.json`: schemas only, the answers are made elsewhere."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel


class Document(BaseModel):
    """An object with these members and no others; members with a default may be missing."""

    model_config = ConfigDict(extra="forbid")


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
    sees: Literal["crops", "photos"] | None = Field(
        description="What it learnt to look at: photos cut to boxes, which you send, or whole photos."
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


class AnswersDocument(Document):
    """Of a request to `/predict`, in the order of its photos; of an event one."""

    model: ModelDocument
    event: bool
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
    """The server, or the named model, can answer."""

    ready: Literal[True]
    name: str = ""


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

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

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

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_version_status: list[TfVersion]


class TfSpec(Document):
    """Which model a document is about."""

    name: str
    signature_name: str
    version: str


class TfMetadata(Document):
    """A model's signatures, as TensorFlow Serving writes them."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_spec: TfSpec
    metadata: dict[str, Any]
