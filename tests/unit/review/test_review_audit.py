"""The audit: what is drawn, that streams cannot spoil it, and that its intervals hold what is true."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from trapline.errors import DataError, UsageError
from trapline.metrics import Estimate
from trapline.review import (
    Audit,
    AuditEstimate,
    Chosen,
    DecidedMedia,
    Decision,
    DecisionLog,
    Sighting,
    Situation,
    describe_overview,
    overview,
)
from trapline.review.chance import _document as page_document
from trapline.review.drawing import Drawing
from trapline.review.estimates import Audited, estimate_quality, stand_for
from trapline.taxonomy import taxonomy_from_csv

EVENTS = [f"event:{number:03}" for number in range(60)]
ANSWERS = [["deer"]] * 40 + [["fox"]] * 15 + [["boar"]] * 5
SAID = dict(zip(EVENTS, ANSWERS, strict=True))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[DecisionLog]:
    with DecisionLog.create(tmp_path / "decisions.db") as log:
        yield log


@pytest.fixture
def decide(log: DecisionLog) -> Callable[..., None]:
    """Keep what a person says of an event; no labels: blank; None: cannot tell."""

    def decide(event: str, labels: Sequence[str] | None, *, asked: str, media: str | None = None) -> None:
        name = media or event
        log.add(
            Decision(
                decision_id=f"{name} {len(log)}",
                person="Ada",
                decided_at=log.now(),
                event=event,
                media=(DecidedMedia(f"{name}.jpg", f"{name}.jpg", None, None),),
                of_event=media is None,
                verdict="cannot tell" if labels is None else "seen" if labels else "blank",
                labels=tuple(Sighting(label) for label in labels or ()),
                asked=asked,  # type: ignore[arg-type]
            )
        )

    return decide


def situation(events: Sequence[str], decided: Sequence[str] = ()) -> Situation:
    """Of these events; the first is the most doubtful."""
    count = len(events)
    is_decided = np.isin(events, list(decided))
    return Situation(
        events=events,
        locations=np.full(count, -1),
        times=np.arange(count, dtype=float),
        labels=("deer",),
        decided=np.where(is_decided, 0, -1),
        open=~is_decided,
        known=np.full(count, -1),
    )


def in_order(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
    """A stream that asks for the open events in their order, two and two together."""
    events = np.flatnonzero(situation.open & (situation.decided == -1))[:count]
    return Chosen(events, np.arange(len(events)) // 2)


def draw(audit: Audit, count: int, role: str = "audit", barred: Sequence[str] = ()) -> list[str]:
    drawn = [audit.next(role, barred) for _ in range(count)]  # type: ignore[arg-type]
    return [one.event for one in drawn if one]


# --- what is drawn


def test_half_of_the_draws_go_by_size_and_rare_labels_get_some(log: DecisionLog) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    counts = Counter(SAID[event][0] for event in draw(audit, 18))
    assert counts == {"deer": 7, "fox": 6, "boar": 5}
    assert len(draw(audit, 100)) == 42  # every event once, and no end before that


def test_draws_to_calibrate_on_go_by_size_alone_and_are_others(log: DecisionLog) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    audited, calibrating = draw(audit, 6), draw(audit, 12, "calibration")
    assert Counter(SAID[event][0] for event in calibrating) == {"deer": 8, "fox": 3, "boar": 1}
    assert not set(audited) & set(calibrating)
    assert {audit.role(event) for event in audited} == {"audit"}
    assert {audit.role(event) for event in calibrating} == {"calibration"}
    assert audit.role("event:nobody") == "chosen"


def test_every_event_of_a_stratum_is_as_likely_to_be_drawn() -> None:
    counts = np.zeros(12)
    for seed in range(2000):
        ranks = np.random.default_rng(seed).permutation(12)
        drawing = Drawing(np.repeat([0, 1], [8, 4]), ranks)
        for _ in range(6):
            drawing.next("audit", np.zeros(12, bool))
        counts[list(drawing.roles)] += 1
    assert counts[:8] / 2000 == pytest.approx(np.full(8, counts[:8].mean() / 2000), abs=0.04)
    assert counts[8:] / 2000 == pytest.approx(np.full(4, counts[8:].mean() / 2000), abs=0.04)
    assert counts.sum() == 6 * 2000


def test_what_is_lent_or_decided_is_not_drawn_and_may_be_later(log: DecisionLog) -> None:
    audit = Audit.open(log, EVENTS[:3], ANSWERS[:3], seed=1)
    assert draw(audit, 3, barred=EVENTS[:2]) == [EVENTS[2]]
    assert sorted(draw(audit, 3)) == EVENTS[:2]


def test_an_audit_goes_on_where_it_was_stopped(log: DecisionLog, tmp_path: Path) -> None:
    whole = Audit.open(log, EVENTS, ANSWERS, seed=7)
    with DecisionLog.create(tmp_path / "other.db") as other:
        draw(Audit.open(other, EVENTS, ANSWERS, seed=7), 10)
        for _ in range(10):
            again = Audit.resume(other)
            assert again is not None
            draw(again, 1)
        assert other.drawn()["event"].to_list() == draw(whole, 20)
    rows = log.drawn()
    assert rows.filter(rows["stratum"] == "boar")["position"].to_list() == [0, 1, 2, 3, 4]
    assert rows["chance"][0] == 1 / 40


def test_what_could_not_be_kept_was_not_drawn(log: DecisionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)

    def full(draws: object) -> int:
        raise DataError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(log, "draw", full)
        with pytest.raises(DataError, match="full"):
            audit.next("audit")
    (event,) = draw(audit, 1)
    assert log.drawn()["event"].to_list() == [event]
    assert list(audit.drawing.roles) == [EVENTS.index(event)]


def test_one_audit_at_a_time_and_another_after_it(log: DecisionLog) -> None:
    assert Audit.resume(log) is None
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    with pytest.raises(UsageError, match="go on with it, or close it first"):
        Audit.open(log, EVENTS, ANSWERS, seed=2)
    audit.close()
    assert Audit.resume(log) is None
    assert Audit.open(log, EVENTS, ANSWERS, seed=2).number == audit.number + 1
    with pytest.raises(DataError, match="closed"):
        audit.next("audit")


def test_new_events_join_and_may_be_drawn(log: DecisionLog) -> None:
    audit = Audit.open(log, EVENTS[:10], ANSWERS[:10], seed=1)
    before = draw(audit, 4)
    audit.follow(EVENTS, ANSWERS)
    again = Audit.resume(log)
    assert again is not None
    assert set(again.strata) == {"deer", "boar (joined 1)", "deer (joined 1)", "fox (joined 1)"}
    assert [again.role(event) for event in before] == ["audit"] * 4
    assert sorted(before + draw(again, 100)) == EVENTS


def test_strata_are_told_apart_once_there_are_suggestions(log: DecisionLog) -> None:
    audit = Audit.open(log, EVENTS, [()] * 60, seed=1)
    assert audit.strata == ["all"]
    before = draw(audit, 6)
    audit.follow(EVENTS, ANSWERS)
    audit.follow(EVENTS, [["cat"]] * 60)  # once only: those drawn since stand for their strata
    again = Audit.resume(log)
    assert again is not None
    assert again.strata == audit.strata == ["boar", "deer", "fox"]
    later = draw(again, 12)
    assert not set(before) & set(later)
    assert Counter(SAID[event][0] for event in before + later)["boar"] >= 4


# --- streams do not see it


def test_a_stream_picks_drawn_events_too_and_they_are_not_asked_again(log: DecisionLog) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=3)
    drawn = draw(audit, 20)
    asked = audit.ask_stream(in_order, situation(EVENTS, drawn), 10, np.random.default_rng(0))
    unseen = [event for event in EVENTS if event not in drawn]
    assert [EVENTS[row] for row in asked.events] == unseen[:10]
    assert asked.groups is not None
    assert max(Counter(asked.groups.tolist()).values()) <= 2
    last = EVENTS.index(unseen[9])
    assert set(audit.picked) == set(drawn) & set(EVENTS[: last + 1])
    again = Audit.resume(log)
    assert again is not None
    assert again.picked == audit.picked


def test_what_a_stream_picked_is_open_until_what_it_asked_for_after_it_is_decided(log: DecisionLog) -> None:
    """A stream that is left before its turn has picked nothing; its events are still there to be asked."""
    events = EVENTS[:8]
    audit = Audit.open(log, events, ANSWERS[:8], seed=1)
    drawn = draw(audit, 4)
    rest = [event for event in events if event not in drawn]
    assert [events.index(event) for event in drawn if event < rest[1]], "the seed puts some before the second"

    def open_for_a_stream(decided: Sequence[str]) -> list[str]:
        shown: list[list[str]] = []

        def watched(situation: Situation, count: int, random: np.random.Generator) -> Chosen:
            shown.append([events[row] for row in np.flatnonzero(situation.open)])
            return in_order(situation, count, random)

        audit.ask_stream(watched, situation(events, [*drawn, *decided]), 8, np.random.default_rng(0))
        return shown[0]

    assert open_for_a_stream([]) == events
    assert open_for_a_stream([]) == events
    assert open_for_a_stream(rest[:2]) == [event for event in events if event > rest[1]]
    assert open_for_a_stream(rest) == []


def test_a_stream_that_has_nothing_left_asks_less(log: DecisionLog) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=3)
    drawn = draw(audit, 58)
    rest = audit.ask_stream(in_order, situation(EVENTS, drawn), 10, np.random.default_rng(0))
    assert {EVENTS[row] for row in rest.events} == set(EVENTS) - set(drawn)


# --- what it says


def test_what_people_decided_is_known_and_what_was_drawn_stands_for_the_rest(
    log: DecisionLog, decide: Callable[..., None]
) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    drawn = draw(audit, 18)  # 7 deer of 40, 6 foxes of 15, all 5 boars
    wrong = [event for event in drawn if SAID[event] == ["deer"]][:2]
    for event in drawn:
        decide(event, ["fox"] if event in wrong else SAID[event], asked="audit")
    chosen = [event for event in EVENTS if event not in drawn][:12]  # deer that streams asked for
    for event in chosen:
        decide(event, [], asked="chosen")
    estimate = audit.estimate(SAID, log.current())
    # 21 deer are unseen, each drawn one of 7 stands for 3 of them; 9 foxes, each of 6 for 1.5
    assert (estimate.audited, estimate.waiting, estimate.cannot_tell) == (18, 0, 0)
    assert estimate.unseen.events == 30
    assert estimate.unseen.accuracy.value == pytest.approx((5 * 3 + 9) / 30)
    assert estimate.table.accuracy.value == pytest.approx((30 + 24) / 60)
    assert estimate.table.by_label["fox"].precision.value == pytest.approx(1)
    assert estimate.table.by_label["fox"].recall.value == pytest.approx((8 + 9) / (8 + 9 + 6))
    assert estimate.table.by_label["deer"].precision.value == pytest.approx((5 + 15) / (5 + 21))
    assert estimate.unseen.by_label["deer"].precision.value == pytest.approx(5 / 7)
    assert estimate.table.by_label["blank"].recall.high == 1
    assert estimate.unseen.by_label["boar"].precision.value is None  # none is left
    table, unseen = estimate.table.accuracy, estimate.unseen.accuracy
    assert width(table) == pytest.approx(width(unseen) / 2)


def test_what_a_stream_picked_as_well_stands_for_itself_alone(
    log: DecisionLog, decide: Callable[..., None]
) -> None:
    """The doubtful half of the events is wrong and a stream asks for it: what is left is right."""
    events, answers = EVENTS[:40], [["deer"]] * 40
    audit = Audit.open(log, events, answers, seed=2)
    drawn = draw(audit, 12)
    asked = audit.ask_stream(
        in_order, situation(events, drawn), 20 - sum(e < events[20] for e in drawn), np.random.default_rng(0)
    )
    for rows, why in ((drawn, "audit"), ([events[row] for row in asked.events], "chosen")):
        for event in rows:
            decide(event, ["fox"] if event < events[20] else ["deer"], asked=why)
    estimate = audit.estimate(dict(zip(events, answers, strict=True)), log.current())
    assert 0 < estimate.audited < 12
    assert estimate.unseen.accuracy.value == 1
    assert estimate.unseen.events == 20 - estimate.audited


def test_decisions_on_drawn_events_from_elsewhere_are_no_audit(
    log: DecisionLog, decide: Callable[..., None]
) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    first, second = draw(audit, 2)
    decide(first, ["deer"], asked="audit")
    decide(second, ["deer"], asked="chosen")
    assert audit.estimate(SAID, log.current()).audited == 1


def test_what_cannot_be_told_is_counted_and_bounds_are_given(
    log: DecisionLog, decide: Callable[..., None]
) -> None:
    audit = Audit.open(log, EVENTS, [["deer"]] * 60, seed=1)
    answers = {event: ["deer"] for event in EVENTS}
    drawn = draw(audit, 22)
    for event in drawn[:16]:
        decide(event, ["deer"], asked="audit")
    for event in drawn[16:20]:
        decide(event, None, asked="audit")
    estimate = audit.estimate(answers, log.current())
    assert (estimate.audited, estimate.cannot_tell, estimate.waiting) == (16, 4, 2)
    assert estimate.unseen.accuracy.value == 1
    assert estimate.unseen.events == 32  # 40 unseen, of which 4 in 20 could not be told
    assert estimate.accuracy_if is not None
    assert estimate.accuracy_if[0] < 0.7
    assert estimate.accuracy_if[1] == 1


def test_an_event_is_answered_when_all_its_media_are(log: DecisionLog, decide: Callable[..., None]) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    (event,) = draw(audit, 1)
    decide(event, ["deer"], asked="audit", media="first")
    half = audit.estimate(SAID, log.current(), {event: 2})
    assert (half.audited, half.waiting) == (0, 1)
    decide(event, ["fox"], asked="audit", media="second")
    whole = audit.estimate(SAID | {event: ["deer", "fox"]}, log.current(), {event: 2})
    assert (whole.audited, whole.waiting) == (1, 0)
    assert whole.unseen.accuracy.value == 1  # of several labels all, and no other


def test_events_without_an_answer_are_missed_and_not_wrong(
    log: DecisionLog, decide: Callable[..., None]
) -> None:
    answers = {event: ["deer"] if event < EVENTS[30] else [] for event in EVENTS}
    audit = Audit.open(log, EVENTS, list(answers.values()), seed=1)
    for event in draw(audit, 20):
        decide(event, ["deer"], asked="audit")
    estimate = audit.estimate(answers, log.current())
    assert estimate.unseen.accuracy.value == 1
    assert estimate.unseen.by_label["deer"].precision.value == 1
    assert estimate.unseen.by_label["deer"].recall.value == pytest.approx(0.5)
    assert estimate.without_answer == 20


def test_before_anything_is_audited_nothing_is_known(log: DecisionLog, decide: Callable[..., None]) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    decide(EVENTS[0], ["deer"], asked="chosen")
    estimate = audit.estimate(SAID, log.current())
    accuracy = estimate.unseen.accuracy
    assert (accuracy.value, accuracy.low, accuracy.high) == (None, 0, 1)
    assert estimate.table.accuracy.low == pytest.approx(1 / 60)
    assert estimate.narrower is None


def test_the_last_estimate_is_kept_after_the_audit(log: DecisionLog, decide: Callable[..., None]) -> None:
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    for event in draw(audit, 10):
        decide(event, SAID[event], asked="audit")
    estimate = audit.estimate(SAID, log.current())
    audit.keep(estimate)
    audit.close()
    kept = Audit.last_estimate(log)
    assert kept is not None
    assert kept["audited"] == 10
    assert kept["unseen"]["accuracy"]["low"] == estimate.unseen.accuracy.low
    assert kept["table"]["by_label"]["deer"]["precision"]["value"] == 1


KINDS = {event: [("animal", "person", "vehicle")[number % 3]] for number, event in enumerate(EVENTS)}


def decided_of(answer: list[str], event: str) -> list[str]:
    """What a person says of an event that a detector called so: as it is called among people."""
    return {"animal": [("bobcat", "deer")[int(event[-1]) % 2]], "person": ["human"]}.get(answer[0], answer)


def test_an_answer_that_is_a_kind_is_right_of_its_labels(
    log: DecisionLog, decide: Callable[..., None]
) -> None:
    audit = Audit.open(log, EVENTS, list(KINDS.values()), seed=1)
    drawn = draw(audit, 30)
    for event in drawn:
        decide(event, decided_of(KINDS[event], event), asked="audit")
    estimate = audit.estimate(KINDS, log.current())
    assert estimate.unseen.accuracy.value == estimate.table.accuracy.value == 1
    animals = sum(KINDS[event] == ["animal"] for event in drawn)
    assert estimate.coarser == animals, "person and human are two names of the same"
    assert estimate.unseen.exact.value == pytest.approx((30 - (20 - animals)) / 30)
    of_label = estimate.unseen.by_label
    assert of_label["animal"].precision.value == of_label["animal"].recall.value == 1
    assert of_label["person"].precision.value == of_label["human"].recall.value == 1
    assert of_label["bobcat"].recall.value == 0, "nobody but a person finds a bobcat"
    audit.keep(estimate)
    told = list(describe_overview(overview(log)))
    assert (
        f"    {animals} of the audited answers say less than what is seen (animal of a fox), and count"
        in "".join(told)
    )
    assert any(line.startswith("    exactly what is seen: 0.") for line in told)
    assert page_document(estimate)["coarser"] == animals


def test_a_kind_is_wrong_of_another_and_a_label_of_its_kind(
    log: DecisionLog, decide: Callable[..., None]
) -> None:
    audit = Audit.open(log, EVENTS, list(KINDS.values()), seed=1)
    for event in draw(audit, 30):
        decide(event, ["bobcat"], asked="audit")
    right = audit.estimate(KINDS, log.current()).unseen.accuracy.value
    assert right == pytest.approx(1 / 3, abs=0.1), "only of what is called an animal"
    finer = audit.estimate({event: ["lynx"] for event in EVENTS}, log.current())
    assert (finer.unseen.accuracy.value, finer.coarser) == (0, 0)
    said_more = audit.estimate({event: ["animal", "vehicle"] for event in EVENTS}, log.current())
    assert said_more.unseen.accuracy.value == 0, "there is no vehicle"


def test_by_a_taxonomy_an_answer_above_the_label_is_right(
    log: DecisionLog, decide: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(
        "label,family,genus,species,kind\n"
        "deer,Cervidae,,,animal\n"
        "roe deer,Cervidae,Capreolus,Capreolus capreolus,animal\n"
    )
    tree = taxonomy_from_csv(tmp_path / "t.csv")
    audit = Audit.open(log, EVENTS, ANSWERS, seed=1)
    for event in draw(audit, 20):
        decide(event, ["roe deer"], asked="audit")
    answers = {event: ["deer"] for event in EVENTS}
    assert audit.estimate(answers, log.current()).unseen.accuracy.value == 0
    assert audit.estimate(answers, log.current(), taxonomy=tree).unseen.accuracy.value == 1


def test_what_more_would_bring_is_what_it_brings() -> None:
    """For events like those audited so far: ± the next half width after about so many more."""
    right = np.random.default_rng(3).random(5000) < 0.8
    first = quality(right, 80)
    narrower = first.narrower
    assert narrower is not None
    later = quality(right, 80 + narrower.more).unseen.accuracy
    assert width(later) / 2 == pytest.approx(narrower.half_width, rel=0.1)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def quality(right: npt.NDArray[np.bool_], audited: int) -> AuditEstimate:
    truth, drawn = np.stack([right, ~right], axis=1), np.arange(len(right)) < audited
    answers = np.zeros_like(truth)
    answers[:, 0] = True
    none = np.zeros(len(right), bool)
    return estimate_quality(
        Audited(("deer", "fox"), answers, truth & drawn[:, None], none.astype(int), none, drawn)
    )


def test_rare_strata_without_a_draw_stand_together() -> None:
    strata = np.repeat([0, 1, 2, 3], [50, 4, 3, 2])
    drawn = np.zeros(59, bool)
    drawn[[0, 1, 2, 3, 4, 50]] = True
    weights = stand_for(strata, ~drawn, drawn)
    assert weights[0] == 45 / 5
    assert (weights[50:] == 8).all()  # one of nine: it stands for the other eight
    assert weights[drawn].sum() == (~drawn).sum()


# --- the intervals hold the truth


def review(
    random: np.random.Generator, *, stop: int = 60, asks: int = 3, blind: bool = True, weighted: bool = True
) -> tuple[Audited, npt.NDArray[np.bool_]]:
    """What is known of a review that is stopped after so many audited events, and the truth.

    6 % of 1,300 `deer` are wrong, and half of 200 `fox`; a stream asks for those that are likeliest wrong.
    """
    answers = (np.arange(1500) >= 1300).astype(int)
    wrong = random.random(1500) < np.where(answers, 0.5, 0.06)
    doubt = random.random(1500) + 0.9 * wrong
    drawing = Drawing(answers, random.permutation(1500))
    drawn, decided, picked = (np.zeros(1500, bool) for _ in range(3))
    order = iter(np.argsort(-doubt))
    while drawn.sum() < stop:
        one = drawing.next("audit", decided)
        assert one is not None
        drawn[one[0]] = True
        for _ in range(asks):
            event = next(order)
            while not blind and drawn[event]:
                event = next(order)
            (picked if drawn[event] else decided)[event] = True
    truth = np.eye(2, dtype=bool)[np.where(wrong, 1 - answers, answers)]
    known = truth & (drawn | decided)[:, None]
    strata = answers if weighted else np.zeros(1500, int)
    audited = Audited(
        ("deer", "fox"), np.eye(2, dtype=bool)[answers], known, strata, decided | picked, drawn & ~picked
    )
    return audited, truth


def coverage(reviews: int, **how: Any) -> dict[str, float]:
    """The share of reviews whose interval holds the figure that it is of."""
    random, held = np.random.default_rng(11), Counter[str]()
    for seed in range(reviews):
        audited, truth = review(random, **how)
        estimate = estimate_quality(audited, seed)
        unseen = ~audited.decided & ~audited.drawn
        answers = np.where(unseen[:, None], audited.answers, truth)
        figures = {"unseen": (estimate.unseen, unseen), "table": (estimate.table, np.ones_like(unseen))}
        for name, (quality_of, rows) in figures.items():
            right = (answers == truth).all(axis=1)[rows]
            held[f"{name} accuracy"] += holds(quality_of.accuracy, right.sum(), right.size)
            for column, label in enumerate(audited.labels):
                named, shown = answers[rows, column], truth[rows, column]
                both = (named & shown).sum()
                of_label = quality_of.by_label[label]
                held[f"{name} {label} precision"] += holds(of_label.precision, both, named.sum())
                held[f"{name} {label} recall"] += holds(of_label.recall, both, shown.sum())
    return {name: count / reviews for name, count in held.items()}


def holds(estimate: Estimate, part: int, whole: int) -> bool:
    if not whole:
        return True
    assert estimate.low is not None
    assert estimate.high is not None
    return bool(estimate.low - 1e-12 <= part / whole <= estimate.high + 1e-12)


def test_intervals_hold_the_truth_while_a_stream_looks_for_errors() -> None:
    assert min(coverage(100).values()) >= 0.93


def test_they_would_not_without_weights_or_if_streams_saw_what_was_drawn() -> None:
    assert coverage(40, stop=200, asks=0, weighted=False)["unseen accuracy"] < 0.8
    assert coverage(40, stop=100, blind=False)["unseen accuracy"] < 0.8
