"""What the card keeps of the training embeddings: like places pass, others are told, few are refused."""

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from trapline.catalog import SCHEMA, Catalog
from trapline.models import FAR, Coordinates, Familiar, GroupedBy
from trapline.training.familiarity import FEWEST_GROUPS, SIZES, _effective_number, familiar_from, group_media

Singles = npt.NDArray[np.float32]
SIZE = 40


class World:
    """Locations whose means differ, in a few directions more than in others."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.spread = self.rng.gamma(1.0, 1.0, SIZE)

    def locations(self, count: int, shift: float = 0.0) -> list[Singles]:
        means = self.rng.normal(shift, self.spread, (count, SIZE))
        sizes = self.rng.integers(2, 40, count)
        return [
            self.rng.normal(mean, 2.0, (size, SIZE)).astype(np.float32)
            for mean, size in zip(means, sizes, strict=True)
        ]


def learn(locations: list[Singles]) -> Familiar:
    names = np.repeat([f"L{number:03}" for number in range(len(locations))], [len(one) for one in locations])
    familiar = familiar_from("location", names, np.concatenate(locations))
    assert familiar is not None
    return familiar


def share_far(familiar: Familiar, locations: list[Singles]) -> float:
    coordinates = Coordinates(familiar)
    means = [(coordinates(one).astype(np.float64).mean(axis=0), len(one)) for one in locations]
    return float(np.mean([familiar.distance(mean, count) >= FAR for mean, count in means]))


def test_of_new_places_like_those_of_training_one_in_twenty_is_called_unlike_and_nearly_all_others() -> None:
    worlds = [World(seed) for seed in range(8)]
    learnt = [learn(world.locations(60)) for world in worlds]
    alike = [share_far(one, world.locations(60)) for one, world in zip(learnt, worlds, strict=True)]
    others = [
        share_far(one, world.locations(30, shift=4.0)) for one, world in zip(learnt, worlds, strict=True)
    ]
    assert 0.01 < np.mean(alike) < 0.07
    assert np.mean(others) > 0.9


def test_few_photos_of_a_like_place_are_no_farther_than_many() -> None:
    world = World(3)
    familiar, places = learn(world.locations(80)), world.locations(200)
    assert share_far(familiar, [one[:1] for one in places]) < 0.12
    assert share_far(familiar, [one[:5] for one in places]) < 0.12


def test_the_statistics_say_on_what_they_rest_and_are_the_same_again() -> None:
    locations = World(1).locations(40)
    familiar = learn(locations)
    assert (familiar.by, familiar.groups, familiar.sizes) == ("location", 40, SIZES)
    assert familiar.held_out == "40 training locations, each by the statistics of the others"
    assert familiar.most == max(map(len, locations))
    assert learn(locations) == familiar
    assert Familiar.model_validate_json(familiar.model_dump_json()) == familiar
    coordinates = Coordinates(familiar)(np.concatenate(locations)).astype(np.float64)
    groups = np.repeat(np.arange(40), [len(one) for one in locations])
    means = np.stack([coordinates[groups == one].mean(axis=0) for one in range(40)])
    within = coordinates - means[groups]
    np.testing.assert_allclose((within**2).sum(axis=0) / (len(within) - 40), 1, atol=0.3)  # shrunk
    np.testing.assert_allclose(means.mean(axis=0), 0, atol=0.05)


def test_places_that_did_not_train_set_the_threshold_of_a_network_that_was_fitted() -> None:
    world = World(5)
    train, held = world.locations(40), world.locations(30)
    names = np.repeat([f"L{number:03}" for number in range(40)], [len(one) for one in train])
    others = np.repeat([f"H{number:03}" for number in range(30)], [len(one) for one in held])
    given = (others, np.concatenate(held))
    familiar = familiar_from("location", names, np.concatenate(train), given, fitted=True)
    assert familiar is not None
    assert familiar.held_out == "30 locations that did not train, the farthest of them"
    assert share_far(familiar, held) <= 0.1
    alone = familiar_from("location", names, np.concatenate(train), fitted=True)
    assert alone is not None
    assert "by a network that had seen them" in alone.held_out


def test_too_few_groups_or_groups_of_single_photos_set_no_threshold() -> None:
    few = World(7).locations(FEWEST_GROUPS - 1)
    names = np.repeat([f"L{number}" for number in range(len(few))], [len(one) for one in few])
    assert familiar_from("location", names, np.concatenate(few)) is None
    single = World(7).rng.normal(size=(30, SIZE)).astype(np.float32)
    assert familiar_from("location", np.array([f"L{number}" for number in range(30)]), single) is None


@pytest.mark.parametrize("by", ["day", "event"])
def test_where_the_rest_of_a_fold_has_one_photo_a_group_there_are_no_statistics(by: GroupedBy) -> None:
    names = np.array([f"g{number:02}" for number in range(28)] + ["g00"] * 2)
    embeddings = World(7).rng.normal(size=(30, SIZE)).astype(np.float32)
    assert familiar_from(by, names, embeddings) is None


def test_photos_that_all_look_the_same_have_no_statistics() -> None:
    names = np.repeat([f"L{number}" for number in range(25)], 4)
    for value in (0, 1):
        assert familiar_from("location", names, np.full((100, SIZE), value, np.float32)) is None


@pytest.mark.parametrize(("count", "farthest"), [(31, True), (32, False)])
def test_that_the_farthest_of_few_sets_the_threshold_is_said(count: int, farthest: bool) -> None:
    familiar = learn(World(1).locations(count))
    assert familiar.held_out.endswith(", the farthest of them") == farthest


@pytest.mark.parametrize(
    ("locations", "days", "events", "by"),
    [
        (30, 1, 1, "location"),
        (10, 60, 60, None),
        (1, 30, 60, "day"),
        (1, 3, 60, "event"),
        (0, 30, 60, "day"),
        (1, 3, 3, None),
    ],
)
def test_groups_are_locations_or_of_one_camera_its_days_or_events(
    locations: int, days: int, events: int, by: str | None
) -> None:
    rows = range(60)
    start = datetime(2020, 5, 1, 12)
    table = pl.DataFrame(
        {
            "media_id": [f"m{row}" for row in rows],
            "file_path": [f"m{row}.jpg" for row in rows],
            "location_id": [f"L{row % locations}" if locations else None for row in rows],
            "event_id": [f"E{row % events}" for row in rows],
            "camera_time": [start + timedelta(days=row % days) for row in rows],
        },
        schema_overrides={"location_id": pl.String},
    )
    full = table.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items() if name not in table.columns
    ).select(*SCHEMA)
    grouped = group_media(Catalog(full.cast(dict(SCHEMA)), root=".", source="made"))  # type: ignore[arg-type]
    assert (None if grouped is None else grouped[0]) == by


def days_of_seasons(seed: int, days: int = 80) -> dict[str, Singles]:
    """A camera whose days drift: each is like the days before it, and a far one stays far for a while."""
    rng = np.random.default_rng(seed)
    spread, slow = rng.gamma(1.0, 1.0, SIZE), rng.normal(size=SIZE)
    photos = {}
    for day in range(days):
        slow = 0.97 * slow + np.sqrt(1 - 0.97**2) * rng.normal(size=SIZE)
        mean = spread * (0.8 * slow + 0.6 * rng.normal(size=SIZE))
        photos[f"D{day:03}"] = rng.normal(mean, 2.0, (int(rng.integers(2, 12)), SIZE)).astype(np.float32)
    return photos


def test_days_that_drift_count_for_fewer_and_one_in_twenty_of_a_stretch_left_out_is_called_unlike() -> None:
    far = []
    for seed in range(4):
        photos = days_of_seasons(seed)
        for stretch in np.array_split(np.array(list(photos)), 4):
            left = {name: own for name, own in photos.items() if name not in stretch}
            names = np.repeat(list(left), [len(own) for own in left.values()])
            familiar = familiar_from("day", names, np.concatenate(list(left.values())))
            assert familiar is not None
            assert "independent ones" in familiar.held_out
            far.append(share_far(familiar, [photos[name] for name in stretch]))
    assert np.mean(far) <= 0.05
    alternating = np.tile([1.0, 2.0], 40) + np.arange(80) / 1000
    assert _effective_number(np.ones(50)) == 50
    assert _effective_number(np.random.default_rng(0).normal(size=400)) > 250
    assert _effective_number(np.repeat([1.0, 3.0, 2.0, 4.0], 20)) < 10
    assert _effective_number(alternating) == 80
