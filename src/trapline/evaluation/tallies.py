"""What is added up over the parts of a long table: all that is needed but the order of the media."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline import metrics
from trapline.catalog import SCHEMA
from trapline.evaluation.breakdown import MISTAKES_KEPT, badness_of
from trapline.evaluation.matching import Matched
from trapline.evaluation.mistakes import Mistake, mistakes_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EXACT = "exact:"
"""Before the name of a sum of what was predicted, where another counts coarser answers as right."""

_BY_ANSWER = ("right", "top", "predicted", "hits", "losses")
_ALIKE = {name: SCHEMA[name] for name in ("location_id", "labels", "split")}


@dataclass
class Tallies:
    """Sums by cell: the media of one location and season.

    Attributes:
        cells: location and season (None where the catalog has none) → the cell's index.
        sums: by name [cells, D] (`metrics.sum_media`), with room for more cells; some twice (`EXACT`).
        counts: what became of the media.
        failures: reason → how many media failed with it.
        patterns: the truth of a media, as bytes → how many media have it.
        names: location → the names of all true labels there.
        confusion: [K, K], for models that say one label.
        coarser: (label, answer) → media whose answer says less and counts as right.
        wrong: media that are not right.
        worst: the first mistakes by badness, with it; of equals the first.
        alike: of all rows that the truth has, judged or not, how many (`rows`) have the same `location_id`,
            `labels` and `split`.
    """

    cells: dict[tuple[str | None, str | None], int] = field(default_factory=dict)
    sums: dict[str, Floats] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    patterns: Counter[bytes] = field(default_factory=Counter)
    names: defaultdict[str | None, set[str]] = field(default_factory=lambda: defaultdict(set))
    confusion: Ints | None = None
    coarser: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: int = 0
    worst: list[tuple[float, Mistake]] = field(default_factory=list)
    alike: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={**_ALIKE, "rows": pl.Int64}))

    def count_alike(self, truth: pl.DataFrame) -> None:
        """Count the rows of one part, a row a thing predicted."""
        own = truth.select(*_ALIKE, rows=pl.lit(1, pl.Int64))
        self.alike = pl.concat([self.alike, own]).group_by(*_ALIKE).agg(pl.col("rows").sum())

    def add(self, matched: Matched) -> None:
        """Count one part."""
        self.counts.update(matched.counts.model_dump())
        self.failures.update(matched.failures)
        if not matched.media.height:
            return
        if matched.coarse is not None:
            self.coarser.update(matched.coarse.answers)
        self._add_sums(matched)
        self._add_truth(matched)
        self._add_mistakes(matched)

    def _add_sums(self, matched: Matched) -> None:
        season = (
            pl.col("season").cast(pl.String) if "season" in matched.media.columns else pl.lit(None, pl.String)
        )
        keys = matched.media.select("location_id", season.alias("season"))
        own = keys.unique(maintain_order=True)
        indices = [self.cells.setdefault((row[0], row[1]), len(self.cells)) for row in own.iter_rows()]
        of_row = keys.join(
            own.with_row_index("cell"), on=keys.columns, how="left", nulls_equal=True, maintain_order="left"
        )["cell"].to_numpy()
        added = metrics.sum_media(matched.truth, matched.probabilities, of_row, len(own), blank=matched.blank)
        if matched.coarse is not None:
            answered = metrics.sum_media(
                matched.truth, matched.answered, of_row, len(own), blank=matched.blank
            )
            added |= {f"{EXACT}{name}": answered[name] for name in _BY_ANSWER if name in answered}
        for name, values in added.items():
            there = self.sums.get(name, np.zeros((0, values.shape[1])))
            if len(there) < len(self.cells):
                there = np.vstack([there, np.zeros((2 * len(self.cells) - len(there), values.shape[1]))])
            there[indices] += values
            self.sums[name] = there

    def _add_truth(self, matched: Matched) -> None:
        truth = matched.truth[:, None] if matched.truth.ndim == 1 else matched.truth.astype(np.uint8)
        rows, counts = np.unique(truth, axis=0, return_counts=True)
        self.patterns.update({row.tobytes(): count for row, count in zip(rows, counts.tolist(), strict=True)})
        named = matched.media.select("location_id", "labels").explode("labels").unique()
        for location, label in named.iter_rows():
            self.names[location].add(label)
        if matched.truth.ndim == 1:
            table = metrics.confusion_matrix(matched.truth, matched.answered)
            self.confusion = table if self.confusion is None else self.confusion + table

    def _add_mistakes(self, matched: Matched) -> None:
        wrong, badness = badness_of(matched)
        self.wrong += len(wrong)
        least = self.worst[-1][0] if len(self.worst) == MISTAKES_KEPT else -np.inf
        wrong = wrong[badness[wrong] > least]
        worst = wrong[np.argsort(-badness[wrong], kind="stable")][:MISTAKES_KEPT]
        self.worst += zip(badness[worst].tolist(), mistakes_at(matched, worst), strict=True)
        self.worst = sorted(self.worst, key=lambda one: -one[0])[:MISTAKES_KEPT]
