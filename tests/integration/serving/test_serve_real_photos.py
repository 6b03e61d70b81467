"""Real photos: a running server says of them what training measured and what `predict` writes."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from serving_process import Running, form

from trapline import ModelFile, predict
from trapline.catalog import ByLocation, Catalog
from trapline.formats import join_boxes, read
from trapline.prediction import Predictions

pytestmark = [pytest.mark.slow, pytest.mark.field]


@pytest.fixture(scope="module")
def catalog(field: Path) -> Catalog:
    """Photos of night animals with a detector's boxes, four of a label at a location, split by location."""
    every = join_boxes(read(field / "caltech-night"), field / "caltech-night" / "boxes.json")
    labelled = every.table.filter(pl.col("labels").is_not_null()).sort("media_id")
    common = labelled.filter(pl.col("labels").list.first().is_in(["opossum", "raccoon", "coyote", "bobcat"]))
    some = common.group_by("location_id", "labels", maintain_order=True).head(4).head(120)
    return ByLocation(ratios=(0.7, 0.3)).apply(every.with_table(some), check_files=False)


@pytest.fixture(scope="module")
def run(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained head."""
    folder = tmp_path_factory.mktemp("real")
    small = {"preprocessing.height": 96, "preprocessing.width": 96, "optimiser.weight_decay": 0.1}
    catalog.train("head", folder / "run", changes=small, cache=folder / "cache")
    return folder / "run"


def said(content: bytes | str) -> np.ndarray:
    """float64 [photos, labels] of an answer."""
    return np.array([list(one["probabilities"].values()) for one in json.loads(content)["answers"]])


def test_training_prediction_and_the_server_agree_on_real_photos(
    start: Callable[..., Running], catalog: Catalog, run: Path, tmp_path: Path
) -> None:
    model, held = ModelFile(run / "model.onnx"), catalog.part("validation")
    judged = Predictions.load(run / "validation.parquet")
    table = predict(model, held, tmp_path / "crops.csv")
    assert len(table) > 20
    assert table.table["media_id"].to_list() == judged.table["media_id"].to_list()
    np.testing.assert_allclose(table.probabilities(), judged.probabilities(), atol=1e-4)
    whole = predict(model, held.paths(), tmp_path / "whole.csv").probabilities()
    assert np.abs(whole - table.probabilities()).max() > 0.01  # or the boxes would not be tested

    server = start(run / "model.onnx")
    files = [path.read_bytes() for path in held.paths()]
    photos: list[dict[str, Any]] = [
        {"b64": base64.b64encode(content).decode(), "boxes": boxes}
        for content, boxes in zip(files, held.table["boxes"].to_list(), strict=True)
    ]
    kind = {"content-type": "application/json"}
    crops = [
        said(server.ask("POST", "/predict", json.dumps({"images": photos[at : at + 8]}), kind, 60)[2])
        for at in range(0, len(photos), 8)
    ]
    np.testing.assert_allclose(np.concatenate(crops), table.probabilities(), atol=1e-4)
    body, content_type = form({f"{place}.jpg": content for place, content in enumerate(files[:8])})
    uploaded = server.ask("POST", "/predict", body, {"content-type": content_type}, 60)[2]
    np.testing.assert_allclose(said(uploaded), whole[:8], atol=1e-4)
