"""Work in shards: whoever does them, in whatever pieces, the whole is that of a single run, byte for byte."""

import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline import api
from trapline.catalog import Catalog
from trapline.cluster import detection, merge_shards, plan_shards, prediction, run_status, work
from trapline.cluster.plan import Plan
from trapline.cluster.run_folder import RunFolder
from trapline.errors import DataError, UsageError
from trapline.images import CropPolicy, Preprocessing
from trapline.models import Detector, ModelFile
from trapline.prediction import detect, predict_to_file

ONE = {"workers": 1, "threads": 1}
BOXES = itertools.cycle([[], [0.9, 0.8], [0.01], None, [0.9, 0.01, 0.7], [0.6]])


def boxes(row: dict[str, Any]) -> Any:
    """None, none, one or several, of which some are let through."""
    found = next(BOXES)
    kind = {"category": "animal", "y": 0.1, "width": 0.4, "height": 0.5}
    return found and [{**kind, "conf": conf, "x": 0.1 * index} for index, conf in enumerate(found)]


@pytest.fixture
def catalog(world: Callable[..., Catalog]) -> Catalog:
    """Twelve media in events that are scattered over the catalog; one is broken, one is not there."""
    made = world(event_id=lambda row: f"e{int(row['media_id']) // 6}{int(row['media_id']) % 2}", boxes=boxes)
    (made.root / "4.png").write_bytes(b"no picture")
    (made.root / "7.png").unlink()
    return made


@pytest.fixture
def model(tmp_path: Path, write_tiny_model: Any) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path / "model.onnx", labels=("a", "b")), threads=1)


def same_bytes(folder: Path, output: Path, single: Path) -> None:
    merge_shards(folder, output)
    assert output.read_bytes() == single.read_bytes()


@pytest.mark.parametrize("level", ["media", "box", "event", "whole"])
def test_the_whole_is_the_single_run(
    level: Any, catalog: Catalog, write_tiny_model: Any, statistics: Any, tmp_path: Path
) -> None:
    card: dict[str, Any] = {"batch": "event"} if level == "whole" else {}
    card["familiar"] = statistics(1e-3)
    if level == "box":
        card["preprocessing"] = Preprocessing(height=16, width=16, crop=CropPolicy(min_conf=0.5))
    model = ModelFile(write_tiny_model(tmp_path / "m.onnx", labels=("a", "b"), **card), threads=1)
    level = "media" if level == "whole" else level
    single, whole = tmp_path / "single.csv", tmp_path / "whole.csv"
    summary = predict_to_file(model, catalog, single, level=level, batch_size=2, workers=1)
    plan = plan_shards(prediction(model, catalog, level=level, batch_size=2), tmp_path / "run", shard_size=3)
    assert len(plan.shards) > 1
    done = work(tmp_path / "run", claim=True, **ONE)
    assert sorted(done.finished) == list(range(len(plan.shards)))
    assert done.inputs == sum(shard.asked for shard in plan.shards)
    assert summary.familiar is not None
    assert summary.familiar.far > 0
    assert merge_shards(tmp_path / "run", whole).counts == summary
    assert whole.read_bytes() == single.read_bytes()
    assert whole.with_suffix(".csv.json").read_bytes() == single.with_suffix(".csv.json").read_bytes()
    if card.get("batch"):  # events 00 and 01 are media 0 to 5, shuffled
        assert [shard.stop for shard in plan.shards] == [6, 12]


