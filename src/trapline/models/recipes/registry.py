"""The registry of recipes, and the one function that turns a name, a file and flags into a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from trapline.errors import UsageError
from trapline.models.acting import CHANGES_NOTHING, TABLE, idle_fields, no_effect
from trapline.models.recipe import PARTS_ALONE, TIMM, Recipe
from trapline.options import check_positional
from trapline.registry import Registry

RecipeFunction = Callable[[], Recipe]
RECIPES: Registry[RecipeFunction] = Registry("recipe", "trapline.recipes", besides="timm/<any name of timm>")
"""Recipe name -> the function that makes it. `timm/<name>` is resolved besides."""

MAX_FILE_BYTES = 1_000_000


def register(function: RecipeFunction) -> RecipeFunction:
    """Make a function that returns a recipe findable by the recipe's own name.

    Raises:
        UsageError: the name is taken, or the function gives no recipe.
    """
    what = f"recipe of the function {function.__name__}"
    check_positional(function, what)
    recipe = function()
    if not isinstance(recipe, Recipe):
        raise UsageError(f"The {what} is a {type(recipe).__name__}; expected is a Recipe.")
    RECIPES.add(recipe.name, function, function)
    return function


def recipe_names() -> list[str]:
    """The names of all registered recipes, sorted."""
    return sorted(RECIPES)


def resolve_recipe(
    name: str | None, overrides_file: Path | str | None = None, overrides: Iterable[str] = ()
) -> Recipe:
    """The recipe of a name, changed by a YAML file, then by `key=value` flags.

    What is asked for must be able to act (see `trapline.models.acting`). A setting that the named recipe
    brings and that a change of another leaves without its choice (the end of a schedule that is no longer
    chosen, the context of crops that are no longer made) goes back to its default.

    Args:
        name: a registered name, `timm/<any name of timm>`, or None if the file holds a whole recipe.
        overrides_file: YAML with the recipe's fields, nested, or dotted (`optimiser.lr: 1e-4`).
        overrides: `dotted.key=value`, the value in YAML.

    Raises:
        UsageError: an unknown name or field (the nearest is suggested), a value that cannot be, or a field
            that has no effect in this recipe.
    """
    asked: set[str] = set()
    fields: dict[str, Any] = {} if name is None else _named(name).model_dump(mode="json")
    if overrides_file is not None:
        path = Path(overrides_file)
        for key, value in _flatten(_read_yaml(path)):
            _set(fields, key, value, f"{path.name}: {'.'.join(key)}")
            asked.add(".".join(key))
    flags: set[str] = set()
    for text in overrides:
        key_text, equals, value_text = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes key=value, got '{text}'; for example --set optimiser.lr=1e-4.")
        value = _parse(value_text, f"--set {text}")
        for key, leaf in _flatten({key_text.strip(): value}):
            _set(fields, key, leaf, f"--set {text}")
            flags.add(".".join(key))
    return _validated(fields, asked | flags, flags)


def change_recipe(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of dotted fields.

    Raises:
        UsageError: as `resolve_recipe`.
    """
    fields = recipe.model_dump(mode="json")
    for key, value in _flatten(values):
        _set(fields, key, value, ".".join(key))
    return _validated(fields, {".".join(key) for key, _ in _flatten(values)})


def _validated(fields: dict[str, Any], asked: Set[str], flags: Set[str] = frozenset()) -> Recipe:
    """The recipe of the fields, whose parts fit together.

    Args:
        fields: nested, as JSON has them; what hung on a choice that is no longer made goes back to
            its default.
        asked: dotted fields that a person named; they must be able to act.
        flags: those of them that must, even where the value is the default.
    """
    try:
        alone = Recipe.model_validate(fields, context={PARTS_ALONE: True})
        idle = idle_fields(alone)
        vain = {field: idle[field] for field in sorted(flags & idle.keys())}
        vain = {field: why for field, why in vain.items() if _value(fields, field) not in CHANGES_NOTHING}
        if vain:
            raise UsageError(no_effect(vain, alone))
        _let_go(fields, alone, asked)
        return Recipe.model_validate(fields)
    except ValidationError as error:
        raise UsageError(f"The recipe cannot be: {_explain(error)}.") from None


