"""Confident learning against its definition in plain words; what its ranking and its estimate must hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import metrics
from trapline.errors import DataError

Case = tuple[np.ndarray, np.ndarray]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Truth [N] and probabilities [N, K] with ties; some labels absent from the truth."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    media, labels = draw(st.integers(1, 40)), draw(st.integers(2, 5))
    truth = random.integers(0, draw(st.integers(1, labels)), media)
    coarse = random.integers(0, 4, (media, labels)) + 0.25
    return truth, coarse / coarse.sum(axis=1, keepdims=True)


def joint_of_the_paper(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Equations 1 to 3 of the paper, one media after the other."""
    labels = range(values.shape[1])
    present = [k for k in labels if (truth == k).any()]
    threshold = {
        k: np.mean([row[k] for row, label in zip(values, truth, strict=True) if label == k]) for k in present
    }
    counts = np.zeros((len(labels), len(labels)))
    for row, label in zip(values, truth, strict=True):
        sure = [k for k in present if row[k] >= threshold[k] - 1e-9]
        if sure:
            counts[label, max(sure, key=lambda k: (row[k], k == label, -k))] += 1
    for k in labels:
        if counts[k].sum():
            counts[k] *= (truth == k).sum() / counts[k].sum()
        else:
            counts[k, k] = (truth == k).sum()
    return counts


@given(cases())
def test_the_confident_joint_is_that_of_the_paper(case: Case) -> None:
    truth, values = case
    joint = metrics.confident_joint(truth, values)
    assert joint == pytest.approx(joint_of_the_paper(truth, values), abs=1e-9)
    shares = metrics.wrong_label_shares(truth, values)
    assert shares["of_all"] == pytest.approx((joint.sum() - np.trace(joint)) / len(truth))
    assert np.isnan(shares["by_label"]).tolist() == [not (truth == k).any() for k in range(values.shape[1])]


@given(cases(), st.integers(0, 2**32 - 1))
def test_a_weight_is_a_media_that_is_there_so_many_times(case: Case, seed: int) -> None:
    truth, values = case
    weights = np.random.default_rng(seed).integers(0, 3, (2, len(truth)))
    weights[:, 0] = 1
    together = metrics.wrong_label_shares(truth, values, weights)
    for row, one in enumerate(weights):
        alone = metrics.wrong_label_shares(np.repeat(truth, one), np.repeat(values, one, axis=0))
        for name, value in alone.items():
            assert together[name][row] == pytest.approx(value, nan_ok=True)


@given(cases())
def test_doubt_is_the_margin(case: Case) -> None:
    truth, values = case
    doubt = metrics.label_doubt(truth, values)
    for row, label in enumerate(truth):
        others = np.delete(values[row], label)
        assert doubt[row] == pytest.approx((1 + others.max() - values[row, label]) / 2)


@given(cases())
def test_two_labels_that_exclude_each_other_are_one_question_asked_twice(case: Case) -> None:
    truth, values = case
    label, shown = (truth == 0).astype(int), values[:, [0]]
    both = np.hstack([1 - shown, shown])
    several = np.stack([1 - label, label], axis=1)
    assert metrics.label_doubt(several, both) == pytest.approx(metrics.label_doubt(label, both))
    one, two = (metrics.wrong_label_shares(kind, both)["of_all"] for kind in (label, several))
    assert two == pytest.approx(one)


def test_labels_that_were_changed_are_counted_and_come_first() -> None:
    random = np.random.default_rng(0)
    shown = random.integers(0, 4, 4000)
    values = np.full((4000, 4), 0.05) + 0.8 * np.eye(4)[shown]
    values = values * random.uniform(0.8, 1.2, values.shape)
    values /= values.sum(axis=1, keepdims=True)
    changed = random.random(4000) < 0.08
    truth = np.where(changed, (shown + random.integers(1, 4, 4000)) % 4, shown)
    assert metrics.wrong_label_shares(truth, values)["of_all"] == pytest.approx(changed.mean(), abs=0.002)
    order = np.argsort(-metrics.label_doubt(truth, values))
    assert changed[order[: changed.sum()]].all()


def test_one_label_alone_and_bad_arrays() -> None:
    assert metrics.label_doubt([0, 0], [[1.0], [0.25]]).tolist() == [0.0, 0.75]
    for function in (metrics.label_doubt, metrics.wrong_label_shares):
        with pytest.raises(DataError):
            function([0, 2], [[0.5, 0.5], [0.5, 0.5]])
