"""Camtrap DP 1.0.2, the exchange standard of camera trapping."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path, PurePosixPath
from typing import Any

from trapline.errors import DataError, UsageError, many
from trapline.formats.camtrap_dp_package import (
    CamtrapPackage,
    Row,
    deployment_row,
    extended_descriptor,
    new_descriptor,
)
from trapline.formats.camtrap_dp_schema import check_row
from trapline.formats.deployments import Deployment, assign_deployments, read_deployments
from trapline.formats.writers.answers import (
    author,
    describe_threshold,
    observe_media,
    round_probability,
)
from trapline.formats.writers.camtrap_dp_match import find_present, new_names
from trapline.formats.writers.project_metadata import TEMPLATE, read_camtrap_metadata
from trapline.formats.writers.writing import Job, Written, writer
from trapline.formats.zones import format_instant, instant, parse_zone
from trapline.observations import (
    LabelProbability,
    MediaObservations,
    Observation,
    event_observations,
)
from trapline.taxonomy import Rank

_TYPE_OF_KIND = {
    "animal": "animal",
    "human": "human",
    "vehicle": "vehicle",
    "blank": "blank",
    "other": "unknown",
}
_MEDIATYPES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "image/jpeg"),
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".jp2": "image/jp2",
}
"""Of the files that are read; what a system's own table knows of the newer ones differs."""


@dataclass(frozen=True)
class _Media:
    """A media that observations of the package are about.

    Attributes:
        media_id: in the package.
        event_id: in the package.
        deployment: as the package says if it has the media.
        moment: as the package says if it has the media.
        said: the row of the catalog, and what is said of it.
        present: the package has it.
    """

    media_id: str
    event_id: str | None
    deployment: Deployment
    moment: datetime
    observed: MediaObservations
    present: bool


@writer(
    "camtrap-dp",
    into="shared",
    loses=(
        "all labels but the answers; probabilities are rounded to five digits",
        "boxes that were not classified one by one, and every box's own confidence",
        "the split, the model's settings; the photos are named, not copied",
    ),
)
def write_camtrap_dp(
    job: Job,
    *,
    deployments: Path | None = None,
    timezone: str | None = None,
    metadata: Path | None = None,
    threshold: float | None = None,
    media_prefix: str = "",
    file_public: bool = False,
    leave_out: bool = False,
) -> Written:
    """A Camtrap DP 1.0.2 package, or rows added to one that exists.

    Predictions of media and boxes become observations of media, those of events observations of events.
    Where no label reaches the threshold the observation is `unknown`, where the photo failed `unclassified`.
    In an existing package every row stays, byte for byte. A photo is one of its media if path and instant are
    the same, or the instant and an id that is more than a path; deployment and time are then the package's.

    Args:
        job: what is to be written; needs a taxonomy.
        deployments: CSV of deployments (see `read_deployments`); an existing package's own serve as well.
        timezone: the zone of the cameras' clocks; not needed where the catalog knows every instant.
        metadata: YAML or JSON with what only the user knows; not needed for an existing package.
        threshold: labels below this probability are no answers.
        media_prefix: put before every file path: a folder in the package, or the start of a URL; also before
            the ids of new photos and their events, if the package has other ones of that name.
        file_public: the photos can be had at their paths by anybody.
        leave_out: leave out media whose instant is not known, instead of refusing.

    Raises:
        UsageError: something that the standard requires was not given; all of it is named.
        DataError: a media has no deployment, time or type; a value breaks the standard's rules; another photo
            of the package has the path or id of a new one.
    """
    package = CamtrapPackage.open(job.output)
    zone = None if timezone is None else parse_zone(timezone)
    entries, notes = observe_media(job, threshold)
    _refuse_incomplete(job, package, entries, deployments, zone, metadata)
    described = None if package.exists or metadata is None else read_camtrap_metadata(metadata)
    known = _deployments(package, deployments, zone)
    media, left_out, more = _locate(package, entries, known, zone, media_prefix, leave_out)
    notes += more
    used = {each.deployment.deployment_id: each.deployment for each in media}
    there = package.ids("deployments")
    wanted = used.values() if package.exists else known
    package.add("deployments", [deployment_row(d) for d in wanted if d.deployment_id not in there])
    package.add("media", [_media_row(each, media_prefix, file_public) for each in media if not each.present])
    observations = list(_observations(job, media, threshold))
    package.add("observations", observations)
    for table, rows in package.added.items():
        for row in rows:
            check_row(table, row, f"the new row of {table}.csv for {next(iter(row.values()))}")
    taxa = _taxa(job, observations)
    levels = sorted({row["observationLevel"] or "" for row in observations})
    if described is not None:
        descriptor = new_descriptor(described, known, taxa, levels)
    else:
        added = bool(package.added["deployments"])
        descriptor = extended_descriptor(package.descriptor, known, taxa, levels, deployments_added=added)
    files = package.save(descriptor)
    pairs = [(each.observed.media, what) for each in media for what in each.observed.shown]
    flat = sum(what.box is not None and not _box(photo, what) for photo, what in pairs)
    if flat:
        left_out.append(f"{many(flat, 'box')} without an area that six digits show")
    below = [row for row in observations if row.get("classificationMethod") != "human"]
    unknown = sum(row["observationType"] == "unknown" for row in below)
    notes += describe_threshold(job, threshold, unknown, "they are observations of the type unknown")
    if package.exists:
        notes += [f"{many(len(rows), 'row')} added to {table}.csv" for table, rows in package.added.items()]
    if not media_prefix:
        notes.append(
            f"file paths start at {job.catalog.root}: put the photos into the package as they are there"
        )
    return Written(len(observations), "observations", left_out, notes, files)


