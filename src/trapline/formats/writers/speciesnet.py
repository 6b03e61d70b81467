"""SpeciesNet's predictions JSON, which Wildlife Insights' tools and SpeciesNet's own scripts read."""

from __future__ import annotations

import json
from typing import Any, Literal

from trapline.errors import many
from trapline.formats.writers.answers import (
    authors,
    describe_certain,
    describe_spread,
    describe_threshold,
    observe_media,
    round_probability,
)
from trapline.formats.writers.writing import Job, Written, put, writer
from trapline.observations import MediaObservations, Observation, category_name, confidence
from trapline.taxonomy import RANKS, plain

NO_RESULT = ";".join(["f2efdae9-efb8-48fb-8a91-eccf79ab4ffb", *["no cv result"] * 6])
"""SpeciesNet's label for "the classifier cannot say"."""

SPECIAL = {
    "blank": "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank",
    "human": "990ae9dd-7a59-4344-afcb-1b7b21368000;mammalia;primates;hominidae;homo;sapiens;human",
    "vehicle": "e2895ed5-780b-48f6-8a11-9e27cb594511;;;;;;vehicle",
}
"""SpeciesNet's labels for what is no taxon of its own, by kind."""

DETECTION_VERSION = "20261015"
"""The version that SpeciesNet 5.0 gives its layout of one prediction a detection."""

WHOLE_IMAGE = {
    "category": "0",
    "label": "whole_image_classification",
    "conf": 1.0,
    "bbox": [0.0, 0.0, 1.0, 1.0],
}
"""The detection at which SpeciesNet 5 keeps what is said of a whole photo."""

ANIMAL = "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal"
"""SpeciesNet's label for an animal that may be any."""

Layout = Literal["photo", "detection"]
_PREDICTION_KEYS = {"": "class", "_score": "score", "_source": "source"}
_DETECTOR_CATEGORIES = {"animal": ("1", "animal"), "person": ("2", "human"), "vehicle": ("3", "vehicle")}


def speciesnet_label(job: Job, label: str) -> str:
    """`uuid;class;order;family;genus;species;common name` of a label.

    The uuid is SpeciesNet's for blank, human, vehicle and animal, else the taxonomy's; empty where it gives
    none.
    """
    known = job.label(label)
    if known.kind in SPECIAL:
        return SPECIAL[known.kind]
    if known.taxon is None and plain(label) == "animal":
        return ANIMAL
    common = (known.common_name or label).lower()
    if job.taxonomy is None or known.taxon is None:
        return f";;;;;;{common}"
    lineage = job.taxonomy.lineage(label)
    parts = [lineage.get(rank, "").lower() for rank in RANKS[:5]]
    parts[4] = parts[4].split(" ", 1)[-1]
    return ";".join([job.taxonomy.taxa[known.taxon].uuid or "", *parts, common])


@writer(
    "speciesnet",
    endings=(".json",),
    loses=(
        "all but the five most probable labels of each photo; probabilities are rounded to five digits",
        "several labels of one photo: the most probable is its prediction",
        "locations, times, events; subspecies; boxes of categories that SpeciesNet does not know",
    ),
)
def write_speciesnet(job: Job, *, threshold: float | None = None, layout: Layout = "detection") -> Written:
    """SpeciesNet predictions JSON: five labels a photo or box, its boxes, and one prediction.

    Args:
        job: what is to be written; without a taxonomy labels have no ranks and no uuid.
        threshold: where no label reaches this probability the prediction is SpeciesNet's "no cv result".
        layout: `detection`: one prediction a detection, as SpeciesNet 5 does, what was said of a whole photo
            at a detection that stands for it; `photo`: one a photo, as SpeciesNet up to 4 writes it.

    Raises:
        UsageError: an unknown layout.
    """
    entries, notes = observe_media(job, threshold)
    lost = describe_certain(what for entry in entries for what in entry.shown)
    shape = _entry if layout == "photo" else _entry_by_detection
    predictions = [shape(job, entry) for entry in entries]
    several = sum(len(entry.shown) > 1 for entry in entries)
    if several and layout == "photo":
        lost.append(
            f"{many(several, 'photo has')} predictions for several boxes; the most probable one is written"
        )
    unsought = sum(entry.media["boxes"] is None for entry in entries)
    if unsought and layout == "detection":
        lost.append(
            f"that no detector was run on {many(unsought, 'photo')}: they look as if it had found nothing"
        )
    without = [label for label in job.classes if speciesnet_label(job, label).startswith(";")]
    if without:
        lost.append(f"labels without SpeciesNet's uuid (the taxonomy gives none): {', '.join(without)}")
    unclassified = sum(entry.unclassified for entry in entries)
    notes += describe_spread(job) + describe_threshold(
        job, threshold, unclassified, "their prediction is 'no cv result'"
    )
    head = {} if layout == "photo" else {"info": {"format_version": DETECTION_VERSION}}
    put(job.output, json.dumps(head | {"predictions": predictions}, indent=1, ensure_ascii=False))
    return Written(len(predictions), "photos", lost, notes, [job.output.name])


