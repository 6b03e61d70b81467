"""Detectors' batch files: MegaDetector's, with or without a classifier's answers, and PyTorch-Wildlife's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trapline.catalog import as_foreign_text
from trapline.errors import DataError, UsageError
from trapline.formats.answers.registry import VERIFIED, ToolAnswers, answer_reader, usable_entries
from trapline.formats.detections import (
    categories_by_id,
    category_of,
    confidence_of,
    detections_of,
    is_verified,
)
from trapline.formats.json_file import as_number, id_text, keys_at_the_start, read_json_object
from trapline.taxonomy import BLANK


def _recognise(source: Path) -> str | None:
    keys, text = keys_at_the_start(source)
    named = "detection_categories" in keys or ("images" in keys and '"detections"' in text)
    return "it is JSON with detections of 'images'" if named else None


@answer_reader("megadetector", recognise=_recognise)
def read_megadetector_answers(source: Path, *, threshold: float = 0.2) -> ToolAnswers:
    """MegaDetector's batch JSON, of AddaxAI and others too: a classifier's answers, or those of the detector.

    A photo's answer is that of its surest detection: what the classifier says of it, or else its category.
    Where no detection reaches the threshold it is `blank`, with what the surest one leaves of 1. A photo on
    which a person verified something in AddaxAI has no answer: the file says that person's word of it.

    Args:
        source: the JSON file.
        threshold: the least confidence of a detection that counts, 0 to 1.
    """
    _check_threshold(threshold)
    document = read_json_object(source)
    entries, categories = document.get("images"), categories_by_id(document.get("detection_categories"))
    if not isinstance(entries, list) or not isinstance(categories, dict):
        raise DataError(
            f"{source} is not in MegaDetector's batch format: it lacks 'images' or their categories."
        )
    kinds, classes = _texts(categories), _texts(categories_by_id(document.get("classification_categories")))
    info = document.get("info")
    info = info if isinstance(info, dict) else {}
    tools = [as_foreign_text(info.get(key)) for key in ("detector", "classifier")]
    return _collect(
        source,
        ("images", "file"),
        entries,
        lambda entry: _scores(entry, kinds, classes, threshold),
        " and ".join(tool for tool in tools if tool and tool != "unknown") or "MegaDetector",
        threshold,
    )


def _collect(
    source: Path,
    keys: tuple[str, str],
    entries: Sequence[Any],
    scores_of: Callable[[Mapping[str, Any]], tuple[dict[str, float], str | None]],
    tool: str,
    threshold: float,
) -> ToolAnswers:
    """The answers of all entries; `keys` are those of their list, and of the file's name in an entry."""
    numbered = usable_entries(source, keys[0], entries, keys[1])
    answers = [scores_of(entry) for _, entry in numbered]
    return ToolAnswers.of_scores(
        [scores for scores, _ in answers],
        [entry[keys[1]] for _, entry in numbered],
        [reason for _, reason in answers],
        tool=tool,
        task="single-label",
        kept=max((len(scores) for scores, _ in answers), default=1) or 1,
        entry=lambda index: f"{keys[0]}[{numbered[index][0]}]",
        notes=[
            f"detections of a confidence below {threshold:g} do not count: a photo without another is blank"
        ],
    )


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise UsageError(f"The threshold of detections is from 0 to 1, not {threshold:g}.")


def _scores(
    entry: Mapping[str, Any], categories: Mapping[str, str], classes: Mapping[str, str], threshold: float
) -> tuple[dict[str, float], str | None]:
    detections = detections_of(entry)
    if detections is None:
        return {}, f"the detector failed: {as_foreign_text(entry.get('failure')) or 'no detections'}"
    if is_verified(entry) or any(is_verified(entry, detection) for detection in detections):
        return {}, VERIFIED
    try:
        surest = max(detections, key=confidence_of, default=None)
        confidence = 0.0 if surest is None else confidence_of(surest)
        if surest is None or confidence < threshold:
            return {BLANK: 1 - confidence}, None
        classified = surest.get("classifications") or ()
        if classified:
            scores: dict[str, float] = {}
            for key, score in classified:  # several categories of one name add up
                label = _name(key, classes, "classification_categories")
                scores[label] = scores.get(label, 0.0) + _probability(score)
            return scores, None
        return {category_of(surest, categories): confidence}, None
    except KeyError as error:
        return {}, f"a detection is damaged: it lacks {error}"
    except ValueError as error:
        return {}, f"a detection is damaged: {error}"
    except (AttributeError, TypeError):
        return {}, "a detection is damaged: it is not in MegaDetector's form"


def _texts(categories: object) -> dict[str, str]:
    """What each category is called; one without a name is none."""
    named = categories.items() if isinstance(categories, dict) else ()
    return {key: text for key, name in named if (text := as_foreign_text(name))}


def _name(key: object, names: Mapping[str, str], table: str) -> str:
    text = id_text(key) or ""
    if text not in names:
        raise ValueError(f"the category '{text}' is not among the {table}")
    return names[text]


def _probability(value: object) -> float:
    number = as_number(value)
    if number is None:
        raise ValueError(f"{value!r} is no probability")
    return number


def _recognise_wildlife(source: Path) -> str | None:
    keys, text = keys_at_the_start(source)
    named = "annotations" in keys and '"img_id"' in text
    return "it is JSON with 'annotations' of an 'img_id'" if named else None


@answer_reader("pytorch_wildlife", recognise=_recognise_wildlife)
def read_pytorch_wildlife_answers(source: Path, *, threshold: float = 0.2) -> ToolAnswers:
    """PyTorch-Wildlife's JSON of a detector or classifier: the surest detection or label of each photo.

    Args:
        source: the JSON file.
        threshold: the least confidence of a detection that counts, 0 to 1; below it a photo is `blank`.
    """
    _check_threshold(threshold)
    document = read_json_object(source)
    entries, categories = document.get("annotations"), document.get("categories")
    if not isinstance(entries, list) or not isinstance(categories, dict):
        raise DataError(
            f"{source} is not in PyTorch-Wildlife's form: it lacks 'annotations' or 'categories'."
        )
    names = _texts(categories)

    def scores_of(entry: Mapping[str, Any]) -> tuple[dict[str, float], str | None]:
        try:
            pairs = _pairs(entry, names)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return {}, f"a detection is damaged: {error if type(error) is ValueError else repr(error)}"
        surest, confidence = max(pairs, key=lambda pair: pair[1], default=(BLANK, 0.0))
        if not isinstance(entry["category"], list):  # a classifier has one label however unsure it is
            return {surest: confidence}, None
        return {surest: confidence} if confidence >= threshold else {BLANK: 1 - confidence}, None

    return _collect(source, ("annotations", "img_id"), entries, scores_of, "PyTorch-Wildlife", threshold)


def _pairs(entry: Mapping[str, Any], categories: Mapping[str, str]) -> Sequence[tuple[str, float]]:
    """Category and confidence of each detection; of a classifier's entry the one that it has."""
    kinds, confidences = entry["category"], entry["confidence"]
    if not isinstance(kinds, list):
        kinds, confidences = [kinds], [confidences]
    return [
        (_name(kind, categories, "categories"), _probability(sure))
        for kind, sure in zip(kinds, confidences, strict=True)
    ]
