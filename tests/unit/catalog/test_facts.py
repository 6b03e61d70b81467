"""What is kept with a catalog: the same after any save, read from earlier files, refused where wrong."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.catalog import (
    Catalog,
    CatalogFacts,
    DetectedBoxes,
    JoinedBoxes,
    LeakCheck,
    PartCounts,
    ReadAs,
    SampleRecord,
    SplitRecord,
)
from trapline.errors import DataError

EARLIER: dict[str, Any] = {
    "camtrap_dp": {"name": None, "profile": "camtrap-dp-1.0", "media_left_out_as_urls": 2},
    "format": {"name": "camtrap_dp", "why": "it has a datapackage.json"},
    "notes": ["read as 'blank': 'empty' (3 media)"],
    "blank_from": {"empty": 3},
    "timezone": "Africa/Abidjan",
    "event_gap_seconds": 60.0,
    "boxes": {
        "file": "boxes.json",
        "detector": None,
        "format_version": 1.3,
        "matched": 3,
        "failed": 0,
        "media_not_in_file": 1,
        "names_not_in_catalog": 0,
    },
    "sample": {"share": 0.5, "seed": 1, "of": 40},
    "split": {
        "by": "location",
        "method": "ratios",
        "ratios": {"train": 0.5, "validation": 0.5},
        "seed": 42,
        "parts": {"train": {"media": 1, "locations": 1, "events": 0, "labels": {"fox": 1}}},
        "lacks": {"train": ["hare"]},
        "fingerprint": "f" * 64,
        "leaks": {
            "locations": ["A"],
            "events": [],
            "duplicates": [["a", "b"]],
            "near": 0,
            "without_location": 0,
            "by": "location",
            "files_checked": True,
            "leaking": True,
        },
    },
}
"""As files of format version 1 have it that were written when these facts had no types yet."""

TEXTS = st.text(max_size=8)
COUNTS = st.integers(0, 10**6)
NAMES = st.lists(TEXTS, max_size=3).map(tuple)
BY_NAME = st.dictionaries(TEXTS, COUNTS, max_size=3)
FLOATS = st.floats(allow_nan=False)
JOINED = st.builds(JoinedBoxes, file=TEXTS, detector=st.none() | TEXTS, format_version=st.none() | TEXTS)
DETECTED = st.builds(
    DetectedBoxes,
    categories=NAMES,
    min_conf=FLOATS,
    failures=st.dictionaries(TEXTS, TEXTS, max_size=3),
)
LEAKS = st.builds(LeakCheck, NAMES, NAMES, st.lists(NAMES, max_size=2).map(tuple), COUNTS)
SPLITS = st.builds(
    SplitRecord,
    by=TEXTS,
    seed=st.none() | COUNTS,
    fold=st.none() | COUNTS,
    dates=st.none() | NAMES,
    ratios=st.none() | st.dictionaries(TEXTS, FLOATS, max_size=3),
    named=st.none() | st.dictionaries(TEXTS, NAMES, max_size=3),
    left_out=st.none() | BY_NAME,
    parts=st.dictionaries(TEXTS, st.builds(PartCounts, labels=BY_NAME), max_size=3),
    lacks=st.dictionaries(TEXTS, NAMES, max_size=3),
    leaks=LEAKS,
)
JSON = st.recursive(
    st.none() | st.booleans() | COUNTS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FACTS = st.builds(
    CatalogFacts,
    format=st.none() | st.builds(ReadAs),
    notes=NAMES,
    blank_from=BY_NAME,
    left_out=NAMES,
    timezone=st.none() | TEXTS,
    boxes=st.none() | JOINED | DETECTED,
    event_gap_seconds=st.none() | FLOATS,
    sample=st.none() | st.builds(SampleRecord, share=FLOATS),
    split=st.none() | SPLITS,
    others=st.dictionaries(TEXTS.map("my {}".format), JSON, max_size=3),
)


def catalog(facts: CatalogFacts) -> Catalog:
    return Catalog.from_rows([{"media_id": "a", "file_path": "a.jpg"}], "/photos", "rows", facts=facts)


def saved(path: Path, info: dict[str, Any]) -> Path:
    """A catalog whose header keeps these facts, as another program might have written it."""
    plain = catalog(CatalogFacts())
    header = {"format_version": "1", "root": "", "source": "rows", "info": info}
    plain.table.write_parquet(path, metadata={"trapline_catalog": json.dumps(header)})
    return path


@settings(max_examples=40, deadline=None)
@given(facts=FACTS)
def test_facts_are_the_same_after_they_were_written_and_read(facts: CatalogFacts) -> None:
    assert CatalogFacts.from_json(json.loads(json.dumps(facts.as_json())), "here") == facts


def test_a_saved_catalog_keeps_its_facts(tmp_path: Path) -> None:
    facts = CatalogFacts.from_json(EARLIER, "here")
    assert Catalog.load(catalog(facts).save(tmp_path / "c.parquet")).facts == facts


def test_files_of_before_are_read_and_written_with_the_same_keys(tmp_path: Path) -> None:
    found = Catalog.load(saved(tmp_path / "c.parquet", EARLIER)).facts
    assert found.split is not None
    assert found.split.leaks.leaking
    assert found.split.lacks == {"train": ("hare",)}
    assert isinstance(found.boxes, JoinedBoxes)
    assert (found.boxes.detector, found.boxes.format_version) == (None, "1.3")
    assert found.others == {"camtrap_dp": EARLIER["camtrap_dp"]}
    boxes = EARLIER["boxes"] | {"format_version": "1.3"}
    leaks = EARLIER["split"]["leaks"] | {"one_location": False}
    split = EARLIER["split"] | {"leaks": leaks}
    assert found.as_json() == EARLIER | {"boxes": boxes, "split": split}


def test_what_only_a_newer_trapline_knows_is_kept(tmp_path: Path) -> None:
    found = Catalog.load(saved(tmp_path / "c.parquet", {"season_of": {"a": [1, None]}}))
    again = Catalog.load(found.filter(pl.lit(True)).save(tmp_path / "again.parquet"))
    assert again.facts.others == {"season_of": {"a": [1, None]}}


@pytest.mark.parametrize(
    ("info", "named"),
    [
        ({"notes": "one"}, "notes"),
        ({"notes": [1]}, "notes.0"),
        ({"sample": {"share": 0.5, "seed": "1", "of": 4}}, "sample.seed"),
        ({"split": {**EARLIER["split"], "fingerprint": None}}, "split.fingerprint"),
        ({"split": {**EARLIER["split"], "mood": 1}}, "split.mood"),
        ({"boxes": {"detector": "md"}}, "boxes"),
    ],
)
def test_facts_of_another_type_are_refused_with_the_file_and_the_fact(
    tmp_path: Path, info: dict[str, Any], named: str
) -> None:
    path = saved(tmp_path / "c.parquet", info)
    with pytest.raises(DataError) as refused:
        Catalog.load(path)
    assert str(path) in str(refused.value)
    assert named in str(refused.value)


def test_a_readers_own_fact_cannot_take_the_name_of_another() -> None:
    with pytest.raises(DataError, match="'notes'"):
        CatalogFacts(others={"notes": "mine"})


def test_names_of_bytes_in_notes_are_kept_as_tables_have_them(tmp_path: Path) -> None:
    noted = catalog(CatalogFacts(notes=("gr\udcfcn.csv was read",))).save(tmp_path / "c.parquet")
    assert Catalog.load(noted).facts.notes == ("gr\ueffcn.csv was read",)
    before = saved(tmp_path / "before.parquet", {"notes": ["gr\udcfcn.csv was read"]})
    assert Catalog.load(before).facts.notes == ("gr\ueffcn.csv was read",)
