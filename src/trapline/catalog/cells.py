"""Cells of the tables that people open in a spreadsheet."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"(^|[;,|\t\r\n])(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r\n])")
"""Where a spreadsheet may begin a formula: at the start, and behind what it may take for the next cell's."""


def harmless_cell(cell: str) -> str:
    """A cell as a spreadsheet takes it for text: before what it would run as a formula stands a `'`.

    Names come with photos from anywhere (OWASP, *CSV Injection*). Numbers stay what they are. Tables that are
    joined by their names keep every name as it is (see the page on formats); this is for the others.
    """
    try:
        float(cell)
    except ValueError:
        return _FORMULA.sub(r"\1'", cell)
    return cell
