"""Files that once ended a reader with something other than a reason; found by fuzzing."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import join_boxes, read
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED


def as_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_half_a_character_in_json_is_refused(tmp_path: Path) -> None:
    path = as_json(tmp_path / "s.json", {"predictions": [{"filepath": "a\ud800.jpg"}]})
    with pytest.raises(DataError, match=r"is not JSON: .*surrogates not allowed"):
        read(path, format="speciesnet")
    path.write_bytes(b'{"predictions": [{"filepath": "a\xed\xa0\x80.jpg"}]}')
    with pytest.raises(DataError, match=r"is not JSON: .*can't decode"):
        read(path, format="speciesnet")
    fox = as_json(tmp_path / "fox.json", {"predictions": [{"filepath": "\U0001f98a.jpg"}]})  # a pair is whole
    assert read(fox, format="speciesnet").table["file_path"].to_list() == ["\U0001f98a.jpg"]


def test_boxes_whose_info_is_no_object_are_joined(tmp_path: Path) -> None:
    catalog = Catalog.from_rows([{"media_id": "1", "file_path": "1.jpg"}], tmp_path, "one")
    images = [{"file": "1.jpg", "detections": []}]
    path = as_json(tmp_path / "b.json", {"info": "odd", "detection_categories": {}, "images": images})
    assert join_boxes(catalog, path).facts.boxes.detector is None


def test_a_width_in_words_is_named(tmp_path: Path) -> None:
    document = {
        "images": [{"id": "1", "file_name": "1.jpg", "width": "wide", "height": 4}],
        "categories": [{"id": 1, "name": "fox"}],
        "annotations": [{"id": "a", "image_id": "1", "category_id": 1, "bbox": [0, 0, 1, 1]}],
    }
    with pytest.raises(DataError, match="no width and height in numbers"):
        read(as_json(tmp_path / "c.json", document), format="coco_camera_traps", strict=True)


@pytest.mark.parametrize("header", ["{", "[]", '{"format_version": "1"}', "[" * 50_000])
def test_a_catalog_with_damaged_facts_is_refused(tmp_path: Path, header: str) -> None:
    table = Catalog.from_rows([{"media_id": "1", "file_path": "1.jpg"}], tmp_path, "one").table
    table.write_parquet(tmp_path / "c.parquet", metadata={"trapline_catalog": header})
    with pytest.raises(DataError, match="damaged"):
        Catalog.load(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("name", "value"),
    [("labels", 3), ("labels", ["a", "a"]), ("level", "herd"), ("info", "odd"), ("task", None), ("model", 1)],
)
def test_predictions_with_a_damaged_header_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    row = ("m", None, None, "m.jpg", "ok", None, 0.5, 0.5)
    table = pl.DataFrame([row], schema=FIXED | {"a": pl.Float32(), "b": pl.Float32()}, orient="row")
    Predictions(table, ("a", "b"), "media", "f", "single-label").save(tmp_path / "p.csv")
    beside = tmp_path / "p.csv.json"
    as_json(beside, json.loads(beside.read_text()) | {name: value})
    with pytest.raises(DataError, match="its header"):
        Predictions.load(tmp_path / "p.csv")


def test_an_id_under_two_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train_features.csv").write_text("id,filepath,site,media_id\nZJ1,a.jpg,S1,x\n")
    with pytest.raises(DataError, match="has both id and media_id: keep one"):
        read(tmp_path, format="drivendata")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"info": "odd"}, None),
        ({"images": [{"id": "1", "media_id": "2", "file_name": "1.jpg"}]}, "has both id and media_id"),
        (
            {"annotations": [{"image_id": "1", "category_id": 1, "bbox": 7}]},
            "has a bbox that is not four numbers",
        ),
    ],
)
def test_odd_coco_files(tmp_path: Path, change: dict[str, Any], reason: str | None) -> None:
    document = {
        "images": [{"id": "1", "file_name": "1.jpg"}],
        "categories": [{"id": 1, "name": "fox"}],
        "annotations": [{"image_id": "1", "category_id": 1}],
    }
    path = as_json(tmp_path / "c.json", document | change)
    if reason is None:
        assert len(read(path, format="coco_camera_traps")) == 1
    else:
        with pytest.raises(DataError, match=reason):
            read(path, format="coco_camera_traps", strict=True)


def test_odd_sequences_are_read_or_refused(tmp_path: Path) -> None:
    metadata, labels = tmp_path / "train_metadata.csv", tmp_path / "train_labels.csv"
    name = "x" * 5000  # no folder can be called that, so that none is looked for
    metadata.write_text(f"seq_id,file_name,datetime\nSER_S1#B04#1#1,{name}/1.JPG,2010-07-01 10:00:00\n")
    labels.write_text("seq_id,empty,zebra\nSER_S1#B04#1#1,0,1\n")
    assert len(read(tmp_path, format="hakuna_ma_data")) == 1
    metadata.write_text("seq_id,file_name,media_id\nSER_S1#B04#1#1,S1/1.JPG,2\n")
    with pytest.raises(DataError, match="has both file_name and media_id"):
        read(tmp_path, format="hakuna_ma_data")


@pytest.mark.parametrize("name", ["_row", "_place", "_time_text", "_name"])
def test_a_column_with_a_name_that_readers_use_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "labels.csv").write_text(f"path,label,{name}\na.jpg,fox,1\n")
    with pytest.raises(DataError, match=f"rename the column {name}"):
        read(tmp_path / "labels.csv", format="csv")
