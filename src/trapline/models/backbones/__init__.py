"""Backbones that come with Trapline: model files whose `embedding` heads are trained on.

Each file here was made by `scripts/make_backbone.py`; what it is and may be used for stands in its card
(`trapline show`) and in NOTICE.
"""

from __future__ import annotations

from pathlib import Path

from trapline.errors import UsageError
from trapline.models.shipped import ShippedFiles

SHIPPED = ShippedFiles(__name__, "backbone")
names, path = SHIPPED.names, SHIPPED.path


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
