"""What to ask next: named orders of the open events of a project. Pure numbers.

A stream is a plain function of a `Situation`, how many events are wanted, and a source of chance, that is
registered by its name. What it chooses are rows of the situation, in the order in which to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trapline.metrics import label_doubt
from trapline.registry import Registry
from trapline.review.situation import NOT_DECIDED, Flags, Floats, Rows, Situation
from trapline.review.spread import group, stand_for

_COARSE = 8
"""Components by which events are told apart before there is a model: the first decisions are few."""

_WITHOUT_BOX = 0.3
"""What a photo without a box is worth to a model beside one with a box."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """What to ask next.

    Attributes:
        events: int [≤ count], rows of the situation, the first to be asked first.
        groups: int [≤ count], equal numbers for events that look alike and are best shown together; None
            where the order has no groups.
    """

    events: Rows
    groups: Rows | None = None


StreamFunction = Callable[[Situation, int, np.random.Generator], Chosen]


@dataclass(frozen=True)
class Stream:
    """A named order.

    Attributes:
        name: by which it is chosen.
        title: for people, two or three words.
        why: what it is for, in a sentence.
        choose: the function.
        candidates: [E], which events of a situation it has something to say of.
        lacks: why it has nothing to choose from, in a sentence; None where nothing is lacking.
    """

    name: str
    title: str
    why: str
    choose: StreamFunction
    candidates: Callable[[Situation], Flags]
    lacks: Callable[[Situation], str | None]

    def left(self, situation: Situation) -> int:
        """How many events it would still ask for."""
        return int((self.candidates(situation) & situation.open).sum())


STREAMS: Registry[Stream] = Registry("stream", "trapline.streams")
"""Every stream by its name."""


def _any(situation: Situation) -> Flags:
    return np.ones(len(situation.events), bool)


def _nothing(situation: Situation) -> None:
    return None


def _embeddings(situation: Situation) -> str | None:
    return None if situation.seen.any() else "the photos have not been looked at by a backbone yet"


def _model(situation: Situation) -> str | None:
    return None if situation.judged.any() else "there is no model yet, and no predictions were given"


def _model_and_embeddings(situation: Situation) -> str | None:
    return _model(situation) or _embeddings(situation)


def _model_and_labels(situation: Situation) -> str | None:
    without = None if (situation.known >= 0).any() else "the photos came without labels"
    return without or _model(situation)


def _judged_and_seen(situation: Situation) -> Flags:
    return np.asarray(situation.judged & situation.seen)


def _labelled(situation: Situation) -> Flags:
    return np.asarray((situation.known >= 0) & situation.judged)


def stream(
    title: str,
    why: str,
    *,
    candidates: Callable[[Situation], Flags] = _any,
    lacks: Callable[[Situation], str | None] = _nothing,
) -> Callable[[StreamFunction], StreamFunction]:
    """Register a function that chooses among the open candidates, under the function's own name."""

    def register(function: StreamFunction) -> StreamFunction:
        name = function.__name__.strip("_")
        STREAMS.add(name, Stream(name, title, why, function, candidates, lacks), function)
        return function

    return register