def _let_go(fields: dict[str, Any], alone: Recipe, asked: Set[str]) -> None:
    """Put back to their defaults the fields that hung on a choice, and that nobody asked for."""
    for one in TABLE:
        if one.kinds or one.when(alone):
            continue
        for field in one.fields:
            *sections, last = field.split(".")
            section: BaseModel | None = alone
            for name in sections:
                section = getattr(section, name)
            if section is not None and not any(field == key or field.startswith(f"{key}.") for key in asked):
                place: Any = fields
                for name in sections:
                    place = place.setdefault(name, {})
                place[last] = type(section).model_fields[last].default


def _value(fields: Mapping[str, Any], field: str) -> Any:
    value: Any = fields
    for name in field.split("."):
        value = value[name]
    return tuple(value) if isinstance(value, list) else value


def _named(name: str) -> Recipe:
    if name.startswith(TIMM):
        from trapline.models.recipes.fine_tuned import timm_recipe

        return timm_recipe(name.removeprefix(TIMM))
    return RECIPES.find(name)()


def _read_yaml(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UsageError(f"There is no recipe file at {path}.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UsageError(f"{path} is larger than {MAX_FILE_BYTES} bytes; that is no recipe.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error}.") from None
    content = _parse(text, str(path))
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} must hold the fields of a recipe, such as 'epochs: 30'.")
    return content


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{where} is not valid YAML: {error}") from None


def _flatten(values: Mapping[str, Any], start: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Every leaf with its path; a key may itself be dotted. The search space is one leaf."""
    for key, value in values.items():
        path = (*start, *str(key).split("."))
        if isinstance(value, Mapping) and value and path[0] != "search":
            yield from _flatten(value, path)
        else:
            yield path, value


def _set(fields: dict[str, Any], key: Sequence[str], value: Any, where: str) -> None:
    """Put `value` at the dotted `key` after checking that the recipe has such a field."""
    model: type[BaseModel] | None = Recipe
    place = fields
    for depth, part in enumerate(key):
        if model is None:
            raise UsageError(f"{where}: '{'.'.join(key[:depth])}' has no fields of its own.")
        if part not in model.model_fields:
            raise UsageError(
                f"{where}: a recipe has no field '{'.'.join(key[: depth + 1])}'"
                f"{_suggest_field(key, depth, model)}"
            )
        model = _section(model.model_fields[part].annotation)
        if depth == len(key) - 1:
            place[part] = value
        else:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model inside `Model` or `Model | None`; None for plain values."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _suggest_field(key: Sequence[str], depth: int, model: type[BaseModel]) -> str:
    """The near field of the same section, or else the dotted field anywhere that ends alike."""
    near = _suggest(key[depth], model.model_fields)
    if near:
        return near
    alike = [field for field in _dotted_fields(Recipe) if field.split(".")[-1] == key[-1]]
    if alike:
        return f"; did you mean '{alike[0]}'?"
    return f". Fields here: {', '.join(model.model_fields)}."


def _dotted_fields(model: type[BaseModel], start: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        found += [f"{start}{name}"] if section is None else _dotted_fields(section, f"{start}{name}.")
    return found


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'together'}: "
        f"{item['msg'].removeprefix('Value error, ')}"
        + (f" (got {item['input']!r})" if item["loc"] and not isinstance(item["input"], dict) else "")
        for item in error.errors()
    )


from trapline.models.recipes import (  # noqa: E402  they register themselves
    fine_tuned,  # noqa: F401
    heads,  # noqa: F401
    published,  # noqa: F401
    sequences,  # noqa: F401
    taxa,  # noqa: F401
)