def _entry(job: Job, entry: MediaObservations) -> dict[str, Any]:
    document: dict[str, Any] = {"filepath": entry.media["file_path"]}
    good = [what for what in entry.shown if what.failure is None]
    if entry.failed:
        document["failures"] = ["CLASSIFIER"]
    boxes = entry.media["boxes"]
    if boxes is not None:
        document["detections"] = [box for box in map(_detection, boxes) if box is not None]
        document["detections"].sort(key=lambda box: -box["conf"])
    if good:
        best = max(good, key=_certainty)
        answer = _answer(job, best)
        if not (best.by_detector or best.by_human):
            document["classifications"] = _rank(job, best)
        document |= {f"prediction{tail}": answer[key] for tail, key in _PREDICTION_KEYS.items()}
    return document | _version(job, entry)


def _entry_by_detection(job: Job, entry: MediaObservations) -> dict[str, Any]:
    document: dict[str, Any] = {"filepath": entry.media["file_path"]}
    if entry.failed:
        document["failures"] = ["CLASSIFIER"]
    by_box = {what.box: what for what in entry.observations if what.failure is None}
    detections = [dict(WHOLE_IMAGE)] if None in by_box else []
    if None in by_box:
        detections[0] |= _classify(job, by_box[None])
    for index, box in enumerate(entry.media["boxes"] or ()):
        detection = _detection(box)
        if detection is not None:
            detections.append(detection | (_classify(job, by_box[index]) if index in by_box else {}))
    if detections or entry.media["boxes"] is not None:
        document["detections"] = detections
    return document | _version(job, entry)


def _version(job: Job, entry: MediaObservations) -> dict[str, str]:
    """Who says it, where anybody does."""
    return {} if entry.unobserved else {"model_version": authors(job, [entry])}


def _classify(job: Job, what: Observation) -> dict[str, Any]:
    raw = {} if what.by_detector or what.by_human else {"raw_classifications": _rank(job, what)}
    return raw | {"processed_classification": _answer(job, what)}


def _rank(job: Job, what: Observation) -> dict[str, list[Any]]:
    return {
        "classes": [speciesnet_label(job, answer.label) for answer in what.ranked],
        "scores": [round_probability(answer.probability) for answer in what.ranked],
    }


def _answer(job: Job, what: Observation) -> dict[str, Any]:
    return {
        "class": speciesnet_label(job, what.answers[0].label) if what.answers else NO_RESULT,
        "score": 0.0 if what.best is None else round_probability(what.best.probability),
        "source": "detector" if what.by_detector else "human" if what.by_human else "classifier",
    }


def _certainty(what: Observation) -> tuple[bool, bool, float]:
    return bool(what.answers), not what.by_detector, (what.best and what.best.probability) or 1.0


def _detection(box: dict[str, Any]) -> dict[str, Any] | None:
    name = category_name(box["category"])
    if name not in _DETECTOR_CATEGORIES:
        return None
    category, label = _DETECTOR_CATEGORIES[name]
    return {
        "category": category,
        "label": label,
        "conf": confidence(box),
        "bbox": [round(box[side], 6) for side in ("x", "y", "width", "height")],
    }
