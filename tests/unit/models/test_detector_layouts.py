"""Detectors of every layout, made here with random weights, against the rule of the program that writes it.

The rules are restated in NumPy from those programs (`detector_layouts` names them); what they do before and
after the network stands here once more, and suppression is torchvision's. No published detector is opened.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from trapline import api
from trapline.cli import main
from trapline.errors import DataError, UsageError
from trapline.models import Detector
from trapline.models.detector_layouts import DETECTOR_LAYOUTS

Array = npt.NDArray[Any]
HEIGHT, WIDTH, STRIDES = 64, 96, (8, 16, 32)
INNER, SIDES = (40, 96), np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
PLACES = sum((HEIGHT // stride) * (WIDTH // stride) for stride in STRIDES)
NAMES = ("animal", "person", "vehicle")
MIN_CONF, OVERLAP = 0.4, 0.45


@dataclass(frozen=True)
class Head:
    """What a network of a layout answers: low + span × a random number of 0..1 that the picture decides.

    Attributes:
        parts: by output, low and span, [1, …] both.
        rows: what the layout's program makes of the answers for one picture: rows of left, top, right, bottom
            in pixels of the input, confidence and category.
        nms: whether it suppresses then.
        white: what 255 is in the input.
        place: of the picture in the input.
        bgr: whether its planes are blue, green, red.
        sizes: whether there is a second input, for the sizes.
        metadata: of the file.
    """

    parts: dict[str, tuple[Array, Array]]
    rows: Callable[[dict[str, Array]], Array]
    nms: bool = True
    white: float = 1.0
    place: str = "centre"
    bgr: bool = False
    sizes: bool = False
    metadata: dict[str, str] = field(default_factory=dict)


def box_parts(count: int, *, fractions: bool = False) -> tuple[Array, Array]:
    """Low and span of centre and size, [count, 4]: boxes of half the input and less, anywhere in it."""
    random = np.random.default_rng(1)
    low = random.uniform([0.2, 0.2, 0.15, 0.2], [0.8, 0.8, 0.4, 0.5], (count, 4))
    unit = np.ones(4) if fractions else np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    return low * unit, np.full((count, 4), 0.1) * unit


def beside(count: int, *columns: Array | float, fractions: bool = False) -> tuple[Array, Array]:
    """Low and span of rows: a box, and columns of which floats are spans and arrays are fixed."""
    low, span = box_parts(count, fractions=fractions)
    fixed = [np.zeros(count) if isinstance(one, float) else one for one in columns]
    spans = [np.full(count, one) if isinstance(one, float) else np.zeros(count) for one in columns]
    return np.column_stack([low, *fixed])[None], np.column_stack([span, *spans])[None]


def by_corners(parts: tuple[Array, Array]) -> tuple[Array, Array]:
    """The same rows with their boxes by two corners: the left upper one fixed, so that they stay boxes."""
    low, span = (part.copy() for part in parts)
    low[..., :2] -= low[..., 2:4] / 2
    low[..., 2:4] += low[..., :2]
    span[..., :2] = 0
    return low, span


def corners(centred: Array) -> Array:
    x, y, width, height = centred.T
    return np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)


def best(boxes: Array, scores: Array) -> Array:
    return np.column_stack([boxes, scores.max(axis=1), scores.argmax(axis=1)])


def yolox_rows(answers: dict[str, Array]) -> Array:
    """`demo_postprocess` and `postprocess`: grids and strides, logarithms of sizes."""
    rows = answers["output"]
    centres, scales = places()
    boxes = np.column_stack([(rows[:, :2] + centres) * scales, np.exp(rows[:, 2:4]) * scales])
    return best(corners(boxes), rows[:, 4:5] * rows[:, 5:])


def mit_rows(answers: dict[str, Array]) -> Array:
    """`Vec2Box` and `bbox_nms`: strides from a place's middle to the sides, each category by itself."""
    values = list(answers.values())
    flat = [np.concatenate([one.reshape(len(one), -1).T for one in values[at:9:3]]) for at in (0, 2)]
    anchors, scales = places()
    middle, sides = anchors * scales + scales // 2, flat[1] * scales
    boxes = np.column_stack([middle - sides[:, :2], middle + sides[:, 2:]])
    likely = 1 / (1 + np.exp(-flat[0]))
    each = [
        np.column_stack([boxes, likely[:, kind], np.full(len(boxes), kind)])
        for kind in range(likely.shape[1])
    ]
    return np.concatenate(each)


