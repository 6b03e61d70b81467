"""What every part of a typed result has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from trapline.arguments import Output, checked


class ResultPart(BaseModel):
    """A part of a result: it does not change, and a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Box = tuple[float, float, float, float]
"""x, y, width and height as fractions."""


def best_boxes(boxes: Sequence[Mapping[str, Any]] | None, most: int) -> tuple[Box, ...]:
    """The most confident boxes first; one without a confidence was drawn by hand and is sure."""
    ordered = sorted(boxes or (), key=lambda box: -(1.0 if box["conf"] is None else box["conf"]))
    return tuple((box["x"], box["y"], box["width"], box["height"]) for box in ordered[:most])


class SavedResult(ResultPart):
    """A whole result, which is saved as JSON."""

    @checked
    def save_json(self, path: Output) -> Path:
        """Write everything but the pictures."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return path
