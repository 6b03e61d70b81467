"""Any CSV of labelled media: columns by their usual names, or as they are mapped."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import polars as pl

from trapline.catalog import as_name
from trapline.errors import DataError, UsageError, many, name_some
from trapline.formats.hidden import is_hidden
from trapline.formats.readers.draft import Draft
from trapline.formats.readers.exif_times import add_exif
from trapline.formats.readers.label_columns import (
    NO_WORDS,
    describe_flags,
    describe_label_columns,
    flag_columns,
    join_label_columns,
    several_label_columns,
)
from trapline.formats.readers.on_disk import URL, look_up_paths
from trapline.formats.readers.other_forms import as_on_disk
from trapline.formats.readers.registry import reader
from trapline.formats.readers.several_rows import one_row_a_media
from trapline.formats.readers.taxon_columns import finest_taxon, name_taxa_together
from trapline.formats.time_columns import join_date_and_time
from trapline.formats.videos import leave_out_videos
from trapline.storage import safe_unzip, zip_names
from trapline.tables import describe_lines, mark_missing, read_numbers, read_table, reject_rows, split_cells
from trapline.taxonomy import PART_NAMES, RANKS

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "path": (
        "filepath",
        "file_path",
        "path",
        "file_name",
        "filename",
        "file",
        "image_path",
        "image_name",
        "image",
        "sourcefile",
        "source_file",
        "image_file",
        "photo",
        "photo_name",
    ),
    "folder": ("directory", "relativepath", "relative_path", "folder"),
    "label": (
        "label",
        "labels",
        "species",
        "scientific_name",
        "scientificname",
        "class",
        "category",
        "common_name",
        "species_name",
        "species_scientific_name",
        "species_common_name",
    ),
    "location": ("location", "location_id", "site", "site_id", "station", "placename"),
    "deployment": ("deployment", "deployment_id"),
    "event": ("event", "event_id", "seq_id", "sequence", "sequence_id", "burst", "burst_id"),
    "time": (
        "datetime",
        "date_time",
        "timestamp",
        "datetimeoriginal",
        "time",
        "date_captured",
        "image_date_time",
    ),
    "date": ("date", "date_taken"),
    "frame": ("frame", "frame_num", "frame_number"),
    "split": ("split", "part", "subset"),
    "id": ("media_id", "id", "image_id"),
}
"""What a column may be for, and the names by which it is recognised, the first that is there being taken."""

_TARGETS = {
    "path": "file_path",
    "location": "location_id",
    "deployment": "deployment_id",
    "event": "event_id",
    "time": "_time_text",
    "frame": "frame",
    "split": "split",
    "id": "media_id",
}
MAX_TABLE_BYTES = 2 * 1024**3
_LOCATIONS_LOOK_LIKE_IDS = 5
"""Media that must each have one of its own before a column is taken for no location."""

_NUMBERED = ("label", "species", "scientific_name", "common_name")
_OF_MODELS = re.compile(r"score|prob|conf", re.IGNORECASE)
_NAMES_A_FILE = r"\.[A-Za-z]\w{1,4}$"
_MOST_TOTALS = 5
"""Rows below or among those of media that may say something of all of them."""

_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")


def _recognise(source: Path) -> str | None:
    if not source.is_file():
        return None
    if source.suffix.lower() != ".zip":
        return "it is a table as text" if source.name.lower().endswith(_SUFFIXES) else None
    try:
        return "it is a zip with a table as text" if _tables_in(source) else None
    except DataError:
        return None


def _tables_in(archive: Path) -> list[str]:
    names = [
        name for name in zip_names(archive) if not any(is_hidden(part) for part in PurePosixPath(name).parts)
    ]
    tables = [name for name in names if name.lower().endswith(_SUFFIXES)]
    return [name for name in tables if ".txt" not in name.lower()] or tables  # which may be a read-me


def _read_source(source: Path) -> tuple[pl.DataFrame, Path]:
    """The table, and the folder that its paths start from: for a zip the one beside it that has its name."""
    if source.suffix.lower() != ".zip":
        return read_table(source), source.parent
    tables = _tables_in(source)
    if len(tables) != 1:
        raise DataError(
            f"{source} holds {len(tables)} tables ({', '.join(tables[:5])}). Unpack it and name the one that "
            "lists the photos."
        )
    with tempfile.TemporaryDirectory() as scratch:
        safe_unzip(source, Path(scratch), want=tables.__contains__, max_bytes=MAX_TABLE_BYTES)
        return read_table(Path(scratch) / tables[0]), source.parent / source.stem


@reader("csv", recognise=_recognise, rank=1)
def read_csv_table(
    source: Path,
    *,
    columns: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    root: Path | str | None = None,
    exif: bool = False,
) -> Draft:
    """Any CSV or TSV: path, label(s), location, deployment, event, time, frame, split, id; zamba's as it is.

    Args:
        source: the file, or a zip with it alone; a header line, then one row a media, or several where it
            has several labels.
        columns (ROLE=NAME): what a column is for, where its name is not a usual one, as in label=species; an
            empty name means that there is none. Several names with commas between them are labels together,
            as in label=species1,species2; the labels of columns of 0 and 1 are their names. Roles: path,
            folder (above it), label, location, deployment, event, time, date, frame, split, id.
        label_separator: what stands between several labels in one cell.
        root: the folder that the paths start from, instead of the file's own.
        exif: take the times from the photos' EXIF data; the table has none.

    Returns:
        Rows in the order of the file. A column of dates and one of times of day are one time. Where paths are
        names alone, a column of folders stands before them, as in camtrapR's record tables. Species beside
        genera are labels with them. Columns that are for nothing are kept under their names. An empty label
        is "not labelled". Without an id column the path is the media's id.

    Raises:
        DataError: a column is missing, or rows of one media disagree; file and line are named.
        UsageError: `columns` names something unknown, or times are both in the table and asked of EXIF.
    """
    table, folder = _read_source(source)
    asked = dict(columns or {})
    together, unsure = _columns_together(table, asked)
    if together:
        asked["label"] = ""
    taken, notes = match_columns(table.drop(together), asked, source)
    notes += unsure
    _refuse_second_header(table, taken, source)
    if exif:
        _refuse_two_times(taken, asked)
    folder = folder if root is None else Path(root)
    rows, more = _name_columns(table, taken, asked, together, label_separator, source)
    notes += more
    rows = reject_rows(rows, pl.col("file_path").is_null(), "has no path")
    paths, more = look_up_paths(rows["file_path"], folder, source, asked=root is not None)
    if exif:
        paths, renamed = as_on_disk(paths, folder)
        more += renamed
    rows = _reject_totals(rows.with_columns(paths), folder)
    notes = [f"columns: {', '.join(f'{role} from {name!r}' for role, name in taken.items())}", *notes, *more]
    if "split" in rows.columns:
        rows = _read_parts(rows)
    if "frame" in rows.columns:
        rows = _read_frames(rows)
    rows, merged = _one_row_a_media(rows, taken.get("label", ""), label_separator, source.name)
    if "media_id" not in rows.columns:
        rows = rows.with_columns(pl.col("file_path").alias("media_id"))
    if exif:
        rows, more = add_exif(leave_out_videos(rows), folder)
        merged = merged + more
    elif "_time_text" not in rows.columns:
        merged = [*merged, "no column holds times; `trapline catalog --exif` reads those of the photos"]
    if "location_id" not in rows.columns:
        merged = [*merged, _without_locations(table, {*taken.values(), *together})]
    return Draft(rows, folder, f"table {source.name}", notes=notes + merged)


def _without_locations(table: pl.DataFrame, used: Collection[str]) -> str:
    """What to do about a table in which no column is known to hold locations; its columns that are left."""
    left = [name for name in table.columns if name not in used and not name.startswith("_")]
    what = f"if one of {name_some(left, 5)} does, name it" if left else "add one, and name it"
    return f"no column is known to hold locations; {what} with `trapline catalog --column location=NAME`"


def _columns_together(table: pl.DataFrame, asked: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The columns that are labels together, and what to say where they may be a model's first answers."""
    together = several_label_columns(table.columns, asked.get("label"), _NUMBERED)
    if "label" in asked or not any(_OF_MODELS.search(name) for name in table.columns):
        return together, []
    listed = ",".join(together)
    return [], [
        f"{listed} stand beside scores and may be a model's answers: they are no labels (--column "
        f"label={listed} takes them for some)"
    ] if together else []


