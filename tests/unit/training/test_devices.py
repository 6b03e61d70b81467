"""Several processes train as one does: what each has of a batch, what they agree on, what ends them."""

import csv
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline import api
from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineError, TraplineWarning, UsageError
from trapline.models import ModelFile
from trapline.recipes import Recipe, resolve_recipe

pytestmark = pytest.mark.usefixtures("unrendered")

torch = pytest.importorskip("torch")

from torch import distributed, nn  # noqa: E402

from trapline.training import devices as devices_module  # noqa: E402
from trapline.training import train  # noqa: E402
from trapline.training.augment import augment, mix  # noqa: E402
from trapline.training.batches import Part, made_ahead  # noqa: E402
from trapline.training.devices import Devices, find_devices  # noqa: E402
from trapline.training.fitting import number_type  # noqa: E402
from trapline.training.ranks import RankGroup, normalise_over_all  # noqa: E402

MakeWorld = Callable[..., Catalog]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tiny(*changes: str) -> Recipe:
    small = ["preprocessing.height=94", "preprocessing.width=94", "epochs=2", "batch_size=4"]
    exact = ["precision=float32", "head.dropout=0", "optimiser.name=sgd", "optimiser.lr=0.01"]
    return resolve_recipe("small-cnn", None, [*small, *exact, *changes])


def curve(run: Path) -> np.ndarray[Any, Any]:
    with (run / "history.csv").open(encoding="utf-8") as file:
        rows = [
            [float(value) for key, value in row.items() if key != "seconds"] for row in csv.DictReader(file)
        ]
    return np.array(rows)


# ---- what each has


@given(media=st.integers(1, 300), ranks=st.integers(1, 9))
def test_each_media_of_a_batch_is_in_one_process_beside_what_it_is_mixed_with(media: int, ranks: int) -> None:
    parts = [Part(rank, ranks).of(media) for rank in range(ranks)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(media))
    for own in parts:
        assert (media - 1 - own[::-1] == own).all()
    sizes = [len(own) for own in parts]
    assert max(sizes) - min(sizes) <= 3
    assert min(sizes) > 0 or (media + 1) // 2 < ranks


CHANGES = (
    *("gamma=0.4", "contrast=0.3", "brightness=0.3", "grey=0.5", "blur=0.5", "coarse=0.5", "noise=0.2"),
    *("banner=0.5", "erase=0.5", "mixup=0.4", "cutmix=1.0"),
)


@pytest.mark.parametrize("changes", [*((change,) for change in CHANGES), CHANGES])
def test_chance_does_not_depend_on_how_many_processes_there_are(changes: tuple[str, ...]) -> None:
    settings = tiny(*(f"augmentation.{change}" for change in changes)).augmentation
    images, targets = torch.rand(7, 3, 24, 32), torch.eye(7)

    def seen(part: Part) -> tuple[Any, Any]:
        random, own = torch.Generator().manual_seed(3), torch.from_numpy(part.of(7))
        return mix(augment(images[own], settings, random, 7, own), targets[own], settings, random)

    whole = mix(
        augment(images, settings, random := torch.Generator().manual_seed(3)), targets, settings, random
    )
    for rank in range(3):
        part = Part(rank, 3)
        for here, everywhere in zip(seen(part), whole, strict=True):
            torch.testing.assert_close(here, everywhere[part.of(7)], atol=1e-6, rtol=0)


@pytest.fixture
def _alone_in_a_group() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("_alone_in_a_group")
@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3), nn.BatchNorm1d(3), nn.BatchNorm2d(3, affine=False)])
def test_normalising_over_all_is_batch_normalisation_with_its_gradient(layer: nn.Module) -> None:
    shape = (5, 3) if isinstance(layer, nn.BatchNorm1d) else (5, 3, 4, 2)
    values = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 100
    found = []
    for mode in (RankGroup(), RankGroup(Part(0, 2))):
        layer.double().train().requires_grad_()
        for buffer in layer.buffers():
            buffer.zero_()
        layer.zero_grad()
        images = values.clone().requires_grad_()
        with mode.normalising():
            answered = layer(images)
        (answered.sin() * values).sum().backward()
        gradients = [images.grad, *(one.grad.clone() for one in layer.parameters())]
        found.append([answered, *gradients, *(one.clone() for one in layer.buffers())])
    for ours, plain in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-9, rtol=1e-9)
    assert normalise_over_all(values.bfloat16(), None, None).dtype == torch.bfloat16


