"""A model's probabilities fitted again to labelled media: of other locations, or made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from trapline.catalog import Catalog, Groups, without_held
from trapline.errors import DataError, UsageError
from trapline.metrics import bootstrap_all, encode_truth, measure
from trapline.models.calibrated import apply_calibration, blank_column, fit_calibration
from trapline.models.card import Calibration, Card, Interval, as_intervals
from trapline.models.file import ModelFile
from trapline.models.labelled import batches, judgeable
from trapline.models.new_locations import MeasuredAt, at_new_locations
from trapline.models.onnx_graph import read_graph, write_model_file

FOLDS = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recalibrated:
    """What `recalibrate` made.

    Attributes:
        path: of the new model file.
        calibration: of its card.
        before: metric -> value and interval of the model as it was, on the same media.
        after: likewise of the new one, each group of media calibrated by the other folds.
        measured_on: for people.
        left_out: why -> how many media the figures leave out.
    """

    path: Path
    calibration: Calibration
    before: dict[str, Interval]
    after: dict[str, Interval]
    measured_on: str
    left_out: dict[str, int]


def recalibrate(
    model: ModelFile,
    catalog: Catalog,
    output: Path,
    *,
    part: str | None = None,
    method: Literal["temperature", "labels"] = "temperature",
) -> Recalibrated:
    """Write the model again with a calibration fitted on labelled media; its answers' order stays.

    The new file's calibration is fitted on all of the media; the figures of its card are of folds of
    locations, each calibrated by the others.

    Args:
        model: a classifier of single media.
        catalog: labelled.
        output: the new model file; replaced if it exists.
        part: of the split; None for `validation` of a catalog with a split, else for all labelled media.
        method: one `temperature`, or a slope and an offset for each of the `labels` of a
            multi-label model.

    Raises:
        UsageError: the model is none that can be calibrated so.
        DataError: no media with a label that it knows, or all of one location and event.
    """
    _check(model.card, model.path)
    if method == "labels" and (model.card.task == "single-label" or model.card.calibration.exclusive):
        raise UsageError(
            f"The labels of {model.path} exclude each other: none has a slope and an offset of its own. "
            "Take --method temperature."
        )
    has_split = catalog.table["split"].null_count() < len(catalog)
    part = part or ("validation" if has_split else None)
    chosen, held = without_held(catalog if part is None else catalog.part(part))
    media, left_out = judgeable(chosen, model.card)
    left_out |= {"held for an audit": held} if held else {}
    rows, logits = _logits(model, media)
    if len(rows) < len(media):
        left_out |= {"unreadable": len(media) - len(rows)}
    media = media.with_table(media.table[rows])
    groups, card = Groups.of(media.table), model.card
    folds = _folds(groups)
    truth = encode_truth(media.table["labels"].to_list(), card.labels, card.task)
    where = f"{part or 'labelled media'}: {groups.where}"
    calibration, after = _fit(card, logits, truth, folds, method)
    calibration = calibration.model_copy(update={"fitted_on": where, "locations": groups.locations})
    figures = partial(measure, blank=blank_column(card.labels), exclusive=card.calibration.exclusive)
    old = apply_calibration(logits, card.calibration, card.task, card.labels)
    before, figures_after = (
        as_intervals(bootstrap_all(truth, values, groups.keys, metrics_fn=figures)) for values in (old, after)
    )
    measured_on = f"{where}, each calibrated by the other folds; {_seen(card)}"
    where_taken = media.table["location_id"].to_list()
    changes = {
        "calibration": calibration,
        "metrics": figures_after,
        "metrics_on": measured_on,
        "measured_at": MeasuredAt.at(where_taken),
        "new_locations": at_new_locations(
            truth,
            after,
            where_taken,
            blank=blank_column(card.labels),
            exclusive=card.calibration.exclusive,
        ),
    }
    write_model_file(read_graph(model), card.model_copy(update=changes), output)
    return Recalibrated(output, calibration, before, figures_after, measured_on, left_out)


def _check(card: Card, path: Path) -> None:
    if card.task == "features":
        raise UsageError(f"{path} is a backbone: it has no probabilities to calibrate.")
    if card.taxonomy or card.event is not None or card.batch == "event":
        what = "taxa" if card.taxonomy else "events"
        raise UsageError(
            f"{path} is a model of {what}, whose promises and pooling rest on its own calibration. Train "
            "it again with these photos."
        )


def _seen(card: Card) -> str:
    if card.trained_on is None:
        return "whether its training had these photos is not known"
    return f"its training had the parts {', '.join(card.trained_on.parts)} of its split"


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


def _folds(groups: Groups) -> npt.NDArray[np.int64]:
    """[N]: the fold of each media; what belongs together stays so."""
    from sklearn.model_selection import GroupKFold

    if groups.count < 2:
        raise DataError(
            f"All of the media are of one of {groups.over}: nothing is left to see whether the calibration "
            "holds. Give labelled photos of two locations or events at least."
        )
    numbers = np.zeros(len(groups.keys), np.int64)
    dealt = GroupKFold(min(FOLDS, groups.count)).split(numbers, groups=groups.keys)
    for fold, (_, inside) in enumerate(dealt):
        numbers[inside] = fold
    return numbers


def _fit(
    card: Card,
    logits: Floats,
    truth: npt.NDArray[Any],
    folds: npt.NDArray[np.int64],
    method: Literal["temperature", "labels"],
) -> tuple[Calibration, Floats]:
    """The calibration of all media, and float64 [N, labels] probabilities by those of the other folds."""
    base = card.calibration.model_copy(
        update={"method": "none", "temperature": 1.0, "slopes": (), "offsets": ()}
    )

    def fitted(inside: npt.NDArray[np.bool_]) -> Calibration:
        return fit_calibration(method, logits[inside], truth[inside], base, card.task, card.labels)

    probabilities = np.empty_like(logits)
    for fold in np.unique(folds):
        inside = folds == fold
        probabilities[inside] = apply_calibration(logits[inside], fitted(~inside), card.task, card.labels)
    return fitted(np.ones(len(folds), bool)), probabilities
