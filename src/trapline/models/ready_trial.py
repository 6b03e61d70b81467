"""Whether a ready model that is on this machine can be used as it is."""

from __future__ import annotations

from trapline.errors import TraplineError
from trapline.models.detector import Detector
from trapline.models.file import ModelFile
from trapline.models.ready import ReadyModel


def trouble_with(model: ReadyModel) -> str:
    """Why a ready model cannot be used although its file is here; empty if it can: it is opened and tried."""
    try:
        (Detector if model.task == "detector" else ModelFile)(model.id, threads=1)
    except TraplineError as error:
        return str(error)
    return ""
