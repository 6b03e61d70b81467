"""How detectors' ONNX files are laid out: what they take, and what the numbers mean that they answer with.

A layout is an entry of `DETECTOR_LAYOUTS`; one more is one more entry. It says how a picture is given (where
in the input, in which order and scale), whether a graph can be of it and whether that is certain, and it
makes of the graph's outputs boxes in pixels of the input. The rules are those of the programs that write such
files:

- `yolox`: Megvii-BaseDetection/YOLOX, `tools/export_onnx.py` and `yolox/utils/boxes.py`.
- `yolov5`: ultralytics/yolov5, `export.py` and `utils/general.py`; MegaDetector 5 is such a one.
- `yolov9`: ultralytics/ultralytics and WongKinYiu/yolov9, `export.py`; YOLOv8 and 11 are alike.
- `yolo-with-nms`: ultralytics with `nms=True`, YOLOv10, and microsoft/SPARROW-Engine's `yolo_e2e`.
- `yolov7-with-nms`: WongKinYiu/yolov7 and yolov9, `export.py` with `--end2end --max-wh`.
- `yolo-mit`: MultimediaTechLab/YOLO, `yolo/utils/deploy_utils.py` and `bounding_box_utils.py`.
- `rtdetr`: lyuwenyu/RT-DETR, `tools/export_onnx.py`.
- `rtdetr-top-k`: microsoft/SPARROW-Engine's `rtdetr_topk`.
- `rtdetr-raw`: ultralytics' RT-DETR.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError, UsageError
from trapline.images import Size
from trapline.models.runtimes import Value

TARGET_SIZES = "orig_target_sizes"
"""The second input of `rtdetr`: int64 [batch, 2], width and height that boxes are answered for."""

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
_MOST_CHARACTERS = 100_000
_SMALLEST = 2.0
"""Pixels: where all boxes are within so many of the corner, they are fractions."""

Floats = npt.NDArray[np.float32]
Outputs = Sequence[npt.NDArray[Any]]


class Rows(NamedTuple):
    """What a graph answers for one picture, in its order, a row a box.

    Attributes:
        boxes: float32 [n, 4]: left, top, right, bottom in pixels of the input.
        conf: float32 [n].
        categories: float32 [n]: indices, as they are answered.
    """

    boxes: Floats
    conf: Floats
    categories: Floats


Reader = Callable[[Outputs, Size], list[Rows]]
"""Makes of a graph's outputs for pictures of a size (height, width) the rows of each picture."""


@dataclass(frozen=True)
class Graph:
    """What is known of an ONNX file before its layout is.

    Attributes:
        inputs: of the graph.
        outputs: of the graph.
        answers: arrays, one an output: what it answers for one grey picture.
        size: height and width of that picture.
        metadata: of the file.
    """

    inputs: Sequence[Value]
    outputs: Sequence[Value]
    answers: Outputs
    size: Size
    metadata: Mapping[str, str]

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """The categories as Ultralytics' exporters write them: a dictionary or a list as Python's text."""
        named = self._literal("names")
        if isinstance(named, dict) and sorted(named) == list(range(len(named))):
            named = [named[index] for index in range(len(named))]
        if not isinstance(named, list) or not named or not all(isinstance(one, str) for one in named):
            return None
        return tuple(named)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the answers for one picture."""
        return [answer.shape for answer in self.answers]

    @property
    def single(self) -> tuple[int, int] | None:
        """The second and third side of the only answer, [1, a, b]; None if there is no such one."""
        if len(self.inputs) != 1 or len(self.shapes) != 1:
            return None
        return _sides(self.shapes[0])

    @property
    def has_nms(self) -> bool:
        """Whether Ultralytics' metadata say that suppression is in the graph."""
        arguments = self._literal("args")
        inside = isinstance(arguments, dict) and arguments.get("nms") is True
        return inside or self.metadata.get("end2end") == "True"

    @property
    def is_rtdetr(self) -> bool:
        """Whether Ultralytics' metadata say that it is an RT-DETR."""
        return "rtdetr" in self.metadata.get("description", "").lower()

    @property
    def is_detector(self) -> bool:
        """Whether Ultralytics' metadata do not say that it does something else, such as segment."""
        return self.metadata.get("task", "detect") == "detect"

    def named(self, count: int) -> bool:
        """Whether so many categories can be: there are no names, or as many."""
        return count >= 1 and (self.names is None or len(self.names) == count)

    def _literal(self, key: str) -> object:
        text = self.metadata.get(key, "")
        if len(text) <= _MOST_CHARACTERS:
            with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                return ast.literal_eval(text)
        return None


