"""Workers that are killed, stopped, silent or two at one shard; photos that kill whoever looks at them."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.cluster import Attempt, merge_shards, plan_shards, prediction, run_status, work
from trapline.cluster.run_folder import RunFolder
from trapline.models import ModelFile
from trapline.prediction import predict_to_file

ONE = {"workers": 1, "threads": 1}

PATCH = """
import os, signal, sys, time
if "trapline.cluster.child" in sys.orig_argv[-1]:
    from trapline.prediction.engine import BatchRunner
    run = BatchRunner.run
    def patched(self, pixels):
        {what}
        return run(self, pixels)
    BatchRunner.run = patched
"""
DIES = "(pixels.reshape(len(pixels), -1, 3) == (255, 0, 255)).all(axis=(1, 2)).any()"
"""A photo of nothing but magenta is in the batch."""


@pytest.fixture
def patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the processes that do shards do something before each batch."""

    def write(what: str) -> None:
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / "sitecustomize.py").write_text(PATCH.format(what=what))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    return write


@pytest.fixture
def model(tmp_path: Path, write_tiny_model: Any) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path / "model.onnx", labels=("a", "b")), threads=1)


def plan(model: ModelFile, catalog: Catalog, run: Path, size: int = 4, **options: Any) -> None:
    """Also what a single run writes, beside the folder."""
    predict_to_file(model, catalog, run.parent / "single.parquet", batch_size=2, workers=1)
    plan_shards(prediction(model, catalog, batch_size=2), run, shard_size=size, **options)


def is_whole(run: Path) -> bool:
    merge_shards(run, run.parent / "whole.parquet")
    return (run.parent / "whole.parquet").read_bytes() == (run.parent / "single.parquet").read_bytes()


def start(run: Path, *arguments: str) -> subprocess.Popen[str]:
    """A worker in a process of its own."""
    command = [sys.executable, "-m", "trapline", "cluster", "work", str(run), "--workers", "1"]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")


@pytest.fixture
def with_killer(world: Callable[..., Catalog]) -> Catalog:
    """Three photos, of which the last kills."""
    catalog = world().filter(pl.col("media_id").is_in(list("012")))
    magenta = np.tile(np.array([255, 0, 255], np.uint8), (40, 60, 1))
    Image.fromarray(magenta).save(catalog.root / "2.png")
    return catalog


def reason_of_the_only_failure(run: Path) -> str:
    """All others are as in the single run, in which nothing killed."""
    merge_shards(run, run.parent / "whole.parquet")
    whole, single = (pl.read_parquet(run.parent / f"{name}.parquet") for name in ("whole", "single"))
    killed = whole["media_id"] == "2"
    assert whole.filter(~killed).equals(single.filter(~killed))
    assert whole.filter(killed)["status"].to_list() == ["failed"]
    reason: str = whole.filter(killed)["reason"][0]
    return reason


def test_a_photo_that_kills_is_a_failed_row(
    with_killer: Catalog, model: ModelFile, tmp_path: Path, patch: Callable[[str], None]
) -> None:
    plan(model, with_killer, tmp_path / "run", tries=2)
    patch(f"if {DIES}: os.abort()")
    assert work(tmp_path / "run", 0, **ONE).finished == [0]
    assert run_status(tmp_path / "run").shards[0].media_failed == 1
    why = "the process that looked at it ended each of 2 times"
    assert reason_of_the_only_failure(tmp_path / "run") == why


def test_a_photo_that_takes_the_worker_with_it_is_found_by_the_next_ones(
    with_killer: Catalog, model: ModelFile, tmp_path: Path, patch: Callable[[str], None]
) -> None:
    plan(model, with_killer, tmp_path / "run", tries=1)
    patch(f"if {DIES}: os.kill(os.getppid(), signal.SIGKILL); os.kill(os.getpid(), signal.SIGKILL)")
    ends = [0]
    while ends[-1] != 0 or len(ends) == 1:
        worker = start(tmp_path / "run", "--shard", "0")
        worker.communicate()
        ends.append(worker.returncode)
        assert len(ends) < 9
    assert set(ends[1:-1]) == {-signal.SIGKILL}
    assert "ended each of 1 time" in reason_of_the_only_failure(tmp_path / "run")


