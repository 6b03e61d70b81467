"""What a reader must know about the figures of an evaluation, as sentences."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from trapline.catalog import DECISION, DECISIONS
from trapline.errors import many
from trapline.evaluation.matching import Counts, JudgedMedia
from trapline.evaluation.result import Over
from trapline.evaluation.training_media import Training
from trapline.metrics import FEW_LOCATIONS
from trapline.prediction import Compared


def notes(
    judged: JudgedMedia,
    media: pl.DataFrame,
    drawn: int,
    over: Over,
    trained_on: Training,
    calibrated_on: str | None,
    by_name: int = 0,
    shared: str = "",
    model: str = "",
    compared: Compared | None = None,
    few: bool = False,
) -> tuple[str, ...]:
    """How far the figures carry, how far the intervals can be trusted, and which media are not in them.

    Args:
        judged: what is known of the media as a whole.
        media: that are judged, with people's decisions if there are any.
        drawn: how many groups the intervals rest on; 0 where that is said elsewhere.
        over: what these are.
        trained_on: what is known of the training.
        calibrated_on: what the predictions say they were calibrated on, if that may be what is judged.
        by_name: media of which a copy that was trained on would not be known.
        shared: what training and evaluation have in common on purpose; it says how far the figures carry.
        model: the fingerprint of what is judged.
        compared: how far the locations lie from what the model has learnt from.
        few: it is said above that the locations are too few to tell of others.
    """
    return (
        *(() if compared is None else compared.sentences()),
        *([shared] if shared and not (few and judged.counts.locations == 1) else ()),
        *_about_intervals(drawn, over, bool(shared), few),
        *_about_media(judged.counts, over),
        *_about_labels(judged),
        *about_decisions(media, judged.counts.unlabelled, model),
        *_about_training(trained_on, calibrated_on, by_name),
        *_about_what_is_told(judged.kept),
    )


def _about_intervals(drawn: int, over: Over, carry_told: bool, few: bool) -> Iterator[str]:
    if drawn == 1:
        events = " and their events are not known (`trapline catalog … --event-gap 60s` makes some)"
        carry = ": how far the figures carry to another cannot be told from these media"
        yield (
            f"All evaluated media are of one {over}{events if over == 'location' else ''}, so there are no "
            f"intervals{'' if carry_told or few else carry}."
        )
    elif 0 < drawn < FEW_LOCATIONS:
        yield f"The intervals rest on only {drawn} {over}s: take them for rough."
    if over != "location" and not carry_told:
        yield f"The intervals are over {over}s, not locations: they tell nothing about other locations."


def _about_media(counts: Counts, over: Over) -> Iterator[str]:
    for number, what in (
        (counts.failed, "could not be read and have no prediction; they are not in the figures"),
        (counts.unlabelled, "have no label and are not in the figures"),
        (counts.unpredicted, "are labelled but were not predicted; they are not in the figures"),
        (counts.unknown_label, "have a label the model does not know and were left out, as asked"),
        (counts.coarse, "have a label that stops above the model's classes and are judged by rank only"),
        (counts.outside, "have a label outside the node that the model decides; they are not in the figures"),
        (counts.several_labels, "have several labels and were left out, as asked"),
        (
            counts.without_location,
            "have no known location"
            + ("; together they count as one location" if over == "location" else ""),
        ),
    ):
        if number:
            yield f"{number} of {counts.media} media {what}."
    if counts.predictions_unmatched:
        yield f"{many(counts.predictions_unmatched, 'prediction is')} for media that are not in the catalog."


def _about_labels(judged: JudgedMedia) -> Iterator[str]:
    if judged.unknown:
        but = ", unless their answer says less of the same" if judged.counts.coarser else ""
        names = ", ".join(judged.unknown)
        yield f"The model does not know {names}; media with such a label count as wrong{but}."
    absent = [label for index, label in enumerate(judged.labels) if index not in judged.present]
    if absent:
        yield (
            f"No evaluated media has the label {', '.join(absent)}: nothing is known about it, and macro "
            f"figures are over the other {many(len(judged.labels) - len(absent), 'label')}."
        )


def about_decisions(media: pl.DataFrame, unlabelled: int, model: str) -> Iterator[str]:
    """What follows from how it came that media were decided on, where their truth are people's decisions.

    Args:
        media: that are judged.
        unlabelled: how many others there are, of which nothing is known.
        model: the fingerprint of what is judged.
    """
    if media.schema.get(DECISIONS) != pl.List(DECISION):
        return
    each = media.select("media_id", DECISIONS).explode(DECISIONS).drop_nulls(DECISIONS).unnest(DECISIONS)
    each = each.filter("stands").unique("media_id", maintain_order=True)
    if each.is_empty():
        return
    people = ", ".join(each["person"].unique().sort())
    yield f"{len(each)} of {len(media)} are judged by what {people} decided."
    chosen = each.filter(pl.col("asked") == "chosen")
    streams = ", ".join(chosen["stream"].drop_nulls().unique().sort())
    if len(chosen) and unlabelled:
        yield (
            f"{len(chosen)} of them were chosen to be decided{f' (by {streams})' if streams else ''} and not "
            "drawn by chance: streams choose what a model is unsure of, or what is rare. The figures hold "
            "for these alone and estimate nothing of the others."
        )
    if len(each) > len(chosen):
        yield (
            f"{len(each) - len(chosen)} of them were drawn by chance, some with a greater one than others, "
            "and each counts alike here: `trapline decisions show` weighs them by it."
        )
    if shown := (each["suggested_by"] == f"model:{model}").sum():
        yield (
            f"{shown} of them were decided with this model's own answer filled in, which people tend "
            "to accept."
        )


def _about_what_is_told(kept: int | None) -> Iterator[str]:
    if kept is not None:
        several, verb = ("label", "has") if kept == 1 else (many(kept, "label"), "have")
        yield (
            f"Of each media only the surest {several} {verb} a probability, so what needs that of every "
            "label (log loss, Brier score, areas under curves) is not computed."
        )


def _about_training(trained_on: Training, calibrated_on: str | None, by_name: int) -> Iterator[str]:
    if not trained_on.known:
        yield "It is not known which locations the model was trained on, so none are called unseen."
    if by_name:
        yield (
            f"{many(by_name, 'media was')} compared with the training media by their ids alone: not all "
            "files could be read, so a copy under another name would not be known."
        )
    if calibrated_on:
        yield (
            f"The probabilities were calibrated on {calibrated_on}. If these are the media judged here, log "
            "loss and calibration error are a little too good."
        )