# ---- which there are


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda")
    )
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (None, (None,)),
        (2, ("cuda:0", "cuda:1")),
        ("4", ("cuda:0", "cuda:1", "cuda:2", "cuda:3")),
        ("auto", ("cuda:0", "cuda:1", "cuda:2", "cuda:3")),
        ("cuda:2, cuda:0", ("cuda:2", "cuda:0")),
        ("cpu", ("cpu",)),
        ("cpu:3", ("cpu",) * 3),
    ],
)
@pytest.mark.usefixtures("four_gpus")
def test_devices_are_found_by_number_and_name(asked: Any, names: tuple[str | None, ...]) -> None:
    assert find_devices(asked).names == names


@pytest.mark.parametrize(
    "asked", [5, 0, "0", "cpu:0", "cuda:4", "cuda:1,cuda:1", "cuda:0,cpu", "all", "-1", "2,3"]
)
@pytest.mark.usefixtures("four_gpus")
def test_devices_that_are_not_there_are_refused_with_those_that_are(asked: Any) -> None:
    with pytest.raises(UsageError, match="this machine has cuda:0, cuda:1"):
        find_devices(asked)


def test_without_an_accelerator_a_number_is_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert [find_devices(asked).names for asked in (2, "auto")] == [("cpu", "cpu"), ("cpu",)]


def test_a_recipe_that_trains_no_network_takes_no_devices(world: MakeWorld, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave devices out"):
        api.train(world(), "head", tmp_path / "run", devices=2)


@pytest.mark.slow
def test_more_devices_than_a_batch_is_dealt_to_are_refused_or_left(world: MakeWorld, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"4 photos, which are dealt in pairs: 2 of the 3.*batch_size"):
        train(tiny(), world(), tmp_path / "run", cache=tmp_path, devices="cpu:3")
    batches: Any = type("Batches", (), {"rows": range(8), "__len__": lambda self: 2})()
    with pytest.warns(TraplineWarning, match="2 of the 3 devices"):
        assert Devices(("a", "b", "c"), as_many_as_fit=True).for_batches(batches) == ("a", "b")


# ---- processes


@pytest.mark.slow
def test_two_processes_train_what_one_does(world: MakeWorld, tmp_path: Path) -> None:
    changes = ("backbone=small-cnn-bn", "augmentation.noise=0.1", "augmentation.mixup=0.4", "ema=0.9")
    more = ("augmentation.crop_scale=0.7", "preprocessing.crop.context=1.3", "balance=class-weights")
    recipe, catalog, cache = tiny(*changes, *more, "optimiser.clip=1"), world(), tmp_path / "cache"
    alone = train(recipe, catalog, tmp_path / "alone", cache=cache)
    together = train(recipe, catalog, tmp_path / "together", cache=cache, devices="cpu:2")
    np.testing.assert_allclose(curve(tmp_path / "together"), curve(tmp_path / "alone"), rtol=2e-3)
    images = np.random.default_rng(1).integers(0, 256, (2, 94, 94, 3), dtype=np.uint8)
    first, second = (ModelFile(path, threads=1).run(images).logits for path in (alone, together))
    np.testing.assert_allclose(first, second, atol=2e-3)
    names = sorted(path.name for path in (tmp_path / "alone" / "member-0").iterdir())
    assert sorted(path.name for path in (tmp_path / "together" / "member-0").iterdir()) == names


@pytest.mark.slow
def test_a_killed_process_ends_the_run_which_goes_on_on_other_devices(
    world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, catalog, cache, begun = tiny(), world(), tmp_path / "cache", []
    plain = devices_module._command
    launch = devices_module.subprocess.Popen

    def watched(command: list[str], **options: Any) -> Any:
        process = launch(command, **options)
        begun.extend([process] if command == plain() else [])
        return process

    monkeypatch.setattr(devices_module.subprocess, "Popen", watched)

    def kill_in_the_second_epoch(what: str, done: int, total: int, line: str) -> None:
        if what == "train" and done == 3:
            os.kill(begun[1].pid, signal.SIGKILL)

    with pytest.raises(TraplineError, match=r"number 2 of the 2.*signal 9.*--resume"):
        train(
            recipe, catalog, tmp_path / "cut", cache=cache, devices="cpu:2", report=kill_in_the_second_epoch
        )
    assert all(process.poll() is not None for process in begun)
    assert len(curve(tmp_path / "cut" / "member-0")) == 1
    train(recipe, catalog, tmp_path / "cut", cache=cache, resume=True)
    train(recipe, catalog, tmp_path / "whole", cache=cache)
    np.testing.assert_allclose(curve(tmp_path / "cut"), curve(tmp_path / "whole"), rtol=1e-4)


@pytest.mark.slow
def test_what_goes_wrong_in_one_process_is_raised_as_it_is(world: MakeWorld, tmp_path: Path) -> None:
    recipe = tiny("epochs=1")
    wild = recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update={"lr": 1e30})})
    with pytest.raises(DataError, match=r"Training diverged.*optimiser\.lr"):
        train(wild, world(), tmp_path / "run", cache=tmp_path, devices="cpu:2")


