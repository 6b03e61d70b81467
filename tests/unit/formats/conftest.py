"""A small catalog with everything that writers must cope with, and predictions of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.prediction import PredictionFacts, Predictions
from trapline.prediction.table import BOX_COLUMNS, FIXED
from trapline.taxonomy import Taxonomy, taxonomy_from_csv

LABELS = ("roe_deer", "fox", "vehicle", "blank")
BOX = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}
PERSON = BOX | {"category": "person", "conf": 0.8, "x": 0.6}
MEDIA = [
    # media, file, location, event, time, boxes, probabilities
    (
        "m1",
        "north/a 1 !!.jpg",
        "north",
        "e1",
        datetime(2021, 3, 1, 6),
        [BOX, PERSON],
        (0.9, 0.05, 0.03, 0.02),
    ),
    ("m2", "north/a2.jpg", "north", "e1", datetime(2021, 3, 1, 6, 0, 2), [], (0.1, 0.7, 0.1, 0.1)),
    ("m3", "north/a3.jpg", "north", "e2", datetime(2021, 3, 1, 7), None, (0.02, 0.03, 0.05, 0.9)),
    ("m4", "south/b1.jpg", "south", None, datetime(2021, 7, 1, 23), None, (0.3, 0.28, 0.22, 0.2)),
    ("m5", "south/b2.jpg", "south", None, datetime(2021, 7, 2), None, None),
    ("m6", "south/b3.jpg", "south", None, datetime(2021, 7, 3), None, (0.0, 0.1, 0.8, 0.1)),
]
TAXONOMY = """label,class,order,family,genus,species,common_name,kind,uuid
roe_deer,Mammalia,Artiodactyla,Cervidae,Capreolus,Capreolus capreolus,roe deer,animal,u-roe
fox,Mammalia,Carnivora,Canidae,Vulpes,Vulpes vulpes,red fox,animal,
vehicle,,,,,,vehicle,vehicle,
"""


@dataclass
class Scene:
    catalog: Catalog
    predictions: Predictions
    taxonomy: Taxonomy
    options: dict[str, dict[str, Any]]


def rows_of(level: str) -> list[tuple[Any, ...]]:
    if level == "media":
        return [(m[0], m[3], None, m[1], m[6]) for m in MEDIA]
    if level == "event":
        return [(None, "e1", None, None, MEDIA[0][6]), (None, "e2", None, None, MEDIA[2][6])]
    first = [("m1", "e1", 0, MEDIA[0][1], MEDIA[0][6]), ("m1", "e1", 1, MEDIA[0][1], MEDIA[5][6])]
    return first + [(m[0], m[3], None, m[1], m[6]) for m in MEDIA[1:]]


def predictions_of(level: Literal["media", "box", "event"], task: Any) -> Predictions:
    rows = []
    for media, event, box, path, numbers in rows_of(level):
        failed = numbers is None
        fixed = (media, event, box, path, "failed" if failed else "ok", "not a picture" if failed else None)
        rows.append((*fixed, *(numbers or (None,) * len(LABELS))))
    schema = {**FIXED, **dict.fromkeys(LABELS, pl.Float32())}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    if level == "box":
        nothing = [pl.lit(None, kind).alias(name) for name, kind in BOX_COLUMNS.items()]
        table = table.select(*FIXED, *nothing, *LABELS)
    return Predictions(table, LABELS, level, "0123456789abcdef", task, PredictionFacts(model_name="alpine"))


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    """Make the scene: `scene()`, or of another level ("box", "event") or task ("multi-label")."""
    from PIL import Image

    root = tmp_path / "photos"
    for _, path, *_ in MEDIA:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 100), "green").save(root / path)
    rows = [
        {
            "media_id": media,
            "file_path": path,
            "location_id": location,
            "event_id": event,
            "camera_time": time,
            "timestamp_source": "exif",
            "boxes": boxes,
        }
        for media, path, location, event, time, boxes, _ in MEDIA
    ]
    catalog = Catalog.from_rows(pl.DataFrame(rows, infer_schema_length=None), root, "the test's photos")
    taxonomy_file = tmp_path / "taxonomy.csv"
    taxonomy_file.write_text(TAXONOMY, encoding="utf-8")
    deployments = tmp_path / "deployments.csv"
    deployments.write_text(
        "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd,cameraModel,cameraID\n"
        "d-north,north,46.5,6.25,2021-02-01,2021-04-01,Reconyx-HF2X,c1\n"
        "d-south,south,46.25,6.5,2021-06-01T12:00:00+02:00,2021-08-01 12:00,,c2\n",
        encoding="utf-8",
    )
    metadata = tmp_path / "project.yaml"
    metadata.write_text(
        "name: test-project\ncontributors:\n  - title: A. Person\nproject:\n  title: Test\n"
        "  samplingDesign: targeted\n  captureMethod: [activityDetection]\n  individualAnimals: false\n"
        "wildlife_insights:\n  project_id: p1\n  project_name: Test\n  country_code: FRA\n",
        encoding="utf-8",
    )
    options = {
        "camtrap-dp": {"deployments": deployments, "timezone": "Europe/Paris", "metadata": metadata},
        "wildlife-insights": {"deployments": deployments, "metadata": metadata},
    }

    def make(level: Any = "media", task: str = "single-label") -> Scene:
        return Scene(catalog, predictions_of(level, task), taxonomy_from_csv(taxonomy_file), options)

    return make
