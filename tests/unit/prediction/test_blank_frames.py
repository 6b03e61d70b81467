"""A visit says what was there; each of its frames says for itself whether anything is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import Catalog
from trapline.errors import UsageError
from trapline.models import Calibration, EventPooling
from trapline.prediction import Predictions, pool_events
from trapline.prediction.frames import apply_pooling, keep_blanks_of_frames
from trapline.prediction.table import FIXED

LABELS = ("blank", "fox", "hare")


def made(
    frames: Sequence[tuple[str | None, list[float] | None]],
    labels: tuple[str, ...] = LABELS,
    task: Any = "single-label",
) -> tuple[Predictions, Catalog]:
    """Predictions and their catalog from the event of each frame and what is said of it; None failed."""
    rows = [
        {"media_id": f"{n}", "file_path": f"{n}.jpg", "status": "failed" if said is None else "ok"}
        for n, (_, said) in enumerate(frames)
    ]
    numbers = pl.DataFrame(
        [said or [None] * len(labels) for _, said in frames],
        schema=dict.fromkeys(labels, pl.Float32),
        orient="row",
    )
    table = pl.DataFrame(rows, schema={**FIXED}).hstack(numbers)
    media = [
        {"media_id": f"{n}", "file_path": f"{n}.jpg", "event_id": event, "frame": n}
        for n, (event, _) in enumerate(frames)
    ]
    return Predictions(table, labels, "media", "f", task), Catalog.from_rows(media, ".", "rows")


WALKS_OUT = [("e", [0.02, 0.9, 0.08]), ("e", [0.1, 0.6, 0.3]), ("e", [0.97, 0.02, 0.01]), ("e", None)]


@pytest.mark.parametrize("how", ["mean", "max", "noisy-or", "mean-logit", "geometric-mean", "first"])
def test_a_frame_that_the_animal_has_left_stays_blank_beside_those_that_show_it(how: Any) -> None:
    made_of = made(WALKS_OUT)
    pooled = pool_events(*made_of, how=how)
    event = pool_events(*made_of, how=how, rows="event").probabilities()[0]
    said = pooled.probabilities()
    assert said[:3, 0] == pytest.approx([0.02, 0.1, 0.97])
    assert said[:3].sum(axis=1) == pytest.approx([1, 1, 1])
    assert said[:3, 1] / said[:3, 2] == pytest.approx([event[1] / event[2]] * 3, rel=1e-4), "what is there"
    assert np.isnan(said[3]).all()
    assert pooled.table["status"].to_list() == ["ok", "ok", "ok", "failed"]
    assert pooled.facts.pooled is not None
    assert pooled.facts.pooled.blanks == "own"
    asked = pool_events(*made_of, how=how, blanks="event")
    assert asked.probabilities()[:3] == pytest.approx(np.tile(event, (3, 1)))
    assert asked.facts.pooled is not None
    assert asked.facts.pooled.blanks == "event"


def test_of_several_labels_nothing_is_likelier_than_that_anything_is_there() -> None:
    frames = [("e", [0.3, 0.95, 0.9]), ("e", [0.2, 0.9, 0.1]), ("e", [0.99, 0.5, 0.0])]
    pooled = pool_events(*made(frames, task="multi-label"), how="max").probabilities()
    assert pooled[:, 0] == pytest.approx([0.3, 0.2, 0.99])
    assert (pooled[:, 1:] <= 1 - pooled[:, :1] + 1e-6).all()
    assert pooled[0, 1] == pytest.approx(0.7), "0.95 of 0.8 and more: surely, if anything is"


simplex = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda some: np.array(some) / sum(some))


@given(own=st.lists(simplex, min_size=2, max_size=5), event=simplex)
def test_frames_of_one_label_still_sum_to_one_and_keep_their_blank(
    own: list[np.ndarray], event: np.ndarray
) -> None:
    said = keep_blanks_of_frames(np.array(own), np.tile(event, (len(own), 1)), LABELS)
    assert said.sum(axis=1) == pytest.approx(np.ones(len(own)))
    assert said[:, 0] == pytest.approx(np.array(own)[:, 0])
    assert said[:, 1] * event[2] == pytest.approx(said[:, 2] * event[1])


def test_a_frame_of_an_event_that_is_surely_blank_keeps_its_own_word() -> None:
    own, event = np.array([[0.2, 0.7, 0.1], [1.0, 0.0, 0.0]]), np.array([[1.0, 0.0, 0.0]] * 2)
    assert keep_blanks_of_frames(own, event, LABELS) == pytest.approx(own)


def test_what_calibrates_events_leaves_the_blanks_of_frames_alone() -> None:
    sharper = EventPooling(method="mean", calibration=Calibration(method="temperature", temperature=0.5))
    predictions, catalog = made(WALKS_OUT)
    said = pool_events(predictions, catalog, how=sharper).probabilities()[:3]
    frames = predictions.probabilities()[:3].astype(np.float64)
    third, codes = np.full(3, 1 / 3), np.zeros(3, np.int64)
    event = apply_pooling(frames, third, codes, sharper, "single-label", LABELS)[0]
    assert said[:, 0] == pytest.approx([0.02, 0.1, 0.97])
    assert said[:, 1] / said[:, 2] == pytest.approx([event[1] / event[2]] * 3, rel=1e-4)


def test_a_model_without_blanks_says_its_events_of_all_their_frames() -> None:
    frames = [("e", [0.9, 0.1]), ("e", [0.5, 0.5])]
    plain = pool_events(*made(frames, ("fox", "hare")), how="mean")
    assert plain.table["fox"].to_list() == pytest.approx([0.7, 0.7])
    assert plain.facts.pooled is not None
    assert plain.facts.pooled.blanks == "event"
    with pytest.raises(UsageError, match="no label 'blank'"):
        pool_events(*made(frames, ("fox", "hare")), blanks="own")


def test_what_cannot_act_is_refused() -> None:
    with pytest.raises(UsageError, match="leave blanks out, or give rows 'media'"):
        pool_events(*made(WALKS_OUT), rows="event", blanks="event")
    with pytest.raises(UsageError, match="own or event, not 'both'"):
        pool_events(*made(WALKS_OUT), blanks="both")  # type: ignore[arg-type]
