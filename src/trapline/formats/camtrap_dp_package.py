"""A Camtrap DP package on disk: a new one, or one to which rows are added and none is touched."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from trapline.errors import DataError
from trapline.formats.camtrap_dp_schema import BASE, TABLES, VERSION, columns
from trapline.formats.deployments import Deployment
from trapline.formats.json_file import read_json_object
from trapline.formats.zones import format_instant
from trapline.storage import replace_whole
from trapline.tables import read_header, read_table
from trapline.times import read_time

DESCRIPTOR = "datapackage.json"
_IDS = {"deployments": "deploymentID", "media": "mediaID", "observations": "observationID"}

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class PresentMedia:
    """A row of media.csv on disk.

    Attributes:
        media_id: its id.
        path: its filePath.
        deployment_id: its deployment.
        moment: its timestamp, zone-aware.
    """

    media_id: str
    path: str
    deployment_id: str
    moment: datetime


@dataclass
class CamtrapPackage:
    """A package as it is on disk, and what is to be added.

    Attributes:
        folder: where it is, or will be.
        descriptor: its datapackage.json; empty if there is none yet.
        present: table → its rows on disk, all as text; empty if there is none yet.
        added: table → new rows.
    """

    folder: Path
    descriptor: dict[str, Any]
    present: dict[str, pl.DataFrame]
    added: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in TABLES})

    @classmethod
    def open(cls, folder: Path) -> CamtrapPackage:
        """The package in a folder, or the beginnings of one where the folder is empty or absent.

        Raises:
            DataError: the folder holds something else, another version, or an incomplete package.
        """
        if not folder.exists() or not any(folder.iterdir()):
            return cls(folder, {}, {})
        if not (folder / DESCRIPTOR).is_file():
            raise DataError(
                f"{folder} holds files but no {DESCRIPTOR}. Name an empty folder, or one with a Camtrap DP "
                "package."
            )
        descriptor = read_json_object(folder / DESCRIPTOR)
        profile = descriptor.get("profile")
        if not isinstance(profile, str) or "camtrap-dp/1.0" not in profile:
            raise DataError(
                f"{folder / DESCRIPTOR} has the profile {profile!r}; rows can be added to Camtrap DP "
                f"1.0 to {VERSION} only."
            )
        present = {table: read_table(folder / f"{table}.csv") for table in TABLES}
        for table, rows in present.items():
            if _IDS[table] not in rows.columns:
                raise DataError(f"{folder / table}.csv line 1 lacks the column {_IDS[table]}.")
        return cls(folder, descriptor, present)

    @property
    def exists(self) -> bool:
        """There is a package on disk that rows are added to."""
        return bool(self.descriptor)

    def ids(self, table: str) -> set[str]:
        """The ids of the rows on disk."""
        return set(self.present[table][_IDS[table]].drop_nulls()) if self.exists else set()

    def media(self) -> list[PresentMedia]:
        """The media on disk.

        Raises:
            DataError: a column is missing, or a row's value; its line is named.
        """
        if not self.exists:
            return []
        table, names = self.present["media"], ("mediaID", "filePath", "deploymentID", "timestamp")
        missing = [name for name in names if name not in table.columns]
        if missing:
            raise DataError(f"{self.folder / 'media.csv'} line 1 lacks the columns {', '.join(missing)}.")
        return [_present_media(row) for row in table.select("_place", *names).iter_rows(named=True)]

    def deployments_of_events(self) -> dict[str, set[str]]:
        """Event id → the deployments of its observations on disk."""
        if not self.exists or not {"eventID", "deploymentID"} <= set(self.present["observations"].columns):
            return {}
        deployments: dict[str, set[str]] = {}
        pairs = self.present["observations"].select("eventID", "deploymentID").drop_nulls().unique()
        for event, deployment in pairs.iter_rows():
            deployments.setdefault(event, set()).add(deployment)
        return deployments

    def add(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows.

        Raises:
            DataError: an observation's id is on disk.
        """
        known = self.ids(table)
        rows = list(rows)
        again = [row for row in rows if row[_IDS[table]] in known]
        if again:
            raise DataError(
                f"{self.folder} already has {len(again)} of these {table} (the first is "
                f"{again[0][_IDS[table]]}): they were written to it before. --observers says whose are."
            )
        self.added[table] += rows

    def save(self, descriptor: Mapping[str, Any]) -> list[str]:
        """Write the tables and the descriptor; on disk rows keep every byte.

        Raises:
            DataError: a table on disk lacks a column that new rows fill.
        """
        texts = {f"{table}.csv": self._text(table) for table in TABLES}
        texts[DESCRIPTOR] = (json.dumps(descriptor, indent=2, ensure_ascii=False) + "\n").encode()
        with ExitStack() as all_written:  # it replaces the last one first, and so the descriptor last
            for name, content in reversed(texts.items()):
                all_written.enter_context(replace_whole(self.folder / name)).write_bytes(content)
        return list(texts)

    def _text(self, table: str) -> bytes:
        path = self.folder / f"{table}.csv"
        if not self.exists:
            return csv_bytes(columns(table), self.added[table])
        before = path.read_bytes()
        header = [name for name in self.present[table].columns if name != "_place"]
        filled = {name for row in self.added[table] for name, value in row.items() if value}
        missing = [name for name in columns(table) if name in filled and name not in header]
        if missing:
            raise DataError(f"{path} line 1 lacks the columns {', '.join(missing)}, which new rows fill.")
        first = before.split(b"\n", 1)[0]
        if read_header(path) != header or first.lower().startswith(
            (b"sep=", b'"sep=', b"\xff", b"\xfe", b"\x1f\x8b")
        ):
            raise DataError(
                f"{path} is not written as Camtrap DP is: columns without a name, another encoding or lines "
                "before its header. Save it as plain CSV in UTF-8, then rows can be added."
            )
        separator = max(",;\t", key=first.decode("utf-8-sig").count)
        end = "\r\n" if first.endswith(b"\r") else "\n"
        between = b"" if before.endswith(b"\n") else end.encode()
        return before + between + csv_bytes(header, self.added[table], separator, end, with_header=False)


