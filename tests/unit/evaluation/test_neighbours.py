"""Beside a mistake stand the training photos that look most like it, and no others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline import api
from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.prediction import PredictionFacts, Predictions
from trapline.prediction.table import FIXED

LABELS = ("hare", "lynx")


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Catalog, Predictions, Path]:
    """Five training photos, one of them unreadable, and two of which the model says the other label."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for index in range(7):
        name = f"m{index}.png"
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / name)
        part = "train" if index < 5 else "test"
        rows.append(
            {
                "media_id": f"m{index}",
                "file_path": name,
                "labels": [LABELS[index % 2]],
                "location_id": f"L{index}",
                "split": part,
            }
        )
    catalog = Catalog.from_rows(pl.DataFrame(rows), tmp_path, "photos")
    fixed = pl.DataFrame(
        {
            "media_id": ["m5", "m6"],
            "event_id": [None, None],
            "box": [None, None],
            "file_path": ["m5.png", "m6.png"],
            "status": ["ok", "ok"],
            "reason": [None, None],
        },
        schema=FIXED,
    )
    said = pl.DataFrame({"hare": [0.9, 0.2], "lynx": [0.1, 0.8]}, schema=dict.fromkeys(LABELS, pl.Float32))
    predictions = Predictions(
        fixed.hstack(said), LABELS, "media", "f" * 64, "single-label", PredictionFacts()
    )
    angles = np.radians([0, 10, 20, 80, 90, 12, 84])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) * 3
    table = pl.DataFrame(
        {
            "media_id": [f"m{index}" for index in range(7)],
            "status": ["ok" if index != 2 else "failed" for index in range(7)],
            "embedding": pl.Series(vectors, dtype=pl.Array(pl.Float32, 2)),
        }
    )
    table.write_parquet(tmp_path / "embeddings.parquet")
    return catalog, predictions, tmp_path / "embeddings.parquet"


def test_beside_a_mistake_stand_the_training_photos_that_look_most_like_it(
    judged: tuple[Catalog, Predictions, Path], tmp_path: Path
) -> None:
    catalog, predictions, table = judged
    page = tmp_path / "r.html"
    found = api.evaluate(catalog, predictions, page, part="test", alike=table, samples=10)
    alike = {one.media_id: [near.media_id for near in one.alike] for one in found.mistakes}
    assert alike == {"m5": ["m1", "m0", "m3"], "m6": ["m3", "m4", "m1"]}  # m2 cannot be read
    (near, *_) = found.mistakes[[one.media_id for one in found.mistakes].index("m5")].alike
    assert (near.labels, near.location) == (("lynx",), "L1")
    assert near.cosine == pytest.approx(np.cos(np.radians(2)), abs=1e-3)
    text = page.read_text()
    assert text.count("Training photo") == 6
    assert "Training photo m1, lynx" in text
    plain = api.evaluate(catalog, predictions, tmp_path / "p.html", part="test", samples=10)
    assert all(one.alike == () for one in plain.mistakes)
    assert "Training photo" not in (tmp_path / "p.html").read_text()


def test_a_mistake_is_not_its_own_neighbour_nor_is_its_burst(
    judged: tuple[Catalog, Predictions, Path],
) -> None:
    """The answers are out of fold: what is judged is in the part that was trained on."""
    catalog, predictions, table = judged
    burst = pl.when(pl.col("media_id").is_in(["m1", "m5"])).then(pl.lit("e")).otherwise("media_id")
    by_location = pl.when(pl.col("media_id").is_in(["m3", "m6"])).then(pl.lit("X")).otherwise("location_id")
    folds = catalog.with_table(
        catalog.table.with_columns(split=pl.lit("train"), event_id=burst, location_id=by_location)
    )
    for held_out_by, of_m6 in (("event", ["m3", "m4", "m5"]), ("location", ["m4", "m5", "m1"])):
        facts = replace(predictions.facts, held_out_by=held_out_by)
        options: dict[str, Any] = {"alike": table, "samples": 10, "allow_unmatched": True}
        found = api.evaluate(folds, replace(predictions, facts=facts), **options)
        alike = {one.media_id: [near.media_id for near in one.alike] for one in found.mistakes}
        assert alike == {"m5": ["m0", "m3", "m6"], "m6": of_m6}


def test_what_has_no_training_photos_or_embeddings_is_refused(
    judged: tuple[Catalog, Predictions, Path], tmp_path: Path
) -> None:
    catalog, predictions, table = judged
    options: dict[str, Any] = {"samples": 10, "part": "test"}
    without = catalog.filter(pl.col("split") == "test")
    with pytest.raises(DataError, match="no labelled media in the part train"):
        api.evaluate(without, predictions, alike=table, **options)
    catalog.save(tmp_path / "c.parquet")
    with pytest.raises(DataError, match="is no table of embeddings"):
        api.evaluate(catalog, predictions, alike=tmp_path / "c.parquet", **options)
    pl.read_parquet(table).filter(pl.col("media_id") != "m6").write_parquet(tmp_path / "few.parquet")
    with pytest.raises(DataError, match="no embedding of 'm6'"):
        api.evaluate(catalog, predictions, alike=tmp_path / "few.parquet", **options)
    pl.read_parquet(table)[5:].write_parquet(tmp_path / "own.parquet")
    with pytest.raises(DataError, match="no embedding of a media that the model was trained on"):
        api.evaluate(catalog, predictions, alike=tmp_path / "own.parquet", **options)
    events = catalog.with_table(catalog.table.with_columns(event_id=pl.col("media_id")))
    pooled = api.pool(predictions, events, rows="event")
    with pytest.raises(UsageError, match="of a row event"):
        api.evaluate(events, pooled, alike=table, **options)
