"""Other people's tables as text: one way of reading them, and of saying what was understood and left out."""

from trapline.tables.decode import read_bytes, read_start, read_text
from trapline.tables.missing import mark_missing, read_numbers, split_cells
from trapline.tables.reading import (
    MISSING,
    MOST_KEPT,
    Reading,
    RejectedRow,
    current_reading,
    describe_line,
    describe_lines,
    note,
    open_reading,
    reject,
    reject_rows,
)
from trapline.tables.roles import find_roles, plain_name
from trapline.tables.table import (
    TAKEN,
    read_flat_table,
    read_header,
    read_number_table,
    read_records,
    read_table,
    refuse_missing_columns,
    rename_columns,
    with_lines,
)

__all__ = [
    "MISSING",
    "MOST_KEPT",
    "TAKEN",
    "Reading",
    "RejectedRow",
    "current_reading",
    "describe_line",
    "describe_lines",
    "find_roles",
    "mark_missing",
    "note",
    "open_reading",
    "plain_name",
    "read_bytes",
    "read_flat_table",
    "read_header",
    "read_number_table",
    "read_numbers",
    "read_records",
    "read_start",
    "read_table",
    "read_text",
    "refuse_missing_columns",
    "reject",
    "reject_rows",
    "rename_columns",
    "split_cells",
    "with_lines",
]
