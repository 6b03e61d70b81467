"""How far locations lie is said of the whole table, and the same however the work was divided."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline import api
from trapline.catalog import Catalog
from trapline.evaluation import evaluate
from trapline.images import CropPolicy, Preprocessing
from trapline.models import ModelFile
from trapline.prediction import Predictions, Progress, predict, predict_to_file

World = Callable[..., Catalog]


@pytest.fixture
def catalog(world: World) -> Catalog:
    return world(location_id=lambda row: (None, "L1", "L2")[int(row["media_id"]) % 3])


@pytest.fixture
def model(write_tiny_model: Any, statistics: Any, tmp_path: Path) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path / "m.onnx", familiar=statistics(1e-3)), threads=1)


def test_each_location_is_compared_by_the_mean_of_its_photos(
    model: ModelFile, catalog: Catalog, tmp_path: Path
) -> None:
    table = predict(model, catalog, tmp_path / "p.parquet", workers=1)
    embeddings = [
        model.run(np.asarray(_pixels(model, catalog, path))[None]).embedding[0]
        for path in catalog.table["file_path"]
    ]
    compared = table.facts.familiar
    assert compared is not None
    assert (compared.by, compared.groups, compared.locations) == ("location", 30, 3)
    assert {one.location_id for one in compared.farthest} == {None, "L1", "L2"}
    for one in compared.farthest:
        rows = catalog.table["location_id"].eq_missing(one.location_id).arg_true().to_list()
        mean = np.mean([embeddings[row][:2] for row in rows], axis=0) - 0.5
        assert model.card.familiar is not None
        assert one.media == len(rows)
        assert one.distance == pytest.approx(model.card.familiar.distance(mean, len(rows)), rel=1e-3)
    assert [one.distance for one in compared.farthest] == sorted(
        (one.distance for one in compared.farthest), reverse=True
    )
    assert set(table.table.columns) >= set(model.card.labels)
    assert not any("coordinates" in name for name in table.table.columns)
    assert Predictions.load(tmp_path / "p.parquet").facts.familiar == compared


def _pixels(model: ModelFile, catalog: Catalog, path: str) -> Any:
    from trapline.images import prepare

    return prepare(catalog.path(path), model.card.preprocessing).pixels


def test_an_interrupted_run_says_the_same_to_the_byte(
    model: ModelFile, catalog: Catalog, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(now: Progress) -> None:
        if now.done >= 4:
            raise Killed

    predict(model, catalog, tmp_path / "whole.parquet", workers=1, batch_size=2)
    with pytest.raises(Killed):
        predict(model, catalog, tmp_path / "torn.parquet", workers=1, batch_size=2, progress=kill)
    predict(model, catalog, tmp_path / "torn.parquet", workers=1, batch_size=2)
    assert (tmp_path / "torn.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_boxes_count_at_the_location_of_their_photo(
    write_tiny_model: Any, statistics: Any, world: World, tmp_path: Path
) -> None:
    box = {"category": "animal", "conf": 0.9, "x": 0.0, "y": 0.0, "width": 0.5, "height": 0.5}
    catalog = world(
        location_id=lambda row: f"L{int(row['media_id']) % 2}",
        boxes=lambda row: [box] * (int(row["media_id"]) % 4),
    )
    size = Preprocessing(height=16, width=16, crop=CropPolicy())
    path = write_tiny_model(tmp_path / "m.onnx", preprocessing=size, familiar=statistics(1e-3))
    table = predict(ModelFile(path, threads=1), catalog, tmp_path / "p.csv", level="box", workers=1)
    compared = table.facts.familiar
    assert compared is not None
    rows = table.ok.join(catalog.table.select("media_id", "location_id"), on="media_id")
    assert {one.location_id: one.media for one in compared.farthest} == dict(
        rows.group_by("location_id").len().iter_rows()
    )


def test_what_is_like_the_training_is_counted_and_not_told(
    write_tiny_model: Any, statistics: Any, catalog: Catalog, tmp_path: Path
) -> None:
    near = ModelFile(write_tiny_model(tmp_path / "m.onnx", familiar=statistics(1e3)), threads=1)
    summary = predict_to_file(near, catalog, tmp_path / "p.csv", workers=1)
    assert summary.familiar is not None
    assert (summary.familiar.locations, summary.familiar.far) == (3, 0)
    assert summary.familiar.sentences() == []
    silent = ModelFile(write_tiny_model(tmp_path / "none.onnx"), threads=1)
    assert predict_to_file(silent, catalog, tmp_path / "q.csv", workers=1).familiar is None


def test_whoever_predicts_pools_or_judges_is_told(model: ModelFile, catalog: Catalog, tmp_path: Path) -> None:
    said: list[str] = []
    api.predict_to_file(model, catalog, tmp_path / "p.parquet", workers=1, say=said.append)
    told = [line for line in said if "unlike the 30 training locations" in line]
    assert len(told) == 3
    assert any(line.startswith("Photos of no known location (") for line in told)
    labelled = catalog.with_table(
        catalog.table.with_columns(labels=pl.lit(["hare"]), location_id=pl.lit("L1"))
    )
    judged = evaluate(labelled, Predictions.load(tmp_path / "p.parquet"), training=[], samples=10)
    assert told[0] in judged.notes
