"""Many at once: a bounded queue, deadlines, batches; and model files that are replaced meanwhile."""

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from trapline import ModelFile
from trapline.errors import DataError, UsageError
from trapline.models.cores import available_cores
from trapline.serving.answers import RequestPhoto, answer
from trapline.serving.engine import BatchingEngine, Gate, LocalEngine
from trapline.serving.lanes import Lanes
from trapline.serving.refusals import RefusedError
from trapline.serving.settings import Settings, name_models
from trapline.serving.shelf import Served, Shelf


@pytest.fixture
def served(write_tiny_model: Any, tmp_path: Path) -> Served:
    return Served("tiny", ModelFile(write_tiny_model(tmp_path / "tiny.onnx")))


@pytest.fixture
def photos(world: Any) -> list[RequestPhoto]:
    catalog = world()
    return [
        RequestPhoto(catalog.path(path).read_bytes(), path) for path in catalog.table["file_path"].to_list()
    ]


def warm(number: int) -> Lanes:
    """Lanes whose decoders are started, as those of a server that is ready."""
    lanes = Lanes(number)
    lanes.warm_up()
    return lanes


def test_answers_are_the_same_however_many_are_asked_at_once(
    served: Served, photos: list[RequestPhoto]
) -> None:
    expected = np.stack([one.probabilities for one in answer(served.model, photos)])  # type: ignore[arg-type]
    sources = [*photos, RequestPhoto(b"no photo", "broken")]

    async def ask(engine: LocalEngine) -> None:
        later = asyncio.get_running_loop().time() + 10
        halves = (sources[:5], sources[5:])
        parts = await asyncio.gather(*(engine.answers(served, half, later) for half in halves))
        found = [one for part in parts for one in part]
        assert [one.name for one in found] == [source.name for source in sources]
        assert found[-1].status == "failed"
        np.testing.assert_allclose([one.probabilities for one in found[:-1]], expected, atol=1e-6)
        assert engine.gate.inside == 0
        await engine.close()

    for make in (lambda: LocalEngine(warm(2), 64), lambda: BatchingEngine(warm(2), 64, 4, 0.01)):
        asyncio.run(ask(make()))


def test_batches_fill_and_do_not_wait_for_ever(served: Served, photos: list[RequestPhoto]) -> None:
    sizes: list[int] = []
    plain = served.model.run

    def counting(images: Any) -> Any:
        sizes.append(len(images))
        return plain(images)

    served.model.run = counting  # type: ignore[method-assign]

    async def ask() -> None:
        engine = BatchingEngine(warm(2), 64, 4, 0.05)
        later = asyncio.get_running_loop().time() + 10
        await engine.answers(served, photos[:8], later)
        await engine.answers(served, photos[:1], later)
        await engine.close()

    asyncio.run(ask())
    assert sum(sizes) == 9
    assert max(sizes) == 4
    assert sizes[-1] == 1


def test_a_batch_that_fails_fails_all_who_wait_for_it_and_no_other(
    served: Served, photos: list[RequestPhoto]
) -> None:
    def broken(images: Any) -> Any:
        raise RuntimeError("no")

    plain = served.model.run

    async def ask() -> None:
        engine = BatchingEngine(warm(2), 64, 2, 0.01)
        later = asyncio.get_running_loop().time() + 10
        served.model.run = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="no"):
            await engine.answers(served, photos[:3], later)
        served.model.run = plain  # type: ignore[method-assign]
        assert len(await engine.answers(served, photos[:3], later)) == 3
        await engine.close()

    asyncio.run(ask())


def test_a_full_queue_refuses_and_says_when_to_come_again(served: Served, photos: list[RequestPhoto]) -> None:
    go = threading.Event()
    plain = served.model.run
    served.model.run = lambda images: go.wait(5) and plain(images)  # type: ignore[method-assign, return-value, assignment]

    async def ask() -> None:
        engine = LocalEngine(warm(1), 4)
        later = asyncio.get_running_loop().time() + 10
        waiting = asyncio.create_task(engine.answers(served, photos[:3], later))
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as refused:
            await engine.answers(served, photos[:2], later)
        assert refused.value.kind.http == 429
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
        go.set()
        assert len(await waiting) == 3
        assert len(await engine.answers(served, photos[:2], later)) == 2
        await engine.close()

    asyncio.run(ask())


def test_a_deadline_ends_the_wait_and_what_has_not_begun_never_does(
    served: Served, photos: list[RequestPhoto]
) -> None:
    go, runs = threading.Event(), []
    plain = served.model.run

    def slow(images: Any) -> Any:
        runs.append(len(images))
        go.wait(5)
        return plain(images)

    served.model.run = slow  # type: ignore[method-assign]

    async def ask() -> None:
        engine = LocalEngine(warm(1), 64)
        with pytest.raises(RefusedError) as refused:
            await engine.answers(served, photos[:6], asyncio.get_running_loop().time() + 0.2)
        assert refused.value.kind.http == 504
        assert engine.gate.inside == 0
        go.set()
        await asyncio.sleep(0.1)
        await engine.close()

    asyncio.run(ask())
    assert len(runs) == 1


