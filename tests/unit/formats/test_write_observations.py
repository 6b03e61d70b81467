"""Labels of people and boxes of a detector leave by the doors of predictions; whose word stands is seen."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trapline.catalog import EVENT_LABELS, Catalog, CatalogFacts, DetectedBoxes
from trapline.errors import DataError, UsageError
from trapline.formats import WRITERS, read, write
from trapline.observations import SCHEMA, Observations, gather

SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "summary": ".csv", "observations": ".csv"}
BOX = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}
DETECTED = DetectedBoxes(
    detector="md.onnx",
    fingerprint="d" * 16,
    categories=("animal", "person", "vehicle"),
    min_conf=0.05,
    media=4,
    with_boxes=2,
    failed=1,
    failures={"m5": "torn"},
)
BOXES = {
    "m1": [BOX, BOX | {"category": "person", "conf": 0.8, "x": 0.6}],
    "m2": [],
    "m3": [BOX | {"conf": 0.1}],
    "m4": [BOX | {"category": "vehicle", "conf": 0.7}],
}
LABELS = {"m1": ["fox", "roe_deer"], "m2": ["blank"], "m4": ["fox"]}
Made = Callable[..., Any]


def with_facts(made: Any, labels: bool = False, boxes: bool = False) -> Catalog:
    """The scene's catalog with people's labels of some media, or a detector's boxes of others; or neither."""
    rows = [
        row
        | {"labels": LABELS.get(row["media_id"]) if labels else None}
        | {"boxes": BOXES.get(row["media_id"]) if boxes else None}
        for row in made.catalog.table.iter_rows(named=True)
    ]
    facts = CatalogFacts(boxes=DETECTED if boxes else None)
    table = pl.DataFrame(rows, schema=made.catalog.table.schema)
    return Catalog.from_rows(table, made.catalog.root, "the test's photos", facts=facts)


def run(made: Any, name: str, folder: Path, predictions: Any, catalog: Catalog, **options: Any) -> Any:
    output = folder / (f"out{SUFFIXES.get(name, '.json')}" if WRITERS[name].into == "file" else "out")
    options = made.options.get(name, {}) | options
    return write(predictions, catalog, output, format=name, taxonomy=made.taxonomy, **options), output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labels_of(name: str, output: Path) -> dict[str, set[str]]:
    """What a format says of each photo, by its file's name; people and animals as each format calls them."""
    told: dict[str, set[str]] = {}

    def add(path: str, label: str) -> None:
        told.setdefault(Path(path).name, set()).add(label)

    if name == "sorted":
        for link in output.rglob("*.jpg"):
            add(link.name, link.relative_to(output).parts[0])
    elif name == "xmp":
        for path in output.rglob("*.xmp"):
            text = path.read_text("utf-8")
            levels = [
                line.split("|")[-1].split("<")[0] for line in text.split("\n") if "<rdf:li>Trapline|" in line
            ]
            for label in set(levels) & {
                "fox",
                "roe_deer",
                "blank",
                "animal",
                "person",
                "vehicle",
                "unobserved",
            }:
                add(path.name.removesuffix(".xmp"), label)
    elif name == "camtrap-dp":
        names = {row["mediaID"]: row["fileName"] for row in rows(output / "media.csv")}
        for row in rows(output / "observations.csv"):
            add(
                names[row["mediaID"]], row["observationTags"].removeprefix("label:") or row["observationType"]
            )
    elif name == "observations":
        for row in rows(output):
            if row["stands"] == "true":
                add(row["file_path"], row["label"] or row["status"])
    return told


@pytest.mark.parametrize("kind", ["labels", "boxes"])
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_every_format_takes_a_catalog_alone(name: str, kind: str, scene: Made, tmp_path: Path) -> None:
    made = scene()
    catalog = with_facts(made, **{kind: True})
    report, _ = run(made, name, tmp_path, None, catalog)
    assert report.rows > 0
    assert not list(tmp_path.rglob("*.partial"))
    who = "3 media carry the labels of people" if kind == "labels" else "from a confidence of 0.2 on"
    assert who in " | ".join(report.notes)
    assert "nobody says anything of" in " | ".join(report.notes)


@pytest.mark.parametrize("name", ["sorted", "xmp", "camtrap-dp", "observations"])
def test_what_people_label_is_written_and_the_rest_stays_visible(
    name: str, scene: Made, tmp_path: Path
) -> None:
    made = scene()
    _, output = run(made, name, tmp_path, None, with_facts(made, labels=True))
    told = labels_of(name, output)
    assert told["a 1 !!.jpg"] == {"fox", "roe_deer"}
    assert told["a2.jpg"] == {"blank"}
    assert told["a3.jpg"] == told["b3.jpg"] == {"unclassified" if name == "camtrap-dp" else "unobserved"}
    assert len(told) == 6


