"""Truth and predictions brought together by `media_id` and by label name; nothing is dropped unsaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.typing import ArrayLike

from trapline import metrics
from trapline.catalog import EVENT_LABELS, Catalog
from trapline.errors import DataError, many, name_some
from trapline.evaluation.coarser import Accepted, CoarserLabels, accept_coarser, tree_of, with_exact
from trapline.evaluation.intervals import Resampling
from trapline.evaluation.result_part import ResultPart
from trapline.metrics import Task, Weights
from trapline.models import Interval
from trapline.prediction import Predictions
from trapline.taxonomy import BLANK, Taxonomy

UnknownLabels = Literal["error", "wrong", "leave-out"]
SeveralLabels = Literal["error", "leave-out"]
Floats = npt.NDArray[np.float64]


class Counts(ResultPart):
    """What became of every media and every prediction.

    Attributes:
        media: in the part of the catalog that was asked for.
        evaluated: of those, the ones behind the figures.
        unlabelled: whose truth is not known.
        failed: that have a truth, but no probabilities: the image could not be read.
        unpredicted: that have a truth, but no row in the predictions (only if that was allowed).
        unknown_label: left out because the model does not know their label (only if that was asked for).
        coarse: left out of all figures but those by rank, because their label stops above the classes of a
            model of taxa.
        outside: left out because their label lies outside the one node that the model decides.
        several_labels: left out because a single-label model cannot say two labels (only if asked for).
        coarser: of the evaluated, those whose answer is right and says less than their label.
        predictions_elsewhere: predictions for media of other parts of the catalog.
        predictions_unmatched: predictions for media that are not in the catalog (only if that was allowed).
        locations: known ones among the evaluated media.
        without_location: evaluated media of no known location.
    """

    media: int
    evaluated: int
    unlabelled: int
    failed: int
    unpredicted: int
    unknown_label: int
    several_labels: int
    coarse: int = 0
    outside: int = 0
    coarser: int = 0
    predictions_elsewhere: int
    predictions_unmatched: int
    locations: int
    without_location: int


@dataclass(frozen=True)
class JudgedMedia:
    """What is known of judged media as a whole.

    Attributes:
        counts: what became of every media.
        labels: the model's, then any that it does not know.
        unknown: these.
        present: the columns of labels that some media has.
        kept: how many labels of each media are told of, where the surest only are.
    """

    counts: Counts
    labels: tuple[str, ...]
    unknown: tuple[str, ...]
    present: frozenset[int]
    kept: int | None


@dataclass(frozen=True)
class Matched:
    """Media with a truth and probabilities.

    Attributes:
        media: their rows of the catalog, in its order.
        truth: int [N], or 0/1 [N, K] for a multi-label model.
        probabilities: float64 [N, K].
        labels: the K label names: the model's, then any that it does not know.
        unknown: the labels that were added because the model does not know them.
        failures: reason -> how many media failed with it.
        counts: what became of the rest.
        exclusive: a model of several labels answers by a softmax all the same.
        kept: how many labels of each media are told of, where the surest only are.
        rows: [N], the row of each media in the predictions.
        coarse: which answers are right and say less than the label, where some can: `probabilities` have
            theirs at the label then.
    """

    media: pl.DataFrame
    truth: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    unknown: tuple[str, ...]
    failures: dict[str, int]
    counts: Counts
    exclusive: bool = False
    kept: int | None = None
    rows: npt.NDArray[np.int64] | None = None
    coarse: Accepted | None = None

    @property
    def answered(self) -> npt.NDArray[np.float64]:
        """[N, K]: as they were predicted, whatever counts as right."""
        return self.probabilities if self.coarse is None else self.coarse.answered

    @property
    def judged(self) -> JudgedMedia:
        """What a reader must be told of them."""
        present = set(self.truth) if self.truth.ndim == 1 else np.flatnonzero(self.truth.any(axis=0))
        return JudgedMedia(self.counts, self.labels, self.unknown, frozenset(map(int, present)), self.kept)

    @property
    def blank(self) -> int | None:
        """The column of `blank`, which a model that can say several labels says alone; None without one."""
        several = self.truth.ndim == 2 and BLANK in self.labels
        return self.labels.index(BLANK) if several else None

    def filter(self, kept: pl.Series) -> Matched:
        """Some of the media; `counts` stay those of all."""
        rows = kept.to_numpy()
        return replace(
            self,
            media=self.media.filter(kept),
            truth=self.truth[rows],
            probabilities=self.probabilities[rows],
            coarse=None if self.coarse is None else self.coarse.at(rows),
        )

    def measure(
        self, resampling: Resampling, rows: npt.NDArray[np.bool_] | None = None
    ) -> dict[str, Interval]:
        """Every figure that fits, with intervals; of the media of some rows only, if these are given."""
        chosen = slice(None) if rows is None else rows
        own = resampling if rows is None else resampling.at(rows)
        return own.measure(self.truth[chosen], self.probabilities[chosen], self._figures(chosen))

    def _figures(self, chosen: slice | npt.NDArray[np.bool_]) -> metrics.MetricsFunction:
        """The exact figures among those of some rows, where coarser answers count as right."""
        figures = partial(metrics.measure, blank=self.blank, exclusive=self.exclusive, kept=self.kept)
        if self.coarse is None or not self.coarse.media:
            return figures
        answered = self.coarse.answered[chosen]

        def both(truth: ArrayLike, probabilities: ArrayLike, weights: Weights) -> dict[str, Floats]:
            return with_exact(figures(truth, probabilities, weights), figures(truth, answered, weights))

        return both


def match(
    catalog: Catalog,
    predictions: Predictions,
    *,
    part: str | None = None,
    unknown_labels: UnknownLabels = "error",
    several_labels: SeveralLabels = "error",
    allow_unmatched: bool = False,
    taxonomy: Taxonomy | None = None,
) -> Matched:
    """Join the truth of a catalog and the predictions of a model.

    Args:
        catalog: the truth.
        predictions: one row a media.
        part: the part of the split to look at; None for all media.
        unknown_labels: a true label the model does not know is an `error`, counts as `wrong` (it is added to
            the labels with probability 0), or its media are left out and counted.
        several_labels: the same choice for media with several labels and a single-label model.
        allow_unmatched: go on, and count, where labelled media have no prediction or predictions no media.
        taxonomy: by which an answer that says less than the label is right (see
            `trapline.evaluation.coarser`); None for the tree of a model of taxa.

    Raises:
        DataError: what cannot be joined, with the first few ids.
    """
    matched = join_truth(
        catalog,
        predictions,
        part=part,
        unknown_labels=unknown_labels,
        several_labels=several_labels,
        allow_unmatched=allow_unmatched,
        taxonomy=taxonomy,
    )
    refuse_nothing(matched.counts, catalog if part is None else catalog.part(part))
    return matched


def join_truth(
    catalog: Catalog,
    predictions: Predictions,
    *,
    part: str | None = None,
    unknown_labels: UnknownLabels = "error",
    several_labels: SeveralLabels = "error",
    allow_unmatched: bool = False,
    unknown: tuple[str, ...] | None = None,
    taxonomy: Taxonomy | None = None,
    less: CoarserLabels | None = None,
) -> Matched:
    """`match` where there may be nothing to judge, as in a part of a long table.

    Args:
        catalog: as of `match`, likewise the others.
        predictions: see there.
        part: see there.
        unknown_labels: see there.
        several_labels: see there.
        allow_unmatched: see there.
        unknown: the labels to be added that the model does not know; None for those of these media.
        taxonomy: as of `match`.
        less: which labels say less, where it is known already; None to find it by the taxonomy.
    """
    if predictions.level != "media":
        raise DataError(f"Predictions a {predictions.level} cannot be judged: they must be one row a media.")
    chosen = catalog if part is None else catalog.filter(pl.col("split") == part)
    rows = predictions.table.select("media_id", "status", "reason").with_row_index("prediction")
    _refuse_duplicates(rows)
    skipped = int((rows["status"] == "skipped").sum())
    rows = rows.filter(pl.col("status") != "skipped")
    elsewhere, unmatched = _strangers(catalog, chosen, rows)
    if unmatched and not allow_unmatched:
        raise DataError(
            f"{many(len(unmatched), 'prediction is')} for media that are not in the catalog: "
            f"{_some(unmatched)}. Judge them with the catalog they were made from, or allow unmatched media "
            "(--allow-unmatched). Where photos were renamed or moved in between, `trapline catalog "
            "PREDICTED.parquet --labels LABELLED.parquet -o truth.parquet` puts the labels on those that "
            "were predicted, by content; judge with that."
        )
    known = chosen.table.filter(pl.col("labels").is_not_null())
    labelled = _inside_the_node(known, predictions)
    joined = labelled.join(rows, on="media_id", how="left", maintain_order="left")
    unpredicted = joined.filter(pl.col("prediction").is_null())["media_id"].to_list()
    if unpredicted and not allow_unmatched:
        raise DataError(
            f"{len(unpredicted)} of {labelled.height} labelled media have no prediction: "
            f"{_some(unpredicted)}. {_describe_skipped(skipped)}Predict them too, name the part that was "
            "predicted (--part), or allow unmatched media (--allow-unmatched)."
        )
    joined = joined.filter(pl.col("prediction").is_not_null())
    failed = joined.filter(pl.col("status") == "failed")
    joined = joined.filter(pl.col("status") != "failed")
    joined, left_several = _one_label_each(joined, predictions.task, several_labels)
    joined, coarse = _as_classes(joined, predictions)
    if less is None:
        less = CoarserLabels(tree_of(predictions.facts, taxonomy), predictions.labels)
    joined, added, left_unknown = _known_labels(joined, predictions, unknown_labels, less)
    if unknown is not None:
        added = unknown
    labels = (*predictions.labels, *added)
    truth = metrics.encode_truth(joined["labels"].to_list(), labels, predictions.task)
    values = _probabilities(predictions, joined, len(added))
    table = less.of(labels) if joined.height else None
    coarser = None if table is None else accept_coarser(truth, values, labels, table)
    counts = Counts(
        media=len(chosen),
        evaluated=joined.height,
        unlabelled=len(chosen) - known.height,
        failed=failed.height,
        unpredicted=len(unpredicted),
        unknown_label=left_unknown,
        several_labels=left_several,
        coarse=coarse,
        outside=known.height - labelled.height,
        coarser=0 if coarser is None else coarser.media,
        predictions_elsewhere=elsewhere,
        predictions_unmatched=len(unmatched),
        locations=joined["location_id"].drop_nulls().n_unique(),
        without_location=joined["location_id"].null_count(),
    )
    failures = failed.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return Matched(
        media=joined.drop("prediction", "status", "reason"),
        truth=truth,
        probabilities=values if coarser is None else coarser.probabilities,
        labels=labels,
        unknown=added,
        failures=dict(failures.iter_rows()),
        counts=counts,
        exclusive=predictions.facts.exclusive,
        kept=predictions.facts.kept,
        rows=joined["prediction"].cast(pl.Int64).to_numpy(),
        coarse=coarser,
    )


def refuse_nothing(counts: Counts, chosen: Catalog) -> None:
    """Refuse where no media are left to judge, and say why none are.

    Args:
        counts: what became of them.
        chosen: the media.

    Raises:
        DataError: so it is.
    """
    if counts.evaluated:
        return
    left_out = counts.several_labels + counts.unknown_label + counts.coarse
    raise DataError(
        f"No media are left to judge: of {counts.media} media, {counts.unlabelled} have no label, "
        f"{counts.outside} one outside what the model decides, {counts.failed} failed, "
        f"{counts.unpredicted} have no prediction and {left_out} were left "
        f"out.{_describe_events(chosen)}"
    )


def _describe_skipped(skipped: int) -> str:
    """For people: of how many media the model is not listened to, if of any."""
    return f"Of {skipped} the detector's word stands, which is not judged here. " if skipped else ""


def _describe_events(catalog: Catalog) -> str:
    """For people: that the labels of events are known, where they are."""
    if EVENT_LABELS not in catalog.table.columns:
        return ""
    events = catalog.table.filter(pl.col(EVENT_LABELS).is_not_null())["event_id"].n_unique()
    if not events:
        return ""
    return (
        f" What {many(events, 'event')} show is known, and of none of their media which of them shows it: "
        "judge the answers for events (`trapline pool … --rows event`)."
    )


def _some(ids: Sequence[str]) -> str:
    return name_some([repr(one) for one in ids])


def _has_one_of(labels: Sequence[str]) -> pl.Expr:
    return pl.col("labels").list.eval(pl.element().is_in(labels)).list.any()


def _refuse_duplicates(rows: pl.DataFrame) -> None:
    doubled = (
        rows.filter(pl.col("media_id").is_duplicated())["media_id"].unique(maintain_order=True).to_list()
    )
    if doubled:
        raise DataError(
            f"{many(len(doubled), 'media has')} more than one row in the predictions: {_some(doubled)}."
        )


def _strangers(catalog: Catalog, chosen: Catalog, rows: pl.DataFrame) -> tuple[int, list[str]]:
    """How many predictions are for other parts of the catalog; the ids of those for none of it."""
    outside = rows.join(chosen.table, on="media_id", how="anti")
    unmatched = outside.join(catalog.table, on="media_id", how="anti", maintain_order="left")
    return outside.height - unmatched.height, unmatched["media_id"].to_list()


def _one_label_each(
    joined: pl.DataFrame, task: Task, several_labels: SeveralLabels
) -> tuple[pl.DataFrame, int]:
    several = joined.filter(pl.col("labels").list.len() > 1)["media_id"].to_list()
    if task == "multi-label" or not several:
        return joined, 0
    if several_labels == "error":
        raise DataError(
            f"{many(len(several), 'media has')} more than one label, and the model says one only: "
            f"{_some(several)}. Leave such media out (--several-labels leave-out), or use a multi-label "
            "model."
        )
    return joined.filter(pl.col("labels").list.len() == 1), len(several)


def _inside_the_node(labelled: pl.DataFrame, predictions: Predictions) -> pl.DataFrame:
    """Without media of labels outside the one node of the tree that the model decides."""
    tree = predictions.facts.taxonomy
    outside = () if tree is None else tree.outside
    if not outside:
        return labelled
    return labelled.filter(~_has_one_of(outside))


def _as_classes(joined: pl.DataFrame, predictions: Predictions) -> tuple[pl.DataFrame, int]:
    """Of a model of taxa: labels as its classes, by name; media whose label stops above them are left out."""
    tree = predictions.facts.taxonomy
    classes = None if tree is None else tree.classes
    if not classes:
        return joined, 0
    coarse = [label for label, name in classes.items() if name is None]
    kept = joined.filter(~_has_one_of(coarse))
    named = {label: name for label, name in classes.items() if name is not None}
    renamed = pl.col("labels").list.eval(pl.element().replace(named))
    return kept.with_columns(renamed), joined.height - kept.height


def _known_labels(
    joined: pl.DataFrame, predictions: Predictions, unknown_labels: UnknownLabels, less: CoarserLabels
) -> tuple[pl.DataFrame, tuple[str, ...], int]:
    """The media that stay, the labels to be added, and how many media were left out.

    A label that the model does not know can be judged where one that it knows says less of the same.
    """
    known = set(predictions.labels)
    if predictions.task == "multi-label":
        known.add(BLANK)  # without a label of its own, blank is the absence of all the others
    labels = joined["labels"].explode().drop_nulls().unique().to_list()
    unknown = tuple(sorted(set(labels) - known))
    if not unknown or unknown_labels == "wrong":
        return joined, unknown, 0
    table = less.of((*predictions.labels, *unknown))
    covered = (
        ()
        if table is None
        else tuple(one for one, row in zip(unknown, table[-len(unknown) :], strict=True) if row.any())
    )
    unknown = tuple(label for label in unknown if label not in covered)
    if not unknown:
        return joined, covered, 0
    concerned = _has_one_of(unknown)
    if unknown_labels == "error":
        raise DataError(
            f"{many(joined.filter(concerned).height, 'media has')} a label that the model does not know: "
            f"{_some(unknown)}. The model knows {', '.join(predictions.labels)}. Correct the spelling in the "
            "catalog, count such media as wrong (--unknown-labels wrong), leave them out (--unknown-labels "
            "leave-out), or say what they are (--taxonomy): an answer that says less of the same is right."
        )
    kept = joined.filter(~concerned)
    return kept, covered, joined.height - kept.height


def _probabilities(predictions: Predictions, joined: pl.DataFrame, added: int) -> npt.NDArray[np.float64]:
    values = predictions.probabilities()[joined["prediction"].to_numpy()]
    off = ~np.isfinite(values).all(axis=1) | (values < 0).any(axis=1) | (values > 1 + 1e-6).any(axis=1)
    if predictions.task == "single-label":
        total = values.sum(axis=1)
        off |= (total > 1 + 1e-3) | ((total < 1 - 1e-3) & (predictions.facts.kept is None))
    if off.any():
        ids = joined["media_id"].filter(pl.Series(off)).to_list()
        raise DataError(
            f"{many(len(ids), 'prediction is')} 'ok', but their probabilities are missing, outside 0..1 or "
            f"do not sum to 1: {_some(ids)}."
        )
    return np.hstack([values.clip(0, 1), np.zeros((len(values), added))])
