"""JSON files of others: read whole, within limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from trapline.catalog import as_listed
from trapline.errors import DataError

MAX_BYTES = 4 * 1024**3
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        DataError: missing, too large, not JSON (line and column are named), or not an object.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES // 1024**3} GiB; split it.")
    content = path.read_bytes()
    try:
        document = json.loads(content.decode(json.detect_encoding(content)))
        if _SURROGATE.search(content):
            document = _as_listed(document)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} line {error.lineno} column {error.colno} is not JSON: {error.msg}."
        ) from error
    except (ValueError, RecursionError) as error:  # no UTF-8, or an integer of thousands of digits
        raise DataError(f"{path} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds a {type(document).__name__}, not an object with keys.")
    return document


def _as_listed(document: Any) -> Any:
    """Names that are no UTF-8, which Python writes as halves of characters, as tables have them.

    Raises:
        ValueError: there are other halves, which no table and no file can hold.
    """
    text = as_listed(json.dumps(document, ensure_ascii=False))
    text.encode()
    return json.loads(text)
