"""What is drawn: every kind at every scale, boxes that hold the animal, kinds spread unevenly over places."""

from datetime import datetime

import numpy as np
import pytest

from trapline.synthetic.animals import KINDS, AnimalKind
from trapline.synthetic.camera import draw_camera
from trapline.synthetic.light import light_at
from trapline.synthetic.photo import render
from trapline.synthetic.plan import Actor, draw_preferences
from trapline.synthetic.scene import PALETTES, draw_scene
from trapline.synthetic.sprite import Pose, draw_individual, draw_sprite

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)


@every_kind
@pytest.mark.parametrize("scale", [15.0, 90.0, 300.0])
def test_an_animal_stands_on_its_feet_at_any_scale(kind: AnimalKind, scale: float) -> None:
    animal = draw_individual(kind, np.random.default_rng(3), faces=-1)
    sprite = draw_sprite(animal, Pose(cycle=0.3, head=0.0, moves=kind.gait != "bound"), scale)
    assert sprite.albedo.shape == (*sprite.mask.shape, 3)
    assert sprite.slope.shape == (2, *sprite.mask.shape)
    assert 0 <= sprite.albedo.min() <= sprite.albedo.max() <= 1
    lowest = np.flatnonzero((sprite.mask > 127).any(axis=1))[-1]
    assert abs(lowest - sprite.foot[1]) <= 0.06 * scale + 2


@every_kind
def test_head_up_and_head_down_have_the_same_parts(kind: AnimalKind) -> None:
    assert [len(tube.circles) for tube in kind.head_up] == [len(circles) for circles in kind.head_down]


@every_kind
@pytest.mark.parametrize("hour", [2, 12])
def test_the_box_holds_what_the_animal_changes(kind: AnimalKind, hour: int) -> None:
    rng = np.random.default_rng(8)
    scene = draw_scene(rng, draw_camera(rng, (320, 240)), "scrub")
    light = light_at(datetime(2024, 6, 1, hour), scene, cloud=1.0, warmth=0)
    animal = draw_individual(kind, rng, faces=1)
    actor = Actor(animal, 0.0, 2.6, Pose(0.2, 0.0, True), speed=0.0)
    with_it, seen = render(scene, [actor], light, 1.0, np.random.default_rng(1))
    without, nothing = render(scene, [], light, 1.0, np.random.default_rng(1))
    assert nothing == []
    assert len(seen) == 1
    change = np.abs(with_it.astype(int) - without.astype(int)).max(axis=2)
    strong = change > 0.4 * change.max()
    x, y, width, height = seen[0].box
    rows = slice(max(round(y * 240) - 6, 0), round((y + height) * 240) + 6)
    columns = slice(max(round(x * 320) - 6, 0), round((x + width) * 320) + 6)
    assert strong[rows, columns].sum() > 0.8 * strong.sum()


def test_what_is_outside_the_picture_is_not_seen() -> None:
    rng = np.random.default_rng(8)
    scene = draw_scene(rng, draw_camera(rng, (240, 180)), "meadow")
    light = light_at(datetime(2024, 6, 1, 12), scene, cloud=1.0, warmth=0)
    actor = Actor(draw_individual(KINDS[0], rng, 1), 40.0, 3.0, Pose(0, 0, True), 1.0)
    assert render(scene, [actor], light, 0.0, rng)[1] == []


@pytest.mark.parametrize("habitat", sorted(PALETTES))
def test_two_locations_of_a_habitat_look_different(habitat: str) -> None:
    one, other = (
        draw_scene(rng, draw_camera(rng, (160, 120)), habitat) for rng in map(np.random.default_rng, (1, 2))
    )
    difference = np.abs(np.asarray(one.backdrop, int) - np.asarray(other.backdrop, int)).mean()
    assert difference > 8


def test_one_kind_rules_each_location_and_every_kind_rules_some() -> None:
    shares = draw_preferences(np.random.default_rng(0), 24)
    assert shares.sum(axis=1) == pytest.approx(np.ones(24))
    assert (shares.max(axis=1) > 0.6).all()
    assert sorted(np.bincount(shares.argmax(axis=1), minlength=len(KINDS))) == [4] * len(KINDS)
