"""Records of species: of camtrapR's table, of any with usual names, of packages, downloads and folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import polars as pl

from trapline.arguments import checked
from trapline.catalog import BLANK_WORDS, Catalog, is_catalog_folder
from trapline.ecology.clocks import note_clock, wall_clocks
from trapline.ecology.package_records import package_records
from trapline.ecology.records import RECORDS, Records
from trapline.ecology.sources import records_of
from trapline.errors import DataError, UsageError, many, name_some
from trapline.formats import (
    DEPLOYMENT_COLUMNS,
    choose_reader,
    join_date_and_time,
    read,
    read_identifications,
    read_times,
)
from trapline.tables import Reading, find_roles, note, open_reading, read_numbers, read_table, reject_rows

RECORD_ROLES: dict[str, tuple[str, ...]] = {
    "station": DEPLOYMENT_COLUMNS["locationID"],
    "species": (
        *("label", "species", "speciesname", "scientificname", "sps", "sp", "taxon", "taxonname"),
        *("commonname", "vernacularname", "animal", "class", "speciescode"),
    ),
    "time": (
        *("cameratime", "datetimeoriginal", "datetime", "timestamp", "dateandtime", "photodatetime"),
        *("eventstart", "observedat", "datetimedigitized", "recorddatetime", "time0"),
    ),
    "date": ("date", "photodate", "day", "recorddate", "eventdate"),
    "time_of_day": ("time", "phototime", "hour", "recordtime", "timeofday", "eventtime"),
    "camera": ("camera", "cameraid", "cam", "camid"),
    "session": ("session", "sessionid", "season", "seasonid"),
    "deployment": DEPLOYMENT_COLUMNS["deploymentID"],
    "event": ("eventid", "event", "sequenceid", "sequence", "burstid"),
    "individual": ("individual", "individualid", "animalid", "idindividual"),
    "count": (
        *("count", "n", "numberofindividuals", "individuals", "numberofobjects", "groupsize", "number"),
        *("abundance", "nindividuals", "countmax", "groupcount", "quantity"),
    ),
    "life_stage": ("lifestage", "age", "ageclass", "stage"),
    "sex": ("sex", "gender"),
    "behaviour": ("behaviour", "behavior"),
    "probability": ("probability", "classificationprobability", "confidence", "cvconfidence", "score"),
    "file": ("filepath", "filename", "file", "rawname", "relativepath"),
    "folder": ("directory", "folder"),
}
"""What a column of a table of records may hold, and how its name is spelt."""

_COLUMN_OF = {
    "station": "location_id",
    "species": "label",
    "deployment": "deployment_id",
    "session": "session",
    "event": "event_id",
    "individual": "individual",
    "life_stage": "life_stage",
    "sex": "sex",
    "behaviour": "behaviour",
}
_LEVELS = "location/label"
By = Literal["human", "machine", "all"]


@checked
def read_records(
    source: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    species_column: str | None = None,
    time_format: str | None = None,
    timezone: str | None = None,
    exclude: Sequence[str] = (),
    classified_by: By = "human",
    levels: str = _LEVELS,
) -> Records:
    """Records of species, one row each as the source has them: none is left out for being near another.

    Read are camtrapR's table of records, CSVs with usual names of columns, Camtrap DP packages (drafts too),
    Wildlife Insights downloads, saved catalogs (see `records_of`), and folders of photos that are
    named for their labels
    (`location/label`, as camtrapR sorts them).

    Of a package a record is one label (and individual) at one event: what is observed of the event where
    that says it, else what its media show; the count is of all that the event names together, or the most
    that one media shows. Of all else it is a row, a photo or a video.

    Args:
        source: the table, package, download, catalog or folder.
        columns: what a column holds (see `RECORD_ROLES`) → its name, where that is not a usual one.
        species_column: the column of the labels, as in `columns`.
        time_format: `day-first` or `month-first`, or `strptime`'s, where the table does not tell.
        timezone: the zone of the cameras' clocks, for times that are written with an offset.
        exclude: labels that are no records here, as in `UNID`; how many there were is noted. What is blank
            is never one.
        classified_by: of packages and downloads, whose observations count.
        levels: of a folder of photos, what each level of folders is named for.

    Raises:
        DataError: a column is missing, nothing can be read, or no record is left; file and line are named.
        UsageError: something is said of the source that means nothing to it.
    """
    source = Path(source)
    if not source.exists():
        raise DataError(f"There is nothing at {source}. Name the table of records.")
    columns = dict(columns or {}) | ({} if species_column is None else {"species": species_column})
    _refuse_unused(source, columns, time_format, classified_by, levels)
    with open_reading(Reading()) as reading:
        records = _read(source, columns, time_format, timezone, classified_by, levels)
        records = leave_out_labels(records, exclude)
    notes = (*reading.notes, *records.notes, *reading.describe_rejected())
    return replace(records, notes=notes)


def as_records(records: Records | Path | str) -> Records:
    """Records as they are, or of their table."""
    return records if isinstance(records, Records) else read_records(records)


def _refuse_unused(
    source: Path, columns: Mapping[str, str], time_format: str | None, classified_by: By, levels: str
) -> None:
    """Refuse what the user says of a source to which it means nothing.

    Raises:
        UsageError: there is something.
    """
    is_table = source.is_file() and source.name.lower().endswith((".csv", ".csv.gz", ".tsv", ".txt"))
    if columns and not is_table:
        raise UsageError(f"--column is of a table, and {source} is none.")
    if time_format is not None and not is_table:
        raise UsageError(f"--time-format is of a table, and {source} is none.")
    if levels != _LEVELS and not source.is_dir():
        raise UsageError(f"--levels is of folders of photos, and {source} is none.")
    if classified_by != "human" and (columns or _kind_of(source) not in ("camtrap_dp", "wildlife_insights")):
        raise UsageError(
            f"--classified-by is of packages and downloads: of {source} it is not known who said what."
        )


def _read(
    source: Path,
    columns: Mapping[str, str],
    time_format: str | None,
    timezone: str | None,
    by: By,
    levels: str,
) -> Records:
    kind = "" if columns else _kind_of(source)
    if kind == "camtrap_dp":
        return package_records(source, by, timezone)
    if kind == "wildlife_insights":
        rows = read_identifications(source, by).rename({"_time_text": "timestamp"}, strict=False)
        rows = rows.with_columns(_place=pl.format("{} line {}", "_file", "_line"))
        told = {"station": "location_id", "species": "_label", "event": "event_id"}
        told = {role: name for role, name in told.items() if name in rows.columns}
        return _records_of_rows(rows, source, told, time_format, timezone)
    if kind == "observations":
        raise DataError(
            f"{source} is a table of observations, which tells records only with its catalog. Name that one."
        )
    if source.suffix.lower() == ".parquet" or is_catalog_folder(source):
        return records_of(source)
    if source.is_dir():
        return records_of_catalog(read(source, format="class_folders", levels=levels, exif=True))
    return _records_of_rows(read_table(source), source, columns, time_format, timezone)


def _kind_of(source: Path) -> str:
    """The reader that knows a source as a whole; empty of a table, a catalog or a folder of photos."""
    try:
        name = choose_reader(source)[0].name
    except DataError:
        return ""
    return name if name in ("camtrap_dp", "wildlife_insights", "observations") else ""


def records_of_catalog(catalog: Catalog) -> Records:
    """The labels of a catalog's media as records: one a label and media."""
    table = catalog.table
    labelled = table.filter(pl.col("labels").list.len() > 0)
    if labelled.is_empty():
        raise DataError(f"{catalog.source} has no labels: there are no records in it.")
    rows = labelled.select(
        *("location_id", "deployment_id", "event_id", "camera_time", "file_path"),
        pl.col("labels").alias("label"),
    ).explode("label")
    without = table.height - labelled.height
    notes = [f"{without:,} of {many(table.height, 'media is')} not labelled: no records"] if without else []
    return Records(_complete(rows), "decisions", catalog.source, (*catalog.facts.notes, *notes))


