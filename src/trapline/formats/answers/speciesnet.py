"""SpeciesNet's predictions JSON, up to version 4 (one prediction a photo) and 5 (one a detection)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trapline.errors import DataError
from trapline.formats.answers.registry import ToolAnswers, answer_reader, usable_entries
from trapline.formats.json_file import keys_at_the_start, read_json_object
from trapline.taxonomy import SpeciesNetNames, name_speciesnet_labels

_KEPT = 5
_SAYS_NOTHING = ("no cv result", "unknown")


def _recognise(source: Path) -> str | None:
    return "it is JSON with 'predictions'" if "predictions" in keys_at_the_start(source)[0] else None


@answer_reader("speciesnet", recognise=_recognise)
def read_speciesnet_answers(source: Path, *, names: SpeciesNetNames = "common") -> ToolAnswers:
    """SpeciesNet's JSON: the five surest labels of the classifier, or its prediction where that is another.

    A photo's answer is what SpeciesNet predicts of it. Where that is the classifier's surest label, the other
    four have the probabilities that the classifier gave them; where it is another (geofenced, rolled up, of
    the detector) it stands alone with its score. Of several detections the surest prediction counts.

    Args:
        source: the JSON file.
        names: what labels are called: by their `common` or `scientific` names; two of one name have both.
    """
    document = read_json_object(source)
    entries = document.get("predictions")
    if not isinstance(entries, list):
        raise DataError(f"{source} has no list 'predictions'; it has: {', '.join(map(str, document))}.")
    files: list[str] = []
    told: list[dict[str, float]] = []
    reasons: list[str | None] = []
    versions: set[str] = set()
    numbered = usable_entries(source, "predictions", entries, "filepath")
    for _, entry in numbered:
        files.append(entry["filepath"])
        scores, reason = _scores(entry)
        told.append(scores)
        reasons.append(reason)
        if isinstance(entry.get("model_version"), str):
            versions.add(entry["model_version"])
    called = name_speciesnet_labels({label for scores in told for label in scores}, names)
    tool = " ".join(["SpeciesNet", *sorted(versions)])
    return ToolAnswers.of_scores(
        [{called[label]: score for label, score in scores.items()} for scores in told],
        files,
        reasons,
        tool=tool,
        task="single-label",
        kept=_KEPT,
        entry=lambda index: f"predictions[{numbered[index][0]}]",
    )


def _scores(entry: Mapping[str, Any]) -> tuple[dict[str, float], str | None]:
    """Label → score; or why there is none."""
    try:
        candidates = [_of_detection(each) for each in entry.get("detections") or ()]
        candidates.append(_of_photo(entry))
        known = [scores for scores in candidates if scores]
        if known:
            best = max(known, key=lambda scores: max(scores.values()))
            label = max(best, key=lambda name: best[name])
            if _says_something(label):
                return {name: score for name, score in best.items() if _says_something(name)}, None
            return {}, f"SpeciesNet says '{label.split(';')[-1]}'"
    except KeyError as error:
        return {}, f"its entry is damaged: it lacks {error}"
    except ValueError as error:
        return {}, f"its entry is damaged: {error}"
    except (AttributeError, TypeError, IndexError):
        return {}, "its entry is damaged: it is not in SpeciesNet's form"
    failures = entry.get("failures")
    parts = ", ".join(map(str, failures)).lower() if isinstance(failures, list) else ""
    if parts:
        return {}, f"SpeciesNet failed: {parts}"
    lacking = "no detection" if entry.get("detections") == [] else "no prediction"
    return {}, f"SpeciesNet has no answer: {lacking} in its entry"


def _says_something(label: str) -> bool:
    """Whether a label names a taxon or has a common name other than those for nothing known."""
    *ranks, common = label.split(";")
    return common not in _SAYS_NOTHING and any((common, *ranks[1:]))


def _of_photo(entry: Mapping[str, Any]) -> dict[str, float]:
    raw = entry.get("classifications")
    answer = entry.get("prediction")
    final = None if answer is None else (str(answer), float(entry["prediction_score"]))
    return _agree(raw, final)


def _of_detection(detection: Mapping[str, Any]) -> dict[str, float]:
    processed = detection.get("processed_classification")
    final = None if processed is None else (str(processed["class"]), float(processed["score"]))
    return _agree(detection.get("raw_classifications"), final)


def _agree(raw: Mapping[str, Any] | None, final: tuple[str, float] | None) -> dict[str, float]:
    """The classifier's labels, if the prediction is the first of them; else the prediction alone."""
    scores: dict[str, float] = {}
    if raw:
        if len(raw["classes"]) != len(raw["scores"]):
            raise ValueError("it has not as many scores as classes")
        scores = {str(name): float(score) for name, score in zip(raw["classes"], raw["scores"], strict=True)}
    if final is None:
        return scores
    return scores if scores and max(scores, key=lambda name: scores[name]) == final[0] else dict([final])
