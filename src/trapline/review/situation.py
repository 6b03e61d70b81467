"""What is known of the events of a project when somebody asks what to look at next. Pure numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError, many

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NOT_DECIDED = -1
DECIDED_OTHERWISE = -2
"""Decided, and no label to learn from: several labels, or it cannot be told."""


@dataclass(frozen=True, eq=False)
class Situation:
    """The E events of a project, in the order of the catalog, as the streams see them.

    Attributes:
        events: what each is known by (`trapline.catalog.event_key`).
        locations: int [E], equal numbers for the same location; -1 where it is not known.
        times: float [E], seconds; NaN where it is not known.
        labels: the K labels.
        decided: int [E], the column of the label that was decided; -1 where nothing is decided, -2 where it
            was decided otherwise.
        open: [E], whether it may be asked for now: nobody has decided it, it is lent to nobody, and it is not
            set aside by chance.
        known: int [E], the column of the label that the catalog came with; -1 for none.
        boxed: [E], whether a detector is sure of something in a frame of it; None where none was run.
        embeddings: float32 [E, D], the mean over its frames (those with a box, if there are some), best made
            small by `trapline.review.compact`; NaN rows where no frame could be read, or none is read yet;
            None before there are any.
        probabilities: float [E, K], what the model says; NaN rows where it says nothing; None without one.
    """

    events: Sequence[str]
    locations: Rows
    times: Floats
    labels: tuple[str, ...]
    decided: Rows
    open: Flags
    known: Rows
    boxed: Flags | None = None
    embeddings: Singles | None = None
    probabilities: Floats | None = None

    def __post_init__(self) -> None:
        """Raises:
        DataError: the arrays are not of one length, or the probabilities not one a label.
        """
        for name in (
            "locations",
            "times",
            "decided",
            "open",
            "known",
            "boxed",
            "embeddings",
            "probabilities",
        ):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.events):
                raise DataError(f"A situation of {many(len(self.events), 'event')} has {len(values)} {name}.")
        if self.probabilities is not None and self.probabilities.shape[1] != len(self.labels):
            raise DataError(
                f"A situation of {many(len(self.labels), 'label')} has {self.probabilities.shape[1]} "
                "probabilities an event."
            )

    @property
    def seen(self) -> Flags:
        """[E]: whether it has an embedding."""
        if self.embeddings is None:
            return np.zeros(len(self.events), bool)
        return np.isfinite(self.embeddings[:, 0])

    @property
    def judged(self) -> Flags:
        """[E]: whether the model says something of it."""
        if self.probabilities is None:
            return np.zeros(len(self.events), bool)
        return np.asarray(np.isfinite(self.probabilities).all(axis=1))

    @property
    def answers(self) -> Rows:
        """int [E]: the label that counts, decided before known before the model's surest; -1 for none."""
        answers = np.full(len(self.events), NOT_DECIDED)
        if self.probabilities is not None and len(self.labels):
            judged = self.judged
            answers[judged] = self.probabilities[judged].argmax(axis=1)
        answers = np.where(self.known >= 0, self.known, answers)
        return np.where(self.decided != NOT_DECIDED, np.maximum(self.decided, NOT_DECIDED), answers)
