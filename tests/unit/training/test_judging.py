"""Figures of folds are as honest as those of new locations: nothing of a fold decides how it is judged."""

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
