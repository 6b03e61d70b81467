"""Where persons differ, when that is settled, and how much they agree beyond chance."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from test_log import EVENTS, decision

from trapline.review import (
    SETTLING,
    Decision,
    DecisionLog,
    Sighting,
    Suggestion,
    agreements,
    cohens_kappa,
    disagreements,
)


@pytest.fixture
def log(tmp_path: Path) -> DecisionLog:
    return DecisionLog.create(tmp_path / "decisions.db")


def differing(log: DecisionLog, **options: bool) -> list[tuple[str, list[tuple[str, str]], bool]]:
    return [
        (one.event, [(by.person, "+".join(by.labels)) for by in one.answers], one.settled)
        for one in disagreements(log, **options)
    ]


def test_whoever_differs_is_listed_with_both_words_and_times(log: DecisionLog) -> None:
    log.add_all([decision(1, "Anna", label="fox"), decision(2, "Ben", label="deer")])
    log.add_all([decision(3, "Anna", "event:2"), decision(4, "Ben", "event:2")])
    log.add_all([decision(5, "Ben", "media:e", label="cannot tell")])
    (one,) = disagreements(log)
    assert [(by.person, by.labels, by.decided_at, by.decision_id) for by in one.answers] == [
        ("Anna", ("fox",), decision(1).decided_at, "1"),
        ("Ben", ("deer",), decision(2).decided_at, "2"),
    ]
    assert not one.settled
    log.add(decision(6, "Anna", "media:e", label="blank"))  # what one cannot tell the other can
    assert differing(log)[0] == ("media:e", [("Ben", ""), ("Anna", "blank")], False)
    log.take_back("2", "Ben")
    assert [event for event, *_ in differing(log)] == ["media:e"]


@pytest.mark.parametrize("who", ["Anna", "Ben", "Cleo"])
@pytest.mark.parametrize("label", ["fox", "deer", "wolf"])
def test_it_is_settled_by_whoever_decided_after_having_been_shown_both(
    who: str, label: str, log: DecisionLog
) -> None:
    log.add_all([decision(1, "Anna", label="fox"), decision(2, "Ben", label="deer")])
    log.add(decision(3, who, label=label, minutes=2.5))  # not shown
    assert differing(log) or (who, label) in {("Anna", "deer"), ("Ben", "fox")}
    log.add(decision(4, who, label=label, stream=SETTLING))
    assert differing(log) == []
    log.add(decision(5, "Dora", label="boar"))
    assert [event for event, *_ in differing(log)] == ["event:1"]
    log.take_back("5", "Dora")
    assert differing(log) == []
    assert all(one.settled for one in disagreements(log, settled=True))
    log.take_back("4", who)
    log.take_back("3", who)
    assert [event for event, *_ in differing(log)] == ["event:1"]


@pytest.mark.parametrize(
    ("whole", "frames", "differ"),
    [
        ("fox", "fox", False),
        ("fox", "blank", False),  # the fox is on the others
        ("fox", "deer", True),
        ("fox", "cannot tell", True),
        ("blank", "fox", True),
        ("blank", "blank", False),
    ],
)
def test_what_is_said_of_an_event_says_nothing_of_a_single_media(
    whole: str, frames: str, differ: bool, log: DecisionLog
) -> None:
    log.add_all([decision(1, "Anna", label=whole), decision(2, "Ben", names=("b",), label=frames)])
    assert bool(disagreements(log)) == differ
    assert agreements(log) == []  # they did not answer the same question


def test_frames_together_are_an_answer_for_their_event(log: DecisionLog) -> None:
    seen = (Sighting("fox"), Sighting("deer", 2))
    log.add(decision(1, "Anna", labels=seen))
    for number, (name, label) in enumerate((("a", "deer"), ("b", "blank"), ("c", "fox")), start=2):
        log.add(decision(number, "Ben", names=(name,), label=label))
    assert disagreements(log) == []
    (both,) = agreements(log)
    assert (both.person, both.other, both.events, both.agreed) == ("Anna", "Ben", 1, 1)


def many(person: str, labels: list[str], first: int, **others: object) -> list[Decision]:
    """One decision an event, of an event each."""
    return [
        decision(first + index, person, label=label, event=f"media:{index}", names=(f"{index}",), **others)
        for index, label in enumerate(labels)
    ]


def test_agreement_is_of_what_people_decided_by_themselves(log: DecisionLog) -> None:
    anna = ["fox", "fox", "deer", "blank", "fox", "cannot tell", "deer", "fox"]
    ben = ["fox", "deer", "deer", "blank", "fox", "fox", "cannot tell", "boar"]
    suggestion = Suggestion("model:abc", ("fox",), 0.5)
    log.add_all(many("Anna", anna, 0, suggestion=suggestion, of_event=True))
    log.add_all(many("Ben", ben, 100))
    log.add_all(many("Ben", anna, 200, stream=SETTLING))  # Ben gives in, which is no agreement
    people, suggested = agreements(log)
    assert (people.person, people.other) == ("Anna", "Ben")
    assert (people.events, people.agreed, people.untold) == (6, 4, 2)
    told = [(a, b) for a, b in zip(anna, ben, strict=True) if "cannot tell" not in (a, b)]
    expected = cohen_kappa_score(*zip(*told, strict=True))
    assert people.kappa.value == pytest.approx(expected)
    assert people.share.value == pytest.approx(4 / 6)
    assert (suggested.person, suggested.other) == ("Anna", "suggestion")
    assert (suggested.events, suggested.agreed, suggested.untold) == (7, 4, 1)


def test_kappa_is_that_of_scikit_learn_and_has_an_honest_interval() -> None:
    answers = list("aaaabbbbccccaaab")
    others = list("aaabbbbaccccaaba")
    kappa = cohens_kappa(answers, others)
    assert kappa.value == pytest.approx(cohen_kappa_score(answers, others))
    assert kappa.low is not None
    assert kappa.high is not None
    assert kappa.low < kappa.value < kappa.high <= 1
    # all alike: certain is nothing of it
    alike = cohens_kappa(list("aabbc"), list("aabbc"))
    assert alike.value == 1
    assert alike.low is not None
    assert alike.low < 0.6
    for undefined in (cohens_kappa([], []), cohens_kappa(["a", "a"], ["a", "a"])):
        assert (undefined.value, undefined.low, undefined.high) == (None, None, None)


def test_the_interval_of_kappa_holds_the_truth() -> None:
    chance = np.random.default_rng(3)
    shares, right = np.array([0.5, 0.3, 0.15, 0.05]), 0.95
    confusion = np.full((4, 4), (1 - right) / 3)
    np.fill_diagonal(confusion, right)
    joint = (confusion * shares[:, None]).T @ confusion
    agree, by_chance = np.trace(joint), joint.sum(0) @ joint.sum(1)
    truth = (agree - by_chance) / (1 - by_chance)
    inside = 0
    for _ in range(300):
        cells = chance.choice(16, 40, p=joint.ravel())
        kappa = cohens_kappa([str(cell // 4) for cell in cells], [str(cell % 4) for cell in cells])
        inside += bool(kappa.low is not None and kappa.low <= truth <= (kappa.high or 0))
    assert inside >= 0.93 * 300


def test_a_log_of_one_person_has_nobody_who_differs(log: DecisionLog) -> None:
    assert disagreements(log) == []
    assert agreements(log) == []
    log.add_all([decision(number, event=event) for number, event in enumerate(EVENTS)])
    assert disagreements(log, settled=True) == []
    assert agreements(log) == []
