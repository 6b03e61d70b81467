"""The circle whole: photos read in the background, models taught, answers for all photos; and crashes."""

from __future__ import annotations

import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from trapline import api
from trapline.catalog import Catalog
from trapline.models import ModelFile, review_doubt
from trapline.recipes import change_recipe, resolve_recipe
from trapline.review.answering import cross_fitted_loss
from trapline.review.audit import Audit
from trapline.review.decision import Asked, DecidedMedia, Decision, Sighting
from trapline.review.drawing import Role
from trapline.review.log import DecisionLog
from trapline.review.teaching import Teacher, describe_step
from trapline.taxonomy import Label, Taxonomy

PATIENCE = 120


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """48 photos, two an event: of foxes the red is brightest, of hares the green; one is broken."""
    folder, random, rows = tmp_path_factory.mktemp("card"), np.random.default_rng(0), []
    for number in range(48):
        pixels = random.integers(0, 120, (32, 32, 3), dtype=np.uint8)
        pixels[:, :, number // 2 % 2] //= 2
        pixels[:, :, number // 2 % 2] += 120
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        rows.append(
            {
                "media_id": f"{number:02}",
                "file_path": f"{number:02}.png",
                "location_id": "A",
                "event_id": f"e{number // 2}",
            }
        )
    (folder / "47.png").write_bytes(b"no photo")
    return Catalog.from_rows(rows, folder, "card")


class Reviewer:
    """A teacher, and somebody who decides rightly."""

    def __init__(self, folder: Path, catalog: Catalog, backbone: Path) -> None:
        self.catalog = catalog
        self.log = DecisionLog.open(folder / "decisions.db", create=True)
        recipe = change_recipe(
            resolve_recipe("head"),
            {"backbone": f"model-file:{backbone}", "preprocessing.height": 16, "preprocessing.width": 16},
        )
        kinds = Taxonomy({}, {name: Label(name, "animal") for name in ("fox", "hare")})
        self.teacher = Teacher(
            folder / "decisions.review",
            catalog,
            self.log,
            recipe=recipe,
            taxonomy=kinds,
            cache=folder / "cache",
        )

    def decide(self, events: Sequence[int], asked: Asked = "chosen") -> None:
        for event in events:
            media = self.catalog.table.rows(named=True)[2 * event : 2 * event + 2]
            decision = Decision(
                decision_id=uuid.uuid4().hex,
                person="Ann",
                decided_at=self.log.now(),
                event=f"event:e{event}",
                media=tuple(DecidedMedia(row["media_id"], row["file_path"], None, None) for row in media),
                of_event=True,
                verdict="seen",
                labels=(Sighting(("fox", "hare")[event % 2]),),
                stream="start",
                asked=asked,
            )
            self.log.add(decision)

    def wait(self, *states: str) -> None:
        self.wait_for(lambda: self.teacher.state().state in states)

    def wait_for(self, happened: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < until, self.teacher.state()
            time.sleep(0.02)


@pytest.fixture
def reviewer(tmp_path: Path, card: Catalog, write_tiny_model: Callable[..., Path]) -> Iterator[Reviewer]:
    reviewer = Reviewer(tmp_path, card, write_tiny_model(tmp_path / "tiny.onnx"))
    yield reviewer
    reviewer.teacher.stop()
    reviewer.log.close()


def test_a_review_teaches_a_model_whose_answers_are_those_of_its_file(
    reviewer: Reviewer, card: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = reviewer.teacher
    assert teacher.state().state == "waiting"
    assert teacher.suggestions() is None
    audit = Audit.open(reviewer.log, [f"event:e{event}" for event in range(24)], [()] * 24, 0)
    teacher.start()
    drawn = {role: [audit.next(role) for _ in range(4)] for role in get_args(Role)}
    for role, draws in drawn.items():
        reviewer.decide([int(draw.event.removeprefix("event:e")) for draw in draws if draw], role)
    chosen = [event for event in range(24) if audit.role(f"event:e{event}") == "chosen"]
    reviewer.decide(chosen[:-6])
    assert not teacher.maybe_train()
    reviewer.decide(chosen[-6:])
    reviewer.wait_for(lambda: teacher.points() is not None)
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(teacher, "_tell_learning", told.append)
    assert teacher.maybe_train()
    assert not teacher.train()  # never two at once
    reviewer.wait("ready")
    assert "learnt from 16 events" in teacher.state().message
    assert told
    for line in told:  # every step has words of its own
        assert describe_step(line["what"]).startswith("learning from the decisions: ")
        assert line["what"] not in describe_step(line["what"])
    answers = teacher.suggestions()
    assert answers is not None
    assert answers.labels == ("fox", "hare")
    assert (len(answers), answers.failed["media_id"].to_list()) == (48, ["47"])
    points = teacher.points()
    assert points is not None
    assert len(points) == 24
    assert np.isfinite(points).all()
    model = teacher.finish()  # nothing was decided since: no other round
    assert model is not None
    assert model.parent.name == "round-001"
    predicted = api.predict(ModelFile(model), card, tmp_path / "p.parquet")
    np.testing.assert_allclose(predicted.probabilities(), answers.probabilities(), atol=1e-4)
    right = answers.probabilities()[:47].argmax(axis=1) == np.arange(47) // 2 % 2
    assert right.mean() > 0.9
    card_of_model = ModelFile(model).card
    assert card_of_model.split["by"] == "decisions"
    assert card_of_model.training_data["train"]["events"] == 16
    doubt = review_doubt(card_of_model)
    assert doubt is not None
    assert "asked for by: start" in doubt
    assert "others drawn by chance, of the same locations" in doubt
    assert "not calibrated" in doubt
    assert card_of_model.calibration.method == "none"  # four events are too few for it
    (point,) = reviewer.log.points()
    assert (point.round, point.decisions) == (1, 16)
    assert point.estimate == 1.0
    assert point.low is not None


def test_what_crashes_is_told_and_the_next_lesson_begins_anew(reviewer: Reviewer) -> None:
    teacher = reviewer.teacher
    teacher.folder.mkdir()
    teacher.catalog.save(teacher.folder / "catalog.parquet")
    reviewer.decide(range(24))
    assert teacher.train()
    until = time.monotonic() + PATIENCE
    while (process := teacher._learner._process) is None:
        assert time.monotonic() < until
    os.kill(process.pid, signal.SIGKILL)
    reviewer.wait("failed")
    assert "crashed (signal 9" in teacher.state().message
    assert teacher.train()  # another process says what is missing
    reviewer.wait("waiting")
    assert "no photo is read yet" in teacher.state().message


def test_too_few_decisions_are_waited_for(reviewer: Reviewer) -> None:
    teacher = reviewer.teacher
    teacher.folder.mkdir()
    teacher.catalog.save(teacher.folder / "catalog.parquet")
    reviewer.decide(range(0, 10, 2))  # foxes all
    assert teacher.train()
    reviewer.wait("waiting")
    assert "5 of the first" in teacher.state().message


def test_what_was_decided_before_a_crash_is_learnt_without_another_decision(reviewer: Reviewer) -> None:
    reviewer.decide(range(22))
    reviewer.teacher.start()
    reviewer.wait("ready")
    assert "learnt from 18 events" in reviewer.teacher.state().message  # every fifth judges


def test_a_folder_that_is_deleted_meanwhile_is_told(reviewer: Reviewer) -> None:
    reviewer.teacher.start()
    reviewer.wait("waiting")
    shutil.rmtree(reviewer.teacher.folder)
    reviewer.decide(range(22))
    assert reviewer.teacher.maybe_train()
    reviewer.wait("failed")
    assert str(reviewer.teacher.folder) in reviewer.teacher.state().message


def test_an_ended_review_leaves_no_process(reviewer: Reviewer) -> None:
    reviewer.teacher.start()
    until = time.monotonic() + PATIENCE
    while (process := reviewer.teacher._reader._process) is None:
        assert time.monotonic() < until
    reviewer.teacher.stop()
    assert process.poll() is not None
    assert not reviewer.teacher.train()


def test_a_temperature_of_other_events_is_what_a_loss_is_measured_with() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 300)
    logits = random.normal(0, 1, (300, 3))
    logits[np.arange(300), truth] += 1
    as_it_should_be = cross_fitted_loss(logits, truth)
    too_sure = cross_fitted_loss(10 * logits, truth)
    assert too_sure == pytest.approx(as_it_should_be, rel=0.02)
    few = cross_fitted_loss(10 * logits[:12], truth[:12])  # nothing is put right by so few
    assert few > 1.5 * cross_fitted_loss(logits[:12], truth[:12])
