"""Files that no reader recognises: what to do with those of a kind that is known."""

from __future__ import annotations

from pathlib import Path

_WHAT_TO_DO = {
    ("xlsx", "xlsm", "xls", "ods", "numbers"): "It is a workbook: save its sheet as CSV and read that.",
    ("zip", "7z", "rar", "tar", "gz", "tgz"): "Unpack it and read the folder.",
    ("mdb", "accdb", "sqlite", "db", "ddb"): "It is a data base: export the table with the files as CSV.",
    ("rds", "rdata", "pkl", "pickle", "mat"): (
        "Files of R, Python and Matlab that hold objects are never opened: write the table as CSV there."
    ),
    ("pdf", "doc", "docx", "html"): "It is a page for people: save the table in it as CSV.",
}


def what_to_do(source: Path) -> str:
    """A sentence for a file that is of no format, by its ending; empty where there is none to give."""
    ending = source.suffix.lower().lstrip(".")
    return next((f" {told}" for endings, told in _WHAT_TO_DO.items() if ending in endings), "")
