"""What the page says: one form a request, checked before anything is done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trapline.review.decision import Verdict
from trapline.review.decision_rows import MOST
from trapline.review.names import MOST_LETTERS

Text = Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]
Key = Annotated[str, Field(min_length=1, max_length=4096)]


class Form(BaseModel):
    """Members that there are not are refused, so that no setting is accepted that does nothing."""

    model_config = ConfigDict(extra="forbid")


class NextForm(Form):
    """`POST /api/next`: what is to be shown next."""

    person: Text
    stream: Text | None = None
    count: Annotated[int, Field(ge=1, le=200)] = 1
    holding: Annotated[list[Key], Field(max_length=2000)] = []


class GiveBackForm(Form):
    """`POST /api/give_back`: events that a person will not decide now; others may be asked for them."""

    person: Text
    events: Annotated[list[Key], Field(max_length=2000)]


class SightingForm(Form):
    """A label, and what is known of the individuals."""

    label: Text
    count: Annotated[int, Field(ge=1, le=MOST)] | None = None
    life_stage: Literal["adult", "subadult", "juvenile"] | None = None
    sex: Literal["female", "male"] | None = None
    behaviour: Text | None = None


class DecideForm(Form):
    """`POST /api/decide`: one answer. Sent twice it is kept once.

    Attributes:
        decision_id: made by the page.
        ask: of the `Ask` that was answered; null for an event that was looked up.
        event: that is decided.
        person: who decides.
        frames: indices of chosen media of the event; null for the event as a whole.
    """

    decision_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{8,100}$")]
    ask: Text | None = None
    event: Key
    person: Text
    frames: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=100_000)] | None = (
        None
    )
    verdict: Verdict
    labels: Annotated[list[SightingForm], Field(max_length=50)] = []
    sure: bool = True
    flagged: bool = False
    remark: Annotated[str, Field(max_length=2000)] | None = None


class DecideManyForm(Form):
    """`POST /api/decide_many`: a grid of answers."""

    decisions: Annotated[list[DecideForm], Field(min_length=1, max_length=1000)]


class TakeBackForm(Form):
    """`POST /api/take_back`: undo."""

    decision_id: Annotated[str, Field(min_length=1, max_length=100)]
    person: Text


class LabelForm(Form):
    """`POST /api/label`: a label that there is not yet."""

    label: Text
    common: Text | None = None
    scientific: Text | None = None
