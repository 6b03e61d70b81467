"""Truth and predictions are joined by id and by name, and nothing goes missing unsaid."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog, LeakCheck, SplitRecord, fingerprint, identify
from trapline.errors import DataError, UsageError
from trapline.evaluation import Evaluation, compare, evaluate
from trapline.models import TrainedOn
from trapline.prediction import PredictionFacts, Predictions, pool_events
from trapline.prediction.table import BOX_COLUMNS, FIXED

LABELS = ("blank", "hare", "lynx")


def catalog_of(rows: list[dict[str, Any]]) -> Catalog:
    full = [{"file_path": f"{row['media_id']}.jpg", **row} for row in rows]
    return Catalog.from_rows(pl.DataFrame(full, infer_schema_length=None), "/photos", "rows")


def predictions_of(
    said: dict[str, list[float] | None],
    labels: tuple[str, ...] = LABELS,
    task: str = "single-label",
    **info: Any,
) -> Predictions:
    ids = list(said)
    failed = [said[one] is None for one in ids]
    fixed = pl.DataFrame(
        {
            "media_id": ids,
            "event_id": [None] * len(ids),
            "box": [None] * len(ids),
            "file_path": [f"{one}.jpg" for one in ids],
            "status": ["failed" if bad else "ok" for bad in failed],
            "reason": ["truncated" if bad else None for bad in failed],
        },
        schema_overrides={"event_id": pl.String, "box": pl.Int64, "reason": pl.String},
    )
    numbers = {
        label: pl.Series([None if said[one] is None else said[one][place] for one in ids], dtype=pl.Float32)  # type: ignore[index]
        for place, label in enumerate(labels)
    }
    return Predictions(
        fixed.hstack(pl.DataFrame(numbers)), labels, "media", "f" * 64, task, PredictionFacts(**info)
    )  # type: ignore[arg-type]


def world(locations: int = 6, each: int = 10, seed: int = 0) -> tuple[Catalog, Predictions]:
    """Locations of `each` media; the first half of them trained on, with part `train`, the rest `test`."""
    random = np.random.default_rng(seed)
    rows, said = [], {}
    for place in range(locations):
        for number in range(each):
            media_id, label = f"m{place}-{number}", int(random.integers(0, 3))
            part = "train" if place < locations // 2 else "test"
            rows.append(
                {"media_id": media_id, "labels": [LABELS[label]], "location_id": f"L{place}", "split": part}
            )
            values = random.dirichlet(np.ones(3)) + 0.8 * np.eye(3)[label]
            said[media_id] = (values / values.sum()).tolist()
    return catalog_of(rows), predictions_of(said)


def test_labels_are_joined_by_name_and_rows_by_id_whatever_their_order() -> None:
    catalog, predictions = world()
    turned = Predictions(
        predictions.table.reverse().select(*predictions.table.columns[:6], "lynx", "blank", "hare"),
        ("lynx", "blank", "hare"),
        "media",
        predictions.model,
        predictions.task,
    )
    first, second = evaluate(catalog, predictions, samples=20), evaluate(catalog, turned, samples=20)
    assert first.metrics.keys() == second.metrics.keys()
    for name, interval in first.metrics.items():
        assert second.metrics[name].value == pytest.approx(interval.value)
    by_label = {one.label: one for one in second.per_label}
    for one in first.per_label:
        assert by_label[one.label].recall == one.recall


def test_figures_are_those_of_the_joined_rows() -> None:
    catalog = catalog_of(
        [
            {"media_id": "a", "labels": ["hare"], "location_id": "L1"},
            {"media_id": "b", "labels": ["lynx"], "location_id": "L1"},
            {"media_id": "c", "labels": ["hare"], "location_id": "L2"},
            {"media_id": "d", "labels": None, "location_id": "L2"},
            {"media_id": "e", "labels": ["hare"], "location_id": "L2"},
        ]
    )
    predictions = predictions_of(
        {"a": [0.1, 0.8, 0.1], "b": [0.2, 0.5, 0.3], "c": [0, 0.9, 0.1], "d": [1, 0, 0], "e": None}
    )
    found = evaluate(catalog, predictions, samples=100)
    assert found.metrics["accuracy"].value == pytest.approx(2 / 3)
    assert found.metrics["log_loss"].value == pytest.approx(-np.log([0.8, 0.3, 0.9]).mean(), rel=1e-6)
    assert found.confusion == ((0, 0, 0), (0, 2, 0), (0, 1, 0))
    assert (found.counts.media, found.counts.evaluated) == (5, 3)
    assert (found.counts.unlabelled, found.counts.failed) == (1, 1)
    assert found.failures == {"truncated": 1}
    text = " ".join(found.notes)
    for said in ("1 of 5 media could not be read", "1 of 5 media have no label", "has the label blank"):
        assert said in text
    (mistake,) = found.mistakes
    assert (mistake.media_id, mistake.truth, mistake.said) == ("b", ("lynx",), ("hare",))
    assert mistake.truth_probability == pytest.approx(0.3, rel=1e-6)
    assert [(one.location, one.media, one.accuracy) for one in found.per_location] == [
        ("L1", 2, 0.5),
        ("L2", 1, 1.0),
    ]


def test_seen_and_unseen_locations_stand_side_by_side() -> None:
    catalog, predictions = world()
    everything = evaluate(catalog, predictions, samples=50)
    assert everything.seen is not None
    assert everything.unseen is not None
    assert (everything.seen.media, everything.unseen.media) == (30, 30)
    alone = evaluate(catalog, predictions, part="test", samples=50)
    assert alone.seen is None
    assert alone.unseen is not None
    assert alone.unseen.metrics["accuracy"].value == everything.unseen.metrics["accuracy"].value
    named = evaluate(catalog, predictions, training=["L5"], samples=50)
    assert named.seen is not None
    assert {one.location for one in named.per_location if one.seen} == {"L5"}


def test_without_a_split_no_location_is_called_unseen() -> None:
    catalog, predictions = world()
    found = evaluate(catalog.with_table(catalog.table.drop("split")), predictions, samples=20)
    assert (found.seen, found.unseen, found.leak.checked) == (None, None, False)
    assert "not known which locations" in " ".join(found.notes)


def test_what_was_trained_on_and_is_judged_is_called_a_leak() -> None:
    catalog, predictions = world()
    assert evaluate(catalog, predictions, part="test", samples=20).leak.findings == ()
    (finding,) = evaluate(catalog, predictions, samples=20).leak.findings
    assert "30 of 60 evaluated media were themselves trained on" in finding


def test_locations_in_training_and_evaluation_are_a_leak() -> None:
    catalog, predictions = world()
    swapped = pl.when(pl.col("media_id") == "m0-0").then(pl.lit("test")).otherwise("split").alias("split")
    found = evaluate(
        catalog.with_table(catalog.table.with_columns(swapped)), predictions, part="test", samples=20
    )
    assert len(found.leak.findings) == 1
    assert "1 location has media in training and evaluation (L0)" in found.leak.findings[0]


def test_one_camera_judged_later_is_no_leak_and_stands_in_a_box_above_the_figures() -> None:
    catalog, predictions = world()
    alone = catalog.with_table(catalog.table.with_columns(pl.lit("L0").alias("location_id")))
    facts = PredictionFacts(trained_on=(TrainedOn(parts=("train",), split="another", only_location="L0"),))
    found = evaluate(alone, predictions, part="test", samples=20)
    assert found.leak.findings == ()
    about = [note for note in found.notes if "camera" in note or "carry" in note or "locations" in note]
    assert about == [], "it is said once"
    (box,) = found.few_locations
    assert box.startswith("These figures were measured at one location (L0)")
    assert found.new_locations == {}
    elsewhere = catalog.with_table(catalog.table.drop("split"))
    (told,) = evaluate(elsewhere, replace(predictions, facts=facts), samples=20).few_locations
    assert told.startswith("The model was measured at one location (L0)"), (
        "of older versions' predictions too"
    )
    assert told.endswith("This is such an evaluation, at 6 locations.")


@pytest.mark.parametrize(("locations", "told"), [(1, True), (4, True), (10, False)])
def test_too_few_locations_stand_above_the_figures_and_enough_tell_of_new_ones(
    locations: int, told: bool
) -> None:
    catalog, predictions = world(locations=locations)
    found = evaluate(catalog, predictions, training=[], samples=20)
    assert bool(found.few_locations) == told
    assert ("FEW LOCATIONS: These figures were measured at" in found.to_text()) == told
    assert bool(found.new_locations) != told
    assert Evaluation.model_validate_json(found.model_dump_json()) == found.model_copy(update={"root": None})
    if not told:
        one, ten = found.new_locations["accuracy"]
        assert (one.locations, ten.locations) == (1, 10)
        assert one.low <= ten.low <= found.metrics["accuracy"].value <= ten.high <= one.high
        assert "New locations: Accuracy" in found.to_text()
        assert "the mean over locations like these); at one new location" in found.to_text()


def test_locations_that_were_trained_on_tell_nothing_of_new_ones() -> None:
    catalog, predictions = world(locations=20)
    every = [f"L{number}" for number in range(20)]
    assert evaluate(catalog, predictions, training=every, samples=20).new_locations == {}
    some = evaluate(catalog, predictions, training=every[:10], samples=20)
    assert some.new_locations
    assert some.unseen is not None
    value = some.unseen.metrics["accuracy"].value
    assert f"New locations (by 10 of those judged): Accuracy {value:.3f}" in some.to_text()
    assert value != some.metrics["accuracy"].value


def test_nothing_is_said_of_new_locations_where_it_is_not_known_which_were_trained_on() -> None:
    catalog, predictions = world(locations=20)
    unknown = catalog.with_table(catalog.table.drop("split"))
    assert evaluate(unknown, predictions, samples=20).new_locations == {}
    by_folds = replace(predictions, facts=replace(predictions.facts, held_out_by="location"))
    assert evaluate(unknown, by_folds, samples=20).new_locations


def test_seasons_of_one_camera_claim_no_locations() -> None:
    catalog, predictions = world()
    seasons = pl.Series("season", [f"S{number % 4}" for number in range(len(catalog))])
    one = catalog.with_table(catalog.table.with_columns(pl.lit("L0").alias("location_id"), seasons))
    found = evaluate(one, predictions, training=[], over="season", samples=20)
    assert found.metrics["accuracy"].low is not None
    assert found.new_locations == {}
    assert any("over seasons, not locations" in note or "only 4 seasons" in note for note in found.notes)


def test_a_split_in_order_of_time_shares_locations_on_purpose_in_the_report_too() -> None:
    catalog, predictions = world()
    later = pl.when(pl.col("media_id").str.ends_with("-0")).then(pl.lit("test")).otherwise(pl.lit("train"))
    by_date = catalog.with_table(
        catalog.table.with_columns(later.alias("split"), event_id=pl.col("media_id"))
    )
    record = SplitRecord(by="date", method="ratios", fingerprint="f", leaks=LeakCheck())
    found = evaluate(
        replace(by_date, facts=replace(by_date.facts, split=record)), predictions, part="test", samples=20
    )
    assert found.leak.findings == ()
    assert "at known locations at other times, not at new ones" in found.notes[0]


def test_training_in_another_catalog_is_compared_too() -> None:
    catalog, predictions = world()
    test = catalog.filter(pl.col("split") == "test")
    train = catalog.filter(pl.col("split") == "train")
    found = evaluate(test, predictions, training=train, samples=20, allow_unmatched=True)
    assert found.leak.checked
    assert found.leak.findings == ()
    assert found.constants[1].meaning == "the label frequencies of the training media"


def trained(predictions: Predictions, split: str, *parts: str) -> Predictions:
    return replace(predictions, facts=PredictionFacts(trained_on=(TrainedOn(parts=parts, split=split),)))


def test_a_final_fit_on_everything_makes_of_validation_what_was_trained_on() -> None:
    catalog, predictions = world()
    last = pl.when(pl.col("location_id") == "L2").then(pl.lit("validation")).otherwise("split")
    catalog = catalog.with_table(catalog.table.with_columns(last.alias("split")))
    alone = trained(predictions, fingerprint(catalog), "train")
    assert evaluate(catalog, alone, part="validation", samples=20).unseen is not None
    whole = trained(predictions, fingerprint(catalog), "train", "validation")
    found = evaluate(catalog, whole, part="validation", samples=20)
    assert found.unseen is None
    assert "10 of 10 evaluated media were themselves trained on" in found.leak.findings[0]
    test = evaluate(catalog, whole, part="test", samples=20)
    assert (test.seen, test.leak.findings) == (None, ())
    no_split = catalog.with_table(catalog.table.drop("split"))
    whole = trained(predictions, fingerprint(no_split), "train", "validation")
    assert "60 of 60" in evaluate(no_split, whole, samples=20).leak.findings[0]


def test_photos_predicted_fold_by_fold_are_no_leak_and_of_unseen_locations_if_those_were_the_folds() -> None:
    catalog, predictions = world()
    by_location = evaluate(
        catalog, replace(predictions, facts=PredictionFacts(held_out_by="location")), samples=20
    )
    assert by_location.leak.checked
    assert by_location.leak.findings == ()
    assert by_location.unseen is not None
    assert by_location.seen is None
    by_event = evaluate(catalog, replace(predictions, facts=PredictionFacts(held_out_by="event")), samples=20)
    assert by_event.leak.findings == ()
    assert (by_event.seen, by_event.unseen) == (None, None)


def test_in_a_catalog_split_anew_seen_and_unseen_cannot_be_told() -> None:
    catalog, predictions = world()
    told = trained(predictions, fingerprint(catalog), "train")
    swapped = pl.when(pl.col("split") == "train").then(pl.lit("test")).otherwise(pl.lit("train"))
    anew = catalog.with_table(catalog.table.with_columns(swapped.alias("split")))
    found = evaluate(anew, told, part="test", samples=20)
    assert (found.seen, found.unseen, found.leak.checked) == (None, None, False)
    assert "WARNING: The model was trained with another split" in found.to_text()
    known = evaluate(anew, told, training=catalog, part="test", samples=20)
    assert "30 of 30" in known.leak.findings[0]


def test_a_calibration_out_of_fold_is_said_on_all_but_the_test_part() -> None:
    catalog, predictions = world()
    told = replace(predictions, facts=PredictionFacts(calibration="out of fold: 30 media at 3 locations"))
    notes = {part: evaluate(catalog, told, part=part, samples=20).notes for part in ("train", "test")}
    said = {part: any("calibrated on out of fold" in note for note in some) for part, some in notes.items()}
    assert said == {"train": True, "test": False}


def test_constants_are_measured_on_the_same_media() -> None:
    catalog, predictions = world(locations=8, each=30)
    constants = {one.name: one for one in evaluate(catalog, predictions, part="test", samples=20).constants}
    assert constants["uniform"].metrics["log_loss"] == pytest.approx(np.log(3))
    assert constants["uniform"].metrics["macro_auc"] == 0.5
    truth = catalog.part("test").table["labels"].list.first()
    counts = catalog.part("train").table["labels"].list.first().value_counts(sort=True)
    favourite = counts["labels"][0]
    assert favourite in constants["majority"].meaning
    assert constants["majority"].metrics["accuracy"] == pytest.approx((truth == favourite).mean())


def test_a_constant_guess_of_several_labels_says_blank_alone_as_a_model_does() -> None:
    shown = ["blank", "hare", "blank", "blank"]
    rows = [{"media_id": f"{n}", "labels": [one], "location_id": f"L{n}"} for n, one in enumerate(shown)]
    said = {f"{n}": [0.5, 0.5, 0.5] for n in range(4)}
    found = evaluate(catalog_of(rows), predictions_of(said, task="multi-label"), samples=20)
    uniform = next(one for one in found.constants if one.name == "uniform")
    assert uniform.metrics["subset_accuracy"] == found.metrics["subset_accuracy"].value == 0.75


def test_one_location_has_no_interval_and_says_so_but_events_give_one() -> None:
    catalog, predictions = world(locations=1, each=40)
    event = (pl.int_range(pl.len()) // 2).cast(pl.String).alias("event_id")
    catalog = catalog.with_table(catalog.table.drop("event_id").with_columns(event))
    found = evaluate(catalog, predictions, samples=50, over="location")
    assert all(one.low is None and one.high is None for one in found.metrics.values())
    assert "no intervals" in " ".join(found.notes)
    by_event = evaluate(catalog, predictions, samples=50)
    assert by_event.intervals_over == "event"
    assert by_event.metrics["accuracy"].low is not None
    assert "tell nothing about other locations" in " ".join(by_event.notes)


def test_media_of_no_known_location_are_one_location() -> None:
    catalog, predictions = world()
    hidden = pl.when(pl.col("location_id") != "L3").then("location_id").alias("location_id")
    found = evaluate(
        catalog.with_table(catalog.table.with_columns(hidden)), predictions, part="test", samples=20
    )
    assert found.counts.without_location == 10
    assert found.per_location[-1].location is None
    assert found.unseen is not None
    assert found.unseen.media == 20


def test_a_label_the_model_does_not_know_is_refused_counted_or_left_out() -> None:
    catalog, predictions = world()
    strange = pl.when(pl.col("media_id") == "m0-0").then(pl.lit(["wolf"])).otherwise("labels").alias("labels")
    catalog = catalog.with_table(catalog.table.with_columns(strange))
    with pytest.raises(DataError, match=r"does not know: 'wolf'\. The model knows blank, hare, lynx"):
        evaluate(catalog, predictions)
    wrong = evaluate(catalog, predictions, samples=20, unknown_labels="wrong")
    assert wrong.labels == (*LABELS, "wolf")
    assert [(one.media, one.known) for one in wrong.per_label if one.label == "wolf"] == [(1, False)]
    left = evaluate(catalog, predictions, samples=20, unknown_labels="leave-out")
    assert (left.labels, left.counts.unknown_label, left.counts.evaluated) == (LABELS, 1, 59)
    assert wrong.metrics["accuracy"].value == pytest.approx(left.metrics["accuracy"].value * 59 / 60)


def test_several_labels_and_a_model_that_says_one() -> None:
    catalog, predictions = world()
    both = (
        pl.when(pl.col("media_id") == "m0-0")
        .then(pl.lit(["hare", "lynx"]))
        .otherwise("labels")
        .alias("labels")
    )
    catalog = catalog.with_table(catalog.table.with_columns(both))
    with pytest.raises(DataError, match=r"1 media has more than one label.*'m0-0'"):
        evaluate(catalog, predictions)
    left = evaluate(catalog, predictions, samples=20, several_labels="leave-out")
    assert (left.counts.several_labels, left.counts.evaluated) == (1, 59)


def test_missing_predictions_are_refused_or_counted() -> None:
    catalog, predictions = world()
    fewer = Predictions(predictions.table[3:], LABELS, "media", "f", "single-label")
    with pytest.raises(DataError, match="3 of 60 labelled media have no prediction: 'm0-0', 'm0-1', 'm0-2'"):
        evaluate(catalog, fewer)
    assert evaluate(catalog, fewer, samples=20, allow_unmatched=True).counts.unpredicted == 3


def test_the_one_part_that_was_predicted_is_the_part_that_is_judged() -> None:
    catalog, predictions = world()
    test_only = Predictions(predictions.table[30:], LABELS, "media", "f", "single-label")
    found = evaluate(catalog, test_only, samples=20)
    assert (found.part, found.counts.evaluated, found.leak.findings) == ("test", 30, ())
    assert "the part 'test'" in found.measured_on
    assert evaluate(catalog, predictions, samples=20).part is None


def test_predictions_for_no_media_are_refused_or_counted_but_other_parts_are_not_strangers() -> None:
    catalog, predictions = world()
    cut = catalog.filter(pl.col("media_id") != "m5-9")
    with pytest.raises(DataError, match="1 prediction is for media that are not in the catalog: 'm5-9'"):
        evaluate(cut, predictions)
    found = evaluate(cut, predictions, part="test", samples=20, allow_unmatched=True)
    assert (found.counts.predictions_unmatched, found.counts.predictions_elsewhere) == (1, 30)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda p: p.vstack(p[:1]), "1 media has more than one row in the predictions: 'm0-0'"),
        (lambda p: p.with_columns(hare=pl.lit(0.9, pl.Float32)), "do not sum to 1"),
        (lambda p: p.with_columns(hare=pl.lit(None, pl.Float32)), "probabilities are missing"),
        (lambda p: p.with_columns(status=pl.lit("failed")), "60 failed"),
    ],
)
def test_predictions_that_cannot_be_right_are_refused(change: Any, complaint: str) -> None:
    catalog, predictions = world()
    with pytest.raises(DataError, match=complaint):
        evaluate(catalog, Predictions(change(predictions.table), LABELS, "media", "f", "single-label"))


def test_a_multi_label_model_is_judged_label_by_label_and_blank_may_be_the_absence_of_all() -> None:
    catalog = catalog_of(
        [
            {"media_id": "a", "labels": ["hare", "lynx"], "location_id": "L1"},
            {"media_id": "b", "labels": ["blank"], "location_id": "L2"},
            {"media_id": "c", "labels": ["lynx"], "location_id": "L3"},
        ]
    )
    predictions = predictions_of(
        {"a": [0.9, 0.4], "b": [0.1, 0.2], "c": [0.2, 0.9]}, ("hare", "lynx"), "multi-label"
    )
    found = evaluate(catalog, predictions, samples=50)
    assert found.metrics["subset_accuracy"].value == pytest.approx(2 / 3)
    assert found.confusion is None
    lynx = next(one for one in found.per_label if one.label == "lynx")
    assert (lynx.media, lynx.said) == (2, 1)
    (mistake,) = found.mistakes
    assert (mistake.truth, mistake.said) == (("hare", "lynx"), ("hare",))
    assert {one.name for one in found.constants} == {"uniform", "priors", "nothing"}


def test_an_evaluation_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = evaluate(*world(), samples=20)
    loaded = Evaluation.load_json(found.save_json(tmp_path / "deep" / "e.json"))
    assert loaded == found.model_copy(update={"root": None})
    (tmp_path / "x.json").write_text('{"format_version": "9"}')
    with pytest.raises(DataError, match=r"x\.json cannot be read as an evaluation"):
        Evaluation.load_json(tmp_path / "x.json")


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = (evaluate(*world(), samples=50, seed=3) for _ in range(2))
    assert first.model_dump(exclude={"created"}) == second.model_dump(exclude={"created"})


def test_evaluations_side_by_side_keep_their_order_and_their_gaps() -> None:
    catalog, predictions = world()
    two = {
        "random | split": evaluate(catalog, predictions, samples=20),
        "by location": evaluate(catalog, predictions, part="test", samples=20),
    }
    found = compare(two)
    assert found.names == ("random | split", "by location")
    assert found.rows["accuracy"] == tuple(one.metrics["accuracy"] for one in two.values())
    lines = found.to_markdown().splitlines()
    assert lines[0] == r"| | random \| split | by location |"
    assert any(line.startswith("| Accuracy | 0.") and "(0." in line for line in lines)
    with pytest.raises(UsageError, match="nothing to compare"):
        compare({})


def test_the_printed_table_says_every_figure_every_leak_and_every_note() -> None:
    found = evaluate(*world(), samples=20)
    text = found.to_text()
    assert "Macro AUC" in text
    assert f"LEAK: {found.leak.findings[0]}" in text
    assert all(note in text for note in found.notes)


def bursts() -> tuple[Catalog, Predictions]:
    """Four events of two frames, of two seasons; what their frames show, and multi-label answers."""
    shown = [("hare", "blank"), ("blank", "blank"), ("hare", "lynx"), ("blank", "lynx")]
    rows = [
        {
            "media_id": f"{event}-{frame}",
            "event_id": f"e{event}",
            "location_id": "L",
            "labels": [label],
            "season": f"S{event // 2}",
        }
        for event, labels in enumerate(shown)
        for frame, label in enumerate(labels)
    ]
    said = {row["media_id"]: [0.2, 0.7, 0.6] for row in rows}
    return catalog_of(rows), predictions_of(said, task="multi-label")


def test_events_are_judged_by_all_that_their_frames_show_and_season_by_season() -> None:
    catalog, frames = bursts()
    pooled = pool_events(frames, catalog, how="mean", rows="event")
    found = evaluate(catalog, pooled, samples=20)
    assert found.measured_on.startswith("the whole catalog: 4 events")
    assert found.intervals_over == "event"
    truth = np.array([[0, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])
    losses = -np.where(truth, np.log([0.2, 0.7, 0.6]), np.log1p(-np.array([0.2, 0.7, 0.6])))
    assert found.metrics["log_loss"].value == pytest.approx(losses.mean(), abs=1e-6)
    by_label = {result.label: result for result in found.per_label}
    assert by_label["lynx"].log_loss is not None
    assert by_label["lynx"].log_loss.value == pytest.approx(losses[:, 2].mean(), abs=1e-6)
    first, second = found.per_season
    assert [(season.season, season.media) for season in (first, second)] == [("S0", 2), ("S1", 2)]
    assert second.metrics["log_loss"].value == pytest.approx(losses[2:].mean(), abs=1e-6)
    assert second.label_log_loss["lynx"] == pytest.approx(losses[2:, 2].mean(), abs=1e-6)
    assert second.label_media == {"blank": 0, "hare": 1, "lynx": 2}
    assert (first.only_here, second.only_here) == (("blank",), ("lynx",))
    assert second.shared_log_loss == pytest.approx(losses[2:, :2].mean(), abs=1e-6)
    assert "season S1" in found.to_text()
    by_season = evaluate(catalog, pooled, samples=20, over="season")
    assert "2 seasons" in " ".join(by_season.notes)


def test_an_event_is_shown_by_its_first_frame_wherever_its_row_is() -> None:
    catalog, frames = bursts()
    numbers = pl.col("media_id").str.extract(r"-(\d)").cast(pl.Int64)
    catalog = catalog.with_table(catalog.table.with_columns(frame=numbers).reverse())
    found = evaluate(catalog, pool_events(frames, catalog, how="first", rows="event"), samples=20)
    assert found.mistakes
    assert all(mistake.file_path.endswith("-0.jpg") for mistake in found.mistakes)


def test_seasons_are_in_the_order_of_their_numbers_and_none_is_lost() -> None:
    catalog, frames = bursts()
    names = pl.Series("season", ["S10", "S10", "S9", "S9", None, None, "S9", "S9"])
    found = evaluate(catalog.with_table(catalog.table.with_columns(names)), frames, samples=10)
    assert [(season.season, season.media) for season in found.per_season] == [
        ("S9", 4),
        ("S10", 2),
        (None, 2),
    ]
    assert found.level == "media"
    assert "Log loss, season not known" in found.to_text()


def test_blank_is_not_said_beside_a_likelier_animal() -> None:
    catalog, _ = bursts()
    said = {media: [0.9, 0.1, 0.1] for media in catalog.table["media_id"]} | {"0-0": [0.6, 0.8, 0.1]}
    found = evaluate(catalog, predictions_of(said, task="multi-label"), samples=10)
    counts = {result.label: result.said for result in found.per_label}
    assert counts == {"blank": 7, "hare": 1, "lynx": 0}
    assert found.metrics["subset_accuracy"].value == pytest.approx(5 / 8)


def test_boxes_are_judged_by_what_their_media_shows_and_skipped_ones_are_not() -> None:
    catalog, frames = bursts()
    two = pl.concat([frames.table, frames.table.head(1), frames.table.head(1)])
    numbers = [0] * 8 + [1, 2]
    status = ["ok"] * 9 + ["skipped"]
    table = two.with_columns(
        pl.Series("box", numbers, pl.Int64),
        pl.Series("status", status),
        *(pl.lit(None, kind).alias(name) for name, kind in BOX_COLUMNS.items()),
    ).select(*FIXED, *BOX_COLUMNS, *LABELS)
    boxes = Predictions(table, LABELS, "box", "f" * 64, "multi-label")
    found = evaluate(catalog, boxes, samples=10)
    assert found.counts.evaluated == 9
    assert "9 boxes" in found.measured_on


def on_disk(catalog: Catalog, root: Path, rename: dict[str, str] | None = None) -> Catalog:
    """The catalog with files, each of a content of its own, which follows from its id before any renaming."""
    rows = []
    for row in catalog.table.iter_rows(named=True):
        name = (rename or {}).get(row["media_id"], row["media_id"])
        path = root / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row["media_id"].encode().ljust(64))  # all of one size
        rows.append(row | {"media_id": name, "file_path": f"{name}.jpg"})
    return Catalog.from_rows(pl.DataFrame(rows, schema=catalog.table.schema), root, "files")


def test_photos_that_were_trained_on_are_known_under_any_name_and_so_are_their_locations(
    tmp_path: Path,
) -> None:
    catalog, predictions = world()
    trained_on = on_disk(catalog.filter(pl.col("split") == "train"), tmp_path / "one")
    new_names = {media: f"card/{media}" for media in catalog.table["media_id"]}
    again = on_disk(catalog, tmp_path / "two", new_names)
    moved = again.with_table(
        again.table.with_columns(pl.format("site {}", "location_id").alias("location_id"), split=None)
    )
    renamed = replace(
        predictions,
        table=predictions.table.with_columns(pl.col("media_id").replace_strict(new_names)),
    )
    found = evaluate(moved, renamed, training=trained_on, samples=20)
    assert found.leak.findings[0] == (
        "30 of 60 evaluated media were themselves trained on (30 of them under another name)."
    )
    assert found.seen is not None
    assert found.unseen is not None
    assert (found.seen.locations, found.unseen.locations) == (3, 3)
    assert found.leak.by_name == 0


def test_other_photos_under_the_ids_of_training_media_are_no_leak(tmp_path: Path) -> None:
    catalog, predictions = world()
    one = on_disk(catalog.filter(pl.col("split") == "test"), tmp_path / "one")
    swapped = dict(zip(one.table["media_id"], one.table["media_id"].reverse(), strict=True))
    other = on_disk(
        catalog.filter(pl.col("split") == "train").with_table(
            catalog.table.filter(pl.col("split") == "train")
        ),
        tmp_path / "two",
        dict(zip(catalog.table["media_id"], swapped, strict=False)),
    )
    assert set(one.table["media_id"]) == set(other.table["media_id"])
    here = replace(predictions, table=predictions.table.filter(pl.col("media_id").is_in(list(swapped))))
    found = evaluate(one, here, training=other, samples=20)
    assert found.leak.findings == ()


def test_another_card_read_into_the_folder_of_training_is_no_leak(tmp_path: Path) -> None:
    catalog, predictions = world()
    trained_on = identify(on_disk(catalog.filter(pl.col("split") == "train"), tmp_path))
    kept = evaluate(trained_on, predictions, training=trained_on, samples=20, allow_unmatched=True)
    assert "30 of 30 evaluated media were themselves trained on." in kept.leak.findings[0]
    for path in trained_on.paths():
        path.write_bytes(path.read_bytes()[::-1])  # of the same sizes
    card = trained_on.with_table(trained_on.table.drop("content_size", "content_hash"))
    card = card.with_table(card.table.with_columns(pl.format("new {}", "location_id").alias("location_id")))
    found = evaluate(card, predictions, training=trained_on, samples=20, allow_unmatched=True)
    assert (found.leak.findings, found.leak.by_name) == ((), 0)


def test_ids_decide_where_files_cannot_be_read_and_that_is_said(tmp_path: Path) -> None:
    catalog, predictions = world()
    training = on_disk(catalog.filter(pl.col("split") == "train"), tmp_path)
    found = evaluate(catalog, predictions, training=training, samples=20)
    assert "30 of 60 evaluated media were themselves trained on." in found.leak.findings[0]
    assert found.leak.by_name == 60
    assert "by their ids alone" in " ".join(found.notes)


def test_of_events_and_boxes_the_media_are_compared(tmp_path: Path) -> None:
    catalog, predictions = world()
    events = catalog.with_table(
        catalog.table.with_columns(
            pl.format("{}-{}", "location_id", pl.col("labels").list.first()).alias("event_id")
        )
    )
    training = on_disk(events.filter(pl.col("split") == "train"), tmp_path / "one")
    names = {media: f"new/{media}" for media in events.table["media_id"]}
    again = on_disk(events, tmp_path / "two", names)
    media = predictions.table.with_columns(
        pl.col("media_id").replace_strict(names), event_id=again.table["event_id"]
    )
    pooled = pool_events(replace(predictions, table=media), again, rows="event")
    found = evaluate(again, pooled, training=training, samples=20)
    assert "30 of 60 evaluated media were themselves trained on (30" in found.leak.findings[0]
