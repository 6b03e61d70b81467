"""Combining models: honest where it learns, the same weights where it does not, and no row lost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.cli import main
from trapline.ensemble import combine, learn_combination
from trapline.errors import DataError, UsageError
from trapline.models import TrainedOn
from trapline.prediction import Combination, PredictionFacts, Predictions, pool_events
from trapline.prediction.facts import PoolingOptions
from trapline.prediction.table import FIXED

LABELS = ("hare", "lynx", "fox")
BOX = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
MEDIA = 300


def catalog_of(boxed: np.ndarray, truth: np.ndarray | None) -> Catalog:
    """Photos at ten locations, two an event."""
    rows = [
        {
            "media_id": f"m{place}",
            "file_path": f"m{place}.jpg",
            "location_id": f"place {place % 10}",
            "event_id": f"{place % 10}-{place // 20}",
            "boxes": [BOX] if boxed[place] else [],
            "labels": None if truth is None else [LABELS[truth[place]]],
        }
        for place in range(len(boxed))
    ]
    return Catalog.from_rows(rows, ".", "rows")


def member(name: str, probabilities: np.ndarray) -> Predictions:
    ids = [f"m{place}" for place in range(len(probabilities))]
    fixed = [{"media_id": one, "file_path": f"{one}.jpg", "status": "ok"} for one in ids]
    table = pl.DataFrame(fixed, schema={**FIXED}).with_columns(
        pl.Series(label, probabilities[:, place], pl.Float32) for place, label in enumerate(LABELS)
    )
    return Predictions(
        table, LABELS, "media", f"print of {name}", "single-label", PredictionFacts(recipe=name)
    )


@pytest.fixture
def world() -> tuple[Catalog, list[Predictions], np.ndarray]:
    """Two models, both sure; where there is no box they say anything."""
    random = np.random.default_rng(0)
    truth, boxed = random.integers(0, 3, MEDIA), random.random(MEDIA) < 0.7
    members = []
    for name in ("a", "b"):
        logits = np.eye(3)[truth] * np.where(boxed, 3, 0)[:, None] + random.normal(0, 1.5, (MEDIA, 3))
        powers = np.exp(logits)
        members.append(member(name, powers / powers.sum(axis=1, keepdims=True)))
    return catalog_of(boxed, truth), members, truth


def loss(predictions: Predictions, truth: np.ndarray) -> float:
    return float(-np.log(predictions.probabilities()[np.arange(len(truth)), truth]).mean())


def test_two_models_say_more_than_either_and_less_surely_where_nothing_is_seen(world) -> None:
    catalog, members, truth = world
    found = learn_combination(members, catalog)
    assert loss(found, truth) < 0.9 * min(loss(one, truth) for one in members)
    sureness = Combination.of(found.facts).sureness
    assert sureness["no box"] < 0.5 * sureness["alone"]
    assert found.probabilities().sum(axis=1) == pytest.approx(np.ones(MEDIA), abs=1e-6)
    assert found.table["media_id"].to_list() == members[0].table["media_id"].to_list()


def test_an_answer_about_a_faint_box_is_trusted_less() -> None:
    random = np.random.default_rng(2)
    truth, faint = random.integers(0, 3, MEDIA), random.random(MEDIA) < 0.4
    logits = np.eye(3)[truth] * np.where(faint, 0, 3)[:, None] + random.normal(0, 1.5, (MEDIA, 3))
    one = member("a", np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    catalog = catalog_of(np.ones(MEDIA, bool), truth)
    kind = catalog.table.schema["boxes"]
    boxes = pl.Series([[{**BOX, "conf": 0.3 if dim else None}] for dim in faint], dtype=kind)
    found = learn_combination([one], catalog.with_table(catalog.table.with_columns(boxes=boxes)))
    sureness = Combination.of(found.facts).sureness
    assert sureness["faint"] < 0.5 * sureness["alone"]
    assert sureness["no box"] == pytest.approx(1)  # none such


def test_what_a_location_is_said_to_show_does_not_come_from_its_own_labels(world) -> None:
    catalog, members, _ = world
    before = learn_combination(members, catalog)
    mine = (catalog.table["location_id"] == "place 3").to_numpy()
    labels = np.array(catalog.table["labels"].list.first().to_list())
    labels[mine] = labels[mine][::-1]  # as many of each as before, so that the same folds are dealt
    swapped = pl.Series([[label] for label in labels.tolist()])
    after = learn_combination(members, catalog.with_table(catalog.table.with_columns(labels=swapped)))
    same = np.isclose(before.probabilities(), after.probabilities(), atol=1e-7).all(axis=1)
    assert same[mine].all()
    assert not same[~mine].all()


def test_learnt_weights_are_used_on_other_media_whatever_the_order_of_the_models(world) -> None:
    catalog, members, truth = world
    learnt = Combination.of(learn_combination(members, catalog).facts)
    unlabelled = catalog.with_table(catalog.table.with_columns(labels=pl.lit(None, pl.List(pl.String))))
    found = combine(members, unlabelled, learnt)
    turned = combine(members[::-1], unlabelled, learnt)
    assert found.table.equals(turned.table)
    assert loss(found, truth) < 0.9 * min(loss(one, truth) for one in members)


def test_the_order_of_rows_and_labels_does_not_matter(world) -> None:
    catalog, members, _ = world
    other = replace(
        members[1],
        table=members[1].table[::-1].select(*FIXED, *LABELS[::-1]),
        labels=LABELS[::-1],
    )
    straight, turned = (learn_combination([members[0], one], catalog) for one in (members[1], other))
    assert straight.table.equals(turned.table)


def test_pooled_tables_know_visits_of_several_photos(world) -> None:
    catalog, members, _ = world
    pooled = [pool_events(one, catalog, without_box=0.1) for one in members]
    found = learn_combination(pooled, catalog)
    assert Combination.of(found.facts).pooled == PoolingOptions(without_box=0.1, place_days=None)
    assert found.facts.pooled == pooled[0].facts.pooled
    with pytest.raises(UsageError, match=r"pooled by event \(--without-box 0.1\) and not pooled"):
        learn_combination([pooled[0], members[1]], catalog)
    with pytest.raises(UsageError, match="learnt on predictions pooled"):
        combine(members, catalog, Combination.of(found.facts))


def test_a_photo_that_failed_for_one_model_keeps_its_row_and_reason(world) -> None:
    catalog, members, _ = world
    gone = pl.col("media_id") == "m5"
    broken = members[1].table.with_columns(
        pl.when(gone).then(pl.lit("failed")).otherwise("status").alias("status"),
        pl.when(gone).then(pl.lit("truncated")).otherwise("reason").alias("reason"),
        *(pl.when(~gone).then(label).alias(label) for label in LABELS),
    )
    odd = members[0].table.with_columns(pl.when(gone).then(pl.lit("several frames")).alias("reason"))
    both = [replace(members[0], table=odd), replace(members[1], table=broken)]
    found = learn_combination(both, catalog)
    assert len(found) == MEDIA
    assert found.facts.calibration == Combination.of(found.facts).learnt_on
    assert found.facts.model_name == "a, b combined"
    assert found.failed.select("media_id", "reason").rows() == [("m5", "truncated")]
    assert found.failed["hare"].to_list() == [None]


def test_what_does_not_fit_is_refused(world) -> None:
    catalog, members, _ = world
    learnt = Combination.of(learn_combination(members, catalog).facts)
    with pytest.raises(DataError, match="weights are of the models a, b"):
        combine(members[:1], catalog, learnt)
    with pytest.raises(DataError, match="not of the same media: 1 "):
        learn_combination([members[0], replace(members[1], table=members[1].table[1:])], catalog)
    with pytest.raises(DataError, match="not in the catalog"):
        learn_combination(members, catalog.filter(pl.col("media_id") != "m7"))
    renamed = replace(
        members[1], labels=("hare", "lynx", "cat"), table=members[1].table.rename({"fox": "cat"})
    )
    with pytest.raises(DataError, match="know different labels"):
        learn_combination([members[0], renamed], catalog)
    with pytest.raises(DataError, match="no labels"):
        learn_combination(members, catalog_of(np.ones(MEDIA, bool), None))
    with pytest.raises(DataError, match="do not say how models were combined"):
        Combination.of(members[0].facts)
    events = pool_events(members[0], catalog, rows="event")
    with pytest.raises(DataError, match="not of boxes, nor of both"):
        learn_combination([members[1], events], catalog)


def test_the_command_learns_and_applies(world, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, members, truth = world
    catalog.save(tmp_path / "photos.parquet")
    files = [str(one.save(tmp_path / f"{one.facts.recipe}.parquet")) for one in members]
    photos, out = str(tmp_path / "photos.parquet"), str(tmp_path / "both.parquet")
    with pytest.raises(SystemExit, match="0"):
        main(["combine", photos, *files, "-o", out])
    assert "Learnt out of fold: 300 media at 10 locations" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["combine", photos, *files, "--like", out, "-o", str(tmp_path / "again.csv")])
    again = Predictions.load(tmp_path / "again.csv")
    assert loss(again, truth) == pytest.approx(loss(Predictions.load(out), truth), rel=0.05)


def test_a_combined_table_carries_what_each_of_its_models_was_trained_on(world) -> None:
    catalog, members, _ = world
    facts = (TrainedOn(parts=("train",), split="s"), TrainedOn(parts=("train", "validation"), split="s"))
    told = [
        replace(one, facts=replace(one.facts, trained_on=(fact,)))
        for one, fact in zip(members, facts, strict=True)
    ]
    assert learn_combination(told, catalog).facts.trained_on == facts
    assert learn_combination([told[0], members[1]], catalog).facts.trained_on == ()


def test_tables_of_the_same_folds_are_combined_to_one(world) -> None:
    catalog, members, _ = world
    told = [replace(one, facts=replace(one.facts, held_out_by="location")) for one in members]
    assert learn_combination(told, catalog).facts.held_out_by == "location"
    assert learn_combination([told[0], members[1]], catalog).facts.held_out_by is None


def test_a_combination_has_offsets_where_other_locations_bear_them(world, tmp_path: Path) -> None:
    catalog, members, truth = world
    shifted = []
    for one in members:
        powers = one.probabilities() * np.exp([2.0, 0.0, -2.0])
        shifted.append(member(one.facts.recipe, powers / powers.sum(axis=1, keepdims=True)))
    found = learn_combination(shifted, catalog)
    learnt = Combination.of(found.facts)
    assert set(learnt.offsets) == set(LABELS)
    assert learnt.offsets["hare"] < -0.5 < 0.5 < learnt.offsets["fox"]
    rows = np.arange(MEDIA)
    before = -np.log(
        combine(shifted, catalog, replace(learnt, slopes={}, offsets={})).probabilities()[rows, truth]
    )
    assert -np.log(found.probabilities()[rows, truth]).mean() < before.mean() - 0.02, "by other locations"
    found.save(tmp_path / "learnt.parquet")
    kept = Combination.of(Predictions.load(tmp_path / "learnt.parquet").facts)
    assert kept == learnt
    again = combine(shifted[::-1], catalog, kept).probabilities()
    assert again == pytest.approx(combine(shifted, catalog, learnt).probabilities())
    assert again.sum(axis=1) == pytest.approx(np.ones(MEDIA), abs=1e-5)
