"""Where people are asked and decide: what is shown next, what is kept, and how far it is."""

from __future__ import annotations

import threading
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline import __version__
from trapline.catalog import content_hash, content_size
from trapline.errors import UsageError, many
from trapline.images import is_video
from trapline.metrics import Directions
from trapline.observations import category_name, is_sure, kind_of
from trapline.review.agreement import Disagreement, disagreements
from trapline.review.chance import ByChance, Shares
from trapline.review.decision import DecidedMedia, Decision, Sighting, Suggestion
from trapline.review.decision_rows import PastDecision
from trapline.review.ledger import Ledger
from trapline.review.log import SETTLING, DecisionLog
from trapline.review.names import NamedLabel, as_label, as_new_label, as_shown
from trapline.review.pictures import Picture, PictureSize, PictureStore
from trapline.review.project import Project
from trapline.review.pupil import Pupil
from trapline.review.queues import Flags, Next, Queues, refuse_lacking
from trapline.review.requests import DecideForm, GiveBackForm, LabelForm, NextForm
from trapline.review.standing import MEDIA
from trapline.review.streams import STREAMS
from trapline.review.teaching import Teacher
from trapline.storage import RemotePath
from trapline.taxonomy import BLANK

_MOST_ASKS = 20_000
"""Asks that are remembered: an answer to an older one is kept without what was filled in."""

_MOST_ALIKE = 4
"""Events that are shown beside one as most like it."""

_LABELS = "labels"
"""The fact of the log that holds labels which people added."""

_REVIEW = "review"
"""The fact that tells this review from others, for browsers that keep what is not yet sent."""

_LOOKED_UP = "looked up"
"""The stream of events that somebody names."""

_RATE_MINUTES, _RATE_OF, _RATE_LEAST = 30, 60, 5
"""Of the last half hour the last sixty decisions, where there are five."""


_SHOWN = ("decision_id", "person", "verdict", "labels", "sure", "flagged", "remark", "stream")
"""Of a decision, as they are kept."""


@dataclass(frozen=True)
class DeskOptions:
    """How a review is gone about.

    Attributes:
        person: who decides, unless the page says otherwise.
        stream: what is asked next, unless the page says otherwise; None for what fits.
        blur: make people in the pictures unrecognisable.
        shares: of what is asked by chance.
        seed: of what is drawn.
    """

    person: str | None = None
    stream: str | None = None
    blur: bool = False
    shares: Shares = field(default_factory=Shares)
    seed: int = 42


@dataclass(frozen=True)
class Ask:
    """An event that was shown to a person.

    Attributes:
        ask: what it is known by.
        event: its index.
        stream: that asked.
        suggestion: what was filled in.
        group: events of one number look alike; None where nothing says so.
    """

    ask: str
    event: int
    stream: str
    suggestion: Suggestion | None
    group: int | None = None


