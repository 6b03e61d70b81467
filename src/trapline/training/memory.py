"""Keep the memory of one training step for the next."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>


def keep_memory() -> bool:
    """Ask glibc to reuse large blocks in place of giving them back to the system at once.

    A layer's activations are tens of megabytes. By default each such block is mapped afresh at every step,
    and the system clears it page by page: a quarter of the small CNN's time on a processor. The process then
    holds on to the most it ever needed, which a training does anyway. Elsewhere than on glibc, and on the
    memory of a GPU, nothing changes.

    Returns:
        whether the allocator took the wish.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    wishes = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 * 2**20}
    taken = [mallopt(option, value) for option, value in wishes.items()]  # all, even if one is refused
    return taken == [1, 1, 1]
