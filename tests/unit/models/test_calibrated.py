"""Calibrations: numbers and graph say the same; what is fitted to what; what little is behind is doubted."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from trapline.errors import DataError
from trapline.images import Preprocessing
from trapline.metrics import fit_scaling, fit_temperature
from trapline.models import Calibration, Card
from trapline.models.calibrated import (
    apply_calibration,
    blank_column,
    fit_calibration,
    scale_logits,
)
from trapline.models.doubts import card_doubts, few_locations_doubt, promise_doubt
from trapline.models.graph_probabilities import append_probabilities
from trapline.models.new_locations import MeasuredAt

PLACES = tuple(f"L{place}" for place in range(8))


def card_of(calibration: Calibration, **more: Any) -> Card:
    seen = Preprocessing(height=8, width=8)
    own = {
        "name": "m",
        "labels": LABELS,
        "preprocessing": seen,
        "embedding_size": 4,
        "calibration": calibration,
    }
    return Card(task="single-label", **own | more)


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (Calibration(), []),
        (Calibration(method="temperature", temperature=1.4, locations=PLACES), []),
        (Calibration(method="temperature", temperature=1.4), []),
        (Calibration(method="temperature", temperature=1.4, locations=PLACES[:1]), ["at one location:"]),
        (
            Calibration(method="labels", slopes=(1,) * 3, offsets=(0,) * 3, locations=PLACES[:4]),
            ["Measured at 4 locations: too few"],
        ),
        (Calibration(method="temperature", temperature=0.06, locations=PLACES), ["0.06 is extreme"]),
        (
            Calibration(method="labels", slopes=(20,) * 3, offsets=(0,) * 3, locations=PLACES),
            ["0.05 is extreme"],
        ),
        (
            Calibration(method="temperature", temperature=20, locations=PLACES[:2]),
            ["Measured at 2 locations: too few", "20 is extreme"],
        ),
    ],
    ids=str,
)
def test_a_calibration_with_little_behind_it_is_told_with_a_doubt(
    calibration: Calibration, words: list[str]
) -> None:
    doubts = card_doubts(card_of(calibration))
    assert len(doubts) == len(words)
    assert all(word in doubt for word, doubt in zip(words, doubts, strict=True))


def test_a_model_of_one_camera_says_once_that_it_holds_on_this_camera_only() -> None:
    calibration = Calibration(method="temperature", temperature=1.4, locations=PLACES[:1])
    card = card_of(calibration, training_data={"only_location": "L0"})
    (doubt,) = card_doubts(card)
    assert "at one location (L0)" in doubt
    assert "on this camera only" in doubt


@pytest.mark.parametrize(
    ("media", "words"),
    [
        ({}, "no known location"),
        ({"L0": 80}, "at one location (L0)"),
        ({f"L{number}": 20 for number in range(4)}, "Measured at 4 locations: too few"),
        ({"L0": 900} | {f"L{number}": 2 for number in range(1, 12)}, "at 12 locations, most of whose media"),
        ({f"L{number}": 20 for number in range(10)}, ""),
    ],
)
def test_what_is_measured_at_too_few_locations_says_so_and_what_others_came_to(
    media: dict[str, int], words: str
) -> None:
    card = card_of(Calibration(), measured_at=MeasuredAt.of(media))
    assert Card.model_validate_json(card.model_dump_json()) == card
    doubt = few_locations_doubt(card)
    assert (words in doubt) if words else doubt == ""
    assert ("In our trials" in doubt) == bool(words)


def graph_of(card: Card, logits: np.ndarray) -> np.ndarray:
    """What the end of the model file's graph makes of logits."""
    graph = helper.make_graph(
        [],
        "end",
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(card.labels)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(card.labels)])],
    )
    append_probabilities(graph, card)
    made = {name for node in graph.node for name in (*node.input, *node.output)}
    assert all(name.startswith("calibration/") for name in made - {"logits", "probabilities"})
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(model, full_check=True)
    return ReferenceEvaluator(model).run(None, {"logits": logits.astype(np.float32)})[0]


LABELS = ("hare", "blank", "lynx")
EACH_WAY = [
    Calibration(),
    Calibration(method="temperature", temperature=2.5),
    Calibration(method="labels", slopes=(0.5, 1.0, 2.0), offsets=(0.1, -1.0, 0.0)),
    Calibration(prior_shift=(0.5, -1.0, 0.25)),
    Calibration(prior_shift=(0.5, -1.0, 0.25), method="temperature", temperature=0.6, blank_kept=0.1),
    Calibration(blank_kept=0.25, method="labels", slopes=(0.5, 1.0, 2.0), offsets=(0.1, -1.0, 0.0)),
    Calibration(blank_kept=0.25, exclusive=True, prior_shift=(0.5, -1.0, 0.25)),
    Calibration(blank_kept=0.01),
]


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("calibration", EACH_WAY, ids=str)
def test_the_graph_and_the_numbers_say_what_the_calibration_says(calibration: Calibration, task: str) -> None:
    logits = np.random.default_rng(1).normal(0, 3, (20, 3))
    softmax = task == "single-label" or calibration.exclusive
    expected = logits + np.array(calibration.prior_shift or [0.0])
    if calibration.blank_kept < 1 and not softmax:
        kept, blank = calibration.blank_kept, 1 / (1 + np.exp(-expected[:, 1:2]))
        chances = kept / (1 + np.exp(-expected)) / (kept + (1 - kept) * blank)  # Bayes' rule
        chances[:, 1:2] = blank / (kept + (1 - kept) * blank)
        expected = np.log(chances / (1 - chances))
    if calibration.method == "temperature":
        expected = expected / calibration.temperature
    elif calibration.method == "labels":
        expected = expected * calibration.slopes + calibration.offsets
    assert scale_logits(logits, calibration, task, LABELS) == pytest.approx(expected, abs=1e-6)
    chances = np.exp(expected) if softmax else 1 / (1 + np.exp(-expected))
    chances = chances / chances.sum(axis=1, keepdims=True) if softmax else chances
    assert apply_calibration(logits, calibration, task, LABELS) == pytest.approx(chances, abs=1e-6)
    if task == "single-label" and (calibration.exclusive or calibration.blank_kept < 1):
        return  # no card says so
    card = Card(
        name="m",
        task=task,  # type: ignore[arg-type]
        labels=LABELS,
        preprocessing=Preprocessing(height=8, width=8),
        embedding_size=4,
        calibration=calibration,
    )
    assert graph_of(card, logits) == pytest.approx(chances, abs=1e-5)