@pytest.mark.parametrize("name", ["sorted", "xmp", "camtrap-dp", "observations"])
def test_what_a_detector_found_is_written_by_its_categories(name: str, scene: Made, tmp_path: Path) -> None:
    made = scene()
    _, output = run(made, name, tmp_path, None, with_facts(made, boxes=True))
    told = labels_of(name, output)
    assert told["a 1 !!.jpg"] == {"animal", "person"}
    assert told["a2.jpg"] == told["a3.jpg"] == {"blank"}  # nothing, and nothing that is sure
    assert told["b1.jpg"] == {"vehicle"}
    assert labels_of(name, output).keys() >= {"b3.jpg"} or name == "xmp"


def test_from_which_confidence_on_a_box_counts_is_an_option(scene: Made, tmp_path: Path) -> None:
    made = scene()
    catalog = with_facts(made, boxes=True)
    report, output = run(made, "sorted", tmp_path, None, catalog, min_conf=0.85)
    assert labels_of("sorted", output)["b1.jpg"] == {"blank"}
    assert labels_of("sorted", output)["a 1 !!.jpg"] == {"animal"}
    assert any("0.85" in note for note in report.notes)
    _, low = run(made, "observations", tmp_path, None, catalog, min_conf=0.05)
    assert labels_of("observations", low)["a3.jpg"] == {"animal"}


@pytest.mark.parametrize("level", ["media", "box", "event"])
@pytest.mark.parametrize("name", ["sorted", "observations"])
def test_people_stand_above_the_model_and_it_above_the_detector(
    name: str, level: str, scene: Made, tmp_path: Path
) -> None:
    made = scene(level)
    catalog = with_facts(made, labels=True, boxes=True)
    report, output = run(made, name, tmp_path, made.predictions, catalog)
    told = labels_of(name, output)
    assert told["a 1 !!.jpg"] == {"fox", "roe_deer"}
    assert told["a2.jpg"] == {"blank"}  # the model says otherwise
    if name == "sorted" and level != "event":
        assert told["b3.jpg"] == {"vehicle"}  # of which nobody but the model speaks
        note = next(note for note in report.notes if "labels of people" in note)
        assert "3 media" in note
        assert "3 of them otherwise" in note
    _, alone = run(made, name, tmp_path, made.predictions, catalog, observers=["model"], force=True)
    if level == "media" and name == "sorted":
        assert labels_of(name, alone)["a2.jpg"] == {"fox"}


def test_who_says_what_is_in_camtrap_dp(scene: Made, tmp_path: Path) -> None:
    made = scene()
    catalog = with_facts(made, labels=True, boxes=True)
    predictions = replace(made.predictions, table=made.predictions.table.filter(pl.col("media_id") == "m6"))
    run(made, "camtrap-dp", tmp_path, predictions, catalog, labelled_by="A. Person")
    who = {
        (row["mediaID"], row["classificationMethod"], row["classifiedBy"], row["classificationProbability"])
        for row in rows(tmp_path / "out" / "observations.csv")
    }
    assert ("m1", "human", "A. Person", "") in who
    assert ("m6", "machine", "alpine (0123456789abcdef)", "0.80000") in who
    assert ("m3", "machine", "md.onnx", "0.90000") in who
    assert ("m5", "", "", "") in who  # the detector failed
    (tmp_path / "wi").mkdir()
    _, upload = run(made, "wildlife-insights", tmp_path / "wi", predictions, catalog, labelled_by="A. Person")
    by = {row["image_id"]: (row["identified_by"], row["uncertainty"]) for row in rows(upload / "images.csv")}
    assert by["m1"] == ("A. Person", "")
    assert by["m6"] == ("alpine (0123456789abcdef)", "probability 0.80000")


def test_what_people_say_is_read_back_as_theirs_and_a_machines_word_is_not(
    scene: Made, tmp_path: Path
) -> None:
    made = scene()
    catalog = with_facts(made, labels=True, boxes=True)
    for name in ("coco-camera-traps", "camtrap-dp", "wildlife-insights"):
        folder = tmp_path / name
        folder.mkdir()
        _, output = run(made, name, folder, None, catalog)
        back = read(output, root=catalog.root) if output.is_file() else read(output)
        labels = dict(back.table.select("file_path", "labels").iter_rows())
        own = {Path(path).name: value for path, value in labels.items() if value is not None}
        assert own.keys() == {"a 1 !!.jpg", "a2.jpg", "b1.jpg"}, name
        assert own["a2.jpg"] == ["blank"]


def test_labels_that_may_be_a_machines_are_nobodys_and_stand_below_the_model(
    scene: Made, tmp_path: Path
) -> None:
    made = scene()
    _, output = run(made, "coco-camera-traps", tmp_path, made.predictions, with_facts(made))
    catalog = read(output, root=made.catalog.root, classified_by="all")
    table = gather(None, catalog).observe().standing
    assert set(table["observer"]) == {"unknown", None}
    assert set(gather(None, catalog, labelled_by="A.").observe().standing["observer"]) == {"human:A.", None}
    both = gather(made.predictions, catalog).observe().per_media(catalog)
    assert "unknown" not in both.filter(pl.col("observer").str.starts_with("model"))["observer"]
    assert both.filter(pl.col("media_id") == "m1")["observer"].to_list() == ["model:0123456789abcdef"]


