"""Pooling photos into events: one answer an event, and no row lost."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.images import Preprocessing
from trapline.models import Calibration, Card, EventPooling
from trapline.prediction import ModelTree, PredictionFacts, Predictions, pool_events
from trapline.prediction.frames import apply_pooling, pool_column, pool_frames, pooled_logits
from trapline.prediction.location_answers import answer_by_location
from trapline.prediction.table import FIXED, fixed_columns
from trapline.taxonomy import Label, Taxon, Taxonomy

LABELS = ("hare", "lynx")


def make(rows: list[tuple[str, str | None, float | None]], boxes: dict[str, object] | None = None):
    """Predictions and their catalog from (media, event, probability of hare or None for failed)."""
    fixed = [
        {
            "media_id": media,
            "event_id": event,
            "file_path": f"{media}.jpg",
            "status": "failed" if p is None else "ok",
        }
        for media, event, p in rows
    ]
    table = pl.DataFrame(fixed, schema={**FIXED}).with_columns(
        pl.Series("hare", [p for _, _, p in rows], pl.Float32),
        pl.Series("lynx", [None if p is None else 1 - p for _, _, p in rows], pl.Float32),
    )
    predictions = Predictions(table, LABELS, "media", "fingerprint", "single-label")
    media = [
        {"media_id": media, "file_path": f"{media}.jpg", "event_id": event, "boxes": (boxes or {}).get(media)}
        for media, event, _ in rows
    ]
    return predictions, Catalog.from_rows(media, ".", "rows")


BOX = [{"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}]


def test_frames_of_an_event_share_the_mean_and_others_keep_their_own() -> None:
    predictions, catalog = make([("a", "e", 0.9), ("b", None, 0.3), ("c", "e", 0.5)])
    pooled = pool_events(predictions, catalog, how="mean")
    assert pooled.table["media_id"].to_list() == ["a", "b", "c"]
    assert pooled.table["hare"].to_list() == pytest.approx([0.7, 0.3, 0.7])


def test_the_geometric_mean_averages_logarithms_and_sums_to_one() -> None:
    predictions, catalog = make([("a", "e", 0.9), ("c", "e", 0.5)])
    hare, lynx = np.sqrt(0.9 * 0.5), np.sqrt(0.1 * 0.5)
    pooled = pool_events(predictions, catalog).table
    assert pooled["hare"].to_list() == pytest.approx([hare / (hare + lynx)] * 2, abs=1e-6)


def test_photos_without_a_box_weigh_less_but_count_where_there_is_nothing_else() -> None:
    rows = [("a", "e", 1.0), ("b", "e", 0.0), ("c", "f", 1.0), ("d", "f", 0.0)]
    boxes = {"a": BOX, "b": [], "c": [], "d": []}
    pooled = pool_events(*make(rows, boxes), how="mean", without_box=0.25).table
    assert pooled["hare"].to_list() == pytest.approx([0.8, 0.8, 0.5, 0.5])


def test_an_event_without_a_box_is_answered_by_what_its_place_showed_in_those_days() -> None:
    rows = [("a", "e", 0.9), ("b", "f", 0.7), ("c", "g", 0.1), ("d", "h", 0.2), ("z", "i", 0.3)]
    predictions, catalog = make(rows, {"a": BOX, "b": BOX, "c": BOX, "d": [], "z": []})
    days = [datetime(2020, 5, day) for day in (1, 20, 1, 10, 10)]
    places = pl.Series(["north", "north", "south", "north", "east"])
    catalog = catalog.with_table(
        catalog.table.with_columns(location_id=places, camera_time=pl.Series(days, dtype=pl.Datetime("ms")))
    )
    near = pool_events(predictions, catalog, place_days=9)
    assert near.table["hare"].to_list() == pytest.approx([0.9, 0.7, 0.1, (0.9 + 0.5) / 2, 0.3])
    wide = pool_events(predictions, catalog, place_days=10)
    assert wide.table["hare"][3] == pytest.approx((0.9 + 0.7 + 0.5) / 3)
    assert wide.facts.pooled.place_days == 10
    with pytest.raises(UsageError, match="above 0"):
        pool_events(predictions, catalog, place_days=0)
    blank = replace(predictions, labels=("blank", "lynx"), table=predictions.table.rename({"hare": "blank"}))
    with pytest.raises(UsageError, match="knows blanks"):
        pool_events(blank, catalog, place_days=9)


@given(st.data(), st.integers(1, 30))
def test_what_a_place_says_is_the_mean_of_its_seen_events_near_in_time(
    data: st.DataObject, size: int
) -> None:
    draw = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    pooled = draw.dirichlet(np.ones(3), size)
    pooled[draw.random(size) < 0.1] = np.nan
    seen, places = draw.random(size) < 0.6, draw.integers(-1, 3, size)
    times = np.where(draw.random(size) < 0.1, np.nan, draw.integers(0, 40, size))
    found = answer_by_location(pooled, seen, places, times, 7)
    for event in range(size):
        near = (places == places[event]) & seen & (np.abs(times - times[event]) <= 7)
        near &= np.isfinite(pooled).all(axis=1) & (places >= 0)
        if seen[event] or not near.any() or not np.isfinite(pooled[event]).all():
            assert np.array_equal(found[event], pooled[event], equal_nan=True)
        else:
            expected = (pooled[near].sum(axis=0) + 1 / 3) / (near.sum() + 1)
            assert found[event] == pytest.approx(expected)


def test_a_failed_photo_stays_failed_and_does_not_count() -> None:
    predictions, catalog = make([("a", "e", 0.9), ("b", "e", None), ("c", "f", None)])
    media = pool_events(predictions, catalog, how="mean")
    assert media.table["status"].to_list() == ["ok", "failed", "failed"]
    assert media.table["hare"].to_list() == pytest.approx([0.9, None, None], nan_ok=True)
    events = pool_events(predictions, catalog, how="mean", rows="event").table
    assert events["event_id"].to_list() == ["e", "f"]
    assert events["status"].to_list() == ["ok", "failed"]
    assert events["reason"].to_list() == ["1 of 2 media failed", "1 of 1 media failed"]


def test_a_mean_at_the_nodes_needs_a_tree() -> None:
    with pytest.raises(UsageError, match="these predictions have no taxonomy"):
        pool_events(*make([("a", "e", 0.5)]), how="node-mean")


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(0, 1, width=32)), min_size=1, max_size=12))
def test_pooled_rows_stay_probabilities_between_the_extremes_of_their_event(
    rows: list[tuple[str, float]],
) -> None:
    media = [(str(number), event, p) for number, (event, p) in enumerate(rows)]
    for how in ("mean", "geometric-mean", "mean-logit", "max"):
        pooled = pool_events(*make(media), how=how)
        values = pooled.probabilities()
        assert np.allclose(values.sum(axis=1), 1, atol=1e-5)
        for (_, event, _), value in zip(media, values[:, 0], strict=True):
            if how == "max":  # of two labels, scaled to sum to 1
                continue
            of_event = [p for _, other, p in media if other == event]
            assert min(of_event) - 1e-5 <= value <= max(of_event) + 1e-5


SEVERAL = ("blank", "hare")


def frames(*rows: tuple[str, float, float]) -> tuple[Predictions, Catalog]:
    """Multi-label predictions and their catalog from (event, blank, hare)."""
    predictions, catalog = make([(str(n), event, 0.5) for n, (event, _, _) in enumerate(rows)])
    columns = {"blank": [row[1] for row in rows], "hare": [row[2] for row in rows]}
    table = predictions.table.drop(LABELS).hstack(
        pl.DataFrame(columns, schema_overrides=dict.fromkeys(columns, pl.Float32))
    )
    return Predictions(table, SEVERAL, "media", "fingerprint", "multi-label"), catalog


@pytest.mark.parametrize(
    ("how", "blank", "hare"),
    [
        ("mean", 0.5, 0.4),
        ("max", 0.1, 0.7),  # blank only if all frames are
        ("noisy-or", 0.9 * 0.1, 1 - 0.9 * 0.3),
        ("mean-logit", 0.5, 1 / (1 + np.sqrt(9 * 3 / 7))),
        ("geometric-mean", np.sqrt(0.9 * 0.1), np.sqrt(0.1 * 0.7)),
    ],
)
def test_each_way_of_pooling_several_labels(how: str, blank: float, hare: float) -> None:
    pooled = pool_events(*frames(("e", 0.9, 0.1), ("e", 0.1, 0.7)), how=how, rows="event")  # type: ignore[arg-type]
    assert pooled.probabilities()[0] == pytest.approx([blank, hare], abs=1e-6)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_events_of_which_all_frames_are_sure_have_finite_logits(task: str) -> None:
    sure = np.tile([[0.0, 1.0]], (9, 1))
    columns = [
        pool_column(sure[:, index], np.full(9, 1 / 9), np.zeros(9, np.int64), "noisy-or", label)
        for index, label in enumerate(SEVERAL)
    ]
    assert np.isfinite(pooled_logits(np.stack(columns, axis=1), task)).all()


def test_the_first_frame_is_that_which_was_shot_first_wherever_its_row_is() -> None:
    rows = [("c", "e", 0.3), ("x", "f", 0.8), ("a", "e", None), ("b", "e", 0.6), ("y", "f", 0.1)]
    predictions, catalog = make(rows)
    frames = pl.Series("frame", [3, None, 1, 2, 2])
    catalog = catalog.with_table(catalog.table.with_columns(frames))
    events = pool_events(predictions, catalog, how="first", rows="event").table
    assert events["event_id"].to_list() == ["e", "f"], "events stay in the order of the rows"
    assert events["hare"].to_list() == pytest.approx([0.6, 0.1]), "frame 1 of e failed"
    media = pool_events(predictions, catalog, how="first").table
    assert media["media_id"].to_list() == ["c", "x", "a", "b", "y"]
    assert media["hare"].to_list() == pytest.approx([0.6, 0.1, None, 0.6, 0.1])


def test_what_the_card_says_of_events_travels_with_the_predictions_and_is_applied() -> None:
    predictions, catalog = frames(("e", 0.9, 0.1), ("e", 0.1, 0.7))
    calibration = Calibration(method="labels", slopes=(1.0, 2.0), offsets=(0.0, 0.5))
    event = EventPooling(method="mean", by_label={"hare": "max"}, calibration=calibration)
    told = Predictions(predictions.table, SEVERAL, "media", "f", "multi-label", PredictionFacts(event=event))
    odds = np.exp(2 * np.log(0.7 / 0.3) + 0.5)
    given = pool_events(predictions, catalog, how=event, blanks="event")
    for pooled in (pool_events(told, catalog, rows="event"), given):
        assert pooled.probabilities()[0] == pytest.approx([0.5, odds / (1 + odds)], abs=1e-6)
    overruled = pool_events(told, catalog, how="mean", rows="event")
    assert overruled.probabilities()[0] == pytest.approx([0.5, 0.4], abs=1e-6)


def test_what_cannot_be_pooled_says_why() -> None:
    predictions, catalog = make([("a", "e", 0.9), ("b", "e", 0.5)])
    with pytest.raises(UsageError, match="geometric-mean"):
        pool_events(predictions, catalog, how="guess")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="not in the catalog"):
        pool_events(predictions, catalog.filter(pl.col("media_id") == "a"))
    events = pool_events(predictions, catalog, rows="event")
    with pytest.raises(DataError, match="of events"):
        pool_events(events, catalog)


def test_boxes_of_a_media_are_pooled_and_skipped_ones_do_not_count() -> None:
    _, catalog = make([("a", "e", 0.5), ("b", "e", 0.5), ("c", None, 0.5)])
    rows = [("a", 0, 0.9), ("a", 1, 0.5), ("a", 2, None), ("b", 0, 0.1), ("c", 0, 0.2), ("c", 1, 0.4)]
    columns = fixed_columns("box")
    fixed = {name: [None] * len(rows) for name in columns}
    fixed |= {"media_id": [row[0] for row in rows], "box": [row[1] for row in rows]}
    fixed["status"] = ["skipped" if p is None else "ok" for _, _, p in rows]
    table = pl.DataFrame(fixed, columns).with_columns(
        pl.Series("hare", [p for _, _, p in rows], pl.Float32),
        pl.Series("lynx", [None if p is None else 1 - p for _, _, p in rows], pl.Float32),
    )
    boxes = Predictions(table, LABELS, "box", "fingerprint", "single-label")
    pooled = pool_events(boxes, catalog, how="mean", rows="event")
    assert pooled.table["event_id"].to_list() == ["e", None]
    assert pooled.table["hare"].to_list() == pytest.approx([0.5, 0.3])
    assert pooled.table["reason"].to_list() == [None, None]
    with pytest.raises(UsageError, match="rows 'event'"):
        pool_events(boxes, catalog, how="mean")


EVERY_WAY = ("mean", "max", "noisy-or", "mean-logit", "geometric-mean", "first")


@pytest.mark.parametrize("how", EVERY_WAY)
@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_an_event_is_answered_as_if_its_failed_photos_had_never_been_taken(how: str, task: str) -> None:
    shot = [("a", "e", 0.9), ("b", "e", 0.6), ("c", "f", 0.2)]
    failed = [("x", "e", None), *shot[:1], ("y", "e", None), *shot[1:], ("z", "f", None)]
    boxes = {"a": BOX, "b": [], "c": [], "x": BOX, "y": [], "z": BOX}
    pooled = [
        pool_events(replace(predictions, task=task), catalog, how=how, without_box=0.5, rows="event").table  # type: ignore[arg-type]
        for predictions, catalog in (make(shot, boxes), make(failed, boxes))
    ]
    assert pooled[1].select(LABELS).equals(pooled[0].select(LABELS))
    assert pooled[1]["reason"].to_list() == ["2 of 4 media failed", "1 of 2 media failed"]
    assert pooled[0]["reason"].to_list() == [None, None]


def test_a_good_photo_without_weight_still_speaks_for_an_event_whose_others_failed() -> None:
    rows = [("a", "e", 0.9), ("b", "e", None), ("c", "f", 0.3), ("d", "f", 0.7)]
    boxes = {"a": [], "b": BOX, "c": [], "d": BOX}
    pooled = pool_events(*make(rows, boxes), how="mean", without_box=0.0, rows="event").table
    assert pooled["hare"].to_list() == pytest.approx([0.9, 0.7])
    assert pooled["status"].to_list() == ["ok", "ok"]


def test_pooled_events_have_the_columns_of_predictions_and_say_how_they_were_made() -> None:
    predictions, catalog = make([("a", None, 0.9), ("b", "e", 0.6), ("c", "e", None)])
    told = replace(predictions, facts=PredictionFacts(others={"more": 1}))
    pooled = pool_events(told, catalog, how="max", rows="event")
    assert pooled.level == "event"
    assert (pooled.model, pooled.task, pooled.labels) == ("fingerprint", "single-label", LABELS)
    assert pooled.table.select(*FIXED).rows() == [
        ("a", None, None, None, "ok", None),
        (None, "e", None, None, "ok", "1 of 2 media failed"),
    ]
    assert pooled.facts.as_json() == {
        "more": 1,
        "pooled": {
            "how": {"method": "max", "by_label": {}, "selected_on": ""},
            "without_box": 1.0,
            "place_days": None,
        },
    }
    media = pool_events(predictions, catalog)
    assert media.level == "media"
    assert media.table["event_id"].to_list() == [None, "e", "e"], "of the catalog"
    assert media.facts.pooled is not None
    assert media.facts.pooled.how.method == "mean-logit"


@pytest.mark.parametrize("weight", [-0.01, 1.01])
def test_a_weight_of_photos_without_a_box_is_a_share(weight: float) -> None:
    made = make([("a", "e", 0.9)])
    with pytest.raises(UsageError, match="from 0 to 1"):
        pool_events(*made, without_box=weight)
    for edge in (0, 1):
        assert pool_events(*made, without_box=edge).table["hare"].to_list() == pytest.approx([0.9])
    with pytest.raises(UsageError, match="media or event"):
        pool_events(*made, rows="box")  # type: ignore[arg-type]


def test_a_place_answers_by_events_up_to_and_at_the_last_day_and_only_for_what_it_can() -> None:
    pooled = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.5, 0.5]])
    seen, places = np.array([True, True, False, False]), np.array([0, 0, 0, -1])
    found = answer_by_location(pooled, seen, places, np.array([0.0, 10.0, 5.0, 5.0]), 5.0)
    assert found[2] == pytest.approx([(0.8 + 0.4 + 0.5) / 3, (0.2 + 0.6 + 0.5) / 3])
    assert np.array_equal(found[[0, 1, 3]], pooled[[0, 1, 3]])
    near = answer_by_location(pooled, seen, places, np.array([0.0, 10.0, 5.1, 5.0]), 5.0)
    assert near[2] == pytest.approx([(0.4 + 0.5) / 2, (0.6 + 0.5) / 2])
    assert np.array_equal(answer_by_location(pooled, seen, places, np.array([0, 10, 5, 5.0]), 4.9), pooled)


def test_a_place_of_several_labels_is_no_answer() -> None:
    predictions, catalog = make([("a", "e", 0.9)])
    with pytest.raises(UsageError, match="several labels"):
        pool_events(replace(predictions, task="multi-label"), catalog, place_days=9)
    with pytest.raises(UsageError, match="above 0"):
        pool_events(predictions, catalog, place_days=-1)
    assert pool_events(predictions, catalog, place_days=0.5).table["hare"].to_list() == pytest.approx([0.9])


def test_an_event_is_seen_where_any_of_its_photos_has_a_box_and_is_of_its_mean_day() -> None:
    rows = [("a", "e", 0.9), ("b", "e", 0.9), ("c", "f", 0.2), ("d", "g", 0.6)]
    predictions, catalog = make(rows, {"a": [], "b": BOX, "c": [], "d": None})
    days = [datetime(2020, 5, day) for day in (1, 3, 10, 18)]
    times = pl.Series(days, dtype=pl.Datetime("ms"))
    catalog = catalog.with_table(catalog.table.with_columns(location_id=pl.lit("A"), camera_time=times))
    for place_days, expected in ((7.9, 0.2), (8, (0.9 + 0.6 + 0.5) / 3)):  # without a detector all are seen
        found = pool_events(predictions, catalog, how="mean", place_days=place_days).table
        assert found["hare"].to_list() == pytest.approx([0.9, 0.9, expected, 0.6])


def test_more_than_five_strangers_are_told_by_the_first_five() -> None:
    predictions, catalog = make([(f"m{number}", "e", 0.9) for number in range(7)])
    with pytest.raises(DataError, match=r"6 predicted media .*: m1, m2, m3, m4, m5\. Give"):
        pool_events(predictions, catalog.filter(pl.col("media_id") == "m0"))


def test_events_of_a_single_label_are_scaled_then_calibrated() -> None:
    made = make([("a", "e", 0.9), ("b", "e", 0.3)])
    calibration = Calibration(method="temperature", temperature=2.0)
    pooled = pool_events(*made, how=EventPooling(method="max", calibration=calibration), rows="event")
    shares = np.sqrt([0.9 / 1.6, 0.7 / 1.6])
    assert pooled.probabilities()[0] == pytest.approx(shares / shares.sum(), abs=1e-6)


def test_certain_frames_leave_an_event_answered() -> None:
    for how in EVERY_WAY:
        pooled = pool_events(*make([("a", "e", 0.0), ("b", "e", 1.0)]), how=how, rows="event")  # type: ignore[arg-type]
        assert pooled.probabilities().sum() == pytest.approx(1), how
    sure = pool_events(*make([("a", "e", 1.0), ("b", "e", 1.0)]), how="mean-logit", rows="event")
    assert sure.probabilities()[0] == pytest.approx([1, 0], abs=2e-7)
    assert sure.probabilities()[0, 1] == pytest.approx(1e-7, rel=0.1)


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5), st.sampled_from(EVERY_WAY))
def test_the_frames_of_one_event_are_pooled_as_a_table_of_them_is(chances: list[float], how: str) -> None:
    values = np.array([[one, 1 - one] for one in chances], np.float32)
    card = Card(
        name="m",
        task="multi-label",
        labels=("blank", "hare"),
        preprocessing=Preprocessing(height=8, width=8),
        embedding_size=4,
        event=EventPooling(method=how),  # type: ignore[arg-type]
    )
    alone = pool_frames(values, card)
    told = frames(*(("e", float(blank), float(hare)) for blank, hare in values))
    table = pool_events(*told, how=how, rows="event").probabilities()[0]  # type: ignore[arg-type]
    assert alone == pytest.approx(table, abs=1e-6)
    usual = pool_frames(values, card.model_copy(update={"event": None}))
    assert usual == pytest.approx(pool_events(*told, rows="event").probabilities()[0], abs=1e-6)


def test_an_event_without_a_good_frame_has_no_answer_and_one_that_failed_says_nothing() -> None:
    values = np.array([[0.9, 0.1], [np.nan, np.nan], [np.nan, np.nan]])
    weights, codes = np.array([1.0, 0.0, 0.0]), np.array([0, 0, 1])
    for how in EVERY_WAY:
        pooling = EventPooling(method=how)  # type: ignore[arg-type]
        found = apply_pooling(values, weights, codes, pooling, "single-label", LABELS)
        assert found[0] == pytest.approx([0.9, 0.1])
        assert np.isnan(found[1]).all()
    calibration = Calibration(blank_kept=0.25, method="temperature", temperature=1.0)
    restored = apply_pooling(
        np.array([[0.5, 0.6]]),
        np.ones(1),
        np.zeros(1, int),
        EventPooling(calibration=calibration),
        "multi-label",
        SEVERAL,
    )
    assert restored[0] == pytest.approx([0.5 / 0.625, 0.6 * 0.25 / 0.625])


def test_no_frame_is_quite_certain() -> None:
    for method in ("mean", "max", "noisy-or", "first"):
        found = pool_column(np.array([1.0, 0.0]), np.ones(2), np.array([0, 1]), method)  # type: ignore[arg-type]
        assert found == pytest.approx([1 - 1e-7, 1e-7], abs=1e-12), method


def test_frames_of_one_label_are_scaled_to_sum_to_1_and_stay_float32() -> None:
    card = Card(
        name="m",
        task="single-label",
        labels=LABELS,
        preprocessing=Preprocessing(height=8, width=8),
        embedding_size=4,
        event=EventPooling(method="max"),
    )
    found = pool_frames(np.array([[0.9, 0.1], [0.3, 0.7]], np.float32), card)
    assert found == pytest.approx([0.9 / 1.6, 0.7 / 1.6])
    assert found.dtype == np.float32


def test_an_event_of_no_known_place_is_answered_by_none() -> None:
    predictions, catalog = make([("a", "e", 0.9), ("b", "f", 0.2)], {"a": BOX, "b": []})
    times = pl.Series([datetime(2020, 5, 1)] * 2, dtype=pl.Datetime("ms"))
    catalog = catalog.with_table(
        catalog.table.with_columns(location_id=pl.Series(["A", None]), camera_time=times)
    )
    found = pool_events(predictions, catalog, how="mean", place_days=9).table
    assert found["hare"].to_list() == pytest.approx([0.9, 0.2])


def test_a_mean_at_the_nodes_is_that_of_the_tree_which_the_predictions_carry() -> None:
    predictions, catalog = make([("a", "e", 0.9), ("b", "e", 0.5)])
    taxa = {name: Taxon(name, "genus") for name in LABELS}
    tree = Taxonomy(taxa, {name: Label(name, "animal", name) for name in LABELS})
    told = replace(predictions, facts=PredictionFacts(taxonomy=ModelTree.from_json(tree.to_json(), "here")))
    pooled = pool_events(told, catalog, how="node-mean", rows="event")
    assert pooled.probabilities()[0] == pytest.approx([0.7, 0.3])
    assert pooled.facts.pooled is not None
    assert pooled.facts.pooled.how.as_json() == {"method": "node-mean", "by_label": {}, "selected_on": ""}
