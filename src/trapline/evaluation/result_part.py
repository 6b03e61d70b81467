"""What every part of a typed result has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ResultPart(BaseModel):
    """A part of a result: it does not change, and a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
