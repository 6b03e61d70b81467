"""The catalog's contract: what is refused, and that nothing is lost between save and load."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from trapline.catalog import Catalog, CatalogFacts
from trapline.errors import DataError

GOOD = {"media_id": "a", "file_path": "x/a.jpg", "labels": ["hare"]}


def test_a_saved_catalog_loads_as_it_was_even_after_its_folder_moves(tmp_path: Path) -> None:
    box = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
    rows = [
        GOOD
        | {
            "camera_time": datetime(2020, 1, 2, 3),
            "timestamp_source": "exif",
            "boxes": [box],
            "season": "S1",
        },
        {"media_id": "b", "file_path": "b.jpg", "labels": None, "boxes": [], "season": None},
    ]
    (tmp_path / "one").mkdir()
    catalog = Catalog.from_rows(rows, tmp_path / "one", "rows", facts=CatalogFacts(timezone="UTC"))
    catalog.save(tmp_path / "one" / "c.parquet")
    (tmp_path / "one").rename(tmp_path / "two")
    loaded = Catalog.load(tmp_path / "two" / "c.parquet")
    assert loaded.table.equals(catalog.table)
    assert loaded.root == tmp_path / "two"
    assert loaded.facts == CatalogFacts(timezone="UTC")
    assert loaded.table["boxes"].to_list() == [[box], []]
    assert loaded.table["timestamp_source"].to_list() == ["exif", "none"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"media_id": "b"}, "more than once"),
        ({"media_id": ""}, "no media_id"),
        ({"file_path": None}, "no file_path"),
        ({"file_path": "../b.jpg"}, "relative"),
        ({"file_path": "/etc/b.jpg"}, "relative"),
        ({"file_path": "C:/b.jpg"}, "relative"),
        ({"file_path": "x\\b.jpg"}, "relative"),
        ({"file_path": "b\0.jpg"}, "NUL"),
        ({"labels": []}, "empty list of labels"),
        ({"labels": [""]}, "empty label"),
        ({"labels": ["hare", "hare"]}, "same label twice"),
        ({"labels": ["blank", "hare"]}, "beside another label"),
        ({"timestamp_source": "dreamt"}, "timestamp_source"),
        ({"split": "holdout"}, "split part"),
        (
            {"boxes": [{"category": "1", "conf": 1.0, "x": 0.5, "y": 0, "width": 0.6, "height": 0.1}]},
            "outside",
        ),
        (
            {"boxes": [{"category": "1", "conf": 1.0, "x": None, "y": 0, "width": 0.6, "height": 0.1}]},
            "outside",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_file_and_line(change: dict[str, object], complaint: str) -> None:
    good = GOOD | {"media_id": "b"} if "media_id" in change else GOOD
    bad = GOOD | {"media_id": "c", "timestamp_source": "none", "split": None, "boxes": None} | change
    with pytest.raises(DataError, match=complaint) as caught:
        Catalog.from_rows([good, bad], ".", "rows", where=["labels.csv line 2", "labels.csv line 3"])
    assert "labels.csv line 3" in str(caught.value)


@pytest.mark.parametrize("change", [{"root": 5}, {"source": None}, {"info": []}])
def test_damaged_facts_of_a_catalog_are_refused(change: dict[str, object], tmp_path: Path) -> None:
    catalog = Catalog.from_rows([GOOD], tmp_path, "rows")
    header = {"format_version": "1", "root": ".", "source": "rows", "info": {}} | change
    path = tmp_path / "c.parquet"
    catalog.table.write_parquet(path, metadata={"trapline_catalog": json.dumps(header)})
    with pytest.raises(DataError, match=r"facts .* damaged"):
        Catalog.load(path)


def test_an_empty_catalog_is_an_error() -> None:
    with pytest.raises(DataError, match="no media"):
        Catalog.from_rows([], ".", "rows")


def test_a_part_that_does_not_exist_says_which_do() -> None:
    catalog = Catalog.from_rows([GOOD | {"split": "train"}], ".", "rows")
    assert len(catalog.part("train")) == 1
    with pytest.raises(DataError, match="it has: train"):
        catalog.part("validation")
