"""Every operator that a SavedModel may hold, computed by TensorFlow and by ONNX Runtime: the same numbers.

TensorFlow stands in an environment of its own, made by uv on the first run and kept, as in
benchmarks/saved_model_check.py: its packages are no business of ours.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from trapline.models import tensorflow_graph
from trapline.models.file import OUTPUTS
from trapline.models.saved_model import saved_model
from trapline.models.tensorflow_graph import translate

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

CHILD = """
import json, pathlib, sys
import numpy as np
import tensorflow as tf
folder = pathlib.Path(sys.argv[1])
images = np.load(folder / "images.npy")
answers, problems = {}, {}
for one in sorted(path for path in folder.iterdir() if path.is_dir()):
    try:
        asked = tf.saved_model.load(str(one)).signatures["serving_default"]
        answers[one.name] = asked(images=tf.constant(images))["probabilities"].numpy()
    except Exception as error:
        problems[one.name] = str(error)
np.savez(folder / "answers.npz", **answers)
(folder / "problems.json").write_text(json.dumps(problems))
"""
IMAGES = np.random.default_rng(7).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64


def node(operator: str, inputs: str, output: str = "out", **attributes: Any) -> onnx.NodeProto:
    """One node; inputs by name, `-` for one that is left out, outputs likewise."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(operator, names, output.split(), **attributes)