def _refuse_two_times(taken: dict[str, str], asked: Mapping[str, str]) -> None:
    """Refuse times that are both in the table and asked of EXIF; dates alone stay a column of their own."""
    if "date" in taken and "date" not in asked and "time" not in taken:
        del taken["date"]
    if {"time", "date"} & set(taken):
        raise UsageError(
            f"The table has times (column '{taken.get('time', taken.get('date'))}'), and --exif asks for "
            "those of the photos. Leave one out; --column time= leaves out the table's."
        )


def _name_columns(
    table: pl.DataFrame,
    taken: Mapping[str, str],
    asked: Mapping[str, str],
    together: list[str],
    separator: str | None,
    source: Path,
) -> tuple[pl.DataFrame, list[str]]:
    """The rows under the catalog's names, with `_label` or `labels` if there are any, and notes on these.

    Args:
        taken: role → column.
        asked: what of it the user said.
        together: columns that are labels together.
        separator: what stands between several labels in one cell.
    """
    ranks = {} if separator is not None else _rank_columns(table, taken, asked)
    table = _mark_no_words(table, [taken.get("label"), taken.get("location"), *ranks.values()], source)
    rows = _select_columns(table.drop(together), taken, ranks)
    if together:
        labels = join_label_columns(table, together, separator, source.name)
        return rows.with_columns(labels), [describe_label_columns(table, together)]
    if ranks:
        return rows, [_describe_ranks(ranks, rows["_label"])]
    if "label" in taken:
        return rows, []
    return rows, describe_flags(flag_columns(table, list(_free(table.columns, taken))))


