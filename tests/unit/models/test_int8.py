"""Eight bits: what is quantised and what stays, on which media, and what the card then says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from trapline.catalog import Catalog, fingerprint
from trapline.errors import DataError, UsageError
from trapline.images import Preprocessing, prepare
from trapline.metrics import measure
from trapline.models import Calibration, Card, ModelFile, export_int8
from trapline.models.onnx_graph import Layer, attach_head, read_graph, store_half, write_model_file

SIDE, WIDTH = 16, 24


def convolution(seed: int = 0) -> onnx.ModelProto:
    """Scaling, one convolution whose weights are kept as float16, ReLU, the mean over places."""
    draw = np.random.default_rng(seed)
    weights = draw.normal(0, 0.3, (WIDTH, 3, 3, 3)).astype(np.float32)
    constants = {
        "scale": np.array(1 / 255, np.float32),
        "weights": weights,
        "bias": draw.normal(0, 0.1, WIDTH).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights", "bias"], ["maps"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["maps"], ["lit"]),
        helper.make_node("GlobalAveragePool", ["lit"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return store_half(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))


def write_classifier(path: Path, catalog: Catalog | None, **changes: Any) -> ModelFile:
    draw = np.random.default_rng(1)
    head = Layer(draw.normal(0, 4, (WIDTH, 2)), np.zeros(2))
    described = {
        "name": "small",
        "task": "single-label",
        "labels": ("a", "b"),
        "embedding_size": WIDTH,
        "preprocessing": Preprocessing(height=SIDE, width=SIDE),
        "calibration": Calibration(
            method="temperature", temperature=1.7, fitted_on="validation", locations=("L4", "L5")
        ),
        "split": {} if catalog is None else {"fingerprint": fingerprint(catalog)},
    }
    card = Card.model_validate(described | changes)
    return ModelFile(write_model_file(attach_head(convolution(), [head]), card, path))


def numbers(path: Path) -> dict[str, bytes]:
    return {
        tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in read_graph(path).graph.initializer
    }


def test_the_trunk_is_quantised_the_input_and_the_head_are_not(
    world: Callable[..., Catalog], tmp_path: Path
) -> None:
    catalog = world()
    model = write_classifier(tmp_path / "model.onnx", catalog)
    done = export_int8(model, catalog, tmp_path / "int8.onnx")
    graph = read_graph(done.path).graph
    made_by = {output: node for node in graph.node for output in node.output}
    (product,) = [node for node in graph.node if node.op_type == "Conv"]
    (head,) = [node for node in graph.node if node.op_type == "Gemm"]
    assert [made_by[name].op_type for name in product.input[:2]] == ["DequantizeLinear"] * 2
    assert head.input[0] == "embedding"
    assert head.input[1] not in made_by
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    weights = {tensor.name: tensor for tensor in graph.initializer}[made_by[product.input[1]].input[0]]
    assert weights.data_type == TensorProto.INT8
    assert len(weights.dims) == 4  # folded out of float16: had it not been, it would still be cast


def test_answers_and_card_of_the_new_file(world: Callable[..., Catalog], tmp_path: Path) -> None:
    catalog = world()
    model = write_classifier(tmp_path / "model.onnx", catalog)
    done = export_int8(model, catalog, tmp_path / "int8.onnx")
    made = ModelFile(done.path)
    images = np.stack([prepare(path, model.card.preprocessing).pixels for path in catalog.paths()])
    before, after = model.run(images), made.run(images)
    np.testing.assert_allclose(after.logits, before.logits, atol=0.15 * np.abs(before.logits).max())
    assert made.fingerprint != model.fingerprint
    assert made.card.export == done.export
    assert done.export.source == model.fingerprint
    assert done.export.calibrated_on == "8 media of the part train"
    assert done.export.measured_on.startswith("validation: 4 media at 2 locations")
    assert set(made.card.metrics) == set(done.export.change)
    assert made.card.calibration.temperature == done.calibration[1].temperature != 1.7
    assert done.speed_ratio > 0


def test_media_without_locations_are_compared_by_their_events(
    world: Callable[..., Catalog], tmp_path: Path
) -> None:
    catalog = world()
    place = pl.col("location_id").alias("event_id")
    nowhere = catalog.table.with_columns(place, pl.lit(None, pl.String).alias("location_id"))
    model = write_classifier(tmp_path / "model.onnx", catalog)
    done = export_int8(model, catalog.with_table(nowhere), tmp_path / "int8.onnx")
    assert done.export.measured_on.startswith(
        "validation: 4 media, their locations not known (2 events; intervals are over events)"
    )


def test_ranges_come_from_training_media_alone(world: Callable[..., Catalog], tmp_path: Path) -> None:
    catalog = world()
    model = write_classifier(tmp_path / "model.onnx", None)
    first = export_int8(model, catalog, tmp_path / "first.onnx").path
    for path in catalog.part("validation").paths():
        Image.new("RGB", (60, 40), "white").save(path)
    assert numbers(export_int8(model, catalog, tmp_path / "second.onnx").path) == numbers(first)
    Image.new("RGB", (60, 40), "white").save(catalog.part("train").paths()[0])
    assert numbers(export_int8(model, catalog, tmp_path / "third.onnx").path) != numbers(first)


def test_what_was_fitted_before_is_fitted_again_and_judged_as_models_are(
    world: Callable[..., Catalog], tmp_path: Path
) -> None:
    catalog = world(labels=lambda row: ["blank"] if row["labels"] == ["a"] else ["b"])
    by_label = Calibration(
        method="labels",
        slopes=(9.0, 9.0),
        offsets=(3.0, -3.0),
        blank_kept=0.5,
        fitted_on="validation",
        locations=("L4", "L5"),
    )
    changes = {"task": "multi-label", "labels": ("blank", "b"), "calibration": by_label}
    done = export_int8(
        write_classifier(tmp_path / "model.onnx", catalog, **changes), catalog, tmp_path / "int8.onnx"
    )
    made = ModelFile(done.path)
    found = made.card.calibration
    assert (found.method, found.blank_kept, found.temperature) == ("labels", 0.5, 1.0)
    assert found.slopes != by_label.slopes
    judged = catalog.part("validation")
    images = np.stack([prepare(path, made.card.preprocessing).pixels for path in judged.paths()])
    truth = np.array([[int("blank" in named), int("b" in named)] for named in judged.table["labels"]])
    expected = measure(truth, made.run(images).probabilities, blank=0)
    for name, figure in made.card.metrics.items():
        assert figure.value == pytest.approx(float(expected[name]), abs=1e-4), name


def test_another_split_leaves_temperature_and_metrics_alone(
    world: Callable[..., Catalog], tmp_path: Path
) -> None:
    catalog = world()
    model = write_classifier(
        tmp_path / "model.onnx", None, metrics={"accuracy": {"value": 0.5}}, metrics_on="out of fold"
    )
    done = export_int8(model, catalog, tmp_path / "int8.onnx")
    card = ModelFile(done.path).card
    assert done.calibration == (model.card.calibration,) * 2
    assert card.metrics == model.card.metrics
    assert card.metrics_on == "before it was made int8, out of fold"
    assert "another split" in done.export.measured_on


@pytest.mark.parametrize("fit", ["all", "folds"])
def test_what_a_model_has_learnt_from_tells_nothing_of_its_figures(
    fit: str, world: Callable[..., Catalog], tmp_path: Path
) -> None:
    catalog = world()
    figures = {"metrics": {"accuracy": {"value": 0.5}}, "metrics_on": "out of fold"}
    model = write_classifier(tmp_path / "model.onnx", catalog, recipe={"fit": fit}, **figures)
    done = export_int8(model, catalog, tmp_path / "int8.onnx")
    card = ModelFile(done.path).card
    assert (card.metrics, card.calibration) == (model.card.metrics, model.card.calibration)
    assert "which the model has learnt from" in done.export.measured_on
    assert "another split" not in done.export.measured_on


def test_a_calibration_of_other_locations_stays(world: Callable[..., Catalog], tmp_path: Path) -> None:
    catalog = world()
    here = Calibration(method="temperature", temperature=3, fitted_on="labelled media: 9", locations=("X",))
    figures = {"metrics": {"accuracy": {"value": 0.5}}, "metrics_on": "labelled media: 9"}
    model = write_classifier(
        tmp_path / "model.onnx", catalog, recipe={"fit": "train"}, calibration=here, **figures
    )
    done = export_int8(model, catalog, tmp_path / "int8.onnx")
    card = ModelFile(done.path).card
    assert (card.metrics, card.calibration) == (model.card.metrics, here)
    assert (
        "not what the calibration was fitted on (labelled media: 9), which stays" in done.export.measured_on
    )


def test_media_that_cannot_be_judged_are_counted(world: Callable[..., Catalog], tmp_path: Path) -> None:
    named = {"8": ["wolf"], "9": None, "10": ["a", "b"]}
    catalog = world(labels=lambda row: named.get(row["media_id"], row["labels"]))
    model = write_classifier(tmp_path / "model.onnx", catalog)
    done = export_int8(model, catalog, tmp_path / "int8.onnx")
    assert done.left_out == {
        "a label that the model does not know": 1,
        "unlabelled": 1,
        "several labels": 1,
    }
    assert done.export.measured_on.startswith("validation: 1 media")


def test_what_cannot_be_exported_is_refused(world: Callable[..., Catalog], tmp_path: Path) -> None:
    catalog = world()
    model = write_classifier(tmp_path / "model.onnx", catalog)
    with pytest.raises(UsageError, match="is the model file itself"):
        export_int8(model, catalog, tmp_path / "model.onnx")
    with pytest.raises(DataError, match="no media in the part 'train'"):
        export_int8(model, world(split=lambda row: None), tmp_path / "int8.onnx")
    with pytest.raises(DataError, match="cannot be measured"):
        export_int8(model, world(labels=lambda row: ["wolf"]), tmp_path / "int8.onnx")
    made = ModelFile(export_int8(model, catalog, tmp_path / "int8.onnx").path)
    with pytest.raises(UsageError, match="is an export already"):
        export_int8(made, catalog, tmp_path / "again.onnx")
    for path in catalog.part("train").paths():
        path.unlink()
    with pytest.raises(DataError, match=r"None of the \d+ photos in .* can be read"):
        export_int8(model, catalog, tmp_path / "unread.onnx")
    assert not (tmp_path / "unread.onnx").exists()


def test_a_network_without_products_is_refused(
    world: Callable[..., Catalog], write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    card = Card(
        name="means", task="single-label", labels=("a", "b"), embedding_size=12,
        preprocessing=Preprocessing(height=16, width=16),
    )  # fmt: skip
    graph = read_graph(write_tiny_model(tmp_path / "tiny.onnx", ("a", "b")))
    model = ModelFile(write_model_file(graph, card, tmp_path / "means.onnx"))
    with pytest.raises(DataError, match="no convolution or matrix product before its head"):
        export_int8(model, world(), tmp_path / "int8.onnx")