@dataclass(frozen=True)
class Case:
    """Nodes from `x`, float32 [3, 3, 8, 8] with values from -2 to 2, held channels last, or from `rows`,
    float32 [3, 3, 64], or from `flat`, float32 [3, 192], to `out`.
    """

    nodes: tuple[onnx.NodeProto, ...]
    weights: Mapping[str, Any]
    opset: int = 18

    def model(self) -> onnx.ModelProto:
        start = [
            node("Transpose", "images", "first", perm=[0, 3, 1, 2]),
            node("Cast", "first", "floats", to=FLOAT),
            node("Div", "floats scale", "unit"),
            node("Sub", "unit two", "x"),
            node("Reshape", "x as_rows", "rows"),
            node("Flatten", "x", "flat"),
        ]
        constants = {
            "scale": np.float32(255 / 4),
            "two": np.float32(2),
            "as_rows": np.array([0, 3, 64]),
            **self.weights,
        }
        used = {name for one in (*start, *self.nodes) for name in one.input}
        graph = helper.make_graph(
            [*start, *self.nodes],
            "case",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8, 3])],
            [helper.make_tensor_value_info("out", FLOAT, None)],
            [
                numpy_helper.from_array(np.asarray(value), name)
                for name, value in constants.items()
                if name in used
            ],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def expected(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(self.model().SerializeToString(), options)
        return session.run(["out"], {"images": IMAGES})[0]


def case(*nodes: onnx.NodeProto, opset: int = 18, **weights: Any) -> Case:
    return Case(nodes, weights, opset)


def normal(*shape: int) -> Any:
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def _by_number() -> Iterator[tuple[str, Case]]:
    for operator in tensorflow_graph._UNARY.split():
        positive = operator in ("Log", "Sqrt", "Reciprocal")
        yield operator, case(node("Exp" if positive else "Identity", "x", "y"), node(operator, "y"))
    for operator in ("Add", "Sub", "Mul", "Div"):
        yield f"{operator} channel", case(node(operator, "x w"), w=normal(3, 1, 1))
        yield f"{operator} left", case(node(operator, "w unit1"), w=normal(8, 1), unit1=np.float32(3))
        yield f"{operator} column", case(node(operator, "x w"), w=normal(8))
        yield f"{operator} row", case(node(operator, "x w"), w=normal(8, 1))
        yield f"{operator} rows", case(node(operator, "rows w"), w=normal(3, 1))
        yield f"{operator} both", case(node("Exp", "x", "y"), node(operator, "x y"))
        yield (
            f"{operator} ranks",
            case(
                node("ReduceMean", "x axes", "mean", keepdims=0),
                node(operator, "x mean"),
                axes=ints(0, 1),
            ),
        )
    for value in (ints(3), np.array([-3], np.int64)):
        yield (
            f"Div integers {value[0]}",
            case(
                node("Cast", "x", "whole", to=INT64),
                node("Mul", "whole seven", "more"),
                node("Div", "more by", "quotient"),
                node("Cast", "quotient", to=FLOAT),
                seven=ints(7),
                by=value,
            ),
        )
    yield "Pow", case(node("Abs", "x", "y"), node("Pow", "y w"), w=np.float32(1.7))
    yield "Pow of an integer", case(node("Pow", "x w"), w=np.int64(3))
    for operator in ("Min", "Max", "Mean"):
        yield f"{operator} one", case(node(operator, "x"))
        yield f"{operator} three", case(node("Neg", "x", "y"), node(operator, "x y w"), w=normal(3, 1, 1))
    six, low, high = np.float32(6), np.float32(-0.5), np.float32(0.7)
    yield (
        "Clip 0 6",
        case(node("Mul", "x w", "y"), node("Clip", "y low high"), w=six, low=np.float32(0), high=six),
    )
    yield "Clip", case(node("Clip", "x low high"), low=low, high=high)
    yield "Clip low", case(node("Clip", "x low"), low=low)
    yield "Clip high", case(node("Clip", "x - high"), high=high)
    yield "Clip none", case(node("Clip", "x"))
    yield "LeakyRelu", case(node("LeakyRelu", "x"))
    yield "LeakyRelu alpha", case(node("LeakyRelu", "x", alpha=0.3))
    yield "HardSigmoid", case(node("HardSigmoid", "x"))
    yield "HardSigmoid sixth", case(node("HardSigmoid", "x", alpha=1 / 6, beta=0.4))
    yield "HardSwish", case(node("Mul", "x w", "y"), node("HardSwish", "y"), w=six)
    yield "Cast", case(node("Cast", "x", "whole", to=INT32), node("Cast", "whole", to=FLOAT))
    yield (
        "Cast truth",
        case(
            node("Floor", "x", "y"), node("Cast", "y", "b", to=TensorProto.BOOL), node("Cast", "b", to=FLOAT)
        ),
    )
    norm = {"s": normal(3), "b": normal(3) + 1, "m": normal(3) - 1, "v": normal(3) ** 2}
    yield "BatchNormalization", case(node("BatchNormalization", "x s b m v", epsilon=0.01), **norm)
    yield "BatchNormalization rows", case(node("BatchNormalization", "rows s b m v"), **norm)


def _windows() -> Iterator[tuple[str, Case]]:
    w, wide = normal(4, 3, 3, 3), node("Conv", "x start", "wide")
    yield "Conv", case(node("Conv", "x w"), w=w)
    yield "Conv bias", case(node("Conv", "x w b"), w=w, b=normal(4))
    yield "Conv pads", case(node("Conv", "x w", pads=[0, 1, 2, 1]), w=w)
    yield "Conv strides", case(node("Conv", "x w", strides=[2, 3], pads=[1, 1, 1, 1]), w=w)
    yield "Conv dilations", case(node("Conv", "x w", dilations=[2, 1]), w=w)
    for auto in ("SAME_UPPER", "VALID"):
        for stride in (1, 2):
            yield f"Conv {auto} {stride}", case(node("Conv", "x w", auto_pad=auto, strides=[stride] * 2), w=w)
    for strides in ([1, 1], [2, 2], [1, 2]):
        yield (
            f"Conv deep {strides}",
            case(
                node("Conv", "x w b", group=3, strides=strides, pads=[1, 1, 1, 1]),
                w=normal(3, 1, 3, 3),
                b=normal(3),
            ),
        )
        for dilations in ([2, 2], [1, 2]):
            yield (
                f"Conv deep {strides} {dilations}",
                case(
                    node("Conv", "x w", group=3, strides=strides, dilations=dilations), w=normal(3, 1, 3, 3)
                ),
            )
    yield "Conv deep and wide", case(node("Conv", "x w", group=3), w=normal(6, 1, 3, 3))
    start = normal(4, 3, 1, 1)
    yield (
        "Conv groups",
        case(wide, node("Conv", "wide w", group=2, strides=[2, 2]), start=start, w=normal(6, 2, 3, 3)),
    )
    yield (
        "Conv plain",
        case(node("Reshape", "rows shape", "again"), node("Conv", "again w"), w=w, shape=ints(0, 3, 8, 8)),
    )
    for operator in ("MaxPool", "AveragePool"):
        for name, attributes in {
            "": {},
            "strides": {"strides": [2, 1]},
            "pads": {"pads": [1, 0, 1, 1], "strides": [2, 2]},
            "same": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
            "valid": {"auto_pad": "VALID", "strides": [2, 2]},
        }.items():
            yield f"{operator} {name}", case(node(operator, "x", kernel_shape=[3, 2], **attributes))
    counted: dict[str, Any] = {"kernel_shape": [3, 3], "count_include_pad": 1}
    yield "AveragePool counted", case(node("AveragePool", "x", pads=[1, 1, 1, 1], **counted))
    yield "GlobalAveragePool", case(node("GlobalAveragePool", "x"))
    yield "GlobalMaxPool", case(node("GlobalMaxPool", "x"))


def _along_axes() -> Iterator[tuple[str, Case]]:
    for operator in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"):
        for keep in (0, 1):
            for axes in ((2, 3), (1,), (-1,), (0, 2), (-1, -2)):
                yield (
                    f"{operator} {axes} {keep}",
                    case(node(operator, "x axes", keepdims=keep), axes=ints(*axes)),
                )
            yield f"{operator} all {keep}", case(node(operator, "x", keepdims=keep))
            yield f"{operator} rows {keep}", case(node(operator, "rows axes", keepdims=keep), axes=ints(1))
    yield "ReduceMean 13", case(node("ReduceMean", "x", axes=[2, 3], keepdims=0), opset=13)
    for source, axis in (("x", 1), ("x", -1), ("rows", 2), ("flat", 1), ("flat", -1)):
        yield f"Softmax {source} {axis}", case(node("Softmax", source, axis=axis))
    for axis in (0, 1, 2, -1):
        yield f"Concat {axis}", case(node("Neg", "x", "y"), node("Concat", "x y", axis=axis))
    yield (
        "Concat plain",
        case(
            node("Reshape", "rows shape", "again"), node("Concat", "x again", axis=1), shape=ints(0, 3, 8, 8)
        ),
    )
    yield "Concat rows", case(node("Exp", "rows", "y"), node("Concat", "y rows y", axis=-2))
    yield "LayerNormalization", case(node("LayerNormalization", "x s b"), s=normal(8), b=normal(8) + 1)
    yield "LayerNormalization bare", case(node("LayerNormalization", "rows s", epsilon=0.1), s=normal(64))
    yield "LayerNormalization two", case(node("LayerNormalization", "rows s", axis=1), s=normal(3, 64))


def _products() -> Iterator[tuple[str, Case]]:
    yield "Gemm", case(node("Gemm", "flat w"), w=normal(192, 5))
    yield (
        "Gemm turned",
        case(node("Gemm", "flat w b", transB=1, alpha=0.5, beta=2.0), w=normal(5, 192), b=normal(5)),
    )
    yield (
        "Gemm of half",
        case(node("Cast", "h", "w", to=FLOAT), node("Gemm", "flat w"), h=normal(192, 5).astype(np.float16)),
    )
    yield "MatMul", case(node("MatMul", "flat w"), w=normal(192, 5))
    yield "MatMul rows", case(node("MatMul", "rows w"), w=normal(64, 5))
    yield "MatMul left", case(node("MatMul", "w rows"), w=normal(5, 3))
    yield "MatMul pictures", case(node("MatMul", "x w"), w=normal(8, 5))
    yield (
        "MatMul both",
        case(node("Transpose", "rows", "turned", perm=[0, 2, 1]), node("MatMul", "rows turned")),
    )


def _shapes() -> Iterator[tuple[str, Case]]:
    for perm in ([0, 2, 3, 1], [0, 3, 1, 2], [1, 0, 3, 2], [0, 1, 2, 3]):
        yield f"Transpose {perm}", case(node("Transpose", "x", perm=perm))
        yield (
            f"Transpose plain {perm}",
            case(
                node("Reshape", "rows shape", "again"),
                node("Transpose", "again", perm=perm),
                shape=ints(0, 3, 8, 8),
            ),
        )
    yield "Transpose rows", case(node("Transpose", "rows", perm=[2, 0, 1]))
    yield "Transpose bare", case(node("Transpose", "rows"))
    yield "Flatten pooled", case(node("GlobalAveragePool", "x", "p"), node("Flatten", "p"))
    yield "Flatten rows", case(node("Flatten", "rows", axis=-2))
    for shape in ((0, -1), (-1, 3, 4, 16), (0, 0, 64), (-1, 64), (-1,), (1, -1, 8)):
        yield f"Reshape {shape}", case(node("Reshape", "x shape"), shape=ints(*shape))
    batch = node("Shape", "x", "n", start=0, end=1)
    yield (
        "Reshape computed",
        case(batch, node("Concat", "n rest", "shape", axis=0), node("Reshape", "x shape"), rest=ints(4, -1)),
    )
    yield "Squeeze", case(node("GlobalMaxPool", "x", "p"), node("Squeeze", "p axes"), axes=ints(-1, 2))
    yield "Squeeze all", case(node("GlobalMaxPool", "x", "p"), node("Squeeze", "p"))
    yield "Unsqueeze", case(node("Unsqueeze", "rows axes"), axes=ints(-1, 1))
    for start, end in ((0, None), (0, 1), (-4, -1), (1, 3)):
        ends = {} if end is None else {"end": end}
        yield (
            f"Shape {start} {end}",
            case(node("Shape", "x", "n", start=start, **ends), node("Cast", "n", to=FLOAT)),
        )
    whole = node("Shape", "x", "n")
    yield (
        "Gather of a shape",
        case(
            whole,
            node("Gather", "n zero", "batch", axis=0),
            node("Unsqueeze", "batch zeros", "length"),
            node("Concat", "length rest", "shape", axis=0),
            node("Reshape", "x shape"),
            zero=np.array(0, np.int64),
            zeros=ints(0),
            rest=ints(24, 8),
        ),
    )
    for axis, index in ((1, ints(2, 0)), (-1, ints(-1, 3)), (2, np.array(-2, np.int64)), (0, ints(0))):
        yield f"Gather {axis} {index}", case(node("Gather", "x i", axis=axis), i=index)
    yield "Gather rows", case(node("Gather", "rows i", axis=1), i=np.array([[0, 2], [1, -3]]))
    yield (
        "Range",
        case(
            batch,
            node("Squeeze", "n", "count"),
            node("Range", "zero count one", "places"),
            node("Cast", "places", to=FLOAT),
            zero=np.array(0, np.int64),
            one=np.array(1, np.int64),
        ),
    )
    yield (
        "Expand",
        case(
            batch,
            node("Concat", "n rest", "shape", axis=0),
            node("Expand", "w shape"),
            w=normal(1, 1, 5),
            rest=ints(2, 5),
        ),
    )
    yield "Expand less", case(node("Expand", "x shape"), shape=ints(2, 1, 1, 1, 8))
    least = np.iinfo(np.int64).min
    for name, (starts, ends, axes, steps) in {
        "": ((1,), (5,), (2,), (2,)),
        "several": ((1, -3), (3, -1), (1, -1), (1, 1)),
        "far": ((-100,), (100,), (3,), (1,)),
        "end": ((2,), (np.iinfo(np.int64).max,), (3,), (1,)),
        "mirrored": ((-1,), (least,), (2,), (-1,)),
        "backwards": ((6,), (1,), (3,), (-2,)),
        "batch": ((1,), (3,), (0,), (1,)),
        "mirrored far": ((100,), (-100,), (2,), (-1,)),
    }.items():
        yield (
            f"Slice {name}",
            case(node("Slice", "x s e a t"), s=ints(*starts), e=ints(*ends), a=ints(*axes), t=ints(*steps)),
        )
    yield "Slice bare", case(node("Slice", "x s e"), s=ints(1, 1), e=ints(3, 2))
    yield (
        "Split",
        case(node("Split", "x sizes", "a b", axis=1), node("Concat", "b a", axis=1), sizes=ints(1, 2)),
    )
    yield (
        "Split evenly",
        case(node("Split", "rows", "a b c", axis=-1, num_outputs=3), node("Concat", "c b a", axis=-1)),
    )
    yield "Split 13", case(node("Split", "rows", "a b", axis=2), node("Sub", "a b"), opset=13)
    yield "Pad", case(node("Pad", "x pads value"), pads=ints(0, 1, 0, 2, 0, 0, 3, 0), value=np.float32(-7))
    yield "Pad nothing said", case(node("Pad", "rows pads"), pads=ints(0, 1, 0, 0, 2, 3))


CASES = dict(found for part in (_by_number, _windows, _along_axes, _products, _shapes) for found in part())


def answers(folder: Path, python: Path) -> Mapping[str, Any]:
    """What TensorFlow says of each case, or the error's text; asked once for all."""
    np.save(folder / "images.npy", IMAGES)
    for place, one in enumerate(CASES.values()):
        nodes, outputs = translate(one.model(), 8, 8)
        (folder / str(place)).mkdir()
        content = saved_model(nodes, (8, 8), dict.fromkeys(OUTPUTS, outputs["out"]))
        (folder / str(place) / "saved_model.pb").write_bytes(content)
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([python, "-c", CHILD, folder], check=True, env=quiet, capture_output=True)
    problems = json.loads((folder / "problems.json").read_text())
    with np.load(folder / "answers.npz") as found:
        all_of_them = {**problems, **found}
    return {name: all_of_them[str(place)] for place, name in enumerate(CASES)}


def difference(found: Any, expected: Any) -> str:
    """What is wrong with an answer; empty if nothing."""
    if isinstance(found, str):
        return found
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    close = np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    return "" if close else f"differs by {np.abs(found - expected).max()}"


def test_every_rule_has_its_case() -> None:
    entered = {one.op_type for each in CASES.values() for one in each.model().graph.node}
    assert set(tensorflow_graph._RULES) - entered == set()


def test_tensorflow_answers_what_onnx_runtime_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from running import TENSORFLOW, rival_python

    try:
        python = rival_python("TensorFlow", TENSORFLOW)
    except SystemExit as error:
        if os.environ.get("CI"):
            raise AssertionError(str(error)) from None
        pytest.skip(f"TensorFlow cannot be had here: {error}")
    found = answers(tmp_path, python)
    wrong = {name: difference(found[name], one.expected()) for name, one in CASES.items()}
    assert {name: said for name, said in wrong.items() if said} == {}
