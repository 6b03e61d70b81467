"""What a setting needs beside it to act; each class of a recipe says it of its own fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

PARTS_ALONE = "parts alone"
"""Key of a validation context: with it each field is checked, but not whether the fields fit together."""

NOTHING = (0, 1, None, "", (), "none", "auto", "avg")
"""Values by which a person asks for nothing (no clipping, one member): true where the field cannot act."""


@dataclass(frozen=True)
class Needs:
    """Fields that act only where something else is set.

    Attributes:
        fields: dotted, from the class that says so.
        why: what they need, for people.
        met: whether an object of that class has it.
    """

    fields: tuple[str, ...]
    why: str
    met: Callable[[Any], bool]


class Section(BaseModel):
    """Fields that belong together: of a recipe, or a recipe itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs: ClassVar[tuple[Needs, ...]] = ()
    """Of the class itself; those of the classes that it extends hold too."""


def idle_fields(section: BaseModel, start: str = "") -> dict[str, str]:
    """The dotted fields that cannot act beside the others, whatever their value, and what they need."""
    idle: dict[str, str] = {}
    for kind in type(section).__mro__:
        for one in vars(kind).get("needs", ()):
            if not one.met(section):
                idle = {f"{start}{field}": one.why for field in one.fields} | idle
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            idle |= idle_fields(value, f"{start}{name}.")
    return idle


def idle_settings(section: BaseModel) -> dict[str, str]:
    """Those of the idle fields that are set to something else than their default."""
    changed = {field for field, value, default in leaves(section) if value != default}
    return {field: why for field, why in idle_fields(section).items() if field in changed}


def leaves(section: BaseModel, start: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each dotted field of a section with its value and its default."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", value, field.default


def told(idle: Mapping[str, str]) -> str:
    """Fields and what each needs, for people."""
    of_need: dict[str, list[str]] = {}
    for field, why in idle.items():
        of_need.setdefault(why, []).append(field)
    return "; ".join(f"{', '.join(fields)}: {why}" for why, fields in of_need.items())
