"""What every stream keeps to, and what each is for."""

from dataclasses import replace

import numpy as np
import pytest

from trapline.errors import DataError
from trapline.review import STREAMS, Situation, compact
from trapline.review.spread import stand_for

LABELS = ("blank", "deer", "fox", "lynx")


def a_situation(events: int = 60, seed: int = 0) -> Situation:
    """Events of three places in four heaps; a tenth decided, a tenth not open, some without an embedding."""
    random = np.random.default_rng(seed)
    heaps = random.integers(0, 4, events)
    embeddings = (10 * np.eye(4)[heaps] + random.normal(size=(events, 4))).astype(np.float32)
    embeddings[::9] = np.nan
    probabilities = random.dirichlet(np.ones(4), events)
    probabilities[::9] = np.nan
    decided = np.where(np.arange(events) % 10 == 3, heaps, -1)
    return Situation(
        events=[f"event:{number}" for number in range(events)],
        locations=random.integers(-1, 3, events),
        times=np.where(random.random(events) < 0.1, np.nan, random.random(events)),
        labels=LABELS,
        decided=decided,
        open=(decided == -1) & (np.arange(events) % 10 != 7),
        known=np.where(random.random(events) < 0.5, heaps, -1),
        boxed=random.random(events) < 0.7,
        embeddings=embeddings,
        probabilities=probabilities,
    )


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_a_stream_gives_open_events_once_and_as_many_as_it_can(name: str, count: int) -> None:
    stream, situation = STREAMS[name], a_situation()
    chosen = stream.choose(situation, count, np.random.default_rng(1))
    rows = chosen.events
    assert len(set(rows.tolist())) == len(rows)
    assert len(rows) == min(count, stream.left(situation))
    assert (situation.open & stream.candidates(situation))[rows].all()
    assert chosen.groups is None or len(chosen.groups) == len(rows)


@pytest.mark.parametrize("name", STREAMS)
def test_the_same_chance_gives_the_same_events(name: str) -> None:
    first, second = (STREAMS[name].choose(a_situation(), 9, np.random.default_rng(4)).events for _ in "ab")
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_is_asked_where_nothing_is_open(name: str) -> None:
    nothing = replace(a_situation(), open=np.zeros(60, bool))
    assert STREAMS[name].left(nothing) == 0
    assert STREAMS[name].choose(nothing, 5, np.random.default_rng(0)).events.tolist() == []


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_lacks_something_says_what(name: str) -> None:
    bare = replace(a_situation(), embeddings=None, probabilities=None, known=np.full(60, -1))
    lacks = STREAMS[name].lacks(bare)
    assert (lacks is None) == (name in ("random", "all"))
    assert STREAMS[name].lacks(a_situation()) is None


def test_start_meets_every_heap_before_it_meets_one_twice() -> None:
    situation = replace(a_situation(), decided=np.full(60, -1), boxed=None)
    chosen = STREAMS["start"].choose(situation, 4, np.random.default_rng(0)).events
    assert situation.embeddings is not None
    assert set(situation.embeddings[chosen].argmax(axis=1)) == {0, 1, 2, 3}


def test_start_asks_for_photos_without_a_box_last() -> None:
    situation = a_situation()
    assert situation.boxed is not None
    boxed = situation.open & situation.boxed & situation.seen
    chosen = STREAMS["start"].choose(situation, int(boxed.sum()), np.random.default_rng(0)).events
    assert boxed[chosen].all()


def test_start_shows_what_looks_alike_together() -> None:
    chosen = STREAMS["start"].choose(a_situation(), 12, np.random.default_rng(0))
    assert chosen.groups is not None
    assert chosen.groups.tolist() == sorted(chosen.groups.tolist())


def test_the_table_is_changed_most_by_the_only_record_of_a_species() -> None:
    probabilities = np.tile([0.0, 0.9, 0.1, 0.0], (20, 1))
    probabilities[5] = [0, 0.1, 0, 0.9]  # the only lynx
    probabilities[8] = [0.9, 0.1, 0, 0]  # blank: in no table
    situation = replace(
        a_situation(20),
        probabilities=probabilities,
        decided=np.full(20, -1),
        known=np.full(20, -1),
        locations=np.zeros(20, np.int64),
        open=np.ones(20, bool),
    )
    order = STREAMS["table"].choose(situation, 20, np.random.default_rng(0)).events.tolist()
    assert order[0] == 5
    assert order[-1] == 8


