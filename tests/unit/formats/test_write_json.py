"""MegaDetector, SpeciesNet and COCO Camera Traps: to the letter of the format, and read back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.formats import join_boxes, read, write
from trapline.prediction import Predictions


def check_batch_format(document: Mapping[str, Any]) -> None:
    """The rules of MegaDetector's batch format 1.6."""
    assert float(document["info"]["format_version"]) == 1.6
    for key in ("detection_categories", "classification_categories"):
        assert all(str(int(number)) == number and isinstance(n, str) for number, n in document[key].items())
    for image in document["images"]:
        assert not image["file"].startswith(("/", "./"))
        assert "\\" not in image["file"]
        assert "\n" not in image["file"]
        if image.get("failure") is not None:
            assert image["detections"] is None
            continue
        for detection in image["detections"]:
            assert detection["category"] in document["detection_categories"]
            assert isinstance(detection["conf"], float)
            x, y, width, height = detection["bbox"]
            assert min(x, y) >= 0
            assert max(x + width, y + height) <= 1
            pairs = detection.get("classifications", [])
            assert [p for _, p in pairs] == sorted((p for _, p in pairs), reverse=True)
            assert all(number in document["classification_categories"] for number, _ in pairs)
    names = {name.lower() for name in document["classification_categories"].values()}
    assert not names & {name.lower() for name in document["detection_categories"].values()}


def same_boxes(one: list[Any] | None, other: list[Any] | None) -> bool:
    if not one or not other:
        return one == other
    return len(one) == len(other) and all(a == pytest.approx(b) for a, b in zip(one, other, strict=True))


def written(made: Any, output: Path, name: str, **options: Any) -> dict[str, Any]:
    write(made.predictions, made.catalog, output, format=name, taxonomy=made.taxonomy, **options)
    document: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return document


def tops(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str | None]]]:
    """file → its detections' category and first class."""
    kinds, classes = document["detection_categories"], document["classification_categories"]
    return {
        image["file"]: [
            (kinds[d["category"]], classes[d["classifications"][0][0]] if "classifications" in d else None)
            for d in image["detections"] or ()
        ]
        for image in document["images"]
    }


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("level", ["media", "box", "event"])
def test_megadetector_json_follows_the_format(level: str, task: str, scene: Any, tmp_path: Path) -> None:
    document = written(scene(level, task), tmp_path / "md.json", "megadetector")
    check_batch_format(document)


def test_megadetector_boxes_carry_classes_and_photos_without_a_full_frame(scene: Any, tmp_path: Path) -> None:
    document = written(scene(), tmp_path / "md.json", "megadetector", threshold=0.5)
    assert tops(document) == {
        "north/a 1 !!.jpg": [("animal", "roe_deer"), ("person", None)],  # the person is not called a deer
        "north/a2.jpg": [("animal", "fox")],
        "north/a3.jpg": [],  # blank
        "south/b1.jpg": [("unknown", None)],  # nothing passes, but it is not empty
        "south/b2.jpg": [],
        "south/b3.jpg": [("vehicle", "vehicle (class)")],  # Timelapse refuses a class called vehicle
    }
    images = {image["file"]: image for image in document["images"]}
    assert images["south/b2.jpg"]["failure"] == "not a picture"
    assert images["north/a2.jpg"]["detections"][0]["bbox"] == [0, 0, 1, 1]
    assert images["north/a2.jpg"]["detections"][0]["conf"] == pytest.approx(0.7)
    assert images["north/a 1 !!.jpg"]["datetime"] == "2021-03-01 06:00:00"
    assert document["classification_category_descriptions"]["1"] == (
        "u-roe;mammalia;artiodactyla;cervidae;capreolus;capreolus;roe deer"
    )


def test_megadetector_classes_of_boxes_stay_with_their_boxes(scene: Any, tmp_path: Path) -> None:
    document = written(scene("box"), tmp_path / "md.json", "megadetector")
    assert tops(document)["north/a 1 !!.jpg"] == [("animal", "roe_deer"), ("person", "vehicle (class)")]


