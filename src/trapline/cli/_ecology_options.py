"""Options that commands of `trapline ecology` share: where records and stations come from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.arguments import refuse_own_input
from trapline.cli._common import note, refuse_to_overwrite
from trapline.errors import UsageError

if TYPE_CHECKING:
    from trapline.ecology import Records, Stations, Target

RecordsFile = Annotated[
    Path,
    typer.Argument(
        metavar="RECORDS",
        help="Records: camtrapR's table or any CSV, a Camtrap DP package, a Wildlife Insights download, a "
        "catalog, folders of photos.",
    ),
]
StationsFile = Annotated[
    Path | None,
    typer.Option(
        "--stations",
        metavar="FILE",
        help="When cameras stood: camtrapR's table, deployments, … [those of the package].",
        show_default=False,
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="ROLE=NAME", help="A column of the records: species=Sps. Repeat it."),
]
StationsColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--stations-column", metavar="ROLE=NAME", help="A column of the stations: start=Setup. Repeat it."
    ),
]
TimeFormat = Annotated[
    str | None,
    typer.Option(help="How the records' times are written: day-first, month-first or strptime's."),
]
StationsTimeFormat = Annotated[str | None, typer.Option(help="Likewise, of the stations' dates.")]
Timezone = Annotated[
    str | None,
    typer.Option(help="The zone of the cameras' clocks, for times with an offset: Africa/Abidjan, +01:00."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="LABEL", help="A label that is no record, as UNID. Repeat it."),
]
ClassifiedBy = Annotated[
    str, typer.Option(help="Whose observations of a package count: human, machine or all.")
]
Levels = Annotated[
    str, typer.Option(help="What folders of photos are named for, level by level: location/camera/label.")
]
HoursOption = Annotated[
    str,
    typer.Option(
        "--hours",
        help="Hours of the days of setup and retrieval: table (its own, else noon), noon, exact, whole.",
    ),
]
CamerasOption = Annotated[
    str,
    typer.Option(
        "--cameras", help="A station of several cameras works while any does, while all do, or their sum."
    ),
]
OccasionStart = Annotated[
    int, typer.Option(min=0, max=23, help="The hour at which days and occasions begin: 12 for nights.")
]
SkipUnknown = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out records at locations that no station is at.")
]
Out = Annotated[
    Path | None, typer.Option("-o", "--output", help="The CSV to write [print it].", show_default=False)
]


def load_records(
    source: Path,
    column: Sequence[str] | None = None,
    *,
    time_format: str | None = None,
    timezone: str | None = None,
    exclude: Sequence[str] | None = None,
    **more: Any,
) -> Records:
    """Records of a command's arguments."""
    from trapline.ecology import read_records

    return read_records(
        source,
        columns=roles_of(column, "--column"),
        time_format=time_format,
        timezone=timezone,
        exclude=exclude or (),
        **more,
    )


def load_stations(
    source: Path,
    column: Sequence[str] | None = None,
    *,
    time_format: str | None = None,
    timezone: str | None = None,
) -> Stations:
    """Stations of a command's arguments; errors name the options of the stations."""
    from trapline.ecology import read_stations_beside

    return read_stations_beside(
        source,
        columns=roles_of(column, "--stations-column"),
        time_format=time_format,
        timezone=timezone,
    )


def roles_of(column: Sequence[str] | None, option: str) -> dict[str, str]:
    """`species=Sps` as what a column holds → its name.

    Raises:
        UsageError: one is not written so, or no column can hold that.
    """
    from trapline.ecology import RECORD_ROLES, STATION_ROLES

    known = STATION_ROLES if option == "--stations-column" else RECORD_ROLES
    roles = {}
    for each in column or ():
        role, sign, name = each.partition("=")
        if not sign or not name or role not in known:
            raise UsageError(f"{option} is ROLE=NAME, with a role of {', '.join(known)}; not {each!r}.")
        roles[role] = name
    return roles


def refuse_outputs(outputs: Sequence[Path | None], force: bool, *sources: object) -> None:
    """Refuse to write over what is there, over what is read, or one file twice."""
    files = [path for path in outputs if path is not None]
    if len({path.absolute() for path in files}) < len(files):
        raise UsageError("Two outputs have the same name.")
    for path in files:
        refuse_to_overwrite(path, force)
        refuse_own_input(path, *sources)


def target(output: Path | None) -> Target:
    """Where a table goes: the file, or standard output."""
    return sys.stdout if output is None else output


def tell(notes: Sequence[str]) -> None:
    """Notes, each once, on standard error."""
    for sentence in dict.fromkeys(notes):
        note(sentence)