def places() -> tuple[Array, Array]:
    """Column and row of all places, [places, 2], and their strides, [places, 1]."""
    shapes = [(HEIGHT // stride, WIDTH // stride) for stride in STRIDES]
    centres = [[(column, row) for row in range(h) for column in range(w)] for h, w in shapes]
    scales = [np.full((h * w, 1), stride) for (h, w), stride in zip(shapes, STRIDES, strict=True)]
    return np.concatenate(centres).astype(float), np.concatenate(scales)


def mit_parts() -> dict[str, tuple[Array, Array]]:
    parts: dict[str, tuple[Array, Array]] = {}
    for stride in STRIDES:
        maps = (HEIGHT // stride, WIDTH // stride)
        for name, shape, low, span in (
            ("likely", (3,), -6.0, 8.0),
            ("spread", (16, 4), 0.0, 1.0),
            ("sides", (4,), 0.3, 1.5),
        ):
            whole = (1, *shape, *maps)
            parts[f"{name}{stride}"] = np.full(whole, low), np.full(whole, span)
    return parts


def rtdetr_rows(answers: dict[str, Array]) -> Array:
    return np.column_stack([answers["boxes"], answers["scores"], answers["labels"]])


QUERIES = 20
KINDS = np.arange(QUERIES) % 3
ULTRALYTICS = {"names": "{0: 'animal', 1: 'person', 2: 'vehicle'}", "stride": "32", "task": "detect"}
_grid = (np.full((PLACES, 4), 0.2), np.full((PLACES, 4), 0.6))
_yolov9 = beside(PLACES, *[0.9] * 3)
_six = by_corners(beside(QUERIES, 1.0, KINDS))

HEADS = {
    "yolox": Head(
        {
            "output": tuple(
                np.column_stack([part, np.full((PLACES, 4), one)])[None]
                for part, one in zip(_grid, (0, 1), strict=True)
            )
        },
        yolox_rows,
        white=255.0,
        place="corner",
        bgr=True,
    ),
    "yolov5": Head(
        {"output0": beside(3 * PLACES, *[1.0] * 4)},
        lambda answers: best(
            corners(answers["output0"][:, :4]), answers["output0"][:, 4:5] * answers["output0"][:, 5:]
        ),
        metadata={"names": "['animal', 'person', 'vehicle']", "stride": "64"},
    ),
    "yolov9": Head(
        {"output0": (_yolov9[0].transpose(0, 2, 1), _yolov9[1].transpose(0, 2, 1))},
        lambda answers: best(corners(answers["output0"][:4].T), answers["output0"][4:].T),
        metadata=ULTRALYTICS,
    ),
    "yolo-mit": Head(mit_parts(), mit_rows),
    "yolo-with-nms": Head(
        {"output0": _six},
        lambda answers: answers["output0"],
        nms=False,
        metadata=ULTRALYTICS | {"args": "{'batch': 1, 'nms': True}"},
    ),
    "yolov7-with-nms": Head(
        {"output": tuple(part[0][:, [0, 0, 1, 2, 3, 5, 4]] * ([0] + [1] * 6) for part in _six)},
        lambda answers: answers["output"][:, [1, 2, 3, 4, 6, 5]],
        nms=False,
    ),
    "rtdetr": Head(
        {
            "labels": (KINDS[None], np.zeros((1, QUERIES))),
            "boxes": tuple(part[..., :4] for part in by_corners(beside(QUERIES, fractions=True))),
            "scores": (np.zeros((1, QUERIES)), np.ones((1, QUERIES))),
        },
        rtdetr_rows,
        nms=False,
        place="squash",
        sizes=True,
    ),
    "rtdetr-top-k": Head(
        {"output": beside(QUERIES, 1.0, KINDS, fractions=True)},
        lambda answers: np.column_stack(
            [corners(answers["output"][:, :4]) * SIDES, answers["output"][:, 4:]]
        ),
        nms=False,
        place="squash",
    ),
    "rtdetr-raw": Head(
        {"output0": beside(QUERIES, *[1.0] * 3, fractions=True)},
        lambda answers: best(corners(answers["output0"][:, :4]) * SIDES, answers["output0"][:, 4:]),
        nms=False,
        place="squash",
        metadata=ULTRALYTICS | {"description": "Ultralytics rtdetr-l model"},
    ),
}


def write_head(
    path: Path, head: Head, *, free: tuple[int, int] | None = None, batch: str | int = "batch"
) -> Path:
    """The network: means of cells of 16 × 16 pixels, a random matrix, a sigmoid, low + span × it."""
    random = np.random.default_rng(2)
    height, width = free or (HEIGHT, WIDTH)
    cells = 3 * (height // 16) * (width // 16)
    constants: dict[str, Array] = {"flat": np.array([-1, cells], np.int64)}
    nodes = [
        helper.make_node("AveragePool", ["images"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Reshape", ["means", "flat"], ["features"]),
    ]
    declared = []
    for name, (low, span) in head.parts.items():
        whole = name == "labels"
        constants |= {
            f"{name}.matrix": (random.normal(0, 0.4 / head.white, (cells, low.size))).astype(np.float32),
            f"{name}.low": low.astype(np.float32),
            f"{name}.span": span.astype(np.float32),
            f"{name}.shape": np.array([-1, *low.shape[1:]], np.int64),
        }
        last = f"{name}.answer" if whole or (head.sizes and name == "boxes") else name
        nodes += [
            helper.make_node("MatMul", ["features", f"{name}.matrix"], [f"{name}.product"]),
            helper.make_node("Sigmoid", [f"{name}.product"], [f"{name}.sigmoid"]),
            helper.make_node("Reshape", [f"{name}.sigmoid", f"{name}.shape"], [f"{name}.shaped"]),
            helper.make_node("Mul", [f"{name}.shaped", f"{name}.span"], [f"{name}.spanned"]),
            helper.make_node("Add", [f"{name}.spanned", f"{name}.low"], [last]),
        ]
        if whole:
            nodes.append(helper.make_node("Cast", [last], [name], to=TensorProto.INT64))
        elif last != name:
            constants["one"] = np.array([1], np.int64)
            nodes += [
                helper.make_node("Cast", ["orig_target_sizes"], ["wide"], to=TensorProto.FLOAT),
                helper.make_node("Concat", ["wide", "wide"], ["twice"], axis=1),
                helper.make_node("Unsqueeze", ["twice", "one"], ["sides"]),
                helper.make_node("Mul", [last, "sides"], [name]),
            ]
        kind = TensorProto.INT64 if whole else TensorProto.FLOAT
        declared.append(helper.make_tensor_value_info(name, kind, [None] * low.ndim))
    sides = ["height", "width"] if free else [HEIGHT, WIDTH]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, *sides])]
    if head.sizes:
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [batch, 2]))
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "detector", inputs, declared, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, head.metadata)
    onnx.save(model, path)
    return path


