"""A model of taxa answers more or surer afterwards, by what its card keeps."""

from typing import Any

import pytest

from trapline.errors import UsageError
from trapline.images import Preprocessing
from trapline.models import Card, card_doubts, describe_answers, with_answers
from trapline.models.answer_choices import choose_by_share
from trapline.taxonomy import AnswerShare


def point(answered: float, precision: float) -> dict[str, float]:
    return {"answered": answered, "precision": precision, "low": precision - 0.1, "high": precision + 0.1}


CHOICES = [
    {
        "promise": promise,
        "thresholds": {"family": promise / 2, "species": promise},
        "curve": {"kind": point(1, 1), "family": point(family, 0.9), "species": point(species, promise)},
    }
    for promise, family, species in ((0.5, 1.0, 0.9), (0.7, 0.9, 0.8), (0.9, 0.5, 0.2), (0.95, 0.4, 0.0))
]
ROLLUP: dict[str, Any] = {
    "promise": 0.95,
    "confidence": 0.9,
    "media": 90,
    "groups": 9,
    "over": "locations",
    "unanswered": 80,
    "choices": CHOICES,
}


def card_of(**rollup: Any) -> Card:
    return Card(
        name="m",
        task="single-label",
        labels=("fox", "hare"),
        preprocessing=Preprocessing(height=8, width=8),
        embedding_size=4,
        taxonomy={"rollup": ROLLUP | rollup},
    )


@pytest.mark.parametrize(
    ("asked", "promise"),
    [
        ({"answer": "80%"}, 0.7),
        ({"answer": 0.8}, 0.7),
        ({"answer": "species:81 %"}, 0.5),
        ({"answer": "family:50%"}, 0.9),
        ({"promise": 0.9}, 0.9),
        ({"promise": 0.6}, 0.7),
    ],
)
def test_the_surest_choice_that_answers_so_many_or_keeps_so_much_is_taken(
    asked: dict[str, Any], promise: float
) -> None:
    chosen = with_answers(card_of(), **asked)
    assert chosen.taxonomy["rollup"]["promise"] == promise
    assert chosen.thresholds == {"family": promise / 2, "species": promise}
    assert "unanswered" not in chosen.taxonomy["rollup"]
    assert chosen.taxonomy["rollup"].get("answer") == (
        str(AnswerShare.parse(asked["answer"])) if "answer" in asked else None
    )


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"answer": "95%"}, "cannot answer 95% of photos: 90% at most"),
        ({"answer": "99.5%"}, r"99.5% of photos: 90% at most.* broader rank: kind:\d+%, family:\d+%"),
        ({"promise": 0.0}, "between 0 and 1, as 0.9, not 0"),
        ({"promise": 1.0}, "between 0 and 1, as 0.9, not 1"),
        ({"promise": float("nan")}, "between 0 and 1, as 0.9, not nan"),
        ({"answer": "genus:50%"}, "no rank genus; it has kind, family, species"),
        ({"answer": "most"}, "as in 80% or 0.8"),
        ({"answer": "0%"}, "as in 80% or 0.8"),
        ({"answer": "80"}, "as in 80% or 0.8"),
        ({"promise": 0.99}, "promise 0.95 at most, not 0.99"),
        ({}, "give one"),
        ({"promise": 0.9, "answer": "80%"}, "give one"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(asked: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        with_answers(card_of(), **asked)


def test_models_without_choices_say_why() -> None:
    with pytest.raises(UsageError, match="trained before"):
        with_answers(card_of(choices=[]), answer="80%")
    with pytest.raises(UsageError, match=r"no model of taxa.*--threshold"):
        with_answers(card_of().model_copy(update={"taxonomy": {}}), promise=0.9)


def test_what_holds_is_told_with_its_interval_and_so_is_what_was_not_reached() -> None:
    told = describe_answers(with_answers(card_of(), answer="80%"))
    assert "80% at species, 0.70 (0.60–0.80) right; 90% at family or finer, 0.90 (0.80–1.00) right" in told
    wanted = card_of(promise=0.5, answer="0.99").model_copy(update={"thresholds": {"species": 0.5}})
    assert any("reaches that: this is the lowest" in doubt for doubt in card_doubts(wanted))
    assert choose_by_share([], AnswerShare(0.5)) is None


def test_what_is_told_to_be_the_most_can_be_asked_for() -> None:
    choices = [
        one | {"curve": {level: point | {"answered": 0.799} for level, point in one["curve"].items()}}
        for one in ROLLUP["choices"]
    ]
    with pytest.raises(UsageError, match="80% of photos: 79% at most"):
        with_answers(card_of(choices=choices), answer="80%")
    assert with_answers(card_of(choices=choices), answer="79%").thresholds
