"""What a model that was just taught says of all photos of a project, and how good that is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, event_key, label_events
from trapline.metrics import fit_temperature, log_loss
from trapline.models import NO_PROBABILITY, ModelFile, answer_embeddings
from trapline.prediction import FIXED, Predictions, facts_of_card, probability_columns
from trapline.review.audit import Audit
from trapline.review.embedding import KNOWN, WAITING, Embeddings
from trapline.review.events import Events
from trapline.review.lesson import ENOUGH_TO_CALIBRATE, JUDGE
from trapline.review.log import DecisionLog
from trapline.review.matching import match_media, named_here
from trapline.review.standing import MEDIA
from trapline.review.suggestions import suggest_learnt
from trapline.taxonomy import Taxonomy

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

NOT_YET = "the review had not read this photo yet"
_FOLDS = 5
_FEWEST = 5
"""Events below which a log loss says nothing."""


def answer_media(model: ModelFile, embeddings: Embeddings, catalog: Catalog) -> Predictions:
    """The model's answer to each media of a project, as `trapline predict` gives it; from its embedding.

    Args:
        model: whose embedding these are.
        embeddings: of the media of the catalog, as far as they are known.
        catalog: of the project.
    """
    states, words = np.array(embeddings.states), embeddings.words()
    vectors = np.where(states[:, None] == KNOWN, embeddings.vectors, np.float32(np.nan))
    probabilities = answer_embeddings(model, vectors).probabilities
    ok = np.asarray(np.isfinite(probabilities).all(axis=1))
    reasons = [
        words.get(row) or (NOT_YET if state == WAITING else NO_PROBABILITY if not good else None)
        for row, (state, good) in enumerate(zip(states.tolist(), ok.tolist(), strict=True))
    ]
    table = catalog.table.select(
        "media_id",
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.Series("status", np.where(ok, "ok", "failed")),
        pl.Series("reason", reasons, pl.String),
        *probability_columns(model.card.labels, probabilities),
    ).cast({name: kind for name, kind in FIXED.items()})  # noqa: C416  polars wants its own dict
    facts = facts_of_card(model.card)
    return Predictions(table, model.card.labels, "media", model.fingerprint, "single-label", facts)


def audit_answers(
    log: DecisionLog, catalog: Catalog, answers: Predictions, taxonomy: Taxonomy | None = None
) -> tuple[float | None, float | None, float | None]:
    """The accuracy of the table with these answers where nobody has decided, and its interval, by the audit.

    The table holds what the page fills in.

    Args:
        log: with or without an open audit.
        catalog: of the project.
        answers: one row a media.
        taxonomy: as of `Audit.estimate`.

    Returns:
        value, low and high; None where no audit says anything.
    """
    audit = Audit.resume(log)
    if audit is None:
        return None, None, None
    events = Events.of(catalog)
    filled = suggest_learnt(catalog, events, answers).answers
    told = {key: one.labels if one else () for key, one in zip(events.keys, filled, strict=True)}
    sizes = catalog.table.select(event_key().alias("event"))["event"].value_counts()
    current = log.current()
    current = named_here(catalog, current, match_media(catalog, current.select(MEDIA).unique()))
    estimate = audit.estimate(told, current, dict(sizes.iter_rows()), taxonomy)
    accuracy = estimate.table.accuracy
    return accuracy.value, accuracy.low, accuracy.high


def judge_events(model: ModelFile, embeddings: Embeddings, catalog: Catalog, taught: Catalog) -> float | None:
    """The log loss of the answers to the events that it was calibrated on, as new events would have it.

    Where there are enough to calibrate on, each fifth of the events is answered with the temperature of the
    others: no event has a part in how sure its own answer is.

    Args:
        model: that was taught.
        embeddings: of the project.
        catalog: of the project.
        taught: of the lesson, with its split.

    Returns:
        None where there are too few.
    """
    shown = label_events(taught.filter(pl.col("split") == JUDGE)).table
    labels = {label: index for index, label in enumerate(model.card.labels)}
    truth = shown.filter(pl.col("labels").list.len() == 1).select(
        "media_id", event_key().alias("event"), pl.col("labels").list.first().alias("label")
    )
    rows = (
        catalog.table.select("media_id")
        .with_row_index("row")
        .join(truth, on="media_id", maintain_order="left")
    )
    rows = rows.filter(pl.Series(embeddings.known[rows["row"].to_numpy()], dtype=pl.Boolean))
    names, first, codes = np.unique(rows["event"].to_numpy(), return_index=True, return_inverse=True)
    if len(names) < _FEWEST:
        return None
    outputs = answer_embeddings(model, np.asarray(embeddings.vectors[rows["row"].to_numpy()]))
    shift = np.array(model.card.calibration.prior_shift or np.zeros(len(labels)))
    pooled = _mean_log_probabilities(outputs.logits + shift, codes)
    of_event = np.array([labels[label] for label in rows["label"].to_list()])[first]
    return cross_fitted_loss(pooled, of_event)


def _mean_log_probabilities(logits: npt.NDArray[np.floating], codes: Rows) -> Floats:
    """[events, labels] of frames: the mean of their log probabilities, as `mean-logit` pools them."""
    logs = logits.astype(np.float64) - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    counts = np.bincount(codes)
    sums = np.stack([np.bincount(codes, column) for column in logs.T], axis=1)
    return np.asarray(sums / counts[:, None])


def cross_fitted_loss(logits: Floats, truth: Rows, seed: int = 0) -> float:
    """The log loss of calibrated logits [N, K], each by the temperature that the other folds ask for."""
    scaled = logits.copy()
    if len(truth) >= ENOUGH_TO_CALIBRATE:
        folds = np.random.default_rng(seed).permutation(len(truth)) % _FOLDS
        for fold in range(_FOLDS):
            inside = folds == fold
            scaled[inside] /= fit_temperature(logits[~inside], truth[~inside])
    logs = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
    return float(log_loss(truth, np.exp(logs)))