def test_boxes_written_for_megadetector_are_read_back(scene: Any, tmp_path: Path) -> None:
    made = scene()
    written(made, tmp_path / "md.json", "megadetector")
    table = made.catalog.table.with_columns(pl.lit(None).cast(pl.Null).alias("boxes"))
    bare = Catalog.from_rows(table, made.catalog.root, "bare")
    boxes = join_boxes(bare, tmp_path / "md.json").table["boxes"].to_list()
    assert same_boxes(boxes[0], made.catalog.table["boxes"].to_list()[0])
    assert boxes[2] == []
    assert boxes[4] is None


def test_speciesnet_json_is_read_back_with_its_boxes_and_predictions(scene: Any, tmp_path: Path) -> None:
    made = scene()
    document = written(made, tmp_path / "sn.json", "speciesnet", layout="photo", threshold=0.5)
    entries = {entry["filepath"]: entry for entry in document["predictions"]}
    assert all("model_version" in entry for entry in document["predictions"])
    for entry in document["predictions"]:
        classes = entry.get("classifications", {"classes": [], "scores": []})
        assert len(classes["classes"]) == len(classes["scores"]) <= 5
        assert classes["scores"] == sorted(classes["scores"], reverse=True)
        assert all(len(name.split(";")) == 7 for name in classes["classes"])
    assert entries["south/b2.jpg"]["failures"] == ["CLASSIFIER"]
    assert "prediction" not in entries["south/b2.jpg"]
    assert entries["south/b1.jpg"]["prediction"].endswith("no cv result")
    assert entries["north/a3.jpg"]["prediction"] == "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"
    assert entries["north/a2.jpg"]["prediction"] == ";mammalia;carnivora;canidae;vulpes;vulpes;red fox"
    assert "detections" not in entries["south/b3.jpg"]
    back = read(tmp_path / "sn.json", root=made.catalog.root)
    assert back.table["file_path"].to_list() == made.catalog.table["file_path"].to_list()
    assert all(map(same_boxes, back.table["boxes"].to_list(), made.catalog.table["boxes"].to_list()))
    assert back.labels == []  # what a machine says is no label
    assert back.table["speciesnet_prediction_score"][0] == pytest.approx(0.9)


@pytest.mark.parametrize("level", ["media", "box"])
def test_speciesnet_by_detection_keeps_what_is_said_with_its_box(
    level: str, scene: Any, tmp_path: Path
) -> None:
    made = scene(level)
    document = written(made, tmp_path / "sn.json", "speciesnet", threshold=0.5)
    assert list(document) == ["info", "predictions"]
    entries = {entry["filepath"]: entry for entry in document["predictions"]}
    for entry in document["predictions"]:
        assert not {"prediction", "classifications"} & set(entry)
        for detection in entry.get("detections", []):
            assert (detection["label"] == "whole_image_classification") == (detection["category"] == "0")
    first = [
        (d["category"], d.get("processed_classification", {}).get("class", "").split(";")[-1])
        for d in entries["north/a 1 !!.jpg"]["detections"]
    ]
    whole = [("0", "roe deer"), ("1", ""), ("2", "")]
    assert first == (whole if level == "media" else [("1", "roe deer"), ("2", "vehicle")])
    unsure = entries["south/b1.jpg"]["detections"][0]["processed_classification"]
    assert unsure["class"].endswith("no cv result")
    assert entries["south/b2.jpg"]["failures"] == ["CLASSIFIER"]
    back = read(tmp_path / "sn.json", root=made.catalog.root)
    assert back.facts.format.name == "speciesnet"
    assert same_boxes(back.table["boxes"][0].to_list(), made.catalog.table["boxes"][0].to_list())
    assert back.table["boxes"].list.len().to_list()[1:4] == [0, 0, 0]  # a whole photo is no box
    assert back.table["speciesnet_prediction"][1].endswith("red fox")


