"""What is filled in when a person is asked: what stands of each event before anybody decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import EVENT_LABELS, Catalog
from trapline.observations import gather, leave_to_detector
from trapline.prediction import Predictions, pool_events
from trapline.review.decision import Suggestion
from trapline.review.names import UNTOLD
from trapline.taxonomy import BLANK, plain

if TYPE_CHECKING:
    from trapline.observations import Sources
    from trapline.review.events import Events
    from trapline.taxonomy import Taxonomy

MOST_LIKELY = 8
"""Labels that are offered before a letter is typed."""


@dataclass(frozen=True, eq=False)
class Suggestions:
    """An answer for each of E events, and how probable each label is where a model says it.

    Attributes:
        answers: of each event; None where nobody says anything.
        labels: K, of the columns below.
        probabilities: float32 [E, K], NaN where the model said nothing; None without a model.
    """

    answers: list[Suggestion | None]
    labels: tuple[str, ...] = ()
    probabilities: npt.NDArray[np.float32] | None = None

    def likely(self, index: int) -> list[tuple[str, float]]:
        """The most probable labels of an event by the model, and their probabilities."""
        if self.probabilities is None:
            return []
        numbers = self.probabilities[index]
        best = np.argsort(-np.nan_to_num(numbers, nan=-1.0), kind="stable")[:MOST_LIKELY]
        return [(self.labels[at], float(numbers[at])) for at in best if numbers[at] > 0]


def suggest(
    catalog: Catalog, events: Events, predictions: Predictions | None, taxonomy: Taxonomy | None = None
) -> Suggestions:
    """What stands of each event: people's labels, else a model's answer, else the detector's.

    A model's answers about photos or boxes are pooled over the event, as `trapline pool` does it. Beside them
    stand people and vehicles that the detector sees and the model was not asked about.

    Args:
        catalog: the media.
        events: of it.
        predictions: of these media, boxes or events, or of some of them; None without.
        taxonomy: what the labels are.

    Raises:
        DataError: the predictions are not of this catalog.
    """
    pooled = None if predictions is None else _pooled(predictions, catalog)
    if pooled is None and not _speaks(catalog):
        return Suggestions([None] * len(events))
    sources = gather(pooled, catalog, taxonomy=taxonomy)
    standing = sources.observe().per_media(catalog)
    if predictions is not None and predictions.level == "box":
        of_boxes = gather(predictions, catalog, taxonomy=taxonomy).observe().per_media(catalog)
        standing = pl.concat([standing, of_boxes.filter(_BY_DETECTOR)])
    rows = catalog.table.select("media_id").with_row_index("_row_of")
    standing = standing.join(rows, on="media_id", how="left", maintain_order="left")
    answers = _answers(standing, events, sources)
    if pooled is None:
        return Suggestions(answers)
    return Suggestions(answers, pooled.labels, _by_event(pooled, catalog, events))


def suggest_learnt(
    catalog: Catalog, events: Events, answers: Predictions, taxonomy: Taxonomy | None = None
) -> Suggestions:
    """What a model that was taught here fills in; as `card` does it, the detector says where nothing is.

    Args:
        catalog: the media.
        events: of it.
        answers: of the model, one row a media.
        taxonomy: what the labels are.
    """
    pooled = leave_to_detector(pool_events(answers, catalog, blanks="event"), catalog)
    return suggest(catalog, events, pooled, taxonomy)


def _speaks(catalog: Catalog) -> bool:
    columns = [name for name in ("labels", EVENT_LABELS, "boxes") if name in catalog.table.columns]
    return any(catalog.table[name].null_count() < len(catalog) for name in columns)


def _pooled(predictions: Predictions, catalog: Catalog) -> Predictions:
    if predictions.level == "event" or predictions.facts.pooled is not None:
        return predictions
    if predictions.level == "box":
        return pool_events(predictions, catalog, rows="event")
    return pool_events(predictions, catalog, blanks="event")


def _by_event(pooled: Predictions, catalog: Catalog, events: Events) -> npt.NDArray[np.float32]:
    """float32 [E, K] of answers for events: of media that differ, that of the one least surely blank."""
    numbers = pooled.probabilities().astype(np.float32)
    known = pooled.table.select("event_id", "media_id").with_row_index("_at")
    known = known.filter(pl.Series(~np.isnan(numbers).all(axis=1)))
    if BLANK in pooled.labels:
        blank = pooled.table[BLANK].gather(known["_at"])
        known = known.sort(blank, descending=True, maintain_order=True)  # the last one of an event stays
    rows = catalog.table.select("event_id", "media_id").with_row_index("_row")
    matrix = np.full((len(events), len(pooled.labels)), np.nan, np.float32)
    of_media = known.filter(pl.col("media_id").is_not_null())
    of_events = known.filter(pl.col("media_id").is_null())
    for key, some in (("media_id", of_media), ("event_id", of_events)):
        pairs = rows.join(some, on=key, how="inner", maintain_order="right")
        matrix[events.of_row[pairs["_row"].to_numpy()]] = numbers[pairs["_at"].to_numpy()]
    return matrix


_BY_DETECTOR = pl.col("observer").str.starts_with("detector")


def _answers(standing: pl.DataFrame, events: Events, sources: Sources) -> list[Suggestion | None]:
    """Of each event what the observer of highest standing says of its media; blank where nothing else is."""
    kinds = {name: sources.kind(name) for name in standing["label"].drop_nulls().unique()}
    named = {name: BLANK if kind == "blank" else name for name, kind in kinds.items()}
    beside = [name for name, kind in kinds.items() if kind in ("human", "vehicle")]
    asked = pl.col("observer").str.starts_with("model") | (_BY_DETECTOR & pl.col("label").is_in(beside))
    human = pl.col("observer").str.starts_with("human")
    spoken = standing.drop_nulls("label").select(
        pl.Series("_event", events.of_row)[standing.drop_nulls("label")["_row_of"]].alias("_event"),
        pl.col("label").replace_strict(named, return_dtype=pl.String).alias("label"),
        "observer",
        "probability",
        pl.when(human).then(0).when(asked).then(1).otherwise(2).alias("_rank"),
    )
    best = spoken.filter(pl.col("_rank") == pl.col("_rank").min().over("_event"))
    each = best.group_by("_event", "label", maintain_order=True).agg(
        pl.col("observer").first(),
        pl.when(pl.col("label").first() == BLANK)  # as surely as of the photo that is least surely blank
        .then(pl.col("probability").min())
        .otherwise(pl.col("probability").max())
        .alias("probability"),
    )
    several = (pl.col("label") != BLANK).any().over("_event")
    each = each.filter((pl.col("label") != BLANK) | ~several)
    untold = [name for name in kinds if plain(name) in UNTOLD]  # of a box that may be a person or an animal
    each = each.filter(~(_BY_DETECTOR & pl.col("label").is_in(untold)))
    each = each.sort("_event", "probability", descending=[False, True], nulls_last=True, maintain_order=True)
    whole = each.group_by("_event", maintain_order=True).agg(
        pl.col("observer").first(), "label", pl.col("probability").first()
    )
    answers: list[Suggestion | None] = [None] * len(events)
    for event, observer, labels, probability in whole.iter_rows():
        answers[event] = Suggestion(observer, tuple(labels), probability)
    return answers