@stream(
    "Start",
    "No model yet: events that stand for all others, so that every kind is met early; those that look alike "
    "come together, and photos without a box last.",
    lacks=_embeddings,
)
def start(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
    """Those that bring all nearest to one that is decided; events without an embedding at the very end."""
    boxed = np.ones(len(situation.events), bool) if situation.boxed is None else situation.boxed
    seen = situation.seen
    chosen = [np.empty(0, np.int64)]
    for part in (boxed & seen, ~boxed & seen):
        rows, wanted = np.flatnonzero(part & situation.open), count - sum(map(len, chosen))
        chosen.append(rows[_standing(situation, rows, wanted, random, components=_COARSE)])
    left = max(count - sum(map(len, chosen)), 0)
    chosen.append(np.flatnonzero(situation.open & ~seen)[:left])
    return _together(situation, np.concatenate(chosen), random)


@stream(
    "Learn",
    "What helps the model most: events that stand for many others of which it is in doubt, and far from what "
    "is decided.",
    candidates=_judged_and_seen,
    lacks=_model_and_embeddings,
)
def learn(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
    """What each brings the open events nearer to what is decided, times the entropy of what the model says.

    Of photos without a box, in which there may be nothing to learn from, it counts for less.
    """
    rows = np.flatnonzero(situation.open & _judged_and_seen(situation))
    assert situation.probabilities is not None
    likely = situation.probabilities[rows]
    doubt = -(likely * np.log(np.maximum(likely, 1e-12))).sum(axis=1)
    if situation.boxed is not None:
        doubt = np.where(situation.boxed[rows], doubt, _WITHOUT_BOX * doubt)
    return Chosen(rows[_standing(situation, rows, count, random, worth=doubt)])


@stream(
    "Table",
    "What would change the species table most: rare species, first records at a location, unsure answers.",
    lacks=_model,
)
def table(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
    """By the change of the table that is to be expected from a look; see `effects`."""
    rows = np.flatnonzero(situation.open)
    order = np.argsort(-effects(situation)[rows], kind="stable")[:count]
    return Chosen(rows[order])


def effects(situation: Situation) -> Floats:
    """[E]: the change of the species table that is to be expected from a look at each event.

    Were the event b and not its answer a, the number of events of a would fall by one of N_a and that of b
    rise by one of N_b + 1; likewise at its location, where a label counts that nobody has decided there. The
    expectation is over b by the model's probabilities, a twentieth of which is spread over all labels:
    however sure a model is, it may be wrong. Of an event of which it says nothing, every label is as likely.
    """
    assert situation.probabilities is not None
    answers, labels = situation.answers, len(situation.labels)
    probabilities = 0.95 * np.nan_to_num(situation.probabilities, nan=1 / labels) + 0.05 / labels
    species = np.array([label != "blank" for label in situation.labels])
    counts = np.bincount(answers[answers >= 0], minlength=labels)
    locations, at = np.unique(situation.locations, return_inverse=True)
    by_location = np.zeros((len(locations), labels))
    np.add.at(by_location, (at[answers >= 0], answers[answers >= 0]), 1)
    certain = np.zeros((len(locations), labels), bool)
    certain[at[situation.decided >= 0], situation.decided[situation.decided >= 0]] = True
    unknown = locations < 0
    gains = species / (counts + 1)
    lost = species / np.maximum(counts, 1)
    first = np.where(certain | unknown[:, None], 0.0, species * (by_location == 0))
    only = np.where(certain | unknown[:, None], 0.0, species / np.maximum(by_location, 1))
    rows = np.arange(len(answers))
    others = probabilities.copy()
    others[rows[answers >= 0], answers[answers >= 0]] = 0
    wrong = others.sum(axis=1)
    of_answer = np.where(answers >= 0, lost[answers] + only[at, answers], 0.0)
    return np.asarray((others * (gains + first[at])).sum(axis=1) + wrong * of_answer)


@stream(
    "Errors",
    "Labels that the photos came with and the model contradicts, the most doubtful first.",
    candidates=_labelled,
    lacks=_model_and_labels,
)
def errors(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
    """By how much the probabilities speak against the label; see `trapline.metrics.label_doubt`."""
    rows = np.flatnonzero(situation.open & _labelled(situation))
    if not len(rows):
        return Chosen(rows)
    assert situation.probabilities is not None
    doubt = label_doubt(situation.known[rows], situation.probabilities[rows])
    return Chosen(rows[np.argsort(-doubt, kind="stable")[:count]])


@stream("Random", "A fair sample: every open event is as likely as any other.")
def random(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
    """By chance."""
    return Chosen(random.permutation(np.flatnonzero(situation.open))[:count])


@stream("All, in order", "Every event that is open, location by location in order of time.")
def all_(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
    """By location and time; events without a time last."""
    rows = np.flatnonzero(situation.open)
    order = np.lexsort((situation.times[rows], situation.locations[rows]))
    return Chosen(rows[order][:count])


def _standing(
    situation: Situation,
    rows: Rows,
    count: int,
    random: np.random.Generator,
    *,
    components: int | None = None,
    worth: Floats | None = None,
) -> Rows:
    """Which of the rows stand for the rest of them, besides what is decided already."""
    if situation.embeddings is None:
        return np.empty(0, np.int64)
    points = situation.embeddings[:, :components]
    decided = points[(situation.decided != NOT_DECIDED) & situation.seen]
    return stand_for(points[rows], count, decided, random, worth)


def _together(situation: Situation, rows: Rows, random: np.random.Generator) -> Chosen:
    """The chosen events, those that look alike one after the other."""
    seen = rows[situation.seen[rows]]
    if situation.embeddings is None or not len(seen):
        return Chosen(rows)
    groups = group(situation.embeddings[seen], int(np.ceil(np.sqrt(len(seen)))), random)
    groups = np.concatenate([groups, np.full(len(rows) - len(seen), groups.max() + 1)])
    order = np.argsort(groups, kind="stable")
    return Chosen(rows[order], groups[order])