def test_a_shard_of_a_worker_that_says_nothing_goes_on_from_its_journal(
    world: Callable[..., Catalog], model: ModelFile, tmp_path: Path, patch: Callable[[str], None]
) -> None:
    plan(model, world(), tmp_path / "run", size=12, lease=1.5)
    patch("time.sleep(0.3)")
    killed = start(tmp_path / "run", "--claim")
    journal = tmp_path / "run" / "attempts" / "00000.0001.journal"
    until(lambda: journal.exists() and journal.stat().st_size > 900)
    killed.kill()
    killed.communicate()
    done = work(tmp_path / "run", claim=True, **ONE)
    assert done.finished == [0]
    assert 0 < done.inputs < 12
    assert is_whole(tmp_path / "run")
    assert not list((tmp_path / "run" / "attempts").glob("*.journal"))


def test_a_worker_that_is_told_to_stop_gives_its_shard_back(
    world: Callable[..., Catalog], model: ModelFile, tmp_path: Path, patch: Callable[[str], None]
) -> None:
    plan(model, world(), tmp_path / "run", size=12, lease=1000.0)
    patch("time.sleep(0.3)")
    stopped = start(tmp_path / "run", "--claim")
    journal = tmp_path / "run" / "attempts" / "00000.0001.journal"
    until(lambda: journal.exists() and journal.stat().st_size > 600)
    stopped.send_signal(signal.SIGTERM)
    _, told = stopped.communicate(timeout=30)
    assert stopped.returncode == 130
    assert "Stopped. The same command goes on where it stopped." in told
    assert run_status(tmp_path / "run").count("waiting") == 1
    done = work(tmp_path / "run", claim=True, **ONE)  # at once: nobody waits for the lease
    assert 0 < done.inputs < 12
    assert is_whole(tmp_path / "run")


def test_two_workers_at_one_shard_are_one_too_many_and_no_more(
    world: Callable[..., Catalog], model: ModelFile, tmp_path: Path, patch: Callable[[str], None]
) -> None:
    plan(model, world(), tmp_path / "run", size=12)
    patch("time.sleep(0.1)")
    both = [start(tmp_path / "run", "--shard", "0") for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    for one in both:
        one.communicate()
    assert len(RunFolder(tmp_path / "run").attempts()[0]) == 2
    assert is_whole(tmp_path / "run")


def test_an_attempt_of_a_number_is_begun_once(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    folder, begun = RunFolder(tmp_path), []
    gate = threading.Barrier(8)

    def begin(worker: int) -> None:
        gate.wait()
        if folder.begin(Attempt(shard=0, number=1, worker=str(worker))):
            begun.append(worker)

    threads = [threading.Thread(target=begin, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1


def test_whoever_is_slower_does_not_replace_a_table(
    world: Callable[..., Catalog], model: ModelFile, tmp_path: Path
) -> None:
    plan(model, world(), tmp_path / "run", size=12)
    work(tmp_path / "run", 0, **ONE)
    folder = RunFolder(tmp_path / "run")
    rows = pl.LazyFrame({"media_id": ["other"]})
    won, _ = folder.publish(Attempt(shard=0, number=2, worker="late"), rows, folder.plan())
    assert not won
    assert is_whole(tmp_path / "run")
    assert [one.name for one in (tmp_path / "run" / "shards").iterdir()] == ["00000.parquet"]


def test_a_process_that_hangs_is_ended_and_no_photo_is_blamed(
    model: ModelFile,
    world: Callable[..., Catalog],
    tmp_path: Path,
    patch: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan(model, world(), tmp_path / "run")
    patch("time.sleep(600)")
    with monkeypatch.context() as brief:
        brief.setattr("trapline.cluster.children.SILENT_SECONDS", 4.0)
        worked = work(tmp_path / "run", claim=True, **ONE)
    assert not worked.finished
    assert "said nothing" in next(iter(worked.failed.values()))
    assert len(worked.failed) == 1  # it is this machine's trouble: it does not try every shard
    patch("pass")
    assert work(tmp_path / "run", claim=True, **ONE).failed == {}
    merge_shards(tmp_path / "run", tmp_path / "whole.parquet")
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "single.parquet").read_bytes()
