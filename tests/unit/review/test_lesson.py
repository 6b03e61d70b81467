"""What decisions teach: what trains, what judges, and what must not be looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from reviewed import Review, photos

from trapline.catalog import Catalog, check_leaks
from trapline.errors import UsageError
from trapline.recipes import Recipe, change_recipe, resolve_recipe
from trapline.review.decision import Asked
from trapline.review.lesson import COPIES, NO_LABEL, SEVERAL, UNSHOWN, UNTAUGHT, Lesson
from trapline.review.log import Draw
from trapline.review.rounds import as_teachable, prepare_lesson
from trapline.training import UNNAMED

BOX = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}


class Course(Review):
    """A review of so many photos of one camera, each an event, in the folder of the test."""

    def __init__(self, folder: Path, count: int, **first: Any) -> None:
        rows = [{"file_path": f"{number}.jpg", "location_id": "A"} for number in range(count)]
        rows[0] |= first
        super().__init__(folder, photos(folder / "card", rows))
        self.audit = self.log.open_audit({})

    def draw(self, number: int, asked: Asked) -> None:
        event = f"media:{number}.jpg"
        self.log.draw([Draw(self.audit, event, asked, "all", number, 0.1, datetime.now(UTC))])

    def decide_many(self, labels: str, asked: Asked = "chosen", start: int = 0) -> None:
        """A letter a photo: fox, hare, blank, unicorn, two, ? for what cannot be told, an animal."""
        names = {
            "f": "fox",
            "h": "hare",
            "b": "blank",
            "u": "unicorn",
            "2": ["fox", "hare"],
            "?": None,
            "a": "animal",
        }
        for number, letter in enumerate(labels, start):
            if asked != "chosen":
                self.draw(number, asked)
            self.decide(
                [f"{number}.jpg"], names[letter], asked=asked, stream="start" if asked == "chosen" else None
            )

    def lesson(self) -> Lesson:
        return prepare_lesson(self.catalog, self.log)


def part(lesson: Lesson, name: str) -> dict[str, list[str] | None]:
    table = lesson.catalog.table.filter(lesson.catalog.table["split"] == name)
    return dict(table.select("media_id", "labels").iter_rows())


def test_what_was_asked_for_trains_and_what_was_drawn_judges_or_is_kept(tmp_path: Path) -> None:
    course = Course(tmp_path, 9)
    course.decide_many("fhb")
    course.decide_many("fh", "calibration", 3)
    course.decide_many("uu", "audit", 5)  # a label that only the audit shows
    lesson = course.lesson()
    assert part(lesson, "train") == {"0.jpg": ["fox"], "1.jpg": ["hare"], "2.jpg": ["blank"]}
    assert part(lesson, "validation") == {"3.jpg": ["fox"], "4.jpg": ["hare"]}
    assert part(lesson, "test") == {"5.jpg": None, "6.jpg": None}  # there, so that a copy of it is known
    assert lesson.catalog.labels == ["blank", "fox", "hare"]
    assert "unicorn" not in str(lesson.catalog.table.to_dict(as_series=False))
    assert (lesson.events, lesson.judged, lesson.drawn) == (3, 2, True)


def test_a_drawn_event_is_kept_whoever_asked_for_it(tmp_path: Path) -> None:
    course = Course(tmp_path, 6)
    course.decide_many("fhbf")
    course.draw(3, "audit")  # decided through a stream before it was drawn
    course.decide(["2.jpg"], "blank", "Ben", asked="audit")
    assert set(part(course.lesson(), "train")) == {"0.jpg", "1.jpg"}


def test_photos_that_are_called_otherwise_now_are_kept_while_the_audit_is_open_alone(tmp_path: Path) -> None:
    course = Course(tmp_path, 3)
    course.decide_many("fh")
    course.decide_many("u", "audit", 2)
    rows = [
        {"file_path": f"a/{number}.jpg", "location_id": "A", "content": f"{number}.jpg".encode()}
        for number in range(3)
    ]
    course.catalog = photos(tmp_path / "moved", rows)
    assert dict(course.lesson().labels) == {"fox": 1, "hare": 1}
    course.log.close_audit(course.audit)
    assert dict(course.lesson().labels) == {"fox": 1, "hare": 1, "unicorn": 1}


def test_a_closed_audit_teaches_and_what_calibrates_still_does_not(tmp_path: Path) -> None:
    course = Course(tmp_path, 6)
    course.decide_many("fh")
    course.decide_many("u", "audit", 2)
    course.decide_many("f", "calibration", 3)
    course.log.close_audit(course.audit)
    lesson = course.lesson()
    assert set(part(lesson, "train")) == {"0.jpg", "1.jpg", "2.jpg"}
    assert set(part(lesson, "validation")) == {"3.jpg"}


def test_what_teaches_nothing_is_counted(tmp_path: Path) -> None:
    course = Course(tmp_path, 9)
    course.decide_many("fh2?2")
    course.decide_many("u", "calibration", 5)
    lesson = course.lesson()
    assert lesson.left_out == {SEVERAL: 2, NO_LABEL: 1, UNTAUGHT: 1}
    assert lesson.catalog.facts.split is not None
    assert lesson.catalog.facts.split.left_out == lesson.left_out
    assert lesson.labels == {"fox": 1, "hare": 1}


def test_an_animal_is_a_class_only_where_none_is_named(tmp_path: Path) -> None:
    course = Course(tmp_path, 6)
    course.decide_many("aaba")
    assert course.lesson().labels == {"animal": 3, "blank": 1}  # animals or none
    course.decide_many("h", start=4)
    lesson = course.lesson()
    assert lesson.labels == {"blank": 1, "hare": 1}
    assert lesson.left_out == {UNNAMED: 3}
    assert lesson.catalog.labels == ["blank", "hare"]


def test_events_stay_whole_and_their_label_is_taught_where_a_box_is_sure(tmp_path: Path) -> None:
    boxes = [[], [BOX], [], None, None, None, [], [], [BOX], [], [], []]
    rows = [
        {"file_path": f"{n}.jpg", "event_id": f"e{n // 3}", "boxes": boxes_of}
        for n, boxes_of in enumerate(boxes)
    ]
    review = Review(tmp_path, photos(tmp_path / "card", rows))
    names = [row["file_path"] for row in rows]
    review.decide(names[:3], "fox")  # one sure box
    review.decide(names[3:6], "hare")  # no detector looked
    review.decide(names[6:9], "blank")
    review.decide(names[9:], "fox")  # which the detector has not seen
    audit = review.log.open_audit({})
    lesson = prepare_lesson(review.catalog, review.log)
    assert lesson.catalog.table["labels"].to_list() == [
        None,
        ["fox"],
        None,
        *[["hare"]] * 3,
        *[["blank"]] * 3,
    ]
    assert lesson.left_out == {UNSHOWN: 1}
    review.log.draw([Draw(audit, "event:e1", "audit", "all", 0, 0.1, datetime.now(UTC))])
    review.decide(names[3:4], "fox", of_event=False)  # one frame of what is kept
    lesson = prepare_lesson(review.catalog, review.log)
    assert lesson.catalog.table["labels"].to_list()[3:6] == [None] * 3


def test_a_copy_of_what_is_kept_apart_teaches_nothing(tmp_path: Path) -> None:
    course = Course(tmp_path, 8, content=b"7.jpg")  # as the last photo
    course.decide_many("fhb")
    course.decide_many("f", "audit", 7)
    lesson = course.lesson()
    assert set(part(lesson, "train")) == {"1.jpg", "2.jpg"}
    assert lesson.left_out == {COPIES: 1}


def test_the_parts_share_their_camera_and_the_record_says_how_they_were_made(tmp_path: Path) -> None:
    course = Course(tmp_path, 8)
    course.decide_many("fhfh")
    course.decide_many("fh", "calibration", 4)
    course.decide_many("f", "audit", 6)
    lesson = course.lesson()
    leaks = check_leaks(lesson.catalog)
    assert not leaks.leaking
    record = lesson.catalog.facts.split
    assert record is not None
    assert (record.by, record.named) == (
        "decisions",
        {"train": ("start",), "validation": ("drawn by chance",)},
    )


def test_figures_at_many_shared_cameras_are_told_to_be_of_these(tmp_path: Path) -> None:
    rows = [{"file_path": f"{n}.jpg", "location_id": "AB"[n % 2]} for n in range(12)]
    review = Review(tmp_path, photos(tmp_path / "card", rows))
    for number in range(12):
        review.decide([f"{number}.jpg"], "fox" if number % 3 else "hare", stream="start")
    leaks = check_leaks(prepare_lesson(review.catalog, review.log).catalog)
    assert not leaks.leaking
    assert "not at new ones" in leaks.lines()[0]


def test_without_draws_some_of_what_was_asked_for_judges_and_nothing_is_calibrated(tmp_path: Path) -> None:
    course = Course(tmp_path, 30)
    course.decide_many("fh" * 12 + "u")
    lesson = course.lesson()
    assert (lesson.events, lesson.judged, lesson.drawn, lesson.calibrated) == (20, 5, False, False)
    assert lesson.labels["unicorn"] == 1  # never one of a rare label
    assert lesson.recipe(as_teachable(resolve_recipe("head"))).calibration == "none"


def test_enough_of_what_was_drawn_calibrates(tmp_path: Path) -> None:
    course = Course(tmp_path, 50)
    course.decide_many("fh" * 10)
    course.decide_many("fh" * 10, "calibration", 20)
    lesson = course.lesson()
    assert lesson.calibrated
    assert lesson.recipe(as_teachable(resolve_recipe("head"))) == resolve_recipe("head")


@pytest.mark.parametrize(
    ("letters", "lacking"),
    [("fh", "2 of the first 20"), ("f" * 25, "of one label"), ("fh" * 10, "")],
)
def test_it_says_what_is_missing(tmp_path: Path, letters: str, lacking: str) -> None:
    course = Course(tmp_path, 30)
    course.decide_many(letters)
    assert lacking in course.lesson().lacks
    assert bool(lacking) == bool(course.lesson().lacks)


def test_labels_of_the_catalog_teach_nothing(tmp_path: Path) -> None:
    rows = [{"file_path": f"{n}.jpg", "labels": ["unicorn"]} for n in range(4)]
    review = Review(tmp_path, photos(tmp_path / "card", rows))
    review.decide(["0.jpg"], "fox")
    catalog: Catalog = prepare_lesson(review.catalog, review.log).catalog
    assert catalog.labels == ["fox"]


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (resolve_recipe("taxa-path"), "trains the heads of taxa"),
        (change_recipe(resolve_recipe("head"), {"flip_average": True}), "flip_average"),
        (change_recipe(resolve_recipe("head"), {"task": "multi-label"}), "task=multi-label"),
    ],
)
def test_a_recipe_that_cannot_be_taught_in_seconds_is_refused(recipe: Recipe, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        as_teachable(recipe)