def _records_of_rows(
    table: pl.DataFrame,
    source: Path,
    columns: Mapping[str, str],
    time_format: str | None,
    timezone: str | None,
) -> Records:
    roles = find_roles(table.columns, RECORD_ROLES, source, columns)
    timed = "time" in roles or "date" in roles
    missing = [role for role in ("station", "species") if role not in roles]
    missing += [] if timed else ["time"]
    if missing:
        have = ", ".join(name for name in table.columns if name != "_place")
        raise DataError(
            f"{source} line 1 has no column that is known to hold the {', the '.join(missing)}; it has: "
            f"{have}. Say which with --column {missing[0]}=NAME."
        )
    if table.is_empty():
        raise DataError(f"{source} has no records: there is nothing below its header.")
    for role in ("station", "species"):
        table = reject_rows(table, pl.col(roles[role]).is_null(), f"names no {role}")
    times, notes = _times(table, roles, time_format, timezone)
    rows = table.select(
        *(pl.col(roles[role]).alias(name) for role, name in _COLUMN_OF.items() if role in roles),
        *_deployments(roles),
        times.alias("camera_time"),
        *_numbers(table, roles),
        *_paths(roles),
    )
    return Records(_complete(rows), "table", source.name, tuple(notes))


def _times(
    table: pl.DataFrame, roles: Mapping[str, str], time_format: str | None, timezone: str | None
) -> tuple[pl.Series, list[str]]:
    """Datetime [rows], and what to say: a day without an hour has no time, and is counted."""
    if "time" in roles:
        texts = table[roles["time"]].cast(pl.String)
    else:
        texts = table[roles["date"]].cast(pl.String)
        if "time_of_day" in roles:
            texts = join_date_and_time(texts, table[roles["time_of_day"]])
    lines = table["_place"]
    read = read_times(texts, time_format, lambda row: str(lines[row]))
    walls = wall_clocks(read, read.offsets, timezone)
    notes = [*read.notes, *note_clock(read.offsets, timezone)]
    unread = texts.is_not_null() & walls.is_null()
    if unread.any():
        first = int(unread.arg_max() or 0)
        notes.append(
            f"{many(int(unread.sum()), 'record')} without a time, which cannot be read or is a day alone: "
            f"the first is {texts[first]!r} ({lines[first]})"
        )
    if walls.null_count() == len(walls):
        raise DataError(_no_time(texts, read.days, lines))
    return walls, notes