@dataclass(frozen=True)
class Layout:
    """One way of laying out a detector's file.

    Attributes:
        name: by which it is asked for.
        text: what such a file takes and answers, in a line.
        fits: whether a graph can be of it.
        sure: whether a graph that fits can be of no other.
        reader: opens a graph that fits.
        count: of the categories, where the outputs tell.
        position: of a picture in the input: in the upper left `corner` or in the `centre` of grey, its aspect
            kept, or `squash`ed to the whole of it.
        bgr: whether the planes come in the order blue, green, red.
        white: what 255 becomes.
        interpolation: the filter with which pictures are scaled.
        suppresses: whether boxes that overlap remain to be suppressed.
        fractions: whether boxes are answered as fractions of the picture, and not in pixels.
        one_by_one: whether a graph is asked about one picture at a time even where it takes more.
        usual: categories by their number, where a file does not name them.
    """

    name: str
    text: str
    fits: Callable[[Graph], bool]
    sure: Callable[[Graph], bool]
    reader: Callable[[Graph], Reader]
    count: Callable[[Graph], int | None] = lambda graph: None
    position: Literal["corner", "centre", "squash"] = "centre"
    bgr: bool = False
    white: float = 1.0
    interpolation: Literal["bilinear", "lanczos"] = "bilinear"
    suppresses: bool = True
    fractions: bool = False
    one_by_one: bool = False
    usual: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def wrong_scale(self, boxes: Floats, size: Size) -> str | None:
        """What of boxes [n, 4] in pixels of the input shows that this is not their scale; None if nothing.

        Args:
            boxes: all that a graph answers for a picture, however little confident.
            size: height and width of the input.
        """
        extent = float(np.abs(boxes).max(initial=0))
        if self.fractions and extent > 4 * max(size):
            return f"boxes that reach to {extent / max(size):.3g}, and should be fractions of the picture"
        if not self.fractions and 0 < extent <= _SMALLEST:
            return f"boxes that reach to {extent:.3g}, and should be in pixels"
        return None


def _sides(shape: tuple[int, ...]) -> tuple[int, int] | None:
    return (shape[1], shape[2]) if len(shape) == 3 and shape[0] == 1 else None


def strides_of(size: Size, cells: int) -> Sequence[int] | None:
    """Of the grids that so many cells are of; None if there are none."""
    for strides in _STRIDES:
        if sum((size[0] // stride) * (size[1] // stride) for stride in strides) == cells:
            return strides
    return None


def grid_of(size: Size, strides: Sequence[int]) -> Floats:
    """float32 [places, 3]: column, row and stride of each place."""
    parts = []
    for stride in strides:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        parts.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(parts).astype(np.float32)


def decode_yolox(boxes: Floats, grid: Floats) -> Floats:
    """Centre and size in pixels, float32 [..., 4], of offsets in strides and logarithms of sizes."""
    strides = grid[:, 2:]
    centres = (boxes[..., :2] + grid[:, :2]) * strides
    with np.errstate(over="ignore"):
        return np.concatenate([centres, np.exp(boxes[..., 2:]) * strides], axis=-1)


def _corners(boxes: Floats) -> Floats:
    """Left, top, right, bottom of centre and size, [n, 4]."""
    half = boxes[:, 2:] / 2
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])


def _best(boxes: Floats, scores: Floats) -> Rows:
    """Of each box [n, 4] the most likely of its categories [n, categories]."""
    categories = scores.argmax(axis=1)
    conf = np.take_along_axis(scores, categories[:, None], axis=1)[:, 0]
    return Rows(boxes, conf, categories.astype(np.float32))


