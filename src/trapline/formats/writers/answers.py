"""What stands of each media, and what a person should know of it: what the formats share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from trapline.errors import many, name_some
from trapline.formats.writers.writing import Job
from trapline.observations import (
    FAILED,
    NO_ANSWER,
    UNCLASSIFIED,
    UNOBSERVED,
    MediaObservations,
    Observation,
    Observations,
    is_sure,
    kind_of,
    media_observations,
    spread,
)
from trapline.taxonomy import Kind

_NO_ANIMAL: tuple[set[Kind | None], ...] = ({"human"}, {"vehicle"}, {"human", "vehicle"})
"""The kinds of boxes in a photo of people, of vehicles, or of both."""


def observe_media(job: Job, threshold: float | None) -> tuple[list[MediaObservations], list[str]]:
    """What stands of each media of the catalog, and what a person should know of it.

    Predictions of events are given to every media of the event; those of boxes are put together by media.

    Raises:
        DataError: a media, event or box of the predictions is not in the catalog.
    """
    observations = job.observe(threshold)
    entries = media_observations(observations, job.catalog, job.kind)
    return entries, [
        *_describe_people_who_label(job, observations, entries),
        *_describe_people(job, entries),
        *_describe_detected(job, observations, entries),
        *_describe_gaps(job, observations, entries),
    ]


def _describe_people_who_label(
    job: Job, observations: Observations, entries: Sequence[MediaObservations]
) -> list[str]:
    """For people: how many media have labels of people, and how often a model said otherwise."""
    labelled = [entry for entry in entries if any(what.by_human for what in entry.observations)]
    if not labelled:
        return []
    people = [what for entry in labelled for what in entry.observations if what.by_human]
    observers = dict.fromkeys(what.observer for what in people)
    names = [job.observer_names[one] if ":" in one else "people" for one in observers]
    note = f"{len(labelled)} media carry the labels of {name_some(names)}"
    of_events = sum(any(what.of_event for what in entry.observations) for entry in labelled)
    note += f", {of_events} of them those of their events" if of_events else ""
    untold = sum(any(what.untold for what in entry.observations) for entry in labelled)
    note += f", {untold} cannot be told and are written as {UNCLASSIFIED}" if untold else ""
    if job.predicted is None:
        return [note]
    own = {entry.media["media_id"]: set(entry.labels) for entry in labelled}
    model = observations.table.filter(pl.col("observer").str.starts_with("model") & ~pl.col("stands"))
    others: dict[str, set[str]] = {}
    for media, label in model.select("media_id", "label").iter_rows():
        if media in own and label is not None:
            others.setdefault(media, set()).add(label)
    unlike = sum(labels != own[media] for media, labels in others.items())
    note += ", which stand above what the model says"
    return [note + (f" ({unlike} of them otherwise); --observers model leaves them out" if others else "")]


def _describe_detected(
    job: Job, observations: Observations, entries: Sequence[MediaObservations]
) -> list[str]:
    """For people: what is the detector's word, and from which confidence on it counts."""
    boxes = [
        what for entry in entries for what in entry.observations if what.by_detector and what.box is not None
    ]
    blank = sum(
        any(what.by_detector and what.box is None and what.failure is None for what in entry.observations)
        for entry in entries
    )
    if not boxes and not blank:
        return []
    if job.level == "box" and not blank:
        return _describe_beside(job, observations, boxes)
    names = ", ".join(dict.fromkeys(answer.label for what in boxes for answer in what.answers))
    note = f"{many(len(boxes), 'box is')} written as what the detector calls them ({names})" if boxes else ""
    blanks = f"{many(blank, 'photo')} without one as blank" if blank else ""
    note = ", ".join([note or "no box counts", blanks])
    return [f"{note.rstrip(', ')}: boxes count from a confidence of {job.min_conf:g} on (--min-conf)"]