class Desk:
    """One review, and all who work on it; to be used by many threads.

    Args:
        project: what is reviewed.
        log: where decisions are kept.
        pictures: of the photos.
        options: how it is gone about.
        teacher: learns from what is decided; None where nothing does.
        served: told the link, once there is one.
        port_before: where this review was served before; 0 for nowhere.
    """

    def __init__(
        self,
        project: Project,
        log: DecisionLog,
        pictures: PictureStore,
        options: DeskOptions | None = None,
        teacher: Teacher | None = None,
        served: Callable[[str], object] = lambda link: None,
        port_before: int = 0,
    ) -> None:
        self.project, self.log, self.pictures, self.served = project, log, pictures, served
        self.options, self.teacher, self.port_before = options or DeskOptions(), teacher, port_before
        facts = log.facts()
        self._review = facts.get(_REVIEW) or uuid.uuid4().hex
        if _REVIEW not in facts:
            log.keep_fact(_REVIEW, self._review)
        for label in facts.get(_LABELS, ()):
            project.names.add(**label)
        self._ledger = Ledger(project.catalog, project.events, log)
        for label in list(self._ledger.counts):
            project.names.add(label)
        self._chance = ByChance(project, self._ledger, log, self.options.shares, self.options.seed)
        self._queues = Queues(project, self._ledger, self._chance, self.options.seed, teacher)
        self._pupil = None if teacher is None else Pupil(project, teacher, self._learnt)
        self._differing: tuple[int, list[Disagreement]] = (-1, [])
        self._directions: tuple[npt.NDArray[np.float32], Directions] | None = None
        self._lock = threading.RLock()
        self._asks: OrderedDict[str, Ask] = OrderedDict()
        self._numbers: dict[str, int] = {}
        if self.options.stream is not None:
            self._check(self.options.stream)
            if teacher is None and self.options.stream != SETTLING:  # nothing that it lacks will come
                refuse_lacking(
                    self.options.stream, self._queues.situation(np.zeros(len(project.events), bool))
                )
        if self.options.person is not None:
            as_person(self.options.person)
        if self._pupil is not None:
            self._pupil.begin()

    @property
    def stream(self) -> str:
        """What is asked next for who names no stream; what fits as long as that which is wished for lacks
        what it goes by."""
        wished = self.options.stream
        if wished is not None and (wished == SETTLING or self._queues.available(wished)):
            return wished
        return self._queues.usual()

    # ---- what is shown

    def next(self, form: NextForm) -> list[dict[str, Any]]:
        """The next events for a person; they are lent, so that nobody else gets them for a while.

        Raises:
            UsageError: there is no such stream, or it has nothing to go by yet.
        """
        person, keys = as_person(form.person), self.project.events.keys
        if self._pupil is not None:
            self._pupil.look()
        with self._lock:
            self._ledger.catch_up()
            self._chance.look()
            shut = np.zeros(len(keys), bool)
            shut[self.project.events.indices([*form.holding, *self.log.lent(to_others_than=person)])] = True
            stream = form.stream or self.stream
            self._check(stream)
            chosen = self._next(stream, form.count, shut)
            lent = set(self.log.lend([keys[index] for index, _ in chosen], person))
            asks = [self._asked(index, stream, group) for index, group in chosen if keys[index] in lent]
        return [self.describe(ask, person, with_others=stream == SETTLING) for ask in asks]

    def give_back(self, form: GiveBackForm) -> None:
        """What a person is shown no longer is lent no longer: others may be asked for it at once."""
        self.log.give_back(form.events, as_person(form.person))

    def _check(self, stream: str) -> None:
        if stream != SETTLING and stream not in STREAMS:
            raise UsageError(
                f"There is no stream '{stream[:50]}'; there are: {', '.join([*STREAMS, SETTLING])}."
            )

    def _next(self, stream: str, count: int, shut: Flags) -> Next:
        if stream != SETTLING:
            return self._queues.next(stream, count, shut)
        differing = self._ledger.indices(one.event for one in self._disagreements())
        asked: Next = [(event, None) for event in differing if not shut[event]]
        return asked[:count]

    def _disagreements(self) -> list[Disagreement]:
        """Where people differ; looked for again when something was decided since."""
        if self._differing[0] != self._ledger.length:
            self._differing = self._ledger.length, disagreements(self.log)
        return self._differing[1]

    def disagreements(self) -> list[dict[str, Any]]:
        """Where people differ, as the page has it."""
        with self._lock:
            self._ledger.catch_up()
            known = self._ledger.indices(one.event for one in self._disagreements())
        keys = [self.project.events.keys[index] for index in known]
        return [{"event": key, "decisions": self._counting(key)} for key in keys]

    def _learnt(self) -> None:
        """A model has learnt: there are new suggestions."""
        with self._lock:
            self._chance.follow()

    def teach(self) -> bool:
        """Learn from what is decided, now; False if that is being done.

        Raises:
            UsageError: nothing learns in this review.
        """
        if self.teacher is None:
            raise UsageError("Nothing is learnt in this review. Start it with --train.")
        return self.teacher.train()

    def look_up(self, event: str, person: str | None) -> dict[str, Any]:
        """An event that somebody names."""
        person = None if person is None else as_person(person)
        with self._lock:
            self._ledger.catch_up()
            index = self.project.events.index(event)
            others = {one["person"] for one in self._counting(event)} - {person}
            ask = self._asked(index, SETTLING if others else _LOOKED_UP)  # whoever decides has seen them
        return self.describe(ask, person, with_others=True)

    def _asked(self, index: int, stream: str, group: int | None = None) -> Ask:
        ask = Ask(uuid.uuid4().hex, index, stream, self.project.suggestions.answers[index], group)
        self._asks[ask.ask] = ask
        while len(self._asks) > _MOST_ASKS:
            self._asks.popitem(last=False)
        return ask

    def describe(self, ask: Ask, person: str | None, *, with_others: bool = False) -> dict[str, Any]:
        """An ask as the page has it."""
        project, key = self.project, self.project.events.keys[ask.event]
        rows = project.events.rows_of(ask.event)
        first = project.catalog.table.row(rows[0], named=True)
        decisions = self._counting(key) if ask.event in self._ledger.words else []
        own = [one for one in decisions if one["person"] == person]
        return {
            "ask": ask.ask,
            "event": key,
            "location": first["location_id"],
            "taken": None if first["camera_time"] is None else first["camera_time"].isoformat(sep=" "),
            "group": ask.group,
            "frames": [self._frame(index, row) for index, row in enumerate(rows)],
            "suggestion": None if ask.suggestion is None else self._suggested(ask.event, ask.suggestion),
            "likely": [
                {"label": label, "probability": probability}
                for label, probability in project.suggestions.likely(ask.event)
            ],
            "before": own[-1] if own else None,
            "others": [one for one in decisions if one["person"] != person] if with_others else [],
        }

    def alike(self, event: str) -> list[dict[str, Any]]:
        """The labelled events, by decisions or before, that look most like this one, nearest first.

        Empty where nothing looks at the photos (no teacher), or none of them is read yet.
        """
        points = None if self.teacher is None else self.teacher.points()
        index = self.project.events.index(event)
        if points is None:
            return []
        with self._lock:
            self._ledger.catch_up()
            decided = {one: word.names for one, word in self._ledger.words.items() if word.names}
        labels = {**self.project.known, **decided}
        others = np.array(list(set(labels) - {index}), np.int64)
        nearest, cosines = self._directions_of(points).nearest(points[index], _MOST_ALIKE, others)
        chosen = zip(nearest.tolist(), cosines.tolist(), strict=True)
        return [self._alike(one, labels[one], cosine) for one, cosine in chosen]

    def _directions_of(self, points: npt.NDArray[np.float32]) -> Directions:
        """Made anew only where the points are."""
        kept = self._directions
        if kept is None or kept[0] is not points:
            kept = self._directions = (points, Directions(points))
        return kept[1]

    def _alike(self, event: int, labels: Sequence[str], cosine: float) -> dict[str, Any]:
        rows = self.project.events.rows_of(event)
        return {
            "event": self.project.events.keys[event],
            "labels": list(labels),
            "location": self.project.catalog.table["location_id"][rows[0]],
            "picture": f"/picture/{rows[0]}",
            "cosine": round(cosine, 3),
        }

    def _counting(self, key: str) -> list[dict[str, Any]]:
        """The decisions that count of an event, as the page has them, in the order of deciding."""
        decided = self.log.current(self._ledger.keys(self.project.events.index(key)))
        documents = []
        for (number,), rows in decided.group_by("number", maintain_order=True):
            media = [DecidedMedia(*one) for one in rows.select(MEDIA).iter_rows()]
            documents.append(self._document(rows.row(0, named=True), media) | {"number": number})
        return documents

    def _document(self, decision: Mapping[str, Any], media: Sequence[DecidedMedia]) -> dict[str, Any]:
        """A decision as the page has it; its event and its frames as they are called here."""
        events, rows = self.project.events, self._ledger.rows_of(media)
        event = None if not rows else int(events.of_row[rows[0]])
        frames = (
            None if event is None else [at for at, row in enumerate(events.rows_of(event)) if row in rows]
        )
        return {name: decision[name] for name in _SHOWN} | {
            "event": decision["event"] if event is None else events.keys[event],
            "decided_at": decision["decided_at"].isoformat(),
            "frames": None if decision["of_event"] else frames,
        }

    def _frame(self, index: int, row: int) -> dict[str, Any]:
        media = self.project.catalog.table.row(row, named=True)
        boxes = [box | {"category": category_name(box["category"])} for box in media["boxes"] or ()]
        return {
            "index": index,
            "name": media["file_path"],
            "picture": f"/picture/{row}",
            "width": media.get("width"),
            "height": media.get("height"),
            "boxes": [box for box in boxes if is_sure(box)],
            "failed": self._failure(row),
        }

    def _failure(self, row: int) -> str | None:
        """Why a photo cannot be shown, where that is known without opening it."""
        path = self.project.catalog.path(self.project.catalog.table["file_path"][row])
        if is_video(str(path)):
            return "a video: this page shows photos"
        return None if isinstance(path, RemotePath) or path.is_file() else "there is no such file now"

    def _suggested(self, event: int, suggestion: Suggestion) -> dict[str, Any]:
        probabilities = dict(self.project.suggestions.likely(event))
        return {
            "labels": [
                {
                    "label": label,
                    "probability": probabilities.get(label, suggestion.probability if at == 0 else None),
                }
                for at, label in enumerate(suggestion.labels)
            ],
            "observer": suggestion.observer,
        }

    def picture(self, row: int, size: PictureSize) -> Picture:
        """A photo for the page.

        Raises:
            UsageError: there is no such row.
            ImageError: it cannot be shown.
        """
        table = self.project.catalog.table
        if not 0 <= row < len(table):
            raise UsageError(f"There is no photo {row}; there are {len(table)}.")
        media = table.row(row, named=True)
        boxes = (media["boxes"] or ()) if self.options.blur else ()
        people = [box for box in boxes if kind_of(box) == "human"]
        return self.pictures.picture(self.project.catalog.path(media["file_path"]), size, people)

    # ---- what is decided

    def decide(self, forms: Sequence[DecideForm]) -> list[Decision]:
        """Keep answers, all or none.

        Returns:
            The decision of each form, as it is kept.

        Raises:
            UsageError: one is no answer.
            DataError: one is of no event here, or its id belongs to another answer.
        """
        made = [self._decision(form) for form in forms]
        with self._lock:  # before others see the rows in the log: what they are of is known here alone
            self._ledger.know(
                pair for decision, rows in made for pair in zip(rows, decision.media, strict=True)
            )
        self.log.add_all([decision for decision, _ in made])
        with self._lock:
            self._ledger.catch_up()
        if self.teacher is not None:
            self.teacher.maybe_train()
        return [decision for decision, _ in made]

    def _decision(self, form: DecideForm) -> tuple[Decision, list[int]]:
        """What is kept of an answer, and the rows of the catalog that it is of."""
        asked = self._asks.get(form.ask or "")
        rows = self.project.events.rows_of(self.project.events.index(form.event))
        chosen = rows if form.frames is None else [rows[at] for at in _frames(form.frames, len(rows))]
        verdict, sightings = self._seen(form)
        decision = Decision(
            decision_id=form.decision_id,
            person=as_person(form.person),
            decided_at=self.log.now(),
            event=form.event,
            media=tuple(self._media(row) for row in chosen),
            of_event=form.frames is None,
            verdict=verdict,
            labels=sightings,
            sure=form.sure,
            flagged=form.flagged,
            remark=(form.remark or "").strip() or None,
            stream=None if asked is None else asked.stream,
            asked=self._chance.role(form.event),
            suggestion=None if asked is None else asked.suggestion,
        )
        return decision, chosen

    def _seen(self, form: DecideForm) -> tuple[Any, tuple[Sighting, ...]]:
        """The verdict and what is seen: blank said as a label is the verdict."""
        named = [
            Sighting(as_label(one.label), one.count, one.life_stage, one.sex, one.behaviour)
            for one in form.labels
        ]
        animals = [one for one in named if one.label != BLANK]
        if form.verdict != "seen":
            if animals:
                raise UsageError(f"'{form.verdict}' has no labels; these came: {animals[0].label}.")
            return form.verdict, ()
        if not named:
            raise UsageError("What is seen needs a label: name it, or say 'blank' or 'cannot tell'.")
        if not animals:
            return "blank", ()
        doubled = [kind for kind, times in Counter(one.kind for one in animals).items() if times > 1]
        if doubled:
            raise UsageError(
                f"The label '{doubled[0][0]}' is said twice of individuals that are alike: say it once, with "
                "the count of all."
            )
        unknown = [one.label for one in animals if one.label not in self.project.names]
        if unknown:
            raise UsageError(f"There is no label '{unknown[0]}' yet. Add it first (POST /api/label).")
        return "seen", tuple(animals)

    def _media(self, row: int) -> DecidedMedia:
        media = self.project.catalog.table.row(row, named=True)
        path = self.project.catalog.path(media["file_path"])
        try:
            size, digest = content_size(path), content_hash(path)
        except (OSError, ValueError):
            return DecidedMedia(media["media_id"], media["file_path"], None, None)
        return DecidedMedia(media["media_id"], media["file_path"], size, digest)

    def take_back(self, decision_id: str, person: str) -> bool:
        """Undo; whether that changed anything.

        Raises:
            UsageError: there is no such decision, or it is another's.
        """
        changed = self.log.take_back(decision_id, as_person(person))
        with self._lock:
            self._ledger.catch_up()
        return changed

    def decision_document(self, decision: Decision) -> dict[str, Any]:
        """A decision as the page has it."""
        return self._document(asdict(decision), decision.media)

    # ---- how far it is

    def state(self, person: str | None) -> dict[str, Any]:
        """All that the page shows beside the photos."""
        person = person or self.options.person
        with self._lock:
            self._ledger.catch_up()
            self._chance.look()
            differing = len(self._disagreements())
            streams = [*self._queues.describe(), _settling(differing)]
        if self._pupil is not None:
            self._pupil.look()
        wanted = self.project.wanted
        left = next(one["left"] for one in streams if one["name"] == self.stream)
        people = dict(self.log.people().select("person", "decisions").iter_rows())
        rate = None if person is None else self._rate(person)
        return {
            "name": self.project.name,
            "review": self._review,
            "person": person,
            "version": __version__,
            "streams": streams,
            "stream": self.stream,
            "labels": [self.label_document(one) for one in self.project.names],
            "progress": {
                "events": int(wanted.sum()),
                "decided": int((wanted & self._ledger.decided).sum()),
                "mine": people.get(person, 0),
                "asked_left": left,
                "rate_per_hour": rate,
                "seconds_left": None if not rate else left / rate * 3600,
            },
            "estimate": self._chance.document(),
            "audits": self._chance.audits,
            "teaching": self._teaching(),
            "disagreements": differing,
            "blur": self.options.blur,
            "notes": self.project.notes,
        }

    def _teaching(self) -> dict[str, Any]:
        """Where the circle stands, and what was gained so far."""
        now = None if self.teacher is None else self.teacher.state()
        curve = [asdict(one) | {"kept_at": one.kept_at.isoformat()} for one in self.log.points()]
        if now is None:
            return {"state": "off", "round": 0, "message": "", "curve": curve}
        return {"state": now.state, "round": now.round, "message": now.message, "curve": curve}

    def _rate(self, person: str) -> float | None:
        """Decisions an hour in the last half hour; None before there are a few."""
        since = datetime.now(UTC) - timedelta(minutes=_RATE_MINUTES)
        past = self.log.history(person, count=_RATE_OF)
        times = [one.decision.decided_at for one in past if one.decision.decided_at >= since]
        if len(times) < _RATE_LEAST:
            return None
        return (len(times) - 1) / max((max(times) - min(times)).total_seconds(), 1.0) * 3600

    def label_document(self, label: NamedLabel) -> dict[str, Any]:
        """A label as the page has it."""
        return {
            "label": label.label,
            "common": label.common,
            "scientific": label.scientific,
            "kind": label.kind,
            "count": self._ledger.counts[label.label],
        }

    def add_label(self, form: LabelForm) -> NamedLabel:
        """A label that there is not yet; it is kept with the decisions."""
        with self._lock:
            names = self.project.names
            label = form.label if form.label in names else as_new_label(form.label)
            made = names.add(label, common=form.common, scientific=form.scientific)
            kept = self.log.facts().get(_LABELS, [])
            if made.label not in [one["name"] for one in kept]:
                added = {"name": made.label, "common": made.common, "scientific": made.scientific}
                self.log.keep_fact(_LABELS, [*kept, added])
        return made

    def history(self, person: str | None, before: str | None, count: int) -> list[dict[str, Any]]:
        """What a person, or everybody, decided, the last first.

        Args:
            person: None for everybody.
            before: the id of a decision that was told last; None for the latest.
            count: at most so many.

        Raises:
            UsageError: that decision was never told here.
        """
        if before is not None and before not in self._numbers:
            raise UsageError(f"There is no decision {before[:100]} in this history. Begin it anew.")
        past = self.log.history(person, before=self._numbers.get(before or ""), count=count)
        self._numbers |= {one.decision.decision_id: one.number for one in past}
        return [self._past(one) for one in past]

    def _past(self, one: PastDecision) -> dict[str, Any]:
        return self.decision_document(one.decision) | {"number": one.number, "taken_back": one.taken_back}


def _settling(count: int) -> dict[str, Any]:
    """The stream of events of which people say different things, for the page."""
    return {
        "name": SETTLING,
        "title": "Where people differ",
        "why": "Events of which people say different things, with what each said.",
        "available": count > 0,
        "left": count,
    }


def as_person(name: str) -> str:
    """Who decides, as it is kept.

    Raises:
        UsageError: it can be no name.
    """
    return as_shown(name, "A person's name")


def _frames(frames: Sequence[int], count: int) -> list[int]:
    wrong = [frame for frame in frames if frame >= count]
    if wrong:
        raise UsageError(f"The event has {many(count, 'frame')}, from 0; there is no frame {wrong[0]}.")
    return sorted(set(frames))
