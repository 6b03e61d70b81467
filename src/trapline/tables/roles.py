"""Which column of somebody's table holds what: by the usual spellings of its name, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from trapline.errors import DataError

_OF_TRAPLINE = ("_place", "_line")


def plain_name(name: str) -> str:
    """A column's name without case, blanks and signs: `Setup_date`, `setup date` and `SetupDate` are one."""
    return re.sub(r"[\W_]+", "", name.casefold())


def find_roles(
    columns: Sequence[str],
    spellings: Mapping[str, Sequence[str]],
    path: Path,
    chosen: Mapping[str, str | None] | None = None,
) -> dict[str, str]:
    """Role → the column that holds it; roles that no column holds are not there.

    Of several columns that could hold one role the one is taken whose spelling stands first. No column holds
    two roles: what the user chose is nothing else.

    Args:
        columns: of the table.
        spellings: role → names as `plain_name` writes them, the best first.
        path: of the table, for errors.
        chosen: role → column, as the user says; None where they do not.

    Raises:
        DataError: a column that was chosen is not there.
    """
    told = {role: name for role, name in (chosen or {}).items() if name is not None}
    missing = [name for name in told.values() if name not in columns]
    if missing:
        have = ", ".join(name for name in columns if name not in _OF_TRAPLINE)
        raise DataError(f"{path} line 1 lacks the column {missing[0]!r}; it has: {have}.")
    free = [name for name in columns if name not in told.values() and name not in _OF_TRAPLINE]
    by_name = {plain_name(name): name for name in reversed(free)}
    roles = dict(told)
    for role, names in spellings.items():
        if role not in roles:
            column = next((by_name.pop(name) for name in names if name in by_name), None)
            if column is not None:
                roles[role] = column
    return roles