def _describe_beside(job: Job, observations: Observations, boxes: Sequence[Observation]) -> list[str]:
    names = " and ".join(sorted({answer.label for what in boxes for answer in what.answers}))
    whole = observations.table.filter(
        pl.col("observer").str.starts_with("model") & pl.col("box").is_null() & ~pl.col("stands")
    )
    detected = observations.standing.filter(pl.col("observer").str.starts_with("detector"))
    instead = whole.filter(pl.col("media_id").is_in(detected["media_id"].implode()))["media_id"].n_unique()
    note = (
        f"{many(len(boxes), 'box of people and vehicles is')} written as {names}: the detector's "
        "word, of at least "
    )
    note += f"{job.min_conf:g}"
    if instead:
        note += f"; in {many(instead, 'photo')} it stands in place of what the model said of the whole photo"
    return [note]


def _describe_people(job: Job, entries: Sequence[MediaObservations]) -> list[str]:
    """For people: how many photos are said to show an animal where the detector found people alone."""
    if job.level != "media":
        return []
    count = sum(
        any(
            job.kind(answer.label) == "animal"
            for what in entry.observations
            if not (what.by_human or what.by_detector)
            for answer in what.answers
        )
        and {kind_of(box) for box in entry.media["boxes"] or () if is_sure(box, job.min_conf)} in _NO_ANIMAL
        for entry in entries
    )
    if not count:
        return []
    return [
        f"{many(count, 'photo is')} said to show an animal where the detector found people or vehicles "
        "alone: its word stands in what a model of crops predicts with --level box"
    ]


def _describe_gaps(job: Job, observations: Observations, entries: Sequence[MediaObservations]) -> list[str]:
    """For people: of how many media there is no prediction, and of how many nobody says anything."""
    silent = sum(entry.unobserved for entry in entries)
    nobody = f"nobody says anything of {silent} media: they are written as {UNOBSERVED}"
    if job.predicted is None:
        return [nobody] if silent else []
    model = observations.table.filter(pl.col("observer").str.starts_with("model"))
    missing = len(entries) - spread(model, job.catalog)["media"].n_unique()
    if not missing:
        return []
    note = f"{missing} media of the catalog have no prediction"
    return [f"{note}; {nobody}" if silent else f"{note}, but another's word"]


def author(job: Job, what: Observation) -> str | None:
    """Who says it: the model, the detector, or a person by name; None for people without one, or unknown."""
    return None if what.observer in ("human", "unknown") else job.observer_names[what.observer]


def authors(job: Job, entries: Sequence[MediaObservations]) -> str:
    """All whose word stands, for formats that name them once."""
    observers = dict.fromkeys(what.observer for entry in entries for what in entry.observations)
    return ", ".join(job.observer_names[observer] for observer in observers)


def state_of(entry: MediaObservations) -> str:
    """What a photo without labels is."""
    return UNOBSERVED if entry.unobserved else FAILED if entry.failed else UNCLASSIFIED


def folders_of(entry: MediaObservations, called: Mapping[str, str]) -> list[str]:
    """Where a photo is counted or sorted: under what its labels are `called`, or what it is without any."""
    return [called[label] for label in entry.labels] or [state_of(entry)]


def tell_names_apart(names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What labels are called beside `unclassified` and `failed`, which are none; for people, what changed."""
    called = {name: f"{name} (class)" if name.casefold() in NO_ANSWER else name for name in names}
    notes = [
        f"'{name}' is called '{other}', because photos without an answer are {name.casefold()}"
        for name, other in called.items()
        if name != other
    ]
    return called, notes


def describe_spread(job: Job) -> list[str]:
    """For people: that photos carry the answers of their events, where they do."""
    if job.level != "event":
        return []
    return ["the predictions are of events: every media of an event carries its event's answer"]


def round_probability(probability: float | None) -> float:
    """A probability as it is written where a number must be: five digits; 1 where nobody gives one."""
    return 1.0 if probability is None else round(probability, 5)


def describe_certain(observations: Iterable[Observation]) -> list[str]:
    """What is lost where a number must stand: that nobody gives a probability."""
    count = sum(answer.probability is None for what in observations for answer in what.answers)
    return [f"that {many(count, 'answer of people has')} no probability: 1 stands there"] if count else []


def describe_threshold(job: Job, threshold: float | None, unclassified: int, becomes: str) -> list[str]:
    """For people: how many rows have no label that passes, and what became of them."""
    limit = job.limit(threshold)
    if unclassified == 0:
        return []
    least = "its threshold" if math.isinf(limit) else f"{limit:g}"
    return [f"{many(unclassified, 'row has')} no label of at least {least}: {becomes}"]
