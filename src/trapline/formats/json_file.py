"""JSON files of others: read whole, within limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trapline.errors import DataError

MAX_BYTES = 4 * 1024**3


def read_json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        DataError: missing, too large, not JSON (line and column are named), or not an object.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES // 1024**3} GiB; split it.")
    try:
        document = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} line {error.lineno} column {error.colno} is not JSON: {error.msg}."
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds a {type(document).__name__}, not an object with keys.")
    return document
