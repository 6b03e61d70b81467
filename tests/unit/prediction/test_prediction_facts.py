"""What is kept with predictions: the same after any save, read from earlier files, refused where wrong."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.errors import DataError
from trapline.models import Calibration, EventPooling, Interval, TrainedOn
from trapline.prediction import ModelTree, PredictionFacts, Predictions
from trapline.prediction.facts import (
    Combination,
    LevelPromise,
    NearbyWeights,
    Pooled,
    PooledBy,
    PoolingOptions,
    RegionWeights,
    RollUpPromise,
    SharesShift,
    TreeHead,
)
from trapline.prediction.table import FIXED

LABELS = ("fox", "hare")
EARLIER: dict[str, Any] = {
    "model_name": "head",
    "calibration": "validation: 3 locations, 20 media",
    "source": "photos",
    "crops": "none: the model sees full frames",
    "runtime": "cpu",
    "batch_size": 16,
    "limits": {"max_bytes": 268435456, "max_seconds": 120.0, "max_memory": None},
    "trained_on": [{"parts": ["train"], "split": "s" * 64}],
    "event": {
        "method": "mean-logit",
        "by_label": {"hare": "max"},
        "calibration": Calibration().model_dump(mode="json"),
        "selected_on": "12 events",
    },
    "exclusive": True,
    "taxonomy": {
        "format_version": "1",
        "source": "by hand",
        "taxa": [{"name": "Lepus", "rank": "genus"}],
        "labels": [{"name": "fox", "kind": "animal"}, {"name": "hare", "kind": "animal", "taxon": "Lepus"}],
        "way": "nodes",
        "head_ranks": ["genus"],
        "heads": [
            {"name": "a", "parent": None, "children": ["fox", "hare"], "media": 3, "weight_decay": 0.1}
        ],
        "classes": {"fox": "fox", "mammal": None},
        "outside": ["car"],
        "ranks": "sums",
        "rollup": {
            "promise": 0.95,
            "confidence": 0.9,
            "method": "bound",
            "media": 20,
            "groups": 3,
            "chosen_on": {"species": {"media": 9, "right": 9, "groups": 3, "bound": 0.96}},
            "unanswered": 0,
            "over": "locations",
        },
        "drawn_by": "a newer Trapline",
    },
    "thresholds": {"species": 0.9},
    "pooled": {
        "how": {"method": "mean", "by_label": {}, "selected_on": ""},
        "without_box": 1.0,
        "place_days": None,
    },
    "combined": {
        "models": ["f", "g"],
        "names": ["a", "b"],
        "weights": [0.5, 0.5],
        "sureness": {"alone": 1.0},
        "pooled": None,
        "learnt_on": "out of fold",
    },
    "region": {"weights": {"fox": 1.0}, "unlisted": 0.01, "not_named": ["hare"], "unknown": []},
    "shown_to": ["somebody"],
}
"""As files of format version 1 have it that were written when these facts had no types yet."""

TEXTS = st.text(max_size=8)
COUNTS = st.integers(0, 10**6)
FLOATS = st.floats(allow_nan=False)
NAMES = st.lists(TEXTS, max_size=3).map(tuple)
ROWS = st.lists(FLOATS, max_size=2).map(tuple)
NUMBERS = st.dictionaries(TEXTS, FLOATS, max_size=3)
OPTIONS = st.builds(PoolingOptions, without_box=FLOATS, place_days=st.none() | FLOATS)
POOLED = st.builds(
    Pooled,
    without_box=FLOATS,
    place_days=st.none() | FLOATS,
    how=st.builds(PooledBy, by_label=st.dictionaries(TEXTS, TEXTS, max_size=2)),
)
EVENTS = st.builds(
    EventPooling,
    method=st.sampled_from(["mean", "max", "first"]),
    by_label=st.just({}) | st.just({"hare": "noisy-or"}),
    selected_on=TEXTS,
    metrics=st.just({}) | st.just({"log_loss": Interval(value=0.5, low=0.4)}),
)
TREES = st.builds(
    ModelTree,
    taxa=st.just(({"name": "Lepus", "rank": "genus"},)),
    labels=st.just(({"name": "hare"},)),
    way=st.none() | TEXTS,
    head_ranks=st.none() | NAMES,
    heads=st.lists(st.builds(TreeHead, children=NAMES, weight_decay=FLOATS), max_size=2).map(tuple),
    classes=st.none() | st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3),
    outside=NAMES,
    rollup=st.none()
    | st.builds(
        RollUpPromise,
        promise=FLOATS,
        media=st.none() | COUNTS,
        chosen_on=st.none() | st.dictionaries(TEXTS, st.builds(LevelPromise, bound=FLOATS), max_size=2),
    ),
)
FACTS = st.builds(
    PredictionFacts,
    model_name=st.none() | TEXTS,
    batch_size=st.none() | COUNTS,
    limits=st.none() | st.dictionaries(TEXTS, COUNTS | FLOATS | st.none(), max_size=3),
    trained_on=st.lists(st.builds(TrainedOn, parts=NAMES, split=TEXTS), max_size=2).map(tuple),
    event=st.none() | EVENTS,
    exclusive=st.booleans(),
    taxonomy=st.none() | TREES,
    thresholds=NUMBERS,
    pooled=st.none() | POOLED,
    combined=st.none()
    | st.builds(
        Combination,
        models=NAMES,
        names=NAMES,
        weights=ROWS,
        sureness=NUMBERS,
        pooled=st.none() | OPTIONS,
    ),
    region=st.none()
    | st.builds(RegionWeights, weights=NUMBERS, unlisted=FLOATS, not_named=NAMES, unknown=NAMES),
    nearby=st.none()
    | st.builds(NearbyWeights, days=ROWS, amplitudes=ROWS, reliance=FLOATS, sureness=FLOATS, shares=NUMBERS),
    shares=st.none()
    | st.dictionaries(TEXTS, st.builds(SharesShift, before=NUMBERS, after=NUMBERS, kept=FLOATS), max_size=2),
    others=st.dictionaries(TEXTS.map("my {}".format), TEXTS | st.none(), max_size=2),
)


def predictions(facts: PredictionFacts) -> Predictions:
    row = ("m", None, None, "m.jpg", "ok", None, 0.5, 0.5)
    table = pl.DataFrame([row], schema=FIXED | dict.fromkeys(LABELS, pl.Float32()), orient="row")
    return Predictions(table, LABELS, "media", "f" * 64, "single-label", facts)


def saved(path: Path, info: dict[str, Any]) -> Path:
    """Predictions whose header keeps these facts, as another program might have written it."""
    plain = predictions(PredictionFacts())
    header = json.dumps(plain.header() | {"info": info})
    if path.suffix == ".csv":
        plain.save(path)
        path.with_name(path.name + ".json").write_text(header)
    else:
        plain.table.write_parquet(path, metadata={"trapline_predictions": header})
    return path


@settings(max_examples=40, deadline=None)
@given(facts=FACTS)
def test_facts_are_the_same_after_they_were_written_and_read(facts: PredictionFacts) -> None:
    assert PredictionFacts.from_json(json.loads(json.dumps(facts.as_json())), "here") == facts


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_of_before_are_read_and_written_with_the_same_keys(tmp_path: Path, suffix: str) -> None:
    found = Predictions.load(saved(tmp_path / f"p{suffix}", EARLIER)).facts
    assert found.taxonomy is not None
    assert found.taxonomy.others == {"drawn_by": "a newer Trapline"}
    assert found.others == {"shown_to": ["somebody"]}
    assert found.trained_on == (TrainedOn(parts=("train",), split="s" * 64),)
    assert found.as_json() == EARLIER
    plain = PredictionFacts.from_json({**EARLIER, "taxonomy": None}, "here")
    again = Predictions.load(predictions(plain).save(tmp_path / f"again{suffix}"))
    assert again.facts == plain


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("info", "named"),
    [
        ({"model_name": 1}, "model_name"),
        ({"exclusive": "no"}, "exclusive"),
        ({"trained_on": [{"parts": ["train"]}]}, "trained_on.0.split"),
        ({"pooled": {**EARLIER["pooled"], "without_box": "1"}}, "pooled.without_box"),
        ({"taxonomy": {"labels": []}}, "taxonomy"),
        ({"combined": {**EARLIER["combined"], "mood": 1}}, "combined.mood"),
    ],
)
def test_facts_of_another_type_are_refused_with_the_file_and_the_fact(
    tmp_path: Path, info: dict[str, Any], named: str, suffix: str
) -> None:
    path = saved(tmp_path / f"p{suffix}", info)
    with pytest.raises(DataError) as refused:
        Predictions.load(path)
    assert str(path) in str(refused.value)
    assert named in str(refused.value)
