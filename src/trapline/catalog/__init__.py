"""What media there are and what is known of them: the table, splits and checks."""

from trapline.catalog.table import BLANK, SCHEMA, Catalog

__all__ = ["BLANK", "SCHEMA", "Catalog"]
