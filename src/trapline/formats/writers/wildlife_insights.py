"""The four CSVs of Wildlife Insights' batch upload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trapline.errors import DataError, UsageError, many
from trapline.formats.camtrap_dp_package import Row, csv_bytes
from trapline.formats.deployments import Deployment, assign_deployments, read_deployments
from trapline.formats.writers.answers import (
    author,
    describe_spread,
    describe_threshold,
    observe_media,
    round_probability,
)
from trapline.formats.writers.project_metadata import read_metadata
from trapline.formats.writers.speciesnet import NO_RESULT, speciesnet_label
from trapline.formats.writers.writing import Job, Written, put, writer
from trapline.observations import LabelProbability, MediaObservations, Observation, is_sure, kind_of

PROJECTS = (
    "project_id",
    "project_name",
    "project_short_name",
    "project_objectives",
    "project_species",
    "project_species_individual",
    "project_sensor_layout",
    "project_sensor_layout_targeted_type",
    "project_bait_use",
    "project_bait_type",
    "project_stratification",
    "project_stratification_type",
    "project_sensor_method",
    "project_individual_animals",
    "project_blank_images",
    "project_sensor_cluster",
    "project_admin",
    "project_admin_email",
    "project_admin_organization",
    "country_code",
    "embargo",
    "initiative_id",
    "metadata_license",
    "image_license",
)
CAMERAS = (
    "project_id",
    "camera_id",
    "make",
    "model",
    "serial_number",
    "year_purchased",
)
DEPLOYMENTS = (
    "project_id",
    "deployment_id",
    "placename",
    "longitude",
    "latitude",
    "start_date",
    "end_date",
    "event_name",
    "event_description",
    "event_type",
    "bait_type",
    "bait_description",
    "feature_type",
    "feature_type_methodology",
    "camera_id",
    "quiet_period",
    "camera_functioning",
    "sensor_height",
    "height_other",
    "sensor_orientation",
    "orientation_other",
    "plot_treatment",
    "plot_treatment_description",
    "detection_distance",
    "recorded_by",
)
IMAGES = (
    "project_id",
    "deployment_id",
    "image_id",
    "location",
    "identified_by",
    "wi_taxon_id",
    "class",
    "order",
    "family",
    "genus",
    "species",
    "common_name",
    "uncertainty",
    "timestamp",
    "number_of_objects",
    "age",
    "sex",
    "animal_recognizable",
    "individual_id",
    "individual_animal_notes",
    "behavior",
    "highlighted",
    "markings",
)
_REQUIRED = ("project_id", "project_name")
_DETECTOR = " (detector)"
"""Behind the name of one in `identified_by`, which has no other field for what is no person."""

_CAMERA_NAMES = ("camera_id", "cameraID", "camera")


@writer(
    "wildlife-insights",
    into="folder",
    loses=(
        "all labels but the answers; their probability stands in `uncertainty` as text",
        "boxes, events, frames; how many animals, where nobody counted: number_of_objects is then 1",
        "when a person decided",
        "subspecies; times are the camera's clock, without a zone",
    ),
)
def write_wildlife_insights(
    job: Job,
    *,
    deployments: Path | None = None,
    metadata: Path | None = None,
    threshold: float | None = None,
    media_prefix: str = "",
    leave_out: bool = False,
) -> Written:
    """Wildlife Insights batch upload: projects.csv, cameras.csv, deployments.csv, images.csv.

    `number_of_objects` is what a person counted in the photo; else 1 of an answer about a box, 0 of a blank,
    empty without an answer; of an answer about a photo it is the number of the detector's sure boxes of that
    kind, where nothing else of the kind is in the photo, and at least 1.

    Args:
        job: what is to be written; needs a taxonomy.
        deployments: CSV of deployments (see `read_deployments`) with a camera_id; other columns that Wildlife
            Insights knows are taken over.
        metadata: YAML or JSON whose `wildlife_insights` holds the columns of projects.csv.
        threshold: labels below this probability are no answers; the image is then "No CV Result".
        media_prefix: put before every file path: where the photos were uploaded to.
        leave_out: leave out photos without a time, instead of refusing.

    Raises:
        UsageError: something that is required was not given; all of it is named.
        DataError: a photo has no deployment or time; the table of deployments has no camera_id.
    """
    _refuse_incomplete(job, deployments, metadata)
    assert deployments is not None
    assert metadata is not None
    project = _project(metadata)
    known = [_sort_by_clock(each) for each in read_deployments(deployments, UTC)]
    cameras = _cameras(known, project["project_id"], deployments)
    entries, notes = observe_media(job, threshold)
    timed, lost = _check_times(entries, leave_out)
    clocks = {entry.media["media_id"]: _clock(entry.media) for entry in timed}
    homes, more = assign_deployments([entry.media for entry in timed], clocks, known)
    images: list[Row] = []
    for entry in timed:
        start: dict[str, str | None] = {
            "project_id": project["project_id"],
            "deployment_id": homes[entry.media["media_id"]].deployment_id,
            "image_id": entry.media["media_id"],
            "location": media_prefix + entry.media["file_path"],
            "timestamp": f"{clocks[entry.media['media_id']]:%Y-%m-%d %H:%M:%S}",
        }
        images += [
            {**start, **_identify(job, what, a), "number_of_objects": _count_objects(job, entry, what, a)}
            for what in entry.shown or (None,)
            for a in (what.answers if what else ()) or (None,)
        ]
    tables: dict[str, tuple[Sequence[str], Sequence[Row]]] = {
        "projects.csv": (PROJECTS, [project]),
        "cameras.csv": (CAMERAS, cameras),
        "deployments.csv": (DEPLOYMENTS, [_deployment_row(each, project["project_id"]) for each in known]),
        "images.csv": (IMAGES, images),
    }
    for name, (header, rows) in tables.items():
        put(job.output / name, csv_bytes(header, rows).decode())
    without = sorted({str(row["common_name"]) for row in images if not row.get("wi_taxon_id")})
    if without:
        lost.append(f"wi_taxon_id of {', '.join(without)}: the taxonomy gives no uuid")
    unclassified = sum(what.unclassified for entry in timed for what in entry.shown)
    notes += (
        more
        + describe_spread(job)
        + describe_threshold(job, threshold, unclassified, "they are written as 'No CV Result'")
    )
    failed = sum(what.failure is not None for entry in timed for what in entry.shown)
    if failed:
        notes.append(f"{many(failed, 'photo')} could not be classified: 'No CV Result', with the reason")
    return Written(len(images), "rows of images.csv", lost, notes, list(tables))


def _refuse_incomplete(job: Job, deployments: Path | None, metadata: Path | None) -> None:
    missing = []
    if job.taxonomy is None and job.unnamed_animals:
        missing.append("--taxonomy: what the labels are called in science (see docs/taxonomy.md)")
    if deployments is None:
        missing.append("--deployments: a CSV with deployment_id, latitude, longitude, start, end, camera_id")
    if metadata is None:
        missing.append(
            f"--metadata: a YAML file with the columns of projects.csv below `wildlife_insights:`, at least "
            f"{', '.join(_REQUIRED)}"
        )
    if missing:
        raise UsageError(
            "Wildlife Insights requires what is in no photo. Missing:\n- " + "\n- ".join(missing)
        )


def _project(path: Path) -> dict[str, str]:
    content = read_metadata(path).get("wildlife_insights")
    if not isinstance(content, Mapping):
        raise DataError(f"{path} has no `wildlife_insights:` with the columns of projects.csv below it.")
    missing = [name for name in _REQUIRED if content.get(name) in (None, "")]
    if missing:
        raise DataError(f"{path}: wildlife_insights lacks {', '.join(missing)}.")
    unknown = [name for name in content if name not in PROJECTS]
    if unknown:
        raise DataError(
            f"{path}: wildlife_insights has '{unknown[0]}', which is no column of projects.csv "
            f"({', '.join(PROJECTS)})."
        )
    return {name: str(value) for name, value in content.items() if value is not None}


def _sort_by_clock(deployment: Deployment) -> Deployment:
    """Wildlife Insights has no zones: the deployment's clock is compared with the camera's."""
    return replace(
        deployment, start=deployment.start.replace(tzinfo=UTC), end=deployment.end.replace(tzinfo=UTC)
    )


def _clock(media: Mapping[str, Any]) -> datetime:
    wall: datetime = media["camera_time"]
    return wall.replace(tzinfo=UTC)


def _check_times(
    entries: Sequence[MediaObservations], leave_out: bool
) -> tuple[list[MediaObservations], list[str]]:
    timed = [entry for entry in entries if entry.media["camera_time"] is not None]
    if len(timed) == len(entries):
        return timed, []
    untimed = [entry.media["file_path"] for entry in entries if entry.media["camera_time"] is None]
    problem = f"{many(len(untimed), 'photo has')} no time: {', '.join(untimed[:3])}"
    if not leave_out or not timed:
        raise DataError(
            f"Wildlife Insights requires the time of every photo; {problem}. Leave them out with --leave-out."
        )
    return timed, [problem]


def _cameras(deployments: Sequence[Deployment], project: str, path: Path) -> list[Row]:
    cameras: dict[str, Row] = {}
    for deployment in deployments:
        camera = _camera(deployment)
        if camera is None:
            raise DataError(
                f"{path}: the deployment '{deployment.deployment_id}' has no camera_id, which Wildlife "
                "Insights requires."
            )
        values = {name: deployment.values.get(name) for name in CAMERAS[2:]}
        cameras.setdefault(camera, {"project_id": project, "camera_id": camera, **values})
    return list(cameras.values())


def _camera(deployment: Deployment) -> str | None:
    return next((value for name in _CAMERA_NAMES if (value := deployment.values.get(name))), None)


def _deployment_row(deployment: Deployment, project: str) -> Row:
    taken: dict[str, str | None] = {name: deployment.values.get(name) for name in DEPLOYMENTS}
    return taken | {
        "project_id": project,
        "deployment_id": deployment.deployment_id,
        "placename": deployment.values.get("locationName")
        or deployment.location_id
        or deployment.deployment_id,
        "longitude": deployment.values["longitude"],
        "latitude": deployment.values["latitude"],
        "start_date": f"{deployment.start:%Y-%m-%d %H:%M:%S}",
        "end_date": f"{deployment.end:%Y-%m-%d %H:%M:%S}",
        "camera_id": _camera(deployment),
    }


def _identify(job: Job, what: Observation | None, answer: LabelProbability | None) -> Row:
    label = NO_RESULT if answer is None else speciesnet_label(job, answer.label)
    uuid, class_, order, family, genus, species, common = label.split(";")
    no_result = "No CV Result"  # as Wildlife Insights writes it
    names = [name.capitalize() for name in (class_, order, family, genus)]
    if answer is None:
        names = [no_result] * 4
    remark = "nobody has looked at it" if what is None else what.failure
    if what is not None and what.by_human:
        remark = "; ".join([*["cannot be told"] * what.untold, *filter(None, [what.remark])])
    if answer is not None and answer.probability is not None:
        remark = f"probability {round_probability(answer.probability):.5f}"
    return {
        "age": None if answer is None or answer.life_stage is None else answer.life_stage.capitalize(),
        "sex": None if answer is None or answer.sex is None else answer.sex.capitalize(),
        "behavior": None if answer is None else answer.behaviour,
        "identified_by": None if what is None else f"{author(job, what) or ''}{_DETECTOR * what.by_detector}",
        "wi_taxon_id": uuid,
        **dict(zip(("class", "order", "family", "genus"), names, strict=True)),
        "species": species if answer is not None else no_result,
        "common_name": common.capitalize() if answer is not None else no_result,
        "uncertainty": remark or None,
    }


def _count_objects(
    job: Job, entry: MediaObservations, what: Observation | None, answer: LabelProbability | None
) -> str | None:
    """How many objects an answer is about, as far as it is known; see `write_wildlife_insights`."""
    if answer is None or what is None:
        return None
    if answer.count is not None and not what.of_event:
        return str(answer.count)
    kind = job.kind(answer.label)
    if kind == "blank":
        return "0"
    alike = (job.kind(one.label) == kind for other in entry.shown for one in other.answers)
    if what.box is not None or sum(alike) > 1:
        return "1"
    boxes = entry.media["boxes"] or ()
    return str(max(1, sum(is_sure(box, job.min_conf) and kind_of(box) == kind for box in boxes)))
