"""What media there are and what is known of them: the table, splits and checks."""

from trapline.catalog.checks import FileCheck, check_files
from trapline.catalog.events import assign_events, join_events
from trapline.catalog.leaks import LeakCheck, check_leaks
from trapline.catalog.links import LinkReport, link_class_folders
from trapline.catalog.splits import fingerprint, location_folds, split_catalog
from trapline.catalog.summary import labels_by_part, summarise
from trapline.catalog.table import BLANK, SCHEMA, Catalog

__all__ = [
    "BLANK",
    "SCHEMA",
    "Catalog",
    "FileCheck",
    "LeakCheck",
    "LinkReport",
    "assign_events",
    "check_files",
    "check_leaks",
    "fingerprint",
    "join_events",
    "labels_by_part",
    "link_class_folders",
    "location_folds",
    "split_catalog",
    "summarise",
]
