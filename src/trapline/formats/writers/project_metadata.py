"""What only the user can say of a project: read from a YAML or JSON file, checked, never made up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from trapline.errors import DataError
from trapline.formats.camtrap_dp_schema import CAPTURE_METHODS, LICENSE_SCOPES, ROLES, SAMPLING_DESIGNS

MAX_BYTES = 16 * 1024**2
_NAME = re.compile(r"[-a-z0-9._/]+")
_COMPUTED = ("resources", "profile", "created", "spatial", "temporal", "taxonomic")

TEMPLATE = f"""contributors:
  - title: YOUR NAME
project:
  title: NAME OF THE PROJECT
  samplingDesign: ONE OF {", ".join(SAMPLING_DESIGNS)}
  captureMethod: [ANY OF {", ".join(CAPTURE_METHODS)}]
  individualAnimals: false"""
"""What a metadata file for Camtrap DP must hold at least."""


def read_metadata(path: Path) -> dict[str, Any]:
    """The object that a YAML or JSON file holds.

    Raises:
        DataError: missing, too large, or not YAML with keys.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES // 1024**2} MiB; that is no project's metadata.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no keys; it must hold at least:\n{TEMPLATE}")
    return content


def read_camtrap_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a Camtrap DP package: contributors, project, and any other key of its profile.

    Raises:
        DataError: a required key is missing or of the wrong form; all are named, with a template.
    """
    content = read_metadata(path)
    project = content.get("project") if isinstance(content.get("project"), dict) else {}
    assert isinstance(project, dict)
    contributors = content.get("contributors")
    methods = project.get("captureMethod")
    checks = {
        "contributors: a list of which each has a title": isinstance(contributors, list)
        and bool(contributors)
        and all(isinstance(each, dict) and isinstance(each.get("title"), str) for each in contributors),
        "project.title": isinstance(project.get("title"), str),
        f"project.samplingDesign: one of {', '.join(SAMPLING_DESIGNS)}": project.get("samplingDesign")
        in SAMPLING_DESIGNS,
        f"project.captureMethod: a list of {', '.join(CAPTURE_METHODS)}": isinstance(methods, list)
        and bool(methods)
        and all(method in CAPTURE_METHODS for method in methods),
        "project.individualAnimals: true or false": isinstance(project.get("individualAnimals"), bool),
        **_optional_checks(content),
    }
    wrong = [name for name, good in checks.items() if not good]
    if wrong:
        raise DataError(f"{path} lacks or mistakes: {'; '.join(wrong)}. It must hold at least:\n{TEMPLATE}")
    computed = [name for name in _COMPUTED if name in content]
    if computed:
        raise DataError(f"{path} holds {', '.join(computed)}, which follow from the data; take them out.")
    return content


def _optional_checks(content: dict[str, Any]) -> dict[str, bool]:
    """What the profile of Camtrap DP and that of Data Packages want of keys that may be left out."""
    contributors, licenses = content.get("contributors"), content.get("licenses")
    roles = [each.get("role") for each in _objects(contributors)]
    scopes = {each.get("scope") for each in _objects(licenses) if each.get("name") or each.get("path")}
    return {
        f"contributors.role: one of {', '.join(ROLES)}": all(role is None or role in ROLES for role in roles),
        "licenses: for each of the scopes data and media one, with a name or a path": licenses is None
        or (scopes == set(LICENSE_SCOPES) and all("scope" in each for each in _objects(licenses))),
        "name: lower-case letters, digits, '.', '_', '-' and '/' alone": content.get("name") is None
        or (isinstance(content["name"], str) and bool(_NAME.fullmatch(content["name"]))),
    }


def _objects(items: object) -> list[dict[str, Any]]:
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []
