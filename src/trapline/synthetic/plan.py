"""Who passes where and when: the events of a location, uneven as in life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from trapline.synthetic.animals import KINDS, AnimalKind
from trapline.synthetic.camera import Camera
from trapline.synthetic.sprite import Individual, Pose, draw_individual

RANKS = (0.68, 0.16, 0.08, 0.04, 0.03, 0.01)  # shares of a location's first, second … kind
FRAMES = 3
LEAST_GAP = timedelta(minutes=20)


@dataclass(frozen=True)
class Actor:
    """One animal in one frame: where its feet are, metres right of and away from the camera."""

    animal: Individual
    across: float
    distance: float
    pose: Pose
    speed: float


@dataclass(frozen=True)
class Event:
    """One capture.

    Attributes:
        start: when the camera fired.
        label: the kind that set it off, or None where the wind did.
        frames: the time after `start`, seconds, and the animals, for each frame.
        wind: how strongly plants sway.
        cloud: 0 clear – 1 overcast.
        warmth: degrees above the season's usual.
    """

    start: datetime
    label: str | None
    frames: tuple[tuple[int, tuple[Actor, ...]], ...]
    wind: float
    cloud: float
    warmth: float


def draw_preferences(rng: np.random.Generator, locations: int) -> np.ndarray:
    """The share of each kind at each location [locations, kinds]: one kind rules nearly every location.

    Each kind rules about equally many locations, so that it can be learned at some and met again at others.
    """
    shares = np.zeros((locations, len(KINDS)))
    rulers = np.concatenate([rng.permutation(len(KINDS)) for _ in range(1 + locations // len(KINDS))])
    for location in range(locations):
        others = rng.permutation([kind for kind in range(len(KINDS)) if kind != rulers[location]])
        shares[location, [rulers[location], *others]] = RANKS
    return shares


def draw_events(rng: np.random.Generator, camera: Camera, shares: np.ndarray, number: int) -> list[Event]:
    """The events of one location in the order of time; never two within twenty minutes."""
    begin = datetime(2024, 4, 1) + timedelta(days=int(rng.integers(0, 150)))
    blank_share = float(rng.uniform(0.08, 0.34))
    drawn: list[tuple[datetime, AnimalKind | None]] = []
    for _ in range(number):
        kind = None if rng.random() < blank_share else KINDS[int(rng.choice(len(KINDS), p=shares))]
        day = begin + timedelta(days=int(rng.integers(0, 45)))
        drawn.append((day + timedelta(seconds=int(3600 * _hour(rng, kind))), kind))
    events, clock = [], begin
    for start, kind in sorted(drawn, key=lambda event: event[0]):
        clock = max(start, clock + LEAST_GAP)
        events.append(_event(rng, camera, clock, kind))
    return events


def _hour(rng: np.random.Generator, kind: AnimalKind | None) -> float:
    if kind is None:  # wind blows by day more than by night
        return float(rng.normal(13, 3.5) % 24 if rng.random() < 0.65 else rng.uniform(0, 24))
    peaks = np.array(kind.activity)
    peak = rng.choice(peaks[:, 0], p=peaks[:, 1] / peaks[:, 1].sum())
    return float(rng.normal(peak, kind.spread) % 24)


def _event(rng: np.random.Generator, camera: Camera, start: datetime, kind: AnimalKind | None) -> Event:
    seconds = np.concatenate([[0], np.cumsum(rng.integers(1, 3, FRAMES - 1))]).tolist()
    passers = _passers(rng, camera, kind) if kind is not None else []
    frames = tuple((second, tuple(passer.at(second) for passer in passers)) for second in seconds)
    wind = float(rng.gamma(2, 0.5) + (1.5 if kind is None else 0))
    cloud = float(np.clip(rng.beta(0.8, 0.8), 0, 1))
    return Event(start, kind.label if kind else None, frames, wind, cloud, float(rng.normal(0, 3)))


@dataclass(frozen=True)
class _Passer:
    """An animal on its way through an event."""

    animal: Individual
    across: float
    distance: float
    speed: float
    head: tuple[float, float]
    cycle: float

    def at(self, second: float) -> Actor:
        moved = self.animal.faces * self.speed * second
        kind = self.animal.kind
        moves = self.speed > 0.15
        cycle = (self.cycle + self.speed * second / (4 * kind.stride)) % 1
        head = float(np.clip(self.head[0] + self.head[1] * np.sin(1.7 * second + 6 * self.cycle), 0, 1))
        return Actor(self.animal, self.across + moved, self.distance, Pose(cycle, head, moves), self.speed)


def _passers(rng: np.random.Generator, camera: Camera, kind: AnimalKind) -> list[_Passer]:
    number = 1 + int(rng.binomial(kind.group - 1, 0.3)) if kind.group > 1 else 1
    feeds = rng.random() < kind.feeds
    faces = int(rng.choice([-1, 1]))
    near, far = kind.distance
    distance = near + (far - near) * float(rng.beta(1.3, 1.9))
    half = 0.5 * camera.width / camera.focal * distance
    speed = 0.0 if feeds else float(rng.uniform(*kind.speed))
    # The camera fires late: some of those on their way are nearly through.
    start = half * (rng.uniform(-0.65, 0.65) if feeds else faces * rng.uniform(-0.8, 0.75))
    passers = []
    for index in range(number):
        animal = draw_individual(kind, rng, faces if not feeds else int(rng.choice([-1, 1])))
        across = start + index * rng.normal(0, 0.3 * half) - (faces * index * 0.9 * kind.stride)
        away = float(np.clip(distance + (rng.normal(0, 0.9) if index else 0), near, far * 1.1))
        head = (0.85, 0.2) if feeds and rng.random() < 0.75 else (float(rng.uniform(0, 0.35)), 0.12)
        passers.append(_Passer(animal, float(across), away, speed, head, float(rng.random())))
    return passers
