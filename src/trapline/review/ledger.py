"""What is decided so far, by event: the log as the page needs it, kept in step as decisions come."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.errors import UsageError, many
from trapline.review.decision import DecidedMedia
from trapline.review.events import Events
from trapline.review.log import DecisionLog
from trapline.review.matching import match_media, named_here
from trapline.review.standing import MEDIA, together


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

    Attributes:
        words: event → what counts of it.
        decided: [E], all media of the event are.
        touched: [E], some are.
        counts: label → of how many events it is said.

    Args:
        catalog: the media.
        events: of it.
        log: the decisions.

    Raises:
        UsageError: the decisions are of other photos.
    """

    def __init__(self, catalog: Catalog, events: Events, log: DecisionLog) -> None:
        self._catalog, self._events, self._log = catalog, events, log
        self._sizes = np.diff(events.starts)
        self.words: dict[int, Word] = {}
        self.decided: npt.NDArray[np.bool_] = np.zeros(len(events), bool)
        self.touched: npt.NDArray[np.bool_] = np.zeros(len(events), bool)
        self.counts: Counter[str] = Counter()
        self._keys: defaultdict[int, set[str]] = defaultdict(set)
        self._length = len(log)
        current = log.current()
        media = current.select(MEDIA).unique(maintain_order=True)
        self._rows = match_media(catalog, media)
        self.strangers = len(media) - len(self._rows)
        if len(media) and not len(self._rows):
            raise UsageError(
                f"{log.path} has decisions on {many(len(media), 'photo')}, and none of them is one of "
                f"{catalog.source}: neither by content nor by name (the first is {media['file_path'][0]}). "
                "Name another file with -o."
            )
        self._take(self._words(current))

    @property
    def length(self) -> int:
        """Rows of the log that are taken in; it grows with every decision."""
        return self._length

    def keys(self, event: int) -> list[str]:
        """What an event is called in the log: otherwise than here where the photos have moved."""
        return sorted({self._events.keys[event], *self._keys[event]})

    def indices(self, keys: Iterable[str]) -> list[int]:
        """Which events these are, called as here or as in the log; what is none of them is left out."""
        called = defaultdict(list)
        for index, names in self._keys.items():
            for name in names:
                called[name].append(index)
        events = (index for key in keys for index in [*called[key], *self._events.indices([key])])
        return list(dict.fromkeys(events))

    def current(self) -> pl.DataFrame:
        """What counts of the whole log, with media and events called as they are here."""
        return named_here(self._catalog, self._log.current(), self._rows)

    def know(self, media: Iterable[tuple[int, DecidedMedia]]) -> None:
        """What media, by their rows, are called in the decisions that come."""
        pairs = list(media)
        new = self._frame(one for _, one in pairs)
        new = new.with_columns(pl.Series("row", [row for row, _ in pairs], self._rows.schema["row"]))
        new = new.join(self._rows, on=list(MEDIA), how="anti", nulls_equal=True)
        self._rows = pl.concat([self._rows, new])

    def rows_of(self, media: Iterable[DecidedMedia]) -> list[int]:
        """The rows of the catalog that decided media are, whatever they are called now; without those that
        are none of it."""
        asked = self._frame(media)
        near = self._rows.filter(pl.col("media_id").is_in(asked["media_id"].implode()))  # of few, quickly
        pairs = asked.join(near, on=list(MEDIA), nulls_equal=True, maintain_order="left")
        return pairs["row"].to_list()

    def _frame(self, media: Iterable[DecidedMedia]) -> pl.DataFrame:
        """With the columns `MEDIA`."""
        cells = [tuple(getattr(one, name) for name in MEDIA) for one in media]
        return pl.DataFrame(cells, self._rows.select(MEDIA).schema, orient="row")

    def catch_up(self) -> None:
        """Take in what came since, whoever wrote it."""
        length = len(self._log)
        if length == self._length:
            return
        came = self._log.decisions(after=self._length)
        self._length = length
        media = self._frame(one for decision in came for one in decision.media).unique(maintain_order=True)
        new = media.join(self._rows, on=list(MEDIA), how="anti", nulls_equal=True, maintain_order="left")
        if len(new):  # another program wrote it
            self._rows = pl.concat([self._rows, match_media(self._catalog, new)])
        keys = {one.event for one in came}
        self._refresh(sorted(keys), self.indices(keys))

    def _refresh(self, keys: list[str], events: Iterable[int]) -> None:
        words = self._words(self._log.current(keys))
        self._take({index: Word((), whole=False) for index in events} | words)

    def _take(self, words: dict[int, Word]) -> None:
        for index, word in words.items():
            before = self.words.pop(index, None)
            self.counts.subtract(() if before is None else before.names)
            if word.names or word.whole:
                self.words[index] = word
                self.counts.update(word.names)
            self.decided[index], self.touched[index] = word.whole, index in self.words

    def _words(self, current: pl.DataFrame) -> dict[int, Word]:
        """Of each event that rows of `DecisionLog.current` are of."""
        rows = current.filter("stands").join(self._rows, on=list(MEDIA), nulls_equal=True)
        each = rows.with_columns(pl.Series("index", self._events.of_row[rows["row"].to_numpy()], pl.Int64))
        grouped = each.group_by("index").agg(
            pl.col("row").n_unique().alias("media"),
            together().alias("names"),
            pl.col("event").unique(),
        )
        words = {}
        for index, media, names, keys in grouped.iter_rows():
            words[index] = Word(tuple(names), whole=media >= self._sizes[index])
            self._keys[index].update(keys)
        return words
