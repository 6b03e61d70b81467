"""What a learner of heads gives as the embedding of a photo."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from trapline.training.learners.seen import FrozenLearner


@pytest.mark.parametrize("views", [(0,), (0, 2)])
def test_the_embedding_is_the_mean_of_the_views_that_the_model_file_averages(views: tuple[int, ...]) -> None:
    features = np.random.default_rng(0).normal(size=(9, 3, 4)).astype(np.float32)
    learner = SimpleNamespace(features=features, looks=SimpleNamespace(predict=views))
    rows = np.array([7, 0, 3])
    found = FrozenLearner.embeddings(cast("Any", learner), cast("Any", None), rows)
    for row, embedding in zip(rows, found, strict=True):
        assert embedding == pytest.approx(sum(features[row, view] for view in views) / len(views), rel=1e-5)