def reference(path: Path, head: Head, picture: Array) -> Array:
    """Rows of category, confidence, left, top, width, height in pixels of `picture`, most confident first."""
    canvas = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
    top, left = ((HEIGHT - INNER[0]) // 2, (WIDTH - INNER[1]) // 2) if head.place == "centre" else (0, 0)
    canvas[top : top + len(picture), left : left + picture.shape[1]] = picture
    planes = (canvas[..., ::-1] if head.bgr else canvas).transpose(2, 0, 1)[None].astype(np.float32)
    feeds: dict[str, Array] = {"images": planes * np.float32(head.white / 255)}
    if head.sizes:
        feeds["orig_target_sizes"] = np.array([[WIDTH, HEIGHT]], np.int64)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    answers = dict(zip(head.parts, session.run(None, feeds), strict=True))
    flat = list(head.parts) == ["output"] and answers["output"].ndim == 2
    rows = head.rows({name: one if flat else one[0] for name, one in answers.items()})
    rows = rows[rows[:, 4] > MIN_CONF]
    if head.nms:
        torch, ops = pytest.importorskip("torch"), pytest.importorskip("torchvision.ops")
        tensors = [torch.from_numpy(np.ascontiguousarray(part)) for part in (rows[:, :4], rows[:, 4])]
        rows = rows[ops.batched_nms(*tensors, torch.from_numpy(rows[:, 5].astype(int)), OVERLAP).numpy()]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    sizes = rows[:, 2:4] - rows[:, :2]
    return np.column_stack([rows[:, 5], rows[:, 4], rows[:, :2] - [left, top], sizes])


def picture(head: Head) -> Array:
    inner = (HEIGHT, WIDTH) if head.place == "squash" else INNER
    noise = np.random.default_rng(3).integers(0, 256, (inner[0] // 8, inner[1] // 8, 3)).astype(np.uint8)
    return noise.repeat(8, axis=0).repeat(8, axis=1)


def padded(pixels: Array) -> Array:
    """As Trapline decodes for a detector: in the upper left corner of grey."""
    canvas = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
    canvas[: len(pixels), : pixels.shape[1]] = pixels
    return canvas


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("name", HEADS)
def test_boxes_are_those_of_the_program_that_writes_such_files(
    name: str, batch: str | int, tmp_path: Path
) -> None:
    head = HEADS[name]
    path = write_head(tmp_path / "detector.onnx", head, batch=batch)
    detector = Detector(
        path,
        layout="rtdetr-top-k" if name == "rtdetr-top-k" else None,
        categories=None if head.metadata else NAMES,
        min_conf=MIN_CONF,
        most=1000,
        trial=None,
    )
    assert detector.layout.name == name
    assert detector.categories == NAMES
    seen = picture(head)
    expected = reference(path, head, seen)
    assert len(expected) > 5
    assert set(expected[:, 0]) == {0, 1, 2}
    images = np.stack([padded(seen[::-1]), padded(seen)])
    _, found = detector.detect(images, [seen.shape[:2]] * 2)
    rows = np.column_stack([found.categories, found.conf, found.boxes])
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-3)


def test_every_layout_is_compared() -> None:
    assert set(HEADS) == set(DETECTOR_LAYOUTS)


def open_head(tmp_path: Path, name: str, **options: Any) -> Detector:
    path = write_head(tmp_path / f"{name}.onnx", HEADS[name])
    return Detector(path, trial=None, **options)


def test_rows_of_six_numbers_are_not_guessed_at(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"with output \[1, 20, 6\].*yolo-with-nms.*or rtdetr-top-k \(RT-DETR"
    ):
        open_head(tmp_path, "rtdetr-top-k", categories=NAMES)
    with pytest.raises(DataError, match=r"layout yolo-with-nms .* reach to 0\S*, and should be in pixels"):
        open_head(tmp_path, "rtdetr-top-k", layout="yolo-with-nms", categories=NAMES)
    with pytest.raises(DataError, match="should be fractions of the picture"):
        open_head(tmp_path, "yolo-with-nms", layout="rtdetr-top-k")
    with pytest.raises(UsageError, match=r"no layout 'yolo'; there are yolox, yolov5"):
        open_head(tmp_path, "yolov9", layout="yolo")
    with pytest.raises(UsageError, match=r"not in the layout yolov5 .* with output0 \[1, 7, 126\]"):
        open_head(tmp_path, "yolov9", layout="yolov5")


def test_a_graph_that_segments_is_no_detector(tmp_path: Path) -> None:
    head = HEADS["yolov9"]
    path = write_head(
        tmp_path / "other.onnx", Head(head.parts, head.rows, metadata=head.metadata | {"task": "pose"})
    )
    with pytest.raises(DataError, match=r"no detector in a layout that is known: .*Known: yolox"):
        Detector(path, trial=None)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        (4, 1.5, "a confidence of 1.5"),
        (5, 0.5, "a category of the number 0.5, and has 3"),
        (5, 7.0, "a category of the number 7, and has 3"),
        (2, -5.0, "boxes whose right or lower side is before the other one"),
        (2, 9999.0, "boxes that reach to 9999 pixels, far outside"),
        (3, np.nan, "something that is no number"),
    ],
)
def test_what_no_detector_answers_is_refused(column: int, value: float, problem: str, tmp_path: Path) -> None:
    low, span = (part.copy() for part in _six)
    low[0, :, 4] = 0.9
    low[0, 3, column], span[0, :, :] = value, 0
    head = Head({"output0": (low, span)}, HEADS["yolo-with-nms"].rows)
    path = write_head(tmp_path / "odd.onnx", head)
    detector = Detector(path, layout="yolo-with-nms", categories=NAMES, trial=None)
    with pytest.raises(DataError, match=problem):
        detector.detect(padded(picture(head))[None])


