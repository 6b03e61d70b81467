"""The folder of a run in a bucket: the same rules, and the same bytes in the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trapline import api
from trapline.catalog import Catalog
from trapline.cluster import Attempt, JobOptions, merge_shards, plan_shards, prediction, run_status, work
from trapline.cluster.run_folder import RunFolder
from trapline.errors import DataError, UsageError
from trapline.models import ModelFile
from trapline.prediction import Journal, predict_to_file
from trapline.storage import as_any_path, local_copy

pytestmark = pytest.mark.slow


def test_a_run_in_a_bucket_is_the_single_run(
    bucket: str,
    world: Callable[..., Catalog],
    write_tiny_model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    model = ModelFile(write_tiny_model(tmp_path / "model.onnx", labels=("a", "b")), threads=1)
    catalog, run = world(event_id=lambda row: row["location_id"]), f"{bucket}/runs/season"
    predict_to_file(model, catalog, tmp_path / "single.parquet", level="event", batch_size=2, workers=1)
    plan = plan_shards(prediction(model, catalog, level="event", batch_size=2), run, shard_size=4)
    folder = RunFolder(run)
    with pytest.raises(DataError, match="3 of 3 shards are not done"):
        merge_shards(run, tmp_path / "whole.parquet")

    first = Attempt(shard=1, number=1, worker="elsewhere")
    assert folder.begin(first)
    assert not folder.begin(first)
    with Journal(folder.journal(first), dict(plan.header)):
        pass
    folder.keep_journal(first)  # as a worker does that is stopped
    folder.renew(Attempt(shard=1, number=1, worker="elsewhere", state="returned"))
    assert [one.state for one in run_status(run).shards] == ["waiting"] * 3

    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "another machine"))
    done = work(run, claim=True, workers=1, threads=1)
    assert sorted(done.finished) == [0, 1, 2]
    assert run_status(run).finished
    assert not [name for name, _ in (folder.path / "attempts").walk() if name.endswith(".journal")]
    assert api.run_status(run) == run_status(run)
    api.merge_shards(run, f"{bucket}/whole.parquet")
    with local_copy(as_any_path(f"{bucket}/whole.parquet"), most_bytes=10**6) as whole:
        assert whole.read_bytes() == (tmp_path / "single.parquet").read_bytes()


def test_a_job_file_of_a_run_in_a_bucket_names_the_bucket(
    bucket: str,
    world: Callable[..., Catalog],
    write_tiny_model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    model = ModelFile(write_tiny_model(tmp_path / "model.onnx", labels=("a", "b")), threads=1)
    run = f"{bucket}/season"
    plan_shards(prediction(model, world(), batch_size=2), run, shard_size=4)
    with pytest.raises(UsageError, match="must be on this machine"):
        api.write_job_file(run, f"{bucket}/season.sbatch", "slurm")
    api.write_job_file(run, tmp_path / "season.sbatch", "slurm")
    api.write_job_file(run, tmp_path / "season.yaml", "kubernetes", JobOptions(image="trapline:1"))
    written = [(tmp_path / name).read_text() for name in ("season.sbatch", "season.yaml")]
    assert [text.count(run) for text in written] == [2, 2]
    assert not any(str(tmp_path / "cache") in text for text in written)
    assert not [name for name, _ in (RunFolder(run).path / "attempts").walk()]
    done = api.deal_shards(run, "local:1", root=str(tmp_path / "photos"), workers=1, threads=1)
    assert sorted(done.finished) == [0, 1, 2]
    assert api.run_status(run).finished
