"""The one function that turns a name, a file and flags into a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from trapline.errors import UsageError
from trapline.recipes.needs import NOTHING, PARTS_ALONE, idle_fields
from trapline.recipes.recipe import KINDS, TIMM, Recipe, kind_of, no_effect

MAX_FILE_BYTES = 1_000_000


def resolve_recipe(
    name: str | None, overrides_file: Path | str | None = None, overrides: Iterable[str] = ()
) -> Recipe:
    """The recipe of a name, changed by a YAML file, then by `key=value` flags.

    What is asked for must be able to act in the kind of recipe that comes out. What the named recipe brings
    and has no place in it, or is left without its choice by a change (the end of a schedule that is no longer
    chosen, the context of crops that are no longer made), is left out.

    Args:
        name: a registered name, `timm/<any name of timm>`, or None if the file holds a whole recipe.
        overrides_file: YAML with the recipe's fields, nested, or dotted (`optimiser.lr: 1e-4`).
        overrides: `dotted.key=value`, the value in YAML.

    Raises:
        UsageError: an unknown name or field (the nearest is suggested), a value that cannot be, or a field
            that has no effect in this recipe; the kinds of recipe to which it belongs are named.
    """
    change = _Change({} if name is None else _named(name).model_dump(mode="json"))
    if overrides_file is not None:
        path = Path(overrides_file)
        for key, value in _flatten(_read_yaml(path)):
            change.set(key, value, f"{path.name}: {'.'.join(key)}")
    for text in overrides:
        key_text, equals, value_text = text.partition("=")
        if not equals:
            raise UsageError(f"--set takes key=value, got '{text}'; for example --set optimiser.lr=1e-4.")
        value = _parse(value_text, f"--set {text}")
        for key, leaf in _flatten({key_text.strip(): value}):
            change.set(key, leaf, f"--set {text}", flag=True)
    return change.recipe()


def change_recipe(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of dotted fields.

    Raises:
        UsageError: as `resolve_recipe`.
    """
    change = _Change(recipe.model_dump(mode="json"))
    for key, value in _flatten(values):
        change.set(key, value, ".".join(key))
    return change.recipe()


def read_recipe(fields: Mapping[str, Any], where: str) -> Recipe:
    """A recipe as a card, a run folder or a search keeps it; also of versions that kept every field of all.

    Args:
        fields: nested, as JSON has them.
        where: they stand, for people.

    Raises:
        UsageError: they make no recipe of this version.
    """
    change = _Change({})
    try:
        for key, value in _flatten(fields):
            change.set(key, value, ".".join(key))
        return change.recipe()
    except UsageError as error:
        raise UsageError(
            f"The recipe in {where} is none of this version of Trapline: {error} Train anew, or name the "
            "recipe with -r and give what differs by --recipe-file."
        ) from None


@dataclass
class _Change:
    """Fields on their way to a recipe.

    Attributes:
        fields: nested, as JSON has them.
        asked: dotted fields that a person named; they must be able to act.
        flags: those of them that must even where the value is the default.
    """

    fields: dict[str, Any]
    asked: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)

    def set(self, key: Sequence[str], value: Any, where: str, *, flag: bool = False) -> None:
        """Put a value at a dotted key, after checking that some kind of recipe has such a field."""
        _check_key(key, where)
        section = self.fields
        for part in key[:-1]:
            if not isinstance(section.get(part), dict):
                section[part] = {}
            section = section[part]
        section[key[-1]] = value
        self.asked.add(".".join(key))
        if flag:
            self.flags.add(".".join(key))

    def recipe(self) -> Recipe:
        """The recipe, whose parts fit together."""
        kind = KINDS[kind_of(self.fields)]
        vain = self._without_place(self.fields, kind, "")
        try:
            alone = Recipe.model_validate(self.fields, context={PARTS_ALONE: True})
            idle = idle_fields(alone)
            vain |= {
                name: why
                for name, why in idle.items()
                if name in self.flags and _value(self.fields, name) not in NOTHING
            }
            if vain:
                raise UsageError(no_effect(dict(sorted(vain.items())), alone))
            for name in idle:
                if not any(name == key or name.startswith(f"{key}.") for key in self.asked):
                    self._reset(name)
            return Recipe.model_validate(self.fields)
        except ValidationError as error:
            raise UsageError(f"The recipe cannot be: {_explain(error, kind)}.") from None

    def _without_place(self, fields: dict[str, Any], model: type[BaseModel], start: str) -> dict[str, str]:
        """Take out what the class has no field for; what was asked for in vain, and where it belongs."""
        vain: dict[str, str] = {}
        for name, value in list(fields.items()):
            dotted = f"{start}{name}"
            if name in model.model_fields:
                inside = _chosen(model.model_fields[name].annotation, value)
                if inside is not None:
                    vain |= self._without_place(value, inside, f"{dotted}.")
                continue
            del fields[name]
            for leaf, one in _leaves(value, dotted):
                if self._in_vain(leaf, one):
                    vain[leaf] = _belongs(leaf, KINDS[kind_of(self.fields)])
        return vain

    def _in_vain(self, dotted: str, value: Any) -> bool:
        """Whether a person asked for what has no place; a default, or nothing, is no wish."""
        if not any(dotted == key or dotted.startswith(f"{key}.") for key in self.asked):
            return False
        value = _as_tuple(value)
        if dotted in self.flags and value not in NOTHING:
            return True
        return value is not None and value not in (*_known_fields()[dotted].defaults, *_TRUE.get(dotted, ()))

    def _reset(self, dotted: str) -> None:
        """Back to the default."""
        *sections, last = dotted.split(".")
        section: Any = self.fields
        for name in sections:
            section = section.get(name) or {}
        section.pop(last, None)


