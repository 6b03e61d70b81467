"""COCO as tools of annotation write it, and a detector's file as a source by itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trapline.errors import DataError
from trapline.formats.readers import read


def coco(
    folder: Path,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Path:
    path = folder / "coco.json"
    categories = [{"id": 1, "name": "fox"}]
    document = {"images": images, "annotations": annotations or [], "categories": categories} | more
    path.write_text(json.dumps(document))
    return path


def photos(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)


# --- boxes

BOX = [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("size", "boxes"),
    [
        ({}, {"bbox_relative": BOX}),
        ({"width": 100, "height": 50}, {"bbox_relative": BOX}),
        ({"width": 100, "height": 50}, {"bbox": [10, 10, 30, 20], "bbox_relative": BOX}),
        ({"width": 100, "height": 50}, {"bbox": [10, 10, 30, 20], "bbox_relative": None}),
        ({}, {"bbox": [], "bbox_relative": BOX}),
    ],
)
def test_boxes_in_fractions_are_boxes(tmp_path: Path, size: dict[str, Any], boxes: dict[str, Any]) -> None:
    images = [{"id": 1, "file_name": "1.jpg"} | size]
    table = read(coco(tmp_path, images, [{"image_id": 1, "category_id": 1} | boxes])).table
    box = table["boxes"][0][0]
    assert [box[side] for side in ("x", "y", "width", "height")] == pytest.approx(BOX)


def test_a_wrong_box_in_fractions_is_listed(tmp_path: Path) -> None:
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(2)]
    notes = [
        {"image_id": number, "category_id": 1, "bbox_relative": BOX[: 3 + number]} for number in range(2)
    ]
    rejected = read(coco(tmp_path, images, notes)).facts.rejected
    assert rejected is not None
    assert "bbox_relative that is not four numbers" in rejected.rows[0].reason


# --- times

EXPORT = "2024-03-12T09:14:55+00:00"


@pytest.mark.parametrize("text", [EXPORT, "2023-01-01", "2022-07-25 12:13:10"])
def test_the_date_of_an_export_is_no_time_of_capture(tmp_path: Path, text: str) -> None:
    images = [{"id": number, "file_name": f"{number}.jpg", "date_captured": text} for number in range(4)]
    catalog = read(coco(tmp_path, images))
    assert catalog.table["camera_time"].null_count() == 4
    assert catalog.table["coco_date_captured"].to_list() == [text] * 4
    assert any("no time of capture" in note and text in note for note in catalog.facts.notes)


def test_the_date_of_one_image_is_that_of_the_export_if_the_file_says_so(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "1.jpg", "date_captured": EXPORT}]
    made_then = read(coco(tmp_path, images, info={"date_created": EXPORT}))
    assert made_then.table["camera_time"].null_count() == 1
    other = read(coco(tmp_path, images, info={"date_created": "2025-01-01"}))
    assert other.table["camera_time"].null_count() == 0


@pytest.mark.parametrize(
    ("more", "times"),
    [
        ({"seq_id": "s"}, ["2022-07-25 12:13:10"] * 3),
        ({}, ["2022-07-25 12:13:10", "2022-07-25 12:13:10", "2022-07-25 12:13:11"]),
    ],
)
def test_times_of_capture_are_kept(tmp_path: Path, more: dict[str, Any], times: list[str]) -> None:
    images = [
        {"id": number, "file_name": f"{number}.jpg", "date_captured": time} | more
        for number, time in enumerate(times)
    ]
    assert read(coco(tmp_path, images)).table["camera_time"].null_count() == 0


# --- names


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("images/3f2c1a2b-IMG_0001.JPG", "siteA/IMG_0001.JPG"),
        ("9b8c7d6e-trap_12.jpg", "trap_12.jpg"),
        ("/data/upload/7/0a1b2c3d-IMG_0001.JPG", "IMG_0001.JPG"),
        ("/data/local-files/?d=siteA/IMG_0001.JPG", "siteA/IMG_0001.JPG"),
        ("IMG_0001_JPG.rf.0123456789abcdef0123456789abcdef.jpg", "siteA/IMG_0001.JPG"),
        ("C:\\Users\\me\\siteA\\IMG_0001.JPG", "siteA/IMG_0001.JPG"),
        ("/mnt/card/siteA/IMG_0001.JPG", "siteA/IMG_0001.JPG"),
    ],
)
def test_names_that_tools_give_are_the_photos(tmp_path: Path, name: str, here: str) -> None:
    photos(tmp_path, here, "siteB/another.jpg")
    catalog = read(coco(tmp_path, [{"id": 1, "file_name": name}]))
    assert catalog.table["file_path"].to_list() == [here]
    assert any(f"is taken for '{here}'" in note for note in catalog.facts.notes)


def test_names_that_are_there_or_of_no_photo_stay(tmp_path: Path) -> None:
    photos(tmp_path, "beef-1.jpg", "1.jpg")
    names = ["beef-1.jpg", "cafe-2.jpg", "1.jpg"]
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    assert read(coco(tmp_path, images)).table["file_path"].to_list() == names


# --- a detector's file


def detections(*confidences: float) -> list[dict[str, Any]]:
    return [{"category": "1", "conf": confidence, "bbox": BOX} for confidence in confidences]


def detector_file(folder: Path, images: list[dict[str, Any]], *, categories_first: bool = True) -> Path:
    path = folder / "md.json"
    categories = {"detection_categories": {"1": "animal", "2": "person"}}
    entries = {"images": images}
    document = categories | entries if categories_first else entries | categories
    path.write_text(
        json.dumps(document | {"info": {"detector": "md_v5a", "format_version": "1.4"}}, indent=1)
    )
    return path


@pytest.mark.parametrize("first", [True, False])
def test_a_detectors_file_is_a_source(tmp_path: Path, first: bool) -> None:
    images = [
        {"file": "A/1.jpg", "detections": detections(0.9, 0.2)},
        {"file": "A/2.jpg", "detections": []},
        {"file": "B/3.jpg", "detections": None, "failure": "Failure image access"},
        {"file": "B/4.mp4", "detections": [detections(0.5)[0] | {"frame_number": 10}]},
    ]
    catalog = read(detector_file(tmp_path, images, categories_first=first))
    assert catalog.facts.format.name == "megadetector"
    assert catalog.table["file_path"].to_list() == ["A/1.jpg", "A/2.jpg", "B/3.jpg"]
    boxes = catalog.table["boxes"].to_list()
    assert [None if own is None else len(own) for own in boxes] == [2, 0, None]
    assert catalog.table["labels"].null_count() == 3
    assert catalog.facts.videos is not None
    assert catalog.facts.videos.count == 1
    assert any("--boxes md.json" in note for note in catalog.facts.notes)
    assert any("on 1 photo the detector failed" in note for note in catalog.facts.notes)


@pytest.mark.parametrize("prefix", ["C:\\cards\\", "/media/disk/", "\\\\nas\\x\\"])
def test_its_paths_of_another_computer_are_looked_up(tmp_path: Path, prefix: str) -> None:
    photos(tmp_path, "A/1.jpg", "B/1.jpg")
    separator = "\\" if "\\" in prefix else "/"
    images = [{"file": f"{prefix}{name}{separator}1.jpg", "detections": []} for name in "AB"]
    catalog = read(detector_file(tmp_path, images), root=tmp_path)
    assert catalog.table["file_path"].to_list() == ["A/1.jpg", "B/1.jpg"]


def test_a_photo_named_again_is_one(tmp_path: Path) -> None:
    again = [
        {"file": "1.jpg", "detections": None, "failure": "x"},
        {"file": "1.jpg", "detections": detections(0.5)},
    ]
    catalog = read(detector_file(tmp_path, again))
    assert len(catalog.table["boxes"][0]) == 1
    assert len(catalog) == 1
    with pytest.raises(DataError, match=r"images\[2\] \(1.jpg\) is there more than once"):
        read(detector_file(tmp_path, [*again, {"file": "1.jpg", "detections": detections(0.7)}]))


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_a_file_that_was_cut_off_is_refused_with_its_line(tmp_path: Path, share: float) -> None:
    path = detector_file(tmp_path, [{"file": f"{n}.jpg", "detections": detections(0.5)} for n in range(9)])
    path.write_text(path.read_text()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"md.json line \d+ column \d+ is not JSON"):
        read(path, format="auto")
