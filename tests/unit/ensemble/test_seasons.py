"""A camera of several seasons: what leans, shifts and combines is learnt on other seasons than are judged."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.cli import main
from trapline.ensemble import (
    combine,
    lean_on_nearby,
    learn_combination,
    learn_nearby,
    shift_to_shares,
)
from trapline.errors import DataError, UsageError
from trapline.prediction import (
    Combination,
    ModelTree,
    NearbyWeights,
    PredictionFacts,
    Predictions,
    pool_events,
)
from trapline.prediction.table import FIXED
from trapline.taxonomy import taxonomy_from_csv

LABELS = ("hare", "lynx", "fox")
EVENTS, FRAMES = 120, 2
SHARES = {"S1": (0.7, 0.2, 0.1), "S2": (0.1, 0.7, 0.2), "S3": (0.2, 0.1, 0.7)}


def seen(
    name: str, truth: np.ndarray, noise: float, seed: int, labelled: bool = True
) -> tuple[Catalog, Predictions]:
    """Bursts of one camera five minutes apart, forty a season, and what a model says of each."""
    random = np.random.default_rng(seed)
    evidence = 3 * (np.eye(3)[truth] - 0.5) + random.normal(0, noise, (len(truth), 3))
    odds = np.exp(evidence * 3 / noise**2) / 2  # calibrated where each label has a third
    rows, answers = [], []
    for event, label in enumerate(truth):
        season = list(SHARES)[event * 3 // len(truth)]
        for frame in range(FRAMES):
            rows.append(
                {
                    "media_id": f"{name}{event}-{frame}",
                    "file_path": f"{name}{event}-{frame}.jpg",
                    "location_id": "CA01",
                    "event_id": f"{name}{event}",
                    "frame": frame + 1,
                    "season": season,
                    "camera_time": datetime(2016, 1, 1) + timedelta(minutes=5 * event, seconds=frame),
                    "labels": [LABELS[label]] if labelled else None,
                }
            )
            answers.append(odds[event] / (1 + odds[event]))
    fixed = pl.DataFrame(
        [{"media_id": row["media_id"], "event_id": row["event_id"], "status": "ok"} for row in rows],
        schema={**FIXED},
    )
    table = fixed.with_columns(
        pl.Series(label, np.array(answers)[:, column], pl.Float32) for column, label in enumerate(LABELS)
    )
    said_by = Predictions(
        table, LABELS, "media", f"print of {name}", "multi-label", PredictionFacts(recipe=name)
    )
    catalog = Catalog.from_rows(rows, ".", "rows")
    return catalog, pool_events(said_by, catalog, how="first", rows="event")


def shown(seed: int, runs: int = 1) -> np.ndarray:
    """What each event shows: so many of one label in a row, by the season's shares."""
    random = np.random.default_rng(seed)
    seasons = [random.choice(3, EVENTS // 3 // runs, p=share).repeat(runs) for share in SHARES.values()]
    return np.concatenate(seasons)


def loss(predictions: Predictions, truth: np.ndarray) -> float:
    chances, marks = predictions.probabilities().astype(float).clip(1e-6, 1 - 1e-6), np.eye(3)[truth]
    return float(-(marks * np.log(chances) + (1 - marks) * np.log(1 - chances)).mean())


def test_answers_for_events_lean_on_those_of_the_minutes_around() -> None:
    truth = shown(0, runs=8)
    catalog, before = seen("a", truth, 2.5, 1)
    leant = learn_nearby(before, catalog, fold_by="season")
    assert loss(leant, truth) < 0.9 * loss(before, truth)
    assert leant.facts.measured_on is not None
    how = NearbyWeights.of_table(leant.facts)
    assert how.of == "events"
    assert how.shares["hare"] == pytest.approx((np.sum(truth == 0) + 0.5) / (EVENTS + 1))

    others = shown(5, runs=8)
    new, answers = seen("a", others, 2.5, 6, labelled=False)
    assert loss(lean_on_nearby(answers, new, how), others) < 0.9 * loss(answers, others)


def test_what_a_season_is_said_to_show_is_not_learnt_from_its_own_labels() -> None:
    truth = shown(0)
    catalog, before = seen("a", truth, 2.0, 1)
    mine = np.arange(EVENTS) < EVENTS // 3
    turned = np.where(mine, np.where(truth == 0, 2, 0), truth)
    other, _ = seen("a", turned, 2.0, 1)
    ways: list[Callable[[Catalog], Predictions]] = [
        lambda media: learn_nearby(before, media, fold_by="season"),
        lambda media: learn_combination([before], media, fold_by="season"),
        lambda media: shift_to_shares(before, media, fold_by="season"),
    ]
    for learn in ways:
        first, second = (learn(media).probabilities() for media in (catalog, other))
        same = np.asarray(np.isclose(first, second, atol=1e-6).all(axis=1))
        assert same[mine].all()
        assert not same[~mine].all()


def test_a_season_with_other_shares_is_answered_by_them() -> None:
    truth = shown(2)
    catalog, before = seen("a", truth, 2.0, 3)
    shifted = shift_to_shares(before, catalog, fold_by="season", kept=10)
    assert loss(shifted, truth) < 0.95 * loss(before, truth)
    assert shifted.facts.shares is not None
    assert set(shifted.facts.shares) == set(SHARES)
    first = shifted.facts.shares["S1"]
    assert first.after["hare"] > first.before["hare"] + 0.1
    assert first.media == EVENTS // 3
    new, answers = seen("b", np.full(EVENTS, 2), 2.0, 4, labelled=False)
    assert loss(shift_to_shares(answers, catalog, kept=5), np.full(EVENTS, 2)) < 0.8 * loss(
        answers, np.full(EVENTS, 2)
    )
    assert len(new) == EVENTS * FRAMES


def test_models_of_events_are_combined_by_season() -> None:
    truth = shown(0)
    catalog, first = seen("a", truth, 2.0, 1)
    second = replace(seen("a", truth, 2.0, 2)[1], model="another")
    both = learn_combination([first, second], catalog, fold_by="season")
    assert both.level == "event"
    assert loss(both, truth) < 0.9 * min(loss(first, truth), loss(second, truth))
    again = combine([second, first], catalog, Combination.of(both.facts))
    assert loss(again, truth) < 0.9 * loss(first, truth)


def test_what_failed_stays_failed_and_says_nothing_of_others() -> None:
    truth = shown(0, runs=4)
    catalog, before = seen("a", truth, 2.0, 1)
    gone = pl.int_range(pl.len()) == 3
    table = before.table.with_columns(
        pl.when(gone).then(pl.lit("failed")).otherwise("status").alias("status"),
        *(pl.when(~gone).then(label).alias(label) for label in LABELS),
    )
    for after in (
        learn_nearby(replace(before, table=table), catalog, fold_by="season"),
        shift_to_shares(replace(before, table=table), catalog, fold_by="season"),
    ):
        assert after.table["status"].to_list() == table["status"].to_list()
        assert np.isnan(after.probabilities()[3]).all()
        assert np.isfinite(np.delete(after.probabilities(), 3, axis=0)).all()


def test_what_cannot_be_is_refused() -> None:
    catalog, before = seen("a", shown(0), 2.0, 1)
    leant = learn_nearby(before, catalog, fold_by="season")
    shifted = shift_to_shares(before, catalog, fold_by="season")
    how = NearbyWeights.of_table(leant.facts)
    with pytest.raises(UsageError, match="lean on their location's others already"):
        learn_nearby(leant, catalog, fold_by="season")
    with pytest.raises(UsageError, match="shifted to other shares already"):
        shift_to_shares(shifted, catalog, fold_by="season")
    with pytest.raises(UsageError, match="--fold-by season"):
        shift_to_shares(before, catalog)
    with pytest.raises(UsageError, match="leave --fold-by out"):
        shift_to_shares(seen("b", shown(0), 2.0, 1)[1], catalog, fold_by="season")
    with pytest.raises(DataError, match="another model"):
        lean_on_nearby(replace(before, model="another"), catalog, how)
    with pytest.raises(UsageError, match="answers of media"):
        lean_on_nearby(before, catalog, replace(how, of="media"))
    timeless = catalog.with_table(catalog.table.with_columns(camera_time=pl.lit(None, pl.Datetime("us"))))
    with pytest.raises(DataError, match="tells no time"):
        learn_nearby(before, timeless, fold_by="season")
    with pytest.raises(DataError, match="do not say how far"):
        NearbyWeights.of_table(before.facts)
    with pytest.raises(DataError, match="no labels"):
        shift_to_shares(before, seen("b", shown(0), 2.0, 1, labelled=False)[0])


def a_softmax(predictions: Predictions) -> Predictions:
    """The same answers where labels exclude each other, as a multi-label table of another tool has them."""
    chances = predictions.probabilities().astype(float)
    chances /= chances.sum(axis=1, keepdims=True)
    columns = [pl.Series(label, chances[:, n], pl.Float32) for n, label in enumerate(LABELS)]
    facts = replace(predictions.facts, exclusive=True)
    return replace(predictions, table=predictions.table.with_columns(columns), facts=facts)


def test_labels_that_exclude_each_other_are_answered_as_such() -> None:
    catalog, before = seen("a", shown(0, runs=4), 2.0, 1)
    one = a_softmax(before)
    single = replace(one, task="single-label", facts=replace(one.facts, exclusive=False))
    ways: list[Callable[[Predictions], Predictions]] = [
        lambda answers: learn_nearby(answers, catalog, fold_by="season"),
        lambda answers: learn_combination([answers], catalog, fold_by="season"),
        lambda answers: shift_to_shares(answers, catalog, fold_by="season"),
    ]
    for way in ways:
        made = way(one).probabilities()
        assert made.sum(axis=1) == pytest.approx(np.ones(EVENTS), abs=1e-5)
        assert made == pytest.approx(way(single).probabilities(), abs=1e-5)
    shares = shift_to_shares(one, catalog, fold_by="season").facts.shares
    assert shares is not None
    assert sum(shares["S1"].before.values()) == pytest.approx(1)
    mixed = learn_combination([one, replace(before, model="another")], catalog, fold_by="season")
    assert not mixed.facts.exclusive


def test_events_of_several_labels_teach_nothing_where_one_is_said() -> None:
    catalog, before = seen("a", shown(0), 2.0, 1)
    some = pl.int_range(pl.len()) < 10 * FRAMES
    two = pl.when(some).then(pl.lit(["hare", "fox"])).otherwise("labels")
    both = catalog.with_table(catalog.table.with_columns(labels=two))
    for way in (learn_nearby, lambda media_of, media, **how: learn_combination([media_of], media, **how)):
        made = way(a_softmax(before), both, fold_by="season")
        how = made.facts.nearby or made.facts.combined
        assert how is not None
        assert f"{EVENTS - 10} " in how.learnt_on


def test_a_season_of_which_all_failed_is_shifted_to_nothing_and_stops_nothing() -> None:
    catalog, before = seen("a", shown(0, runs=4), 2.0, 1)
    gone = pl.int_range(pl.len()) < EVENTS // 3
    table = before.table.with_columns(
        pl.when(gone).then(pl.lit("failed")).otherwise("status").alias("status"),
        *(pl.when(~gone).then(label).alias(label) for label in LABELS),
    )
    shifted = shift_to_shares(replace(before, table=table), catalog, fold_by="season")
    assert set(shifted.facts.shares or {}) == {"S2", "S3"}
    leant = learn_nearby(shifted, catalog, fold_by="season").probabilities()
    assert np.isnan(leant[: EVENTS // 3]).all()
    assert np.isfinite(leant[EVENTS // 3 :]).all()


def test_what_was_treated_otherwise_is_refused() -> None:
    catalog, before = seen("a", shown(0, runs=4), 2.0, 1)
    shifted = shift_to_shares(before, catalog, fold_by="season")
    plain, of_shifted = (learn_nearby(one, catalog, fold_by="season") for one in (before, shifted))
    with pytest.raises(UsageError, match="learnt on answers shifted to other shares, and these are as the"):
        lean_on_nearby(before, catalog, NearbyWeights.of_table(of_shifted.facts))
    with pytest.raises(UsageError, match="these are shifted to other shares"):
        lean_on_nearby(shifted, catalog, NearbyWeights.of_table(plain.facts))
    for treated in (plain, shifted):
        with pytest.raises(UsageError, match="Combine answers before that"):
            learn_combination([before, replace(treated, model="another")], catalog, fold_by="season")


def test_a_model_of_taxa_is_refused(tmp_path: Path) -> None:
    catalog, before = seen("a", shown(0), 2.0, 1)
    (tmp_path / "t.csv").write_text("label,species\nhare,Lepus timidus\nlynx,Lynx lynx\nfox,Vulpes vulpes\n")
    tree = ModelTree.from_json(taxonomy_from_csv(tmp_path / "t.csv").for_labels(LABELS).to_json(), "here")
    taxa = replace(before, facts=replace(before.facts, taxonomy=tree))
    with pytest.raises(UsageError, match="model of taxa"):
        learn_nearby(taxa, catalog, fold_by="season")
    with pytest.raises(UsageError, match="model of taxa"):
        shift_to_shares(taxa, catalog, fold_by="season")


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*arguments])


def test_the_commands_learn_and_apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, before = seen("a", shown(0, runs=4), 2.0, 1)
    new, answers = seen("b", shown(1, runs=4), 2.0, 2, labelled=False)
    for name, one in (
        ("learnt", catalog),
        ("new", new),
        ("p", before),
        ("q", replace(answers, model=before.model)),
    ):
        one.save(tmp_path / f"{name}.parquet")
    paths = {
        name: str(tmp_path / f"{name}.parquet")
        for name in ("learnt", "new", "p", "q", "ps", "qs", "pn", "qn")
    }
    seasons = ["--fold-by", "season"]
    run("shares", paths["learnt"], paths["p"], "-o", paths["ps"], *seasons)
    assert "S2, 40: hare " in capsys.readouterr().out
    run("shares", paths["learnt"], paths["q"], "-o", paths["qs"])
    run("nearby", paths["learnt"], paths["ps"], "-o", paths["pn"], *seasons)
    assert "within 15 min" in capsys.readouterr().out
    run("nearby", paths["new"], paths["qs"], "-o", paths["qn"], "--like", paths["pn"])
    leant = Predictions.load(paths["qn"])
    assert len(leant) == EVENTS
    assert leant.facts.nearby == Predictions.load(paths["pn"]).facts.nearby