@dataclass(frozen=True)
class _Field:
    """Where a dotted field stands.

    Attributes:
        kinds: of recipe that have it.
        defaults: that it has there.
        section: whether it has fields of its own.
        names: of the sections that have it, where there is a choice of sections.
    """

    kinds: list[type[Recipe]]
    defaults: list[Any]
    section: bool
    names: list[str]


@cache
def _known_fields() -> dict[str, _Field]:
    """Dotted field -> where it stands, over all kinds; sections too."""
    fields: dict[str, _Field] = {}

    def walk(
        model: type[BaseModel], kind: type[Recipe], start: str, named: str = "", usual: bool = True
    ) -> None:
        for name, info in model.model_fields.items():
            inside = _sections(info.annotation)
            field = fields.setdefault(f"{start}{name}", _Field([], [], bool(inside) and name != "search", []))
            if kind not in field.kinds:
                field.kinds.append(kind)
            if named and named not in field.names:
                field.names.append(named)
            if usual or name != "name":  # by which one of several sections is chosen
                field.defaults.append(info.default)
            for section in inside if field.section else ():
                choice = section.model_fields["name"].default if len(inside) > 1 else ""
                usually = not choice or isinstance(info.default, section)
                walk(section, kind, f"{start}{name}.", choice, usually)

    for kind in KINDS.values():
        walk(kind, kind, "")
    return fields


def dotted_fields() -> list[str]:
    """Every field that some kind of recipe has."""
    return [name for name, field in _known_fields().items() if not field.section]


def _belongs(dotted: str, kind: type[Recipe]) -> str:
    """Where a field that has no place in a recipe belongs, for people."""
    field = _known_fields()[dotted]
    if kind in field.kinds:  # and only the choice of its section is another
        names = " or ".join(f"'{name}'" for name in field.names)
        return f"it is for {dotted.rpartition('.')[0]}.name {names}"
    return f"it belongs to recipes that train {', or '.join(one.trains for one in field.kinds)}"


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The models inside `Model`, `Model | None` or a union of several; none for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for one in get_args(annotation) for section in _sections(one)]


def _chosen(annotation: Any, value: Any) -> type[BaseModel] | None:
    """The model that a value is to be; of several that whose `name` it has."""
    sections = _sections(annotation) if isinstance(value, dict) else []
    named = [one for one in sections if "name" in one.model_fields]
    if len(named) < 2:
        return sections[0] if sections and "choices" not in sections[0].model_fields else None
    return next((one for one in named if one.model_fields["name"].default == value.get("name", "none")), None)


def _leaves(value: Any, dotted: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and dotted in _known_fields() and _known_fields()[dotted].section:
        return [leaf for name, one in value.items() for leaf in _leaves(one, f"{dotted}.{name}")]
    return [(dotted, value)]


_TRUE = {"selection": ("last",)}
"""Dotted field -> values that are true of recipes without it: nothing is chosen, the last state is kept."""


def _value(fields: Mapping[str, Any], dotted: str) -> Any:
    value: Any = fields
    for name in dotted.split("."):
        value = value[name]
    return _as_tuple(value)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_key(key: Sequence[str], where: str) -> None:
    """Refuse a key that no kind of recipe has; the near one is named."""
    known = _known_fields()
    for depth, part in enumerate(key):
        before = ".".join(key[:depth])
        if before and not known[before].section:
            raise UsageError(f"{where}: '{before}' has no fields of its own.")
        dotted = f"{before}.{part}" if before else part
        if dotted in known:
            continue
        inside = [name for name in known if name.rpartition(".")[0] == before]
        near = _suggest(part, [name.rpartition(".")[2] for name in inside])
        alike = [name for name in dotted_fields() if name.split(".")[-1] == key[-1]]
        hint = near or (f"; did you mean '{alike[0]}'?" if alike else "")
        fields = "" if hint else f". Fields here: {', '.join(name.rpartition('.')[2] for name in inside)}."
        raise UsageError(f"{where}: a recipe has no field '{dotted}'{hint}{fields}")


def _named(name: str) -> Recipe:
    from trapline.recipes.registry import RECIPES

    if name.startswith(TIMM):
        from trapline.recipes.named import timm_recipe

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


def _suggest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _explain(error: ValidationError, kind: type[Recipe]) -> str:
    """What is wrong with each field; a value that other kinds of recipe take is told to be theirs."""
    lines = []
    for item in error.errors():
        parts = [str(part) for part in item["loc"] if part not in _TAGS]
        line = f"{'.'.join(parts) or 'together'}: {item['msg'].removeprefix('Value error, ')}"
        if parts and not isinstance(item["input"], dict):
            line += f" (got {item['input']!r})"
        others = [
            other.trains
            for other in KINDS.values()
            if item["type"] == "literal_error"
            and len(parts) == 1
            and parts[0] in other.model_fields
            and item["input"] in get_args(other.model_fields[parts[0]].annotation)
        ]
        if others:
            line += f"; this recipe trains {kind.trains}, and that is for {', or '.join(others)}"
        lines.append(line)
    return "; ".join(lines)


_TAGS = ("none", "cosine", "one-cycle", "step")
"""The names of schedules, which stand in the place of an error."""
