"""What a model file answers where an embedding is known is what it answers for the photo."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trapline.errors import DataError
from trapline.models import (
    Calibration,
    Card,
    Layer,
    ModelFile,
    answer_embeddings,
    attach_head,
    average_flips,
    read_graph,
    write_model_file,
)

LABELS = ("blank", "hare", "lynx")
IMAGES = np.random.default_rng(1).integers(0, 255, (5, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def classifier(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> Path:
    """A head on the tiny model, whose answers are calibrated."""
    random = np.random.default_rng(0)
    head = Layer(random.normal(0, 1, (12, 3)), random.normal(0, 1, 3))
    graph = attach_head(read_graph(write_tiny_model(tmp_path / "tiny.onnx")), [head])
    card = ModelFile(tmp_path / "tiny.onnx").card.model_copy(
        update={"calibration": Calibration(method="temperature", temperature=3.0, prior_shift=(0, 1, -1))}
    )
    return write_model_file(graph, card, tmp_path / "model.onnx")


def test_the_answers_are_those_of_the_file(classifier: Path) -> None:
    model = ModelFile(classifier)
    whole = model.run(IMAGES)
    after = answer_embeddings(model, whole.embedding)
    np.testing.assert_allclose(after.probabilities, whole.probabilities, atol=1e-6)
    np.testing.assert_allclose(after.logits, whole.logits, atol=1e-5)


def test_what_has_no_embedding_has_no_answer(classifier: Path) -> None:
    model = ModelFile(classifier)
    embeddings = model.run(IMAGES).embedding.copy()
    embeddings[2] = np.nan
    answered = np.isfinite(answer_embeddings(model, embeddings).probabilities).all(axis=1)
    assert answered.tolist() == [True, True, False, True, True]


def test_a_model_that_looks_at_more_than_the_embedding_is_refused(classifier: Path, tmp_path: Path) -> None:
    card: Card = ModelFile(classifier).card
    flipped = write_model_file(average_flips(read_graph(classifier)), card, tmp_path / "flipped.onnx")
    model = ModelFile(flipped)
    with pytest.raises(DataError, match="does not follow from its embedding"):
        answer_embeddings(model, model.run(IMAGES).embedding)


def test_an_embedding_of_another_model_is_refused(classifier: Path) -> None:
    with pytest.raises(DataError, match="12 numbers"):
        answer_embeddings(ModelFile(classifier), np.zeros((2, 11), np.float32))
