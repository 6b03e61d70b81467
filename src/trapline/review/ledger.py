"""What is decided so far, by event: the log as the page needs it, kept in step as decisions come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.review.events import Events
from trapline.review.log import DecisionLog
from trapline.taxonomy import BLANK


@dataclass(frozen=True)
class Word:
    """What counts of an event.

    Attributes:
        names: the labels that are seen in any of its media; `blank` alone where nothing is seen in any that
            is decided; none where it cannot be told.
        whole: all of its media are decided.
    """

    names: tuple[str, ...]
    whole: bool


class Ledger:
    """The words that count, of the events of a project.

    Args:
        catalog: the media.
        events: of it.
        log: the decisions.
    """

    def __init__(self, catalog: Catalog, events: Events, log: DecisionLog) -> None:
        self._events, self._log = events, log
        self._rows = catalog.table.select("media_id").with_row_index("_row")
        self._sizes = np.diff(events.starts)
        self.words: dict[int, Word] = {}
        self.decided: npt.NDArray[np.bool_] = np.zeros(len(events), bool)
        self.counts: Counter[str] = Counter()
        self._length = 0
        self.catch_up()

    @property
    def length(self) -> int:
        """Rows of the log that are taken in; it grows with every decision."""
        return self._length

    def catch_up(self) -> None:
        """Take in what came since, whoever wrote it."""
        length = len(self._log)
        if length == self._length:
            return
        if self._length == 0:
            self._take(self._words(self._log.current()))
        else:
            touched = {one.event for one in self._log.decisions(after=self._length)}
            self._refresh(sorted(touched))
        self._length = length

    def _refresh(self, keys: Sequence[str]) -> None:
        words = self._words(self._log.current(keys))
        gone = {index: Word((), whole=False) for index in self._events.indices(keys) if index not in words}
        self._take(words | gone)

    def _take(self, words: dict[int, Word]) -> None:
        for index, word in words.items():
            before = self.words.pop(index, None)
            self.counts.subtract(() if before is None else before.names)
            if word.names or word.whole:
                self.words[index] = word
                self.counts.update(word.names)
            self.decided[index] = word.whole

    def _words(self, current: pl.DataFrame) -> dict[int, Word]:
        """Of each event that rows of `DecisionLog.current` are of."""
        rows = current.filter("stands").join(self._rows, on="media_id", maintain_order="left")
        blank = pl.when(pl.col("verdict") == "blank").then(pl.lit([BLANK], pl.List(pl.String)))
        names = blank.otherwise(pl.col("labels").list.eval(pl.element().struct.field("label")))
        rows = rows.select("_row", names.alias("names"), untold=pl.col("verdict") == "cannot tell")
        each = rows.with_columns(pl.Series("event", self._events.of_row[rows["_row"].to_numpy()], pl.Int64))
        grouped = each.group_by("event").agg(
            pl.col("_row").n_unique().alias("media"),
            pl.col("names").list.explode().drop_nulls().unique().sort().alias("names"),
            pl.col("untold").any(),
        )
        words = {}
        for event, media, labels, untold in grouped.iter_rows():
            seen = [label for label in labels if label != BLANK]
            told = tuple(seen) if seen or untold else tuple(labels)
            words[event] = Word(told, whole=media >= self._sizes[event])
        return words
