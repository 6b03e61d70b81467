"""What a ready model needs before its id can be used: to be opened, and a foreign classifier to be imported.

How a foreign classifier is shown photos is said by its archive (SPARROW's `manifest.toml`), or the catalogue.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trapline.errors import DataError, TraplineError, UsageError
from trapline.images import CropPolicy
from trapline.models.detector import Detector
from trapline.models.file import ModelFile
from trapline.models.foreign import describe, import_model, read_labels
from trapline.models.onnx_graph import read_graph, write_model_file
from trapline.models.ready import ReadyModel
from trapline.models.ready_files import OWN_MODEL, KeptModel, ready_folder, ready_path
from trapline.models.sparrow_manifest import NAME, numbered_labels, small_text
from trapline.taxonomy import name_speciesnet_labels

BARE_BOX = CropPolicy(categories=("animal",), context=1.0, square=False, min_side=0)
"""How other tools cut a photo to a detector's box: to the box itself."""

_SCALINGS = {"unit": "0-1", "imagenet": "imagenet", "none": "0-255"}
_FITS = {"stretch": "squash", "letterbox": "letterbox"}
_INTERPOLATIONS = {"cv2_bilinear": "bilinear"}


def make_usable(model: ReadyModel, kept: KeptModel) -> KeptModel:
    """Open a ready model that is here, after a model file was made of it where it is a foreign classifier.

    Returns:
        the same with the path that its id stands for, and why it cannot be used if it cannot.
    """
    trouble = _trouble_with(model)
    if trouble and model.task == "classifier":
        trouble = _import(model, kept.path)
    if trouble is None:
        return replace(kept, path=ready_path(model) or kept.path)
    damaged = isinstance(trouble, DataError) and model.task != "encoder"
    return replace(kept, trouble=str(trouble), damaged=damaged)


def _trouble_with(model: ReadyModel) -> TraplineError | None:
    try:
        (Detector if model.task == "detector" else ModelFile)(model.id, threads=1)
    except TraplineError as error:
        return error
    return None


def _import(model: ReadyModel, path: Path) -> TraplineError | None:
    """Make the model file that the id stands for; what is wrong if that cannot be."""
    output = ready_folder(model) / OWN_MODEL
    try:
        import_model(path, output, describe(_readable(describe_ready(model, path))))
        if model.input.crop == "box":
            _cut_to_boxes(output)
    except TraplineError as error:
        return (DataError if isinstance(error, DataError) else UsageError)(
            f"{error} With what its publisher says of it: trapline import {path} -o {model.id}.onnx, then "
            f"trapline models get {model.id} --file {model.id}.onnx --force"
        )
    return None


def _cut_to_boxes(path: Path) -> None:
    """Say in a model file's card that it has learnt from photos cut to boxes."""
    card = ModelFile(path, threads=1).card
    origin = card.origin
    if origin is not None:
        cut = f"photos are cut to their surest box, from confidence {BARE_BOX.min_conf:g} on, as it is"
        origin = origin.model_copy(update={"assumed": (*origin.assumed, cut)})
    preprocessing = card.preprocessing.model_copy(update={"crop": BARE_BOX})
    changed = card.model_copy(update={"preprocessing": preprocessing, "origin": origin})
    write_model_file(read_graph(path), changed, path)


def describe_ready(model: ReadyModel, path: Path) -> dict[str, Any]:
    """The fields of a `Description` of a foreign classifier, as its archive or else the catalogue says them.

    Raises:
        UsageError: photos are brought to its size in a way that Trapline has not.
        DataError: what its archive says cannot be read.
    """
    about = ", ".join(filter(None, (model.title, model.developer, model.licence, model.citation)))
    fields = {"name": model.id, "notices": (about,)}
    manifest, info = path.with_name(NAME), path.with_name("info.json")
    try:
        if manifest.is_file():
            return fields | _of_manifest(tomllib.loads(small_text(manifest)), path.parent)
        fields |= _of_catalogue(model)
        if info.is_file() and not model.labels:
            named = json.loads(small_text(info))["classifier_labels"]
            fields["labels"] = read_labels(path.with_name(Path(named).name))
        return fields
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"What stands beside {path} about it cannot be read: {error}.") from error


def _readable(fields: dict[str, Any]) -> dict[str, Any]:
    """The same with labels in SpeciesNet's form called as in its answers: white-tailed deer, blank."""
    labels = fields.get("labels", ())
    if not labels or any(label.count(";") != 6 for label in labels):
        return fields
    called = name_speciesnet_labels(labels)
    return fields | {"labels": tuple(called[label] for label in labels)}


def _of_catalogue(model: ReadyModel) -> dict[str, Any]:
    shown = model.input
    if shown.fit is not None and shown.fit not in _FITS:
        raise UsageError(f"{model.id} is shown photos in a way that Trapline has not: {model.note}")
    known = {
        "labels": model.labels or None,
        "height": shown.height,
        "width": shown.width,
        "scaling": shown.scale,
        "channels": shown.colour and shown.colour.upper(),
        "fit": shown.fit and _FITS[shown.fit],
        "activation": model.activation,
    }
    return {name: value for name, value in known.items() if value is not None}


def _of_manifest(manifest: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What SPARROW's manifest says; its `input_size` is width and height."""
    shown, answers, labels = (
        manifest["preprocessing"],
        manifest["postprocessing"]["method"],
        manifest["labels"],
    )
    if answers != "softmax":
        raise UsageError(f"It answers by '{answers}', which is no way of a classifier of photos here.")
    width, height = shown["input_size"]
    interpolation = shown.get("interpolation", "bilinear")
    return {
        "labels": numbered_labels(folder / Path(labels["file"]).name, labels.get("format", "one_per_line")),
        "height": height,
        "width": width,
        "layout": str(shown.get("layout", "nchw")).upper(),
        "channels": str(shown.get("channel_order", "rgb")).upper(),
        "scaling": _SCALINGS[shown["normalization"]],
        "activation": answers,
        "interpolation": _INTERPOLATIONS.get(interpolation, interpolation),
        **_fit_of(shown, min(width, height)),
    }


def _fit_of(shown: Mapping[str, Any], side: int) -> dict[str, Any]:
    method = shown["method"]
    if method == "resize":
        return {"fit": "squash"}
    if method == "letterbox":
        return {"fit": "letterbox"}
    shorter = shown.get("resize_mode", "exact") == "shorter_side"
    if method == "resize_crop" and shown.get("center_crop") and (shorter or shown.get("pre_crop_square")):
        return {"fit": "crop", "crop_fraction": side / min(shown["resize_size"])}
    if method == "resize_crop" and shown.get("pre_crop_square"):
        return {"fit": "crop", "crop_fraction": 1.0}
    raise UsageError(f"Its photos are brought to its size by '{method}', in a way that Trapline has not.")
