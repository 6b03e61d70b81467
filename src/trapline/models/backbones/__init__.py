"""Backbones that come with Trapline: model files whose `embedding` heads are trained on.

Each file here was made by `scripts/make_backbone.py`; what it is and may be used for stands in its card
(`trapline show`) and in NOTICE.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from trapline.errors import UsageError


def names() -> list[str]:
    """The names of the shipped backbones, sorted."""
    folder = resources.files(__name__)
    return sorted(item.name.removesuffix(".onnx") for item in folder.iterdir() if item.name.endswith(".onnx"))


def path(name: str) -> Path:
    """The model file of a shipped backbone.

    Raises:
        UsageError: there is none of that name; the message lists those there are.
    """
    if name not in names():
        raise UsageError(f"Trapline ships no backbone named '{name}'; it ships: {', '.join(names())}.")
    return Path(str(resources.files(__name__) / f"{name}.onnx"))


def is_shipped(file: Path) -> bool:
    """Whether a file is one of the shipped backbones, which are as trusted as the code beside them."""
    return file.suffix == ".onnx" and file.resolve().parent == Path(str(resources.files(__name__))).resolve()


def find(name_or_path: str, folder: Path | None = None) -> Path:
    """The model file that a recipe's `model-file:` means: a shipped name, or a path.

    Args:
        name_or_path: what follows `model-file:`.
        folder: where a relative path starts; None for the current folder.

    Raises:
        UsageError: it is neither.
    """
    if name_or_path in names():
        return path(name_or_path)
    candidate = (folder or Path()) / name_or_path
    if not candidate.is_file():
        raise UsageError(
            f"'{name_or_path}' is neither a model file nor a shipped backbone ({', '.join(names())})."
        )
    return candidate
