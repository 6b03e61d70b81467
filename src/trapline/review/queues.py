"""Which events each stream asks for next: chosen some at a time, so that the next is there at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.errors import UsageError
from trapline.observations import SURE
from trapline.review.chance import ByChance
from trapline.review.ledger import Ledger
from trapline.review.project import Project
from trapline.review.situation import DECIDED_OTHERWISE, NOT_DECIDED, Situation
from trapline.review.streams import STREAMS
from trapline.review.teaching import Teacher

Flags = npt.NDArray[np.bool_]
Next = list[tuple[int, int | None]]
"""Events, and of which group each is; None where a stream has no groups."""

AT_ONCE = 24
"""Events that a stream chooses before it looks again at what is decided. What it has chosen is never drawn by
chance, so that these are few."""


class Queues:
    """The streams of one review.

    Args:
        project: what is reviewed.
        ledger: what is decided.
        chance: what is drawn beside what the streams choose.
        seed: of what is drawn.
        teacher: knows what is seen in the photos; None where nothing looks at them.
    """

    def __init__(
        self, project: Project, ledger: Ledger, chance: ByChance, seed: int, teacher: Teacher | None
    ) -> None:
        self._project, self._ledger, self._chance = project, ledger, chance
        self._random = np.random.default_rng(seed)
        self._queues: dict[str, Next] = {}
        self._teacher = teacher
        table = project.catalog.table
        self._times = project.events.times(project.catalog)
        locations = table["location_id"].cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1)
        self._locations = locations.to_numpy()[project.events.first_rows]
        self._boxed = _boxed(project)

    def usual(self) -> str:
        """The stream for who names none."""
        judged = self._project.suggestions.probabilities is not None
        if self._teacher is None:
            return "table" if judged else "all"
        if self._teacher.points() is None:
            return "random"
        return "learn" if judged else "start"

    def available(self, name: str) -> bool:
        """Whether a stream has something to go by now."""
        return STREAMS[name].lacks(self.situation(np.zeros(len(self._locations), bool))) is None

    def situation(self, shut: Flags) -> Situation:
        """The events as the streams see them; those that are `shut` [E] may not be asked for now."""
        suggestions = self._project.suggestions
        labels = list(suggestions.labels)
        labels += sorted(label for label in self._labels() if label not in suggestions.labels)
        column = {label: index for index, label in enumerate(labels)}
        probabilities = _widened(suggestions.probabilities, len(labels))
        decided = np.full(len(shut), NOT_DECIDED)
        for event, word in self._ledger.words.items():
            decided[event] = column[word.names[0]] if len(word.names) == 1 else DECIDED_OTHERWISE
        known = np.full(len(shut), -1)
        for event, labels_of in self._project.known.items():
            known[event] = column[labels_of[0]] if len(labels_of) == 1 else -1
        return Situation(
            self._project.events.keys,
            self._locations,
            self._times,
            tuple(labels),
            decided,
            self._project.wanted & ~self._ledger.decided & ~shut,
            known,
            self._boxed,
            None if self._teacher is None else self._teacher.points(),
            probabilities,
        )

    def _labels(self) -> set[str]:
        """All that is decided or known."""
        known = {label for labels in self._project.known.values() for label in labels}
        return known | {label for word in self._ledger.words.values() for label in word.names}

    def next(self, name: str, count: int, shut: Flags) -> Next:
        """The next events: what a stream chooses, and among it what is drawn by chance.

        Args:
            name: of the stream.
            count: at most so many.
            shut: [E], which not to ask for now.

        Raises:
            UsageError: it has nothing to go by yet.
        """
        shut = shut | ~self._project.wanted
        queued = np.zeros(len(shut), bool)
        queued[[event for queue in self._queues.values() for event, _ in queue]] = True
        drawn = self._chance.next(count, shut | queued)
        without = shut.copy()
        without[drawn] = True
        chosen = self._of_stream(name, count - len(drawn), without)
        without[[event for event, _ in chosen]] = True
        drawn += self._chance.left(count - len(drawn) - len(chosen), without)
        slots = set(self._random.permutation(len(drawn) + len(chosen))[: len(drawn)].tolist())
        by_chance, by_stream = iter([(event, None) for event in drawn]), iter(chosen)
        return [next(by_chance if slot in slots else by_stream) for slot in range(len(drawn) + len(chosen))]

    def _of_stream(self, name: str, count: int, shut: Flags) -> Next:
        """The first that wait of what a stream has chosen; it chooses more where they are too few."""
        available = ~self._ledger.decided & ~shut
        waiting = [one for one in self._queues.get(name, []) if available[one[0]]]
        if len(waiting) < count:
            available[[event for event, _ in waiting]] = False
            if available.any():
                waiting += self._choose(name, max(count - len(waiting), AT_ONCE), ~available)
        self._queues[name] = waiting
        return waiting[:count]

    def _choose(self, name: str, count: int, shut: Flags) -> Next:
        situation = self.situation(shut)
        refuse_lacking(name, situation)
        chosen = self._chance.choose(STREAMS[name], situation, count, self._random)
        groups = [None] * len(chosen.events) if chosen.groups is None else chosen.groups.tolist()
        return list(zip(chosen.events.tolist(), groups, strict=True))

    def describe(self) -> list[dict[str, Any]]:
        """Each stream, for the page."""
        situation = self.situation(np.zeros(len(self._locations), bool))
        described = []
        for name, stream in STREAMS.items():
            lacks = stream.lacks(situation)
            described.append(
                {
                    "name": name,
                    "title": stream.title,
                    "why": stream.why if lacks is None else f"{stream.why} Not now: {lacks}.",
                    "available": lacks is None,
                    "left": 0 if lacks is not None else stream.left(situation),
                }
            )
        return described


def refuse_lacking(name: str, situation: Situation) -> None:
    """Refuse a stream that has nothing to go by.

    Raises:
        UsageError: with what it lacks.
    """
    lacks = STREAMS[name].lacks(situation)
    if lacks is not None:
        raise UsageError(f"The stream '{name}' has nothing to go by: {lacks}. Choose another.")


def _widened(probabilities: npt.NDArray[np.float32] | None, labels: int) -> npt.NDArray[np.float64] | None:
    """float64 [E, labels]: labels that the model does not know have the probability 0."""
    if probabilities is None:
        return None
    more = np.where(np.isnan(probabilities[:, :1]), np.nan, 0.0)
    more = np.repeat(more, labels - probabilities.shape[1], axis=1)
    return np.hstack([probabilities, more]).astype(np.float64)


def _boxed(project: Project) -> Flags | None:
    """[E]: some photo of the event has a box of which the detector is sure; None where none was run."""
    boxes = project.catalog.table["boxes"]
    if boxes.is_null().all():
        return None
    conf = pl.element().struct.field("conf").fill_null(1.0)
    sure = boxes.to_frame().select(pl.col("boxes").list.eval(conf >= SURE).list.any().fill_null(value=False))
    flags = sure.to_series().to_numpy()[project.events.rows]
    return np.asarray(np.logical_or.reduceat(flags, project.events.starts[:-1]))
