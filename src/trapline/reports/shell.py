"""Commands that pages offer to be pasted into a terminal."""

from __future__ import annotations

import os
import shlex

from trapline.storage import AnyPath


def quoted(path: AnyPath) -> str:
    """A path as a shell takes it."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    if os.name == "nt":
        return f'"{text}"' if set(text) & set(" &()^;,") else text
    return shlex.quote(text)
