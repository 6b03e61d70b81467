"""Events drawn by chance, one after the other and without end, so that a person may stop at any of them.

All events stand in a random order that is fixed before the first is drawn, and the next one drawn of a
stratum is the first of it in that order that may be asked. Whatever made events leave before their turn (a
stream that asked for them, a person who went to them) did not know the order, so that those drawn are at
any time a simple random sample of those that are left, in each stratum. Every second draw goes by the size
of the strata, so that no event ever stands for more than twice as many as in a plain random sample; those
between go to the stratum of which fewest were drawn, so that rare labels get some.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

Role = Literal["audit", "calibration"]
"""What an event is drawn for. Draws to calibrate on all go by size: such a sample needs no weights."""


@dataclass(eq=False)
class Drawing:
    """E events in their random order.

    Attributes:
        strata: int [E], the stratum of each, from 0.
        ranks: int [E], where each stands in the order of all.
        roles: event → for what it was drawn, in the order of drawing.
    """

    strata: Codes
    ranks: Codes
    roles: dict[int, Role] = field(default_factory=dict)

    def next(self, role: Role, barred: Flags) -> tuple[int, float] | None:
        """Draw one more event.

        Args:
            role: for what.
            barred: [E], events that cannot be asked: decided, or before somebody's eyes.

        Returns:
            The event, and with what chance it was drawn among those of its stratum that could be asked;
            None if none is left.
        """
        left = ~barred
        left[list(self.roles)] = False
        sizes = np.bincount(self.strata[left], minlength=int(self.strata.max(initial=-1)) + 1)
        if not sizes.any():
            return None
        stratum = self._stratum(role, sizes)
        candidates = np.flatnonzero(left & (self.strata == stratum))
        event = int(candidates[self.ranks[candidates].argmin()])
        self.roles[event] = role
        return event, 1 / len(candidates)

    def _stratum(self, role: Role, sizes: Codes) -> int:
        """Where the next is drawn, of strata of which so many are left."""
        mine = self.strata[[event for event, other in self.roles.items() if other == role]]
        counts = np.bincount(mine, minlength=len(sizes))
        if role == "audit" and len(mine) % 2:
            return int(np.lexsort((-sizes, np.where(sizes > 0, counts, np.iinfo(np.int64).max)))[0])
        by_size = mine[::2] if role == "audit" else mine
        drawn = np.bincount(by_size, minlength=len(sizes))
        quotients = (sizes + counts) / (2 * drawn + 1)  # Webster's, as for seats in a parliament
        return int(np.where(sizes > 0, quotients, -1.0).argmax())