def _no_time(texts: pl.Series, days: pl.Series, lines: pl.Series) -> str:
    """What to say of a table of which no row has a time."""
    row = int(texts.is_not_null().arg_max() or 0)
    if texts[row] is None:
        return (
            f"No record has a time: the column is empty ({lines[row]}). Name another with --column time=NAME."
        )
    if days[row] is not None:
        return (
            f"The times are days without an hour: the first is {texts[row]!r} ({lines[row]}). Name the "
            "column of the hours with --column time_of_day=NAME, or write an hour, as noon."
        )
    return f"No time could be read; the first is {texts[row]!r} ({lines[row]}). See --time-format."


def _deployments(roles: Mapping[str, str]) -> list[pl.Expr]:
    """A camera of a location is a deployment where the table names none."""
    if "deployment" in roles or "camera" not in roles:
        return []
    station, camera = pl.col(roles["station"]), pl.col(roles["camera"])
    return [pl.concat_str(station, pl.lit("__CAM_"), camera).alias("deployment_id")]


def _numbers(table: pl.DataFrame, roles: Mapping[str, str]) -> list[pl.Series]:
    """Counts and probabilities; what is none is null, and noted."""
    numbers = []
    if "count" in roles:
        counts = _numbers_in(table, roles["count"], lambda number: (number >= 0) & (number == number.round()))
        numbers.append(counts.cast(pl.Int64).alias("count"))
    if "probability" in roles:
        shares = _numbers_in(table, roles["probability"], lambda number: number.is_between(0, 1))
        numbers.append(shares.alias("probability"))
    return numbers


def _numbers_in(table: pl.DataFrame, name: str, fits: Callable[[pl.Series], pl.Series]) -> pl.Series:
    texts = table[name].cast(pl.String)
    numbers = read_numbers(texts)
    fit = fits(numbers).fill_null(value=False)
    wrong = texts.is_not_null() & ~fit
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        note(
            f"{many(int(wrong.sum()), 'cell')} of {name} cannot be one, and left empty: the first is "
            f"{texts[row]!r} ({table['_place'][row]})"
        )
    return numbers.zip_with(fit, pl.Series([None], dtype=pl.Float64))


def _paths(roles: Mapping[str, str]) -> list[pl.Expr]:
    if "file" not in roles:
        return []
    name = pl.col(roles["file"])
    if "folder" in roles:
        name = pl.concat_str(pl.col(roles["folder"]), name, separator="/")
    return [name.alias("file_path")]


def _complete(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with all columns of `RECORDS`, null where the source says nothing, and their own after."""
    filled = rows.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in RECORDS.items() if name not in rows.columns
    )
    others = [name for name in rows.columns if name not in RECORDS]
    return filled.select(*(pl.col(name).cast(kind) for name, kind in RECORDS.items()), *others)


def leave_out_labels(records: Records, exclude: Sequence[str]) -> Records:
    """Without blanks and without the labels that the user leaves out; both are counted."""
    label = records.table["label"]
    known = set(label.drop_nulls().unique())
    strange = [name for name in exclude if name not in known]
    if strange:
        raise DataError(f"No record has the label {strange[0]!r}, which is to be left out.")
    notes = []
    blank = label.str.to_lowercase().is_in(list(BLANK_WORDS)).fill_null(value=True)
    if blank.any():
        notes.append(f"{many(int(blank.sum()), 'row')} blank, and no record of a species")
    named = label.is_in(list(exclude)).fill_null(value=False) & ~blank
    if named.any():
        notes.append(f"{many(int(named.sum()), 'row')} left out as asked: {', '.join(exclude)}")
    table = records.table.filter(~(blank | named))
    if table.is_empty():
        raise DataError(f"{records.source} has no record of a species.")
    return replace(records, table=table, notes=(*records.notes, *notes, *_alike(table["label"])))


def _alike(labels: pl.Series) -> list[str]:
    """Labels that are one but for case and spaces, as people type them: they count apart, and are named."""
    spellings: dict[str, list[str]] = {}
    for label in labels.unique(maintain_order=True):
        spellings.setdefault(" ".join(label.split()).casefold(), []).append(label)
    several = [" and ".join(map(repr, each)) for each in spellings.values() if len(each) > 1]
    if not several:
        return []
    return [f"labels that differ in case or spaces alone count as several species: {name_some(several)}"]
