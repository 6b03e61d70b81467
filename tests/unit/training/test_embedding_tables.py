"""Embeddings as a table: a row a media whatever happens, and the cache filled for heads that come later."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline import api
from trapline.catalog import Catalog
from trapline.errors import UsageError
from trapline.models import ModelFile
from trapline.recipes import resolve_recipe
from trapline.training import Seeing, embed, embed_to_file, embed_views

BOX = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Seven photos, of which the fourth is none."""
    draw = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(7):
        pixels = draw.integers(0, 256, (24, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no photo")
    rows = [
        {"media_id": str(number), "file_path": f"{number}.png", "boxes": [BOX] if number % 2 else None}
        for number in range(7)
    ]
    return Catalog.from_rows(rows, folder, "drawn")


@pytest.fixture
def seeing(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> Seeing:
    """As the heads of a recipe look that crops to boxes and mirrors every other time."""
    path = write_tiny_model(tmp_path / "tiny.onnx")
    settings = [f"backbone=model-file:{path}", "weights=none", "head.pooling=avg"]
    settings += ["preprocessing.height=16", "preprocessing.width=16"]
    return Seeing.of_recipe(resolve_recipe("head", None, settings), tmp_path / "cache", threads=1)


def test_every_media_has_a_row_and_heads_find_all_of_it(
    seeing: Seeing, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = tmp_path / "e.parquet", tmp_path / "cache"
    summary = embed_to_file(seeing, catalog, path, cache=cache, workers=1)
    assert (summary.rows, summary.ok, summary.failed) == (7, 6, 1)
    table = pl.read_parquet(path)
    assert table.columns == ["media_id", "event_id", "file_path", "status", "reason", "embedding"]
    assert table["media_id"].to_list() == [str(number) for number in range(7)]
    assert table.filter(pl.col("embedding").is_null())["media_id"].to_list() == ["3"]
    assert "3.png" in table["reason"][3] or "picture" in table["reason"][3]
    facts = json.loads(pl.read_parquet_metadata(path)["trapline_embeddings"])
    assert (facts["size"], facts["model"]) == (12, seeing.network.fingerprint)
    plain = embed(seeing.network, catalog, cache=None, skip_unreadable=True)
    readable = np.array([row != 3 for row in range(7)])
    seen = np.stack(table.filter(pl.col("status") == "ok")["embedding"].to_numpy())
    np.testing.assert_allclose(seen, plain[readable], atol=1e-5)
    views = embed_views(seeing.network, catalog, seeing.views, cache=None, skip_unreadable=True).values
    assert len(seeing.views) == 2
    monkeypatch.setattr(ModelFile, "run", lambda *_: pytest.fail("all was in the cache"))
    known = embed_views(seeing.network, catalog, seeing.views, cache=cache, skip_unreadable=True).values
    np.testing.assert_allclose(known, views, atol=1e-5)


def test_a_run_that_was_stopped_goes_on_and_fills_the_cache_once(
    seeing: Seeing, catalog: Catalog, tmp_path: Path
) -> None:
    def stop(now: object) -> None:
        raise KeyboardInterrupt

    options = {"cache": tmp_path / "cache", "batch_size": 2, "workers": 1}
    embed_to_file(seeing, catalog, tmp_path / "whole.parquet", **options)
    with pytest.raises(KeyboardInterrupt):
        embed_to_file(seeing, catalog, tmp_path / "cut.parquet", **options, progress=stop)
    assert not (tmp_path / "cut.parquet").exists()
    embed_to_file(seeing, catalog, tmp_path / "cut.parquet", **options)
    assert (tmp_path / "cut.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert len(list(tmp_path.glob("cache/features/*/*.piece"))) == 1


def test_what_cannot_be_is_refused_before_any_photo_is_read(
    seeing: Seeing, catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"written as \.parquet"):
        embed_to_file(seeing, catalog, tmp_path / "e.csv")
    with pytest.raises(UsageError, match="begins without weights"):
        api.embed("small-cnn", catalog, tmp_path / "e.parquet")
    with pytest.raises(UsageError, match="changes a recipe"):
        api.embed(tmp_path / "tiny.onnx", catalog, tmp_path / "e.parquet", changes={"epochs": 3})
    with pytest.raises(UsageError, match="hed"):
        api.embed("hed", catalog, tmp_path / "e.parquet")
    assert not list(tmp_path.glob("e.*"))


def test_shards_make_the_same_table(
    seeing: Seeing, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "workers"))
    api.embed(seeing.network.path, catalog, tmp_path / "e.parquet", batch_size=2)
    planned = {"task": "embed", "shard_size": 4, "batch_size": 2}
    plan = api.plan_shards(seeing.network.path, catalog, tmp_path / "run", **planned)
    assert len(plan.shards) == 2
    api.work(tmp_path / "run", claim=True, workers=1)
    merged = api.merge_shards(tmp_path / "run", tmp_path / "merged.parquet")
    assert (merged.counts.ok, merged.counts.failed) == (6, 1)
    assert (tmp_path / "merged.parquet").read_bytes() == (tmp_path / "e.parquet").read_bytes()
    with pytest.raises(UsageError, match="level does nothing in a plan to embed"):
        api.plan_shards(seeing.network.path, catalog, tmp_path / "other", task="embed", level="media")