def test_categories_are_those_of_the_file_or_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"finds categories that it does not name; name them .* categories animal"
    ):
        open_head(tmp_path, "rtdetr")
    with pytest.raises(UsageError, match="finds 3 categories; name them"):
        open_head(tmp_path, "yolo-mit")
    assert open_head(tmp_path, "yolov5", categories=["deer", "boar", "fox"]).categories[0] == "deer"


def test_a_side_is_asked_for_where_a_file_takes_any(tmp_path: Path) -> None:
    head = HEADS["yolo-with-nms"]
    path = write_head(tmp_path / "free.onnx", head, free=(HEIGHT, WIDTH))
    with pytest.raises(UsageError, match=r"pictures of any size.* name it with side"):
        Detector(path, trial=None)
    with pytest.raises(UsageError, match="takes pictures of 64 × 96 pixels; leave out the side of 64"):
        open_head(tmp_path, "yolov5", side=64)
    stated = Head(head.parts, head.rows, metadata=head.metadata | {"imgsz": "[64, 96]"})
    detector = Detector(write_head(tmp_path / "stated.onnx", stated, free=(HEIGHT, WIDTH)), trial=None)
    assert (detector.preprocessing.height, detector.preprocessing.width) == (64, 96)


def test_an_overlap_is_refused_where_the_file_has_its_own(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="suppresses boxes that overlap itself: leave out overlap"):
        open_head(tmp_path, "rtdetr", categories=NAMES, overlap=0.5)
    assert open_head(tmp_path, "rtdetr", categories=NAMES).overlap is None


