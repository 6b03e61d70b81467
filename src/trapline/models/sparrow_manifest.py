"""What SPARROW's `manifest.toml` says of the model's file beside it; its archives hold both.

Its fields are those of microsoft/SPARROW-Engine, `docs/user-manual.md` 10.1 and `manifest.rs`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trapline.errors import DataError
from trapline.models.foreign import label_lines, read_labels

NAME = "manifest.toml"
_MOST_BYTES = 2**20
_METHODS = {
    "yolo_e2e": ("yolo-with-nms", "letterbox"),
    "megadet_v5a": ("yolov5", "letterbox"),
    "rtdetr_topk": ("rtdetr-top-k", "resize"),
}
"""The layouts that detectors answer in, and how those are shown photos."""


@dataclass(frozen=True)
class DetectorManifest:
    """What a manifest says of a detector.

    Attributes:
        layout: a key of `DETECTOR_LAYOUTS`.
        channels: `RGB` or `BGR`.
        categories: in its order; empty if it does not say.
    """

    layout: str
    channels: str
    categories: tuple[str, ...]


def detector_manifest(path: Path) -> DetectorManifest | None:
    """What a detector's file is said to be; None if no manifest beside it says how this file is read.

    Raises:
        DataError: it cannot be read, or says what no layout has that is known.
    """
    manifest = path.with_name(NAME)
    try:
        stated = tomllib.loads(small_text(manifest)) if manifest.is_file() else {}
        model = stated.get("model", {})
        if path.name not in (model.get("file"), model.get("file_fp16")) or "postprocessing" not in stated:
            return None
        return _of_detector(stated, path)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"What {manifest} says of {path.name} cannot be read: {error}.") from error


def _of_detector(stated: Mapping[str, Any], path: Path) -> DetectorManifest:
    shown, method = stated["preprocessing"], stated["postprocessing"]["method"]
    layout, fit = _METHODS.get(method, ("", ""))
    if not layout or (shown["method"], shown["normalization"]) != (fit, "unit"):
        raise DataError(
            f"{path} is shown photos by '{shown['method']}' and '{shown['normalization']}' and answers by "
            f"'{method}', as {NAME} beside it says; no layout that is known does so."
        )
    channels = str(shown.get("channel_order", "rgb")).upper()
    if channels not in ("RGB", "BGR"):
        raise ValueError(f"channel_order is '{channels}'")
    return DetectorManifest(layout, channels, tuple(_labels(stated, path)))


def _labels(stated: Mapping[str, Any], path: Path) -> Sequence[str]:
    if "labels" not in stated:
        return ()
    labels = stated["labels"]
    return numbered_labels(path.with_name(Path(labels["file"]).name), labels.get("format", "one_per_line"))


def numbered_labels(path: Path, form: str) -> Sequence[str]:
    """Labels one a line, or with their index before (`index_name_csv`) or behind (`name_index_csv`)."""
    if form == "one_per_line":
        return read_labels(path)
    lines = label_lines(path)
    pairs = [line.split(",", 1) if form == "index_name_csv" else line.rsplit(",", 1)[::-1] for line in lines]
    names = {int(index): name.strip() for index, name in pairs}
    if sorted(names) != list(range(len(lines))):
        raise ValueError(f"the labels in {path.name} are not numbered 0, 1, 2 …")
    return [names[index] for index in range(len(names))]


def small_text(path: Path) -> str:
    """The text of a file that says something of another; what is larger than 1 MB does not."""
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path.name} is larger than {_MOST_BYTES >> 20} MB")
    return path.read_text(encoding="utf-8")