@pytest.mark.parametrize("level", ["media", "box", "event"])
def test_coco_camera_traps_are_read_back(level: str, scene: Any, tmp_path: Path) -> None:
    made = scene(level)
    document = written(made, tmp_path / "cct.json", "coco-camera-traps", threshold=0.5)
    ids = [category["id"] for category in document["categories"]]
    assert document["categories"][0] == {"id": 0, "name": "empty"}
    assert len(set(ids)) == len(ids)
    images = {image["id"] for image in document["images"]}
    assert all((image["width"], image["height"]) == (200, 100) for image in document["images"])
    assert len({a["id"] for a in document["annotations"]}) == len(document["annotations"])
    for annotation in document["annotations"]:
        assert annotation["image_id"] in images
        assert annotation["category_id"] in ids
        assert annotation["sequence_level_annotation"] is (level == "event")
    assert read(tmp_path / "cct.json", root=made.catalog.root).labels == []  # a model's
    back = read(tmp_path / "cct.json", root=made.catalog.root, classified_by="machine")
    labels = dict(back.table.select("file_path", "labels").iter_rows())
    if level == "event":
        of_events = {f"north/{name}.jpg": ["roe_deer"] for name in ("a 1 !!", "a2")}
        nobody = dict.fromkeys(f"south/b{number}.jpg" for number in (1, 2, 3))
        assert labels == of_events | {"north/a3.jpg": ["blank"]} | nobody
        return
    assert labels["north/a 1 !!.jpg"] == (["roe_deer"] if level == "media" else ["roe_deer", "vehicle"])
    assert labels["north/a3.jpg"] == ["blank"]
    assert labels["south/b1.jpg"] is None
    assert labels["south/b2.jpg"] is None
    assert next(i for i in document["images"] if i["id"] == "m5")["corrupt"] is True
    assert back.table["event_id"].to_list() == made.catalog.table["event_id"].to_list()
    assert back.table["camera_time"].to_list() == made.catalog.table["camera_time"].to_list()
    if level == "box":
        first = next(a for a in document["annotations"] if "bbox" in a)
        assert first["bbox"] == [20.0, 20.0, 60.0, 40.0]  # of a photo of 200 × 100


def test_boxes_of_photos_that_cannot_be_measured_are_said_to_be_lost(scene: Any, tmp_path: Path) -> None:
    made = scene("box")
    made.catalog.path("north/a 1 !!.jpg").unlink()
    report = write(made.predictions, made.catalog, tmp_path / "c.json", format="coco-camera-traps")
    assert any("boxes of 1 photo" in lost for lost in report.lost)
    assert any("1 photo has no width and height" in note for note in report.notes)
    document = json.loads((tmp_path / "c.json").read_text())
    assert not any("bbox" in annotation for annotation in document["annotations"])


def test_a_table_is_written_whole(scene: Any, tmp_path: Path) -> None:
    made = scene()
    for suffix in ("csv", "parquet"):
        write(made.predictions, made.catalog, tmp_path / f"t.{suffix}", format=suffix)
        loaded = Predictions.load(tmp_path / f"t.{suffix}")
        assert loaded.table.equals(made.predictions.table)
        assert loaded.header() == made.predictions.header()


@pytest.mark.field
def test_every_photo_of_the_jura_leaves_in_every_json(field: Path, tmp_path: Path) -> None:
    catalog = read(field / "jura" / "labels.csv", columns={"path": "file_name"}, root=field / "jura")
    labels = tuple(catalog.labels)
    numbers = {label: [1.0 if label in row else 0.0 for row in catalog.table["labels"]] for label in labels}
    table = catalog.table.select(
        "media_id",
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.lit("ok").alias("status"),
        pl.lit(None, pl.String).alias("reason"),
    ).with_columns(pl.Series(name, values, pl.Float32) for name, values in numbers.items())
    predictions = Predictions(table, labels, "media", "f" * 16, "single-label")
    for name in ("megadetector", "speciesnet", "coco-camera-traps"):
        output = tmp_path / f"{name}.json"
        assert write(predictions, catalog, output, format=name, observers=["model"]).rows == 322
    check_batch_format(json.loads((tmp_path / "megadetector.json").read_text("utf-8")))
    back = read(tmp_path / "coco-camera-traps.json", root=field / "jura", classified_by="machine")
    assert back.table["labels"].to_list() == catalog.table["labels"].to_list()
