"""A detector: an ONNX file in one of the layouts of `detector_layouts`, opened and run without PyTorch.

The picture is given as its layout wants it. Input: float32 or float16 [batch, 3, height, width]. Which layout
a file is in is told by its inputs, outputs and metadata where that is certain, and asked for where it is not.

A file in YOLOX's layout may also take pictures as Trapline has them, uint8 [batch, height, width, 3], RGB, of
any sides that are multiples of 32; its metadata then says for what side it was trained. Such a one (the
detector that comes with Trapline) is asked about no more than the picture: a photo of 4 : 3 is three quarters
of a square.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from onnx import parser

from trapline.arguments import Count, checked
from trapline.errors import DataError, UsageError
from trapline.images import Preprocessing, Size
from trapline.models import detectors
from trapline.models.box_kinds import BoxKinds
from trapline.models.detector_input import INTEGERS, MULTIPLE, input_of
from trapline.models.detector_layouts import Graph, Rows, tell_layout
from trapline.models.halting import Halt, halt_for
from trapline.models.named import find_detector, ready_of
from trapline.models.runtimes import open_session
from trapline.models.sparrow_manifest import detector_manifest
from trapline.models.trial import STANDARD, Trial, read_tried
from trapline.models.whole_file import fingerprint_of, read_same

METADATA_KEY = "trapline_detector"
_GREY = 114
_OVERLAP = 0.45
_ROUNDING = 1e-3
_MOST_CATEGORIES = 10_000
"""Beyond which no file's category can be, whose number its outputs do not tell."""


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """What was found in one picture, most confident first.

    Attributes:
        categories: int64 [n], indices into the detector's `categories`.
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
        layout: a key of `DETECTOR_LAYOUTS`; None where the file tells.
        side: of its input, pixels, where the file takes any.
        channels: in which order it takes them, `RGB` or `BGR`; None for its layout's.
        categories: what it finds, in its order; None takes what the file says of itself.
        kinds: whether a model of its own (see `BoxKinds`) tells animal, person and vehicle apart in boxes;
            None where the detector is the one that comes with Trapline, which calls everything an animal.
        min_conf: boxes below this are left out.
        overlap: of two boxes of a category whose intersection over union is larger, the more confident stays;
            None for 0.45. A file that suppresses such boxes itself takes none.
        most: boxes a picture.
        threads: the network runs on; None for one a core.
        runtime: see `ModelFile`.
        trial: likewise.

    Raises:
        DataError: no such file, or no detector in a layout that is known.
        UsageError: options out of range, the file does not tell its layout or side, the number of categories
            is another, or it tells them apart itself.

    Attributes:
        name: what it is called where boxes are: a ready detector's id, or its file's name.
        kinds: what told them apart; None where the detector did.
    """

    @checked
    def __init__(
        self,
        path: Path | str = detectors.AUTO,
        *,
        layout: str | None = None,
        side: Count | None = None,
        channels: str | None = None,
        categories: Sequence[str] | None = None,
        kinds: bool | None = None,
        min_conf: float = 0.05,
        overlap: float | None = None,
        most: Count = 64,
        threads: Count | None = None,
        runtime: str = "auto",
        trial: Trial | None = STANDARD,
    ) -> None:
        self.path = find_detector(path)
        if not (0 < min_conf < 1 and (overlap is None or 0 < overlap < 1) and most >= 1):
            raise UsageError("The least confidence and the overlap lie between 0 and 1, both exclusive.")
        ready, manifest = ready_of(path), detector_manifest(self.path)
        self.name = self.path.name if ready is None or ready.shipped else ready.id
        stated = None if ready is None else ready.layout
        layout = layout or (manifest.layout if manifest else None)
        asked = {"layout": layout, "side": side, "stated": stated}
        content = read_tried(self.path, "detector", runtime, trial, asked)
        self.min_conf, self.most = min_conf, most
        self._open(content, runtime, threads, layout, side, stated)
        if ready is not None:
            self.facts.setdefault("name", ready.id)
            self.facts.setdefault("licence", ready.licence)
        if overlap is not None and not self.layout.suppresses:
            raise UsageError(
                f"{self.path} ({self.layout.name}) suppresses boxes that overlap itself: leave out --overlap."
            )
        self.overlap = (overlap or _OVERLAP) if self.layout.suppresses else None
        known = (manifest.categories if manifest else ()) or (ready.labels if ready else ())
        self._own_categories = self._name_categories(categories, known)
        self.bgr = self._order_channels(channels, manifest.channels if manifest else None)
        self.kinds = self._open_kinds(kinds, threads)

    @classmethod
    def of(
        cls,
        content: bytes,
        path: Path,
        *,
        layout: str | None = None,
        side: int | None = None,
        stated: str | None = None,
        runtime: str = "cpu",
    ) -> Detector:
        """A detector of its bytes, untried and only to be tried: `path` and its categories are only named."""
        detector = cls.__new__(cls)
        detector.path, detector.name, detector.min_conf, detector.most = path, path.name, 0.05, 64
        detector._open(content, runtime, 1, layout, side, stated)
        detector.bgr = detector.layout.bgr
        detector.overlap = _OVERLAP if detector.layout.suppresses else None
        detector._own_categories = tuple(map(str, range(detector._count or _MOST_CATEGORIES)))
        detector.kinds = None
        return detector

    def _open(
        self,
        content: bytes,
        runtime: str,
        threads: int | None,
        layout: str | None,
        side: int | None,
        stated: str | None,
    ) -> None:
        self.fingerprint = fingerprint_of(content)
        self._session = open_session(content, self.path, runtime, threads)
        self.runtime = self._session.runtime
        self.facts = _facts_of(self._session.metadata, self.path)
        self._input = input_of(self._session, self.facts, side, self.path)
        self.side_asked, self.side_free = side, None in self._session.inputs[0].shape[2:4]
        size = (self._input.height, self._input.width)
        grey = np.full((1, *size, 3), _GREY, np.uint8)
        answers = self._ask(grey if self._input.pixels else self._planes(grey, 1.0, bgr=False), size)
        graph = Graph(self._session.inputs, self._session.outputs, answers, size, self._session.metadata)
        self.layout = tell_layout(graph, layout or self.facts.get("layout"), stated, self.path)
        self._read = self.layout.reader(graph)
        self._count, self._named = self.layout.count(graph), graph.names
        for rows in self._read(answers, size):
            if wrong := self.layout.wrong_scale(rows.boxes, size):
                self._refuse(wrong)
        self.preprocessing = Preprocessing(
            height=size[0],
            width=size[1],
            fit="squash" if self.layout.position == "squash" else "corner",
            interpolation=self.layout.interpolation,
            decoding="quick",
            oversampling=1,
        )
        self._suppress = open_session(_SUPPRESSION, self.path, "cpu", threads)

    def options(self) -> dict[str, Any]:
        """With which a copy of the file, wherever it is, is opened as this one; `path` and `name` apart."""
        order = self.facts.get("channels")
        usual = self.layout.bgr if order is None else str(order).upper() == "BGR"
        return {
            "layout": self.layout.name,
            "side": self.side_asked,
            "channels": None if self.bgr == usual else "BGR" if self.bgr else "RGB",
            "categories": list(self._own_categories),
            "kinds": self.kinds is not None,
            "min_conf": self.min_conf,
            "overlap": self.overlap,
            "most": self.most,
        }

    def content(self) -> bytes:
        """The bytes of the file.

        Raises:
            DataError: it is not what it was when it was opened.
        """
        return read_same(self.path.absolute(), self.fingerprint)

    def detect(self, images: npt.NDArray[np.uint8], inner: Sequence[Size] | None = None) -> list[Found]:
        """What is in pictures.

        Args:
            images: uint8 [N, height, width, 3], RGB, made with `preprocessing`.
            inner: height and width of each picture in its input; the rest is padding, which a network that
                takes any size is spared. None for the whole input.
        """
        shape = (images.shape[1], images.shape[2])
        inner = inner or [shape] * len(images)
        sizes = [self._least(shape, one) for one in inner]
        by_row: dict[int, Found] = {}
        for height, width in sorted(set(sizes)):
            rows = [row for row, size in enumerate(sizes) if size == (height, width)]
            boxes = self._detect(images[rows, :height, :width], [inner[row] for row in rows])
            by_row |= zip(rows, boxes, strict=True)
        by_picture = [by_row[row] for row in range(len(images))]
        if self.kinds is None:
            return by_picture
        rectangles = [one.boxes for one in by_picture]
        told = self.kinds.tell(images, inner, rectangles, [one.conf for one in by_picture])
        return [replace(one, categories=kinds) for one, kinds in zip(by_picture, told, strict=True)]

    @property
    def categories(self) -> tuple[str, ...]:
        """That boxes have: its own, or those that `kinds` tells apart."""
        return self._own_categories if self.kinds is None else self.kinds.categories

    def _open_kinds(self, wanted: bool | None, threads: int | None) -> BoxKinds | None:
        everything_is_animal = self._own_categories == ("animal",)
        if wanted is None:
            wanted = detectors.SHIPPED.has(self.path) and everything_is_animal
        if wanted and not everything_is_animal:
            raise UsageError(
                f"{self.path.name} tells {', '.join(self._own_categories)} apart itself; leave --kinds out. "
                "It is for detectors that call everything an animal."
            )
        return BoxKinds(threads=threads, runtime=self.runtime) if wanted else None

    def _least(self, shape: Size, inner: Size) -> Size:
        """The least size that the network takes and that holds the picture."""
        if not self._input.pixels:
            return shape
        height, width = (
            min(side, MULTIPLE * -(-part // MULTIPLE)) for side, part in zip(shape, inner, strict=True)
        )
        return height, width

    def _detect(self, images: npt.NDArray[np.uint8], inner: Sequence[Size]) -> list[Found]:
        size = (images.shape[1], images.shape[2])
        shifts = [_centred(size, one) if self.layout.position == "centre" else (0, 0) for one in inner]
        pictures = images
        if any(shift != (0, 0) for shift in shifts):
            pictures = np.stack(
                [np.roll(image, shift, (0, 1)) for image, shift in zip(images, shifts, strict=True)]
            )
        rows = self._answer(pictures)
        return [self._choose(one, shift, size) for one, shift in zip(rows, shifts, strict=True)]

    def _answer(self, images: npt.NDArray[np.uint8]) -> list[Rows]:
        """What the network says of pictures, as its layout reads it."""
        size = (images.shape[1], images.shape[2])
        planes: npt.NDArray[Any] = images
        if not self._input.pixels:
            planes = self._planes(images, self.layout.white, bgr=self.bgr)
        whole = self._input.batched and not self.layout.one_by_one
        parts = [planes] if whole else [planes[row : row + 1] for row in range(len(planes))]
        rows: list[Rows] = []
        for part in parts:
            answers = self._read(self._ask(part, size), size)
            if len(answers) != len(part):
                raise DataError(f"{self.path} answers {len(part)} pictures with {len(answers)}.")
            rows += answers
        return rows

    def _planes(self, images: npt.NDArray[np.uint8], white: float, *, bgr: bool) -> npt.NDArray[Any]:
        """[N, 3, height, width], 255 as `white`, of uint8 [N, height, width, 3], RGB."""
        ordered = images[..., ::-1] if bgr else images
        planes = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2), np.float32)
        if white != 255:
            planes *= white / 255
        return planes.astype(self._input.dtype, copy=False)

    def _ask(self, pictures: npt.NDArray[Any], size: Size) -> list[npt.NDArray[Any]]:
        """The outputs of the network, numbers as float32 where they are floats."""
        feeds = {self._input.name: pictures}
        if self._input.sizes is not None:
            sizes = np.array([size[::-1]] * len(pictures), INTEGERS[self._input.sizes.type])
            feeds[self._input.sizes.name] = sizes
        names = [output.name for output in self._session.outputs]
        with halt_for(len(pictures)) as halt:
            answers = self._session.run(names, feeds, halt)
        return [one.astype(np.float32) if one.dtype == np.float16 else one for one in answers]

    def _choose(self, rows: Rows, shift: tuple[int, int], size: Size) -> Found:
        """One picture's boxes: those that are confident enough, without those that others stand for."""
        if not all(np.isfinite(numbers).all() for numbers in rows):
            raise DataError(f"{self.path} answers with something that is no number.")
        sure = rows.conf >= self.min_conf
        boxes, conf, kinds = rows.boxes[sure], rows.conf[sure], rows.categories[sure]
        self._refuse_impossible(boxes, conf, kinds, size)
        categories = kinds.astype(np.int64)
        order = np.argsort(-conf, kind="stable")
        if self.layout.suppresses and len(conf):
            apart = (np.arange(len(self._own_categories))[:, None] == categories) * conf
            feeds = {
                "boxes": boxes[np.newaxis],
                "scores": apart[np.newaxis].astype(np.float32),
                "overlap": np.array([self.overlap], np.float32),
                "most": np.array([self.most], np.int64),
            }
            (chosen,) = self._suppress.run(["chosen"], feeds, Halt())
            order = chosen[np.argsort(-conf[chosen[:, 2]], kind="stable"), 2]
        order = order[: self.most]
        near = boxes[order, :2] - np.array(shift[::-1], np.float32)
        return Found(categories[order], conf[order], np.hstack([near, boxes[order, 2:] - boxes[order, :2]]))

    def _refuse_impossible(self, boxes: Floats, conf: Floats, kinds: Floats, size: Size) -> None:
        """Refuse what no detector of this layout answers with: it is in another."""
        if (conf > 1 + _ROUNDING).any():
            self._refuse(f"a confidence of {conf.max():.4g}")
        beyond = (kinds != np.floor(kinds)) | (kinds < 0) | (kinds >= len(self._own_categories))
        if beyond.any():
            self._refuse(
                f"a category of the number {kinds[beyond][0]:.4g}, and has {len(self._own_categories)} "
                "(of --categories, from 0 on)"
            )
        if (boxes[:, 2:] < boxes[:, :2] - _ROUNDING).any():
            self._refuse("boxes whose right or lower side is before the other one")
        if np.abs(boxes).max(initial=0) > 4 * max(size):
            self._refuse(f"boxes that reach to {np.abs(boxes).max():.4g} pixels, far outside the picture")

    def _refuse(self, what: str) -> NoReturn:
        raise DataError(
            f"{self.path} was read in the layout {self.layout.name} and answers with {what}. It is broken, "
            "or in another layout: name it with --layout."
        )

    def _order_channels(self, asked: str | None, stated: str | None) -> bool:
        """Whether planes are blue, green, red: as asked for, as the file or its manifest says, or usual."""
        if asked is not None and (asked.upper() not in ("RGB", "BGR") or self._input.pixels):
            raise UsageError(f"Channels are RGB or BGR, and of planes; not '{asked}' of {self.path}.")
        order = asked or self.facts.get("channels") or stated
        return self.layout.bgr if order is None else str(order).upper() == "BGR"

    def _name_categories(self, wanted: Sequence[str] | None, stated: tuple[str, ...]) -> tuple[str, ...]:
        names, count = wanted, self._count
        if names is None and "categories" in self.facts:
            names = self.facts["categories"]
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise DataError(f"What {self.path} says of its categories cannot be read: {names!r}")
        if names is None:
            names = self._named or stated or self.layout.usual.get(count or 0) or ()
        names = [name.strip() for name in names]
        if not all(names) or len(set(names)) != len(names):
            raise UsageError(f"Categories have names, each another one; of {self.path} they are {names}.")
        if not names or count not in (None, len(names)):
            finds = "categories that it does not name" if count is None else f"{count} categories"
            raise UsageError(
                f"{self.path} finds {finds}; name them in its order with --categories, as in "
                "--categories animal,person,vehicle."
            )
        return tuple(names)


def _facts_of(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """What a file says of itself; nothing if it is not one that Trapline has written."""
    try:
        facts = json.loads(metadata.get(METADATA_KEY, "{}"))
    except ValueError as error:
        raise DataError(f"What {path} says of its categories cannot be read: {error}") from error
    if not isinstance(facts, dict):
        raise DataError(f"What {path} says of its categories cannot be read: it is no object.")
    return facts


def _centred(size: Size, inner: Size) -> tuple[int, int]:
    """Rows and columns by which a picture in the upper left corner is moved into the centre."""
    return (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2


_SUPPRESSION = parser.parse_model("""
<ir_version: 10, opset_import: ["" : 18]>
suppression (float[1, rows, 4] boxes, float[1, kinds, rows] scores, int64[1] most, float[1] overlap)
    => (int64[count, 3] chosen)
<float[1] least = {0}> {
    chosen = NonMaxSuppression (boxes, scores, most, overlap, least)
}
""").SerializeToString()
"""ONNX's own non-maximum suppression, of boxes by two corners; a score of 0 is of another category."""
