"""A threshold for each label of a model, or each rank: by hand, as `evaluate` chose them, or of its card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl

from trapline.errors import DataError, UsageError, name_some
from trapline.models import Card, ChosenLabels
from trapline.prediction import Predictions, facts_of_card, facts_of_pooled
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
        of_model: the model's own, which what a user says stands above.
    """

    labels: Mapping[str, float]
    ranks: Mapping[str, float] | None = None
    source: str = "as given"
    of_model: bool = False

    def of(self, labels: Sequence[str], usual: float) -> list[float]:
        """One a label, in order; of labels that are not named the usual one."""
        return [self.labels.get(label, usual) for label in labels]

    def describe(self) -> str:
        """For people: what they are, and which labels or ranks are no answers."""
        own = self.labels if self.ranks is None else self.ranks
        never = [name for name, value in own.items() if value == _NEVER and not self.of_model]
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
    rows = _read(path)
    _refuse_others(path, rows, predictions)
    ranks = _chosen(path, rows.filter(pl.col("of") == "rank"))
    own = _of_labels(path, rows, predictions.labels)
    told = "" if "made_by" in rows.columns else " (which does not say how its answers were made)"
    source = f"as chosen in {path.name}{told}"
    return LabelThresholds(own, ranks if ranks and predictions.facts.taxonomy is not None else None, source)


def own_thresholds(predictions: Predictions) -> LabelThresholds | None:
    """Those of the model's card; None where it has none, or has them of answers that were made otherwise."""
    chosen = predictions.facts.chosen_labels
    if chosen is None or (chosen.level, chosen.made_by) != (predictions.level, predictions.facts.made_by):
        return None
    labels = {label: predictions.facts.thresholds.get(label, _NEVER) for label in predictions.labels}
    return LabelThresholds(labels, None, f"as the model has them, {chosen.describe()}", of_model=True)


def describe_thresholds(chosen: LabelThresholds | None, predictions: Predictions | None) -> list[str]:
    """For people: which thresholds answers pass; that those of the model say nothing of them."""
    if chosen is not None:
        return [chosen.describe()]
    own = None if predictions is None else predictions.facts.chosen_labels
    if own is None:
        return []
    return [f"the model's thresholds are {own.describe()}; these answers were made otherwise, and pass none"]


def with_thresholds(card: Card, fingerprint: str, path: Path) -> Card:
    """The card of a model with the thresholds that `evaluate --thresholds` chose for its labels.

    Args:
        card: of a classifier.
        fingerprint: of its file.
        path: the table.

    Raises:
        UsageError: a backbone, or a model of taxa.
        DataError: as of `thresholds_for`; or probabilities that are not the model's own.
    """
    if card.task == "features":
        raise UsageError("A backbone has no labels that could have thresholds.")
    if card.taxonomy:
        raise UsageError(
            "A model of taxa has the thresholds that its training promised (`trapline predict --promise` "
            "takes others of these). Give the table to `trapline write --thresholds`."
        )
    rows = _read(path)
    _refuse_model(path, rows, fingerprint)
    labels, level = _of_labels(path, rows, card.labels), rows["level"][0]
    if level not in get_args(ChosenLabels.model_fields["level"].annotation):
        raise DataError(f"{path}: answers are of the level media, event or box, not '{level}'.")
    made_by = rows["made_by"][0] if "made_by" in rows.columns else None
    pooled = level in ("media", "event") and made_by == facts_of_pooled(card, level).made_by
    answers_so = level != "event" or card.batch == "event"
    if not pooled and not (answers_so and made_by == facts_of_card(card).made_by):
        raise DataError(
            f"The thresholds of {path} are not of this model's own answers, nor of these as it pools "
            "them: they were calibrated, combined, weighed, shifted or pooled otherwise, or the table is of "
            "an older version. Evaluate what the model predicts."
        )
    own = rows.filter(pl.col("of") == "label")
    chosen = ChosenLabels(
        level=level,
        made_by=made_by,
        pooled=pooled,
        wanted={} if "wanted" not in rows.columns else dict(own.select("name", "wanted").drop_nulls().rows()),
        promised=tuple(own.filter(pl.col("chosen") == "promised")["name"]),
        never=tuple(label for label, value in labels.items() if value == _NEVER),
        chosen_on=(rows["chosen_on"][0] or "") if "chosen_on" in rows.columns else "",
    )
    reached = {label: value for label, value in labels.items() if value != _NEVER}
    return card.model_copy(update={"thresholds": reached, "chosen_labels": chosen})


def _read(path: Path) -> pl.DataFrame:
    """The rows of what was chosen."""
    with open_reading(Reading(not_missing=_NAMES, strict=True)):
        rows = read_flat_table(path, _NEEDED).filter(pl.col("chosen").is_not_null())
    if rows.is_empty():
        raise DataError(f"{path} has no chosen threshold: write it with `trapline evaluate … --thresholds`.")
    return rows


def _of_labels(path: Path, rows: pl.DataFrame, labels: Sequence[str]) -> dict[str, float]:
    chosen = _chosen(path, rows.filter(pl.col("of") == "label"))
    missing = [label for label in labels if label not in chosen]
    strange = [name for name, value in chosen.items() if value != _NEVER and name not in labels]
    if missing or strange:
        which = f"lacks the label '{missing[0]}'" if missing else f"has the label '{strange[0]}'"
        raise DataError(f"{path} is of another model: it {which}.")
    return {label: chosen[label] for label in labels}


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
    level = rows["level"][0]
    if level != predictions.level:
        raise DataError(
            f"The thresholds of {path} are for rows of the level {level}, and these are of the level "
            f"{predictions.level}: evaluate this table, and write the thresholds of that."
        )
    _refuse_model(path, rows, predictions.model)
    if "made_by" in rows.columns and rows["made_by"][0] not in (None, predictions.facts.made_by):
        raise DataError(
            f"The thresholds of {path} are of other probabilities of this model: these were calibrated, "
            "pooled, combined, weighed by a list or shifted otherwise. Evaluate this table, and write its "
            "thresholds."
        )


def _refuse_model(path: Path, rows: pl.DataFrame, asked: str) -> None:
    model = rows["model"][0]
    if model != asked:
        raise DataError(
            f"The thresholds of {path} are of the model {str(model)[:12]}…, and this is {asked[:12]}…: "
            "evaluate this one, and write the thresholds of that."
        )


def _chosen(path: Path, rows: pl.DataFrame) -> dict[str, float]:
    """Name → threshold; infinite where there is none."""
    values = rows["threshold"].cast(pl.Float64, strict=False)
    bad = rows.filter(rows["threshold"].is_not_null() & ~values.is_between(0, 1).fill_null(value=False))
    if not bad.is_empty():
        raise DataError(
            f"{path}, line {bad['_line'][0]}: '{bad['threshold'][0]}' is no threshold between 0 and 1."
        )
    twice = rows.filter(rows["name"].is_duplicated())
    if not twice.is_empty():
        lines = f"lines {twice['_line'][0]} and {twice['_line'][1]}"
        raise DataError(f"{path}, {lines}: '{twice['name'][1]}' has two thresholds. Leave one of them.")
    return dict(zip(rows["name"], values.fill_null(_NEVER), strict=True))
