"""A model that somebody else exported goes every way that a model file goes, from `show` to `export`."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper

from trapline import api
from trapline.cli import main


def convolutional(path: Path) -> Path:
    """A network of one convolution with random weights, as exporters write it."""
    random = np.random.default_rng(0)
    values = {
        "kernel": random.normal(0, 0.3, (8, 3, 3, 3)),
        "weights": random.normal(0, 2, (8, 2)),
        "bias": random.normal(0, 1, 2),
    }
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["maps"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["chances"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*arguments: object, status: int = 0) -> str:
        with pytest.raises(SystemExit) as left:
            main([str(one) for one in arguments])
        printed = capsys.readouterr()
        assert (left.value.code or 0) == status, printed
        return printed.out + printed.err

    return call


@pytest.mark.slow
def test_an_imported_model_goes_every_way(
    tmp_path: Path, world: Callable[..., Any], run: Callable[..., str], start: Any
) -> None:
    catalog = tmp_path / "photos.parquet"
    world().save(catalog)
    theirs, model = convolutional(tmp_path / "theirs.onnx"), tmp_path / "model.onnx"
    (tmp_path / "labels.txt").write_text("a\nb\n", "utf-8")

    printed = run("import", theirs, "--labels", tmp_path / "labels.txt", "--scaling", "0-1", "-o", model)
    assert "embedding of 8 numbers" in printed
    assert "photos are squashed" in printed
    assert "not calibrated" in printed
    shown = run("show", model)
    assert re.search(r"calibration +none; not known: the model was made elsewhere", shown)
    assert "theirs.onnx, an ONNX model" in shown

    run("predict", model, catalog, "-o", tmp_path / "predictions.parquet")
    assert pl.read_parquet(tmp_path / "predictions.parquet")["status"].to_list() == ["ok"] * 12
    run("evaluate", catalog, tmp_path / "predictions.parquet", "-o", tmp_path / "evaluation.json")
    assert json.loads((tmp_path / "evaluation.json").read_text("utf-8"))

    fitted = tmp_path / "fitted.onnx"
    printed = run("recalibrate", model, catalog, "-o", fitted)
    assert "fitted on validation: 4 media at 2 locations" in printed
    assert re.search(r"Log loss +\d\.\d+.*\d\.\d+", printed)
    before, after = api.open_model(model), api.open_model(fitted)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(before.run(pixels).logits, after.run(pixels).logits)
    assert after.card.calibration.method == "labels"
    assert sum(after.card.calibration.offsets) == pytest.approx(0, abs=1e-9)
    assert after.card.origin == before.card.origin
    assert "is not known" in after.card.metrics_on

    for method in ("temperature", "labels"):
        output = tmp_path / f"{method}.onnx"
        run("recalibrate", model, catalog, "--method", method, "-o", output)
        assert api.open_model(output).card.calibration.method == method
    assert "not 'platt'" in run(
        "recalibrate", model, catalog, "--method", "platt", "-o", output, "--force", status=2
    )

    several = tmp_path / "several.onnx"
    about = {"labels": ("a", "b"), "scaling": "0-1", "output": "scores", "activation": "sigmoid"}
    graph = onnx.load(theirs)
    del graph.graph.node[-1], graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2]))
    onnx.save(graph, tmp_path / "scores.onnx")
    api.import_model(tmp_path / "scores.onnx", several, about=about)
    run("recalibrate", several, catalog, "--method", "labels", "-o", tmp_path / "by_label.onnx")
    calibration = api.open_model(tmp_path / "by_label.onnx").card.calibration
    assert (calibration.method, len(calibration.slopes), len(calibration.offsets)) == ("labels", 2, 2)

    run("export", model, "--format", "saved-model", "-o", tmp_path / "species_model" / "1")
    run("export", fitted, "--int8", "--calibrate", catalog, "-o", tmp_path / "int8.onnx")
    photo = base64.b64encode((tmp_path / "photos" / "0.png").read_bytes()).decode()
    status, answer = start(fitted).json("POST", "/predict", {"image": photo})
    assert status == 200, answer
    predicted = json.dumps(answer)
    assert '"a"' in predicted
    assert '"b"' in predicted


def test_what_is_no_model_is_refused_by_name(tmp_path: Path, run: Callable[..., str]) -> None:
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    page = tmp_path / "model.onnx"
    page.write_text("<!DOCTYPE html><html>", "utf-8")
    assert "`trapline import" in run("show", tmp_path / "model.h5", status=1)
    for command, name in ((["predict", page, tmp_path], "out.csv"), (["import", page], "out.onnx")):
        command += ["-o", tmp_path / name]
        assert "a page for browsers" in run(*command, status=1)
