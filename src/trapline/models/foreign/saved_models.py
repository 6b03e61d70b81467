"""A SavedModel of TensorFlow: what makes an ONNX file of it, in an environment of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

from trapline.errors import DataError
from trapline.models.foreign.description import Description, Translated

CONVERTER = (
    "uv run --no-project --python 3.11 --with tf2onnx==1.17.0 --with tensorflow==2.18.1 "
    "python -m tf2onnx.convert --opset 17"
)
"""TensorFlow is some 600 MB and binds other packages' versions: it stays out of Trapline's environment."""


def load(path: Path, about: Description) -> Translated:
    """Nothing is loaded here.

    Raises:
        DataError: always; with the command that makes an ONNX file, which then is imported.
    """
    command = f"{CONVERTER} --saved-model {shlex.quote(str(path))} --output theirs.onnx"
    raise DataError(
        f"{path} is a SavedModel, which only TensorFlow reads. Make an ONNX file of it in an environment "
        "of its own "
        "(uv fetches it; TensorFlow runs what a SavedModel holds, so only of one that you trust):\n  "
        f"{command}\n"
        "and import theirs.onnx with the same options."
    )
