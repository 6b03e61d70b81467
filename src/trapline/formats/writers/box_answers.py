"""What stands of each photo: a detector's boxes as predictions that every writer takes, and the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from trapline.catalog import Catalog, DetectedBoxes
from trapline.models import blank_column
from trapline.observations import category_name, confidence, gather, is_sure, media_observations
from trapline.prediction import PredictionFacts, Predictions, fixed_columns, probability_columns
from trapline.taxonomy import BLANK

NOT_LOOKED_AT = "no detector was run"


def answers_by_boxes(catalog: Catalog) -> Predictions:
    """A row a media: the category of its surest box, or `blank` where none is sure.

    A box counts from the confidence 0.2 on. A photo is `blank` with what its surest box leaves of 1. These
    are the detector's confidences, no calibrated probabilities.

    Args:
        catalog: with `boxes`; media without (null) fail, and say why where that is known.
    """
    found_by = catalog.facts.boxes
    failures = found_by.failures if isinstance(found_by, DetectedBoxes) else {}
    told = found_by.categories if isinstance(found_by, DetectedBoxes) else ()
    media = catalog.table.select("media_id", "event_id", "file_path", "boxes")
    answers = [_answer(boxes) for boxes in media["boxes"].to_list()]
    labels = tuple(sorted({*map(category_name, told), *(name for name, _ in answers if name), BLANK}))
    numbers = np.zeros((len(answers), len(labels)))
    for row, (name, sure) in enumerate(answers):
        numbers[row] = np.nan if name is None else sure * (np.array(labels) == name)
    good = pl.Series([name is not None for name, _ in answers], dtype=pl.Boolean)
    reasons = [
        None if name is not None else failures.get(media_id, NOT_LOOKED_AT)
        for media_id, (name, _) in zip(media["media_id"], answers, strict=True)
    ]
    fixed = media.drop("boxes").with_columns(
        pl.lit(None, pl.Int64).alias("box"),
        pl.when(good).then(pl.lit("ok")).otherwise(pl.lit("failed")).alias("status"),
        pl.Series("reason", reasons, pl.String),
    )
    table = fixed.select(*fixed_columns("media")).hstack(probability_columns(labels, numbers))
    detector, fingerprint = _detector(found_by)
    facts = PredictionFacts(model_name=detector, kept=1)
    return Predictions(table, labels, "media", fingerprint, "single-label", facts, catalog)


def _answer(boxes: Sequence[Mapping[str, Any]] | None) -> tuple[str | None, float]:
    """A label and how sure the detector is of it; no label where it has not looked."""
    if boxes is None:
        return None, np.nan
    surest = max(boxes, key=confidence, default=None)
    if surest is None or not is_sure(surest):
        return BLANK, 1.0 - (0.0 if surest is None else confidence(surest))
    return category_name(surest["category"]), confidence(surest)


def _detector(found_by: object) -> tuple[str | None, str]:
    """Its name and fingerprint, as far as they are known."""
    if isinstance(found_by, DetectedBoxes):
        return found_by.detector, found_by.fingerprint
    return getattr(found_by, "detector", None), "a detector"


def blanks_by_boxes(predictions: Predictions, catalog: Catalog) -> Predictions:
    """Predictions of a model that cannot say `blank`, with what the detector says of photos without a box.

    Where no box is sure, `blank` has what the surest box leaves of 1, and the model's labels share the rest.

    Args:
        predictions: of media, one label each; those of other models, of taxa, or with the label stay.
        catalog: with `boxes`.
    """
    facts = predictions.facts
    able = blank_column(predictions.labels) is not None or facts.taxonomy is not None
    if able or predictions.task != "single-label" or predictions.level != "media":
        return predictions
    boxes = predictions.table.select("media_id").join(
        catalog.table.select("media_id", "boxes"), on="media_id", how="left", maintain_order="left"
    )["boxes"]
    answers = [_answer(of_media) for of_media in boxes.to_list()]
    blank = np.array([sure if name == BLANK else 0.0 for name, sure in answers])
    numbers = np.column_stack([predictions.probabilities() * (1 - blank)[:, None], blank])
    numbers[(predictions.table["status"] != "ok").to_numpy()] = np.nan
    labels = (*predictions.labels, BLANK)
    table = predictions.table.select(*fixed_columns("media")).hstack(probability_columns(labels, numbers))
    return replace(predictions, table=table, labels=labels)


def answer_rows(predictions: Predictions, catalog: Catalog, threshold: float | None = None) -> pl.DataFrame:
    """What is said of each media, as the formats have it: a row a media and answer.

    Args:
        predictions: as of `write`.
        catalog: that was predicted.
        threshold: labels below this probability are no answers.

    Returns:
        `media_id`, `label` (null where there is no answer), `kind` (of `trapline.taxonomy.KINDS`),
        `probability` (of the answer, or of the most probable label) and `reason` (why there is none).

    Raises:
        DataError: the predictions are not of this catalog.
    """
    sources = gather(predictions, catalog)
    rows: list[tuple[str, str | None, str | None, float | None, str | None]] = []
    for entry in media_observations(sources.observe(threshold), catalog, sources.kind):
        media_id = entry.media["media_id"]
        answers = {answer.label: answer for what in entry.shown for answer in what.answers}
        rows += [(media_id, name, sources.kind(name), one.probability, None) for name, one in answers.items()]
        if not answers:
            ranked = [one.probability for what in entry.shown for one in what.ranked if one.probability]
            failure = next((what.failure for what in entry.shown if what.failure is not None), None)
            rows.append((media_id, None, None, max(ranked, default=None), failure))
    return pl.DataFrame(rows, schema=_ANSWER_ROWS, orient="row")


_ANSWER_ROWS = {
    "media_id": pl.String(),
    "label": pl.String(),
    "kind": pl.String(),
    "probability": pl.Float64(),
    "reason": pl.String(),
}
