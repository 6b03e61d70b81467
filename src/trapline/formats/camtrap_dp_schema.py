"""The tables of Camtrap DP 1.0.2: columns in order, types and constraints."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from trapline.errors import DataError

VERSION = "1.0.2"
BASE = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
TABLES = ("deployments", "media", "observations")
SAMPLING_DESIGNS = (
    "simpleRandom",
    "systematicRandom",
    "clusteredRandom",
    "experimental",
    "targeted",
    "opportunistic",
)
CAPTURE_METHODS = ("activityDetection", "timeLapse")
ROLES = ("contact", "principalInvestigator", "rightsHolder", "publisher", "contributor")
LICENSE_SCOPES = ("data", "media")


@functools.cache
def table_schema(table: str) -> dict[str, Any]:
    """The table schema of one of `TABLES`, as frictionless reads it."""
    text = resources.files("trapline.formats.camtrap_dp_schemas").joinpath(f"{table}.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def columns(table: str) -> list[str]:
    """The columns of a table in the standard's order."""
    return [field["name"] for field in table_schema(table)["fields"]]


def check_row(table: str, row: Mapping[str, str | None], where: str) -> None:
    """Refuse a row whose values are not of the types and within the constraints of the table.

    Raises:
        DataError: the first column that breaks its rule.
    """
    for field in table_schema(table)["fields"]:
        value, rules = row.get(field["name"]), field["constraints"]
        if value is None or value == "":
            if rules["required"]:
                raise DataError(f"{where} lacks {field['name']}, which Camtrap DP requires.")
            continue
        problem = _problem(value, field["type"], rules)
        if problem:
            raise DataError(f"{where}: {field['name']} is {value!r}; Camtrap DP wants {problem}.")


def _problem(value: str, type_: str, rules: Mapping[str, Any]) -> str | None:
    if "enum" in rules and value not in rules["enum"]:
        return f"one of {', '.join(rules['enum'])}"
    if "pattern" in rules and not re.search(rules["pattern"], value):
        if "image" in rules["pattern"]:
            return "a media type such as image/jpeg"
        return "a relative path that does not begin with '.', '/' or '~' and has no '..' in it, or a URL"
    if type_ == "boolean" and value not in ("true", "false"):
        return "true or false"
    if type_ not in ("integer", "number"):
        return None
    try:
        number = int(value) if type_ == "integer" else float(value)
    except ValueError:
        return "a whole number" if type_ == "integer" else "a number"
    low, high = rules.get("minimum", float("-inf")), rules.get("maximum", float("inf"))
    return None if low <= number <= high else f"a number from {low} to {high}"