def _pixels(boxes: Floats, size: Size) -> Floats:
    """[n, 4] in pixels, of fractions of the whole input."""
    return boxes * np.array([size[1], size[0], size[1], size[0]], np.float32)


def _always(graph: Graph) -> bool:
    return True


# ---- grids of places, to be suppressed


def _fits_yolox(graph: Graph) -> bool:
    sides = graph.single
    return sides is not None and strides_of(graph.size, sides[0]) is not None and graph.named(sides[1] - 5)


def _read_yolox(graph: Graph) -> Reader:
    answer = graph.answers[0][0]
    strides = strides_of(graph.size, len(answer))
    assert strides is not None
    grids: dict[Size, Floats] = {graph.size: grid_of(graph.size, strides)}
    pixels = grids[graph.size][:, :2] * grids[graph.size][:, 2:]
    # Centres in pixels follow the grid's, offsets from its places do not.
    decoded = np.abs(answer[:, :2] - pixels).mean() < np.abs(answer[:, :2]).mean()

    def read(outputs: Outputs, size: Size) -> list[Rows]:
        if size not in grids:
            grids[size] = grid_of(size, strides)
        boxes = outputs[0][..., :4] if decoded else decode_yolox(outputs[0][..., :4], grids[size])
        scores = outputs[0][..., 4:5] * outputs[0][..., 5:]
        return [_best(_corners(one), likely) for one, likely in zip(boxes, scores, strict=True)]

    return read


def _fits_yolov5(graph: Graph) -> bool:
    """Three anchors a place; older exporters give the maps [1, 3, height, width, 5 + categories] too."""
    sides = _sides(graph.shapes[0])
    if sides is None or len(graph.inputs) != 1 or any(len(shape) != 5 for shape in graph.shapes[1:]):
        return False
    cells, odd = divmod(sides[0], 3)
    return not odd and strides_of(graph.size, cells) is not None and graph.named(sides[1] - 5)


def _read_yolov5(graph: Graph) -> Reader:
    return lambda outputs, size: [_best(_corners(one[:, :4]), one[:, 4:5] * one[:, 5:]) for one in outputs[0]]


def _fits_yolov9(graph: Graph) -> bool:
    sides = graph.single
    if sides is None or not graph.is_detector:
        return False
    return strides_of(graph.size, sides[1]) is not None and graph.named(sides[0] - 4)


def _read_yolov9(graph: Graph) -> Reader:
    return lambda outputs, size: [_best(_corners(one[:4].T), one[4:].T) for one in outputs[0]]


def _fits_mit(graph: Graph) -> bool:
    """Of three scales (in training files six) the categories, the distribution of sides, and the sides."""
    shapes = graph.shapes
    if len(graph.inputs) != 1 or len(shapes) not in (9, 18):
        return False
    return all(
        likely[2:] == spread[3:] == sides[2:]
        and (len(likely), len(spread), sides[1:2]) == (4, 5, (4,))
        and likely[2:] == (graph.size[0] // stride, graph.size[1] // stride)
        for likely, spread, sides, stride in zip(
            shapes[0:9:3], shapes[1:9:3], shapes[2:9:3], _STRIDES[0], strict=True
        )
    ) and graph.named(shapes[0][1])


def _read_mit(graph: Graph) -> Reader:
    """Logits, and strides from the middle of a place to the four sides; every category of a box counts."""

    def read(outputs: Outputs, size: Size) -> list[Rows]:
        grid = grid_of(size, _STRIDES[0])
        middles = (grid[:, :2] + 0.5) * grid[:, 2:]
        likely, sides = (np.concatenate([_flat(one) for one in outputs[at:9:3]], axis=1) for at in (0, 2))
        with np.errstate(over="ignore"):
            scores = 1 / (1 + np.exp(-likely))
        sides = sides * grid[:, 2:]
        boxes = np.concatenate([middles - sides[..., :2], middles + sides[..., 2:]], axis=2)
        return [_every(one, score) for one, score in zip(boxes, scores, strict=True)]

    return read


def _flat(maps: npt.NDArray[Any]) -> Floats:
    """[batch, places, values] of [batch, values, height, width]."""
    return maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1)