def test_half_precision_is_taken(tmp_path: Path) -> None:
    head = HEADS["yolov9"]
    path = write_head(tmp_path / "single.onnx", head)
    single = Detector(path, min_conf=MIN_CONF, trial=None)
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            halved = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(halved, tensor.name))
    onnx.save(model, tmp_path / "half.onnx")
    half = Detector(tmp_path / "half.onnx", min_conf=MIN_CONF, trial=None)
    images = padded(picture(head))[None]
    for one in (single, half):
        assert one.layout.name == "yolov9"
    np.testing.assert_allclose(half.detect(images)[0].conf[:5], single.detect(images)[0].conf[:5], atol=0.01)


def test_photos_are_detected_by_the_command_in_the_layout_that_it_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = HEADS["rtdetr-top-k"]
    path = write_head(tmp_path / "top.onnx", head)
    (tmp_path / "photos").mkdir()
    seen = picture(head)
    Image.fromarray(seen.repeat(2, axis=0).repeat(2, axis=1)).save(tmp_path / "photos" / "a.png")
    options = ["detect", path, tmp_path / "photos", "-o", tmp_path / "boxes.json", "--min-conf", MIN_CONF]
    assert run_command(*options) == 2
    assert "--layout" in capsys.readouterr().err
    named = ["--categories", ",".join(NAMES), "--layout"]
    assert run_command(*options, *named, "rtdetr-top-k") == 0
    written = json.loads((tmp_path / "boxes.json").read_text())
    (image,) = written["images"]
    kinds = written["detection_categories"]
    found = [(NAMES.index(kinds[box["category"]]), box["conf"], *box["bbox"]) for box in image["detections"]]
    expected = reference(path, head, seen) / [1, 1, WIDTH, HEIGHT, WIDTH, HEIGHT]
    assert len(found) == len(expected)
    inside = [row for row in zip(found, expected, strict=True) if min(row[1][2:4]) > 0]
    assert inside
    for mine, theirs in inside:
        assert mine[:4] == pytest.approx(theirs[:4], abs=0.01)
    assert run_command(*options, *named, "yolo-with-nms", "--fresh", "--force") == 1
    assert "should be in pixels" in capsys.readouterr().err


