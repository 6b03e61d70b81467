"""Work in shards: whoever does them, in whatever pieces, the whole is that of a single run, byte for byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog
from trapline.cluster import merge_shards, plan_shards, prediction, run_status, work
from trapline.models import ModelFile
from trapline.prediction import predict_to_file


@pytest.fixture
def model(tmp_path: Path, write_tiny_model: Any) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path / "model.onnx", labels=("a", "b")), threads=1)


@pytest.mark.parametrize("level", ["media"])
def test_the_whole_is_the_single_run(
    level: Any, world: Callable[..., Catalog], model: ModelFile, tmp_path: Path
) -> None:
    catalog = world()
    single = predict_to_file(
        model, catalog, tmp_path / "single.parquet", level=level, batch_size=2, workers=1
    )
    plan = plan_shards(prediction(model, catalog, level=level, batch_size=2), tmp_path / "run", shard_size=3)
    assert [shard.stop for shard in plan.shards] == [4, 8, 12]
    assert work(tmp_path / "run", 1, workers=1, threads=1).finished == [1]
    assert work(tmp_path / "run", claim=True, workers=1, threads=1).finished
    assert run_status(tmp_path / "run").finished
    assert merge_shards(tmp_path / "run", tmp_path / "whole.parquet") == single
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "single.parquet").read_bytes()
