"""What a detector found and a model of boxes said: people, vehicles and empty boxes, in each format."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog, CatalogFacts, JoinedBoxes
from trapline.formats import write
from trapline.images import CropPolicy
from trapline.observations import SURE, gather, leave_to_detector
from trapline.prediction import PredictionFacts, Predictions, pool_events
from trapline.prediction.table import BOX_COLUMNS, FIXED
from trapline.taxonomy import Taxonomy

JOINED = JoinedBoxes(
    file="boxes.json",
    detector="md_v5a",
    format_version="1.5",
    matched=4,
    failed=0,
    media_not_in_file=0,
    names_not_in_catalog=0,
)
LABELS = ("roe_deer", "fox", "vehicle", "blank")
ANIMAL = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}
PERSON = ANIMAL | {"category": "person", "conf": 0.8, "x": 0.6}
CAR = ANIMAL | {"category": "vehicle", "conf": 0.7, "x": 0.3}
FAINT = PERSON | {"conf": 0.1}
BOXES = {
    "both": [ANIMAL, PERSON],
    "person": [PERSON],
    "car": [CAR, FAINT],
    "faint": [FAINT],
}
FOX = (0.1, 0.6, 0.1, 0.2)


@dataclass
class People:
    catalog: Catalog
    predictions: Predictions
    taxonomy: Taxonomy
    options: dict[str, dict[str, Any]]

    def write(self, name: str, output: Path, **options: Any) -> Any:
        options = self.options.get(name, {}) | options
        return write(self.predictions, self.catalog, output, format=name, taxonomy=self.taxonomy, **options)


@pytest.fixture
def people(scene: Callable[..., Any], tmp_path: Path) -> Callable[..., People]:
    """Photos of which a model of animals says fox, whatever a detector found: or at level "media"."""
    root = tmp_path / "cards"
    root.mkdir()
    for name in BOXES:
        Image.new("RGB", (200, 100), "green").save(root / f"{name}.jpg")
    rows = [
        {
            "media_id": name,
            "file_path": f"{name}.jpg",
            "location_id": "north",
            "camera_time": datetime(2021, 3, 1, 6, place),
            "timestamp_source": "exif",
            "boxes": boxes,
        }
        for place, (name, boxes) in enumerate(BOXES.items())
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    catalog = Catalog.from_rows(table, root, "cards", facts=CatalogFacts(boxes=JOINED))

    def make(level: Any = "box") -> People:
        made = scene()
        return People(catalog, predictions_of(level), made.taxonomy, made.options)

    return make


def predictions_of(level: Any) -> Predictions:
    """What `predict` makes of `BOXES` with a model that looks at animals."""
    rows: list[tuple[Any, ...]] = []
    for name, boxes in BOXES.items():
        asked = [place for place, box in enumerate(boxes) if box is ANIMAL]
        if level == "box":
            rows += [
                (name, None, place, f"{name}.jpg", *(("ok", None, *FOX) if place in asked else SKIPPED))
                for place in range(len(boxes))
            ]
        if level == "media" or not asked:
            rows.append((name, None, None, f"{name}.jpg", "ok", None, *FOX))
    schema = {**FIXED, **dict.fromkeys(LABELS, pl.Float32())}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    if level == "box":
        nothing = [pl.lit(None, kind).alias(name) for name, kind in BOX_COLUMNS.items()]
        table = table.select(*FIXED, *nothing, *LABELS)
    return Predictions(
        table, LABELS, level, "0123456789abcdef", "single-label", PredictionFacts(model_name="alpine")
    )


SKIPPED = ("skipped", "category person: the model looks at animal", *(None,) * len(LABELS))
SHOWN = {"both": {"fox", "human"}, "person": {"human"}, "car": {"vehicle"}, "faint": {"fox"}}


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def gathered(pairs: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for photo, label in pairs:
        found.setdefault(Path(photo).stem, set()).add(label)
    return found


def test_a_box_is_sure_when_crops_take_it() -> None:
    assert CropPolicy().min_conf == SURE


def test_people_are_observations_of_camtrap_dp_by_the_detector(people: Any, tmp_path: Path) -> None:
    report = people().write("camtrap-dp", tmp_path / "dp")
    rows = table_of(tmp_path / "dp" / "observations.csv")
    said = [
        (row["mediaID"], row["observationType"], row["scientificName"], row["bboxX"][:3], row["classifiedBy"])
        for row in rows
    ]
    assert said == [
        ("both", "animal", "Vulpes vulpes", "0.1", "alpine (0123456789abcdef)"),
        ("both", "human", "", "0.6", "md_v5a"),
        ("person", "human", "", "0.6", "md_v5a"),
        ("car", "vehicle", "", "0.3", "md_v5a"),
        ("faint", "animal", "Vulpes vulpes", "", "alpine (0123456789abcdef)"),
    ]
    assert rows[2]["classificationProbability"] == "0.80000"
    note = next(note for note in report.notes if "detector" in note)
    assert "3 boxes" in note
    assert "2 photos" in note


def test_a_photo_of_people_alone_is_no_fox_in_any_table_of_photos(people: Any, tmp_path: Path) -> None:
    made = people()
    made.write("summary", tmp_path / "s.csv")
    counts = {row["label"]: int(row["media"]) for row in table_of(tmp_path / "s.csv")}
    assert counts == {"fox": 2, "human": 2, "vehicle": 1}
    made.write("sorted", tmp_path / "sorted", mode="copy")
    sorted_photos = (tmp_path / "sorted").glob("*/*.jpg")
    assert gathered((path.name, path.parent.name) for path in sorted_photos) == SHOWN
    made.write("wildlife-insights", tmp_path / "wi")
    images = table_of(tmp_path / "wi" / "images.csv")
    names = ((row["image_id"], row["common_name"].lower().replace("red ", "")) for row in images)
    assert gathered(names) == SHOWN
    authors = {row["common_name"]: row["identified_by"] for row in images}
    assert authors == {
        "Red fox": "alpine (0123456789abcdef)",
        "Human": "md_v5a (detector)",
        "Vehicle": "md_v5a (detector)",
    }
    made.write("coco-camera-traps", tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    categories = {one["id"]: one["name"] for one in document["categories"]}
    pairs = ((one["image_id"], categories[one["category_id"]]) for one in document["annotations"])
    assert gathered(pairs) == SHOWN
    made.write("xmp", tmp_path / "xmp")
    for photo, labels in SHOWN.items():
        text = (tmp_path / "xmp" / f"{photo}.jpg.xmp").read_text("utf-8")
        assert {name for name in ("fox", "human", "vehicle") if f"Trapline|species|{name}" in text} == labels


def test_speciesnet_predicts_people_by_the_detector(people: Any, tmp_path: Path) -> None:
    people().write("speciesnet", tmp_path / "sn.json", layout="photo")
    entries = json.loads((tmp_path / "sn.json").read_text())["predictions"]
    said = {
        entry["filepath"]: (entry["prediction"].split(";")[-1], entry["prediction_source"])
        for entry in entries
    }
    assert said == {
        "both.jpg": ("red fox", "classifier"),
        "person.jpg": ("human", "detector"),
        "car.jpg": ("vehicle", "detector"),
        "faint.jpg": ("red fox", "classifier"),
    }


@pytest.mark.parametrize("level", ["box", "media"])
def test_no_box_of_people_is_called_an_animal_in_megadetectors_json(
    level: str, people: Any, tmp_path: Path
) -> None:
    report = people(level).write("megadetector", tmp_path / "md.json")
    document = json.loads((tmp_path / "md.json").read_text())
    kinds, classes = document["detection_categories"], document["classification_categories"]
    found = {
        image["file"]: [
            (kinds[d["category"]], d["bbox"][2], [classes[c[0]] for c in d.get("classifications", [])][:1])
            for d in image["detections"]
        ]
        for image in document["images"]
    }
    whole = [("animal", 1, ["fox"])]
    beside = whole if level == "media" else []
    assert found == {
        "both.jpg": [("animal", 0.3, ["fox"]), ("person", 0.3, [])],
        "person.jpg": [("person", 0.3, []), *beside],
        "car.jpg": [("vehicle", 0.3, []), ("person", 0.3, []), *beside],
        "faint.jpg": [("person", 0.3, []), *whole],
    }
    assert any("2 photos are said to show an animal" in n for n in report.notes) == (level == "media")


def test_a_label_for_people_is_what_the_detectors_people_are_called(people: Any, tmp_path: Path) -> None:
    made = people()
    hiker = made.predictions.table.rename({"vehicle": "person"})
    made.predictions = replace(made.predictions, table=hiker, labels=tuple(hiker.columns[-len(LABELS) :]))
    write(made.predictions, made.catalog, tmp_path / "s.csv", format="summary")
    counts = {row["label"]: int(row["media"]) for row in table_of(tmp_path / "s.csv")}
    assert counts == {"fox": 2, "person": 2, "vehicle": 1}


NOTHING = (0.05, 0.05, 0.0, 0.9)
DOUBT = (0.3, 0.3, 0.1, 0.3)
EMPTY_BOXES = {  # what the model says of each box, and what the photo then shows
    "both": ((FOX, NOTHING), {"fox"}),
    "person": ((NOTHING, (0.0, 0.2, 0.0, 0.8)), {"blank"}),
    "car": ((DOUBT, NOTHING), {"unclassified"}),
    "faint": ((NOTHING,), {"blank"}),
}


@pytest.fixture
def empty_boxes(people: Any) -> People:
    """Photos with boxes of animals, in some of which a model says that nothing is."""
    made: People = people()
    boxes = {
        name: [ANIMAL | {"x": 0.1 * (place + 1)} for place in range(len(said))]
        for name, (said, _) in EMPTY_BOXES.items()
    }
    table = made.catalog.table.drop("boxes").with_columns(
        pl.Series("boxes", [boxes[name] for name in made.catalog.table["media_id"]])
    )
    made.catalog = Catalog.from_rows(table, made.catalog.root, "cards")
    rows = [
        (name, None, place, f"{name}.jpg", "ok", None, *(None,) * len(BOX_COLUMNS), *numbers)
        for name, (said, _) in EMPTY_BOXES.items()
        for place, numbers in enumerate(said)
    ]
    schema = {**FIXED, **BOX_COLUMNS, **dict.fromkeys(LABELS, pl.Float32())}
    made.predictions = replace(made.predictions, table=pl.DataFrame(rows, schema=schema, orient="row"))
    return made


def test_an_empty_box_says_nothing_of_a_photo_with_an_animal(empty_boxes: People, tmp_path: Path) -> None:
    shown = {name: labels for name, (_, labels) in EMPTY_BOXES.items()}
    empty_boxes.write("camtrap-dp", tmp_path / "dp", threshold=0.5)
    rows = table_of(tmp_path / "dp" / "observations.csv")
    said = [
        (row["mediaID"], row["observationType"], row["bboxX"][:3], row["classificationProbability"][:3])
        for row in rows
    ]
    assert said == [
        ("both", "animal", "0.1", "0.6"),
        ("person", "blank", "", "0.8"),  # as surely as the least sure of its boxes
        ("car", "unknown", "0.1", ""),
        ("faint", "blank", "", "0.9"),
    ]
    empty_boxes.write("sorted", tmp_path / "sorted", mode="copy", threshold=0.5)
    photos = (tmp_path / "sorted").glob("*/*.jpg")
    assert gathered((path.name, path.parent.name) for path in photos) == shown
    empty_boxes.write("summary", tmp_path / "s.csv", threshold=0.5)
    counts = {row["label"]: int(row["media"]) for row in table_of(tmp_path / "s.csv")}
    assert counts == {"fox": 1, "blank": 2, "unclassified": 1}
    empty_boxes.write("wildlife-insights", tmp_path / "wi", threshold=0.5)
    images = table_of(tmp_path / "wi" / "images.csv")
    assert [(row["common_name"], row["number_of_objects"]) for row in images] == [
        ("Red fox", "1"),
        ("Blank", "0"),
        ("No CV Result", ""),
        ("Blank", "0"),
    ]
    empty_boxes.write("coco-camera-traps", tmp_path / "c.json", threshold=0.5)
    annotations = json.loads((tmp_path / "c.json").read_text())["annotations"]
    found = [(one["image_id"], one["category_id"] == 0, "bbox" in one) for one in annotations]
    assert found == [("both", False, True), ("person", True, False), ("faint", True, False)]


def test_formats_of_boxes_keep_the_empty_ones(empty_boxes: People, tmp_path: Path) -> None:
    empty_boxes.write("megadetector", tmp_path / "md.json", threshold=0.5)
    document = json.loads((tmp_path / "md.json").read_text())
    classes = document["classification_categories"]
    first = document["images"][0]["detections"]
    assert [classes[one["classifications"][0][0]] for one in first] == ["fox", "blank"]


def test_photos_that_are_left_to_the_detector_keep_their_row_and_say_why(scene: Any, tmp_path: Path) -> None:
    """Every input has a row, also in what a card leaves of a model of animals."""
    made = scene()
    animals = [name for name in LABELS if name in ("roe_deer", "fox")]
    table = made.predictions.table.drop(*(name for name in LABELS if name not in animals))
    total = pl.sum_horizontal(animals)
    table = table.with_columns(pl.col(name) / total for name in animals)
    answers = leave_to_detector(replace(made.predictions, table=table, labels=tuple(animals)), made.catalog)
    rows = {row["media_id"]: row for row in answers.table.iter_rows(named=True)}
    assert rows.keys() == set(made.catalog.table["media_id"])
    assert [name for name, row in rows.items() if row["status"] == "skipped"] == ["m2"]
    assert rows["m2"]["reason"] == "left to the detector: no box is sure"
    assert (rows["m2"]["fox"], rows["m5"]["status"]) == (None, "failed")
    answers.save(tmp_path / "answers.csv")
    again = Predictions.load(tmp_path / "answers.csv")
    standing = gather(again, made.catalog).observe().standing
    of_m2 = standing.filter(pl.col("media_id") == "m2")
    assert of_m2.select("observer", "label").rows() == [("detector", "blank")]
    events = pool_events(again, made.catalog, rows="event").table
    assert "m2" not in events["media_id"].to_list()
