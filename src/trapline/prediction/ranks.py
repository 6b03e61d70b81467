"""Ranks and the rolled-up answer beside the probabilities of a model of taxa.

Tables are imported where one is made or changed: a server asks for `Ranks.answers` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trapline.errors import DataError
from trapline.models import Card
from trapline.taxonomy import (
    LEVELS,
    RANKS,
    Best,
    Classes,
    Hierarchy,
    RolledUp,
    Taxonomy,
    best_answers,
    hierarchy_of,
    levels_of,
    roll_up,
)

if TYPE_CHECKING:
    import polars as pl

    from trapline.prediction.facts import PredictionFacts

ANSWER = ("answer", "answer_rank", "answer_probability")
"""The rolled-up answer: a taxon (or animal, human, vehicle, blank, other), its rank (or `kind`), and its
probability. Null where no rank keeps what the model promises."""


class Ranks:
    """From the probabilities of labels to those of taxa, and to one answer a row.

    Args:
        labels: the columns of the probabilities.
        taxonomy: a card's `taxonomy`, JSON.
        thresholds: a card's; looked at where the card's roll-up was chosen, else a majority answers.

    Raises:
        DataError: the taxonomy cannot be read or lacks a label.
    """

    def __init__(
        self, labels: Sequence[str], taxonomy: Mapping[str, Any], thresholds: Mapping[str, float]
    ) -> None:
        self.labels, self.taxonomy = tuple(labels), Taxonomy.from_json(taxonomy, "The model's taxonomy")
        missing = [label for label in labels if label not in self.taxonomy.labels]
        if missing:
            raise DataError(f"The model's taxonomy lacks its labels {', '.join(missing)}.")
        self.thresholds = dict(thresholds) if "rollup" in taxonomy else None
        self._without = frozenset(taxonomy.get("unsupported", ()))
        self._described = taxonomy

    @classmethod
    def of_card(cls, card: Card) -> Ranks | None:
        """Those of a model of taxa; None for other models."""
        return cls(card.labels, card.taxonomy, card.thresholds) if card.taxonomy else None

    @classmethod
    def of_facts(cls, labels: Sequence[str], facts: PredictionFacts) -> Ranks | None:
        """Those of the tree that predictions carry; None where they carry none."""
        tree = facts.taxonomy
        return None if tree is None else cls(labels, tree.as_json(), facts.thresholds)

    @property
    def promise(self) -> float | None:
        """The share of rolled-up answers that the thresholds keep right; None where nothing is promised."""
        rollup = self._described.get("rollup") or {}
        return rollup.get("promise")

    @property
    def choices(self) -> tuple[Mapping[str, Any], ...]:
        """What else could be promised: each with `promise`, `thresholds` and `curve`, as in the card."""
        return tuple((self._described.get("rollup") or {}).get("choices") or ())

    @cached_property
    def _levels(self) -> Any:
        return levels_of(self.taxonomy, self.labels, self._without)

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The decisions, down to the classes."""
        of_label = self._described.get("classes") or {name: name for name in self.labels}
        outside = tuple(self._described.get("outside", ()))
        classes = Classes(self.taxonomy, self.labels, of_label, outside)
        return hierarchy_of(classes, self._described.get("head_ranks") or RANKS)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns that are added, and their types."""
        import polars as pl

        columns: dict[str, pl.DataType] = dict.fromkeys(ANSWER[:2], pl.String())
        columns[ANSWER[2]] = pl.Float32()
        for level in self._levels:
            if level.name != "kind":
                columns |= {level.name: pl.String(), f"{level.name}_probability": pl.Float32()}
        return columns

    def answers(
        self, probabilities: npt.NDArray[np.float64], thresholds: Mapping[str, float] | None = None
    ) -> RolledUp:
        """The rolled-up answer of each row [rows, labels], by other thresholds than the card's if given."""
        limits = self.thresholds if thresholds is None else thresholds
        return roll_up(self.bests(probabilities), limits)

    def bests(self, probabilities: npt.NDArray[np.float64]) -> list[Best]:
        """The best answer of each row [rows, labels] at each level, broadest first."""
        return best_answers(probabilities, self._levels)

    def add(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the columns of `schema` behind its own; null where it has no probabilities.

        Raises:
            DataError: the frame lacks a label, or has a column of one of these names.
        """
        import polars as pl

        clash = sorted(set(frame.columns) & set(self.schema))
        missing = [label for label in self.labels if label not in frame.columns]
        if clash or missing:
            what = f"has a column '{clash[0]}' already" if clash else f"lacks the label '{missing[0]}'"
            raise DataError(f"Ranks cannot be added to a table that {what}.")
        numbers = frame[list(self.labels)].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        bests = self.bests(numbers)
        rolled = roll_up(bests, self.thresholds)
        known = np.isfinite(numbers).all(axis=1)
        values: dict[str, Any] = dict(
            zip(ANSWER, (rolled.answers, rolled.levels, rolled.probabilities), strict=True)
        )
        for best in bests:
            if best.level != "kind":
                values[best.level] = [
                    name if there else None for name, there in zip(best.answers, known, strict=True)
                ]
                values[f"{best.level}_probability"] = best.probabilities
        columns = [
            pl.Series(name, list(values[name]) if kind == pl.String() else values[name], kind, strict=False)
            for name, kind in self.schema.items()
        ]
        return frame.with_columns(columns).with_columns(
            pl.col(name).fill_nan(None) for name, kind in self.schema.items() if kind == pl.Float32()
        )

    def add_lazily(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The same, part by part."""
        schema = {**rows.collect_schema(), **self.schema}
        return rows.map_batches(self.add, schema=schema, streamable=True)


def add_ranks(frame: pl.DataFrame, card: Card) -> pl.DataFrame:
    """Add a taxon of each rank, all of one path, their probabilities, and the rolled-up answer.

    Args:
        frame: with a column of probabilities a label of the card.
        card: of a model of taxa; a frame of another model is given back as it is.

    Returns:
        the frame, then `answer`, `answer_rank`, `answer_probability` (see `ANSWER`) and for each rank of the
        tree `<rank>` and `<rank>_probability`: its taxon on the path that goes down the tree to the most
        probable child each time, and how probable it is; null where the path has none of that rank.

    Raises:
        DataError: the frame lacks a label or has such columns already.
    """
    ranks = Ranks.of_card(card)
    return frame if ranks is None else ranks.add(frame)


def rank_names() -> frozenset[str]:
    """Names that no label of a model of taxa may have."""
    ranks = LEVELS[1:]
    return frozenset({*ANSWER, *ranks, *(f"{rank}_probability" for rank in ranks)})
