"""Commands of `trapline ecology`: the report and what is carried through."""

from __future__ import annotations

from collections.abc import Callable

COMMANDS: dict[str, tuple[Callable[..., None], str]] = {}
"""name → the command and its short help."""
