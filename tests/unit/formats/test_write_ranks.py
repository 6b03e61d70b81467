"""Rolled-up answers of a model of taxa in the formats of others: a taxon above the labels, or none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.formats import WRITERS, write
from trapline.prediction import Predictions
from trapline.prediction.table import fixed_columns
from trapline.taxonomy import taxonomy_from_csv

LABELS = ("bobcat", "empty", "puma")
ROWS = {"cat.jpg": (0.5, 0.1, 0.4), "bobcat.jpg": (0.97, 0.01, 0.02), "lost.jpg": (0.3, 0.4, 0.3)}


@pytest.fixture
def said(tmp_path: Path) -> tuple[Predictions, Catalog]:
    path = tmp_path / "t.csv"
    path.write_text(
        "label,family,genus,species,kind\nbobcat,Felidae,Lynx,Lynx rufus,animal\n"
        "puma,Felidae,Puma,Puma concolor,animal\nempty,,,,blank\n"
    )
    tree = taxonomy_from_csv(path).to_json() | {"rollup": {"promise": 0.95}}
    thresholds = {"kind": 0.8, "family": 0.85, "species": 0.95}
    names = list(ROWS)
    fixed = {name: [None] * len(names) for name in fixed_columns("media")}
    fixed |= {"media_id": names, "file_path": names, "status": ["ok"] * len(names)}
    table = pl.DataFrame(fixed, fixed_columns("media")).hstack(
        pl.DataFrame(list(ROWS.values()), dict.fromkeys(LABELS, pl.Float32), orient="row")
    )
    info: dict[str, Any] = {"taxonomy": tree, "thresholds": thresholds}
    catalog = Catalog.from_rows([{"media_id": n, "file_path": n} for n in names], tmp_path, "three")
    return Predictions(table, LABELS, "media", "f" * 64, "single-label", info), catalog


def test_speciesnet_gets_the_family_and_no_result(said: Any, tmp_path: Path) -> None:
    write(*said, tmp_path / "s.json", format="speciesnet")
    found = {one["filepath"]: one for one in json.loads((tmp_path / "s.json").read_text())["predictions"]}
    assert found["cat.jpg"]["prediction"] == ";;;felidae;;;felidae"
    assert found["cat.jpg"]["prediction_score"] == pytest.approx(0.9)
    assert found["bobcat.jpg"]["prediction"].endswith(";lynx;rufus;bobcat")
    assert found["lost.jpg"]["prediction"].endswith("no cv result")


def test_sorted_folders_and_categories_know_the_family(said: Any, tmp_path: Path) -> None:
    write(*said, tmp_path / "m.json", format="megadetector")
    document = json.loads((tmp_path / "m.json").read_text())
    names = document["classification_categories"]
    image = next(one for one in document["images"] if one["file"] == "cat.jpg")
    best = image["detections"][0]["classifications"][0]
    assert (names[best[0]], best[1]) == ("Felidae", pytest.approx(0.9))
    write(*said, tmp_path / "c.json", format="coco-camera-traps")
    coco = json.loads((tmp_path / "c.json").read_text())
    assert "Felidae" in [one["name"] for one in coco["categories"]]
    write(*said, tmp_path / "s.csv", format="summary")
    assert "Felidae,Felidae" in (tmp_path / "s.csv").read_text()


def test_a_threshold_of_ones_own_asks_the_labels_instead(said: Any, tmp_path: Path) -> None:
    write(*said, tmp_path / "s.json", format="speciesnet", threshold=0.45)
    found = {one["filepath"]: one for one in json.loads((tmp_path / "s.json").read_text())["predictions"]}
    assert found["cat.jpg"]["prediction"].endswith(";bobcat")


def test_a_csv_carries_the_ranks(said: Any, tmp_path: Path) -> None:
    write(*said, tmp_path / "p.csv", format="csv")
    assert pl.read_csv(tmp_path / "p.csv")["answer"].to_list() == ["Felidae", "Lynx rufus", None]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_every_format_takes_answers_above_the_labels(name: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    tree = made.taxonomy.for_labels(made.predictions.labels).to_json() | {"rollup": {"promise": 0.9}}
    info = dict(made.predictions.info) | {"taxonomy": tree, "thresholds": {"kind": 0.0, "class": 0.0}}
    said = replace(made.predictions, info=info)
    suffix = {"csv": ".csv", "parquet": ".parquet", "summary": ".csv"}.get(name, ".json")
    output = tmp_path / (f"out{suffix}" if WRITERS[name].into == "file" else "out")
    report = write(said, made.catalog, output, format=name, **made.options.get(name, {}))
    assert report.rows > 0
    if name == "camtrap-dp":
        observations = pl.read_csv(output / "observations.csv", infer_schema=False)
        assert "Mammalia" in observations["scientificName"].to_list()
        package = json.loads((output / "datapackage.json").read_text())
        assert {"scientificName": "Mammalia", "taxonRank": "class"} in package["taxonomic"]
    if name == "wildlife-insights":
        images = pl.read_csv(output / "images.csv", infer_schema=False)
        assert "Mammalia" in images["class"].to_list()
        assert set(images["species"].to_list()) <= {None, "", "sapiens", "No CV Result"}
