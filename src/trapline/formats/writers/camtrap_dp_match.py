"""Which photos of a catalog a Camtrap DP package has already, and what the others are called in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from trapline.errors import DataError
from trapline.formats.camtrap_dp_package import CamtrapPackage, PresentMedia
from trapline.formats.deployments import Deployment
from trapline.formats.zones import format_instant

Media = Mapping[str, Any]


def find_present(
    package: CamtrapPackage, media: Sequence[Media], moments: Mapping[str, datetime], prefix: str
) -> dict[str, PresentMedia]:
    """The media of the package that are photos of the catalog: of the same path, or id, and instant.

    A folder's media ids are paths from its root, and the next season's card has the same ones: such an id
    says no more than the path. Another id is one that somebody gave, and holds wherever the file lies.

    Args:
        package: on disk.
        media: rows of a catalog.
        moments: media id → when it was taken, zone-aware.
        prefix: put before the paths of the catalog.

    Returns:
        Media id of the catalog → row of the package.

    Raises:
        DataError: another photo, of another instant, has the path of one of the catalog.
    """
    rows = package.media()
    by_path = {row.path: row for row in rows}
    by_id = {row.media_id: row for row in rows}
    present: dict[str, PresentMedia] = {}
    others: list[tuple[PresentMedia, str]] = []
    for each in media:
        own, moment = each["media_id"], format_instant(moments[each["media_id"]])
        row = by_path.get(prefix + each["file_path"])
        if row is not None and not _at(row, moment):
            others.append((row, moment))
            continue
        given = by_id.get(own) if own != each["file_path"] else None
        if row is None and given is not None and _at(given, moment) and _may_be_of(given, each):
            row = given
        if row is not None:
            present[own] = row
    if others:
        row, moment = others[0]
        raise DataError(
            f"{package.folder / 'media.csv'} has {len(others)} of these paths with another time: the first "
            f"is {row.path}, taken {format_instant(row.moment)} there and {moment} here. If they are other "
            "photos, put them into a folder of their own in the package and name it with --media-prefix; "
            "if a clock or --timezone differs, make it the same."
        )
    return present


def new_names(
    package: CamtrapPackage,
    media: Sequence[Media],
    present: Mapping[str, PresentMedia],
    homes: Mapping[str, Deployment],
    prefix: str,
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """What the catalog's media and events are called in the package, where no two things may share a name.

    If other photos or events of the package have the names of new ones, all new media and their events get
    the prefix that their paths get.

    Args:
        package: on disk.
        media: rows of a catalog.
        present: what `find_present` found.
        homes: media id of the catalog → deployment.
        prefix: put before the paths of the catalog.

    Returns:
        Media id of the catalog → of the package; event id → event id, for those that change; and what a
        person should know.

    Raises:
        DataError: names are taken, and there is no prefix or it does not make them new.
    """
    known = {row.media_id: row for row in package.media()}
    of_events = package.deployments_of_events()
    new = [each for each in media if each["media_id"] not in present]
    same_id = [each for each in new if each["media_id"] in known]
    same_event = [
        each
        for each in new
        if each["event_id"] in of_events
        and homes[each["media_id"]].deployment_id not in of_events[each["event_id"]]
    ]
    if (same_id or same_event) and (not prefix or any(prefix + each["media_id"] in known for each in new)):
        raise DataError(_taken_names(package, known, same_id, same_event))
    before = {own for own, row in present.items() if row.media_id == prefix + own != own}
    ids = {each["media_id"]: each["media_id"] for each in media}
    ids |= {own: row.media_id for own, row in present.items()}
    if not (same_id or same_event or before):
        return ids, {}, []
    ids |= {each["media_id"]: prefix + each["media_id"] for each in new}
    kept = {each["event_id"] for each in media if ids[each["media_id"]] != prefix + each["media_id"]} | {None}
    events = {each["event_id"]: prefix + each["event_id"] for each in media if each["event_id"] not in kept}
    if not new:
        return ids, events, []
    note = (
        f"the ids of {len(new)} new media and of their events begin with {prefix!r}: the package has others "
    )
    return ids, events, [note + "of their names"]


def _at(row: PresentMedia, moment: str) -> bool:
    return row.moment.replace(microsecond=0) == datetime.fromisoformat(moment)


def _may_be_of(row: PresentMedia, media: Media) -> bool:
    return media["deployment_id"] in (None, row.deployment_id)


def _taken_names(
    package: CamtrapPackage,
    known: Mapping[str, PresentMedia],
    same_id: Sequence[Media],
    same_event: Sequence[Media],
) -> str:
    advice = (
        "If they are other photos, tell them apart by a --media-prefix of their own, such as season2/; if "
        "they are the same, give the --media-prefix, the --timezone and the deployments that the package has."
    )
    if same_id:
        name = same_id[0]["media_id"]
        there = f"{known[name].path}, taken {format_instant(known[name].moment)}"
        return (
            f"{package.folder / 'media.csv'} has {len(same_id)} of these media ids for photos of another "
            f"path or time: the first is {name}, there {there}. {advice}"
        )
    return (
        f"{package.folder / 'observations.csv'} has the events of {len(same_event)} of these media for other "
        f"deployments: the first is {same_event[0]['event_id']}. {advice}"
    )
