"""Which calibration is fitted: asked for, or chosen on other groups; and what comes on top of another."""

import numpy as np
import pytest

from trapline.metrics import fit_offsets, fit_temperature
from trapline.models import (
    Calibration,
    Method,
    apply_calibration,
    choose_calibration,
    deal_groups,
    fit_again,
    fit_calibration,
)
from trapline.models.calibrated import ENOUGH_MEDIA

LABELS = ("hare", "blank", "lynx")
TASK = "single-label"


def drawn(media: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, truth drawn from their softmax, and ten groups."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (media, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (chances.cumsum(axis=1) > random.random((media, 1))).argmax(axis=1)
    return logits, truth, np.arange(media) % 10


def test_offsets_are_chosen_where_other_groups_need_them_and_a_temperature_where_few_could_say() -> None:
    logits, truth, groups = drawn(600)
    shifted = logits + np.array([1.5, 0, -1.5])
    chosen = choose_calibration("auto", shifted, truth, Calibration(), TASK, LABELS, groups)
    slope, offsets = fit_offsets(shifted, truth)
    assert (chosen.method, chosen.slopes) == ("labels", (slope,) * 3)
    assert chosen.offsets == tuple(offsets)
    few = slice(0, ENOUGH_MEDIA - 1)
    of_few = choose_calibration("auto", shifted[few], truth[few], Calibration(), TASK, LABELS, groups[few])
    assert of_few.method == "temperature"
    of_one = choose_calibration("auto", shifted, truth, Calibration(), TASK, LABELS, groups * 0)
    assert of_one.temperature == fit_temperature(shifted, truth)


def test_offsets_that_hold_at_no_other_group_are_not_chosen() -> None:
    logits, truth, groups = drawn(600)
    own = np.where((groups % 2 == 0)[:, None], [2.0, 0, -2], [-2.0, 0, 2])  # each half is off its own way
    left = choose_calibration("auto", logits + own, truth, Calibration(), TASK, LABELS, groups // 2 * 2)
    assert np.abs(left.offsets or [0]).max() < 0.3


def test_what_was_asked_for_is_fitted_without_a_choice() -> None:
    logits, truth, groups = drawn(300)
    for method in ("none", "temperature", "labels"):
        found = choose_calibration(method, logits, truth, Calibration(), TASK, LABELS, groups)
        assert found == fit_calibration(method, logits, truth, Calibration(), TASK, LABELS)


def test_several_labels_a_media_choose_too() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (500, 3))
    shown = (random.random((500, 3)) < 1 / (1 + np.exp(-(logits + np.array([2, 0, -2]))))).astype(int)
    groups = np.arange(500) % 10
    found = choose_calibration(
        "auto", logits, shown, Calibration(), "multi-label", LABELS, groups, np.ones((500, 3))
    )
    assert found.method == "labels"
    assert found.offsets == pytest.approx([2, 0, -2], abs=0.5)


def test_labels_of_a_softmax_that_come_one_at_a_time_are_fitted_as_such() -> None:
    logits, truth, _ = drawn(300)
    shown = np.eye(3, dtype=np.int64)[truth]
    shown[:5] = 1  # a softmax cannot say so
    base = Calibration(exclusive=True)
    found = fit_calibration("temperature", logits * 3, shown, base, "multi-label", LABELS)
    assert found.temperature == fit_temperature(logits[5:] * 3, truth[5:])


@pytest.mark.parametrize(
    "current",
    [
        Calibration(),
        Calibration(method="temperature", temperature=2.0, prior_shift=(0.5, 0.0, -0.5)),
        Calibration(method="labels", slopes=(0.5, 1.0, 2.0), offsets=(0.1, -1.0, 0.0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["temperature", "labels", "auto"])
def test_what_is_fitted_again_comes_on_top_of_what_there_is(current: Calibration, method: str) -> None:
    logits, truth, groups = drawn(80)
    again = fit_again(method, logits, truth, current, TASK, LABELS, groups)  # type: ignore[arg-type]
    there = np.log(apply_calibration(logits, current, TASK, LABELS))
    asked: Method = "temperature" if method == "temperature" else "labels"
    on_top = fit_calibration(asked, there, truth, Calibration(), TASK, LABELS)
    expected = apply_calibration(there, on_top, TASK, LABELS)
    assert apply_calibration(logits, again, TASK, LABELS) == pytest.approx(expected, abs=1e-4)
    assert again.prior_shift == current.prior_shift
    if method == "temperature":
        assert again.method == ("labels" if current.method == "labels" else "temperature")


def test_folds_keep_groups_whole() -> None:
    groups = np.array(list("aaabbcddddef"))
    folds = deal_groups(groups)
    assert all(len(set(folds[groups == one])) == 1 for one in "abcdef")
    assert len(set(folds)) == 5
    assert set(deal_groups(np.array(["a", "b"]))) == {0, 1}
