"""Neighbours by cosine are those that all comparisons would give."""

import numpy as np
import pytest

from trapline.metrics import Directions, nearest, nearest_by_cosine


@pytest.mark.parametrize("block", [3, 8192])
def test_neighbours_are_those_of_all_comparisons(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_BLOCK", block)
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, 5)).astype(np.float32)
    embeddings[3], embeddings[7] = np.nan, 0
    query = rng.normal(size=5)
    rows, cosines = nearest_by_cosine(query, embeddings, 6)
    with np.errstate(invalid="ignore"):
        every = embeddings @ query / np.linalg.norm(embeddings, axis=1) / np.linalg.norm(query)
    expected = np.argsort(-np.nan_to_num(every, nan=-9))[:6]
    assert rows.tolist() == expected.tolist()
    np.testing.assert_allclose(cosines, every[expected], rtol=1e-5)


def test_equal_ones_come_in_their_order_and_what_has_no_direction_has_no_neighbours() -> None:
    embeddings = np.ones((4, 2), np.float32)
    assert nearest_by_cosine([1, 1], embeddings, 3)[0].tolist() == [0, 1, 2]
    assert nearest_by_cosine([1, 1], embeddings[:2], 5)[0].tolist() == [0, 1]
    for query in ([0, 0], [np.nan, 1]):
        assert nearest_by_cosine(query, embeddings, 3)[0].tolist() == []


def test_of_some_rows_the_neighbours_are_those_of_these_alone() -> None:
    rng = np.random.default_rng(1)
    embeddings, query = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=4)
    embeddings[8] = np.nan
    among = np.array([20, 3, 8, 11, 5])
    rows, cosines = Directions(embeddings).nearest(query, 3, among)
    alone, expected = nearest_by_cosine(query, embeddings[among], 3)
    assert rows.tolist() == among[alone].tolist()
    assert cosines.tolist() == pytest.approx(expected.tolist())
    assert Directions(embeddings).nearest(query, 3, among[:0])[0].tolist() == []
