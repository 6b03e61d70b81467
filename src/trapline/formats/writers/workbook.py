"""A table as a workbook of Excel."""

from __future__ import annotations

import io

import polars as pl


def workbook_bytes(table: pl.DataFrame, sheet: str) -> bytes:
    """One sheet with a header: numbers are numbers, times times, and text is text, whatever it begins with.

    Text that looks like a formula, a number or an address is none of these, so every name stays as it is.

    Args:
        table: the rows.
        sheet: the sheet's name.
    """
    from xlsxwriter import Workbook

    text_stays_text = {
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
        "in_memory": True,
    }
    content = io.BytesIO()
    with Workbook(content, text_stays_text) as workbook:
        table.write_excel(workbook, sheet, dtype_formats={pl.Datetime: "yyyy-mm-dd hh:mm:ss"}, autofit=True)
    return content.getvalue()
