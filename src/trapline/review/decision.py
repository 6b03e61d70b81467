"""What a person decides of an event, as it is kept for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Verdict = Literal["seen", "blank", "cannot tell"]

Asked = Literal["chosen", "audit", "calibration"]
"""Why an event was asked for: a stream chose it, or it was drawn by chance, to estimate how good the table is
or to calibrate on. What was drawn is never trained on while the audit is open."""


@dataclass(frozen=True)
class Sighting:
    """A label, and what is known of the individuals; None where nobody counted or says it.

    Attributes:
        label: what is seen.
        count: how many.
        life_stage: one of `trapline.catalog.LIFE_STAGES`.
        sex: one of `trapline.catalog.SEXES`.
        behaviour: in words.
    """

    label: str
    count: int | None = None
    life_stage: str | None = None
    sex: str | None = None
    behaviour: str | None = None

    @property
    def kind(self) -> tuple[str | None, ...]:
        """What tells these individuals from others of the same decision: all but how many they are."""
        return self.label, self.life_stage, self.sex, self.behaviour


@dataclass(frozen=True)
class DecidedMedia:
    """A media as it was when it was decided: by content, and by its names.

    Attributes:
        media_id: in the catalog.
        file_path: in the catalog.
        content_size: bytes of the content; None where the file could not be read.
        content_hash: of the content (`trapline.catalog.content_hash`); None likewise.
    """

    media_id: str
    file_path: str
    content_size: int | None
    content_hash: str | None


@dataclass(frozen=True)
class Suggestion:
    """What was filled in when a person was asked.

    Attributes:
        observer: who says it: `model:<fingerprint>`, `detector`, `human:<name>`, … (as in observations).
        labels: the answer, most probable first; none where there was none.
        probability: of the first label; None where nobody gives one.
    """

    observer: str
    labels: tuple[str, ...]
    probability: float | None = None


@dataclass(frozen=True)
class Decision:
    """One answer of one person; never changed once it is kept.

    Attributes:
        decision_id: made by who asks to keep it, so that sending it twice doubles nothing.
        person: who decided.
        decided_at: when, in UTC.
        event: what the event is known by (`trapline.catalog.event_key`).
        media: those that are decided: all of the event, or chosen ones.
        of_event: the event as a whole is spoken of, not each of its media.
        verdict: something is seen, nothing is, or it cannot be told.
        labels: what is seen; none unless the verdict is `seen`; one label several times where its individuals
            are told apart (two adult females, three juveniles).
        sure: the person is.
        flagged: to be looked at again, by others too.
        remark: in words.
        stream: which stream asked; None for decisions from elsewhere.
        asked: why.
        suggestion: what was filled in.
        takes_back: the decision that is taken back by this row, which then says nothing else.
    """

    decision_id: str
    person: str
    decided_at: datetime
    event: str
    media: tuple[DecidedMedia, ...]
    of_event: bool
    verdict: Verdict
    labels: tuple[Sighting, ...] = ()
    sure: bool = True
    flagged: bool = False
    remark: str | None = None
    stream: str | None = None
    asked: Asked = "chosen"
    suggestion: Suggestion | None = None
    takes_back: str | None = None

    @property
    def names(self) -> list[str]:
        """The labels, sorted; `blank` where nothing is seen, none where it cannot be told."""
        return ["blank"] if self.verdict == "blank" else sorted({one.label for one in self.labels})