def test_a_first_record_at_a_location_comes_before_one_that_is_decided_there() -> None:
    situation = a_situation(30)
    situation = replace(
        situation,
        probabilities=np.tile([0.0, 0.9, 0.1, 0.0], (30, 1)),
        known=np.full(30, -1),
        locations=np.repeat([0, 1], 15),
        decided=np.where(np.arange(30) == 0, 1, -1),
        open=np.arange(30) > 0,
    )
    order = STREAMS["table"].choose(situation, 29, np.random.default_rng(0)).events
    assert (situation.locations[order[:15]] == 1).all()


def test_errors_begin_with_the_label_that_is_contradicted_most() -> None:
    situation = a_situation()
    assert situation.probabilities is not None
    probabilities = np.full((60, 4), 0.05)
    known = np.full(60, 1)
    probabilities[:, 1] = 0.85
    probabilities[2] = [0.0, 0.01, 0.99, 0.0]
    probabilities[4] = [0.0, 0.4, 0.6, 0.0]
    situation = replace(situation, probabilities=probabilities, known=known)
    assert STREAMS["errors"].choose(situation, 2, np.random.default_rng(0)).events.tolist() == [2, 4]


def test_all_goes_by_location_and_time() -> None:
    situation = a_situation()
    rows = STREAMS["all"].choose(situation, 1000, np.random.default_rng(0)).events
    keys = [(situation.locations[row], np.nan_to_num(situation.times[row], nan=9)) for row in rows]
    assert keys == sorted(keys)


def test_a_situation_whose_arrays_do_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="60 events has 3 locations"):
        replace(a_situation(), locations=np.zeros(3, np.int64))
    with pytest.raises(DataError, match="2 labels has 4 probabilities"):
        replace(a_situation(), labels=("a", "b"))


def test_compact_keeps_what_is_near_near_and_what_is_missing_missing() -> None:
    situation = a_situation()
    assert situation.embeddings is not None
    wide = np.repeat(situation.embeddings, 50, axis=1)
    small = compact(wide, 4)
    assert small.shape == (60, 4)
    assert (np.isnan(small[:, 0]) == ~situation.seen).all()
    there = np.flatnonzero(situation.seen)
    distances = ((small[there, None] - small[there]) ** 2).sum(axis=2) + np.diag(np.full(len(there), np.inf))
    nearest = there[distances.argmin(axis=1)]
    heaps = situation.embeddings.argmax(axis=1)
    assert (heaps[nearest] == heaps[there]).all()


def greedily(points: np.ndarray, count: int, decided: np.ndarray, worth: np.ndarray) -> list[int]:
    """What `stand_for` says, counted anew each time."""
    away = np.linalg.norm(points[:, None] - points, axis=2)
    ways = np.linalg.norm(points[:, None] - decided, axis=2).min(axis=1, initial=2 * away.max())
    chosen: list[int] = []
    for _ in range(count):
        gains = np.maximum(ways - away, 0).sum(axis=1) * worth
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        ways = np.minimum(ways, away[chosen[-1]])
    return chosen


@pytest.mark.parametrize("decided", [0, 5])
def test_who_stands_for_all_is_who_brings_them_nearest_each_time(decided: int) -> None:
    random = np.random.default_rng(decided)
    points = random.normal(size=(80, 3)).astype(np.float32)
    worth = random.uniform(0.5, 1, 80)
    chosen = stand_for(points, 12, points[:decided], random, worth)
    assert chosen.tolist() == greedily(points, 12, points[:decided], worth)


def test_the_first_of_all_is_the_medoid() -> None:
    points = np.array([[0.0], [1], [2], [3], [100]], np.float32)
    assert stand_for(points, 1, points[:0], np.random.default_rng(0)).tolist() == [2]


def test_a_sample_of_very_many_events_is_enough_to_stand_for_all() -> None:
    points = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    chosen = stand_for(points, 50, points[:0], np.random.default_rng(1))
    assert len(set(chosen.tolist())) == 50
    ways = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1)
    by_chance = np.linalg.norm(points[:, None] - points[:50], axis=2).min(axis=1)
    assert ways.mean() < 0.9 * by_chance.mean()


def test_learn_asks_where_the_model_is_in_doubt() -> None:
    situation = a_situation()
    assert situation.embeddings is not None
    sure = situation.embeddings.argmax(axis=1) > 0
    probabilities = np.where(sure[:, None], [0.0, 1, 0, 0], [0.4, 0.3, 0.3, 0])
    situation = replace(situation, probabilities=probabilities)
    doubted = situation.open & situation.seen & ~sure
    chosen = STREAMS["learn"].choose(situation, int(doubted.sum()), np.random.default_rng(0)).events
    assert doubted[chosen].all()
