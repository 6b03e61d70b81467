"""Thresholds of a roll-up: each level promises on what no finer one answers and of what is known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.metrics.promise import choose_threshold
from trapline.models import promise_doubt
from trapline.prediction import ModelTree
from trapline.taxonomy import Label, Taxon, Taxonomy
from trapline.taxonomy.classes import Classes
from trapline.training.taxa_choices import choose_thresholds, other_axes, usual_promise

NAMES = ("lynx", "bobcat")
TREE = Taxonomy(
    {
        "Lynx": Taxon("Lynx", "genus"),
        "Lynx lynx": Taxon("Lynx lynx", "species", "Lynx"),
        "Lynx rufus": Taxon("Lynx rufus", "species", "Lynx"),
    },
    {
        "lynx": Label("lynx", "animal", "Lynx lynx"),
        "bobcat": Label("bobcat", "animal", "Lynx rufus"),
        "cat": Label("cat", "animal", "Lynx"),
    },
)
CLASSES = Classes(TREE, NAMES, {"lynx": "lynx", "bobcat": "bobcat", "cat": None})


def chosen(
    sure: np.ndarray, labels: list[str], promise: float | None = 0.9, answer: str | None = None
) -> tuple[dict[str, float], dict[str, Any]]:
    settings = SimpleNamespace(promise=promise, confidence=0.9, answer=answer)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    return choose_thresholds(probabilities, labels, np.arange(len(labels)), CLASSES, settings)  # type: ignore[arg-type]


def test_a_coarser_level_is_judged_on_what_no_finer_one_answers() -> None:
    sure = np.r_[np.full(300, 0.9), np.full(200, 0.6)]
    labels = ["lynx"] * 300 + ["bobcat"] * 200
    thresholds, record = chosen(sure, labels)
    assert list(thresholds) == ["kind", "genus", "species"][-len(thresholds) :]
    assert thresholds["species"] == pytest.approx(0.9)
    assert thresholds["species"] <= 0.9, "a table of float32 reaches it"
    assert record["chosen_on"]["species"]["media"] == 300
    assert record["chosen_on"]["genus"]["media"] == 200, "those that the species did not answer"
    assert record["chosen_on"]["genus"]["right"] == 200
    assert (record["media"], record["groups"], record["unanswered"]) == (500, 500, 0)


def test_media_whose_label_says_less_tell_nothing_of_a_finer_level() -> None:
    sure = np.full(400, 0.95)
    labels = ["lynx"] * 200 + ["cat"] * 200
    thresholds, record = chosen(sure, labels)
    expected = choose_threshold(sure[:200], np.ones(200), np.arange(200), promise=0.9, confidence=0.9)
    assert expected is not None
    assert record["chosen_on"]["species"] == {
        "media": 200,
        "right": 200,
        "groups": 200,
        "bound": round(expected.bound, 4),
    }
    assert thresholds["species"] == pytest.approx(0.95)
    assert record["unanswered"] == 0, "they are answered all the same"


def test_a_level_that_keeps_no_promise_has_no_threshold_and_leaves_all_to_the_next() -> None:
    sure = np.full(300, 0.8)
    thresholds, record = chosen(sure, ["lynx", "bobcat"] * 150)
    assert "species" not in thresholds
    assert record["chosen_on"]["genus"]["media"] == 300
    few, little = chosen(sure[:10], ["bobcat"] * 10)
    assert few == {}
    assert (little["media"], little["chosen_on"], little["unanswered"]) == (10, {}, 10)


@pytest.mark.parametrize(
    ("locations", "promise"), [(12, 0.8), (24, 0.8), (41, 0.8), (42, 0.9), (77, 0.9), (78, 0.95), (400, 0.95)]
)
def test_where_nothing_is_asked_for_as_much_is_promised_as_so_many_locations_can_show(
    locations: int, promise: float
) -> None:
    sure = np.full(locations, 0.95)
    for label in NAMES:
        _, record = chosen(sure, [label] * locations, None)
        assert record["promise"] == promise, "what is right there has no say in it"


def test_one_location_with_most_of_the_media_counts_for_few() -> None:
    even, uneven = np.arange(400), np.r_[np.zeros(320, int), np.arange(1, 81)]
    assert (usual_promise(even, 0.9), usual_promise(uneven, 0.9)) == (0.95, 0.8)


def unsure_of_some() -> tuple[np.ndarray, list[str]]:
    """Of 600 lynx and bobcats the half that is sure is right, of the other half every second one."""
    sure = np.r_[np.full(300, 0.95), np.full(300, 0.6)]
    return sure, ["lynx"] * 300 + ["lynx", "bobcat"] * 150


def test_a_share_of_answers_takes_the_highest_promise_that_reaches_it_at_places_not_chosen_on() -> None:
    sure, labels = unsure_of_some()
    thresholds, record = chosen(sure, labels, 0.95, answer="50%")
    assert (record["answer"], record["promise"]) == ("0.5", 0.95)
    assert thresholds["species"] == pytest.approx(0.95)
    (choice,) = (one for one in record["choices"] if one["promise"] == record["promise"])
    assert choice["thresholds"] == thresholds
    assert (choice["curve"]["species"]["answered"], choice["curve"]["species"]["precision"]) == (0.5, 1)
    all_of_them, told = chosen(sure, labels, 0.95, answer="species:90%")
    assert told["promise"] == 0.65, (
        "three quarters of all are right; the second threshold is tried more surely"
    )
    assert all_of_them["species"] == pytest.approx(0.6)
    assert told["choices"][0]["curve"]["species"]["precision"] == pytest.approx(0.75)


def test_a_share_that_no_promise_reaches_leaves_the_lowest_one() -> None:
    thresholds, record = chosen(np.full(300, 0.8), ["bobcat"] * 300, 0.95, answer="species:80%")
    assert record["promise"] == 0.5
    assert "species" not in thresholds
    assert record["choices"][0]["curve"]["genus"]["answered"] == 1


def of_two_years(wrong_in_second: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """800 photos at places of their own, sure and right in the first of two years, less so in the second."""
    labels = ["lynx"] * 800
    labels[400 : 400 + wrong_in_second] = ["hare"] * wrong_in_second
    return np.full(800, 0.95), labels, np.repeat(["2019", "2020"], 400)


HARES = Taxonomy(
    {
        **TREE.taxa,
        "Felidae": Taxon("Felidae", "family"),
        "Lynx": Taxon("Lynx", "genus", "Felidae"),
        "Lepus": Taxon("Lepus", "genus"),
        "Lepus europaeus": Taxon("Lepus europaeus", "species", "Lepus"),
    },
    {**TREE.labels, "hare": Label("hare", "animal", "Lepus europaeus")},
)
THREE = Classes(HARES, ("lynx", "bobcat", "hare"), {"lynx": "lynx", "bobcat": "bobcat", "hare": "hare"})


def promised(
    sure: np.ndarray, labels: list[str], axes: dict[str, np.ndarray], promise: float = 0.9
) -> tuple[dict[str, float], dict[str, Any]]:
    settings = SimpleNamespace(promise=promise, confidence=0.9, answer=None)
    probabilities = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2], axis=1)
    groups = np.arange(len(labels))
    return choose_thresholds(probabilities, labels, groups, THREE, settings, axes)  # type: ignore[arg-type]


def test_a_promise_must_hold_across_seasons_too() -> None:
    sure, labels, years = of_two_years(wrong_in_second=48)
    over_places, _ = promised(sure, labels, {})
    assert "species" in over_places, "0.94 of 800 places are right"
    over_years, record = promised(sure, labels, {"seasons": years})
    assert not set(over_years) - {"kind"}, "one year was all right and one was not: a third may be worse"
    assert record["axes"] == {"seasons": 2}
    choice = next(one for one in record["choices"] if one["promise"] == 0.9)
    assert choice["broken_by"] == {
        "level": "family",
        "sure": 800,
        "wrong": {"hare": 48},
        "over": ["seasons"],
    }
    kept = promised(sure, labels, {})[1]["choices"]
    assert not any("broken_by" in one for one in kept if one["thresholds"].get("species"))


def test_years_that_are_alike_keep_a_promise_of_enough_media_and_few_years_ask_for_more() -> None:
    sure, labels, years = of_two_years(wrong_in_second=0)
    assert "species" in promised(sure, labels, {"seasons": years})[0]
    few = slice(360, 440)
    assert "species" in promised(sure[few], labels[few], {})[0]
    assert not promised(sure[few], labels[few], {"seasons": years[few]})[0], (
        "80 photos of two years count as 14"
    )


def test_the_message_names_the_labels_that_break_a_promise() -> None:
    sure, labels, years = of_two_years(wrong_in_second=48)
    thresholds, record = promised(sure, labels, {"seasons": years})
    of = {"rollup": record | {"over": "locations"}}
    card = SimpleNamespace(taxonomy=of, thresholds=thresholds, recipe={})
    said = promise_doubt(card)  # type: ignore[arg-type]
    assert "on 800 single photos of 800 locations and 2 seasons no probability" in said
    assert "Of the 800 photos that it answers so surely at family, most wrong are those of: hare 48." in said
    assert "Alone already it does not hold over seasons." in said
    together = {
        "promise": record["promise"],
        "broken_by": {"level": "family", "sure": 8, "wrong": {}, "over": []},
    }
    card.taxonomy["rollup"] |= {"choices": [together]}
    said = promise_doubt(card)  # type: ignore[arg-type]
    assert "they are too few, or of too few locations and seasons." in said
    assert "It does not hold along all of them at once." in said
    assert "needs at least" not in said
    assert "Train with --folds 5" in said
    card.recipe = {"folds": 5}
    card.taxonomy["rollup"] |= {"promise": 0.95, "groups": 75}
    said = promise_doubt(card)  # type: ignore[arg-type]
    assert "95% needs at least 78 locations, more of unequal size: ask for less. Say how many" in said
    assert "--folds" not in said
    tree = HARES.to_json() | {"rollup": record | {"over": "locations"}}
    assert ModelTree.from_json(tree, "the tree").rollup.choices  # type: ignore[union-attr]


def test_the_axes_of_a_catalog_are_its_seasons_and_data_sets() -> None:
    media = pl.DataFrame(
        {
            "media_id": ["a", "b", "c"],
            "season": ["S1", None, "S2"],
            "Dataset": ["x", "x", "y"],
            "source": ["expert", "volunteer", "volunteer"],
            "zone": [1, 2, 3],
        }
    )
    axes = other_axes(media)
    assert {name: len(np.unique(units)) for name, units in axes.items()} == {"seasons": 3, "sets": 2}
    assert other_axes(media[:1]) == {}, "of one unit nothing is known"
    assert other_axes(media[:2]) == {}, "a season and what is of no known one are not two seasons"
