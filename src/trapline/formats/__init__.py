"""One file a foreign format: into a catalog, out of predictions."""

from trapline.formats import csv_table, drivendata
from trapline.formats.registry import READERS, Reader, read, reader

__all__ = ["READERS", "Reader", "csv_table", "drivendata", "read", "reader"]