def test_the_time_to_come_again_grows_with_the_queue() -> None:
    gate = Gate(1000, 1)
    for _ in range(200):
        gate.took(0.5)
    with gate.admit(10):
        assert gate.retry_after() == 5
        with gate.admit(900):
            assert gate.retry_after() == 30


def watched(shelf: Shelf, until: Callable[[], bool]) -> None:
    async def watch() -> None:
        task = asyncio.create_task(shelf.watch(0.02))
        async with asyncio.timeout(5):
            while not until():
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(watch())


def test_a_replaced_file_answers_and_who_began_with_the_old_one_ends_with_it(
    write_tiny_model: Any, tmp_path: Path
) -> None:
    path = write_tiny_model(tmp_path / "model.onnx", seed=1)
    new = write_tiny_model(tmp_path / "new.onnx", labels=("a", "b"), seed=2)
    shelf = Shelf({"it": path})
    shelf.open_all()
    before = shelf.get("it")
    new.replace(path)
    watched(shelf, lambda: shelf.get("it") is not before)
    assert shelf.get("it").model.card.labels == ("a", "b")
    assert before.model.card.labels == ("blank", "hare", "lynx")
    assert before.model.run(np.zeros((1, 16, 16, 3), np.uint8)).probabilities.shape == (1, 3)


def test_a_replacement_that_cannot_be_opened_changes_nothing(write_tiny_model: Any, tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    kept = tmp_path / "kept.onnx"
    shutil.copy(path, kept)
    shelf = Shelf({"it": path})
    shelf.open_all()
    before, told = shelf.get("it"), []
    shelf.replaced = lambda name, good: told.append((name, good))
    path.write_bytes(kept.read_bytes()[:300])
    watched(shelf, lambda: bool(told))
    assert told == [("it", False)]
    assert shelf.get("it") is before
    shutil.copy(kept, path)
    watched(shelf, lambda: len(told) == 2)
    assert told[1] == ("it", True)


def test_a_file_that_opens_but_cannot_run_is_never_served(write_tiny_model: Any, tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    broken = onnx.load(path)
    (shape,) = (one for one in broken.graph.initializer if one.name == "quarters")
    shape.CopyFrom(onnx.numpy_helper.from_array(np.array([0, 2, 8, 2, 8, 4]), "quarters"))
    onnx.save(broken, tmp_path / "broken.onnx")
    with pytest.raises(DataError, match="can be opened, but not run"):
        Shelf({"it": tmp_path / "broken.onnx"}).open_all()
    shelf = Shelf({"it": path})
    shelf.open_all()
    before, told = shelf.get("it"), []
    shelf.replaced = lambda name, good: told.append((name, good))
    (tmp_path / "broken.onnx").replace(path)
    watched(shelf, lambda: bool(told))
    assert told == [("it", False)]
    assert shelf.get("it") is before


def test_models_are_named_by_their_cards_or_by_the_user(write_tiny_model: Any, tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.onnx", name="Taï species (2)")
    assert name_models([str(path), f"other={path}"]) == {"Ta-species-2": path, "other": path}
    odd = tmp_path / "a=b.onnx"
    shutil.copy(path, odd)
    assert name_models([str(odd)]) == {"Ta-species-2": odd}
    with pytest.raises(UsageError, match="Two models are called"):
        name_models([str(path), str(path)])
    with pytest.raises(UsageError, match="cannot name a model"):
        name_models([f"a b={path}"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"token": ""}, "token"),
        ({"allow_url": ("https://x.org/",)}, "name of a host"),
        ({"allow_url": ("localhost",)}, "name of a host"),
        ({"batch": 8, "queue": 4}, "never fill"),
        ({"backend": "http://x:1/y"}, "model server's address"),
        ({"models": {}}, "at least one"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Settings(**{"models": {"a": Path("a.onnx")}} | change)


def test_a_container_has_the_cores_that_its_quota_pays_for(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    for text, cores in (("50000 100000", 1), ("100000 100000", 1), ("max 100000", None), ("odd", None)):
        quota.write_text(text)
        assert available_cores(quota) == (cores or available_cores(tmp_path / "none"))


def test_photos_that_come_after_a_replacement_are_answered_by_the_new_model_also_in_batches(
    write_tiny_model: Any, tmp_path: Path, photos: list[RequestPhoto]
) -> None:
    path = write_tiny_model(tmp_path / "m.onnx", seed=1)
    shelf = Shelf({"tiny": path})
    shelf.open_all()

    async def ask(engine: LocalEngine) -> None:
        later = asyncio.get_running_loop().time() + 30
        for seed in (1, 2):
            write_tiny_model(path, seed=seed)
            shelf.replace("tiny")
            served = shelf.get("tiny")
            expected = [one.probabilities for one in answer(served.model, photos[:3])]
            found = await engine.answers(served, photos[:3], later)
            np.testing.assert_allclose([one.probabilities for one in found], expected, atol=1e-6)
        await engine.close()

    asyncio.run(ask(BatchingEngine(warm(2), 64, 4, 0.01)))
