"""No setting of a recipe is accepted in vain: over all recipes and all fields, it acts or it is refused.

Every field has other values here (without them for a new field the first test fails). Each, asked for by a
flag where the field is idle, is refused by name, unless by it the recipe becomes another.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from trapline.errors import UsageError
from trapline.models import Recipe, recipe_names, resolve_recipe
from trapline.models.acting import TABLE, idle_fields

OTHERS: dict[str, tuple[str, ...]] = {
    "frozen_epochs": ("2",),
    "frozen_stages": ("2",),
    "drop_path": ("0.5",),
    "freeze_batch_norm": ("true", "false"),
    "flip_average": ("true", "false"),
    "preprocessing.height": ("24",),
    "preprocessing.width": ("24",),
    "preprocessing.fit": ("letterbox", "crop", "corner"),
    "preprocessing.crop_fraction": ("0.5",),
    "preprocessing.interpolation": ("nearest", "lanczos"),
    "preprocessing.mask_top": ("0.3",),
    "preprocessing.mask_bottom": ("0.3",),
    "preprocessing.cut_banners": ("true",),
    "preprocessing.crop": ("{context: 3}", "null"),
    "preprocessing.crop.categories": ("[person]",),
    "preprocessing.crop.min_conf": ("0.95",),
    "preprocessing.crop.context": ("2.5",),
    "preprocessing.crop.square": ("false",),
    "preprocessing.crop.min_side": ("0.9",),
    "head.pooling": ("max", "gem"),
    "head.hidden": ("[7]", "[]"),
    "head.dropout": ("0.7",),
    "head.input_dropout": ("0.7",),
    "head.batch_norm": ("true", "false"),
    "optimiser.name": ("rmsprop",),
    "optimiser.lr": ("0.03",),
    "optimiser.weight_decay": ("0.7",),
    "optimiser.momentum": ("0.3",),
    "optimiser.nesterov": ("true",),
    "optimiser.backbone_lr_factor": ("0.01",),
    "optimiser.layer_decay": ("0.2",),
    "optimiser.clip": ("0.001",),
    "schedule.name": ("cosine", "step", "one-cycle"),
    "schedule.warmup_epochs": ("1.5",),
    "schedule.start_factor": ("0.6",),
    "schedule.final_factor": ("0.6",),
    "schedule.step_epochs": ("1",),
    "schedule.step_factor": ("0.3",),
    "epochs": ("4",),
    "steps": ("1",),
    "batch_size": ("3",),
    "patience": ("1",),
    "loss.name": ("bce",),
    "loss.label_smoothing": ("0.3",),
    "exclusive": ("true", "false"),
    "balance": ("class-weights", "sampling", "logit-adjustment", "none"),
    "sample": ("{share: 0.7}", "{share: 0.7, seed: 3}", "null"),
    "keep_blanks": ("0.5",),
    "correct_prior": ("false", "true"),
    "augmentation.horizontal_flip": ("0.9",),
    "augmentation.vertical_flip": ("0.9",),
    "augmentation.crop_scale": ("0.4",),
    "augmentation.crop_ratio": ("2",),
    "augmentation.rotate": ("60",),
    "augmentation.context": ("[1.0, 5.0]",),
    "augmentation.box_shift": ("0.4",),
    "augmentation.full_frame": ("0.6",),
    "augmentation.brightness": ("0.9",),
    "augmentation.contrast": ("0.9",),
    "augmentation.gamma": ("0.9",),
    "augmentation.noise": ("0.6",),
    "augmentation.blur": ("1",),
    "augmentation.coarse": ("1",),
    "augmentation.grey": ("1",),
    "augmentation.banner": ("1",),
    "augmentation.erase": ("1",),
    "augmentation.mixup": ("1.5",),
    "augmentation.cutmix": ("1.5",),
    "augmentation.last_epochs_off": ("2",),
    "ema": ("0.5",),
    "selection": ("last",),
    "learn_from": ("event", "media"),
    "frames": ("first", "all"),
    "event_statistics": ("[max]",),
    "background_view": ("true", "false"),
    "calibration": ("none", "labels", "temperature"),
    "fit": ("all", "folds", "train"),
    "folds": ("2",),
    "fold_by": ("event", "season", "location"),
    "members": ("2",),
    "precision": ("bf16",),
    "seed": ("7",),
    "taxa.way": ("flat", "cascade", "path"),
    "taxa.ranks": ("[family]",),
    "taxa.node": ("felidae_taxon_classifier",),
    "taxa.solver": ("exact", "adam"),
    "taxa.promise": ("0.51",),
    "taxa.confidence": ("0.51",),
}
"""Dotted field -> other values, as flags have them."""

NAMED_ELSEWHERE = {
    "name": "it is what a run is called",
    "task": "it decides what a label is",
    "backbone": "tests of the networks' registry build each",
    "weights": "likewise",
    "how": "it decides what learns",
    "search": "it is for `trapline tune`",
    "taxa": "its fields are here",
    "sample.share": "it is there where `sample` is",
    "sample.seed": "likewise",
}


def dotted(recipe: Recipe) -> Iterator[str]:
    """Every field of a recipe, those of absent sections too."""

    def leaves(values: Mapping[str, Any], start: str) -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, dict) and name != "search":
                yield from leaves(value, f"{start}{name}.")
            else:
                yield f"{start}{name}"

    yield from leaves(recipe.model_dump(), "")


def test_every_field_of_every_recipe_has_other_values_here() -> None:
    fields = {field for name in recipe_names() for field in dotted(resolve_recipe(name))}
    assert fields <= OTHERS.keys() | NAMED_ELSEWHERE
    assert {field for one in TABLE for field in one.fields} <= OTHERS.keys() | NAMED_ELSEWHERE


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_asked_for_in_vain_is_refused_by_name(name: str) -> None:
    recipe = resolve_recipe(name)
    there = set(dotted(recipe))
    for field in idle_fields(recipe).keys() & there & OTHERS.keys():
        for value in OTHERS[field]:
            asked = resolved(name, f"{field}={value}")
            if isinstance(asked, Recipe):  # asked for, it makes the recipe another, in which it acts
                assert field not in idle_fields(asked) or value in ("true", "false", "none", "[]", "null")
            else:
                assert field in asked, asked


def resolved(name: str, *settings: str) -> Recipe | str:
    """The recipe, or why not."""
    try:
        return resolve_recipe(name, None, list(settings))
    except UsageError as error:
        return str(error)