def test_blanks_are_put_back_only_into_a_label_blank() -> None:
    assert blank_column(("hare", "blank")) == 1
    assert blank_column(("hare", "empty")) is None
    kept = Calibration(blank_kept=0.5)
    with pytest.raises(DataError, match="only be put back into a label 'blank'"):
        scale_logits([[0.0]], kept, "multi-label", ("hare",))
    assert scale_logits([[1.0]], kept, "single-label", ("hare",)) == 1


def test_a_calibration_is_fitted_to_logits_whose_priors_are_put_right() -> None:
    random = np.random.default_rng(2)
    logits, base = random.normal(0, 3, (80, 3)), Calibration(prior_shift=(1.0, 0.0, -2.0), fitted_on="x")
    truth = random.integers(0, 3, 80)
    shown = (random.random((80, 3)) < 1 / (1 + np.exp(-logits))).astype(int)
    weights = random.random((80, 3))
    assert fit_calibration("none", logits, truth, base, "single-label", LABELS) is base
    one = fit_calibration("temperature", logits, truth, base, "single-label", LABELS)
    temperature = fit_temperature(logits + base.prior_shift, truth)
    assert one == base.model_copy(update={"method": "temperature", "temperature": temperature})
    several = fit_calibration("temperature", logits, shown, base, "multi-label", LABELS, weights)
    assert several.temperature == fit_temperature(logits + base.prior_shift, shown, weights)
    labels = fit_calibration("labels", logits, shown, base, "multi-label", LABELS, weights)
    slopes, offsets = fit_scaling(logits + base.prior_shift, shown, weights)
    assert (labels.method, labels.prior_shift) == ("labels", base.prior_shift)
    assert (labels.slopes, labels.offsets) == (tuple(slopes), tuple(offsets))


@pytest.mark.parametrize(("temperature", "extreme"), [(0.1, True), (0.11, False), (9.99, False), (10, True)])
def test_a_temperature_near_the_ends_of_its_range_is_doubted(temperature: float, extreme: bool) -> None:
    calibration = Calibration(method="temperature", temperature=temperature, locations=PLACES[:5])
    found = [doubt for doubt in card_doubts(card_of(calibration)) if "extreme" in doubt]
    assert bool(found) is extreme


def test_a_model_that_promises_no_rank_says_what_it_was_tried_on() -> None:
    rollup = {"media": 40, "groups": 7, "over": "locations", "promise": 0.95, "confidence": 0.9}
    card = card_of(Calibration(), taxonomy={"rollup": rollup})
    said = promise_doubt(card)
    assert "on 40 single photos of 7 locations no probability" in said
    assert "95% of answers are right, with confidence 0.90; so it answers nothing" in said
    kinds = promise_doubt(card.model_copy(update={"thresholds": {"kind": 0.8}}))
    assert "its answers name no taxon, only animal, human, vehicle or blank" in kinds
    assert promise_doubt(card.model_copy(update={"thresholds": {"kind": 0.8, "family": 0.9}})) == ""
    assert promise_doubt(card.model_copy(update={"taxonomy": {}})) == ""


def test_where_all_blanks_were_kept_no_label_blank_is_needed() -> None:
    assert scale_logits([[1.0, 2.0]], Calibration(), "multi-label", ("hare", "lynx")).tolist() == [[1, 2]]
    kept, random = Calibration(blank_kept=0.5), np.random.default_rng(4)
    logits, shown = random.normal(0, 2, (30, 3)), random.integers(0, 2, (30, 3))
    found = fit_calibration("temperature", logits, shown, kept, "multi-label", LABELS)
    restored = scale_logits(logits, kept, "multi-label", LABELS)
    assert found.temperature == fit_temperature(restored, shown)


def test_media_of_several_labels_alone_cannot_be_what_a_softmax_is_fitted_to() -> None:
    truth, base = np.array([[1, 1, 0], [0, 1, 1]]), Calibration(exclusive=True)
    with pytest.raises(DataError, match="Give some media of one label"):
        fit_calibration("temperature", np.zeros((2, 3)), truth, base, "multi-label", LABELS)
