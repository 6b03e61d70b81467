"""MegaDetector's batch format 1.6, which Timelapse and AddaxAI import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trapline.catalog import Catalog, DetectedBoxes
from trapline.errors import DataError, many
from trapline.formats.writers.answers import (
    author,
    describe_certain,
    describe_spread,
    describe_threshold,
    observe_media,
    round_probability,
)
from trapline.formats.writers.speciesnet import speciesnet_label
from trapline.formats.writers.writing import Job, Written, put, writer
from trapline.images import UNKNOWN
from trapline.observations import (
    CATEGORIES,
    LabelProbability,
    MediaObservations,
    Observation,
    category_name,
    confidence,
    kind_of,
)

FORMAT_VERSION = "1.6"
UNSEEN = "nobody has looked at it"
"""What stands as the failure of a photo about which nobody says anything: it must not look empty."""

_CATEGORY_OF_KIND = {"animal": "animal", "human": "person", "vehicle": "vehicle"}


@writer(
    "megadetector",
    endings=(".json",),
    opened_by=("Timelapse", "AddaxAI"),
    loses=(
        "all but the five most probable labels of each row; probabilities are rounded to five digits",
        "the probability of `blank` where it is the answer: an empty photo is one without detections",
        "events, deployments and who labelled what; times carry no zone",
    ),
)
def write_megadetector(job: Job, *, threshold: float | None = None) -> Written:
    """MegaDetector batch JSON 1.6, safe for Timelapse: detections of the catalog carry classifications.

    What is said of a whole photo is the classification of the boxes of its kind. Where there is none, a
    detection of the full frame carries it, as the field's own converters do. Its category is what the answer
    stands for; `unknown` where no label passes.

    Args:
        job: what is to be written.
        threshold: labels below this probability are not written as classifications.
    """
    entries, notes = observe_media(job, threshold)
    categories = _detection_categories(entries)
    names, renamed = _class_names(job, categories)
    ids = {label: str(index) for index, label in enumerate(job.classes, 1)}
    number = {name: key for key, name in categories.items()}
    limit = job.limit(threshold)
    images = [_image(job, entry, number, ids, limit) for entry in entries]
    people = [what for entry in entries for what in entry.shown if what.by_human]
    named = [what for what in people if what.answers and job.kind(what.answers[0].label) != "blank"]
    document: dict[str, Any] = {
        "info": _info(job, entries),
        "detection_categories": categories,
        "classification_categories": {ids[label]: names[label] for label in ids},
    }
    if job.taxonomy is not None:
        document["classification_category_descriptions"] = {
            ids[label]: speciesnet_label(job, label) for label in ids
        }
    document["images"] = images
    put(job.output, json.dumps(document, indent=1, ensure_ascii=False))
    unclassified = sum(what.unclassified for entry in entries for what in entry.observations)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, "their detections have no classification"
    )
    notes += [
        f"'{label}' is called '{names[label]}', because a detection category has that name"
        for label in renamed
    ]
    notes.append(f"file paths start at {job.catalog.root}: open that folder in Timelapse")
    full = sum(any(d["bbox"] == [0, 0, 1, 1] for d in image["detections"] or ()) for image in images)
    if full:
        notes.append(
            f"{many(full, 'image without a box of its answer carries')} a detection of the full frame"
        )
    return Written(len(images), "images", describe_certain(named), notes, [job.output.name])


def _info(job: Job, entries: Sequence[MediaObservations]) -> dict[str, Any]:
    info = {"format_version": FORMAT_VERSION, "detector": job.detector or "unknown"}
    who = [job.classifier] if job.classifier else []
    people = [what for entry in entries for what in entry.observations if what.by_human]
    who += dict.fromkeys(author(job, what) or "people" for what in people)
    model = {} if job.predicted is None else {"trapline": job.predicted.facts.as_json()}
    return (
        info
        | ({"classifier": " and ".join(who)} if who else {})
        | ({"classifier_metadata": model} if model else {})
    )


def _detection_categories(entries: Sequence[MediaObservations]) -> dict[str, str]:
    used = {category_name(box["category"]) for entry in entries for box in entry.media["boxes"] or ()}
    extra = [*sorted(used - set(CATEGORIES.values()) - {UNKNOWN}), UNKNOWN]
    return CATEGORIES | {str(index): name for index, name in enumerate(extra, len(CATEGORIES) + 1)}


def _class_names(job: Job, categories: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What each label is called; Timelapse refuses the name of a detection category."""
    taken = {name.casefold() for name in categories.values()}
    renamed = [label for label in job.classes if label.casefold() in taken]
    return {label: f"{label} (class)" if label in renamed else label for label in job.classes}, renamed


def _image(
    job: Job, entry: MediaObservations, number: Mapping[str, str], ids: Mapping[str, str], limit: float
) -> dict[str, Any]:
    media = entry.media
    image: dict[str, Any] = {"file": media["file_path"]}
    failures = [what.failure for what in entry.observations if what.failure is not None]
    if (len(failures) == len(entry.observations) and entry.media["boxes"] is None) or entry.failed:
        image |= {"failure": next(iter(failures), UNSEEN), "detections": None}
    else:
        image["detections"] = _detections(job, entry, number, ids, limit)
    if media["camera_time"] is not None:
        image["datetime"] = media["camera_time"].strftime("%Y-%m-%d %H:%M:%S")
    if media["location_id"] is not None:
        image["location"] = media["location_id"]
    return image