def _every(boxes: Floats, scores: Floats) -> Rows:
    """Each box [n, 4] once for each of its categories [n, categories]."""
    count = scores.shape[1]
    categories = np.tile(np.arange(count, dtype=np.float32), len(boxes))
    return Rows(np.repeat(boxes, count, axis=0), scores.ravel(), categories)


# ---- the best boxes, suppressed already


def _fits_six(graph: Graph) -> bool:
    sides = graph.single
    return sides is not None and sides[1] == 6 and graph.is_detector and not _is_grid(graph, sides[0])


def _is_grid(graph: Graph, cells: int) -> bool:
    return any(
        strides_of(graph.size, cells // anchors) is not None for anchors in (1, 3) if cells % anchors == 0
    )


def _read_six(graph: Graph) -> Reader:
    return lambda outputs, size: [Rows(one[:, :4], one[:, 4], one[:, 5]) for one in outputs[0]]


def _fits_seven(graph: Graph) -> bool:
    return len(graph.inputs) == 1 and len(graph.shapes) == 1 and graph.shapes[0][1:] == (7,)


def _read_seven(graph: Graph) -> Reader:
    """Which picture, the box, the category, and how sure."""
    return lambda outputs, size: [Rows(outputs[0][:, 1:5], outputs[0][:, 6], outputs[0][:, 5])]


def _fits_rtdetr(graph: Graph) -> bool:
    names = {output.name: shape for output, shape in zip(graph.outputs, graph.shapes, strict=True)}
    if set(names) != {"labels", "boxes", "scores"} or len(graph.inputs) != 2:
        return False
    queries = names["scores"]
    return graph.inputs[1].name == TARGET_SIZES and names["boxes"] == (*queries, 4) and len(queries) == 2


def _read_rtdetr(graph: Graph) -> Reader:
    at = {output.name: index for index, output in enumerate(graph.outputs)}

    def read(outputs: Outputs, size: Size) -> list[Rows]:
        boxes, scores, labels = (outputs[at[name]] for name in ("boxes", "scores", "labels"))
        return [Rows(*one) for one in zip(boxes, scores, labels.astype(np.float32), strict=True)]

    return read


def _read_top_k(graph: Graph) -> Reader:
    return lambda outputs, size: [
        Rows(_pixels(_corners(one[:, :4]), size), one[:, 4], one[:, 5]) for one in outputs[0]
    ]


def _fits_queries(graph: Graph) -> bool:
    sides = graph.single
    if sides is None or not graph.is_detector or _is_grid(graph, sides[0]) or _is_grid(graph, sides[1]):
        return False
    return graph.named(sides[1] - 4)


def _read_queries(graph: Graph) -> Reader:
    return lambda outputs, size: [
        _best(_pixels(_corners(one[:, :4]), size), one[:, 4:]) for one in outputs[0]
    ]


_ALL = (
    Layout(
        "yolox",
        "YOLOX: BGR of 0 to 255; [batch, places, 5 + categories]",
        fits=_fits_yolox,
        sure=_always,
        reader=_read_yolox,
        count=lambda graph: graph.shapes[0][2] - 5,
        position="corner",
        bgr=True,
        white=255.0,
        usual={1: ("animal",), 3: ("animal", "person", "vehicle")},
    ),
    Layout(
        "yolov5",
        "YOLOv5, MegaDetector 5: [batch, 3 × places, 5 + categories], centre and size in pixels",
        fits=_fits_yolov5,
        sure=_always,
        reader=_read_yolov5,
        count=lambda graph: graph.shapes[0][2] - 5,
    ),
    Layout(
        "yolov9",
        "YOLOv8, 9, 11: [batch, 4 + categories, places], centre and size in pixels",
        fits=_fits_yolov9,
        sure=_always,
        reader=_read_yolov9,
        count=lambda graph: graph.shapes[0][1] - 4,
    ),
    Layout(
        "yolo-mit",
        "MultimediaTechLab's YOLO: nine outputs, of three scales the categories, spread and sides of boxes",
        fits=_fits_mit,
        sure=_always,
        reader=_read_mit,
        count=lambda graph: graph.shapes[0][1],
        interpolation="lanczos",
    ),
    Layout(
        "yolo-with-nms",
        "a YOLO that suppresses by itself: rows of left, top, right, bottom in pixels, confidence, category",
        fits=_fits_six,
        sure=lambda graph: graph.has_nms,
        reader=_read_six,
        suppresses=False,
    ),
    Layout(
        "yolov7-with-nms",
        "a YOLOv7 or 9 that suppresses by itself: rows of picture, left, top, right, bottom in pixels, "
        "category, confidence",
        fits=_fits_seven,
        sure=_always,
        reader=_read_seven,
        suppresses=False,
        one_by_one=True,
    ),
    Layout(
        "rtdetr",
        f"RT-DETR, D-FINE: inputs images and {TARGET_SIZES}; outputs labels, boxes and scores",
        fits=_fits_rtdetr,
        sure=_always,
        reader=_read_rtdetr,
        position="squash",
        suppresses=False,
    ),
    Layout(
        "rtdetr-top-k",
        "RT-DETR in one output: rows of centre and size as fractions, confidence, category",
        fits=_fits_six,
        sure=lambda graph: False,
        reader=_read_top_k,
        position="squash",
        suppresses=False,
        fractions=True,
    ),
    Layout(
        "rtdetr-raw",
        "Ultralytics' RT-DETR: [batch, queries, 4 + categories], centre and size as fractions",
        fits=_fits_queries,
        sure=lambda graph: graph.is_rtdetr,
        reader=_read_queries,
        count=lambda graph: graph.shapes[0][2] - 4,
        position="squash",
        suppresses=False,
        fractions=True,
    ),
)

DETECTOR_LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in _ALL}


