"""What was seen on a card as one HTML page."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trapline.catalog import as_name
from trapline.evaluation import PEOPLE, AnsweredPhoto, AnswerFigures, CardFigures
from trapline.images import UNKNOWN, Box
from trapline.reports.page import render, thumbnail

PEOPLE_FROM = 0.1
"""A box of a person or vehicle keeps its photo off the page from this confidence on."""

MOST_BLURRED = 8
"""Photos of an answer that are shown where what is in boxes is blurred: more of them say no more."""

HOURS = [f"{hour}–{hour + 1} h" for hour in range(24)]


@dataclass(frozen=True)
class NextStep:
    """What can be done next.

    Attributes:
        title: of the step.
        text: what it is for.
        commands: to be pasted into a terminal, one a line.
        after: what is to be done by hand after them.
        then: the commands after that.
    """

    title: str
    text: str
    commands: tuple[str, ...]
    after: str = ""
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShownPhoto:
    """A photo on the page.

    Attributes:
        photo: with its answer.
        address: of its picture; None if it cannot be read.
        boxes: x, y, width and height of those that count, as fractions.
    """

    photo: AnsweredPhoto
    address: str | None
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Gallery:
    """Photos of an answer.

    Attributes:
        shown: the least sure first.
        withheld: how many of those chosen are not shown because of people.
        blurred: the detector knows no people, and what is in boxes cannot be recognised.
    """

    shown: tuple[ShownPhoto, ...]
    withheld: int
    blurred: bool


def write_card(
    figures: CardFigures,
    path: Path,
    *,
    tables: Sequence[str],
    steps: Sequence[NextStep],
    doubts: Sequence[str] = (),
    few_locations: Sequence[str] = (),
    show_people: bool = False,
    sure: float,
) -> Path:
    """Write the page.

    Unless asked for, photos of people and vehicles are not shown, and what is in boxes that may be people is
    made unrecognisable: all that is `unknown`, or all where the detector knows no people.

    Args:
        figures: with the folder of the photos.
        path: of the page.
        tables: names of the files beside it, for the page's links.
        steps: what can be done next.
        doubts: what must be known before answers are believed, in sentences.
        few_locations: what stands at the top, of a model measured at too few.
        show_people: show all photos as they are.
        sure: the confidence from which a box counts.
    """
    return render(
        "card.html.j2",
        path,
        c=figures,
        tables=tables,
        steps=steps,
        doubts=doubts,
        few=few_locations,
        show_people=show_people,
        hours=HOURS,
        months=calendar.month_name[1:],
        galleries=[_gallery(figures, one, show_people, sure) for one in figures.answers],
    )


def _gallery(figures: CardFigures, answer: AnswerFigures, show_people: bool, sure: float) -> Gallery:
    assert figures.root is not None
    blurred = not (show_people or figures.tells_people)
    of_people = answer.kind in PEOPLE and not show_people
    kept = [photo for photo in answer.photos if show_people or not (of_people or shows_people(photo))]
    shown = []
    for photo in kept[:MOST_BLURRED] if blurred else kept:
        untold = [box for box in photo.boxes if blurred or box[0] == UNKNOWN]
        hidden = [] if show_people else [Box(*box[2:]) for box in untold]
        animals = (
            [] if blurred else [Box(*box[2:]) for box in photo.boxes if box[0] != UNKNOWN and box[1] >= sure]
        )
        address = thumbnail(figures.root / as_name(photo.file_path), hidden, animals)
        shown.append(ShownPhoto(photo, address, tuple(box[2:] for box in photo.boxes if box[1] >= sure)))
    return Gallery(tuple(shown), len(answer.photos) - len(kept), blurred)


def shows_people(photo: AnsweredPhoto) -> bool:
    """Whether the detector has a box of a person or vehicle."""
    return any(box[0] in ("person", "vehicle") and box[1] >= PEOPLE_FROM for box in photo.boxes)
