"""What the engine predicts box by box, in each format: several boxes of a photo stay several."""

import csv
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.formats import write
from trapline.images import CropPolicy, Preprocessing
from trapline.models import ModelFile
from trapline.prediction import Predictions, predict
from trapline.taxonomy import Taxonomy, taxonomy_from_csv

TAXONOMY = """label,class,order,family,genus,species,common_name,kind
blank,,,,,,,blank
hare,Mammalia,Lagomorpha,Leporidae,Lepus,,hare,animal
lynx,Mammalia,Carnivora,Felidae,Lynx,Lynx lynx,lynx,animal
"""
SEED = 9
TIMED = {"camera_time": datetime(2021, 3, 1, 6), "timestamp_source": "exif"}
PLACES = [("animal", 0.9, 0.0), ("animal", 0.8, 0.5), ("person", 0.7, 0.25), ("animal", 0.01, 0.7)]


@pytest.fixture
def boxed(write_tiny_model: Callable[..., Path], tmp_path: Path) -> tuple[Predictions, Catalog, Taxonomy]:
    """Two photos; the first has two animals, a person, and a box too faint to look at."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, :48, 0] = pixels[:, 48:, 2] = 255
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(pixels).save(folder / name)
    boxes = [
        {"category": category, "conf": conf, "x": x, "y": 0.1, "width": 0.25, "height": 0.4}
        for category, conf, x in PLACES
    ]
    rows = [
        {"media_id": "a", "file_path": "a.jpg", "location_id": "north", "boxes": boxes, **TIMED},
        {"media_id": "b", "file_path": "b.jpg", "location_id": "north", "boxes": [], **TIMED},
    ]
    catalog = Catalog.from_rows(rows, folder, "boxed")
    crop = Preprocessing(height=16, width=16, crop=CropPolicy(min_conf=0.2))
    model = ModelFile(write_tiny_model(tmp_path / "m.onnx", preprocessing=crop, seed=SEED))
    predictions = predict(model, catalog, tmp_path / "p.parquet", level="box")
    path = tmp_path / "taxonomy.csv"
    path.write_text(TAXONOMY)
    return predictions, catalog, taxonomy_from_csv(path)


def test_two_animals_are_two_detections_each_with_its_own_label(boxed: Any, tmp_path: Path) -> None:
    predictions, catalog, taxonomy = boxed
    write(predictions, catalog, tmp_path / "md.json", format="megadetector", taxonomy=taxonomy)
    document = json.loads((tmp_path / "md.json").read_text())
    first = {image["file"]: image for image in document["images"]}["a.jpg"]["detections"]
    assert [detection["bbox"][0] for detection in first] == [0.0, 0.5, 0.25, 0.7]
    classified = [detection.get("classifications") for detection in first]
    assert classified[0]
    assert classified[1]
    assert classified[0] != classified[1]
    assert not classified[2]  # nobody asked the model about the person, nor about the faint box
    assert not classified[3]


def test_two_animals_and_a_person_are_observations_with_their_boxes(
    boxed: Any, scene: Any, tmp_path: Path
) -> None:
    predictions, catalog, taxonomy = boxed
    options = scene().options["camtrap-dp"]
    write(predictions, catalog, tmp_path / "dp", format="camtrap-dp", taxonomy=taxonomy, **options)
    with (tmp_path / "dp" / "observations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seen = [(row["mediaID"], row["bboxX"] and float(row["bboxX"])) for row in rows]
    assert sorted(seen, key=str) == [("a", 0.0), ("a", 0.25), ("a", 0.5), ("b", "")]
    kinds = {row["scientificName"] + row["observationType"] for row in rows if row["mediaID"] == "a"}
    assert len(kinds) == 3
    assert "human" in kinds
