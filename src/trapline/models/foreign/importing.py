"""A model that was trained elsewhere becomes a model file; here what every kind of file has in common.

The file is opened in a process of its own, within limits (`worker`): readers of foreign formats are much
code, and files from strangers are made to hurt it. The model file that leaves it is tried as every other is.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx

from trapline import __version__
from trapline.catalog import BLANK_WORDS
from trapline.errors import (
    HDF5,
    KERAS_FILE,
    ONNX,
    PICKLE,
    SAFETENSORS,
    SAVED_MODEL,
    STATE_DICT,
    TORCH_EXPORT,
    TORCHSCRIPT,
    DataError,
    TraplineError,
    UsageError,
    kind_of,
    require,
)
from trapline.images import Preprocessing
from trapline.models.card import Calibration, Card, ForeignOrigin
from trapline.models.file import ModelFile
from trapline.models.foreign.description import Description, Translated
from trapline.models.foreign.frame import Framed, frame
from trapline.models.onnx_graph import write_model_file
from trapline.models.whole_file import MAX_BYTES, open_whole
from trapline.storage import replace_whole
from trapline.taxonomy import BLANK

SECONDS = 900.0
"""For opening, translating and asking a model."""
MEMORY = 16 * 2**30

NOT_KNOWN = "not known: the model was made elsewhere"


@dataclass(frozen=True)
class Imported:
    """What `import_model` made.

    Attributes:
        model: the model file, opened.
        kind: of the file that it was made from.
        assumed: what that file does not say and was taken for granted, a sentence each.
    """

    model: ModelFile
    kind: str
    assumed: tuple[str, ...]


_LOADERS = {
    ONNX: "onnx_files",
    KERAS_FILE: "keras_files",
    HDF5: "keras_files",
    STATE_DICT: "torch_tensors",
    SAFETENSORS: "torch_tensors",
    TORCHSCRIPT: "torch_programs",
    TORCH_EXPORT: "torch_programs",
    SAVED_MODEL: "saved_models",
}
"""Kind of file -> the module whose `load` takes it."""

_NEEDED = {
    "keras_files": ("keras", "keras"),
    "torch_tensors": ("timm", "train"),
    "torch_programs": ("torch", "train"),
}
"""The package without which such a module cannot be imported, and the extra that brings it."""

_TAKEN = (
    "an ONNX model, a model of Keras (.keras, .h5), a SavedModel, a state dict of PyTorch (.pth, "
    ".safetensors), a TorchScript file or a program of torch.export"
)
SAFE_WAY = (
    "Where it was made: torch.save(torch.load(FILE, weights_only=False).state_dict(), 'weights.pth') for a "
    "model of PyTorch; import that with --network NAME"
)


def import_model(path: Path, output: Path, about: Description) -> Imported:
    """Make a model file of a model that was trained elsewhere.

    Args:
        path: a file, or the folder of a SavedModel.
        output: the model file; replaced if it exists.
        about: what is known of the model and its file does not say.

    Raises:
        DataError: the file is of no kind that is taken, or no classifier of pictures.
        UsageError: something must be said, or contradicts the file.
        MissingExtraError: the package that reads its kind is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="trapline-import-") as folder:
        draft = Path(folder) / "draft.onnx"
        verdict = _ask_worker(
            {"path": str(path), "draft": str(draft), "about": about.model_dump(exclude_none=True)}, path
        )
        ModelFile(draft)  # tried, as any model that this machine is to run
        with replace_whole(output) as partial:
            partial.write_bytes(draft.read_bytes())
    return Imported(ModelFile(output), verdict["kind"], tuple(verdict["assumed"]))


def _ask_worker(job: dict[str, Any], path: Path) -> dict[str, Any]:
    command = (
        f"import sys; sys.path[:] = {sys.path!r}; from trapline.models.foreign.worker import main; main()"
    )
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", command],
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{path} was not translated in {SECONDS / 60:.0f} minutes. It is not used.") from None
    except OSError as error:
        raise TraplineError(f"No process for reading {path} can be started: {error}.") from error
    try:
        verdict: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        raise DataError(f"The process that read {path} crashed ({how}). It is not used.") from None
    if "error" in verdict:
        raise (UsageError if verdict["usage"] else DataError)(verdict["error"])
    return verdict


