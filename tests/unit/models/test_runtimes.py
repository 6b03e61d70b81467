"""Whatever runs a model file, the answers are the same; what is not there is named."""

import builtins
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from trapline.errors import DataError, MissingExtraError, UsageError
from trapline.models import ModelFile, backbones


def pictures(count: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def test_openvino_answers_as_onnx_runtime_does(write_tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = write_tiny_model(tmp_path / "tiny.onnx")
    ours, theirs = ModelFile(path), ModelFile(path, runtime="openvino", threads=1)
    assert theirs.card == ours.card
    assert theirs.fingerprint == ours.fingerprint
    assert (ours.runtime, theirs.runtime) == ("cpu", "openvino")
    for count in (3, 1):  # the batch's size is free
        images = pictures(count, 16)
        for name in ("probabilities", "logits", "embedding"):
            np.testing.assert_allclose(
                getattr(theirs.run(images), name), getattr(ours.run(images), name), atol=1e-4
            )


def test_openvino_computes_the_shipped_backbone_in_float32() -> None:
    pytest.importorskip("openvino")
    path, images = backbones.path("lite0"), pictures(2, 224)
    expected = ModelFile(path).run(images).embedding
    found = ModelFile(path, runtime="openvino").run(images).embedding
    np.testing.assert_allclose(found, expected, atol=1e-4)  # bfloat16 is off by 1e-1


def test_openvino_serves_several_threads_at_once(
    write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    path = write_tiny_model(tmp_path / "tiny.onnx")
    model = ModelFile(path, runtime="openvino")
    batches = [pictures(4, 16, seed) for seed in range(40)]
    expected = [ModelFile(path).run(batch).logits for batch in batches[:3]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: model.run(batch).logits, batches))
    alone = [model.run(batch).logits for batch in batches]
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(found[:3], expected, atol=1e-4)


def test_a_missing_extra_is_named(
    write_tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, plain = write_tiny_model(tmp_path / "tiny.onnx"), builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("openvino"):
            raise ModuleNotFoundError(name=name)
        return plain(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="extra 'openvino'"):
        ModelFile(path, runtime="openvino")


def test_unknown_and_absent_runtimes_are_refused(
    write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx")
    with pytest.raises(UsageError, match="no runtime 'tpu'; there are auto, cuda"):
        ModelFile(path, runtime="tpu")
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(UsageError, match=r"cannot use 'cuda'; it has .*cpu"):
            ModelFile(path, runtime="cuda")


@pytest.mark.parametrize("runtime", ["cpu", "openvino"])
def test_what_is_no_model_is_refused(tmp_path: Path, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model" * 9)
    with pytest.raises(DataError, match="cannot be opened"):
        ModelFile(path, runtime=runtime)


def test_an_accelerator_is_taken_when_present(monkeypatch: pytest.MonkeyPatch) -> None:
    from trapline.models.runtimes import _present

    everything = ["CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider"]
    assert _present("auto", everything) == "cuda"
    assert _present("auto", everything[1:]) == "cpu"  # CoreML may round to float16: only by name
    assert _present("coreml", everything) == "coreml"
