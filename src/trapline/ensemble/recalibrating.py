"""Probabilities fitted again to labelled media: of a model at other locations, of one made elsewhere, or of a
table of predictions, as other tools leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog, Groups, event_key, fingerprint, frame_order, label_events, without_held
from trapline.ensemble.learnt import refuse_taxa
from trapline.errors import DataError, UsageError, many
from trapline.metrics import encode_truth, estimate_all, measure
from trapline.models import (
    UNKNOWN_LABEL,
    Asked,
    Calibration,
    Card,
    EventPooling,
    Interval,
    MeasuredAt,
    ModelFile,
    apply_calibration,
    as_intervals,
    at_new_locations,
    batches,
    blank_column,
    change_of,
    count_unknown_labels,
    deal_groups,
    fit_again,
    judgeable,
    read_graph,
    write_model_file,
)
from trapline.prediction import Predictions, apply_pooling, event_form, pooled_logits, probability_columns

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recalibrated:
    """What `recalibrate` made.

    Attributes:
        path: of the new model file, or of the new table.
        calibration: what became of the model's; of a table what was put on top of its probabilities.
        before: metric -> value and interval of the model as it was, on the same media.
        after: likewise of the new one, each group of media calibrated by the other folds.
        change: metric -> after less before, with the interval of the difference, both of the same draws.
        event_change: likewise of events, of a model that pools them.
        measured_on: for people.
        left_out: why -> how many media the figures leave out.
        unknown_labels: of these, label that the model does not know -> media.
        used: how many media are left.
    """

    path: Path
    calibration: Calibration
    before: dict[str, Interval]
    after: dict[str, Interval]
    change: dict[str, Interval]
    event_change: dict[str, Interval]
    measured_on: str
    left_out: dict[str, int]
    unknown_labels: dict[str, int]
    used: int

    def describe_left_out(self) -> list[str]:
        """What the figures leave out, with which labels, for people; nothing where they leave out nothing."""
        whole = self.used + sum(self.left_out.values())
        labels = ", ".join(f"{label} {count:,}" for label, count in self.unknown_labels.items())
        return [
            f"{count:,} of {whole:,} media are left out: {why}"
            + (f" ({labels})" if why == UNKNOWN_LABEL else "")
            for why, count in sorted(self.left_out.items(), key=lambda one: -one[1])
        ]


def recalibrate(
    model: ModelFile, catalog: Catalog, output: Path, *, part: str | None = None, method: Asked = "auto"
) -> Recalibrated:
    """Write the model again with its calibration fitted to labelled media, a few of which are enough.

    What is fitted comes on top of the model's own calibration, so that a few media change little. The new
    file's is fitted on all of the media; the figures of its card are of folds of locations (of one location
    of events, or of days), each calibrated by the others. How a model pools the frames of events stays, and
    what is made of the pooled frames is fitted to the events in the same way.

    Args:
        model: a classifier.
        catalog: labelled.
        output: the new model file; replaced if it exists.
        part: of the split; None for `validation` of a catalog with a split, else for all labelled media.
        method: one `temperature`; an offset for each of the `labels` besides (for several labels a media a
            slope each too); or `auto`, see `trapline.models.fit_again`.

    Raises:
        UsageError: the model is none that can be calibrated so.
        DataError: no media with a label that it knows; no event of two, where it pools events.
    """
    _check(model.card, model.path)
    chosen, part, left_out = _choose(catalog, part)
    media, why = judgeable(chosen, model.card)
    rows, logits = _logits(model, media)
    left_out |= why | ({"unreadable": len(media) - len(rows)} if len(rows) < len(media) else {})
    card = model.card
    judged = _Shown.of(media.with_table(media.table[rows]), card.labels, card.task)
    fits = judged.fit(method, logits, card.calibration)
    on = f"{part or 'labelled media'}: {judged.where}"
    fitted = {"fitted_on": on, "locations": judged.locations}
    calibration = fits.calibration.model_copy(update=fitted)
    measured_on = f"{on}{judged.how}; {_seen(card, catalog)}"
    before, after, change = judged.figures(
        judged.truth, judged.keys, fits.before, fits.after, card.calibration
    )
    event, event_change = _of_events(card, judged, logits, fits, method)
    taken_at = judged.media.table["location_id"].to_list()
    changes = {
        "calibration": calibration,
        "metrics": after,
        "metrics_on": measured_on,
        "measured_at": MeasuredAt.at(taken_at),
        "new_locations": {}
        if _trained_with(card, catalog, part)
        else at_new_locations(
            judged.truth,
            fits.after,
            taken_at,
            blank=blank_column(card.labels),
            exclusive=card.calibration.exclusive,
        ),
        "event": event,
    }
    write_model_file(read_graph(model), card.model_copy(update=changes), output)
    unknown = count_unknown_labels(chosen, card)
    return Recalibrated(
        output, calibration, before, after, change, event_change, measured_on, left_out, unknown, len(rows)
    )


def recalibrate_table(
    predictions: Predictions,
    catalog: Catalog,
    output: Path,
    *,
    part: str | None = None,
    method: Asked = "auto",
) -> Recalibrated:
    """Write a table of predictions again, its probabilities fitted to those of its media that are labelled.

    Every media is answered by a calibration that its own label had no part in: the labelled ones by those of
    the other folds.

    Args:
        predictions: a row a media, with the probability of every label.
        catalog: has labels of some of the media.
        output: the new table.
        part: as of `recalibrate`, likewise `method`.

    Raises:
        UsageError: the table is none that can be calibrated so.
        DataError: none of its media is labelled.
    """
    _check_table(predictions)
    chosen, part, left_out = _choose(catalog, part)
    media, why = judgeable(chosen, predictions)
    good = predictions.table.select("media_id", "status").with_row_index("_row")
    good = good.filter(pl.col("status") == "ok").drop("status")
    their_rows = media.table.join(good, on="media_id", how="inner", maintain_order="left")
    if not their_rows.height:
        raise DataError("None of the labelled media is in the predictions. Give those that were predicted.")
    lacking = len(media) - their_rows.height
    left_out |= why | ({"without a prediction": lacking} if lacking else {})
    labels, task = predictions.labels, predictions.task
    judged = _Shown.of(media.with_table(their_rows.drop("_row")), labels, task)
    probabilities = predictions.probabilities()
    known = good["_row"].to_numpy()
    current = Calibration(exclusive=predictions.facts.exclusive)
    form = "single-label" if current.exclusive else task
    logits = pooled_logits(probabilities, form)  # of labels that exclude each other as a softmax has them
    rows = their_rows["_row"].to_numpy()
    fits = judged.fit(method, logits[rows], current)
    on = f"{part or 'labelled media'}: {judged.where}"
    calibration = fits.calibration.model_copy(update={"fitted_on": on, "locations": judged.locations})
    probabilities[known] = apply_calibration(logits[known], calibration, task, labels)
    probabilities[rows] = fits.after
    fixed = predictions.table[predictions.table.columns[: -len(labels)]]
    table = fixed.hstack(probability_columns(labels, probabilities))
    facts = replace(predictions.facts, calibration=on, event=None, combined=None)
    replace(predictions, table=table, facts=facts).save(output)
    before, after, change = judged.figures(judged.truth, judged.keys, fits.before, fits.after, current)
    unknown = count_unknown_labels(chosen, predictions)
    measured_on = on + judged.how
    return Recalibrated(
        output, calibration, before, after, change, {}, measured_on, left_out, unknown, len(rows)
    )


@dataclass(frozen=True)
class _Fitted:
    """`calibration` of all media; float64 [N, labels] `before`, and `after` by `of_others`, one a fold."""

    calibration: Calibration
    of_others: dict[int, Calibration]
    before: Floats
    after: Floats


@dataclass(frozen=True)
class _Shown:
    """Labelled media, and what of them belongs together.

    Attributes:
        media: N of them.
        truth: int [N] or 0/1 [N, labels].
        keys: [N]: the location of each, or its event or day.
        folds: [N]: of the keys.
        where: for people.
        how: likewise: how the figures are made.
        locations: that are known.
    """

    media: Catalog
    labels: tuple[str, ...]
    task: str
    truth: npt.NDArray[Any]
    keys: npt.NDArray[Any]
    folds: Rows
    where: str
    how: str
    locations: tuple[str, ...]

    @classmethod
    def of(cls, media: Catalog, labels: tuple[str, ...], task: str) -> _Shown:
        keys, where, locations = _together(media.table)
        truth = encode_truth(media.table["labels"].to_list(), labels, task)
        how = ", each calibrated by the other folds" if len(set(keys.tolist())) > 1 else ", no figures of one"
        if len(locations) == 1:
            how += f"; it holds at this location only ({locations[0]})"
        return cls(media, labels, task, truth, keys, deal_folds(keys), where, how, locations)

    def fit(self, method: Asked, logits: Floats, current: Calibration) -> _Fitted:
        """On all media, and for each fold on the others."""
        return _fit(method, logits, self.truth, self.keys, self.folds, current, self.task, self.labels)

    def figures(
        self, truth: npt.NDArray[Any], keys: npt.NDArray[Any], old: Floats, new: Floats, of: Calibration
    ) -> tuple[dict[str, Interval], dict[str, Interval], dict[str, Interval]]:
        """Those before and after, and their differences; none where nothing can be held out."""
        if len(np.unique(keys)) < 2:
            return {}, {}, {}
        figures: Callable[..., dict[str, Floats]] = partial(
            measure, blank=blank_column(self.labels), exclusive=of.exclusive
        )
        before, after = (
            as_intervals(estimate_all(truth, values, keys, metrics_fn=figures)) for values in (old, new)
        )
        return before, after, change_of(truth, old, new, keys, figures)


def deal_folds(keys: npt.NDArray[Any]) -> Rows:
    """[N]: the fold of each media; all 0 where there is one key only."""
    return deal_groups(keys) if len(np.unique(keys)) > 1 else np.zeros(len(keys), np.int64)


def _fit(
    method: Asked,
    logits: Floats,
    truth: npt.NDArray[Any],
    keys: npt.NDArray[Any],
    folds: Rows,
    current: Calibration,
    task: str,
    labels: tuple[str, ...],
) -> _Fitted:
    def fitted(inside: npt.NDArray[np.bool_]) -> Calibration:
        return fit_again(method, logits[inside], truth[inside], current, task, labels, keys[inside])

    before = apply_calibration(logits, current, task, labels)
    after, of_others = before.copy(), {}
    numbers = np.unique(folds)
    for fold in numbers if len(numbers) > 1 else ():
        inside = folds == fold
        of_others[int(fold)] = fitted(~inside)
        after[inside] = apply_calibration(logits[inside], of_others[int(fold)], task, labels)
    return _Fitted(fitted(np.ones(len(folds), bool)), of_others, before, after)


def _together(media: pl.DataFrame) -> tuple[npt.NDArray[Any], str, tuple[str, ...]]:
    """What belongs together: locations; of one location events; else days, else each media is by itself."""
    groups = Groups.of(media)
    if groups.by != "media" and groups.count > 1:
        return groups.keys, groups.where, groups.locations
    number = len(groups.locations)
    where = f"{media.height} media at {'1 location' if number else 'no location that is known'}"
    dates = [pl.col(name).dt.date() for name in ("camera_time", "timestamp")]
    days = media.select(day=pl.coalesce(dates).cast(pl.String))["day"]
    if not days.null_count() and days.n_unique() > 1:
        days_there = f"{many(days.n_unique(), 'day')}; intervals are over days"
        return days.to_numpy(), f"{where} ({days_there})", groups.locations
    alone = "no events known" if media["event_id"].is_null().any() else "of one event"
    return np.arange(media.height), f"{where} ({alone}; intervals are over single media)", groups.locations


def _choose(catalog: Catalog, part: str | None) -> tuple[Catalog, str | None, dict[str, int]]:
    """The media asked for, less those that an audit keeps; the part; why others are left out."""
    has_split = catalog.table["split"].null_count() < len(catalog)
    part = part or ("validation" if has_split else None)
    chosen, held = without_held(catalog if part is None else catalog.part(part))
    return chosen, part, {"held for an audit": held} if held else {}


def _check(card: Card, path: Path) -> None:
    if card.task == "features":
        raise UsageError(f"{path} is a backbone: it has no probabilities to calibrate.")
    if card.taxonomy:
        raise UsageError(
            f"{path} is a model of taxa: what its ranks promise rests on its own calibration, and few labels "
            "cannot promise it anew. Train it again with these photos."
        )
    card.refuse_chosen_thresholds()
    if card.batch == "event":
        raise UsageError(
            f"{path} looks at all photos of an event together. Predict the labelled events with it, and "
            "recalibrate that table."
        )


def _check_table(predictions: Predictions) -> None:
    name = predictions.facts.model_name or predictions.model[:12]
    if predictions.level == "box":
        raise UsageError("Predictions of boxes have no labels to be fitted to; take those of media.")
    if predictions.level == "event":
        raise UsageError("Give the predictions of media, and pool the new table (`trapline pool`).")
    if predictions.facts.kept is not None:
        raise UsageError(f"{name} tells of the surest labels only; what becomes of the others is not known.")
    refuse_taxa(predictions)


def _trained_with(card: Card, catalog: Catalog, part: str | None) -> bool:
    """Whether training had these photos, so that they tell nothing of new locations."""
    learnt = card.trained_on
    if learnt is None or learnt.split != fingerprint(catalog):
        return False
    return part is None or part in learnt.parts


def _seen(card: Card, catalog: Catalog) -> str:
    """On what the model was trained, of what is known of it."""
    learnt = card.trained_on
    if learnt is None:
        return "whether the model was trained on these photos is not known"
    parts = f"part{'s' if len(learnt.parts) > 1 else ''} {' and '.join(learnt.parts)}"
    whose = "this catalog" if learnt.split == fingerprint(catalog) else "another catalog, or another split"
    return f"the model was trained on the {parts} of {whose}"


def _logits(model: ModelFile, media: Catalog) -> tuple[list[int], Floats]:
    """Rows of the media that can be read, and float64 [rows, labels]."""
    rows: list[int] = []
    logits = []
    for batch, pixels in batches(media, model):
        rows += batch
        logits.append(model.run(pixels).logits)
    if not rows:
        raise DataError(f"None of the media can be read; their paths start from {media.root}.")
    return rows, np.concatenate(logits, dtype=np.float64)


def _of_events(
    card: Card, judged: _Shown, logits: Floats, fits: _Fitted, method: Asked
) -> tuple[EventPooling | None, dict[str, Interval]]:
    """The pooling of the card, its calibration fitted to the events of these media; what that changes."""
    if card.event is None:
        return None, {}
    events = _ShownEvents.of(judged)
    base = Calibration(exclusive=card.calibration.exclusive)
    methods = card.event.model_copy(update={"calibration": base})

    def pooled_so(calibration: Calibration, how: EventPooling) -> Floats:
        media = apply_calibration(logits[events.rows], calibration, card.task, card.labels)
        return apply_pooling(media, events.weights, events.codes, how, card.task, card.labels)

    def pooled(calibration: Calibration) -> Floats:
        return pooled_logits(pooled_so(calibration, methods), event_form(base, card.task))

    current = card.event.calibration
    if current.exclusive != base.exclusive:  # of an older version, which read each label by itself
        current = base

    def fitted(values: Floats, inside: npt.NDArray[np.bool_]) -> Calibration:
        own, keys = events.truth[inside], events.keys[inside]
        return fit_again(method, values[inside], own, current, card.task, card.labels, keys)

    old = pooled_so(card.calibration, card.event)
    new = old.copy()
    for fold, calibration in fits.of_others.items():
        inside, values = events.folds == fold, pooled(calibration)
        if inside.any() and not inside.all():
            of_others = fitted(values, ~inside)
            new[inside] = apply_calibration(values[inside], of_others, card.task, card.labels)
    _, after, change = judged.figures(events.truth, events.keys, old, new, card.calibration)
    calibration = fitted(pooled(fits.calibration), np.ones(len(events.truth), bool))
    where = f"{many(len(events.truth), 'event')} of {judged.where}"
    event = card.event.model_copy(
        update={
            "calibration": calibration.model_copy(update={"fitted_on": where, "locations": judged.locations}),
            "selected_on": f"{card.event.selected_on}; calibrated again on {where}",
            "metrics": after,
            "metrics_on": where + judged.how,
        }
    )
    return event, change


@dataclass(frozen=True)
class _ShownEvents:
    """The events of labelled media that can be judged: rows of frames; of each event its truth and fold."""

    rows: Rows
    weights: Floats
    codes: Rows
    truth: npt.NDArray[Any]
    keys: npt.NDArray[Any]
    folds: Rows

    @classmethod
    def of(cls, judged: _Shown) -> _ShownEvents:
        """In the order they were shot; where a media has one label, of events with one.

        Raises:
            DataError: no event has two of the media.
        """
        labelled = label_events(judged.media).table
        one = (labelled["labels"].list.len() == 1).to_numpy() | (judged.task != "single-label")
        order = frame_order(judged.media.table)
        rows = order[one[order]]
        events = judged.media.table.select(event=event_key())["event"].to_numpy()[rows]
        names, first, codes = np.unique(events, return_index=True, return_inverse=True)
        if len(names) == len(rows):
            raise DataError(
                "The model pools the photos of an event, and none of the labelled photos share one, so that "
                "what it says of events cannot be fitted. Label whole events (`trapline catalog … "
                "--event-gap 60s` finds them), or predict with it and recalibrate that table."
            )
        shown = labelled["labels"].gather(rows[first]).to_list()
        truth = encode_truth(shown, judged.labels, judged.task)
        weights = 1 / np.bincount(codes)[codes]
        return cls(rows, weights, codes, truth, judged.keys[rows[first]], judged.folds[rows[first]])