def translate(path: Path, draft: Path, about: Description) -> ForeignOrigin:
    """The work of `import_model`, in this process: a model file at `draft`, untried."""
    kind = kind_of_model(path)
    module = _LOADERS[kind]
    if module != "torch_tensors" and (about.network or about.hidden_activation):
        raise UsageError(
            f"{path} is {kind} and holds its network; --network and --hidden-activation are of tensors only."
        )
    if module in _NEEDED:
        require(*_NEEDED[module], f"Importing {kind}")
    load: Callable[[Path, Description], Translated] = import_module(f"trapline.models.foreign.{module}").load
    loaded = load(path, about)
    whole = about.over(loaded.known)
    framed = frame(loaded.graph, whole, path)
    labels, renamed = _labels(whole, framed, path)
    preprocessing, guessed = _preprocessing(whole, framed)
    origin = ForeignOrigin(
        kind=kind,
        file=path.resolve().name,
        fingerprint=_fingerprint(path),
        assumed=(*loaded.assumed, *framed.assumed, *guessed, *renamed),
    )
    card = Card(
        name=whole.name or path.resolve().stem,
        task=framed.task,
        labels=labels,
        embedding_size=framed.embedding_size,
        preprocessing=preprocessing,
        calibration=Calibration(fitted_on=NOT_KNOWN),
        origin=origin,
        notices=whole.notices or (),
        versions={"trapline": __version__, "onnx": onnx.__version__},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_model_file(framed.graph, card, draft)
    return origin


def kind_of_model(path: Path) -> str:
    """What kind of model a file is, by its content.

    Raises:
        DataError: there is none, or it is of no kind that is taken; what it is, and what to do.
    """
    if not path.exists():
        raise DataError(f"There is no model at {path}.")
    if not (path.is_file() or path.is_dir()):
        raise DataError(f"{path} is no regular file, so no model.")
    kind = kind_of(path)
    if kind is None and _is_onnx(path):
        kind = ONNX
    if kind in _LOADERS:
        return kind
    if kind == "a folder":
        inner = sorted(one.parent for one in path.glob("*/saved_model.pb"))
        hint = f" Name one version of the SavedModel in it: {inner[-1]}." if inner else ""
        raise DataError(f"{path} is a folder and no SavedModel (there is no saved_model.pb in it).{hint}")
    hint = SAFE_WAY if kind == PICKLE else f"Taken are {_TAKEN}"
    raise DataError(
        f"{path} is no model that can be imported but {kind or 'of a kind that is not known'}. {hint}."
    )


def _is_onnx(path: Path) -> bool:
    """Whether a file of another name parses as ONNX."""
    model = onnx.ModelProto()
    try:
        with open_whole(path) as file:
            model.ParseFromString(file.read(MAX_BYTES))
    except Exception:  # noqa: BLE001 - protobuf's errors have no common base but Exception
        return False
    return bool(model.HasField("graph"))


def _labels(about: Description, framed: Framed, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels, as many as answers; and what was called otherwise than the user did."""
    if about.labels is None:
        raise UsageError(
            f"{path} answers {framed.width} numbers a photo, and does not name them: --labels labels.txt, "
            "one label a line, in their order."
        )
    if len(about.labels) != framed.width:
        raise UsageError(
            f"{path} answers {framed.width} numbers a photo, but {len(about.labels)} labels are named."
        )
    labels = tuple(BLANK if label.casefold() in BLANK_WORDS else label for label in about.labels)
    renamed = [
        f"its label '{old}' is called {BLANK}"
        for old, new in zip(about.labels, labels, strict=True)
        if old != new
    ]
    return labels, tuple(renamed)


def _preprocessing(about: Description, framed: Framed) -> tuple[Preprocessing, tuple[str, ...]]:
    assumed = []
    if about.fit is None:
        assumed.append("photos are squashed to its size (--fit crop or letterbox for another way)")
    if about.interpolation is None:
        assumed.append("they are resized bilinearly (--interpolation)")
    if about.channels is None and about.scaling != "caffe":
        assumed.append("its channels are RGB (--channels BGR)")
    if about.crop_fraction is not None and about.fit != "crop":
        raise UsageError("--crop-fraction says something of --fit crop only.")
    height, width = framed.sides
    made = Preprocessing(
        height=height,
        width=width,
        fit=about.fit or "squash",
        crop_fraction=about.crop_fraction or 1.0,
        interpolation=about.interpolation or "bilinear",
    )
    return made, tuple(assumed)


def _fingerprint(path: Path) -> str:
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for part in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(part.relative_to(path).as_posix().encode() + b"\0" + part.read_bytes())
    return digest.hexdigest()