def _refuse_incomplete(
    job: Job,
    package: CamtrapPackage,
    entries: Sequence[MediaObservations],
    deployments: Path | None,
    zone: tzinfo | None,
    metadata: Path | None,
) -> None:
    missing = []
    if job.taxonomy is None and job.unnamed_animals:
        missing.append("--taxonomy: what the labels are called in science (see docs/taxonomy.md)")
    if not package.exists and deployments is None:
        missing.append(
            "--deployments: a CSV with deploymentID (or locationID), latitude, longitude, deploymentStart, "
            "deploymentEnd"
        )
    untimed = sum(entry.media["timestamp"] is None for entry in entries)
    if zone is None and untimed:
        missing.append(
            f"--timezone: the zone of the cameras' clocks, as 'Europe/Paris' or '+01:00' ({untimed} media "
            "have a clock time at most)"
        )
    if not package.exists and metadata is None:
        missing.append(f"--metadata: a YAML file that holds at least\n{TEMPLATE}")
    if missing:
        raise UsageError(
            "Camtrap DP requires what is in no photo and cannot be guessed. Missing:\n- "
            + "\n- ".join(missing)
        )


def _deployments(package: CamtrapPackage, path: Path | None, zone: tzinfo | None) -> list[Deployment]:
    known = read_deployments(package.folder / "deployments.csv", zone) if package.exists else []
    ids = {deployment.deployment_id for deployment in known}
    own = [] if path is None else read_deployments(path, zone)
    return known + [deployment for deployment in own if deployment.deployment_id not in ids]


def _locate(
    package: CamtrapPackage,
    entries: Sequence[MediaObservations],
    deployments: Sequence[Deployment],
    zone: tzinfo | None,
    prefix: str,
    leave_out: bool,
) -> tuple[list[_Media], list[str], list[str]]:
    """Give each media its moment and deployment; also what was left out, and notes."""
    moments = {entry.media["media_id"]: instant(entry.media, zone) for entry in entries}
    untimed = [entry for entry in entries if moments[entry.media["media_id"]] is None]
    lost = []
    if untimed:
        first = ", ".join(entry.media["file_path"] for entry in untimed[:3])
        those = many(len(untimed), "media has")
        problem = f"{those} no time that is an instant (none at all, or one that daylight "
        problem += f"saving skips or repeats): {first}"
        if not leave_out or len(untimed) == len(entries):
            raise DataError(
                f"Camtrap DP requires the instant of every media; {problem}. Leave them out with "
                "--leave-out; for clocks that do not follow daylight saving give a fixed offset as the "
                "--timezone."
            )
        lost.append(problem)
    timed = [entry for entry in entries if moments[entry.media["media_id"]] is not None]
    instants = {name: moment for name, moment in moments.items() if moment is not None}
    present = find_present(package, [entry.media for entry in timed], instants, prefix)
    new = [entry.media for entry in timed if entry.media["media_id"] not in present]
    homes, notes = assign_deployments(new, moments, deployments)
    by_id = {deployment.deployment_id: deployment for deployment in deployments}
    for own, row in present.items():
        if row.deployment_id not in by_id:
            raise DataError(
                f"media.csv names the deployment {row.deployment_id!r} for the media {row.media_id!r}; "
                "deployments.csv does not have it."
            )
        homes[own], instants[own] = by_id[row.deployment_id], row.moment
    media = [entry.media for entry in timed]
    ids, events, more = new_names(package, media, present, homes, prefix)
    located = []
    for entry in timed:
        own, event = entry.media["media_id"], entry.media["event_id"]
        names = ids[own], events.get(event, event)
        located.append(_Media(*names, homes[own], instants[own], entry, own in present))
    return located, lost, notes + more


def _media_row(media: _Media, prefix: str, public: bool) -> Row:
    path = media.observed.media["file_path"]
    mediatype = _MEDIATYPES.get(PurePosixPath(path).suffix.lower()) or mimetypes.guess_type(path)[0]
    if mediatype is None:
        raise DataError(f"The media type of {path} cannot be told from its name; Camtrap DP requires it.")
    return {
        "mediaID": media.media_id,
        "deploymentID": media.deployment.deployment_id,
        "timestamp": format_instant(media.moment),
        "filePath": prefix + path,
        "filePublic": "true" if public else "false",
        "fileName": PurePosixPath(path).name,
        "fileMediatype": mediatype,
    }


