"""Kinds of recipe: each has the fields that can act in it, and what others wrote is read where it fits."""

from typing import Any

import pytest
from pydantic import ValidationError

from trapline.errors import UsageError
from trapline.recipes import (
    KINDS,
    HeadRecipe,
    NetworkRecipe,
    Recipe,
    change_recipe,
    read_recipe,
    recipe_names,
    resolve_recipe,
)

OTHER_KINDS: dict[str, Any] = {
    "taxa": None,
    "ema": None,
    "patience": None,
    "steps": None,
    "epochs": 20,
    "batch_size": 32,
    "members": 1,
    "selection": "last",
    "loss": {"name": "auto", "label_smoothing": 0.0},
    "schedule": {"name": "none", "final_factor": 0.01, "step_epochs": 10, "step_factor": 0.1},
    "event_statistics": [],
    "frames": "all",
    "keep_blanks": 1.0,
    "exclusive": False,
}
"""Fields of several kinds at what they are by default, as versions with one kind wrote them down."""


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_with_the_defaults_of_all_kinds_is_the_recipe(name: str) -> None:
    recipe = resolve_recipe(name)
    flat = OTHER_KINDS | recipe.model_dump(mode="json")
    assert read_recipe(flat, "a card") == recipe
    assert type(recipe) is KINDS[recipe.kind]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("head", "epochs=3", "epochs: it belongs to recipes that train hidden layers.*or a network"),
        ("head", "epochs=1", "epochs: it belongs"),
        ("head", "optimiser.lr=0.1", "optimiser.lr: it belongs"),
        ("small-cnn", "event_statistics=[max]", "belongs to recipes that train a linear head"),
        ("small-cnn", "schedule.step_factor=0.3", "it is for schedule.name 'step'"),
        ("small-cnn", "schedule.final_factor=0.3", "schedule.name 'cosine' or 'one-cycle'"),
        ("taxon-efficientnet-b6", "folds=3", "folds: it belongs"),
        ("taxa-flat", "fit=folds", "that is for a linear head"),
    ],
)
def test_a_field_of_another_kind_is_refused_with_where_it_belongs(name: str, change: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        resolve_recipe(name, None, [change])


def test_an_old_recipe_that_means_something_else_is_refused_with_the_way_out() -> None:
    flat = OTHER_KINDS | resolve_recipe("head").model_dump(mode="json") | {"members": 3}
    with pytest.raises(UsageError, match=r"The recipe in runs/x .*members.*Train anew"):
        read_recipe(flat, "runs/x")


@pytest.mark.parametrize(
    ("name", "changes", "kind"),
    [
        ("head", {"head.hidden": [8]}, "hidden"),
        ("efficientnet-lite0", {"how": "frozen"}, "linear"),
        ("lite0-frozen", {"how": "whole"}, "network"),
        ("taxa-path", {"taxa": None}, "linear"),
        ("taxa-cascade", {"taxa.solver": "adam"}, "tree by epochs"),
    ],
)
def test_a_choice_makes_a_recipe_of_another_kind(name: str, changes: dict[str, Any], kind: str) -> None:
    changed = change_recipe(resolve_recipe(name), changes)
    assert changed.kind == kind
    assert changed.name == name


def test_what_cannot_go_together_cannot_be_written() -> None:
    with pytest.raises(ValidationError, match="epochs"):
        HeadRecipe(name="mine", backbone="model-file:lite0", epochs=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="how"):
        NetworkRecipe(name="mine", backbone="small-cnn", how="frozen")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="of a kind"):
        Recipe(name="mine", backbone="small-cnn", how="scratch")
