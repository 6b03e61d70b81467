"""COCO with scores: what detectors and classifiers say of photos, as MegaDetector's tools and we write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trapline.errors import DataError
from trapline.formats.answers.registry import ToolAnswers, answer_reader, usable_entries
from trapline.formats.json_file import as_number, id_text, keys_at_the_start, read_json_object
from trapline.tables import RejectedRow, reject


def _recognise(source: Path) -> str | None:
    keys, text = keys_at_the_start(source)
    named = {"annotations", "images"} & set(keys) and '"file_name"' in text
    return "it is JSON with COCO's keys" if named else None


@answer_reader("coco", recognise=_recognise)
def read_coco_answers(source: Path) -> ToolAnswers:
    """COCO whose annotations have a `score`: the surest one of each photo.

    A photo without any has no answer: that nothing is on it was not said.

    Args:
        source: the JSON file.
    """
    document = read_json_object(source)
    lists = {key: document.get(key) for key in ("images", "annotations", "categories")}
    lacking = [key for key, value in lists.items() if not isinstance(value, list)]
    if lacking:
        raise DataError(f"{source} is no COCO: '{lacking[0]}' is no list; it has: {', '.join(document)}.")
    numbered = usable_entries(source, "images", lists["images"] or [], "file_name")
    names = _by_id(lists["categories"] or [], "name")
    surest = _surest(source, lists["annotations"] or [], names)
    if not surest:
        raise DataError(
            f"No annotation of {source} has a score: they are no model's answers. Read them as labels, with "
            "`trapline catalog`."
        )
    answers = [surest.get(id_text(entry.get("id")) or "") for _, entry in numbered]
    return ToolAnswers.of_scores(
        [{} if answer is None else {answer[1]: answer[0]} for answer in answers],
        [entry["file_name"] for _, entry in numbered],
        [
            None if answer else "it is corrupt" if entry.get("corrupt") else "no annotation of it has a score"
            for (_, entry), answer in zip(numbered, answers, strict=True)
        ],
        tool=_tool(document.get("info")),
        task="single-label",
        kept=1,
        entry=lambda index: f"images[{numbered[index][0]}]",
    )


def _by_id(entries: Sequence[Any], key: str) -> dict[str, str]:
    return {
        str(id_text(entry["id"])): str(entry[key]).strip()
        for entry in entries
        if isinstance(entry, dict) and entry.get("id") is not None and entry.get(key)
    }


def _surest(
    source: Path, annotations: Sequence[Any], names: Mapping[str, str]
) -> dict[str, tuple[float, str]]:
    """By the id of an image the surest of its annotations: score and label."""
    surest: dict[str, tuple[float, str]] = {}
    wrong: list[RejectedRow] = []
    for number, annotation in enumerate(annotations):
        entry = annotation if isinstance(annotation, dict) else {}
        if entry.get("score") is None and entry:
            continue  # a person's
        score, label = as_number(entry.get("score")), names.get(id_text(entry.get("category_id")) or "")
        where = f"{source.name} annotations[{number}]"
        if score is None or not 0 <= score <= 1:
            wrong.append(RejectedRow(where, f"has the score {entry.get('score')!r}, no number from 0 to 1"))
        elif label is None:
            reason = f"has the category_id {entry.get('category_id')}, which is not among the categories"
            wrong.append(RejectedRow(where, reason))
        else:
            image = id_text(entry.get("image_id")) or ""
            surest[image] = max(surest.get(image, (0.0, label)), (score, label), key=lambda pair: pair[0])
    reject(wrong, len(wrong), of=len(annotations))
    return surest


def _tool(info: Any) -> str:
    description = info.get("description") if isinstance(info, dict) else None
    return description if isinstance(description, str) and description else "COCO"
