"""A bad row does not take the others with it: it is listed with file, line and reason, for every reader."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import join_boxes, read

BOX = [0.1, 0.1, 0.2, 0.2]


def written(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def coco(images: list[Any], annotations: list[Any]) -> dict[str, Any]:
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}],
    }


IMAGES: list[Any] = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 50} for n in range(3)]
NOTES: list[Any] = [{"id": n, "image_id": n, "category_id": 1} for n in range(3)]
ONE_HOT = "id,blank,fox\n0,0,1\n1,0,1\n"
FEATURES = "id,filepath,site\n0,0.jpg,A\n1,1.jpg,A\n2,2.jpg,A\n"
SEQUENCES = "seq_id,file_name\nSER_S1#A#1#1,0.jpg\nSER_S1#A#1#2,1.jpg\n"
PREDICTIONS: list[Any] = [{"filepath": f"{n}.jpg", "detections": []} for n in range(2)]
TIMELAPSE = (
    "File,RelativePath,DateTime,Species\n0.jpg,a,2021-05-01 10:00:00,fox\n1.jpg,a,2021-05-01 10:00:01,fox\n"
)

SOURCES: dict[str, tuple[dict[str, Any], str, int, list[str]]] = {
    "csv, no path": (
        {"t__csv": "path,label\n0.jpg,fox\n,fox\n1.jpg,hare\n"}, "t.csv", 2, ["t.csv line 3 has no path"]
    ),
    "csv, a path that leaves the root": (
        {"t__csv": "path,label\n0.jpg,fox\n../x.jpg,fox\n/etc/x.jpg,fox\n"}, "t.csv", 1,
        ["t.csv line 3 has a file_path that is not", "t.csv line 4 has a file_path that is not"],
    ),
    "csv, too many cells": (
        {"t__csv": "path,label\n0.jpg,fox\n1.jpg,fox,or,dog\n"}, "t.csv", 1, ["t.csv line 3 has 4 cells"]
    ),
    "csv, a quote": (
        {"t__csv": 'path,label\n0.jpg,"fox\n1.jpg,fox\n'}, "t.csv", 1, ["t.csv line 2 has a quote"]
    ),
    "csv, a frame in words": (
        {"t__csv": "path,frame\n0.jpg,1.0\n1.jpg,two\n2.jpg,\n3.jpg,1.5\n"}, "t.csv", 2,
        ["t.csv line 3 has the frame 'two'", "t.csv line 5 has the frame '1.5'"],
    ),
    "csv, a part that is none": (
        {"t__csv": "path,split\n0.jpg,train\n1.jpg,sometime\n"}, "t.csv", 1, ["t.csv line 3 has the part"]
    ),
    "csv, blank and more": (
        {"t__csv": "path,label\n0.jpg,fox\n1.jpg,blank\n1.jpg,fox\n"}, "t.csv", 1,
        ["t.csv line 3 has 'blank' beside another label (file_path '1.jpg')"],
    ),
    "csv, no id": (
        {"t__csv": "path,id\n0.jpg,7\n1.jpg,NA\n2.jpg,9\n"}, "t.csv", 2, ["t.csv line 3 has no media_id"]
    ),
    "timelapse, no file": (
        {"t__csv": TIMELAPSE + ",a,2021-05-01 10:00:02,fox\n"}, "t.csv", 2, ["t.csv line 4 names no file"]
    ),
    "drivendata, a label that is neither": (
        {"train_features__csv": FEATURES, "train_labels__csv": ONE_HOT + "2,0,maybe\n"}, ".", 3,
        ["train_labels.csv line 4 has for the label 'fox' 'maybe', not 0 or 1"],
    ),
    "drivendata, no label": (
        {"train_features__csv": FEATURES, "train_labels__csv": ONE_HOT + "2,0,0\n"}, ".", 3,
        ["train_labels.csv line 4 has no label that is 1"],
    ),
    "drivendata, labels of nothing": (
        {"train_features__csv": FEATURES, "train_labels__csv": ONE_HOT + "9,0,1\n"}, ".", 3,
        ["train_labels.csv line 4 has labels for the id '9'"],
    ),
    "hakuna, no sequence": (
        {"train_metadata__csv": SEQUENCES + ",2.jpg\n"}, ".", 2, ["train_metadata.csv line 4 has no seq_id"]
    ),
    "hakuna, no file": (
        {"train_metadata__csv": SEQUENCES + "SER_S1#A#1#3,NA\n"}, ".", 2,
        ["train_metadata.csv line 4 has no file_name"],
    ),
    "coco, no file": (
        {"c__json": coco([*IMAGES, {"id": 9}], NOTES)}, "c.json", 3, ["c.json images[3] has no 'file_name'"]
    ),
    "coco, an image that is none": (
        {"c__json": coco([*IMAGES, 7], NOTES)}, "c.json", 3, ["c.json images[3] has no 'id'"]
    ),
    "coco, no category": (
        {"c__json": coco(IMAGES, [*NOTES, {"image_id": 0, "category_id": None}])}, "c.json", 3,
        ["c.json annotations[3] has no 'category_id'"],
    ),
    "coco, another category": (
        {"c__json": coco(IMAGES, [*NOTES, {"image_id": 0, "category_id": 12}])}, "c.json", 3,
        ["c.json annotations[3] has the category_id 12, which is not among the categories"],
    ),
    "coco, another image": (
        {"c__json": coco(IMAGES, [*NOTES, {"image_id": "x", "category_id": 1}])}, "c.json", 3,
        ["c.json annotations[3] has the image_id x, which is not among the images"],
    ),
    "coco, a box of three numbers": (
        {"c__json": coco(IMAGES, [*NOTES, NOTES[0] | {"bbox": [1, 2, 3]}])}, "c.json", 3,
        ["c.json annotations[3] has a bbox that is not four numbers"],
    ),
    "coco, a box without size": (
        {"c__json": coco(IMAGES, [*NOTES, NOTES[0] | {"bbox": [9, 9, -4, 4]}])}, "c.json", 3,
        ["c.json annotations[3] has a bbox of less"],
    ),
    "speciesnet, no file": (
        {"s__json": {"predictions": [*PREDICTIONS, {"file": "x"}]}}, "s.json", 2,
        ["s.json predictions[2] has no 'filepath'"],
    ),
    "speciesnet, a confidence that is none": (
        {"s__json": {"predictions": [*PREDICTIONS, {"filepath": "x.jpg", "detections": [
            {"category": "1", "conf": None, "bbox": BOX}]}]}}, "s.json", 3,
        ["s.json predictions[2] has a wrong detection: its conf is None, no number"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_the_others_are_read_and_the_bad_are_listed(name: str, tmp_path: Path) -> None:
    files, source, media, reasons = SOURCES[name]
    catalog = read(written(tmp_path, **files) / source)
    assert len(catalog) == media
    rejected = catalog.facts.rejected
    assert rejected is not None
    assert rejected.count == len(reasons)
    listed = [f"{row.where} {row.reason}" for row in rejected.rows]
    assert all(line.startswith(reason) for line, reason in zip(listed, reasons, strict=True)), listed
    assert catalog.facts.notes[0].startswith(f"{len(reasons)} row")
    again = Catalog.load(catalog.save(tmp_path / "c.parquet"))
    assert again.facts.rejected == rejected


@pytest.mark.parametrize("name", SOURCES)
def test_where_all_must_be_right_the_first_is_refused(name: str, tmp_path: Path) -> None:
    files, source, _, reasons = SOURCES[name]
    with pytest.raises(DataError) as refused:
        read(written(tmp_path, **files) / source, strict=True)
    assert reasons[0].split(" (")[0] in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["path,id\n0.jpg,1\n1.jpg,1\n", "path,time\n0.jpg,2021-05-01 10:00:00\n0.jpg,2021-05-01 10:00:01\n",
     "path,location\n0.jpg,A\n0.jpg,B\n"],
)  # fmt: skip
def test_what_would_make_the_others_wrong_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"more than once|disagree on the"):
        read(written(tmp_path, t__csv=text) / "t.csv")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
def test_a_table_of_bad_rows_only_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("path,label\n,fox\n,hare\n")
    with pytest.raises(DataError, match=r"line 2 has no path \(2 such rows\)"):
        read(tmp_path / name)


def test_a_missing_cell_beside_a_filled_one_is_no_disagreement(tmp_path: Path) -> None:
    text = "path,label,location\n0.jpg,fox,NA\n0.jpg,hare,A\n0.jpg,deer,\n"
    table = read(written(tmp_path, t__csv=text) / "t.csv").table
    assert table["location_id"].to_list() == ["A"]
    assert table["labels"].to_list() == [["fox", "hare", "deer"]]


def test_a_word_may_be_a_label_and_a_country(tmp_path: Path) -> None:
    text = "path,label,country,site\n0.jpg,NA,NA,NA\n1.jpg,fox,ZA,A\n"
    source = written(tmp_path, t__csv=text) / "t.csv"
    plain = read(source).table
    assert (plain["labels"][0], plain["country"][0], plain["location_id"][0]) == (None, None, None)
    asked = read(source, not_missing=["label=NA", "country=NA"]).table
    assert (asked["labels"][0].to_list(), asked["country"][0], asked["location_id"][0]) == (
        ["NA"],
        "NA",
        None,
    )
    with pytest.raises(UsageError, match="'fox' is never taken for a missing value"):
        read(source, not_missing=["fox"])


@pytest.mark.parametrize("text", [1, 1.0, "1", "1.0"])
@pytest.mark.parametrize("number", [1, 1.0])
def test_ids_in_json_are_the_same_as_numbers_and_as_whole_floats(
    number: Any, text: Any, tmp_path: Path
) -> None:
    images = [{"id": number, "file_name": "0.jpg", "location": 3.0, "seq_id": 12.0}]
    document = coco(images, [{"image_id": text, "category_id": 1.0}, {"image_id": number, "category_id": 1}])
    catalog = read(written(tmp_path, c__json=document) / "c.json")
    assert catalog.table["labels"].to_list() == [["fox"]]
    assert catalog.table.select("media_id", "location_id", "event_id").rows() == [("1", "3", "12")]
    assert (catalog.facts.rejected is not None) == (text == "1.0")  # a text is as it is written


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "null", '"NaN"', '"NA"', '"None"', '""'])
def test_what_json_has_for_nothing_is_nothing(value: str, tmp_path: Path) -> None:
    text = json.dumps(coco([{**IMAGES[0], "location": "?", "seq_id": "?"}], NOTES[:1])).replace('"?"', value)
    catalog = read(written(tmp_path, c__json=text) / "c.json")
    assert catalog.table["event_id"].to_list() == [None]
    assert catalog.table["location_id"].to_list() == [None]
    if value not in ("null", '""'):
        assert any(f"taken for a missing value: {value.strip(chr(34))}" in note.replace("'", "")
                   for note in catalog.facts.notes)  # fmt: skip


def boxes_of(folder: Path, images: list[Any], **options: bool) -> Catalog:
    rows = [{"media_id": f"{n}", "file_path": f"{n}.jpg"} for n in range(3)]
    document = {"images": images, "detection_categories": {"1": "animal"}, "info": {}}
    path = folder / "b.json"
    path.write_text(json.dumps(document))
    return join_boxes(Catalog.from_rows(rows, folder, "three"), path, **options)


def detection(**changes: Any) -> dict[str, Any]:
    return {"category": 1.0, "conf": 0.5, "bbox": BOX} | changes


WRONG: list[Callable[[], Any]] = [
    lambda: detection(conf=float("nan")),
    lambda: detection(conf=float("inf")),
    lambda: detection(conf="half"),
    lambda: detection(conf=True),
    lambda: detection(bbox=[0.1, 0.1, float("nan"), 0.1]),
    lambda: detection(bbox=[10, 10, 200, 100]),
    lambda: detection(category=7),
    lambda: {"category": "1"},
    lambda: None,
]


@pytest.mark.parametrize("make", WRONG)
def test_a_wrong_box_costs_itself_and_says_nothing_of_its_photo(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    images = [
        {"file": "0.jpg", "detections": [make()]},
        {"file": "1.jpg", "detections": [make(), detection()]},
        {"file": "2.jpg", "detections": []},
    ]
    catalog = boxes_of(tmp_path, images)
    counts = catalog.table.select(pl.col("boxes").list.len()).to_series().to_list()
    assert counts == [None, 1, 0]  # null: not that nothing was found
    rejected = catalog.facts.rejected
    assert rejected is not None
    assert [row.where for row in rejected.rows] == ["b.json images[0] (0.jpg)", "b.json images[1] (1.jpg)"]
    with pytest.raises(DataError, match=r"images\[0\] \(0\.jpg\) has a wrong detection"):
        boxes_of(tmp_path, images, strict=True)


def test_an_entry_without_a_file_costs_itself(tmp_path: Path) -> None:
    catalog = boxes_of(tmp_path, [{"file": None}, 3, {"file": "0.jpg"}, {"file": "1.jpg", "detections": []}])
    rejected = catalog.facts.rejected
    assert rejected is not None
    assert [row.reason for row in rejected.rows] == ["has no 'file'"] * 2 + [
        "has neither detections nor a failure"
    ]