def test_the_catalog_of_a_run_is_read_a_shard_at_a_time(
    catalog: Catalog, model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_shards(prediction(model, catalog, batch_size=2), tmp_path / "run", shard_size=4)
    read: list[int] = []
    part = RunFolder.part

    def counted(self: RunFolder, plan: Plan, number: int, root: Any = None) -> Catalog:
        read.append(number)
        return part(self, plan, number, root)

    monkeypatch.setattr(RunFolder, "part", counted)
    whole = RunFolder(tmp_path / "run").whole_catalog(plan)
    assert (read, len(whole)) == ([0], 12)
    ids = whole.frame.select("media_id")
    assert ids.collect()["media_id"].to_list() == catalog.table["media_id"].to_list()
    assert ids.head(5).collect()["media_id"].to_list() == catalog.table["media_id"].to_list()[:5]
    last = whole.frame.filter(pl.col("media_id") == catalog.table["media_id"][-1])
    assert last.collect().height == 1


def test_a_shard_without_a_photo_that_can_be_read_is_like_any_other(
    catalog: Catalog, model: ModelFile, tmp_path: Path
) -> None:
    for number in (0, 1, 2, 3):
        (catalog.root / f"{number}.png").unlink()
    predict_to_file(model, catalog, tmp_path / "single.parquet", batch_size=2, workers=1)
    plan_shards(prediction(model, catalog, batch_size=2), tmp_path / "run", shard_size=4)
    assert len(work(tmp_path / "run", claim=True, **ONE).finished) == 3
    same_bytes(tmp_path / "run", tmp_path / "whole.parquet", tmp_path / "single.parquet")


def test_photos_that_are_gone_fail_no_row_and_the_shard_stays_to_be_done(
    catalog: Catalog, model: ModelFile, tmp_path: Path
) -> None:
    plan_shards(prediction(model, catalog, batch_size=2), tmp_path / "run", shard_size=4)
    shutil.move(catalog.root, tmp_path / "elsewhere")
    gone = work(tmp_path / "run", claim=True, **ONE)
    assert len(gone.failed) == 1
    assert "network share" in next(iter(gone.failed.values()))
    assert run_status(tmp_path / "run").count("failed") == 1
    with pytest.raises(DataError, match="3 of 3 shards are not done: 0, 1, 2"):
        merge_shards(tmp_path / "run", tmp_path / "whole.parquet")
    assert len(work(tmp_path / "run", claim=True, root=tmp_path / "elsewhere", **ONE).finished) == 3


def test_which_shard_an_array_says(
    catalog: Catalog, model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_shards(prediction(model, catalog, batch_size=2), tmp_path / "run", shard_size=4)
    with pytest.raises(UsageError, match="--shard N; or --claim"):
        work(tmp_path / "run")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    assert work(tmp_path / "run", **ONE).finished == [2]
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with pytest.raises(DataError, match="no shard 3: the plan has 3, 0 to 2"):
        work(tmp_path / "run", **ONE)


@pytest.fixture
def done(catalog: Catalog, model: ModelFile, tmp_path: Path) -> Path:
    """A run whose shards are all done."""
    plan_shards(prediction(model, catalog, batch_size=2), tmp_path / "run", shard_size=4)
    work(tmp_path / "run", claim=True, **ONE)
    return tmp_path / "run"


def foreign(done: Path, model: ModelFile, catalog: Catalog) -> None:
    other = plan_shards(prediction(model, catalog, batch_size=4), done.parent / "other", shard_size=4)
    assert len(other.shards) == 3
    work(done.parent / "other", 1, **ONE)
    shutil.copy(done.parent / "other" / "shards" / "00001.parquet", done / "shards" / "00001.parquet")


def edited(done: Path, *_: Any) -> None:
    path = done / "shards" / "00001.parquet"
    kept = pl.read_parquet_metadata(path)
    kept.pop("ARROW:schema", None)
    pl.read_parquet(path).with_columns(pl.lit(0.5, pl.Float32).alias("a")).write_parquet(path, metadata=kept)


def without_a_row(done: Path, *_: Any) -> None:
    edited(done)
    path = done / "shards" / "00001.parquet"
    kept = pl.read_parquet_metadata(path)
    kept.pop("ARROW:schema", None)
    pl.read_parquet(path)[1:].write_parquet(path, metadata=kept)
    for record in (done / "attempts").glob("00001.*.json"):
        record.unlink()


def cut_short(done: Path, *_: Any) -> None:
    path = done / "shards" / "00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])


SPOILT: dict[str, tuple[Callable[..., Any], str]] = {
    "missing": (
        lambda done, *_: (done / "shards" / "00001.parquet").unlink(),
        "1 of 3 shards are not done: 1",
    ),
    "doubled": (
        lambda done, *_: shutil.copy(done / "shards" / "00001.parquet", done / "shards" / "00002.parquet"),
        "the table of shard 1, once more",
    ),
    "a copy": (
        lambda done, *_: shutil.copy(
            done / "shards" / "00001.parquet", done / "shards" / "00001 (1).parquet"
        ),
        "is shard 1 once more",
    ),
    "a shard too many": (
        lambda done, *_: shutil.copy(done / "shards" / "00001.parquet", done / "shards" / "00003.parquet"),
        "is shard 1 once more",
    ),
    "foreign": (foreign, "of another plan"),
    "another table": (
        lambda done, *_: pl.DataFrame({"a": [1]}).write_parquet(done / "shards" / "00001.parquet"),
        "no table of a shard",
    ),
    "edited": (edited, "no longer what its worker has written"),
    "a row less": (without_a_row, "not the rows that were planned"),
    "cut short": (cut_short, "no table of a shard, or damaged"),
    "catalog": (
        lambda done, *_: shutil.copy(done / "catalog" / "00001.parquet", done / "catalog" / "00002.parquet"),
        "no longer what was planned",
    ),
}


def test_what_is_not_the_plans_is_not_merged(
    done: Path, model: ModelFile, catalog: Catalog, tmp_path: Path
) -> None:
    for how, (spoil, message) in SPOILT.items():
        spoilt = tmp_path / how / "run"
        shutil.copytree(done, spoilt)
        spoil(spoilt, model, catalog)
        with pytest.raises(DataError, match=re.escape(message)):
            merge_shards(spoilt, tmp_path / "whole.parquet")
        assert not (tmp_path / "whole.parquet").exists()


def test_a_worker_whose_answers_would_be_others_does_not_begin(
    catalog: Catalog, model: ModelFile, tmp_path: Path, write_tiny_model: Any
) -> None:
    plan_shards(prediction(model, catalog, batch_size=2), tmp_path / "run", shard_size=12)
    write_tiny_model(tmp_path / "run" / "model" / "model.onnx", labels=("a", "b"), seed=1)
    assert "be those that were planned: model is" in work(tmp_path / "run", 0, **ONE).failed[0]


def test_a_folder_in_use_is_not_planned_into_and_a_strange_one_is_no_run(
    done: Path, catalog: Catalog, model: ModelFile, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="not empty"):
        plan_shards(prediction(model, catalog), done)
    with pytest.raises(DataError, match=r"it has no plan\.json"):
        run_status(tmp_path)
    content = json.loads((done / "plan.json").read_text())
    (done / "plan.json").write_text(json.dumps(content | {"format_version": "9"}))
    with pytest.raises(DataError, match="no plan in the format 1"):
        work(done, 0)


def photos(folder: Path) -> Catalog:
    """Eight photos of noise, one of them broken, one with a box and one of another part."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        pixels = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(folder / f"{number}.jpg")
    (folder / "5.jpg").write_bytes(b"no picture")
    box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}
    rows = [
        {
            "media_id": str(number),
            "file_path": f"{number}.jpg",
            "labels": ["fox"],
            "boxes": [box] if number == 3 else None,
            "split": "train" if number == 1 else "test",
        }
        for number in range(8)
    ]
    return Catalog.from_rows(rows, folder, "noise")


def test_boxes_found_in_shards_are_those_of_a_single_run(tmp_path: Path) -> None:
    media, detector = photos(tmp_path / "photos"), Detector(threads=1, min_conf=0.001)
    options: dict[str, Any] = {"where_none": True, "part": "test"}
    single = detect(detector, media, tmp_path / "single.journal", workers=1, **options)
    plan_shards(detection(detector, media, **options), tmp_path / "run", shard_size=3)
    assert len(work(tmp_path / "run", claim=True, **ONE).finished) == 2
    for suffix in ("json", "parquet"):
        api.write_catalog(single, tmp_path / f"single.{suffix}")
        merged = merge_shards(tmp_path / "run", tmp_path / f"whole.{suffix}")
        assert merged.counts == single.facts.boxes
        assert merged.counts.failed == 1
        assert merged.counts.with_boxes > 1
        whole, alone = tmp_path / f"whole.{suffix}", tmp_path / f"single.{suffix}"
        assert whole.read_bytes() == alone.read_bytes()
