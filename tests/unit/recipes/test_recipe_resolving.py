"""From a name, a file and flags to one recipe; what cannot be is refused with the near thing named."""

from pathlib import Path

import pytest

from trapline.errors import UsageError
from trapline.recipes import RECIPES, Recipe, joined_fields, recipe_names, resolve_recipe


@pytest.mark.parametrize("name", recipe_names())
def test_every_named_recipe_resolves_under_its_name_and_survives_json(name: str) -> None:
    recipe = resolve_recipe(name)
    assert recipe.name == name
    assert recipe == RECIPES[name]()
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert getattr(getattr(recipe, "augmentation", None), "vertical_flip", 0) == 0


@pytest.mark.parametrize("name", recipe_names())
def test_every_value_of_a_search_space_makes_a_recipe(name: str) -> None:
    recipe = resolve_recipe(name)
    for joined, dimension in recipe.search.items():
        fields = joined_fields(joined)
        values = dimension.choices if hasattr(dimension, "choices") else (dimension.low, dimension.high)
        for value in values:
            each = [value] if len(fields) == 1 else value
            flags = [f"{field}={one!r}" for field, one in zip(fields, each, strict=True)]
            assert resolve_recipe(name, None, flags).name == name


def test_flags_win_over_the_file_and_the_file_over_the_named_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 7\noptimiser:\n  lr: 5e-4\n  name: sgd\nhead.dropout: 0.5\n")
    recipe = resolve_recipe("small-cnn", file, ["optimiser.lr=1e-5", "head.hidden=[16]"])
    assert (recipe.epochs, recipe.optimiser.name, recipe.head.dropout) == (7, "sgd", 0.5)
    assert recipe.optimiser.lr == 1e-5
    assert recipe.head.hidden == (16,)
    assert recipe.batch_size == 32


def test_a_section_that_is_absent_is_made_by_its_first_field() -> None:
    recipe = resolve_recipe("small-cnn", None, ["preprocessing.crop.context=1.5"])
    assert recipe.preprocessing.crop is not None
    assert recipe.preprocessing.crop.context == 1.5
    assert resolve_recipe("efficientnet-lite0", None, ["preprocessing.crop=null"]).preprocessing.crop is None


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["optimizer.lr=1"], "did you mean 'optimiser'"),
        (["optimiser.lrr=1"], "did you mean 'lr'"),
        (["lr=1"], "did you mean 'optimiser.lr'"),
        (["epochs.x=1"], "no fields of its own"),
        (["zzz=1"], "Fields here: name, task"),
        (["epochs"], "takes key=value"),
        (["epochs=0"], "epochs: .*got 0"),
        (["head.hidden=[0]"], "at least one unit"),
        (["how=frozen"], "needs weights"),
        (["weights=pretrained"], "takes weights 'none'"),
        (["backbone=resnet51"], "no backbone"),
        (["backbone=model-file:x.onnx"], "always frozen"),
        (["task=multi-label", "loss.name=cross-entropy"], "takes bce"),
        (["task=multi-label", "selection=accuracy"], "has no accuracy"),
        (["drop_path=0.1"], "no drop_path"),
        (["selection=last", "patience=3"], "never stops early"),
        (["augmentation.context=[2, 1]"], "least"),
        (["schedule.warmup_epochs=200"], "warm-up"),
        (["epochs={"], "not valid YAML"),
        (["search={lr: {low: 2, high: 1}}"], "low < high"),
    ],
)
def test_what_cannot_be_is_refused(overrides: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        resolve_recipe("small-cnn", None, overrides)


def test_an_unknown_recipe_names_the_near_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'small-cnn'"):
        resolve_recipe("smallcnn")


def test_a_recipe_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recipe file"):
        resolve_recipe("small-cnn", tmp_path / "gone.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UsageError, match="must hold the fields"):
        resolve_recipe("small-cnn", tmp_path / "list.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: é\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        resolve_recipe("small-cnn", tmp_path / "latin.yaml")
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    with pytest.raises(UsageError, match="not valid YAML"):
        resolve_recipe("small-cnn", tmp_path / "deep.yaml")


def test_a_whole_recipe_may_come_from_a_file_alone(tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text("name: mine\nbackbone: small-cnn\nhow: scratch\n")
    assert resolve_recipe(None, tmp_path / "whole.yaml").name == "mine"
