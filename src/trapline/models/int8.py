"""A model file written again in eight bits, and what that costs, measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trapline.catalog import Catalog, Groups, fingerprint
from trapline.errors import DataError, UsageError
from trapline.metrics import encode_truth, estimate_all, measure
from trapline.models.calibrated import apply_calibration, blank_column, fit_calibration
from trapline.models.card import Calibration, Card, Export, as_intervals
from trapline.models.changed import change_of
from trapline.models.file import ModelFile, Outputs
from trapline.models.labelled import batches, judgeable
from trapline.models.new_locations import MeasuredAt, at_new_locations
from trapline.models.onnx_graph import read_graph, write_model_file
from trapline.models.quantize import quantise

CALIBRATION_MEDIA = 200
"""Ranges of activations settle within some hundred pictures."""

_BATCH = 16

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Int8Export:
    """What `export_int8` made.

    Attributes:
        path: of the new model file.
        export: what its card says of the making, the accuracy's change included.
        calibration: before and after; equal if it was not fitted again.
        bytes: of the source file and of this one.
        speed_ratio: time of the source's runs over this one's, each batch run by both in turn.
        left_out: why -> how many validation media the figures leave out.
    """

    path: Path
    export: Export
    calibration: tuple[Calibration, Calibration]
    bytes: tuple[int, int]
    speed_ratio: float
    left_out: dict[str, int]


def export_int8(
    model: ModelFile,
    catalog: Catalog,
    output: Path | str,
    *,
    media: int = CALIBRATION_MEDIA,
    seven_bits: bool = False,
    seed: int = 42,
) -> Int8Export:
    """Write `model` again in eight bits, and measure on the validation part what that costs.

    Where the catalog carries the split that the model was trained with, and the calibration is of its
    validation part, it is fitted again and the card's metrics are those of the new file. With another split,
    of a model that has learnt from that part too, and of one that was recalibrated elsewhere both are left
    as they were.

    Args:
        model: a classifier.
        catalog: labelled, with a split; ranges are read from its part `train`, the cost from `validation`.
        output: the new model file; replaced if it exists.
        media: how many training media the ranges come from.
        seven_bits: for processors without VNNI, see `trapline.models.quantize.quantise`.
        seed: of their choice.

    Raises:
        UsageError: the model is a backbone, is int8 already, or `output` is its own file.
        DataError: no split, no usable training or validation media, or nothing in the network to quantise.
    """
    output = Path(output)
    _check(model, output, media)
    chosen = _sample(catalog.part("train"), media, seed)
    judged, left_out = judgeable(catalog.part("validation"), model.card)
    seen: list[int] = []
    graph = quantise(read_graph(model), _feed(batches(chosen, model), seen), seven_bits=seven_bits)
    with tempfile.TemporaryDirectory(prefix="trapline-int8-") as folder:
        draft = write_model_file(graph, model.card, Path(folder) / "draft.onnx")
        compared = _compare(model, ModelFile(draft), judged)
    left_out |= {"unreadable": compared.unreadable} if compared.unreadable else {}
    calibrated_on = f"{len(seen)} media of the part train"
    left_why = _why_left(model.card, fingerprint(catalog), Groups.of(compared.media.table).locations)
    card = _describe(model, calibrated_on, compared, left_why)
    write_model_file(graph, card, output)
    assert card.export is not None
    return Int8Export(
        output,
        card.export,
        (model.card.calibration, card.calibration),
        (model.path.stat().st_size, output.stat().st_size),
        compared.speed_ratio,
        left_out,
    )


def _check(model: ModelFile, output: Path, media: int) -> None:
    if model.card.batch == "event":
        raise UsageError(f"{model.path} looks at whole events; only models of single media are exported.")
    if model.card.task == "features":
        raise UsageError(f"{model.path} is a backbone without labels; export a classifier trained on it.")
    model.card.refuse_chosen_thresholds()
    if model.card.export is not None:
        raise UsageError(f"{model.path} is an export already; give the model file it was made from.")
    if output.exists() and output.samefile(model.path):
        raise UsageError(f"{output} is the model file itself. Name another output with -o.")
    if media < 1:
        raise UsageError(f"At least one training media is needed for the ranges, not {media}.")


def _sample(train: Catalog, media: int, seed: int) -> Catalog:
    """That many media, drawn without replacement, in the catalog's order."""
    drawn = np.random.default_rng(seed).permutation(len(train))[:media]
    return replace(train, table=train.table[np.sort(drawn)])


def _feed(
    batches: Iterator[tuple[list[int], npt.NDArray[np.uint8]]], seen: list[int]
) -> Iterator[npt.NDArray[np.uint8]]:
    """The pixels alone; the rows are added to `seen`."""
    for rows, pixels in batches:
        seen += rows
        yield pixels
    if not seen:
        raise DataError("None of the training media can be read, so that there are no ranges to quantise to.")