# ---- for GPUs, as far as a processor goes through the same lines


def test_batches_that_are_made_ahead_are_the_same_in_order() -> None:
    batches = [{"images": torch.full((2,), number)} for number in range(5)]
    ahead = list(made_ahead(iter(batches), lambda numbers: numbers.clone()))
    assert [batch["images"].tolist() for batch in ahead] == [batch["images"].tolist() for batch in batches]

    def broken() -> Iterator[dict[str, Any]]:
        yield batches[0]
        raise OSError("the disk is gone")

    taken = made_ahead(broken(), lambda numbers: numbers)
    next(taken)
    with pytest.raises(OSError, match="the disk is gone"):
        next(taken)


@pytest.mark.parametrize(
    ("precision", "gpu_has_bf16", "numbers"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float16),
        ("float32", True, None),
        ("fp16", True, torch.float16),
    ],
)
def test_what_a_gpu_multiplies_in(
    monkeypatch: pytest.MonkeyPatch, precision: str, gpu_has_bf16: bool, numbers: Any
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu_has_bf16)
    recipe = tiny(f"precision={precision}")
    assert number_type(recipe, nn.Conv2d(4, 4, 1, groups=4), torch.device("cuda")) is numbers


@pytest.mark.slow
def test_fp16_scales_its_loss_and_trains_what_float32_does(world: MakeWorld, tmp_path: Path) -> None:
    found, catalog = {}, world()
    for precision in ("float32", "fp16"):
        recipe = tiny(f"precision={precision}", "epochs=1", "optimiser.clip=1")
        train(recipe, catalog, tmp_path / precision, cache=tmp_path)
        found[precision] = curve(tmp_path / precision)
    np.testing.assert_allclose(found["fp16"], found["float32"], rtol=0.02)
    kept = torch.load(tmp_path / "fp16" / "member-0" / "last.ckpt", weights_only=True)
    assert kept["scaler"]["scale"] > 1


@pytest.mark.slow
def test_a_compiled_network_trains_what_it_does_otherwise(
    world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # without a C compiler
    catalog = world()
    for compiled in (True, False):
        train(tiny("epochs=1"), catalog, tmp_path / str(compiled), cache=tmp_path, compiled=compiled)
    np.testing.assert_allclose(curve(tmp_path / "True"), curve(tmp_path / "False"), rtol=1e-5)
    with pytest.raises(UsageError, match="trains on one device"):
        train(tiny(), catalog, tmp_path / "run", cache=tmp_path, compiled=True, devices="cpu:2")