def _present_media(row: Mapping[str, str | None]) -> PresentMedia:
    media_id, path, deployment, time = (row[name] for name in list(row)[1:])
    if media_id is None or path is None or deployment is None:
        raise DataError(f"{row['_place']} lacks its mediaID, filePath or deploymentID.")
    written = read_time(time or "")
    moment = None if written is None else written.moment
    if moment is None:
        raise DataError(
            f"{row['_place']}: timestamp is {time!r}, not a date-time with its offset as in "
            "2020-05-30T04:57:37+02:00."
        )
    return PresentMedia(media_id, path, deployment, moment)


def csv_bytes(
    header: Sequence[str],
    rows: Sequence[Row],
    separator: str = ",",
    end: str = "\n",
    *,
    with_header: bool = True,
) -> bytes:
    """A CSV of rows of text, empty cells for what is None."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    if with_header:
        writer.writerow(header)
    writer.writerows([[row.get(name) or "" for name in header] for row in rows])
    return text.getvalue().encode()


def deployment_row(deployment: Deployment) -> Row:
    """A deployment as a row of deployments.csv: its columns under the standard's names."""
    return {name: deployment.values.get(name) for name in columns("deployments")} | {
        "deploymentID": deployment.deployment_id,
        "locationID": deployment.location_id,
        "latitude": deployment.values["latitude"],
        "longitude": deployment.values["longitude"],
        "deploymentStart": format_instant(deployment.start),
        "deploymentEnd": format_instant(deployment.end),
    }


def new_descriptor(
    metadata: Mapping[str, Any],
    deployments: Sequence[Deployment],
    taxa: Sequence[Mapping[str, str]],
    levels: Sequence[str],
) -> dict[str, Any]:
    """The datapackage.json of a new package: what the user said, and what follows from the tables."""
    resources = [
        {
            "name": table,
            "path": f"{table}.csv",
            "profile": "tabular-data-resource",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "schema": f"{BASE}/{table}-table-schema.json",
        }
        for table in TABLES
    ]
    project = {**metadata["project"], "observationLevel": list(levels)}
    return {
        "resources": resources,
        "profile": f"{BASE}/camtrap-dp-profile.json",
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **metadata,
        "project": project,
        "spatial": _spatial(deployments),
        "temporal": _temporal(deployments),
        "taxonomic": list(taxa),
    }


def extended_descriptor(
    before: Mapping[str, Any],
    deployments: Sequence[Deployment],
    taxa: Sequence[Mapping[str, str]],
    levels: Sequence[str],
    *,
    deployments_added: bool,
) -> dict[str, Any]:
    """The datapackage.json of a package on disk after rows were added.

    Taxa and observation levels are added; space and time are reckoned anew only if deployments were added.
    """
    known = {taxon.get("scientificName") for taxon in before.get("taxonomic", [])}
    project = dict(before.get("project", {}))
    project["observationLevel"] = list(dict.fromkeys([*project.get("observationLevel", []), *levels]))
    after = {
        **before,
        "project": project,
        "taxonomic": [
            *before.get("taxonomic", []),
            *(taxon for taxon in taxa if taxon["scientificName"] not in known),
        ],
    }
    if deployments_added:
        after |= {"spatial": _spatial(deployments), "temporal": _temporal(deployments)}
    return after


def _spatial(deployments: Sequence[Deployment]) -> dict[str, Any]:
    """GeoJSON: the rectangle around all deployments, or the one point."""
    west, east = (bound(d.longitude for d in deployments) for bound in (min, max))
    south, north = (bound(d.latitude for d in deployments) for bound in (min, max))
    if (west, south) == (east, north):
        return {"type": "Point", "coordinates": [west, south]}
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _temporal(deployments: Sequence[Deployment]) -> dict[str, str]:
    return {
        "start": min(d.start for d in deployments).date().isoformat(),
        "end": max(d.end for d in deployments).date().isoformat(),
    }
