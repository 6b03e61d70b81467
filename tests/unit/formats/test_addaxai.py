"""AddaxAI's tables: photos, boxes and what people verified; a model's word alone is no label."""

import csv
from pathlib import Path

import pytest

from trapline.formats import read

HEAD = [
    *("absolute_path", "relative_path", "data_type", "label", "confidence", "human_verified"),
    *("bbox_left", "bbox_top", "bbox_right", "bbox_bottom", "file_height", "file_width", "DateTimeOriginal"),
]
TIME = "2021-05-12 10:00:00"


def table(path: Path, rows: list[list[object]], head: list[str] = HEAD) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def detection(file: str, label: str, sure: object, verified: object, kind: str = "img") -> list[object]:
    return [f"C:\\x\\{file}", file, kind, label, sure, verified, 10, 20, 110, 120, 280, 400, TIME]


ROWS = [
    detection("A\\1.jpg", "fox", 0.9, True),
    detection("A\\1.jpg", "hare", 0.4, True),
    detection("A\\2.jpg", "fox", 0.8, False),
    detection("A\\3.mp4", "fox", 0.8, False, "vid"),
    detection("A\\4.jpg", "fox", "NA", "FALSE"),
]


@pytest.mark.parametrize(
    ("whose", "labels"),
    [
        ("human", [["fox", "hare"], None, None]),
        ("machine", [None, ["fox"], ["fox"]]),
        ("all", [["fox", "hare"], ["fox"], ["fox"]]),
    ],
)
def test_labels_are_those_that_people_verified_unless_asked(
    whose: str, labels: list[list[str] | None], tmp_path: Path
) -> None:
    catalog = read(table(tmp_path / "results_detections.csv", ROWS), classified_by=whose)
    assert catalog.facts.format is not None
    assert catalog.facts.format.name == "addaxai"
    assert catalog.table["file_path"].to_list() == ["A/1.jpg", "A/2.jpg", "A/4.jpg"]
    assert catalog.table["labels"].to_list() == labels
    assert str(catalog.table["camera_time"][0]) == TIME
    first = catalog.table["boxes"][0].to_list()
    assert [box["category"] for box in first] == ["fox", "hare"]
    assert (first[0]["x"], first[0]["width"]) == (10 / 400, 100 / 400)
    assert catalog.table["boxes"][2] is None, "a box without a confidence is none"
    assert catalog.facts.videos is not None
    assert catalog.facts.videos.count == 1


def test_a_models_word_is_told_where_to_go(tmp_path: Path) -> None:
    catalog = read(table(tmp_path / "results_detections.csv", ROWS))
    assert "labels of people: 1 of 4 photos were verified by one" in catalog.facts.notes
    assert "trapline predictions" in " ".join(catalog.facts.notes)


def test_a_box_outside_its_photo_is_told_of_and_other_columns_are_kept(tmp_path: Path) -> None:
    row = detection("A\\1.jpg", "fox", 0.9, True)
    row[HEAD.index("bbox_right")] = 500
    head = [*HEAD, "Latitude"]
    catalog = read(table(tmp_path / "results_detections.csv", [[*row, "46.5"]], head))
    assert catalog.table["boxes"][0] is None
    assert "1 boxes are outside their photos" in " ".join(catalog.facts.notes)
    assert "results_detections.csv line 2" in " ".join(catalog.facts.notes)
    assert catalog.table["addaxai_Latitude"].to_list() == ["46.5"]


def test_the_table_of_files_names_photos_and_no_labels(tmp_path: Path) -> None:
    head = ["relative_path", "data_type", "n_detections", "max_confidence", "human_verified"]
    rows: list[list[object]] = [
        ["A/1.jpg", "img", 2, 0.9, False],
        ["A/2.jpg", "img", 0, 0, False],
        ["", "img", 0, 0, ""],
    ]
    catalog = read(table(tmp_path / "results_files.csv", rows, head))
    assert catalog.table["labels"].null_count() == len(catalog) == 2
    assert catalog.facts.rejected is not None
    assert catalog.facts.rejected.count == 1
