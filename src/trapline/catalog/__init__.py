"""What media there are and what is known of them: the table, splits and checks."""

from trapline.catalog.cells import harmless_cell
from trapline.catalog.checks import FileCheck, check_files
from trapline.catalog.event_labels import label_events
from trapline.catalog.events import assign_events, frame_order, join_events, number_frames, shot_order
from trapline.catalog.facts import (
    CatalogFacts,
    DetectedBoxes,
    Facts,
    JoinedBoxes,
    LeakCheck,
    PartCounts,
    ReadAs,
    Record,
    SampleRecord,
    SplitMethod,
    SplitRecord,
    as_foreign_text,
)
from trapline.catalog.groups import Groups
from trapline.catalog.identity import (
    CONTENT,
    MediaFile,
    content_hash,
    equal_files,
    identify,
    media_files,
    size_of,
)
from trapline.catalog.leaks import check_leaks, compare_parts
from trapline.catalog.links import LinkReport, link_class_folders
from trapline.catalog.moved import relocate
from trapline.catalog.named_parts import describe_left_out, natural_order
from trapline.catalog.names import as_listed, as_name, as_text, normal_paths
from trapline.catalog.parquet_file import for_polars, read_parquet
from trapline.catalog.presence import Presence, SourceGoneError, refuse_gone
from trapline.catalog.relabel import relabel
from trapline.catalog.sampling import sample_catalog
from trapline.catalog.splits import fingerprint, training_fingerprint
from trapline.catalog.splitters import (
    AtRandom,
    ByColumn,
    ByDate,
    ByEvent,
    ByLocation,
    BySeason,
    Splitter,
    make_splitter,
)
from trapline.catalog.summary import labels_by_part, summarise
from trapline.catalog.table import (
    BLANK_WORDS,
    BOX,
    EVENT_LABELS,
    SCHEMA,
    SPLIT_PARTS,
    Catalog,
    conform,
    event_key,
    known_labels,
)
from trapline.taxonomy import BLANK

__all__ = [
    "BLANK",
    "BLANK_WORDS",
    "BOX",
    "CONTENT",
    "EVENT_LABELS",
    "SCHEMA",
    "SPLIT_PARTS",
    "AtRandom",
    "ByColumn",
    "ByDate",
    "ByEvent",
    "ByLocation",
    "BySeason",
    "Catalog",
    "CatalogFacts",
    "DetectedBoxes",
    "Facts",
    "FileCheck",
    "Groups",
    "JoinedBoxes",
    "LeakCheck",
    "LinkReport",
    "MediaFile",
    "PartCounts",
    "Presence",
    "ReadAs",
    "Record",
    "SampleRecord",
    "SourceGoneError",
    "SplitMethod",
    "SplitRecord",
    "Splitter",
    "as_foreign_text",
    "as_listed",
    "as_name",
    "as_text",
    "assign_events",
    "check_files",
    "check_leaks",
    "compare_parts",
    "conform",
    "content_hash",
    "describe_left_out",
    "equal_files",
    "event_key",
    "fingerprint",
    "for_polars",
    "frame_order",
    "harmless_cell",
    "identify",
    "join_events",
    "known_labels",
    "label_events",
    "labels_by_part",
    "link_class_folders",
    "make_splitter",
    "media_files",
    "natural_order",
    "normal_paths",
    "number_frames",
    "read_parquet",
    "refuse_gone",
    "relabel",
    "relocate",
    "sample_catalog",
    "shot_order",
    "size_of",
    "summarise",
    "training_fingerprint",
]