def _detections(
    job: Job, entry: MediaObservations, number: Mapping[str, str], ids: Mapping[str, str], limit: float
) -> list[dict[str, Any]]:
    boxes = entry.media["boxes"] or []
    by_box = {what.box: what for what in entry.observations if what.box is not None and not what.by_detector}
    whole = next((what for what in entry.observations if what.box is None and not what.by_detector), None)
    if not boxes:
        return [] if whole is None else _full_frame(job, whole, number, ids, limit)
    fitting = _fitting_boxes(job, boxes, whole)
    detections = []
    for index, box in enumerate(boxes):
        detection = {
            "category": number[category_name(box["category"])],
            "conf": confidence(box),
            "bbox": [round(box[side], 6) for side in ("x", "y", "width", "height")],
        }
        what = by_box.get(index, whole if index in fitting else None)
        classifications = _classifications(what, ids, limit)
        detections.append(detection | ({"classifications": classifications} if classifications else {}))
    if whole is not None and whole.answers and not fitting:
        detections += _full_frame(job, whole, number, ids, limit)
    return detections


def _fitting_boxes(job: Job, boxes: Sequence[Mapping[str, Any]], whole: Observation | None) -> list[int]:
    """The boxes that what was said of the whole media is about: those of its kind, else of no known kind.

    That nothing is there (`blank`), or something that is of no kind, is said of all.
    """
    if whole is None or not whole.answers:
        return []
    kind = job.kind(whole.answers[0].label)
    if kind in ("blank", "other"):
        return list(range(len(boxes)))
    same = [index for index, box in enumerate(boxes) if kind_of(box) == kind]
    return same or [index for index, box in enumerate(boxes) if kind_of(box) is None]


def _full_frame(
    job: Job, what: Observation, number: Mapping[str, str], ids: Mapping[str, str], limit: float
) -> list[dict[str, Any]]:
    if what.answers and job.kind(what.answers[0].label) == "blank":
        return []
    shown = (answer for answer in what.answers or what.ranked if job.kind(answer.label) != "blank")
    top: LabelProbability | None = next(shown, what.best)
    named = top is not None and what.answers
    category = _CATEGORY_OF_KIND.get(job.kind(top.label), UNKNOWN) if top and named else UNKNOWN
    classifications = _classifications(what, ids, limit)
    detection = {
        "category": number[category],
        "conf": round_probability(None if top is None else top.probability),
        "bbox": [0, 0, 1, 1],
    }
    return [detection | ({"classifications": classifications} if classifications else {})]


def _classifications(what: Observation | None, ids: Mapping[str, str], limit: float) -> list[list[Any]]:
    if what is None or not what.answers:
        return []
    kept = [
        answer for answer in what.ranked if (answer.probability or 1.0) >= limit or answer in what.answers
    ]
    return [[ids[answer.label], round_probability(answer.probability)] for answer in kept]


def write_boxes(catalog: Catalog, path: Path | str) -> Path:
    """The boxes of a catalog alone as MegaDetector batch JSON 1.6, as a detector's run leaves it.

    Media that no detector has looked at are not in it; one that it could not read has its reason.

    Raises:
        DataError: no media has boxes; nothing is written.
    """
    facts = catalog.facts.boxes
    failures = facts.failures if isinstance(facts, DetectedBoxes) else {}
    table = catalog.table.select("media_id", "file_path", "boxes")
    used = {category_name(name) for name in table["boxes"].explode().struct.field("category").drop_nulls()}
    extra = sorted(used - set(CATEGORIES.values()))
    categories = CATEGORIES | {str(index): name for index, name in enumerate(extra, len(CATEGORIES) + 1)}
    number = {name: key for key, name in categories.items()}
    images: list[dict[str, Any]] = []
    for media_id, file_path, boxes in table.iter_rows():
        if boxes is not None:
            detections = [_plain_detection(box, number) for box in boxes]
            images.append({"file": file_path, "detections": detections})
        elif media_id in failures:
            images.append({"file": file_path, "failure": failures[media_id], "detections": None})
    if not any(image["detections"] is not None for image in images):
        raise DataError("No media of the catalog has boxes to write; find some with `trapline detect`.")
    info = {"format_version": FORMAT_VERSION, "detector": (facts and facts.detector) or "unknown"}
    document = {"info": info, "detection_categories": categories, "images": images}
    path = Path(path)
    put(path, json.dumps(document, indent=1, ensure_ascii=False))
    return path


def _plain_detection(box: Mapping[str, Any], number: Mapping[str, str]) -> dict[str, Any]:
    return {
        "category": number[category_name(box["category"])],
        "conf": 1.0 if box["conf"] is None else round(box["conf"], 5),
        "bbox": [round(box[name], 5) for name in ("x", "y", "width", "height")],
    }
