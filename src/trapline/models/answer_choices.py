"""How finely a model of taxa answers, chosen anew from what its card keeps: by a promise, or by a share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trapline.errors import UsageError
from trapline.models.card import Card
from trapline.taxonomy import AnswerShare

Choice = Mapping[str, Any]
"""One of a card's choices: `promise`, `thresholds` (level → least probability), and `curve`: level → the
share `answered` there or as finely as the model can, and its `precision` with `low` and `high`."""


def choose_by_share(choices: Sequence[Choice], asked: AnswerShare) -> Choice | None:
    """The choice of the highest promise that answers so many media; None where none does.

    Raises:
        UsageError: the tree has no such level.
    """
    kept = None
    for choice in choices:
        point = _point(choice, asked.level)
        if point is not None and point["answered"] >= asked.share:
            kept = choice if kept is None or choice["promise"] > kept["promise"] else kept
    return kept


def _point(choice: Choice, level: str | None) -> Mapping[str, Any] | None:
    curve: Mapping[str, Any] = choice["curve"]
    if level is not None and curve and level not in curve:
        raise UsageError(f"The model's tree has no rank {level}; it has {', '.join(curve)}.")
    return curve.get(level or next(reversed(list(curve)), ""))


def with_answers(card: Card, *, promise: float | None = None, answer: object = None) -> Card:
    """The card with the thresholds of another choice: what was promised, or how many media to answer.

    Args:
        card: of a model of taxa.
        promise: the share of right answers that is to be kept at each rank.
        answer: see `AnswerShare.parse`: the highest promise that answers so many media.

    Raises:
        UsageError: both or neither are given, the card keeps no choices, or none goes so far.
    """
    made = card.taxonomy.get("rollup") or {}
    choices: Sequence[Choice] = made.get("choices") or ()
    if (promise is None) == (answer is None):
        raise UsageError("Answers are chosen by a promise or by the share of photos to answer: give one.")
    if not choices:
        what = "it is no model of taxa" if not card.taxonomy else "it was trained before there were choices"
        raise UsageError(
            f"The answers of '{card.name}' cannot be chosen by a promise or a share: {what}. "
            "A least probability is `trapline write --threshold`."
        )
    if answer is not None:
        asked = AnswerShare.parse(answer)
        chosen = choose_by_share(choices, asked)
        if chosen is None:
            raise UsageError(
                f"The model cannot answer {100 * asked.share:.4g}% of photos{_at(asked.level)}: "
                f"{_most(choices, asked.level)}."
            )
    else:
        if not 0 < (promise or 0) < 1:
            raise UsageError(
                f"A promise is a share of right answers between 0 and 1, as 0.9, not {promise:g}."
            )
        keeping = [one for one in choices if one["promise"] >= (promise or 0)]
        if not keeping:
            raise UsageError(
                f"The card's choices promise {choices[-1]['promise']:g} at most, not {promise:g}."
            )
        chosen = min(keeping, key=lambda one: float(one["promise"]))
        asked = None
    record = {**made, "promise": chosen["promise"], "answer": None if asked is None else str(asked)}
    for of_another in ("chosen_on", "unanswered"):
        record.pop(of_another, None)
    changes = {
        "thresholds": dict(chosen["thresholds"]),
        "taxonomy": {
            **card.taxonomy,
            "rollup": {key: value for key, value in record.items() if value is not None},
        },
    }
    return card.model_copy(update=changes)


def describe_units(made: Mapping[str, Any]) -> str:
    """What a promise of a card's `rollup` was chosen over, for people: `17 locations and 4 seasons`."""
    axes: Mapping[str, int] = made.get("axes") or {}
    others = "".join(f" and {count} {name}" for name, count in axes.items())
    return f"{made['groups']} {made['over']}{others}"


def describe_answers(card: Card) -> str:
    """How many photos the answers of a model of taxa reach, and how often they are right; empty for others.

    It is of locations (or events) on which the thresholds were not chosen.
    """
    made = card.taxonomy.get("rollup") or {}
    of_promise = [one for one in made.get("choices") or () if one["promise"] == made.get("promise")]
    if not of_promise or not of_promise[0]["curve"]:
        return ""
    points: list[str] = []
    finer: Mapping[str, Any] = {}
    for level, point in reversed(list(of_promise[0]["curve"].items())):
        if point != finer and level != "kind":
            points.append(f"{point['answered']:.0%} at {level}{' or finer' if finer else ''}{_right(point)}")
        finer = point
    return f"on {made['over']} not chosen on, answered at a rank or as finely as can be: {'; '.join(points)}"


def _right(point: Mapping[str, Any]) -> str:
    if point.get("precision") is None:
        return ""
    interval = f" ({point['low']:.2f}–{point['high']:.2f})" if point.get("low") is not None else ""
    return f", {point['precision']:.2f}{interval} right"


def _most(choices: Sequence[Choice], level: str | None) -> str:
    """How many media can be answered at a level and at broader ones, rounded down: so many can be asked."""
    most: dict[str, float] = {}
    for choice in choices:
        for name, point in choice["curve"].items():
            most[name] = max(most.get(name, 0.0), float(point["answered"]))
    if not most:
        return "none that could be tried at other locations"
    levels = list(most)
    level = level or levels[-1]
    broader = [f"{name}:{_floor(most[name])}%" for name in levels[: levels.index(level)]]
    rather = f". Ask for less, or for a broader rank: {', '.join(broader)}" if broader else ""
    return f"{_floor(most[level])}% at most{rather}"


def _floor(share: float) -> int:
    return int(100 * share + 1e-9)


def _at(level: str | None) -> str:
    return f" at {level}" if level else ""
