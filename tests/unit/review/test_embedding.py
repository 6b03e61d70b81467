"""Embeddings of a project: which come first, what is read while they come, and what events they make."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trapline.models import ModelFile
from trapline.review.embedding import Embeddings, boxed_media, embed_project, reading_order
from trapline.training import FeatureView, embed


@pytest.fixture
def model(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path / "tiny.onnx"))


def events(row: dict[str, Any]) -> str | None:
    """Bursts of three; the last three photos are of no event."""
    return None if int(row["media_id"]) > 8 else f"E{int(row['media_id']) // 3}"


def test_all_media_are_embedded_as_training_does_it(
    world: Callable[..., Any], model: ModelFile, tmp_path: Path
) -> None:
    catalog, told = world(), []
    view = FeatureView(model.card.preprocessing)
    embed_project(
        model, catalog, view, tmp_path / "e", cache=tmp_path, progress=lambda *done: told.append(done)
    )
    read = Embeddings.open(tmp_path / "e")
    assert read is not None
    assert read.known.all()
    np.testing.assert_array_equal(read.vectors, embed(model, catalog, cache=None))
    assert told[-1] == (12, 12)


def test_a_broken_photo_says_why_and_is_no_embedding(
    world: Callable[..., Any], model: ModelFile, tmp_path: Path
) -> None:
    catalog = world(event_id=events)
    catalog.paths()[4].write_bytes(b"no photo")
    read = embed_project(
        model, catalog, FeatureView(model.card.preprocessing), tmp_path / "e", cache=tmp_path
    )
    assert np.flatnonzero(~read.known).tolist() == [4]
    assert "4.png" in read.words()[4]
    means = read.of_events(np.arange(12) // 3, 4, np.zeros(12, bool))
    np.testing.assert_allclose(means[1], read.vectors[[3, 5]].mean(axis=0), rtol=1e-5)


def test_an_event_is_what_its_boxed_media_are(tmp_path: Path) -> None:
    made = Embeddings.make(tmp_path, 5, 2)
    made.put(np.arange(4), np.arange(8, dtype=np.float32).reshape(4, 2), {}, {})
    boxed = np.array([False, True, False, False, True])
    means = made.of_events(np.array([0, 0, 1, 1, 2]), 3, boxed)
    assert means[:2].tolist() == [[2, 3], [5, 6]]  # the boxed one alone; both
    assert np.isnan(means[2]).all()  # its only media is not embedded yet


def test_what_comes_first_is_one_media_of_every_event_those_with_a_box_before(
    world: Callable[..., Any],
) -> None:
    box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
    catalog = world(event_id=events, boxes=lambda row: [box] if row["media_id"] in ("4", "5", "10") else [])
    order = reading_order(catalog, boxed_media(catalog, None), 0)
    assert sorted(order) == list(range(12))
    assert set(order[:2]) == {4, 10}  # the first boxed media of its event, and one without an event
    assert set(order[2:6]) == {0, 6, 9, 11}
    assert reading_order(catalog, boxed_media(catalog, None), 0).tolist() == order.tolist()
    seeds = {tuple(reading_order(catalog, boxed_media(catalog, None), seed)) for seed in range(8)}
    assert len(seeds) > 1


def test_before_anything_is_written_there_is_nothing(tmp_path: Path) -> None:
    assert Embeddings.open(tmp_path) is None
