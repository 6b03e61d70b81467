"""`trapline cluster`: what it prints, what it refuses, and with which status it leaves."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog
from trapline.cli import main


@pytest.fixture
def run(
    world: Callable[..., Catalog],
    write_tiny_model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Runs commands beside a catalog `photos.parquet`, of which one photo is broken, and `model.onnx`."""
    catalog = world()
    (catalog.root / "5.png").write_bytes(b"no picture")
    catalog.save(tmp_path / "photos.parquet")
    write_tiny_model(tmp_path / "model.onnx", labels=("a", "b"))
    monkeypatch.chdir(tmp_path)

    def trapline(line: str, status: int = 0) -> str:
        with pytest.raises(SystemExit) as left:
            main(shlex.split(line))
        written = capsys.readouterr()
        assert int(left.value.code or 0) == status, written
        return written.out + written.err

    return trapline


def test_from_the_plan_to_the_table(run: Callable[..., str], tmp_path: Path) -> None:
    planned = run("cluster plan model.onnx photos.parquet -o season --shard-size 2 --batch-size 3")
    assert "Planned 12 media in 4 shards, 0 to 3: season" in planned
    assert "0 of 4 shards are done, 0 of 12 inputs." in run("cluster status season")
    assert "4 of 4 shards are not done: 0, 1, 2, 3." in run("cluster merge season -o table.csv", 1)
    assert "the plan has 4, 0 to 3" in run("cluster work season --shard 4", 1)
    done = json.loads(run("cluster work season --claim --json --workers 1 --threads 1"))
    assert sorted(done["finished"]) == [0, 1, 2, 3]
    assert "There was nothing to do" in run("cluster work season --shard 0")
    now = json.loads(run("cluster status season --json"))
    assert now["finished"]
    assert [one["media_failed"] for one in now["shards"]] == [0, 1, 0, 0]
    assert "11 media predicted, 1 failed" in run("cluster merge season -o table.csv")
    assert "table.csv exists" in run("cluster merge season -o table.csv", 2)
    assert "1 row failed" in run("cluster merge season -o table.csv --force --strict", 1)
    run("predict model.onnx photos.parquet -o single.csv --batch-size 3")
    assert Path("table.csv").read_bytes() == Path("single.csv").read_bytes()
    shutil.move("photos", "elsewhere")
    assert "There was nothing to do" in run("cluster work season --claim")


def test_boxes_are_merged_into_their_json_and_predictions_are_not(run: Callable[..., str]) -> None:
    run("cluster plan auto photos.parquet --task detect -o boxes-run")
    run("cluster work boxes-run --claim --workers 1 --threads 1")
    assert "Wrote boxes.json" in run("cluster merge boxes-run -o boxes.json")
    assert "boxes.json exists" in run("cluster merge boxes-run -o boxes.json", 2)
    assert "not as 'boxes.csv'" in run("cluster merge boxes-run -o boxes.csv", 2)
    run("cluster plan model.onnx photos.parquet -o season")
    assert "not as 'table.json'" in run("cluster merge season -o table.json", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--min-conf 0.2", "--min-conf does nothing in a plan to predict"),
        ("--task detect --level event", "--level does nothing in a plan to detect"),
        ("--task train", "--task must be"),
        ("--runtime tpu", "There is no runtime 'tpu'"),
        ("--boxes auto", "no boxes are found"),
        ("--level box", "made for whole photos"),
    ],
)
def test_what_cannot_be_planned_leaves_no_folder(
    options: str, message: str, run: Callable[..., str], tmp_path: Path
) -> None:
    assert message in run(f"cluster plan model.onnx photos.parquet -o season {options}", 2)
    assert not Path("season").exists()


def test_a_worker_without_the_runtime_of_the_plan_refuses(run: Callable[..., str], tmp_path: Path) -> None:
    run("cluster plan model.onnx photos.parquet -o season --runtime cuda --shard-size 4 --batch-size 4")
    refused = run("cluster work season --claim", 1)
    assert "cuda" in refused
    assert "1 shard could not be done" in refused  # and not one after the other