def _mark_no_words(table: pl.DataFrame, names: list[str | None], source: Path) -> pl.DataFrame:
    """The table with null where a label or location is a dash or a question mark alone."""
    return mark_missing(table, [name for name in dict.fromkeys(names) if name], source.name, NO_WORDS)


def _refuse_second_header(table: pl.DataFrame, taken: Mapping[str, str], source: Path) -> None:
    """Refuse a table whose first row names the columns: the line above it has groups of them."""
    first = [str(cell) for cell in table.drop("_place").row(0) if cell is not None] if table.height else []
    path = table[taken["path"]]
    if not first or str(path[0]).lower() not in USUAL_NAMES["path"]:
        return
    if table.height > 1 and path.slice(1).str.contains(_NAMES_A_FILE).all():
        raise DataError(
            f"{describe_lines(table.head(1))[0]} names the columns ({', '.join(first)}), and the line above "
            "groups of them. Delete what stands above the names."
        )


def _reject_totals(rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The rows without those of totals and units: what they name as photo has no ending, and is not there."""
    files = rows["file_path"].str.contains(_NAMES_A_FILE)
    others = rows["file_path"].filter(~files)
    if not 0 < len(others) <= _MOST_TOTALS or len(others) >= int(files.sum()):
        return rows
    there = [
        path
        for path, here in zip(others, as_on_disk(others, folder)[0], strict=True)
        if _is_there(folder, here)
    ]
    reason = pl.format("names no photo: '{}' has no ending as all others have, and is not there", "file_path")
    return reject_rows(rows, ~files & ~rows["file_path"].is_in(there), reason)


def _is_there(folder: Path, path: str) -> bool:
    try:
        return (folder / as_name(path)).exists()
    except (OSError, ValueError):  # no name of a file
        return False


def _select_columns(table: pl.DataFrame, taken: Mapping[str, str], ranks: Mapping[str, str]) -> pl.DataFrame:
    """The table's columns under the catalog's names, and those that are for nothing under their own."""
    alone = {role: name for role, name in taken.items() if role != "label" or not ranks}
    made = []
    if "folder" in taken:
        above = table[taken["folder"]].str.replace(r"[/\\]+$", "") + "/"
        made.append((above.fill_null("") + table[taken["path"]]).alias("file_path"))
    if "date" in taken:
        times = table[taken.get("time", taken["date"])]
        made.append(join_date_and_time(table[taken["date"]], times).alias("_time_text"))
    if ranks:
        made.append(finest_taxon(table, ranks, _usual_column(table, "common_name")).alias("_label"))
    elif "label" in taken:
        made.append(table[taken["label"]].alias("_label"))
    return table.select(
        "_place",
        *(pl.col(name).alias(_TARGETS[role]) for role, name in taken.items() if role in _TARGETS),
        *(pl.col(name) for name in _free(table.columns, alone)),
    ).with_columns(made)


def match_columns(
    table: pl.DataFrame, asked: Mapping[str, str], source: Path
) -> tuple[dict[str, str], list[str]]:
    """Which column is for what: first what was asked for, then those of usual names, without regard to case.

    A column of a usual name whose content cannot be what its name says is left alone, which is noted.

    Raises:
        UsageError: something unknown was asked for, or one column for two things.
        DataError: a column that was asked for is not there, or there is none for the path.
    """
    names = [name for name in table.columns if name != "_place"]
    _check_asked(names, asked, source)
    taken = {role: name for role, name in asked.items() if name}
    lower = {name.lower().replace(" ", "_"): name for name in reversed(names) if name not in taken.values()}
    notes = []
    for role, usual in USUAL_NAMES.items():
        for column in (lower[name] for name in usual if name in lower and role not in asked):
            reason = _why_not(table, role, column, taken)
            if reason is None:
                taken[role] = column
                break
            notes.append(f"'{column}' is no {role}: {reason} (--column {role}={column} takes it for one)")
    folders = _folders_among(table, taken, asked, lower)
    if folders is not None:
        notes.append(f"'{taken['path']}' holds folders and '{folders}' the files in them")
        taken["folder"], taken["path"] = taken["path"], folders
    if "date" not in asked and (asked.get("time") == "" or taken.get("time", "time").lower() != "time"):
        taken.pop("date", None)  # not wanted, or in that column too
    if "path" not in taken:
        but = "".join(f"; {note}" for note in notes if " is no path" in note)
        addresses = [name for name in names if table[name].str.contains(URL).any()]
        if addresses and not but:
            but = (
                f"; {addresses[0]} holds addresses, from which nothing is fetched: download the photos first"
            )
        raise DataError(
            f"{source} line 1: no column holds the path of the photo (looked for "
            f"{', '.join(USUAL_NAMES['path'])}); it has: {', '.join(names)}{but}. Name it with --column "
            "path=NAME."
        )
    if "folder" not in asked and table[taken["path"]].str.contains(r"[/\\]").any():
        taken.pop("folder", None)  # which is in the path too
    return {role: taken[role] for role in USUAL_NAMES if role in taken}, notes


def _folders_among(
    table: pl.DataFrame, taken: Mapping[str, str], asked: Mapping[str, str], lower: Mapping[str, str]
) -> str | None:
    """The column of the files where that which is taken for the path holds their folders; None else."""
    if "path" in asked or "folder" in {*asked, *taken} or "path" not in taken:
        return None
    if table[taken["path"]].str.contains(_NAMES_A_FILE).any():
        return None
    names = [lower[name] for name in USUAL_NAMES["path"] if name in lower and lower[name] != taken["path"]]
    return next(
        (
            name
            for name in names
            if table[name].null_count() < table.height
            and table[name].drop_nulls().str.contains(r"^[^/\\]+\.[A-Za-z]\w{1,4}$").all()
        ),
        None,
    )


def _check_asked(names: list[str], asked: Mapping[str, str], source: Path) -> None:
    unknown = [role for role in asked if role not in USUAL_NAMES]
    if unknown:
        raise UsageError(f"A column cannot be mapped to '{unknown[0]}'; it can to: {', '.join(USUAL_NAMES)}.")
    for role, name in asked.items():
        if name and name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise DataError(
                f"{source} line 1: there is no column '{name}' (asked for as {role}); "
                f"it has: {', '.join(names)}.{hint}"
            )
    mapped = [name for name in asked.values() if name]
    if len(set(mapped)) < len(mapped):
        raise UsageError("One column cannot be mapped to two things.")


def _why_not(table: pl.DataFrame, role: str, column: str, taken: Mapping[str, str]) -> str | None:
    """Why a column of a usual name cannot be for what its name says; None where it can."""
    if role not in ("path", "location"):
        return None
    is_address = table[column].str.contains(URL)
    if is_address.any():
        return f"it holds addresses, as in {table[column].filter(is_address)[0]!r}"
    if role == "path" or "path" not in taken or taken["path"] == column:
        return None
    pairs = table.select(taken["path"], column).drop_nulls().unique()
    if _LOCATIONS_LOOK_LIKE_IDS <= pairs.height == pairs[column].n_unique():
        return f"each of {many(pairs.height, 'photo')} has one of its own, as in {pairs[column].min()!r}"
    return None


def _rank_columns(table: pl.DataFrame, taken: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, str]:
    """Rank → column where columns of ranks name the label together; none where one column is the label."""
    label = taken.get("label", "").lower()
    columns = {str(rank): _usual_column(table, rank) for rank in RANKS[:5]}
    ranks = {rank: name for rank, name in columns.items() if name is not None}
    if "label" in asked:
        return {}
    if label == "species" and "genus" in ranks:
        return ranks if name_taxa_together(table, ranks["genus"], ranks["species"]) else {}
    return ranks if label == "class" and {"order", "family", "genus"} & set(ranks) else {}


def _usual_column(table: pl.DataFrame, name: str) -> str | None:
    return next((column for column in table.columns if column.lower().replace(" ", "_") == name), None)


def _describe_ranks(ranks: Mapping[str, str], labels: pl.Series) -> str:
    finest = list(ranks.values())[-1]
    named = labels.drop_nulls()
    example = f", as in '{named[0]}'" if len(named) else ""
    return (
        f"labels are the finest taxa that the columns {', '.join(ranks.values())} name together{example} "
        f"(--column label={finest} takes that column alone)"
    )


def _free(names: list[str], taken: Mapping[str, str]) -> dict[str, None]:
    """The columns that are for nothing; those called like a column of the catalog get a `source_` before."""
    reserved = {"labels", "camera_time", "timestamp_source", "boxes", *_TARGETS.values()}
    used = {"_place", *(name for role, name in taken.items() if role != "date")}
    clash = [name for name in names if name not in used and name in reserved]
    if clash:
        raise DataError(
            f"The column '{clash[0]}' is called like one of the catalog's but is not taken for it. "
            "Rename it, or say what it is with --column."
        )
    return dict.fromkeys(name for name in names if name not in used)


def _read_parts(rows: pl.DataFrame) -> pl.DataFrame:
    parts = pl.col("split").str.to_lowercase().replace_strict(PART_NAMES, default=None)
    reason = pl.format(
        "has the part '{}', which no split has ({}); --column split= leaves the column out",
        "split",
        pl.lit(", ".join(sorted(PART_NAMES))),
    )
    rows = reject_rows(rows, pl.col("split").is_not_null() & parts.is_null(), reason)
    return rows.with_columns(parts.alias("split"))


def _read_frames(rows: pl.DataFrame) -> pl.DataFrame:
    numbers = read_numbers(rows["frame"])
    whole = (numbers == numbers.round()) & (numbers.abs() < 2**53)
    wrong = rows["frame"].is_not_null() & ~whole.fill_null(False)
    kept = reject_rows(
        rows.with_columns(numbers.alias("_given")),
        wrong,
        pl.format("has the frame '{}', which is no whole number", "frame"),
    )
    return kept.with_columns(pl.col("_given").cast(pl.Int64).alias("frame")).drop("_given")


def _one_row_a_media(
    rows: pl.DataFrame, column: str, separator: str | None, file: str
) -> tuple[pl.DataFrame, list[str]]:
    """Put the rows of each path together, their labels in the order of the file."""
    if "_label" in rows.columns:
        words = split_cells(rows["_label"].alias(column), separator, file, NO_WORDS)
        rows = rows.with_columns(words.alias("labels")).drop("_label")
    remedy = "correct the table, or leave the column out with --column ROLE="
    together = one_row_a_media(rows, "file_path", tuple(_TARGETS.values()), remedy)
    extra = rows.height - together.height
    notes = (
        [f"{many(extra, 'row names')} a path that an earlier row names: labels of one media"] if extra else []
    )
    return _null_for_empty(together), notes


def _null_for_empty(rows: pl.DataFrame) -> pl.DataFrame:
    if "labels" not in rows.columns:
        return rows
    return rows.with_columns(pl.when(pl.col("labels").list.len() > 0).then(pl.col("labels")).alias("labels"))
