"""File names that are not UTF-8, in tables that can only hold UTF-8.

On Linux a name is bytes, and old cards have names in Latin-1. A byte that is no UTF-8 stands in the table as
a private-use character, U+EF80 to U+EFFF for 0x80 to 0xFF (as in MirBSD's OPTU-8), and becomes that byte
again on the way back to the disk.
"""

from __future__ import annotations

_TEXT = {0xDC00 + byte: 0xEF00 + byte for byte in range(0x80, 0x100)}
_NAME = {text: name for name, text in _TEXT.items()}


def as_text(name: str) -> str:
    """A name as Python has it (bytes that are no UTF-8 are lone surrogates, PEP 383) for a table."""
    return name if name.isascii() else name.translate(_TEXT)


def as_name(text: str) -> str:
    """The name that `as_text` made the text of."""
    return text if text.isascii() else text.translate(_NAME)
