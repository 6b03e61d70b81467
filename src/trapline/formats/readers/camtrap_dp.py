"""Camtrap DP packages as catalogs: a folder, or a zip."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import polars as pl

from trapline.catalog import BOX, EVENT_LABELS, SCHEMA, is_box
from trapline.errors import DataError, UsageError, many
from trapline.formats.camtrap_dp_schema import TABLES, columns
from trapline.formats.json_file import read_json_object
from trapline.formats.readers.camtrap_dp_tables import (
    DESCRIPTORS,
    find_descriptors,
    has_columns,
    has_tables,
    profile_of,
    read_tables,
    says_camtrap_dp,
    table_files,
)
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.individuals import add_individuals, of_media
from trapline.formats.readers.registry import reader
from trapline.formats.time_columns import read_instants
from trapline.formats.videos import MEDIATYPE
from trapline.images import SUFFIXES, VIDEO_SUFFIXES
from trapline.storage import safe_unzip, zip_names
from trapline.tables import TAKEN, read_numbers, reject_rows
from trapline.taxonomy import BLANK

MAX_TABLE_BYTES = 8 * 1024**3
_MOST_PACKAGES = 20
_MOST_FOLDERS = 5
"""Folders in folders that are looked into for a package."""
_CATEGORIES = {"animal": "animal", "human": "person", "vehicle": "vehicle"}
_INDIVIDUALS = {"count": "count", "life_stage": "lifeStage", "sex": "sex", "behaviour": "behavior"}
_URL = r"^[A-Za-z][A-Za-z0-9+.-]*://"
By = Literal["human", "machine", "all"]


@dataclass(frozen=True)
class _Package:
    tables: dict[str, pl.DataFrame]
    descriptor: dict[str, Any]
    root: Path
    notes: list[str]


def _recognise(source: Path) -> str | None:
    if source.is_dir():
        descriptors = _packages(source)
        if descriptors:
            return f"it has {_describe(descriptors[0], source)} and the tables of Camtrap DP"
        bare = has_tables(source) and has_columns(source)
        return "it has the tables of Camtrap DP, though no descriptor" if bare else None
    if _is_table_of_package(source):
        return f"it is a table of the Camtrap DP package {source.parent.name}, which is read whole"
    if source.suffix.lower() == ".json" and source.is_file():
        beside = source.name in DESCRIPTORS and has_tables(source.parent)
        return "it says that it is Camtrap DP" if beside or says_camtrap_dp(source) else None
    if source.suffix.lower() != ".zip" or not source.is_file():
        return None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            descriptors = _descriptors_of_zip(source, Path(scratch))
            return f"it is a zip with {_describe(descriptors[0], Path(scratch))}" if descriptors else None
    except DataError:
        return None


def _is_table_of_package(source: Path) -> bool:
    """Whether a file is one of the tables of a package, in the folder of the package."""
    folder = source.parent
    if source.name not in {f"{table}.csv" for table in TABLES} or not source.is_file():
        return False
    return has_columns(folder) and (has_tables(folder) or bool(find_descriptors(folder)))


def _describe(descriptor: Path, folder: Path) -> str:
    return descriptor.relative_to(folder).as_posix()


def _packages(folder: Path) -> list[Path]:
    """The descriptors of a folder, or of the folders in it where it holds nothing but packages.

    A folder alone in a folder is looked into as programs unpack archives; what is no picture lies beside it.
    """
    for _ in range(_MOST_FOLDERS):
        here = find_descriptors(folder)
        if here or has_tables(folder):
            return here
        entries = [one for one in sorted(folder.iterdir()) if not one.name.startswith((".", "__MACOSX"))]
        inside = [one for one in entries if one.is_dir()]
        media = any(one.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES for one in entries)
        if media or not 0 < len(inside) <= _MOST_PACKAGES:
            return []
        each = [find_descriptors(one) for one in inside]
        if all(each):
            return [descriptor for descriptors in each for descriptor in descriptors]
        if len(inside) > 1:
            return []
        folder = inside[0]
    return []


def _descriptors_of_zip(source: Path, scratch: Path) -> list[Path]:
    """The descriptors of a zip, unpacked to `scratch`: those nearest to its top."""
    names = [name for name in zip_names(source) if not _is_litter(name)]
    wanted = {name for name in names if name.lower().endswith(".json")}
    usual = {name for name in wanted if PurePosixPath(name).name in DESCRIPTORS}
    least = min((name.count("/") for name in usual or wanted), default=0)
    wanted = {name for name in wanted if name.count("/") == least}
    if len(wanted) > _MOST_PACKAGES:
        wanted &= usual
    safe_unzip(source, scratch, want=wanted.__contains__, max_bytes=MAX_TABLE_BYTES)
    there = set(names)
    nearest = []
    for folder in sorted({PurePosixPath(name).parent for name in wanted}):
        descriptors = find_descriptors(scratch / folder)
        usual_here = [scratch / folder / name for name in DESCRIPTORS if (scratch / folder / name).is_file()]
        has_media = (folder / "media.csv").as_posix() in there
        nearest += descriptors or (usual_here[:1] if has_media else [])
    return nearest


def _is_litter(name: str) -> bool:
    """What a Mac adds to a zip."""
    path = PurePosixPath(name)
    return path.parts[:1] == ("__MACOSX",) or path.name == ".DS_Store" or path.name.startswith("._")


def _one(descriptors: list[Path], source: Path, folder: Path) -> Path:
    """The one descriptor of a source.

    Raises:
        DataError: there are several.
    """
    if len(descriptors) > 1:
        names = ", ".join(_describe(one, folder) for one in descriptors)
        raise DataError(f"{source} holds several packages: {names}. Name one of them.")
    return descriptors[0]


@reader("camtrap_dp", recognise=_recognise)
def read_camtrap_dp(
    source: Path,
    *,
    classified_by: By = "human",
    event_labels: bool = False,
    keep_urls: bool = False,
    unpack_to: Path | str | None = None,
) -> Draft:
    """Camtrap DP package (folder, descriptor or zip): media, deployments, events, labels, boxes.

    Args:
        source: the package.
        classified_by: whose observations become labels: `human` (and those that do not say), `machine` or
            `all`.
        event_labels: observations of events count as well, for every media of the event that has none of
            its own. An animal need not be in each photo of its event.
        keep_urls: keep media that are URLs, under `remote/<deployment>/<file name>` with the URL in
            the column `url`; they are left out, and counted, unless this is asked for. Nothing is fetched.
        unpack_to: unpack the photos of a zip into this new folder; otherwise only its tables are read, and
            photos are looked for in the folder beside the zip that has its name.

    Returns:
        Labels are scientific names, or `human`, `vehicle`, `blank`; `unknown` and `unclassified` are none.

    Raises:
        DataError: a table or column is missing, a zip is unsafe, or no media is left.
        UsageError: an option has an unknown value.
    """
    with _open(source, None if unpack_to is None else Path(unpack_to)) as package:
        rows, notes, left_out = _media(package, keep_urls)
        if rows.height == 0:
            raise DataError(
                f"{source} has no media that are files: all {left_out} are URLs. Download them, or keep "
                "their rows (--keep-urls)."
            )
        observations, more = _observations(package, classified_by)
        rows, unclear = _add_events(rows, observations)
        rows = _add_labels(rows, observations, event_labels)
        rows = _add_individuals(rows, observations, event_labels)
        more += [] if event_labels else _note_events(observations)
        rows = _add_boxes(rows, observations)
        return Draft(
            rows.drop("_instant"),
            package.root,
            f"Camtrap DP {source.name}",
            notes=[*package.notes, *notes, *more, *unclear],
            others={
                "camtrap_dp": {
                    "name": package.descriptor.get("name"),
                    "profile": profile_of(package.descriptor) or None,
                    "media_left_out_as_urls": 0 if keep_urls else left_out,
                }
            },
        )


@dataclass(frozen=True)
class CamtrapDpTables:
    """What a package says besides its photos, under the names of today's standard.

    Attributes:
        deployments: the table, and `location_id`: where each stood, as of a catalog.
        media: the table.
        observations: those that count, with `_label`: the label that each stands for, if any.
        notes: what a person should know.
    """

    deployments: pl.DataFrame
    media: pl.DataFrame
    observations: pl.DataFrame
    notes: tuple[str, ...]


def read_camtrap_dp_tables(source: Path, classified_by: By = "human") -> CamtrapDpTables:
    """The tables of a package (folder, descriptor, one table, or zip), whatever is known of its photos.

    Args:
        source: the package.
        classified_by: whose observations count, as of `read_camtrap_dp`.

    Raises:
        DataError: as `read_camtrap_dp`.
    """
    with _open(source, None) as package:
        where, notes = _locations(package.tables["deployments"])
        observations, more = _observations(package, classified_by)
        deployments = package.tables["deployments"].with_columns(where["location_id"])
        return CamtrapDpTables(deployments, package.tables["media"], observations, (*notes, *more))


@contextmanager
def _open(source: Path, unpack_to: Path | None) -> Iterator[_Package]:
    """The tables and the root of a package; those of a zip lie in a temporary folder meanwhile."""
    if source.suffix.lower() != ".zip":
        if unpack_to is not None:
            raise UsageError(f"{source} is no zip; there is nothing to unpack.")
        if _is_table_of_package(source):
            source = source.parent
        descriptors = [source] if source.is_file() else _packages(source)
        descriptor = _one(descriptors, source, source) if descriptors else None
        folder = source if descriptor is None else descriptor.parent
        yield _Package(*read_tables(folder, descriptor), folder, [])
        return
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = _descriptors_of_zip(source, Path(scratch))
        if not descriptors:
            raise DataError(
                f"{source} holds no {DESCRIPTORS[0]} of Camtrap DP. If it holds another zip, unpack that one."
            )
        descriptor = _one(descriptors, source, Path(scratch))
        inner = PurePosixPath(descriptor.parent.relative_to(scratch))
        files = table_files(read_json_object(descriptor), descriptor.name)
        names = {(inner / name).as_posix() for name in files}
        safe_unzip(source, Path(scratch), want=names.__contains__, max_bytes=MAX_TABLE_BYTES)
        tables, document = read_tables(descriptor.parent, descriptor)
        if unpack_to is None:
            root = source.parent / source.stem / inner
            notes = [f"the zip was not unpacked: its photos are looked for in {root}"]
        else:
            names.add((inner / descriptor.name).as_posix())
            done = safe_unzip(source, unpack_to, want=lambda name: name not in names and not _is_litter(name))
            root = unpack_to / inner
            notes = [f"{many(len(done), 'file of the zip was')} unpacked to {unpack_to}"]
        yield _Package(tables, document, root, notes)


def _media(package: _Package, keep_urls: bool) -> tuple[pl.DataFrame, list[str], int]:
    """Media with their deployment's location; notes, and how many are URLs."""
    media, deployments = package.tables["media"], package.tables["deployments"]
    twice = deployments.filter(~pl.col("deploymentID").is_first_distinct())
    if twice.height:
        raise DataError(
            f"{twice['_place'][0]} names the deployment {twice['deploymentID'][0]!r} a second time."
        )
    where, notes = _locations(deployments)
    is_url = pl.col("filePath").str.contains(_URL)
    urls = media.filter(is_url).height
    name = pl.coalesce("fileName", "mediaID")
    remote = pl.concat_str(pl.lit("remote"), "deploymentID", name, separator="/")
    if urls and keep_urls:
        notes.append(f"{many(urls, 'media')} named by URLs, kept under remote/ and not fetched")
        media = media.with_columns(
            pl.when(is_url).then("filePath").alias("url"),
            pl.when(is_url).then(remote).otherwise("filePath").alias("filePath"),
        )
    elif urls:
        notes.append(f"{many(urls, 'media')} left out: URLs, not files (--keep-urls keeps the rows)")
        media = media.filter(~is_url)
    kept: list[str] = [column for column in ("captureMethod", "url") if column in media.columns]
    standard = {*columns("media"), "eventID", "_place", "url", *SCHEMA, *TAKEN}
    kept += [column for column in media.columns if column not in standard and media[column].count()]
    rows = media.select(
        pl.col("mediaID").alias("media_id"),
        pl.col("filePath").alias("file_path"),
        pl.col("fileMediatype").alias(MEDIATYPE),
        pl.col("deploymentID").alias("deployment_id"),
        pl.col("eventID").alias("event_id"),
        pl.col("timestamp").alias("_time_text"),
        read_instants(media["timestamp"]).alias("_instant"),
        *kept,
        "_place",
    ).join(where, on="deployment_id", how="left", maintain_order="left")
    rows = reject_rows(
        rows,
        pl.col("location_id").is_null(),
        pl.format(
            "names the deployment '{}', which deployments.csv does not have",
            pl.col("deployment_id").fill_null(""),
        ),
    )
    return rows, notes, urls


