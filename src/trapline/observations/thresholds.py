"""A threshold for each label of a model, or for each rank: by hand, or as `evaluate` chose them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.errors import DataError, UsageError, name_some
from trapline.prediction import Predictions
from trapline.tables import MISSING, Reading, open_reading, read_flat_table
from trapline.taxonomy import LEVELS

_NEEDED = ("of", "name", "threshold", "chosen", "level", "model")
_NEVER = math.inf
_NAMES = tuple(f"name={word}" for word in MISSING)
"""A label may be called NA."""


@dataclass(frozen=True)
class LabelThresholds:
    """The least probability of each answer.

    Attributes:
        labels: label → its threshold; infinite where none reaches what was wanted, so that it is no answer.
        ranks: likewise of a model of taxa, whose answers stop at the finest rank that reaches its own; None
            to ask for labels.
        source: who says so, for people.
    """

    labels: Mapping[str, float]
    ranks: Mapping[str, float] | None = None
    source: str = "as given"

    def of(self, labels: Sequence[str], usual: float) -> list[float]:
        """One a label, in order; of labels that are not named the usual one."""
        return [self.labels.get(label, usual) for label in labels]

    def describe(self) -> str:
        """For people: what they are, and which labels or ranks are no answers."""
        own = self.labels if self.ranks is None else self.ranks
        never = [name for name, value in own.items() if value == _NEVER]
        left = (
            f"; no threshold of {name_some(never)} reaches what was wanted: never an answer" if never else ""
        )
        return f"each {'label' if self.ranks is None else 'rank'} has its own threshold, {self.source}{left}"


def thresholds_for(given: Path | str | Mapping[str, float], predictions: Predictions) -> LabelThresholds:
    """What is given for the labels, or the ranks, of predictions.

    Args:
        given: the table that `evaluate --thresholds` wrote, or label (of a model of taxa: or rank) → its
            threshold.
        predictions: whose answers they are for.

    Raises:
        UsageError: a number that is no probability, or a label or rank that there is not.
        DataError: a table of other predictions, or no such table.
    """
    if isinstance(given, Mapping):
        return _by_hand(given, predictions)
    path = Path(given)
    with open_reading(Reading(not_missing=_NAMES, strict=True)):
        table = read_flat_table(path, _NEEDED)
    rows = table.filter(pl.col("chosen").is_not_null())
    if rows.is_empty():
        raise DataError(f"{path} has no chosen threshold: write it with `trapline evaluate … --thresholds`.")
    _refuse_others(path, rows, predictions)
    ranks = _chosen(path, rows.filter(pl.col("of") == "rank"))
    labels = _chosen(path, rows.filter(pl.col("of") == "label"))
    missing = [label for label in predictions.labels if label not in labels]
    strange = [name for name, value in labels.items() if value != _NEVER and name not in predictions.labels]
    if missing or strange:
        which = f"lacks the label '{missing[0]}'" if missing else f"has the label '{strange[0]}'"
        raise DataError(f"{path} is of another model than the predictions: it {which}.")
    own = {label: labels[label] for label in predictions.labels}
    told = "" if "made_by" in table.columns else " (which does not say how its answers were made)"
    source = f"as chosen in {path.name}{told}"
    return LabelThresholds(own, ranks if ranks and predictions.facts.taxonomy is not None else None, source)


def _by_hand(given: Mapping[str, float], predictions: Predictions) -> LabelThresholds:
    of_taxa = predictions.facts.taxonomy is not None
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise UsageError(f"The threshold of '{name}' must be between 0 and 1, not {value:g}.")
        if name not in predictions.labels and not (of_taxa and name in LEVELS):
            raise UsageError(
                f"--thresholds names '{name}', which is no label of the model: "
                f"{', '.join(predictions.labels)}."
            )
    ranks = {name: value for name, value in given.items() if name not in predictions.labels}
    if ranks and len(ranks) < len(given):
        raise UsageError("--thresholds names labels and ranks: answers are of the one or the other.")
    return LabelThresholds({} if ranks else dict(given), ranks or None)


def _refuse_others(path: Path, rows: pl.DataFrame, predictions: Predictions) -> None:
    """A threshold is one of certain answers: of events it is another than of photos."""
    level, model = rows["level"][0], rows["model"][0]
    if level != predictions.level:
        raise DataError(
            f"The thresholds of {path} are for rows of the level {level}, and these are of the level "
            f"{predictions.level}: evaluate this table, and write the thresholds of that."
        )
    if model != predictions.model:
        raise DataError(
            f"The thresholds of {path} are of the model {str(model)[:12]}…, and these predictions of "
            f"{predictions.model[:12]}…: evaluate this one, and write the thresholds of that."
        )
    if "made_by" in rows.columns and rows["made_by"][0] not in (None, predictions.facts.made_by):
        raise DataError(
            f"The thresholds of {path} are of other probabilities of this model: these were calibrated, "
            "pooled, combined, weighed by a list or shifted otherwise. Evaluate this table, and write its "
            "thresholds."
        )


def _chosen(path: Path, rows: pl.DataFrame) -> dict[str, float]:
    """Name → threshold; infinite where there is none."""
    values = rows["threshold"].cast(pl.Float64, strict=False)
    bad = rows.filter(rows["threshold"].is_not_null() & ~values.is_between(0, 1).fill_null(value=False))
    if not bad.is_empty():
        raise DataError(
            f"{path}, line {bad['_line'][0]}: '{bad['threshold'][0]}' is no threshold between 0 and 1."
        )
    return dict(zip(rows["name"], values.fill_null(_NEVER), strict=True))
