"""COCO Camera Traps JSON, the form of the public data sets at LILA."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from trapline.catalog import ATTRIBUTES
from trapline.errors import many
from trapline.formats.writers.answers import (
    authors,
    describe_spread,
    describe_threshold,
    observe_media,
    round_probability,
)
from trapline.formats.writers.writing import Job, Written, put, writer
from trapline.observations import MediaObservations

EMPTY_ID = 0


@writer(
    "coco-camera-traps",
    endings=(".json",),
    loses=(
        "all labels but the answers; their probabilities are kept as `score`, rounded to five digits",
        "boxes without an answer and every box's confidence; deployments; times carry no zone",
    ),
)
def write_coco(job: Job, *, threshold: float | None = None) -> Written:
    """COCO Camera Traps JSON: images, sequences, and one annotation an answer.

    Every photo's width and height, as it stands upright, is read from its file; a photo whose file cannot be
    read has neither, and predictions of boxes lose their box there. Predictions of events are marked as
    `sequence_level_annotation`. A failed photo is `corrupt` and has no annotation; one where no label passes
    has none either. A person's answer has no `score`, and `observer` says whose an answer is that is not the
    model's; `count`, `life_stage`, `sex` and `behaviour` stand where somebody says them, `observed_at` where
    it is known when a person decided.

    Args:
        job: what is to be written.
        threshold: labels below this probability are no answers.
    """
    entries, notes = observe_media(job, threshold)
    ids = _category_ids(job)
    lengths = Counter(entry.media["event_id"] for entry in entries if entry.media["event_id"] is not None)
    sizes = {entry.media["media_id"]: _size(job, entry) for entry in entries}
    first = _first_frames(entries)
    images = [_image(entry, lengths, first, sizes) for entry in entries]
    annotations = [annotation for entry in entries for annotation in _annotations(job, entry, ids, sizes)]
    blank = {label for label in job.names if job.kind(label) == "blank"}
    categories = [{"id": EMPTY_ID, "name": "empty"}]
    categories += [{"id": ids[label], "name": label} for label in job.names if label not in blank]
    document = {
        "info": {
            "version": "1.0",
            "description": f"{_whose(job, entries)} for {job.catalog.source}",
        },
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    put(job.output, json.dumps(document, indent=1, ensure_ascii=False))
    unclassified = sum(what.unclassified for entry in entries for what in entry.shown)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, "they have no annotation"
    )
    unsized = [entry for entry in entries if sizes[entry.media["media_id"]] is None]
    unread = sum(map(_has_boxes, unsized))
    lost = [f"the boxes of {many(unread, 'photo')} whose size cannot be read"] if unread else []
    if unsized:
        notes.append(f"{many(len(unsized), 'photo has')} no width and height: their files cannot be read")
    notes += [f"'{label}' is called 'empty' (category 0)" for label in sorted(blank - {"empty"})]
    notes.append(f"{len(annotations)} annotations")
    return Written(len(images), "images", lost, notes, [job.output.name])


def _whose(job: Job, entries: Sequence[MediaObservations]) -> str:
    who = authors(job, entries)
    return f"Predictions of {who}" if who == job.classifier else f"Observations of {who}"


def _category_ids(job: Job) -> dict[str, int]:
    named = [label for label in job.names if job.kind(label) != "blank"]
    return dict.fromkeys(job.names, EMPTY_ID) | {label: index for index, label in enumerate(named, 1)}


def _has_boxes(entry: MediaObservations) -> bool:
    return any(what.box is not None for what in entry.shown)


def _size(job: Job, entry: MediaObservations) -> tuple[int, int] | None:
    """Width and height of the upright photo in pixels; None where its file cannot be read."""
    from trapline.images import read_exif

    exif = read_exif(job.catalog.path(entry.media["file_path"]))
    if exif.width is None or exif.height is None:
        return None
    turned = exif.orientation is not None and exif.orientation >= 5
    return (exif.height, exif.width) if turned else (exif.width, exif.height)


def _first_frames(entries: Sequence[MediaObservations]) -> dict[str | None, int]:
    """The lowest frame number of each event: COCO Camera Traps counts from 0, sources as they like."""
    first: dict[str | None, int] = {}
    for entry in entries:
        event, frame = entry.media["event_id"], entry.media["frame"]
        if frame is not None:
            first[event] = min(frame, first.get(event, frame))
    return first


def _image(
    entry: MediaObservations,
    lengths: Mapping[str, int],
    first: Mapping[str | None, int],
    sizes: Mapping[str, tuple[int, int] | None],
) -> dict[str, Any]:
    media = entry.media
    image: dict[str, Any] = {"id": media["media_id"], "file_name": media["file_path"]}
    size = sizes.get(media["media_id"])
    if size is not None:
        image |= {"width": size[0], "height": size[1]}
    if media["camera_time"] is not None:
        image["datetime"] = media["camera_time"].strftime("%Y-%m-%d %H:%M:%S")
    if media["location_id"] is not None:
        image["location"] = media["location_id"]
    if media["event_id"] is not None:
        image |= {"seq_id": media["event_id"], "seq_num_frames": lengths[media["event_id"]]}
    if media["frame"] is not None:
        image["frame_num"] = media["frame"] - first[media["event_id"]]
    if entry.failed:
        image["corrupt"] = True
    return image


def _annotations(
    job: Job, entry: MediaObservations, ids: Mapping[str, int], sizes: Mapping[str, tuple[int, int] | None]
) -> list[dict[str, Any]]:
    media, model = entry.media["media_id"], job.predicted and f"model:{job.predicted.model}"
    annotations: list[dict[str, Any]] = []
    for what in entry.shown:
        for answer in what.answers:
            annotation: dict[str, Any] = {
                "id": f"{media}#{len(annotations)}",
                "image_id": media,
                "category_id": ids[answer.label],
                **({} if what.by_human else {"score": round_probability(answer.probability)}),
                **{name: value for name in ATTRIBUTES if (value := getattr(answer, name)) is not None},
                "sequence_level_annotation": what.of_event,
                **({} if what.observer == model else {"observer": what.observer}),
                **({} if what.observed_at is None else {"observed_at": what.observed_at.isoformat()}),
            }
            size = sizes.get(media)
            if what.box is not None and size is not None:
                annotation["bbox"] = _pixels(entry.media["boxes"][what.box], *size)
            annotations.append(annotation)
    return annotations


def _pixels(box: Mapping[str, float], width: int, height: int) -> list[float]:
    return [
        round(box["x"] * width, 2),
        round(box["y"] * height, 2),
        round(box["width"] * width, 2),
        round(box["height"] * height, 2),
    ]
