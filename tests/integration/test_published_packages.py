"""Camtrap DP packages that others published, of versions 0.1.6 and 1.0: counts as in their tables."""

from collections import Counter
from pathlib import Path

import pytest

from trapline.formats import read

pytestmark = pytest.mark.field


@pytest.mark.parametrize(
    ("folder", "media", "events", "label", "count"),
    [
        ("ecology/mica", 283, 27, "Anas platyrhynchos", 60),
        ("fixtures/camtrapdp_example", 423, 34, "Anas platyrhynchos", 157),
    ],
)
def test_published_packages_are_read_whole(
    folder: str, media: int, events: int, label: str, count: int, field: Path
) -> None:
    catalog = read(field / folder, keep_urls=True, event_labels=True, classified_by="all")
    labels = Counter(name for names in catalog.table["labels"].drop_nulls() for name in names)
    assert len(catalog) == media
    assert catalog.table["event_id"].n_unique() == events
    assert catalog.table["location_id"].n_unique() == 4
    assert catalog.table["timestamp"].null_count() == 0
    assert labels[label] == count