def test_labels_of_events_are_said_of_each_media_of_the_event(scene: Made, tmp_path: Path) -> None:
    made = scene()
    of_events = pl.when(pl.col("event_id") == "e1").then(pl.lit(["fox"])).alias(EVENT_LABELS)
    rows_of_one = pl.when(pl.col("media_id") == "m2").then(pl.lit(["blank"])).alias("labels")
    table = with_facts(made).table.with_columns(of_events, rows_of_one)
    catalog = Catalog.from_rows(table, made.catalog.root, "events")
    _, output = run(made, "sorted", tmp_path, made.predictions, catalog)
    told = labels_of("sorted", output)
    assert told["a 1 !!.jpg"] == {"fox"}
    assert told["a2.jpg"] == {"blank"}  # of the photo itself
    run(made, "camtrap-dp", tmp_path / "dp", None, catalog)
    levels = {row["observationLevel"]: row for row in rows(tmp_path / "dp" / "out" / "observations.csv")}
    assert levels["event"]["observationTags"] == "label:fox"


def test_megadetector_json_keeps_all_boxes_and_nothing_looks_empty_that_nobody_saw(
    scene: Made, tmp_path: Path
) -> None:
    made = scene()
    _, output = run(made, "megadetector", tmp_path, None, with_facts(made, boxes=True))
    images = {image["file"]: image for image in json.loads(output.read_text("utf-8"))["images"]}
    assert [box["conf"] for box in images["north/a3.jpg"]["detections"]] == [0.1]
    assert images["north/a2.jpg"]["detections"] == []
    assert images["south/b2.jpg"] == images["south/b2.jpg"] | {"detections": None, "failure": "torn"}
    assert images["south/b3.jpg"]["detections"] is None
    assert not any("classifications" in box for box in images["north/a 1 !!.jpg"]["detections"])


def test_the_table_is_saved_with_its_facts_and_keeps_everybodys_word(scene: Made, tmp_path: Path) -> None:
    made = scene("box")
    catalog = with_facts(made, labels=True, boxes=True)
    observations = gather(made.predictions, catalog, labelled_by="A. Person").observe(0.3)
    loaded = Observations.load(observations.save(tmp_path / "o.parquet"))
    assert loaded.table.equals(observations.table)
    assert loaded.facts == observations.facts
    assert loaded.table.schema == pl.Schema(SCHEMA)
    m1 = loaded.table.filter(pl.col("media_id") == "m1")
    assert dict(m1.group_by("observer").agg(pl.col("stands").all()).iter_rows()) == {
        "human:A. Person": True,
        "model:0123456789abcdef": False,
        "detector:md.onnx": False,
    }
    assert set(catalog.table["media_id"]) <= set(loaded.table["media_id"])
    assert loaded.per_media(catalog)["media_id"].n_unique() == len(catalog)


@pytest.mark.parametrize(
    ("kind", "options", "error", "complaint"),
    [
        ("labels", {"threshold": 0.5}, UsageError, "there are no predictions"),
        ("labels", {"min_conf": 0.5}, UsageError, "no media of the catalog has any"),
        ("boxes", {"min_conf": 1.5}, UsageError, "between 0 and 1"),
        ("boxes", {"labelled_by": "A."}, UsageError, "no labels of people"),
        ("labels", {"observers": ["detector"]}, DataError, "no detector says anything"),
        ("labels", {"observers": ["humans"]}, UsageError, "human, model, detector"),
        ("nothing", {}, DataError, "nobody says anything"),
    ],
)
def test_options_of_what_is_not_there_are_refused(
    kind: str, options: dict[str, Any], error: type[Exception], complaint: str, scene: Made, tmp_path: Path
) -> None:
    made = scene()
    catalog = with_facts(made, labels=kind == "labels", boxes=kind == "boxes")
    with pytest.raises(error, match=complaint):
        run(made, "summary", tmp_path, None, catalog, **options)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_table_of_predictions_has_no_place_for_who_labelled(name: str, scene: Made, tmp_path: Path) -> None:
    made, output = scene(), tmp_path / f"out.{name}"
    catalog = with_facts(made, labels=True)
    with pytest.raises(UsageError, match="format observations has both"):
        write(made.predictions, catalog, output, format=name, labelled_by="A. Person")
    assert not output.exists()


def test_labels_of_people_that_the_taxonomy_lacks_are_named(scene: Made, tmp_path: Path) -> None:
    made = scene()
    catalog = with_facts(made, labels=True)
    table = catalog.table.with_columns(labels=pl.lit(["capybara"]))
    with pytest.raises(DataError, match="'capybara' is not in it"):
        run(made, "summary", tmp_path, made.predictions, replace(catalog, table=table))
