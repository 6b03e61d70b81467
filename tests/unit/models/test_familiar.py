"""How far a mean of embeddings lies, by its definition; and cards without statistics."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trapline.errors import DataError
from trapline.images import Preprocessing
from trapline.models import Card, Coordinates, Familiar, describe_distance, familiar_doubt, pack_directions


def familiar(plane: np.ndarray, **changed: object) -> Familiar:
    directions, scales = pack_directions(plane)
    fields: dict[str, object] = {
        "by": "location",
        "groups": 30,
        "media": 300,
        "directions": directions,
        "scales": scales,
        "offsets": (1.0, -2.0),
        "between": (3.0, 0.5),
        "most": 50,
        "sizes": (1, 10),
        "thresholds": (2.0, 1.5),
        "held_out": "30 training locations, each by the statistics of the others",
    }
    return Familiar.model_validate(fields | changed)


def described(**fields: Any) -> Card:
    size = Preprocessing(height=8, width=8)
    return Card(name="a", task="single-label", labels=("x", "y"), preprocessing=size, **fields)


def test_a_distance_is_the_root_mean_square_over_standard_deviations_over_the_threshold() -> None:
    one = familiar(np.eye(2, 3))
    mean = np.array([2.0, -1.0])
    for media, threshold, seen in ((4, 2.0, 4), (10, 1.5, 10), (900, 1.5, 50)):
        expected = np.sqrt((4 / (3 + 1 / seen) + 1 / (0.5 + 1 / seen)) / 2) / threshold
        assert one.distance(mean, media) == pytest.approx(expected)


def test_coordinates_are_linear_and_a_row_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(0, [[1e-6], [1e6]], (2, 300))
    embeddings = rng.normal(size=(20, 300)).astype(np.float32)
    look = Coordinates(familiar(plane))
    whole = look(embeddings)
    np.testing.assert_allclose(whole[:, 0], np.clip(embeddings @ plane[0] + 1, -1e6, 1e6), rtol=1e-3)
    for row in range(20):
        assert np.array_equal(look(embeddings[row : row + 1])[0], whole[row])
    assert look(np.full((1, 300), np.nan, np.float32)).tolist() == [[0, 0]]
    assert np.abs(look(np.full((1, 300), 1e38, np.float32))).max() <= 1e6


def test_statistics_that_do_not_fit_are_refused() -> None:
    for wrong in ({"offsets": (1.0,)}, {"sizes": (1,)}, {"directions": "AAAA"}):
        with pytest.raises(DataError, match="do not fit"):
            familiar(np.eye(2, 3), **wrong)
    for bad in ({"thresholds": (0.0, 1.0)}, {"between": (1.0, float("nan"))}):
        with pytest.raises(ValidationError):
            familiar(np.eye(2, 3), **bad)
    with pytest.raises(DataError, match="base64"):
        familiar(np.eye(2, 3), directions="not base64!")
    with pytest.raises(DataError, match="of 3 numbers, and the model's has 4"):
        described(embedding_size=4, familiar=familiar(np.eye(2, 3)))


def test_a_card_without_statistics_reads_and_is_written_as_before() -> None:
    card = described(embedding_size=3)
    assert card.familiar is None
    assert "familiar" not in card.model_dump_json()
    kept = card.model_copy(update={"familiar": familiar(np.eye(2, 3))})
    assert Card.model_validate_json(kept.model_dump_json()) == kept
    assert "cannot be told: its card keeps no statistics" in familiar_doubt(card)
    assert not familiar_doubt(kept)


def test_what_is_unlike_is_told_with_what_to_do() -> None:
    told = describe_distance("Location X", 120, 3.14, "location", 92)
    assert told == (
        "Location X (120 photos): unlike the 92 training locations (distance 3.1, where 19 of 20 held-out "
        "locations stay under 1): its probabilities are not to be relied on. Label 50 of its photos and "
        "recalibrate (trapline recalibrate)."
    )
    barely = describe_distance("Location Y", 1, 1.004, "location", 92)
    assert "(distance 1.004, where 19 of 20 held-out locations stay under 1)" in barely
