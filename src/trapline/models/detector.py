"""A detector: an ONNX file in YOLOX's layout, opened and run without PyTorch.

Such a file is what YOLOX's own exporter writes. Input: float32 [batch, 3, height, width], BGR, 0..255, the
picture scaled into the upper left corner. Output: float32 [batch, places, 5 + categories]: for every place of
the grids of strides 8, 16 and 32 (and 64) the box's centre and size, whether something is there, and what.
Centres are given from the place's corner in strides and sizes as logarithms, or both in pixels; which of the
two is found out when the file is opened.

A file may also take pictures as Trapline has them, uint8 [batch, height, width, 3], RGB, of any sides that
are multiples of 32; its metadata then says for what side it was trained. Such a one (the detector that comes
with Trapline) is asked about no more than the picture: a photo of 4 : 3 is three quarters of a square.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, parser

from trapline.arguments import Count, checked
from trapline.errors import DataError, UsageError, require
from trapline.images import Preprocessing, Size
from trapline.models import detectors
from trapline.models.graph_parts import forget_exporter
from trapline.models.halting import Halt, halt_for
from trapline.models.named import find_detector, ready_of
from trapline.models.runtimes import Session, open_session
from trapline.models.self_contained import parse_model
from trapline.models.trial import STANDARD, Trial, mark_passed, read_tried
from trapline.models.whole_file import MAX_BYTES, fingerprint_of, open_whole
from trapline.storage import replace_whole

METADATA_KEY = "trapline_detector"
CATEGORIES = {1: ("animal",), 3: ("animal", "person", "vehicle")}
"""What detectors of camera-trap photos find, by the number of their categories."""

_STRIDES = ((8, 16, 32), (8, 16, 32, 64))
_GREY = 114
_MULTIPLE, _MOST_SIDE = 32, 4096

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """What was found in one picture, most confident first.

    Attributes:
        categories: int64 [n], places in the detector's `categories`.
        conf: float32 [n], 0..1.
        boxes: float32 [n, 4]: left, top, width, height in pixels of the input.
    """

    categories: npt.NDArray[np.int64]
    conf: Floats
    boxes: Floats


class Detector:
    """An opened detector.

    Args:
        path: of the ONNX file, the id of a ready detector, or `auto` for the one that comes with Trapline.
        categories: what it finds, in its order; None takes what the file says of itself, else `CATEGORIES`.
        min_conf: boxes below this are left out.
        overlap: of two boxes of a category whose intersection over union is larger, the more confident stays.
        most: boxes a picture.
        threads: the network runs on; None for one a core.
        runtime: see `ModelFile`.
        trial: likewise.

    Raises:
        DataError: no such file, or no detector in YOLOX's layout.
        UsageError: options out of range, or the number of categories is another.
    """

    @checked
    def __init__(
        self,
        path: Path | str = detectors.AUTO,
        *,
        categories: Sequence[str] | None = None,
        min_conf: float = 0.05,
        overlap: float = 0.45,
        most: Count = 64,
        threads: Count | None = None,
        runtime: str = "auto",
        trial: Trial | None = STANDARD,
    ) -> None:
        self.path = find_detector(path)
        if not (0 < min_conf < 1 and 0 < overlap < 1 and most >= 1):
            raise UsageError("The least confidence and the overlap lie between 0 and 1, both exclusive.")
        content = read_tried(self.path, "detector", runtime, trial)
        self._open(content, runtime, threads, min_conf, overlap, most)
        self.categories = self._name_categories(self._count, categories)

    @classmethod
    def of(cls, content: bytes, path: Path, *, runtime: str = "cpu") -> Detector:
        """A detector of its bytes, untried and only to be tried: `path` and its categories are only named."""
        detector = cls.__new__(cls)
        detector.path = path
        detector._open(content, runtime, threads=1)
        detector.categories = tuple(map(str, range(detector._count)))
        return detector

    def _open(
        self,
        content: bytes,
        runtime: str,
        threads: int | None,
        min_conf: float = 0.05,
        overlap: float = 0.45,
        most: int = 64,
    ) -> None:
        self.fingerprint = fingerprint_of(content)
        self._session = open_session(content, self.path, runtime, threads)
        self.runtime = self._session.runtime
        self.facts = _facts_of(self._session.metadata, self.path)
        self._input = _input_of(self._session, self.facts, self.path)
        self.preprocessing = self._input.size
        size = (self.preprocessing.height, self.preprocessing.width)
        candidates = self._raw(np.full((1, *size, 3), _GREY, np.uint8))
        self._strides = _strides(size, candidates.shape[1], self.path)
        self._grids: dict[Size, Floats] = {}
        self._decoded = _is_decoded(candidates[0], self._grid(size))
        self._count = candidates.shape[2] - 5
        self.min_conf, self.overlap, self.most = min_conf, overlap, most
        chosen_by = {"min_conf": min_conf, "overlap": overlap, "most": most}
        suppression = parser.parse_model(Template(_SUPPRESSION).substitute(chosen_by))
        self._suppress = open_session(suppression.SerializeToString(), self.path, "cpu", threads)

    def detect(self, images: npt.NDArray[np.uint8], inner: Sequence[Size] | None = None) -> list[Found]:
        """What is in pictures.

        Args:
            images: uint8 [N, height, width, 3], RGB, made with `preprocessing`.
            inner: height and width of each picture in its input; the rest is padding, which a network that
                takes any size is spared. None for the whole input.
        """
        shape = (images.shape[1], images.shape[2])
        sizes = [self._least(shape, one) for one in inner or [shape] * len(images)]
        by_row: dict[int, Found] = {}
        for height, width in sorted(set(sizes)):
            rows = [row for row, size in enumerate(sizes) if size == (height, width)]
            by_row |= zip(rows, self._detect(images[rows, :height, :width]), strict=True)
        return [by_row[row] for row in range(len(images))]

    def _least(self, shape: Size, inner: Size) -> Size:
        """The least size that the network takes and that holds the picture."""
        if not self._input.any_sides:
            return shape
        height, width = (
            min(side, _MULTIPLE * -(-part // _MULTIPLE)) for side, part in zip(shape, inner, strict=True)
        )
        return height, width

    def _grid(self, size: Size) -> Floats:
        if size not in self._grids:
            self._grids[size] = _grid(size, self._strides)
        return self._grids[size]

    def _detect(self, images: npt.NDArray[np.uint8]) -> list[Found]:
        raw = self._raw(images)
        grid = self._grid((images.shape[1], images.shape[2]))
        boxes = raw[..., :4] if self._decoded else _decode(raw[..., :4], grid)
        scores = np.ascontiguousarray((raw[..., 4:5] * raw[..., 5:]).transpose(0, 2, 1))
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise DataError(f"{self.path} answers with something that is no number.")
        (chosen,) = self._suppress.run(["chosen"], {"boxes": boxes, "scores": scores}, Halt())
        return [
            self._detections(boxes[row], scores[row], chosen[chosen[:, 0] == row])
            for row in range(len(images))
        ]

    def _detections(self, boxes: Floats, scores: Floats, chosen: npt.NDArray[np.int64]) -> Found:
        """One picture's boxes [places, 4], scores [categories, places] and what was chosen of them."""
        categories, indices = chosen[:, 1], chosen[:, 2]
        conf = scores[categories, indices]
        order = np.argsort(-conf, kind="stable")[: self.most]
        centre, size = boxes[indices[order], :2], boxes[indices[order], 2:]
        return Found(categories[order], conf[order], np.hstack([centre - size / 2, size]))

    def _raw(self, images: npt.NDArray[np.uint8]) -> Floats:
        """float32 [N, places, 5 + categories], as the network gives it."""
        planes = images
        if self._input.planes:
            planes = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2), np.float32)
        source, target = self._session.inputs[0].name, self._session.outputs[0].name
        parts = [planes] if self._input.batched else [planes[row : row + 1] for row in range(len(planes))]
        with halt_for(len(planes)) as halt:
            raw = np.concatenate([self._session.run([target], {source: part}, halt)[0] for part in parts])
        if raw.ndim != 3 or len(raw) != len(images) or raw.shape[2] < 6:
            raise DataError(
                f"{self.path} answers {len(images)} pictures with {list(raw.shape)} numbers, and not with "
                f"[{len(images)}, places, 5 + categories]: it is not in YOLOX's layout."
            )
        return raw

    def _name_categories(self, count: int, wanted: Sequence[str] | None) -> tuple[str, ...]:
        names = wanted
        if names is None and self.facts:
            try:
                names = [str(name) for name in self.facts["categories"]]
            except (KeyError, TypeError) as error:
                raise DataError(f"What {self.path} says of its categories cannot be read: {error}") from error
        names = CATEGORIES.get(count, ()) if names is None else names
        if len(names) != count or len(set(names)) != count:
            raise UsageError(
                f"{self.path} finds {count} categories; name them in its order with --categories, as in "
                "--categories animal,person,vehicle."
            )
        return tuple(names)


