"""Where the real photos are, what is skipped without them, and a model file small enough for any test."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

FIELD = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if FIELD.is_dir():
        return
    skip = pytest.mark.skip(reason=f"needs the real photos at {FIELD}, which are not on this machine")
    for item in items:
        if "field" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def field() -> Path:
    """The folder of real photos (only in tests marked `field`)."""
    return FIELD


@pytest.fixture(scope="session")
def write_tiny_model() -> Callable[..., Path]:
    """Writes a model file that looks at the mean colour of the four quarters of a photo."""

    def write(
        path: Path,
        labels: Sequence[str] = ("blank", "hare", "lynx"),
        *,
        seed: int = 0,
        size: int = 16,
        **card: Any,
    ) -> Path:
        import numpy as np
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        from trapline.images import Preprocessing
        from trapline.models import Card

        features = 12
        weights = np.random.default_rng(seed).normal(0, 3, (features, len(labels))).astype(np.float32)
        half = size // 2
        constants = {
            "scale": np.array(1 / 255, np.float32),
            "quarters": np.array([0, 2, half, 2, half, 3]),
            "flat": np.array([0, features]),
            "axes": np.array([2, 4]),
            "weights": weights,
        }
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "scale"], ["unit"]),
            helper.make_node("Reshape", ["unit", "quarters"], ["cut"]),
            helper.make_node("ReduceMean", ["cut", "axes"], ["means"], keepdims=0),
            helper.make_node("Reshape", ["means", "flat"], ["embedding"]),
            helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        ]
        multi = card.get("task") == "multi-label"
        nodes.append(helper.make_node("Sigmoid" if multi else "Softmax", ["logits"], ["probabilities"]))
        widths = {"probabilities": len(labels), "logits": len(labels), "embedding": features}
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", size, size, 3])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
                for name, width in widths.items()
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        filled = {
            "name": "tiny",
            "task": "single-label",
            "preprocessing": Preprocessing(height=size, width=size),
        } | card
        described = Card(labels=tuple(labels), embedding_size=features, **filled)
        helper.set_model_props(model, {"trapline_card": described.model_dump_json()})
        onnx.save(model, path)
        return path

    return write
