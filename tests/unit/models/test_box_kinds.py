"""Animal, person or vehicle: who is asked about which boxes, what it sees, and towards what it errs."""

from pathlib import Path

import numpy as np
import pytest

from trapline.errors import UsageError
from trapline.images import CropPolicy, choose_box
from trapline.models import BoxKinds, Detector, Interval, kinds, kinds_doubt
from trapline.models.box_kinds import choose_kinds, crop_of


@pytest.fixture(scope="module")
def model() -> BoxKinds:
    return BoxKinds(threads=1)


def test_the_shipped_model_is_small_and_says_how_far_it_can_be_believed(model: BoxKinds) -> None:
    card = model.model.card
    assert kinds.path(kinds.STANDARD).stat().st_size < 7e6
    assert card.labels == ("animal", "person", "vehicle")
    assert model.categories == (*card.labels, "unknown")
    assert card.thresholds["person"] < 0.5 <= card.thresholds["animal"]
    for name in ("trailcam_bursts", "jura"):
        for judged in ("apart", "left_out"):
            assert card.metrics[f"person_recall_{name}_{judged}"].low is not None
    assert any("Caltech Camera Traps" in notice and "CC BY" in notice for notice in card.notices)


def test_what_it_names_of_people_is_told_of_cameras_that_had_no_part_in_it(model: BoxKinds) -> None:
    shares = {"jura_apart": 0.99, "jura_left_out": 0.8, "other_apart": 0.1, "other_left_out": 0.25}
    metrics = {f"person_recall_{name}": Interval(value=share) for name, share in shares.items()}
    metrics["animal_recall_other_left_out"] = Interval(value=0.05)
    card = model.model.card.model_copy(update={"metrics": metrics})
    assert "at cameras of which it knew nothing, it named 25% to 80%." in kinds_doubt(card)
    assert "it named" not in kinds_doubt(card.model_copy(update={"metrics": {}}))


@pytest.mark.parametrize(
    ("chances", "said"),
    [
        ((0.98, 0.01, 0.01), "animal"),
        ((0.02, 0.02, 0.96), "vehicle"),
        ((0.3, 0.6, 0.1), "person"),
        ((0.55, 0.4, 0.05), "person"),
        ((0.51, 0.01, 0.48), "unknown"),
        ((0.48, 0.04, 0.48), "unknown"),
    ],
)
def test_a_person_is_said_early_and_an_animal_late(
    model: BoxKinds, chances: tuple[float, ...], said: str
) -> None:
    card = model.model.card.model_copy(update={"thresholds": {"animal": 0.8, "person": 0.3, "vehicle": 0.6}})
    (kind,) = choose_kinds(np.array([chances], np.float32), card)
    assert model.categories[kind] == said


def test_it_is_asked_about_boxes_that_the_detector_believes(model: BoxKinds) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (2, 96, 96, 3)).astype(np.uint8)
    boxes = [np.array([[8, 8, 40, 30], [-4, 0, 20, 20]], np.float32), np.empty((0, 4), np.float32)]
    told = model.tell(pictures, [(96, 96), (64, 96)], boxes, [np.array([0.9, 0.05]), np.array([])])
    assert [len(one) for one in told] == [2, 0]
    assert model.categories[told[0][1]] == "unknown", "below the card's least confidence nothing is asked"
    card = model.model.card
    crop = crop_of(pictures[0], (96, 96), boxes[0][0], card)
    assert told[0][0] == choose_kinds(model.model.run(crop[None]).probabilities, card)[0]


def test_the_detector_in_the_box_asks_it_and_others_only_when_told(tmp_path: Path) -> None:
    shipped = Detector(threads=1)
    assert shipped.kinds is not None
    assert shipped.categories == ("animal", "person", "vehicle", "unknown")
    plain = Detector(kinds=False, threads=1)
    assert (plain.kinds, plain.categories) == (None, ("animal",))
    own = tmp_path / "own.onnx"
    own.write_bytes(shipped.path.read_bytes())
    assert Detector(own, threads=1).kinds is None
    assert Detector(own, kinds=True, threads=1).categories == shipped.categories
    with pytest.raises(UsageError, match="tells deer apart itself"):
        Detector(own, kinds=True, categories=["deer"], threads=1)


def test_an_unknown_box_is_cut_to_as_an_animal_is_and_a_person_is_not() -> None:
    place = {"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
    person = {"category": "person", "conf": 0.9, **place}
    unknown = {"category": "unknown", "conf": 0.5, **place, "x": 0.5}
    assert choose_box([person], CropPolicy()) is None
    chosen = choose_box([person, unknown], CropPolicy())
    assert chosen is not None
    assert chosen.x == 0.5
