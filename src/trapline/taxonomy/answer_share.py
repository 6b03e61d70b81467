"""What share of media is to be answered, and how finely: as a user says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from trapline.errors import UsageError
from trapline.taxonomy.rollup import LEVELS


@dataclass(frozen=True)
class AnswerShare:
    """`80%`, or `family:80%`.

    Attributes:
        share: of the media, above 0 and at most 1.
        level: of `LEVELS`, that an answer must reach; None for the finest of the tree.
    """

    share: float
    level: str | None = None

    @classmethod
    def parse(cls, asked: object) -> Self:
        """What was asked for: `80%`, `0.8`, `family:80%`, or a number.

        Raises:
            UsageError: it is none of these.
        """
        match = re.fullmatch(r"(?:([a-z]+):)?(\d+(?:\.\d+)?|\.\d+)(\s*%)?", str(asked).strip())
        share = float(match[2]) / (100 if match[3] else 1) if match else 0.0
        if match is None or not 0 < share <= 1 or match[1] not in (None, *LEVELS):
            raise UsageError(
                f"The share of photos to answer is as in 80% or 0.8, or with a rank as in family:80% "
                f"({', '.join(LEVELS)}); not '{asked}'."
            )
        return cls(share, match[1])

    def __str__(self) -> str:
        return f"{self.level}:{self.share:.4g}" if self.level else f"{self.share:.4g}"
