"""Detectors' files: which they are, and how they are made of checkpoints and of files that tell too little.

What is written says of itself, under `METADATA_KEY`, all that `Detector` must know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from trapline.errors import DataError, UsageError, require
from trapline.models.detector import METADATA_KEY, Detector
from trapline.models.detector_input import is_side
from trapline.models.detector_layouts import DETECTOR_LAYOUTS
from trapline.models.graph_parts import forget_exporter
from trapline.models.named import ready_of
from trapline.models.self_contained import parse_model
from trapline.models.trial import mark_passed
from trapline.models.whole_file import MAX_BYTES, open_whole
from trapline.storage import replace_whole

_SIDE = 640


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


def is_onnx(named: Path | str) -> bool:
    """Whether a detector is named that is an ONNX file, by its suffix or as a ready one."""
    return ready_of(named) is not None or Path(named).suffix.lower() == ".onnx"


def describe_detector(
    detector: Path | str,
    output: Path | str,
    *,
    layout: str | None = None,
    side: int | None = None,
    channels: str | None = None,
    categories: Sequence[str] | None = None,
    licence: str | None = None,
) -> Detector:
    """Write a detector's ONNX file again with what must be said of it, so that it need be said once.

    The network stays as it is. Its metadata gain layout, categories and licence, the channels' order where it
    is not the layout's, and the side where it takes any.

    Args:
        detector: an ONNX file, or the id of a ready detector.
        output: the ONNX file; replaced if it exists.
        layout: see `Detector`.
        side: likewise.
        channels: likewise.
        categories: likewise.
        licence: under which it may be used; None for what the file says of it.

    Raises:
        DataError: no detector.
        UsageError: the layout, the side or the categories must be said.
    """
    opened = Detector(detector, layout=layout, side=side, channels=channels, categories=categories)
    with open_whole(opened.path) as file:
        model = parse_model(file.read(MAX_BYTES), opened.path)
    metadata = {item.key: item.value for item in model.metadata_props}
    facts = {"source": opened.path.name, "source_fingerprint": opened.fingerprint} | opened.facts
    facts |= {"layout": opened.layout.name, "categories": list(opened.categories)}
    if opened.bgr != opened.layout.bgr:
        facts["channels"] = "BGR" if opened.bgr else "RGB"
    if opened.side_free:
        facts["side"] = opened.preprocessing.height
    if stated := licence or facts.get("licence") or metadata.get("license"):
        facts["licence"] = stated
    helper.set_model_props(model, metadata | {METADATA_KEY: json.dumps(facts)})
    output = Path(output)
    with replace_whole(output) as partial:
        onnx.save(model, partial)
        mark_passed(Detector(partial, trial=None).fingerprint, "detector")
    return Detector(output)


def convert_detector(
    checkpoint: Path | str,
    output: Path | str,
    *,
    side: int | None = None,
    categories: Sequence[str] | None = None,
    licence: str | None = None,
) -> Detector:
    """Write a checkpoint of a YOLOX (PyTorch's, with the tensors under `model`) as an ONNX file, and open it.

    Nothing in the checkpoint is executed. MegadetectorLite, of the package zamba, is such a one.

    Args:
        checkpoint: tiny, s, m, l or x; not nano.
        output: the ONNX file; replaced if it exists.
        side: of its input, pixels: a multiple of 32, best that of its training; None for 640.
        categories: what it finds, in its order; None for animal, or animal, person and vehicle.
        licence: under which it may be used.

    Raises:
        MissingExtraError: PyTorch is not installed.
        DataError: no checkpoint of a YOLOX.
        UsageError: a side that is no multiple of 32, or the number of categories is another.
    """
    require("torch", "train", "Converting a detector's checkpoint")
    from trapline.models.networks import yolox_graph

    side = _SIDE if side is None else side
    if not is_side(side):
        raise UsageError(f"The sides of a detector's input are multiples of 32, up to 4096; not {side}.")
    checkpoint, output = Path(checkpoint), Path(output)
    if not checkpoint.is_file():
        raise DataError(f"There is no checkpoint at {checkpoint}.")
    graph, count = yolox_graph(checkpoint, side)
    names = list(categories or DETECTOR_LAYOUTS["yolox"].usual.get(count, ()))
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    facts = {"categories": names, "source": checkpoint.name, "source_fingerprint": digest}
    if licence is not None:
        facts["licence"] = licence
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