@dataclass(frozen=True)
class _Compared:
    """Both files' answers for the same N media.

    Attributes:
        media: their rows.
        logits: float64 [N, labels], of the source and of the new file.
        probabilities: likewise.
        speed_ratio: median over batches of the source's time over the new file's.
        unreadable: media left out.
    """

    media: Catalog
    logits: list[Floats]
    probabilities: list[Floats]
    speed_ratio: float
    unreadable: int


def _compare(source: ModelFile, made: ModelFile, media: Catalog) -> _Compared:
    """Run both on the same batches, in turn, so that whatever else the machine does slows both alike."""
    rows: list[int] = []
    answers: tuple[list[Outputs], list[Outputs]] = ([], [])
    ratios = []
    for batch, pixels in batches(media, source):
        seconds = []
        for model, kept in zip((source, made), answers, strict=True):
            started = time.perf_counter()
            kept.append(model.run(pixels))
            seconds.append(time.perf_counter() - started)
        rows += batch
        ratios.append(seconds[0] / seconds[1])
    if not rows:
        raise DataError(f"None of the validation media can be read; their paths start from {media.root}.")
    logits, probabilities = (
        [np.concatenate([getattr(one, name) for one in kept], dtype=np.float64) for kept in answers]
        for name in ("logits", "probabilities")
    )
    judged, unreadable = replace(media, table=media.table[rows]), len(media) - len(rows)
    return _Compared(judged, logits, probabilities, float(np.median(ratios)), unreadable)


def _why_left(card: Card, split: str, locations: tuple[str, ...]) -> str | None:
    """Why calibration and metrics of the source stay: the validation part is not what they are from.

    Args:
        card: of the source.
        split: fingerprint of the catalog's.
        locations: those of the validation media that were judged.

    Returns:
        for people; None where they are from there, so that both are made anew.
    """
    if card.split.get("fingerprint") != split:
        return "of another split than the model was trained with"
    if card.trained_on is not None and "validation" in card.trained_on.parts:
        return "which the model has learnt from: new locations may lose more"
    was = card.calibration
    of_part = was.fitted_on.startswith("validation") and set(locations) <= set(was.locations)
    if was.method != "none" and not of_part:
        return f"not what the calibration was fitted on ({was.fitted_on}), which stays"
    return None


def _describe(model: ModelFile, calibrated_on: str, compared: _Compared, left_why: str | None) -> Card:
    """The new file's card: calibration and metrics anew where nothing says why they are left."""
    card, groups = model.card, Groups.of(compared.media.table)
    truth = encode_truth(compared.media.table["labels"].to_list(), card.labels, card.task)
    where = f"validation: {groups.where}"
    figures = partial(measure, blank=blank_column(card.labels), exclusive=card.calibration.exclusive)
    before, after = compared.probabilities
    changes: dict[str, Any] = {}
    if left_why is None:
        base = card.calibration.model_copy(update={"method": "none"})
        logits, method = compared.logits[1], card.calibration.method
        calibration = fit_calibration(method, logits, truth, base, card.task, card.labels)
        after = apply_calibration(logits, calibration, card.task, card.labels)
        chosen = "the epoch was chosen and the" if "the epoch" in card.metrics_on else "the"
        sentence = f"{where}, on which {chosen} calibration was fitted too"
        metrics = as_intervals(estimate_all(truth, after, groups.keys, metrics_fn=figures))
        where_taken = compared.media.table["location_id"].to_list()
        changes = {
            "calibration": calibration,
            "metrics": metrics,
            "metrics_on": sentence,
            "measured_at": MeasuredAt.at(where_taken),
        }
        if card.new_locations:  # else training had these locations, or they are too few
            changes["new_locations"] = at_new_locations(
                truth,
                after,
                where_taken,
                blank=blank_column(card.labels),
                exclusive=card.calibration.exclusive,
            )
    elif card.metrics:
        changes["metrics_on"] = f"before it was made int8, {card.metrics_on}"
    changes["export"] = Export(
        format="int8",
        source=model.fingerprint,
        calibrated_on=calibrated_on,
        measured_on=where if left_why is None else f"{where}, {left_why}",
        change=change_of(truth, before, after, groups.keys, figures),
        same_answer=_same_answer(before, after, card.task),
    )
    return card.model_copy(update=changes)


def _same_answer(before: Floats, after: Floats, task: str) -> float:
    if task == "single-label":
        return float((before.argmax(axis=1) == after.argmax(axis=1)).mean())
    return float(((before >= 0.5) == (after >= 0.5)).mean())
