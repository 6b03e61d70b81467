"""The tables of files and of detections that AddaxAI (once EcoAssist) exports, in either form.

Up to version 6 they are `results_files.csv` and `results_detections.csv`; later `addaxai-files.csv` and
`addaxai-detections.csv`, or `files-<project>-<date>.csv` and its fellows (`.tsv` too). Source: what its code
writes (`AddaxAI_GUI.py`; `backend/app/api/crud/export.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trapline.errors import DataError, many
from trapline.tables import note, read_header, read_table, refuse_missing_columns
from trapline.taxonomy import BLANK

_ENDINGS = (".csv", ".csv.gz", ".tsv")
_OLD = {"relative_path", "data_type"}
_OLD_DETECTIONS = _OLD | {"label", "confidence"}
_NEW_FILES = {"file_id", "relative_path", "file_type", "observation_type", "is_verified"}
_NEW_DETECTIONS = {"detection_id", "file_id", "detection_category", "detection_confidence", "is_verified"}
OF_ADDAXAI = _OLD_DETECTIONS | _NEW_FILES | _NEW_DETECTIONS | {"human_verified"}
"""The columns that tell its tables."""


def recognise_addaxai(source: Path) -> str | None:
    """Why a file is one of the tables, in a few words; None if it is not."""
    if not source.name.lower().endswith(_ENDINGS) or not source.is_file():
        return None
    names = set(read_header(source))
    boxed = names >= _OLD_DETECTIONS and ("human_verified" in names or "bbox_left" in names)
    if boxed or (names >= _OLD and "n_detections" in names):
        return "it has AddaxAI's columns relative_path and data_type"
    if names >= _NEW_FILES or names >= _NEW_DETECTIONS:
        return "it has AddaxAI's columns file_id and is_verified"
    return None


@dataclass
class AddaxaiExport:
    """The tables of one export, as they are.

    Attributes:
        files: one row a file, those without a detection too.
        detections: one row a detection. There is this table or that of files.
        deployments: one row a deployment, with its site.
        names: of what was read.
    """

    files: pl.DataFrame | None
    detections: pl.DataFrame | None
    deployments: pl.DataFrame | None
    names: list[str]

    @property
    def base(self) -> pl.DataFrame:
        """The table that names the files, one row or, where it is that of detections, several."""
        table = self.detections if self.files is None else self.files
        assert table is not None
        return table

    @property
    def is_new(self) -> bool:
        """Whether it is of a version after 6."""
        return "file_id" in self.base.columns

    @property
    def key(self) -> str:
        """The column by which detections belong to files."""
        return "file_id" if self.is_new else "relative_path"

    @property
    def is_empty(self) -> pl.Expr:
        """Of each row of the table that names the files, whether nothing is on it."""
        if self.is_new:
            return (pl.col("observation_type").str.to_lowercase() == BLANK).fill_null(False)
        return (pl.col("n_detections") == "0").fill_null(False) if self.files is not None else pl.lit(False)

    @property
    def is_verified(self) -> pl.Expr:
        """Of each row of either table, whether a person verified it."""
        name = "is_verified" if self.is_new else "human_verified"
        if name not in self.base.columns:  # EcoAssist's first tables: a model's word alone
            return pl.lit(False)
        return pl.col(name).str.to_lowercase().is_in(["true", "1", "yes"]).fill_null(False)


def open_addaxai(source: Path) -> AddaxaiExport:
    """The table and those beside it that its name leads to.

    Raises:
        DataError: the table of files is missing where that of detections names them by number only; or a
            table lacks a column.
    """
    names = set(read_header(source))
    own = "detections" if names >= _OLD_DETECTIONS or names >= _NEW_DETECTIONS else "files"
    paths = {kind: source.with_name(source.name.replace(own, kind)) for kind in ("files", "detections")}
    paths[own] = source
    paths["deployments"] = source.with_name(source.name.replace(own, "deployments"))
    there = {
        kind: path
        for kind, path in paths.items()
        if path == source or (own in source.name and path.is_file())
    }
    tables = {kind: _read_once(path) for kind, path in there.items()}
    if "files" not in tables and "relative_path" not in tables["detections"].columns:
        raise DataError(
            f"{source} names files by numbers that only AddaxAI's table of files explains: put "
            f"{paths['files'].name} of the same export beside it."
        )
    read = [path.name for path in there.values()]
    export = AddaxaiExport(tables.get("files"), tables.get("detections"), tables.get("deployments"), read)
    verified = {"human_verified"} & set(export.base.columns)  # EcoAssist's first tables have none
    of_kind = {
        "files": _NEW_FILES if export.is_new else _OLD | {"n_detections"} | verified,
        "detections": _NEW_DETECTIONS if export.is_new else _OLD_DETECTIONS | verified,
    }
    for kind, columns in of_kind.items():
        if kind in tables:
            refuse_missing_columns(there[kind], tables[kind].columns, sorted(columns))
    return export


def _read_once(path: Path) -> pl.DataFrame:
    """The table without rows that say what one before them does: AddaxAI 6 adds to a table that is there."""
    table = read_table(path)
    once = table.unique(
        [name for name in table.columns if name != "_place"], keep="first", maintain_order=True
    )
    if once.height < table.height:
        note(f"{path.name}: {many(table.height - once.height, 'row')} left out: others say the same")
    return once