def _observations(job: Job, media: Sequence[_Media], threshold: float | None) -> Iterable[Row]:
    for each in media:
        count = 0
        if each.observed.unobserved and not each.present:
            yield {
                **_media_observation(each, f"{each.media_id}-unobserved"),
                "observationType": "unclassified",
                "observationComments": "nobody has looked at it",
            }
        for what in each.observed.shown:
            for answer in () if what.of_event else what.answers or (None,):
                yield {
                    **_media_observation(each, f"{each.media_id}-{_key(what)}-{count}"),
                    **_statement(job, what, answer),
                    **_box(each.observed.media, what),
                }
                count += 1
    yield from _event_observations(job, media, threshold)


def _media_observation(each: _Media, name: str) -> Row:
    return {
        "observationID": name,
        "deploymentID": each.deployment.deployment_id,
        "mediaID": each.media_id,
        "eventID": each.event_id,
        "eventStart": format_instant(each.moment),
        "eventEnd": format_instant(each.moment),
        "observationLevel": "media",
    }


def _key(what: Observation) -> str:
    """Who says it, in the id of an observation: the start of a model's fingerprint, or the kind."""
    kind, _, name = what.observer.partition(":")
    return name[:8] if kind == "model" else kind


def _event_observations(job: Job, media: Sequence[_Media], threshold: float | None) -> Iterable[Row]:
    members: dict[str, list[_Media]] = {}
    for each in media:
        members.setdefault(each.observed.media["event_id"], []).append(each)
    for what in event_observations(job.observe(threshold)):
        own = members.get(what.event_id or "", [])
        if not own:
            continue  # all its media have no instant: they are counted as left out
        homes = {each.deployment.deployment_id for each in own}
        if len(homes) > 1:
            raise DataError(f"The event {what.event_id!r} has media of {many(len(homes), 'deployment')}.")
        for count, answer in enumerate(what.answers or (None,)):
            yield {
                "observationID": f"event-{own[0].event_id}-{_key(what)}-{count}",
                "deploymentID": homes.copy().pop(),
                "eventID": own[0].event_id,
                "eventStart": format_instant(min(each.moment for each in own)),
                "eventEnd": format_instant(max(each.moment for each in own)),
                "observationLevel": "event",
                **_statement(job, what, answer),
            }


def _statement(job: Job, what: Observation, answer: LabelProbability | None) -> Row:
    """Who says what, how surely."""
    if what.failure is not None:
        return {"observationType": "unclassified", "observationComments": f"not classified: {what.failure}"}
    method = "human" if what.by_human else None if what.observer == "unknown" else "machine"
    stated: dict[str, str | None] = {
        "classificationMethod": method,
        "classifiedBy": author(job, what),
        "classificationTimestamp": None if what.observed_at is None else format_instant(what.observed_at),
    }
    if what.untold:
        remark = f"; {what.remark}" if what.remark else ""
        return stated | {"observationType": "unknown", "observationComments": f"cannot be told{remark}"}
    if answer is None:
        top = what.ranked[0]
        comment = f"below the threshold; most probable: {top.label} ({round_probability(top.probability)})"
        return stated | {"observationType": "unknown", "observationComments": comment}
    probability = None if answer.probability is None else f"{round_probability(answer.probability):.5f}"
    return stated | {
        "observationType": _TYPE_OF_KIND[job.kind(answer.label)],
        "scientificName": job.scientific_name(answer.label),
        "count": None if answer.count is None else str(answer.count),
        "lifeStage": answer.life_stage,
        "sex": answer.sex,
        "behavior": answer.behaviour,
        "classificationProbability": probability,
        "observationTags": f"label:{answer.label}",
        "observationComments": what.remark,
    }


def _box(media: Mapping[str, Any], what: Observation) -> Row:
    if what.box is None:
        return {}
    box = media["boxes"][what.box]
    width, height = (f"{min(box[side], 1.0):.6f}" for side in ("width", "height"))
    if float(width) <= 0 or float(height) <= 0:
        return {}
    left, top = min(max(box["x"], 0.0), 1.0), min(max(box["y"], 0.0), 1.0)
    return {
        "bboxX": f"{left:.6f}",
        "bboxY": f"{top:.6f}",
        "bboxWidth": width,
        "bboxHeight": height,
    }


def _taxa(job: Job, observations: Sequence[Row]) -> list[dict[str, str]]:
    """The package's `taxonomic`: every scientific name that is observed, its rank and what is above it."""
    if job.taxonomy is None:
        return []
    names = {row.get("scientificName") for row in observations} - {None}
    taxa = []
    for name in sorted(name for name in names if name is not None):
        taxon = job.taxonomy.taxa[name]
        lineage = job.taxonomy.lineage(name)
        ranks: tuple[Rank, ...] = ("class", "order", "family", "genus")
        entry = {"scientificName": name, "taxonRank": str(taxon.rank)}
        taxa.append(entry | {str(rank): lineage[rank] for rank in ranks if lineage.get(rank, name) != name})
    return taxa