def test_what_was_said_of_a_file_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = HEADS["rtdetr-top-k"]
    path = write_head(tmp_path / "top.onnx", head, free=(96, 96))
    own = tmp_path / "own.onnx"
    options = ["export", path, "--detector", "-o", own, "--categories", ",".join(NAMES), "--side", 96]
    assert run_command(*options) == 2
    assert "--layout" in capsys.readouterr().err
    assert not own.exists()
    assert run_command(*options, "--layout", "rtdetr-top-k", "--licence", "Apache-2.0") == 0
    detector, asked = Detector(own), Detector(path, layout="rtdetr-top-k", side=96, categories=NAMES)
    assert detector.categories == NAMES
    images = np.random.default_rng(4).integers(0, 256, (1, 96, 96, 3)).astype(np.uint8)
    for one, other in zip(
        detector.detect(images)[0].__dict__.values(), asked.detect(images)[0].__dict__.values(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    capsys.readouterr()
    assert run_command("show", own) == 0
    shown = capsys.readouterr().out
    for text in ("animal, person, vehicle", "96 × 96", "squashed", "rtdetr-top-k", "Apache-2.0", "top.onnx"):
        assert text in shown
    assert run_command("export", own, "--int8", "--layout", "yolox", "-o", tmp_path / "other.onnx") == 2
    assert "--detector only" in capsys.readouterr().err


def test_the_catalogue_says_what_the_file_of_a_ready_detector_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    api.get_model("mdv6-apa-rtdetr-c", file=write_head(tmp_path / "top.onnx", HEADS["rtdetr-top-k"]))
    detector = Detector("mdv6-apa-rtdetr-c")
    assert (detector.layout.name, detector.categories) == ("rtdetr-top-k", NAMES)
    other = write_head(tmp_path / "other.onnx", HEADS["rtdetr"])
    api.get_model("mdv6-apa-rtdetr-c", file=other, force=True)
    assert Detector("mdv6-apa-rtdetr-c").layout.name == "rtdetr", "what a file tells stands above"


MANIFEST = """
[model]
id = "a-detector"
file = "model.onnx"
[preprocessing]
input_size = [96, 64]
channel_order = "bgr"
method = "resize"
normalization = "unit"
[postprocessing]
method = "rtdetr_topk"
[labels]
file = "labels.txt"
format = "name_index_csv"
"""


def test_a_manifest_beside_a_detector_says_how_it_is_read(tmp_path: Path) -> None:
    head = HEADS["rtdetr-top-k"]
    path = write_head(tmp_path / "model.onnx", head)
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(MANIFEST)
    (tmp_path / "labels.txt").write_text("person,1\nanimal,0\nvehicle,2\n")
    detector = Detector(path, min_conf=MIN_CONF, trial=None)
    assert (detector.layout.name, detector.categories, detector.bgr) == ("rtdetr-top-k", NAMES, True)
    seen = picture(head)
    (found,) = detector.detect(seen[None])
    expected = reference(path, head, seen[..., ::-1])
    np.testing.assert_allclose(found.conf, expected[:, 1], rtol=1e-4)
    asked = Detector(path, min_conf=MIN_CONF, channels="rgb", trial=None)
    np.testing.assert_allclose(asked.detect(seen[None])[0].conf, reference(path, head, seen)[:, 1], rtol=1e-4)
    own = api.export_detector(path, tmp_path / "own.onnx")
    assert own.bgr, "of another name, of which the manifest says nothing"
    with pytest.raises(UsageError, match="Channels are RGB or BGR"):
        Detector(path, channels="grey", trial=None)
    for wrong, problem in (
        (MANIFEST.replace("rtdetr_topk", "retinanet_soft_nms"), "no layout that is known does so"),
        (MANIFEST.replace('"unit"', '"imagenet"'), "no layout that is known does so"),
        (MANIFEST.replace("name_index_csv", "index_name_csv"), "cannot be read"),
    ):
        manifest.write_text(wrong)
        with pytest.raises(DataError, match=problem):
            Detector(path, trial=None)
    manifest.write_text(MANIFEST.replace("model.onnx", "other.onnx"))
    with pytest.raises(UsageError, match="does not tell its layout"):
        Detector(path, trial=None)


def run_command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)