def _locations(deployments: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Each deployment's location and coordinates, and what to say of those that name none.

    At the coordinates of another it is at that one's location: else photos of one spot would lie on both
    sides of a split. Zero and zero are no coordinates but none.
    """
    where = deployments.select(
        pl.col("deploymentID").alias("deployment_id"),
        pl.coalesce("locationID", "locationName").alias("_named"),
        read_numbers(deployments["latitude"], most=90),
        read_numbers(deployments["longitude"], most=180),
    )
    spot = ["latitude", "longitude"]
    known = pl.all_horizontal(pl.col(spot).is_not_null()) & pl.any_horizontal(pl.col(spot) != 0)
    names = pl.col("_named").drop_nulls()
    unnamed_first = pl.col("deployment_id").filter(pl.col("_named").is_null()).first()
    at_spot = pl.when(names.n_unique() == 1).then(names.first()).otherwise(unnamed_first).over(spot)
    located = where.with_columns(
        pl.coalesce("_named", pl.when(known).then(at_spot), "deployment_id").alias("location_id")
    )
    unnamed = located.filter(pl.col("_named").is_null())
    shared = unnamed.filter(pl.col("location_id") != pl.col("deployment_id"))
    notes = []
    if unnamed.height:
        notes.append(
            f"{many(unnamed.height, 'deployment names')} no location: each is taken for a location of its own"
            + (
                f", but {shared.height} at the coordinates of another for the same as that"
                if shared.height
                else ""
            )
        )
    return located.drop("_named"), notes


def _observations(package: _Package, by: By) -> tuple[pl.DataFrame, list[str]]:
    """The observations that count, with the label that each stands for."""
    table = _level_of(_reject_orphans(package.tables))
    method = pl.col("classificationMethod").fill_null("human")
    counted = table if by == "all" else table.filter(method == by)
    notes = []
    if counted.height < table.height:
        other = "machine" if by == "human" else "human"
        notes.append(
            f"{many(table.height - counted.height, 'observation is')} by {other}, not read as labels"
        )
    kind = pl.col("observationType")
    label = (
        pl.when(kind == "animal")
        .then(pl.coalesce("scientificName", pl.lit("animal")))
        .when(kind.is_in(["human", "vehicle", "blank"]))
        .then(kind)
        .when(kind == "empty")
        .then(pl.lit(BLANK))
    )
    counted = _make_boxes(counted.with_columns(label.alias("_label")))
    vague = counted.filter(pl.col("_label").is_null()).height
    if vague:
        notes.append(f"{many(vague, 'observation is')} unknown or unclassified: no labels")
    return counted, notes


def _reject_orphans(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The observations without those whose media, or whose deployment if they name no media, is not there."""
    rows, media, deployments = (tables[name] for name in ("observations", "media", "deployments"))
    rows = reject_rows(
        rows,
        pl.col("mediaID").is_not_null() & ~pl.col("mediaID").is_in(media["mediaID"].implode()),
        pl.format("names the media '{}', which the table of media does not have", "mediaID"),
    )
    unknown = ~pl.col("deploymentID").is_in(deployments["deploymentID"].implode())
    return reject_rows(
        rows,
        pl.col("mediaID").is_null() & pl.col("deploymentID").is_not_null() & unknown,
        pl.format("names the deployment '{}', which the table of deployments does not have", "deploymentID"),
    )


def _level_of(observations: pl.DataFrame) -> pl.DataFrame:
    """Observations with their level; where they say none, those that name a media are of it."""
    stated = pl.col("observationLevel").str.to_lowercase()
    by_media = pl.when(pl.col("mediaID").is_null()).then(pl.lit("event")).otherwise(pl.lit("media"))
    level = pl.when(stated.is_in(["media", "event"])).then(stated).otherwise(by_media)
    return observations.with_columns(level.alias("observationLevel"))


def _add_events(rows: pl.DataFrame, observations: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The event of each media: as its own observations say, else the one of its deployment then."""
    own = (
        observations.filter((pl.col("observationLevel") == "media") & pl.col("eventID").is_not_null())
        .group_by(pl.col("mediaID").alias("media_id"), maintain_order=True)
        .agg(pl.col("eventID").first().alias("_own"))
    )
    rows = (
        _join_events_by_time(rows, _spans(observations))
        .join(own, on="media_id", how="left", maintain_order="left")
        .with_columns(pl.coalesce("_own", "event_id", "_spanning").alias("event_id"))
    )
    unclear = rows.filter(pl.col("event_id").is_null() & (pl.col("_events") > 1)).height
    notes = []
    if unclear:
        notes.append(
            f"{many(unclear, 'media lies')} within several events of their deployment at once: no event is "
            "given"
        )
    return rows.drop("_own", "_spanning", "_events"), notes


def _spans(observations: pl.DataFrame) -> pl.DataFrame:
    """Each event of a deployment once: its id, its number, its first and last instant."""
    of_events = observations.filter((pl.col("observationLevel") == "event") & pl.col("eventID").is_not_null())
    return (
        of_events.with_columns(
            read_instants(of_events["eventStart"]).alias("_start"),
            read_instants(of_events["eventEnd"]).alias("_end"),
        )
        .group_by("deploymentID", "eventID", maintain_order=True)
        .agg(pl.col("_start").min(), pl.col("_end").max())
        .drop_nulls()
        .filter(pl.col("_start") <= pl.col("_end"))
        .with_row_index("_number")
        .with_columns(pl.col("_number").cast(pl.Int64))
    )


def _join_events_by_time(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The event around each media's instant (`_spanning`), null unless it is one alone, and how many are.

    Events begun less events ended, as counts and as sums of their numbers: where one is left, the sum is its
    number. So spans that overlap cost no more than others.
    """

    def running(instant: str, what: str) -> pl.DataFrame:
        sums = [
            pl.int_range(1, pl.len() + 1).over("deploymentID").alias(f"{what}_count"),
            pl.col("_number").cum_sum().over("deploymentID").alias(f"{what}_sum"),
        ]
        ordered = spans.sort(instant).with_columns(sums)
        return ordered.select(
            pl.col("deploymentID").alias("deployment_id"),
            pl.col(instant).alias("_instant"),
            f"{what}_count",
            f"{what}_sum",
        )

    timed = rows.with_row_index("_row").select("_row", "deployment_id", "_instant").drop_nulls("_instant")
    timed = timed.sort("_instant")
    for instant, what, exact in (("_start", "_begun", True), ("_end", "_ended", False)):
        timed = timed.join_asof(
            running(instant, what),
            on="_instant",
            by="deployment_id",
            strategy="backward",
            allow_exact_matches=exact,
            check_sortedness=False,
        )
    begun_less_ended = {
        name: pl.col(f"_begun_{name}").fill_null(0) - pl.col(f"_ended_{name}").fill_null(0)
        for name in ("count", "sum")
    }
    matched = timed.select(
        "_row",
        begun_less_ended["count"].alias("_events"),
        pl.when(begun_less_ended["count"] == 1).then(begun_less_ended["sum"]).alias("_number"),
    ).join(spans.select("_number", pl.col("eventID").alias("_spanning")), on="_number", how="left")
    return (
        rows.with_row_index("_row")
        .join(matched.drop("_number"), on="_row", how="left", maintain_order="left")
        .drop("_row")
    )


def _add_labels(rows: pl.DataFrame, observations: pl.DataFrame, event_labels: bool) -> pl.DataFrame:
    named = observations.filter(pl.col("_label").is_not_null())
    labels = pl.col("_label").unique(maintain_order=True)
    own = (
        named.filter(pl.col("observationLevel") == "media")
        .group_by(pl.col("mediaID").alias("media_id"), maintain_order=True)
        .agg(labels.alias("labels"))
    )
    rows = rows.join(own, on="media_id", how="left", maintain_order="left")
    of_events = (
        named.filter((pl.col("observationLevel") == "event") & pl.col("eventID").is_not_null())
        .group_by(pl.col("eventID").alias("event_id"), maintain_order=True)
        .agg(labels.alias(EVENT_LABELS))
    )
    if of_events.is_empty():
        return rows
    several = pl.col(EVENT_LABELS).list.len() > 1  # blank is then of some part of it
    seen = pl.when(several).then(pl.col(EVENT_LABELS).list.set_difference(pl.lit([BLANK])))
    of_events = of_events.with_columns(seen.otherwise(EVENT_LABELS))
    rows = rows.join(of_events, on="event_id", how="left", maintain_order="left")
    return rows.with_columns(pl.coalesce("labels", EVENT_LABELS).alias("labels")) if event_labels else rows


def _add_individuals(rows: pl.DataFrame, observations: pl.DataFrame, event_labels: bool) -> pl.DataFrame:
    """What observations of media, and those of events, say of individuals; the latter also of the media
    that take their labels from the event."""
    of_event = pl.col("observationLevel") == "event"
    own = observations.filter(~of_event).select("_label", *_INDIVIDUALS.values(), media_id="mediaID")
    events = observations.filter(of_event).select("_label", *_INDIVIDUALS.values(), event_id="eventID")
    rows = add_individuals(rows, own, "media_id", _INDIVIDUALS)
    rows = add_individuals(rows, events, "event_id", _INDIVIDUALS, of_event=True)
    labelled = pl.col("media_id").is_in(own.drop_nulls("_label")["media_id"].implode())
    return of_media(rows, ~labelled) if event_labels else rows


def _note_events(observations: pl.DataFrame) -> list[str]:
    """What to say of observations of events where they are not asked for."""
    count = observations.filter(pl.col("_label").is_not_null(), observationLevel="event").height
    if not count:
        return []
    return [
        f"{many(count, 'observation is of an event and is')} not read as labels of media (--event-labels "
        "does)"
    ]


def _make_boxes(observations: pl.DataFrame) -> pl.DataFrame:
    """`_box` of each observation; confidence as stated; else 1 by a person, null by a machine.

    Observations whose box is not one cannot be used.
    """
    sides = ["bboxX", "bboxY", "bboxWidth", "bboxHeight"]
    numbers = [*sides, "classificationProbability"]
    read = observations.with_columns(read_numbers(observations[name], most=1) for name in numbers)
    by_person = pl.when(pl.col("classificationMethod").fill_null("human") == "human").then(1.0)
    box = pl.struct(
        pl.col("observationType").replace(_CATEGORIES).alias("category"),
        pl.coalesce("classificationProbability", by_person).alias("conf"),
        *(
            pl.col(theirs).alias(ours)
            for theirs, ours in zip(sides, ("x", "y", "width", "height"), strict=True)
        ),
    ).cast(BOX)
    given = observations.select(pl.any_horizontal(pl.col(sides).is_not_null())).to_series()
    read = read.with_columns(pl.when(given).then(box).alias("_box"))
    return reject_rows(read, given & ~read.select(is_box(box)).to_series(), "has a box outside the image")


def _add_boxes(rows: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    boxes = (
        observations.filter(pl.col("_box").is_not_null() & pl.col("mediaID").is_not_null())
        .group_by(pl.col("mediaID").alias("media_id"), maintain_order=True)
        .agg(pl.col("_box").alias("boxes"))
    )
    return rows.join(boxes, on="media_id", how="left", maintain_order="left")