def tell_layout(graph: Graph, asked: object, stated: str | None, path: Path) -> Layout:
    """The layout of a graph: the one that is asked for, or the only one that it can be in for certain.

    Args:
        graph: of the file.
        asked: a key of `DETECTOR_LAYOUTS`, or None.
        stated: what a catalogue says, which counts where the file does not tell.
        path: of the file, for messages.

    Raises:
        DataError: it is in none of them.
        UsageError: it is not in the one that is asked for, or the file does not tell.
    """
    answers = ", ".join(
        f"{output.name} {list(shape)}" for output, shape in zip(graph.outputs, graph.shapes, strict=True)
    )
    if asked is not None:
        layout = DETECTOR_LAYOUTS.get(str(asked))
        if layout is None:
            raise UsageError(f"There is no layout '{asked}'; there are {', '.join(DETECTOR_LAYOUTS)}.")
        if not layout.fits(graph):
            raise UsageError(
                f"{path} is not in the layout {layout.name} ({layout.text}): it answers one picture of "
                f"{graph.size[0]} × {graph.size[1]} pixels with {answers}."
            )
        return layout
    fitting = [layout for layout in DETECTOR_LAYOUTS.values() if layout.fits(graph)]
    certain = [layout for layout in fitting if layout.sure(graph)]
    if len(certain) == 1:
        return certain[0]
    if named := [layout for layout in fitting if layout.name == stated]:
        return named[0]
    choices = certain or fitting
    if choices:
        raise UsageError(
            f"{path} does not tell its layout: it answers with {answers}. Say which it is with --layout, to "
            "`trapline detect` or once for all to `trapline export --detector`: "
            + "; or ".join(f"{layout.name} ({layout.text})" for layout in choices)
            + "."
        )
    known = "; ".join(f"{layout.name} ({layout.text})" for layout in DETECTOR_LAYOUTS.values())
    raise DataError(
        f"{path} is no detector in a layout that is known: it answers with {answers}. Known: {known}."
    )
