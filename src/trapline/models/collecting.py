"""Python's search for garbage, put off while nearly all that is made stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off_collecting() -> Iterator[None]:
    """Look for no garbage meanwhile.

    A large import, or the export of a network, makes hundreds of thousands of objects that stay. The
    collector would go through them again and again, a fifth of the time that the import takes.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
