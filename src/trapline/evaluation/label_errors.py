"""Labels that a model contradicts: which, in what order, and how many labels are wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from trapline import metrics
from trapline.catalog import Catalog
from trapline.errors import DataError, many
from trapline.evaluation import words
from trapline.evaluation.breakdown import rows_right
from trapline.evaluation.levels import align_levels, judged_media, rows_with
from trapline.evaluation.matching import Matched, match
from trapline.evaluation.mistakes import Mistake, mistakes_at
from trapline.evaluation.result_part import ResultPart
from trapline.evaluation.training_media import Training, find_leak, find_training, read_told
from trapline.models import Interval
from trapline.prediction import Level, Predictions

SAMPLES = 200
"""Sets of locations left out for the intervals, at most: each counts the joint anew."""


class LabelDoubts(ResultPart):
    """One label.

    Attributes:
        label: its name.
        rows: photos (events, boxes) that have it,
        contradicted: of these, those of which the model says something else.
        instead: what it says most often instead; None where it contradicts none.
        wrong: how many labels are wrong, estimated: of those who have it, or for a model of several labels of
            all (wrongly there or wrongly missing). None where that cannot be estimated.
    """

    label: str
    rows: int
    contradicted: int
    instead: str | None
    wrong: Interval | None


class LabelErrors(ResultPart):
    """Labels that a model, judged on media that it was not trained on, contradicts.

    Attributes:
        model: its name.
        level: what one row is: a media, an event or a box.
        judged: rows with a label and an answer.
        wrong: how many labels are wrong by confident learning, with a 95 % interval over locations. What
            the model itself mistakes with confidence counts too, so that this is mostly too many. None where
            the model tells of its surest labels only.
        by_label: the labels, the most wrong ones first.
        contradicted: all media of which the model says something else, the most doubtful first.
        warnings: what makes these figures worth less, for people.
        notes: what is not in them, and why.
    """

    model: str
    level: Level
    judged: int
    wrong: Interval | None
    by_label: tuple[LabelDoubts, ...]
    contradicted: tuple[Mistake, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_text(self) -> str:
        """How many labels are contradicted, label by label, and what must be known of that."""
        head = f"Of {many(self.judged, 'label')} {self.model} contradicts {len(self.contradicted):,}"
        if self.wrong is not None:
            head += (
                f"; by confident learning {words.rounded(self.wrong)} are wrong, or the model surely mistaken"
            )
        unit = words.UNITS[self.level].many
        rows = [("label", unit, "contradicted", "most often said instead", "wrong, estimated")]
        for one in self.by_label:
            counts = (f"{one.rows:,}", f"{one.contradicted:,}", one.instead or "", words.rounded(one.wrong))
            rows.append((one.label, *counts))
        warnings = [f"WARNING: {warning}" for warning in self.warnings]
        return "\n".join(
            [head, "", *words.columns(rows), *warnings, *(f"Note: {note}" for note in self.notes)]
        )


def find_label_errors(catalog: Catalog, predictions: Predictions, *, seed: int = 42) -> LabelErrors:
    """The labels of a catalog that predictions contradict; see `trapline.metrics.label_doubt`.

    Media that the model was trained on are left out: of these it repeats the labels, right or wrong.

    Args:
        catalog: with the labels; media without one, without an answer, or with a label that the model does
            not know are counted and left out.
        predictions: one row a media, an event or a box.
        seed: of the sets of locations behind the intervals.

    Raises:
        DataError: nothing is left that can be judged.
    """
    training = _find_training(catalog, predictions)
    level, name = predictions.level, predictions.facts.model_name or "the model"
    media = catalog
    catalog, predictions = align_levels(catalog, predictions)
    matched = match(
        catalog, predictions, unknown_labels="leave-out", several_labels="leave-out", allow_unmatched=True
    )
    matched, left_out, warnings = _not_trained_on(matched, media, level, training)
    truth, values = matched.truth, matched.probabilities
    rows = np.flatnonzero(~rows_right(matched))
    order = np.argsort(-metrics.label_doubt(truth, values)[rows], kind="stable")
    contradicted = mistakes_at(matched, rows[order])
    wrong, by_label = _estimate(matched, seed)
    return LabelErrors(
        model=name,
        level=level,
        judged=len(truth),
        wrong=wrong,
        by_label=_by_label(matched, contradicted, by_label),
        contradicted=contradicted,
        warnings=warnings,
        notes=tuple(_notes(matched, left_out, training)),
    )


def _find_training(catalog: Catalog, predictions: Predictions) -> Training:
    """What the predictions tell of their training; nothing is held to be trained on that they do not tell."""
    told = read_told(predictions, catalog)
    if told.same is None and told.held_out_by is None:
        return Training(None)
    return find_training(catalog, None, told)


def _not_trained_on(
    matched: Matched, media: Catalog, level: Level, training: Training
) -> tuple[Matched, int, tuple[str, ...]]:
    """What the model was not trained on, how many rows it was trained on, and what is to be warned of."""
    judged = judged_media(media, level, matched.media["media_id"])
    entangled = find_leak(judged, training)
    if not entangled.media:
        return matched, 0, entangled.leak.findings
    trained_on = judged.filter(pl.col("media_id").is_in(sorted(entangled.media)))
    kept = ~rows_with(trained_on, level, matched.media["media_id"])
    if not kept.any():
        raise DataError(
            "The model was trained on all of these media, and repeats their labels, right or wrong. Take "
            "predictions of media that it was not trained on: `validation.parquet` in the folder of a "
            "training (with --folds it has all media, each judged by a model of other locations)."
        )
    matched = matched.filter(kept)
    rest = find_leak(judged_media(media, level, matched.media["media_id"]), training)
    return matched, int((~kept).sum()), rest.leak.findings


def _estimate(matched: Matched, seed: int) -> tuple[Interval | None, list[Interval | None]]:
    """How many labels are wrong, in all and by label."""
    labels = len(matched.labels)
    if matched.kept is not None:
        return None, [None] * labels
    shares = metrics.estimate_vectors(
        matched.truth,
        matched.probabilities,
        matched.media["location_id"].fill_null("").to_numpy(),
        *(SAMPLES, seed),
        metrics_fn=metrics.wrong_label_shares,
    )
    media = len(matched.truth)
    single = matched.truth.ndim == 1
    sizes = np.bincount(matched.truth, minlength=labels).tolist() if single else [media] * labels
    of_all = _times(Interval.of(shares["of_all"][0]), media if single else media * labels)
    by_label = zip(shares["by_label"], sizes, strict=True)
    return of_all, [_times(Interval.of(share), size) for share, size in by_label]


def _times(share: Interval | None, size: int) -> Interval | None:
    """A share of so many as a number."""
    if share is None:
        return None
    low, high = (None if end is None else end * size for end in (share.low, share.high))
    return Interval(value=share.value * size, low=low, high=high)


def _by_label(
    matched: Matched, contradicted: tuple[Mistake, ...], wrong: list[Interval | None]
) -> tuple[LabelDoubts, ...]:
    has = metrics.mark_labels(matched.truth, len(matched.labels)).sum(axis=0).tolist()
    doubts = []
    for label, rows, estimate in zip(matched.labels, has, wrong, strict=True):
        those = [one for one in contradicted if label in one.truth and label not in one.said]
        others = [name for one in those for name in one.said if name not in one.truth]
        doubts.append(
            LabelDoubts(
                label=label,
                rows=rows,
                contradicted=len(those),
                instead=max(sorted(set(others)), key=others.count, default=None),
                wrong=estimate,
            )
        )
    return tuple(sorted(doubts, key=lambda one: (-one.contradicted, one.label)))


def _notes(matched: Matched, trained_on: int, training: Training) -> Iterator[str]:
    counts = matched.counts
    for number, what in (
        (trained_on, "were trained on: of these a model repeats the labels"),
        (counts.unlabelled, "have no label"),
        (counts.unpredicted, "have no answer"),
        (counts.failed, "could not be read"),
        (counts.unknown_label, "have a label that the model does not know"),
        (counts.coarse, "have a label that stops above the model's classes"),
        (counts.outside, "have a label outside the node that the model decides"),
        (counts.several_labels, "have several labels, and the model says one"),
    ):
        if number:
            yield f"{number} of {counts.media} media {what}, and are not judged."
    if counts.predictions_unmatched:
        yield f"{many(counts.predictions_unmatched, 'prediction is')} for media that are not in the catalog."
    if training.catalog is None and not training.held_out and not training.another_split:
        yield (
            "It is not known on which photos the model was trained. Of those it repeats the labels, so that "
            "what is wrong with them is not seen."
        )
    if matched.kept is not None:
        yield (
            "The model tells of its surest labels only, and the others count as of probability 0: the order "
            "holds, but how many labels are wrong is not estimated."
        )
