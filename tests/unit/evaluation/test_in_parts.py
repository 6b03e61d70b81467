"""A long table judged in parts has the figures that it has whole; what it lacks is said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline import api
from trapline.catalog import EVENT_LABELS, Catalog
from trapline.errors import DataError, UsageError
from trapline.evaluation import Evaluation, Wants, evaluate, evaluate_parts
from trapline.models import TrainedOn
from trapline.prediction import PredictionFacts, Predictions, SideBySide, pool_events, probability_columns
from trapline.prediction import parts as parts_of_tables
from trapline.prediction.table import FIXED, fixed_columns
from trapline.taxonomy import Label, Taxonomy

LABELS = ("blank", "hare", "lynx", "fox", "deer", "boar")
CURVES = {"macro_auc", "mean_average_precision"}


def world(several: bool = False, **facts: Any) -> tuple[Predictions, Catalog]:
    """600 media of 9 locations and of none, 3 seasons and two parts; some failed, some are not labelled."""
    random = np.random.default_rng(5)
    count = 600
    ids = [f"m{number:03}" for number in range(count)]
    label = random.integers(0, 6, count)
    numbers = random.dirichlet(np.full(6, 0.4), count).round(2)
    numbers[np.arange(count), label] += 0.5
    numbers = numbers if several else numbers / numbers.sum(axis=1, keepdims=True)
    numbers = numbers.clip(0, 1)
    failed = random.random(count) < 0.05
    numbers[failed] = np.nan
    fixed = pl.DataFrame(
        {
            "media_id": ids,
            "event_id": [f"e{number // 3}" for number in range(count)],
            "box": pl.Series([None] * count, dtype=pl.Int64),
            "file_path": [f"{one}.jpg" for one in ids],
            "status": np.where(failed, "failed", "ok"),
            "reason": pl.Series(["truncated" if bad else None for bad in failed], dtype=pl.String),
        },
        schema={**FIXED},
    )
    names = [
        [LABELS[one]] if one == 0 or not several else [LABELS[one], LABELS[1 + one % 5]] for one in label
    ]
    names = [list(dict.fromkeys(one)) for one in names]
    place = np.arange(count) * 10 // count
    media = fixed.select("media_id", "event_id", "file_path").with_columns(
        labels=pl.Series([None if random.random() < 0.05 else one for one in names]),
        location_id=pl.Series([None if one == 9 else f"L{one}" for one in place]),
        season=pl.Series([f"S{1 + one % 3}" for one in place]),
        split=pl.Series(["train" if one < 3 else "test" for one in place]),
    )
    task = "multi-label" if several else "single-label"
    table = fixed.hstack(probability_columns(LABELS, numbers))
    predictions = Predictions(table, LABELS, "media", "f" * 64, task, PredictionFacts(**facts))
    return predictions, Catalog.from_rows(media, "/photos", "rows")


def both(predictions: Predictions, catalog: Catalog, **options: Any) -> tuple[Evaluation, Evaluation]:
    """Judged whole, and in parts."""
    whole = evaluate(catalog, predictions, samples=50, **options)
    media = (replace(catalog, table=catalog.table.clear()), catalog.table.lazy())
    side = SideBySide.open(
        [(replace(predictions, table=predictions.table.clear()), predictions.table.lazy())], media
    )
    assert side is not None
    assert len(side.counts) > 5
    return whole, evaluate_parts(side, samples=50, **options)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_of_tables, "AT_ONCE", 40)


def same(whole: Any, parts: Any, at: str = "") -> None:
    """Equal, numbers as nearly as sums of other order are; areas under curves without their interval."""
    if isinstance(whole, dict):
        if set(whole) == {"value", "low", "high"} and any(
            name in at for name in ("auc", "average_precision", *CURVES)
        ):
            whole = whole | {"low": None, "high": None}
        assert list(whole) == list(parts), at
        for name in whole:
            same(whole[name], parts[name], f"{at}.{name}")
    elif isinstance(whole, list | tuple):
        assert len(whole) == len(parts), at
        for index, (one, other) in enumerate(zip(whole, parts, strict=True)):
            same(one, other, f"{at}[{index}]")
    elif isinstance(whole, float):
        assert parts == pytest.approx(whole, rel=1e-9, abs=1e-12), at
    else:
        assert whole == parts, at


def compared(evaluation: Evaluation, parts: bool) -> dict[str, Any]:
    """All that must be the same; of some media alone areas under curves are not computed in parts."""
    content = evaluation.model_dump(exclude={"created", "leak", "notes", "new_locations"})
    for group in (content["seen"], content["unseen"], *content["per_season"]):
        if group and not parts:
            group["metrics"] = {name: one for name, one in group["metrics"].items() if name not in CURVES}
    return content


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        ({"several": False}, {"want": Wants()}),
        ({"several": False}, {"part": "test", "over": "season", "training": ["L0", "L4"]}),
        ({"several": False, "kept": 2}, {}),
        ({"several": True}, {"want": Wants.parse(["recall=0.6", "lynx:precision=0.5", "lost=0.2"])}),
        ({"several": True, "exclusive": True}, {"part": "test"}),
    ],
)
def test_the_figures_are_those_of_the_whole(facts: dict[str, Any], options: dict[str, Any]) -> None:
    whole, parts = both(*world(**facts), **options)
    same(compared(whole, False), compared(parts, True))
    assert {note for note in whole.notes if "by their ids alone" not in note} <= set(parts.notes)
    assert not parts.new_locations, "and a note says so"
    assert "What new locations may show is not computed of so many media." in parts.notes
    told = "judged in parts: areas under curves" in " ".join(parts.notes)
    assert told == ("kept" not in facts)
    assert not parts.leak.checked


@pytest.mark.parametrize("several", [False, True])
def test_answers_that_say_less_are_right_in_parts_too(several: bool) -> None:
    predictions, catalog = world(several)
    names = {"hare": "hunter", "deer": "human"}  # the model says both, and of a hunter human is right
    renamed = replace(
        predictions,
        table=predictions.table.rename(names),
        labels=tuple(names.get(label, label) for label in LABELS),
    )
    labels = pl.col("labels").list.eval(pl.element().replace({**names, "fox": "poacher"}))  # which it lacks
    catalog = catalog.with_table(catalog.table.with_columns(labels))
    kinds = {"human": "human", "hunter": "human", "poacher": "human", "blank": "blank"}
    own = [Label(name, kinds.get(name, "animal")) for name in (*renamed.labels, "poacher")]  # type: ignore[arg-type]
    taxonomy = Taxonomy({}, {label.name: label for label in own})
    whole, parts = both(renamed, catalog, taxonomy=taxonomy, want=Wants())
    assert {(one.label, one.answer) for one in whole.coarser} == {("hunter", "human"), ("poacher", "human")}
    assert whole.counts.coarser == sum(one.media for one in whole.coarser) > 0
    same(compared(whole, False), compared(parts, True))
    assert whole.metrics["exact_macro_f1"].value < whole.metrics["macro_f1"].value


@pytest.mark.parametrize("training", ["names", "catalog", "none"])
def test_events_are_judged_in_parts_too(training: str) -> None:
    predictions, catalog = world()
    predictions = pool_events(predictions, catalog, rows="event")
    trained_on = {"names": ["L1"], "catalog": catalog.part("train"), "none": None}[training]
    part = None if training == "names" else "test"
    options: dict[str, Any] = {"training": trained_on, "part": part, "several_labels": "leave-out"}
    whole, parts = both(predictions, catalog, over="location", **options)
    same(compared(whole, False), compared(parts, True))


def test_boxes_are_judged_in_parts_too() -> None:
    predictions, catalog = world()
    twice = pl.concat([predictions.table.with_columns(box=pl.lit(number, pl.Int64)) for number in (0, 1)])
    some = twice.filter((pl.col("box") == 0) | (pl.int_range(pl.len()) % 3 == 0)).sort("media_id", "box")
    of_boxes = {name: kind for name, kind in fixed_columns("box").items() if name not in FIXED}
    table = some.select(*FIXED, *(pl.lit(None, kind).alias(name) for name, kind in of_boxes.items()), *LABELS)
    whole, parts = both(replace(predictions, table=table, level="box"), catalog, part="test")
    same(compared(whole, False), compared(parts, True))


@pytest.mark.parametrize("how", ["wrong", "leave-out"])
def test_labels_that_the_model_does_not_know_are_counted_alike(how: str) -> None:
    predictions, catalog = world()
    strange = pl.when(pl.int_range(pl.len()) % 50 == 7).then(pl.lit(["yeti"])).otherwise("labels")
    catalog = catalog.with_table(catalog.table.with_columns(labels=strange))
    whole, parts = both(predictions, catalog, unknown_labels=how)
    same(compared(whole, False), compared(parts, True))
    with pytest.raises(DataError, match="the model does not know: 'yeti'"):
        both(predictions, catalog, part="test") if how == "wrong" else evaluate(catalog, predictions)


def test_unknown_labels_are_those_of_judged_media_and_of_events() -> None:
    predictions, catalog = world()
    failed = predictions.table.filter(pl.col("status") == "failed")["media_id"][:3]
    strange = pl.when(pl.col("media_id").is_in(failed.implode())).then(pl.lit(["yeti"])).otherwise("labels")
    of_failed = catalog.with_table(catalog.table.with_columns(labels=strange))
    whole, parts = both(predictions, of_failed, unknown_labels="wrong")
    assert "yeti" not in parts.labels
    same(compared(whole, False), compared(parts, True))
    told = pl.when(pl.col("event_id").str.ends_with("7")).then(pl.lit(["yeti"]))
    of_events = catalog.with_table(catalog.table.with_columns(told.alias(EVENT_LABELS)))
    predictions = pool_events(predictions, catalog, rows="event")
    whole, parts = both(predictions, of_events, unknown_labels="wrong", several_labels="leave-out")
    assert "yeti" in parts.labels
    same(compared(whole, False), compared(parts, True))


def test_that_a_model_was_trained_with_another_split_is_said_in_parts_too() -> None:
    trained_on = TrainedOn(parts=("train",), split="0" * 16)
    whole, parts = both(*world(trained_on=(trained_on,)), part="test")
    assert whole.leak.findings[0].startswith("The model was trained with another split")
    assert whole.leak.findings[0] in parts.leak.findings


def test_errors_say_that_their_numbers_are_of_one_part() -> None:
    predictions, catalog = world()
    fewer = replace(predictions, table=predictions.table.filter(pl.int_range(pl.len()) != 333))
    side = SideBySide.open([(fewer, fewer.table.lazy())], (catalog, catalog.table.lazy()))
    assert side is not None
    found = r"Media 295 to 336 of the catalog.* the numbers are of this one.*1 of \d+ labelled .*'m333'"
    with pytest.raises(DataError, match=found):
        evaluate_parts(side)
    with pytest.raises(DataError, match="no media in the part 'validation'; it has: test, train"):
        evaluate_parts(side, part="validation")


def test_what_cannot_be_done_in_parts_is_refused() -> None:
    predictions, catalog = world()
    side = SideBySide.open([(predictions, predictions.table.lazy())], (catalog, catalog.table.lazy()))
    assert side is not None
    with pytest.raises(UsageError, match="over locations or seasons, not over events"):
        evaluate_parts(side, over="event")
    unlabelled = catalog.with_table(catalog.table.with_columns(labels=pl.lit(None, pl.List(pl.String))))
    side = SideBySide.open([(predictions, predictions.table.lazy())], (unlabelled, unlabelled.table.lazy()))
    assert side is not None
    with pytest.raises(DataError, match="No media are left to judge: of 600 media, 600 have no label"):
        evaluate_parts(side)


def test_a_long_table_on_the_disk_is_judged_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, catalog = world()
    predictions.save(tmp_path / "p", rows_per_file=250)
    catalog.save(tmp_path / "c.parquet")
    paths = (tmp_path / "c.parquet", tmp_path / "p")
    whole = api.evaluate(*paths, samples=20)
    assert whole.metrics["macro_auc"].low is not None
    monkeypatch.setattr("trapline.evaluation.in_parts.MOST_WHOLE", 599)
    monkeypatch.setattr("trapline.evaluation.MOST_WHOLE", 599)
    parts = api.evaluate(*paths, tmp_path / "e.html", samples=20, pictures=0)
    assert parts.metrics["macro_auc"].low is None
    assert parts.metrics["log_loss"].value == pytest.approx(whole.metrics["log_loss"].value)
    assert "So many media are judged in parts" in (tmp_path / "e.html").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="Figures by rank are not computed of so many media"):
        api.evaluate(*paths, answers="greedy")
