"""Figures from sums are those of the media, whatever the parts they were added up over."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import metrics
from trapline.metrics import OF_CURVES, figures_of_sums, sum_media

SHAPES = {"single": (False, False, None), "several": (True, False, 1), "exclusive": (True, True, None)}


def media(several: bool, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probabilities (ties and sure ones among them) and locations of 300 media."""
    random = np.random.default_rng(seed)
    values = random.dirichlet(np.full(labels, 0.3), 300).round(2)
    if several:
        return (random.random((300, labels)) < 0.3).astype(int), values, random.integers(0, 9, 300)
    values /= values.sum(axis=1, keepdims=True)
    return random.integers(0, labels - 1, 300), values, random.integers(0, 9, 300)


@pytest.mark.parametrize("labels", [3, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_figures_and_intervals_from_sums_are_those_of_the_media(shape: str, labels: int) -> None:
    several, exclusive, blank = SHAPES[shape]
    truth, values, locations = media(several, labels, labels)
    of_sums = partial(figures_of_sums, several=several, exclusive=exclusive)
    added = [
        sum_media(truth[rows], values[rows], locations[rows], 9, blank=blank)
        for rows in np.array_split(np.arange(300), 7)
    ]
    sums = {name: sum(part[name] for part in added) for name in added[0]}
    measured = metrics.measure(truth, values, None, blank, exclusive)
    figures = of_sums({name: one.sum(axis=0) for name, one in sums.items()})
    assert [name for name in measured if name not in OF_CURVES] == list(figures)
    for name, value in figures.items():
        assert float(value) == pytest.approx(float(measured[name]), rel=1e-12), name
    whole = metrics.estimate_all(
        truth, values, locations, 60, 3, metrics_fn=partial(metrics.measure, blank=blank, exclusive=exclusive)
    )
    for name, (estimate,) in metrics.estimate_sums(
        sums, 60, 3, figures=lambda drawn: {key: one[..., None] for key, one in of_sums(drawn).items()}
    ).items():
        if name == "expected_calibration_error":
            assert estimate.low is whole[name].low is None
            continue
        assert estimate.low == pytest.approx(whole[name].low, rel=1e-9), name
        assert estimate.high == pytest.approx(whole[name].high, rel=1e-9), name


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])), min_size=1))
def test_a_label_is_ranked_as_the_curves_rank_it(rows: list[tuple[bool, float]]) -> None:
    has, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    truth, values = np.stack([has, has], 1).astype(int), np.stack([scores, scores], 1)
    area, precision = metrics.rank_label(scores[has].astype(np.float32), scores[~has].astype(np.float32))
    np.testing.assert_allclose(area, metrics.label_auc(truth, values)[0])
    np.testing.assert_allclose(precision, metrics.label_average_precision(truth, values)[0])