def is_detector(named: Path | str) -> bool:
    """Whether this is the id of a ready detector, or an ONNX file that says it is one.

    Raises:
        DataError: it is a file, and no ONNX.
    """
    if ready := ready_of(named):
        return ready.task == "detector"
    path = Path(named)
    if not path.exists():
        return False
    with open_whole(path) as file:
        model = parse_model(file.read(MAX_BYTES), path)
    return any(item.key == METADATA_KEY for item in model.metadata_props)


def convert_detector(
    checkpoint: Path | str, output: Path | str, *, side: int = 640, categories: Sequence[str] | None = None
) -> Detector:
    """Write a checkpoint of a YOLOX (PyTorch's, with the tensors under `model`) as an ONNX file, and open it.

    Nothing in the checkpoint is executed. MegadetectorLite, of the package zamba, is such a one.

    Args:
        checkpoint: tiny, s, m, l or x; not nano.
        output: the ONNX file; replaced if it exists.
        side: of its input, pixels: a multiple of 32, best that of its training.
        categories: what it finds, in its order; None for `CATEGORIES`.

    Raises:
        MissingExtraError: PyTorch is not installed.
        DataError: no checkpoint of a YOLOX.
        UsageError: a side that is no multiple of 32, or the number of categories is another.
    """
    require("torch", "train", "Converting a detector's checkpoint")
    from trapline.models.networks import yolox_graph

    if not _is_side(side):
        raise UsageError(f"The sides of a detector's input are multiples of 32, up to 4096; not {side}.")
    checkpoint, output = Path(checkpoint), Path(output)
    if not checkpoint.is_file():
        raise DataError(f"There is no checkpoint at {checkpoint}.")
    graph, count = yolox_graph(checkpoint, side)
    names = list(categories or CATEGORIES.get(count, ()))
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    facts = {"categories": names, "source": checkpoint.name, "source_fingerprint": digest}
    with replace_whole(output) as partial:
        onnx.save(_describe(graph, facts), partial)
        mark_passed(Detector(partial, categories=names, trial=None).fingerprint, "detector")
    return Detector(output)


