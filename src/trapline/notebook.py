"""What a notebook shows of an object: a title and a few rows, in the notebook's own colours."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_MOST_ROWS = 12
_MOST_SIGNS = 120


def as_html(title: str, rows: Iterable[tuple[str, object]], more: str = "") -> str:
    """A small table as HTML; every text is escaped, as names and labels are anybody's, and long ones are cut.

    Args:
        title: above it.
        rows: names and values; after `_MOST_ROWS` the others are counted.
        more: a line under it.
    """
    given = [(name, value) for name, value in rows if value not in ("", None)]
    cell = 'style="text-align:left;padding:0 1em 0 0;vertical-align:top"'
    shown = [
        f"<tr><th {cell}>{_text(name)}</th><td {cell}>{_text(value)}</td></tr>"
        for name, value in given[:_MOST_ROWS]
    ]
    if len(given) > _MOST_ROWS:
        shown.append(f"<tr><td {cell}>and {len(given) - _MOST_ROWS} more</td></tr>")
    note = f'<div style="opacity:0.7">{_text(more)}</div>' if more else ""
    return f"<div><strong>{_text(title)}</strong><table>{''.join(shown)}</table>{note}</div>"


def _text(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    text = text.encode("utf-8", "replace").decode()  # a name may hold bytes that are no text
    return escape(text if len(text) <= _MOST_SIGNS else f"{text[: _MOST_SIGNS - 1]}…")
