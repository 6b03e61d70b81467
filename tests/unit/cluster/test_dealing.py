"""A run dealt to an engine: the output is that of the run without, and the same command goes on."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trapline import api
from trapline.catalog import Catalog
from trapline.cluster import deal_shards, dealing, planned_beside, prediction, run_status
from trapline.errors import DataError, UsageError
from trapline.models import ModelFile
from trapline.prediction import Progress
from trapline.tasks import TasksFailedError


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "_LEAST_MEDIA", 4)


@pytest.fixture
def catalog(world: Callable[..., Catalog]) -> Catalog:
    """Twelve media; one is broken, one is not there."""
    made = world()
    (made.root / "4.png").write_bytes(b"no picture")
    (made.root / "7.png").unlink()
    return made


@pytest.fixture
def model(tmp_path: Path, write_tiny_model: Any) -> Path:
    path: Path = write_tiny_model(tmp_path / "model.onnx", labels=("a", "b"))
    return path


def test_a_prediction_is_that_of_the_run_without(model: Path, catalog: Catalog, tmp_path: Path) -> None:
    single, whole = tmp_path / "single.csv", tmp_path / "whole.csv"
    told: list[Progress] = []
    one = api.predict_to_file(model, catalog, single, batch_size=2)
    many = api.predict_to_file(model, catalog, whole, batch_size=2, on="local:2", progress=told.append)
    assert whole.read_bytes() == single.read_bytes()
    assert many.summary == one.summary
    assert (told[-1].done, told[-1].total) == (12, 12)
    assert whole.with_name("whole.csv.json").read_bytes() == single.with_name("single.csv.json").read_bytes()
    assert len(list(tmp_path.glob("whole*"))) == 2


def test_a_detection_is_that_of_the_run_without(catalog: Catalog, tmp_path: Path) -> None:
    single, whole = tmp_path / "single" / "b.json", tmp_path / "whole" / "b.json"
    single.parent.mkdir()
    one = api.detect("auto", catalog, single, threads=1, workers=1)
    many = api.detect("auto", catalog, whole, on="local:1", threads=1, workers=1)
    assert whole.read_bytes() == single.read_bytes()
    assert many.table.equals(one.table)
    assert many.facts == one.facts
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]


def test_an_embedding_is_that_of_the_run_without(model: Path, catalog: Catalog, tmp_path: Path) -> None:
    single, whole = tmp_path / "single" / "e.parquet", tmp_path / "whole" / "e.parquet"
    single.parent.mkdir()
    one = api.embed(model, catalog, single, batch_size=2)
    many = api.embed(model, catalog, whole, batch_size=2, on="local:2")
    assert whole.read_bytes() == single.read_bytes()
    assert many.summary == one.summary
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]
    with pytest.raises(UsageError, match="TRAPLINE_CACHE"):
        api.embed(model, catalog, whole, cache=tmp_path / "cache", on="local:2")
    with pytest.raises(UsageError, match="parquet"):
        api.embed(model, catalog, tmp_path / "e.csv", on="local:2")


def test_the_same_command_goes_on_and_another_is_refused(
    model: Path, catalog: Catalog, tmp_path: Path
) -> None:
    output = tmp_path / "p.csv"
    to_plan = prediction(ModelFile(model, threads=1), catalog, batch_size=2)
    with planned_beside(to_plan, output) as folder, pytest.raises(UsageError, match="Another run is writing"):
        api.predict_to_file(model, catalog, output, batch_size=2, on="local:1")
    with pytest.raises(UsageError), planned_beside(to_plan, output) as folder:
        do_one_and_stop(folder)
    assert run_status(folder).count("finished") == 1
    api.predict_to_file(model, catalog, output, batch_size=2, on="local:1")
    assert not folder.exists()


def do_one_and_stop(folder: Path) -> None:
    dealing.do_shard(str(folder), None, 1, 1, 0)
    raise UsageError("enough")


def test_other_options_are_not_the_same_run(model: Path, catalog: Catalog, tmp_path: Path) -> None:
    output = tmp_path / "p.csv"
    with pytest.raises(UsageError), planned_beside(prediction(ModelFile(model), catalog), output) as folder:
        do_one_and_stop(folder)
    with pytest.raises(
        UsageError, match=r"p.csv.run holds the work of a run with another model, other media"
    ):
        api.predict_to_file(model, catalog, output, batch_size=2, on="local:1")
    api.predict_to_file(model, catalog, output, batch_size=2, on="local:1", fresh=True)
    assert not list(tmp_path.glob("p.csv.run*"))


def test_what_is_done_is_not_done_again(model: Path, catalog: Catalog, tmp_path: Path) -> None:
    api.plan_shards(model, catalog, tmp_path / "run", shard_size=4, batch_size=2)
    dealing.do_shard(str(tmp_path / "run"), None, 1, 1, 1)
    deal_shards(tmp_path / "run", "local:2", threads=1)
    status = run_status(tmp_path / "run")
    assert status.finished
    assert [one.attempts for one in status.shards] == [1, 1, 1]
    shutil.move(catalog.root, tmp_path / "away")  # nobody asks for the photos any more
    deal_shards(tmp_path / "run", "local:2")
    assert [one.attempts for one in run_status(tmp_path / "run").shards] == [1, 1, 1]


def test_what_goes_with_no_engine_is_refused_before_any_work(
    model: Path, catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="on takes local, local:N"):
        api.predict(model, tmp_path / "nothing", tmp_path / "p.csv", on="slurm")
    with pytest.raises(UsageError, match="finds boxes first, which with on is a run of its own"):
        api.predict(model, catalog, tmp_path / "p.csv", boxes="auto", on="local")
    with pytest.raises(UsageError, match="rows_per_file is of a run without on"):
        api.predict(model, catalog, tmp_path / "p", rows_per_file=5, on="local")
    with pytest.raises(DataError, match="no folder of a run"):
        deal_shards(tmp_path, "local")


def test_photos_that_are_not_there_are_an_error_of_the_run(
    model: Path, catalog: Catalog, tmp_path: Path
) -> None:
    api.plan_shards(model, catalog, tmp_path / "run", shard_size=12)
    shutil.move(catalog.root, tmp_path / "away")
    with pytest.raises(
        TasksFailedError, match=r"1 task failed.*\n  shard 0: 1 shard could not be done.*run --root FOLDER"
    ):
        deal_shards(tmp_path / "run", "local", threads=1)