def _describe(graph: onnx.ModelProto, facts: dict[str, Any]) -> onnx.ModelProto:
    """The graph with `facts` in its metadata; without the exporter's traces."""
    described = onnx.ModelProto()
    described.CopyFrom(graph)
    forget_exporter(described)
    helper.set_model_props(described, {METADATA_KEY: json.dumps(facts)})
    return described


def _facts_of(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """What a file says of itself; nothing if it is not one that Trapline has written."""
    try:
        facts = json.loads(metadata.get(METADATA_KEY, "{}"))
    except ValueError as error:
        raise DataError(f"What {path} says of its categories cannot be read: {error}") from error
    if not isinstance(facts, dict):
        raise DataError(f"What {path} says of its categories cannot be read: it is no object.")
    return facts


@dataclass(frozen=True)
class _Input:
    """What a network takes.

    Attributes:
        size: of a picture, and how it is made.
        batched: whether it takes more than one picture at a time.
        planes: float32 [batch, 3, height, width], BGR; else uint8 [batch, height, width, 3], RGB.
        any_sides: whether it takes all multiples of 32.
    """

    size: Preprocessing
    batched: bool
    planes: bool
    any_sides: bool


def _input_of(session: Session, facts: dict[str, Any], path: Path) -> _Input:
    inputs = session.inputs
    shape, kind = (inputs[0].shape, inputs[0].type) if len(inputs) == 1 else ((), "")
    planes = kind == "tensor(float)" and len(shape) == 4 and shape[1] == 3
    any_sides = kind == "tensor(uint8)" and shape[1:] == (None, None, 3) and "side" in facts
    if not planes and not any_sides:
        signature = ", ".join(f"{item.name} {item.type} {list(item.shape)}" for item in inputs)
        raise DataError(
            f"{path} is no detector in YOLOX's layout: its input should be one float32 [batch, 3, height, "
            f"width], and is {signature}."
        )
    height, width = shape[2:] if planes else (facts["side"], facts["side"])
    if not (_is_side(height) and _is_side(width)):
        raise DataError(
            f"{path} takes pictures of {height} × {width} pixels; both must be fixed multiples of "
            f"{_MULTIPLE}, up to {_MOST_SIDE}."
        )
    if shape[0] not in (None, 1):
        raise DataError(f"{path} takes {shape[0]} pictures at a time; export it for 1 or for any number.")
    size = Preprocessing(
        height=height, width=width, fit="corner", interpolation="bilinear", decoding="quick", oversampling=1
    )
    return _Input(size, shape[0] is None, planes, any_sides)


def _is_side(side: object) -> bool:
    return isinstance(side, int) and side % _MULTIPLE == 0 and _MULTIPLE <= side <= _MOST_SIDE


def _strides(size: Size, candidates: int, path: Path) -> Sequence[int]:
    """Of the grids that so many places are of."""
    for strides in _STRIDES:
        if sum((size[0] // stride) * (size[1] // stride) for stride in strides) == candidates:
            return strides
    raise DataError(
        f"{path} answers for {candidates} cells, which are not the grids of strides 8, 16, 32 (and 64) "
        f"of {size[0]} × {size[1]} pixels: it is not in YOLOX's layout."
    )


def _grid(size: Size, strides: Sequence[int]) -> Floats:
    """float32 [places, 3]: column, row and stride of each place."""
    parts = []
    for stride in strides:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        parts.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(parts).astype(np.float32)


def _is_decoded(answer: Floats, grid: Floats) -> bool:
    """Whether the centres are in pixels: those then follow the grid's, offsets from its places do not."""
    pixels = grid[:, :2] * grid[:, 2:]
    return bool(np.abs(answer[:, :2] - pixels).mean() < np.abs(answer[:, :2]).mean())


def _decode(boxes: Floats, grid: Floats) -> Floats:
    """Centre and size in pixels, float32 [N, places, 4], of offsets in strides and logarithms of sizes."""
    strides = grid[:, 2:]
    centres = (boxes[..., :2] + grid[:, :2]) * strides
    with np.errstate(over="ignore"):
        return np.concatenate([centres, np.exp(boxes[..., 2:]) * strides], axis=-1)


_SUPPRESSION = """
<ir_version: 10, opset_import: ["" : 18]>
suppression (float[batch, places, 4] boxes, float[batch, kinds, places] scores) => (int64[count, 3] chosen)
<int64[1] most = {$most}, float[1] overlap = {$overlap}, float[1] least = {$min_conf}> {
    chosen = NonMaxSuppression <center_point_box = 1> (boxes, scores, most, overlap, least)
}
"""
"""ONNX's own non-maximum suppression, of boxes as centre and size."""
