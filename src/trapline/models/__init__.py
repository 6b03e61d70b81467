"""Networks, backbones and their weights; the model file.

What needs tables or onnx is imported when it is first used: a server that answers photos needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trapline.models.card import Calibration, Card, EventPooling, Export, Interval, PoolingMethod, TrainedOn
from trapline.models.file import ModelFile, Outputs

if TYPE_CHECKING:
    from trapline.models.detector import Detector, convert_detector
    from trapline.models.int8 import Int8Export, export_int8

_LATER = {
    "Detector": "trapline.models.detector",
    "Int8Export": "trapline.models.int8",
    "convert_detector": "trapline.models.detector",
    "export_int8": "trapline.models.int8",
}

__all__ = [
    "Calibration",
    "Card",
    "Detector",
    "EventPooling",
    "Export",
    "Int8Export",
    "Interval",
    "ModelFile",
    "Outputs",
    "PoolingMethod",
    "TrainedOn",
    "convert_detector",
    "export_int8",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'trapline.models' has no attribute '{name}'")
    return getattr(importlib.import_module(_LATER[name]), name)
