"""Networks, backbones and their weights, recipes; the model file."""

from trapline.models.card import Calibration, Card, Interval
from trapline.models.file import ModelFile, Outputs

__all__ = ["Calibration", "Card", "Interval", "ModelFile", "Outputs"]
