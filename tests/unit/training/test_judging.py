"""Figures of folds are as honest as those of new locations: nothing of a fold decides how it is judged."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.metrics import fit_temperature, log_loss, probabilities_of
from trapline.models import Calibration
from trapline.prediction.frames import apply_pooling
from trapline.recipes import NetworkRecipe
from trapline.training.events import judge_events
from trapline.training.judging import judge
from trapline.training.selection import Selected

LABELS = ("hare", "lynx")
RECIPE = NetworkRecipe(name="r", backbone="small-cnn", calibration="temperature")


def drawn(media: int = 90) -> tuple[Selected, np.ndarray, np.ndarray]:
    """Media of three folds, their logits, and the folds, each overconfident in its own way."""
    random = np.random.default_rng(3)
    folds = np.repeat([0, 1, 2], media // 3)
    logits = random.normal(0, 2, (media, 2))
    truth = (random.random(media) < 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).astype(int)
    rows = pl.DataFrame(
        {
            "media_id": [f"m{n}" for n in range(media)],
            "file_path": [f"m{n}.jpg" for n in range(media)],
            "labels": [[LABELS[one]] for one in truth],
            "location_id": [f"L{fold}-{n % 5}" for n, fold in enumerate(folds)],
            "split": ["train"] * media,
        }
    )
    targets = np.eye(2, dtype=np.float32)[truth]
    every, none = np.arange(media), np.empty(0, np.int64)
    selected = Selected(Catalog.from_rows(rows, "/nowhere", "rows"), LABELS, targets, every, none)
    return selected, logits * np.array([0.5, 1.0, 4.0])[folds][:, None], folds


@pytest.mark.parametrize("held_out", [0, 1, 2])
def test_the_temperature_of_a_fold_is_fitted_on_the_other_folds_alone(held_out: int) -> None:
    selected, logits, folds = drawn()
    judged = judge(RECIPE, selected, np.arange(90), logits, Calibration(), folds=folds)
    truth, inside = selected.targets.argmax(axis=1), folds == held_out
    others = fit_temperature(logits[~inside], truth[~inside])
    expected = probabilities_of(logits[inside], "single-label", temperature=others)
    assert judged.probabilities[inside] == pytest.approx(expected)
    assert judged.calibration.temperature == fit_temperature(logits, truth), "that of the model file"
    changed = selected.targets.copy()
    changed[inside] = changed[inside][:, ::-1]
    other = Selected(selected.catalog, LABELS, changed, selected.train, selected.validation)
    again = judge(RECIPE, other, np.arange(90), logits, Calibration(), folds=folds)
    assert np.array_equal(again.probabilities[inside], judged.probabilities[inside]), "whatever its truth is"


def test_without_folds_the_temperature_and_the_figures_are_of_the_same_media_and_that_is_said() -> None:
    selected, logits, _ = drawn()
    judged = judge(RECIPE, selected, np.arange(90), logits, Calibration())
    temperature = fit_temperature(logits, selected.targets.argmax(axis=1))
    assert judged.calibration.temperature == temperature
    assert judged.probabilities == pytest.approx(
        probabilities_of(logits, "single-label", temperature=temperature)
    )
    assert judged.calibration.fitted_on.startswith("validation: 90 media at 15 locations")
    assert judged.held_out_by is None


def test_only_media_of_locations_that_training_did_not_have_tell_of_new_locations() -> None:
    selected, logits, folds = drawn()
    judged = judge(RECIPE, selected, np.arange(90), logits, Calibration(), folds=folds)
    assert (judged.measured_at.locations, judged.measured_at.effective) == (15, 15)
    assert [one.locations for one in judged.new_locations["accuracy"]] == [1, 10]
    turned = np.random.default_rng(0).permutation(folds)  # each location has media in every fold
    again = judge(RECIPE, selected, np.arange(90), logits, Calibration(), folds=turned)
    assert again.new_locations == {}
    assert again.measured_at == judged.measured_at
    validated = judge(RECIPE, selected, np.arange(90), logits, Calibration())  # all of them train, too
    assert validated.new_locations == {}


def test_how_the_events_of_a_fold_are_pooled_is_chosen_on_the_other_folds_alone() -> None:
    selected, logits, folds = drawn()
    events = [f"e{n // 2}" for n in range(90)]  # thirty media a fold: none of two folds
    truth = np.repeat(selected.targets.argmax(axis=1)[::2], 2)
    table = selected.catalog.table.with_columns(
        event_id=pl.Series(events), labels=pl.Series([[LABELS[one]] for one in truth])
    )
    catalog, targets = selected.catalog.with_table(table), np.eye(2, dtype=np.float32)[truth]
    selected = Selected(catalog, LABELS, targets, selected.train, selected.validation)
    probabilities, rows = probabilities_of(logits, "single-label"), np.arange(90)
    weights, codes = np.full(90, 0.5), np.repeat(np.arange(45), 2)
    pooled = np.empty((45, 2))
    for fold in range(3):
        others = judge_events(RECIPE, selected, rows[folds != fold], probabilities[folds != fold], None)
        assert others is not None
        inside = folds[::2] == fold
        pooled[inside] = apply_pooling(probabilities, weights, codes, others, "single-label", LABELS)[inside]
    found = judge_events(RECIPE, selected, rows, probabilities, folds)
    assert found is not None
    assert found.metrics["log_loss"].value == pytest.approx(float(log_loss(truth[::2], pooled)))


def test_a_label_that_the_other_folds_lack_has_no_part_in_the_temperature() -> None:
    selected, logits, folds = drawn()
    only = folds == 2
    targets = selected.targets.copy()
    targets[only] = [0, 1]  # what no other fold shows, and its model rightly rules out
    targets[~only] = [1, 0]
    said = np.abs(logits) * [1, -1]
    said[only] = [8, -8]
    judged = judge(
        RECIPE, replace(selected, targets=targets), np.arange(90), said, Calibration(), folds=folds
    )
    assert judged.calibration.temperature < 1, "what could be learnt is always right"
    assert judged.metrics["log_loss"].value > 2, "the figures keep the surprise"


def test_where_nothing_could_be_learnt_nothing_is_calibrated() -> None:
    selected, logits, folds = drawn()
    folds = (folds > 0).astype(int)
    targets = np.eye(2, dtype=np.float32)[folds]
    judged = judge(
        RECIPE, replace(selected, targets=targets), np.arange(90), logits, Calibration(), folds=folds
    )
    assert judged.calibration == Calibration()


@pytest.mark.parametrize(("pairs", "chosen"), [(29, False), (30, True)])
def test_a_choice_of_pooling_says_what_it_rests_on_and_needs_thirty_events_of_several_photos(
    pairs: int, chosen: bool
) -> None:
    selected, _, _ = drawn()
    rows = np.arange(90)
    event = np.where(rows < 2 * pairs, rows // 2, rows)
    truth = selected.targets.argmax(axis=1)
    truth[: 2 * pairs] = truth[: 2 * pairs : 2].repeat(2)
    table = selected.catalog.table.with_columns(
        pl.Series("event_id", [f"e{one}" for one in event]),
        pl.Series("labels", [[LABELS[one]] for one in truth]),
    )
    bursts = replace(selected, catalog=selected.catalog.with_table(table), targets=np.eye(2)[truth])
    sure = np.where(rows[:, None] % 2 == 0, np.eye(2)[truth] * 9 - 4.5, np.array([[4.5, -4.5]]))
    probabilities = probabilities_of(sure, "single-label")  # of each pair the first frame is right
    found = judge_events(RECIPE, bursts, rows, probabilities, None)
    assert found is not None
    assert found.method == ("first" if chosen else "mean")
    events = pairs + 90 - 2 * pairs
    said = f"validation: {events} events of 15 locations, {pairs} of several photos"
    few = ": fewer than the 30 that a choice needs, so the mean is taken"
    assert found.selected_on == said + ("" if chosen else few)


def test_an_event_of_a_label_that_the_other_folds_lack_has_no_part_in_the_choice_of_pooling() -> None:
    selected, _, folds = drawn()
    truth = np.where(folds == 2, 1, 0)  # only the last fold has lynx
    table = selected.catalog.table.with_columns(
        pl.Series("event_id", [f"e{n // 2}" for n in range(90)]),
        pl.Series("labels", [[LABELS[one]] for one in truth]),
    )
    targets = np.eye(2, dtype=np.float32)[truth]
    bursts = replace(selected, catalog=selected.catalog.with_table(table), targets=targets)
    probabilities = np.tile([0.9, 0.1], (90, 1))
    found = judge_events(RECIPE, bursts, np.arange(90), probabilities, folds)
    assert found is not None
    assert found.calibration.temperature < 1, "hares are right, and lynx could not have been learnt"


def shifted_between_folds() -> tuple[Selected, np.ndarray, np.ndarray]:
    """Media of five folds whose offsets contradict one another, so that none learnt from others helps."""
    random = np.random.default_rng(5)
    folds = np.repeat(np.arange(5), 60)
    logits = random.normal(0, 2, (300, 2))
    truth = (random.random(300) < 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).astype(int)
    rows = pl.DataFrame(
        {
            "media_id": [f"m{n}" for n in range(300)],
            "file_path": [f"m{n}.jpg" for n in range(300)],
            "labels": [[LABELS[one]] for one in truth],
            "location_id": ["L"] * 300,
            "event_id": [f"e{n}" for n in range(300)],
            "split": ["train"] * 300,
        }
    )
    every, none = np.arange(300), np.empty(0, np.int64)
    targets = np.eye(2, dtype=np.float32)[truth]
    selected = Selected(Catalog.from_rows(rows, "/nowhere", "rows"), LABELS, targets, every, none)
    return selected, logits + np.outer(np.array([-3, -2, 0, 2, 4])[folds], [1, 0]), folds


def test_at_one_camera_a_calibration_is_chosen_over_the_folds_and_without_them_is_a_temperature() -> None:
    selected, logits, folds = shifted_between_folds()
    recipe = RECIPE.model_copy(update={"calibration": "auto"})
    assert judge(recipe, selected, np.arange(300), logits, Calibration(), folds=folds).calibration.method == (
        "temperature"
    )
    biased = logits + np.array([2.0, 0.0])  # all alike: an offset would help
    assert judge(recipe, selected, np.arange(300), biased, Calibration()).calibration.method == "temperature"
    alike, every = logits - np.outer(np.array([-3, -2, 0, 2, 4])[folds] - 2.0, [1, 0]), np.arange(300)
    by_fold = judge(recipe, selected, every, alike, Calibration(), folds=folds)
    assert by_fold.calibration.method == "labels", "five folds that agree may say so"
