"""Rolled-up answers of a model of taxa in the formats of others: a taxon above the labels, or none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.formats import WRITERS, write
from trapline.prediction import ModelTree, PredictionFacts, Predictions
from trapline.prediction.table import fixed_columns
from trapline.taxonomy import taxonomy_from_csv

LABELS = ("bobcat", "empty", "puma")
ROWS = {"cat.jpg": (0.5, 0.1, 0.4), "bobcat.jpg": (0.97, 0.01, 0.02), "lost.jpg": (0.3, 0.4, 0.3)}


def facts_of(tree: dict[str, Any], thresholds: dict[str, float]) -> PredictionFacts:
    return PredictionFacts(taxonomy=ModelTree.from_json(tree, "the tree"), thresholds=thresholds)


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
    facts = facts_of(tree, thresholds)
    catalog = Catalog.from_rows([{"media_id": n, "file_path": n} for n in names], tmp_path, "three")
    return Predictions(table, LABELS, "media", "f" * 64, "single-label", facts), catalog


def test_speciesnet_gets_the_family_and_no_result(said: Any, tmp_path: Path) -> None:
    write(*said, tmp_path / "s.json", format="speciesnet", layout="photo")
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
    write(*said, tmp_path / "s.json", format="speciesnet", layout="photo", threshold=0.45)
    found = {one["filepath"]: one for one in json.loads((tmp_path / "s.json").read_text())["predictions"]}
    assert found["cat.jpg"]["prediction"].endswith(";bobcat")


def test_a_csv_carries_the_ranks(said: Any, tmp_path: Path) -> None:
    write(*said, tmp_path / "p.csv", format="csv")
    assert pl.read_csv(tmp_path / "p.csv")["answer"].to_list() == ["Felidae", "Lynx rufus", None]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_every_format_takes_answers_above_the_labels(name: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    tree = made.taxonomy.for_labels(made.predictions.labels).to_json() | {"rollup": {"promise": 0.9}}
    facts = facts_of(tree, {"kind": 0.0, "class": 0.0})
    said = replace(made.predictions, facts=facts)
    suffix = SUFFIXES.get(name, ".json")
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


SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "summary": ".csv", "observations": ".csv"}
KINDS_CSV = """label,class,genus,species,kind
fox,Mammalia,Vulpes,Vulpes vulpes,animal
badger,Mammalia,Meles,Meles meles,animal
unknown_bird,,,,animal
human,,,,human
hunter,,,,human
quad,,,,vehicle
empty,,,,blank
"""


def _csv_column(path: Path, media: str, column: str) -> str | None:
    rows = pl.read_csv(path, infer_schema=False).rows(named=True)
    return next(row[column] for row in rows if media in row.values())


def _answer_written(name: str, output: Path, media: str, path: str) -> str | None:
    """What a format says of one photo, as it says it."""
    if name in ("csv", "observations"):
        return _csv_column(output, media, "answer" if name == "csv" else "label")
    if name == "parquet":
        answer: str = pl.read_parquet(output).filter(pl.col("media_id") == media)["answer"].item()
        return answer
    if name == "summary":
        return "|".join(sorted(pl.read_csv(output)["label"].to_list()))
    if name == "sorted":
        return next(found.relative_to(output).parts[0] for found in output.rglob(Path(path).name))
    if name == "xmp":
        return (output / f"{path}.xmp").read_text().split("Trapline|species|")[1].split("<")[0]
    if name == "camtrap-dp":
        kind = _csv_column(output / "observations.csv", media, "observationType")
        return f"{kind} {_csv_column(output / 'observations.csv', media, 'observationTags')}"
    if name == "wildlife-insights":
        return _csv_column(output / "images.csv", media, "common_name")
    document = json.loads(output.read_text())
    if name == "speciesnet":
        found = next(one for one in document["predictions"] if one["filepath"] == path)
        whole = found["detections"][0]["processed_classification"]["class"]
        return ";".join(whole.split(";")[::6])
    if name == "megadetector":
        image = next(one for one in document["images"] if one["file"] == path)
        classes = [one["classifications"][0][0] for one in image["detections"] if "classifications" in one]
        return "|".join(document["classification_categories"][one] for one in classes)
    names = {one["id"]: one["name"] for one in document["categories"]}
    return next(names[one["category_id"]] for one in document["annotations"] if one["image_id"] == media)


ANIMAL = "1f689929-883d-4dae-958c-3d57ab5b6c16;animal"
PERSON = "990ae9dd-7a59-4344-afcb-1b7b21368000;human"
WRITTEN = {
    "camtrap-dp": ("animal label:animal", "human label:human"),
    "megadetector": ("animal (class)", "human"),
    "speciesnet": (ANIMAL, PERSON),
    "summary": ("animal|empty|human|quad|unobserved",) * 2,
    "wildlife-insights": ("Animal", "Human"),
}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_kind_is_not_written_as_a_finer_label(name: str, scene: Any, tmp_path: Path) -> None:
    made = scene()
    (tmp_path / "kinds.csv").write_text(KINDS_CSV)
    labels = ("fox", "badger", "unknown_bird", "human", "hunter", "quad", "empty")
    rows = {
        "m2": (0.5, 0.49, 0.0, 0.01, 0.0, 0.0, 0.0),
        "m3": (0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0),
        "m4": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
        "m6": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    }
    fixed = made.predictions.table.select(*fixed_columns("media")).filter(
        pl.col("media_id").is_in(list(rows))
    )
    numbers = pl.DataFrame(list(rows.values()), dict.fromkeys(labels, pl.Float32), orient="row")
    tree = taxonomy_from_csv(tmp_path / "kinds.csv").to_json() | {"rollup": {"promise": 0.95}}
    facts = facts_of(tree, {"kind": 0.9, "species": 0.95})
    said = Predictions(fixed.hstack(numbers), labels, "media", "f" * 64, "single-label", facts)
    suffix = SUFFIXES.get(name, ".json")
    output = tmp_path / (f"out{suffix}" if WRITERS[name].into == "file" else "out")
    write(said, made.catalog, output, format=name, **made.options.get(name, {}))
    animal, human = WRITTEN.get(name, ("animal", "human"))
    assert _answer_written(name, output, "m2", "north/a2.jpg") == animal
    assert _answer_written(name, output, "m3", "north/a3.jpg") == human
    if name == "coco-camera-traps":
        assert _answer_written(name, output, "m6", "south/b3.jpg") == "quad"  # the only vehicle there is
