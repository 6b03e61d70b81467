"""Other tools' answers become predictions like ours: every media has a row, and nothing is made up."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trapline.catalog import Catalog
from trapline.competitions import write_submission
from trapline.ensemble import learn_combination
from trapline.errors import DataError, UsageError
from trapline.evaluation import evaluate
from trapline.formats import ANSWER_READERS, read_answers, write
from trapline.prediction import PredictionFacts, Predictions, pool_events

FOX = "5a;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
DEER = "6b;mammalia;cetartiodactyla;cervidae;capreolus;capreolus;roe deer"
HARE = "7c;mammalia;lagomorpha;leporidae;lepus;europaeus;european hare"
BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"
FILES = ("A/1.jpg", "A/2.jpg", "B/1.jpg", "B/2.jpg")


def catalog_of(labels: tuple[str | None, ...] = ("red_fox", "roe_deer", "blank", "red_fox")) -> Catalog:
    rows = [
        {"media_id": f"m{n}", "file_path": file, "location_id": file[0], "labels": label and [label]}
        for n, (file, label) in enumerate(zip(FILES, labels, strict=True))
    ]
    return Catalog.from_rows(rows, "/photos", "rows")


def dump(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def table(path: Path, rows: list[list[object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def row(predictions: Predictions, media: str) -> dict[str, Any]:
    return predictions.table.filter(pl.col("media_id") == media).row(0, named=True)


def speciesnet(path: Path) -> Path:
    def said(file: str, classes: list[str], scores: list[float], prediction: str, score: float) -> Any:
        ranked = {"classes": classes, "scores": scores}
        return {
            "filepath": file,
            "classifications": ranked,
            "prediction": prediction,
            "prediction_score": score,
            "model_version": "4.0.1a",
        }

    entries = [
        said("D:\\cards\\A\\1.jpg", [FOX, DEER], [0.8, 0.1], FOX, 0.8),
        said("cards/A/2.jpg", [FOX, DEER], [0.5, 0.4], DEER, 0.4),  # geofenced: no longer the surest
        said("cards/B/1.jpg", [BLANK, HARE], [0.9, 0.05], BLANK, 0.9),
        {"filepath": "cards/B/2.jpg", "failures": ["CLASSIFIER"]},
    ]
    entries[0]["filepath"] = "A/1.jpg"
    return dump(path, {"predictions": entries})


def test_speciesnet_says_what_it_predicts_and_the_rest_of_its_five(tmp_path: Path) -> None:
    found = read_answers(speciesnet(tmp_path / "s.json"), catalog_of())
    made = found.predictions
    assert (found.format, made.task, made.facts.kept) == (
        "speciesnet",
        "single-label",
        1,
    )  # of A/2.jpg it says one
    assert made.facts.model_name == "SpeciesNet 4.0.1a"
    assert made.labels == ("blank", "european hare", "red_fox", "roe_deer")
    assert row(made, "m0")["red_fox"] == pytest.approx(0.8)
    assert row(made, "m0")["roe_deer"] == pytest.approx(0.1)
    assert (row(made, "m1")["roe_deer"], row(made, "m1")["red_fox"]) == (pytest.approx(0.4), 0)
    assert row(made, "m3")["status"] == "failed"
    assert "classifier" in row(made, "m3")["reason"]
    assert "labels spelt as in the catalog: red fox → red_fox, roe deer → roe_deer" in found.notes


def test_what_needs_every_probability_is_not_computed_where_the_surest_are_told_only(tmp_path: Path) -> None:
    made = read_answers(speciesnet(tmp_path / "s.json"), catalog_of()).predictions
    made = Predictions.load(made.save(tmp_path / "p.parquet"))
    found = evaluate(catalog_of(), made, samples=50)
    assert found.metrics["accuracy"].value == 1
    assert not {"log_loss", "brier_score", "macro_auc", "top_5_accuracy"} & set(found.metrics)
    assert "expected_calibration_error" in found.metrics
    assert {one.log_loss for one in found.per_location} == {None}
    assert {one.auc for one in found.per_label} == {None}
    assert "only the surest label" in " ".join(found.notes)
    assert all("log_loss" not in guess.metrics for guess in found.constants)
    assert "accuracy" in str(found).lower()


def test_speciesnet_5_answers_by_its_surest_detection_and_says_scientific_names(tmp_path: Path) -> None:
    def detection(label: str, score: float, **more: Any) -> Any:
        return {
            "category": "1",
            "conf": 0.9,
            "bbox": [0, 0, 1, 1],
            "processed_classification": {"class": label, "score": score, "source": "classifier"},
            **more,
        }

    ranked = {"classes": [FOX, HARE], "scores": [0.7, 0.2]}
    document = {
        "info": {"format_version": "20261015"},
        "predictions": [
            {
                "filepath": "A/1.jpg",
                "detections": [detection(HARE, 0.3), detection(FOX, 0.7, raw_classifications=ranked)],
            },
            {"filepath": "A/2.jpg", "detections": [detection("u;;;;;;no cv result", 0.9)]},
            {"filepath": "B/1.jpg", "detections": []},
            {"filepath": "B/2.jpg", "detections": [{"processed_classification": 7}]},
        ],
    }
    made = read_answers(dump(tmp_path / "s.json", document), catalog_of(), names="scientific").predictions
    assert made.labels == ("Lepus europaeus", "Vulpes vulpes")
    assert row(made, "m0")["Vulpes vulpes"] == pytest.approx(0.7)
    assert [row(made, f"m{n}")["status"] for n in range(4)] == ["ok", "failed", "failed", "failed"]
    assert "no cv result" in row(made, "m1")["reason"]
    assert "damaged" in row(made, "m3")["reason"]


def megadetector(path: Path, images: list[Any], **more: Any) -> Path:
    return dump(
        path,
        {
            "info": {"detector": "md_v5a", "classifier": "Europe 1.3"},
            "detection_categories": {"1": "animal", "2": "person"},
            "images": images,
            **more,
        },
    )


def box(conf: float, category: object = "1", **more: Any) -> dict[str, Any]:
    return {"category": category, "conf": conf, "bbox": [0.1, 0.1, 0.2, 0.2], **more}


def test_megadetectors_boxes_answer_where_no_classifier_does(tmp_path: Path) -> None:
    images = [
        {"file": "A\\1.jpg", "detections": [box(0.4, "2"), box(0.9, 1.0)]},
        {"file": "A\\2.jpg", "detections": [box(0.15)]},
        {"file": "B\\1.jpg", "detections": []},
        {"file": "B\\2.jpg", "failure": "image access", "detections": None},
        {"file": "B\\2.jpg", "detections": [box(0.3, "2")]},  # tried again
    ]
    found = read_answers(megadetector(tmp_path / "md.json", images), catalog_of())
    made = found.predictions
    assert made.labels == ("animal", "blank", "person")
    assert made.table["status"].to_list() == ["ok"] * 4
    numbers = made.probabilities()
    assert numbers == pytest.approx(np.array([[0.9, 0, 0], [0, 0.85, 0], [0, 1, 0], [0, 0, 0.3]]))
    assert made.facts.model_name == "md_v5a and Europe 1.3"
    assert "below 0.2 do not count" in " ".join(found.notes)
    low = read_answers(tmp_path / "md.json", catalog_of(), threshold=0.1).predictions
    assert row(low, "m1")["animal"] == pytest.approx(0.15)


def test_a_classifier_in_megadetectors_form_answers_for_the_surest_box(tmp_path: Path) -> None:
    images = [
        {"file": "A/1.jpg", "detections": [box(0.9, classifications=[["0", 0.7], ["1", 0.2]]), box(0.3)]},
        {"file": "A/2.jpg", "detections": [box(0.8, "2")]},
        {"file": "B/1.jpg", "detections": [box(float("nan"))]},
        {"file": "B/2.jpg", "detections": [box(0.9, classifications=[["9", 0.7]])]},
    ]
    path = megadetector(tmp_path / "md.json", images, classification_categories={"0": "fox", "1": "deer"})
    made = read_answers(
        path, catalog_of(), rename=table(tmp_path / "r.csv", [["from", "to"], ["fox", "red_fox"]])
    ).predictions
    assert made.facts.kept == 1
    assert row(made, "m0")["red_fox"] == pytest.approx(0.7)
    assert row(made, "m1")["person"] == pytest.approx(0.8)
    assert [row(made, f"m{n}")["status"] for n in (2, 3)] == ["failed", "failed"]


def test_zambas_table_of_probabilities_is_a_whole_distribution(tmp_path: Path) -> None:
    rows: list[list[object]] = [["filepath", "red fox", "roe_deer", "blank"]]
    rows += [
        [f"data/{file}", *numbers]
        for file, numbers in zip(FILES, [*np.eye(4, 3).tolist()[:3], [0.2, 0.3, 0.49]], strict=True)
    ]
    found = read_answers(table(tmp_path / "z.csv", rows), catalog_of())
    made = found.predictions
    assert (made.task, made.facts.kept, made.labels) == (
        "single-label",
        None,
        ("blank", "red_fox", "roe_deer"),
    )
    evaluation = evaluate(catalog_of(), made, samples=20)
    assert {"log_loss", "accuracy"} <= set(evaluation.metrics)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_probabilities_for_each_label_by_itself_in_a_spreadsheets_words(
    tmp_path: Path, delimiter: str
) -> None:
    rows = [["Image", "site", "red_fox", "roe_deer"]]
    rows += [[FILES[0], "A", "0,9", "0,8"], [FILES[1], "A", "0,1", "0,05"], [FILES[2], "B", "", ""]]
    found = read_answers(table(tmp_path / "t.csv", rows, delimiter), catalog_of())
    made = found.predictions
    assert made.task == "multi-label"
    assert row(made, "m0")["red_fox"] == pytest.approx(0.9)
    assert [row(made, f"m{n}")["status"] for n in range(4)] == ["ok", "ok", "failed", "failed"]
    assert row(made, "m2")["reason"] == "it has no probabilities"
    assert row(made, "m3")["reason"] == "t.csv does not name it"
    assert "columns that are no labels: site" in found.notes


def test_a_bad_entry_fails_alone_and_strict_refuses_it(tmp_path: Path) -> None:
    rows: list[list[object]] = [["file_path", "red_fox", "blank"]]
    rows += [[FILES[0], 0.9, 0.1], [FILES[1], 0.9, 0.9], [FILES[2], "", 0.3], [FILES[3], 0.5, 0.5]]
    path = table(tmp_path / "t.csv", rows)
    found = read_answers(path, catalog_of(), task="single-label")
    assert found.predictions.table["status"].to_list() == ["ok", "failed", "failed", "ok"]
    assert "add up to 1.8" in row(found.predictions, "m1")["reason"]
    assert "2 entries cannot be used and are failed: t.csv line 3" in " ".join(found.notes)
    with pytest.raises(DataError, match=r"t\.csv line 3"):
        read_answers(path, catalog_of(), task="single-label", strict=True)


def test_two_answers_for_one_photo_must_be_one(tmp_path: Path) -> None:
    rows: list[list[object]] = [["file_path", "red_fox", "blank"], [FILES[0], 0.9, 0.1], [FILES[0], 0.9, 0.1]]
    assert read_answers(table(tmp_path / "t.csv", rows), catalog_of()).predictions.summary().ok == 1
    rows += [[FILES[0], 0.1, 0.9]]
    with pytest.raises(DataError, match="in two ways"):
        read_answers(table(tmp_path / "u.csv", rows), catalog_of())


def test_wildlife_insights_rows_of_people_are_no_answers(tmp_path: Path) -> None:
    head = ["filename", "identified_by", "common_name", "species", "cv_confidence"]
    rows: list[list[object]] = [head]
    rows += [["1.jpg", "Computer vision", "Red fox", "vulpes", 97], ["3.jpg", "Jane", "Cat", "catus", ""]]
    rows += [["2.jpg", "Computer vision", "", "capreolus", 60], ["4.jpg", "Computer vision", "Dog", "", "NA"]]
    catalog = Catalog.from_rows(
        [{"media_id": f"{n}.jpg", "file_path": f"D/{n}.jpg"} for n in (1, 2, 3, 4)], "/", "rows"
    )
    found = read_answers(table(tmp_path / "images.csv", rows), catalog)
    assert found.format == "wildlife_insights"
    assert row(found.predictions, "1.jpg")["red fox"] == pytest.approx(0.97)
    assert row(found.predictions, "2.jpg")["capreolus"] == pytest.approx(0.6)
    assert found.predictions.table["status"].to_list() == ["ok", "ok", "failed", "failed"]
    assert "1 row is not of computer vision" in " ".join(found.notes)


@pytest.mark.parametrize("name", ["speciesnet", "megadetector"])
def test_what_we_write_for_another_tool_is_read_back(name: str, tmp_path: Path) -> None:
    labels = ("red_fox", "roe_deer", "blank")
    catalog = catalog_of()
    fixed = catalog.table.select("media_id", "event_id", "file_path").with_columns(
        box=pl.lit(None, pl.Int64), status=pl.lit("ok"), reason=pl.lit(None, pl.String)
    )
    numbers = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0, 0.05, 0.95], [0.5, 0.3, 0.2]], np.float32)
    columns = [pl.Series(label, numbers[:, index]) for index, label in enumerate(labels)]
    table_ = fixed.select("media_id", "event_id", "box", "file_path", "status", "reason").hstack(columns)
    ours = Predictions(table_, labels, "media", "0" * 64, "single-label", PredictionFacts(model_name="x"))
    write(ours, catalog, tmp_path / "out.json", format=name)
    back = read_answers(tmp_path / "out.json", catalog).predictions
    assert back.summary().top_labels == ours.summary().top_labels


def test_a_label_without_a_probability_is_no_prediction(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [["filepath", "label"], [FILES[0], "fox"]])
    with pytest.raises(DataError, match=r"no column of probabilities.*label"):
        read_answers(path, catalog_of())
    with pytest.raises(DataError, match="names no media"):
        read_answers(table(tmp_path / "u.csv", [["file", "fox"], ["X/9.jpg", 0.5]]), catalog_of())
    with pytest.raises(DataError, match="no form of answers"):
        read_answers(dump(tmp_path / "x.json", {"a": 1}), catalog_of())
    rename = table(tmp_path / "r.csv", [["from", "to"], ["lynx", "cat"]])
    path = table(tmp_path / "v.csv", [["file", "fox"], [FILES[0], 0.5]])
    with pytest.raises(UsageError, match="None of the labels"):
        read_answers(path, catalog_of(), rename=rename)


def test_every_reader_says_what_it_reads() -> None:
    assert list(ANSWER_READERS) == [
        "speciesnet",
        "megadetector",
        "pytorch_wildlife",
        "coco",
        "wildlife_insights",
        "addaxai",
        "table",
    ]
    assert all(reader.description.endswith(".") for reader in ANSWER_READERS.values())


@pytest.mark.field
def test_pytorch_wildlifes_own_file_is_judged(field: Path) -> None:
    folder = field / "fixtures/cct60_md"
    path = folder / "outputs/predictions/megadetector_results.json"
    names = [entry["img_id"].replace("\\", "/") for entry in json.loads(path.read_text())["annotations"]]
    kinds = {"car": "vehicle", "empty": "blank"}
    rows = [
        {
            "media_id": name,
            "file_path": name,
            "labels": [kinds.get(name.split("/")[-1].split("__")[0], "animal")],
        }
        for name in names
    ]
    catalog = Catalog.from_rows(rows, folder, "cct60")
    with (folder / "outputs/metrics/threshold_analysis.csv").open() as file:
        published = {float(line["threshold"]): float(line["accuracy"]) for line in csv.DictReader(file)}
    for threshold in (0.3, 0.5):
        found = read_answers(path, catalog, threshold=threshold)
        evaluation = evaluate(catalog, found.predictions, samples=50, over="media")
        assert (evaluation.counts.evaluated, evaluation.counts.failed) == (60, 0)
        assert evaluation.metrics["accuracy"].value == pytest.approx(published[threshold], abs=1e-4)


TRUTH = ("red_fox", "roe_deer", "blank", "red_fox")
SHARES = {"red_fox": (0.85, 0.1, 0.05), "roe_deer": (0.2, 0.7, 0.1), "blank": (0.02, 0.03, 0.95)}


def shares(
    path: Path, factor: float = 1, extra: dict[str, list[object]] | None = None, sign: str = ""
) -> Path:
    """A row a file with shares of three labels, behind columns of something else."""
    others = extra or {}
    rows: list[list[object]] = [["file", *others, "red_fox", "roe_deer", "blank"]]
    for number, (file, label) in enumerate(zip(FILES, TRUTH, strict=True)):
        numbers = [f"{round(share * factor, 6)}{sign}" for share in SHARES[label]]
        rows.append([file, *(cells[number] for cells in others.values()), *numbers])
    return table(path, rows)


@pytest.mark.parametrize(
    "extra",
    [
        {"night": [0, 1, 1, 0], "person_present": [0, 0, 0, 0]},
        {"detection_category": [1, 1, 2, 1], "detection_conf": [0.8, 0.9, 0.3, 0.99]},
        {"prediction": list(TRUTH), "score": [0.85, 0.7, 0.95, 0.85]},
        {"md_conf": [0.2, 0.1, 0, 0.3], "latitude": [46.5, 46.6, 46.7, 46.8], "seqnum": [1, 2, 3, 4]},
    ],
)
def test_columns_of_something_else_are_no_labels(extra: dict[str, list[object]], tmp_path: Path) -> None:
    made = read_answers(shares(tmp_path / "t.csv", extra=extra), catalog_of()).predictions
    assert (made.task, made.labels) == ("single-label", ("blank", "red_fox", "roe_deer"))
    assert made.summary().top_labels == {"red_fox": 2, "roe_deer": 1, "blank": 1}


@pytest.mark.parametrize("cell", ["1.7", "-0.1", "oops", "inf", ""])
def test_a_bad_cell_fails_its_row_and_not_its_column(cell: str, tmp_path: Path) -> None:
    rows: list[list[object]] = [["file", "red_fox", "roe_deer", "blank"]]
    rows += [[file, *SHARES[label]] for file, label in zip(FILES, TRUTH, strict=True)]
    rows[1][1] = cell
    path = table(tmp_path / "t.csv", rows)
    made = read_answers(path, catalog_of()).predictions
    assert (made.task, made.labels) == ("single-label", ("blank", "red_fox", "roe_deer"))
    assert made.table["status"].to_list() == ["failed", "ok", "ok", "ok"]
    with pytest.raises(DataError, match=r"t\.csv line 2"):
        read_answers(path, catalog_of(), strict=True)


def test_percent_is_asked_for_unless_the_cells_say_it(tmp_path: Path) -> None:
    whole = table(tmp_path / "w.csv", [["file", "fox", "lynx"], [FILES[0], 90, 0], [FILES[1], 7, 0]])
    rare = shares(tmp_path / "r.csv", 1 / 0.012)  # 70.83, 58.33, … and one column mostly below 1
    for path in (shares(tmp_path / "p.csv", 100), whole, rare):
        with pytest.raises(DataError, match="--percent"):
            read_answers(path, catalog_of())
    for path, options in (
        (tmp_path / "p.csv", {"percent": True}),
        (shares(tmp_path / "s.csv", 100, sign="%"), {}),
        (shares(tmp_path / "b.csv", 100, sign=" %"), {}),
    ):
        made = read_answers(path, catalog_of(), **options).predictions
        assert made.task == "single-label"
        assert row(made, "m0")["red_fox"] == pytest.approx(0.85)


def test_logits_and_degrees_are_no_probabilities(tmp_path: Path) -> None:
    head = ["file", "fox", "deer", "blank"]
    logits = table(tmp_path / "l.csv", [head, [FILES[0], -3.2, 4.5, 0.2], [FILES[1], 2.5, -7, 0.1]])
    with pytest.raises(DataError, match="numbers of 'fox' are not from 0 to 1"):
        read_answers(logits, catalog_of())
    made = read_answers(
        table(tmp_path / "d.csv", [["file", "temp", "red_fox"], [FILES[0], 12.5, 0.7]]),
        catalog_of(),
        labels=["red_fox"],
    ).predictions
    assert (made.labels, made.task) == (("red_fox",), "multi-label")


@pytest.mark.parametrize(
    "head",
    [
        ("filename", "prediction", "score"),
        ("relative_path", "label", "confidence"),
        ("File", "Species", "Probability"),
        ("image", "predicted_class", "max_prob"),
    ],
)
def test_a_label_with_its_probability_is_the_surest_of_its_file(
    head: tuple[str, ...], tmp_path: Path
) -> None:
    rows: list[list[object]] = [[head[0], "seqnum", "bbox_left", *head[1:], "humanpresence"]]
    rows += [[FILES[0], 1, 0.2, "red fox", 0.9, 0], [FILES[0], 1, 0.4, "roe deer", 0.6, 0]]
    rows += [[FILES[1], 2, 0.1, "roe_deer", 0.7, 0], [FILES[2], 3, "", "empty", 0.8, 0]]
    rows += [[FILES[3], 4, "", "", "", 1]]
    made = read_answers(table(tmp_path / "t.csv", rows), catalog_of()).predictions
    assert (made.facts.kept, made.labels) == (1, ("blank", "red_fox", "roe_deer"))
    assert row(made, "m0")["red_fox"] == pytest.approx(0.9)
    assert made.table["status"].to_list() == ["ok", "ok", "ok", "failed"]
    assert "log_loss" not in evaluate(catalog_of(), made, samples=20).metrics


@pytest.mark.parametrize("label", ["box", "reason"])
def test_a_label_that_is_called_like_a_column_of_ours_is_asked_to_be_renamed(
    label: str, tmp_path: Path
) -> None:
    path = table(tmp_path / "t.csv", [["file", label, "red_fox"], [FILES[0], 0.4, 0.6]])
    with pytest.raises(DataError, match=f"{label}.*--rename"):
        read_answers(path, catalog_of())
    rename = table(tmp_path / "r.csv", [["from", "to"], [label, "nest box"]])
    assert read_answers(path, catalog_of(), rename=rename).predictions.labels == ("nest box", "red_fox")


@pytest.mark.parametrize("word", ["empty", "Empty", "EMPTY"])
def test_a_word_for_nothing_is_blank_as_in_tables_of_labels(word: str, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", [["file", word, "red_fox"], [FILES[0], 0.4, 0.6]])
    assert read_answers(path, catalog_of()).predictions.labels == ("blank", "red_fox")


def few_told(tmp_path: Path) -> tuple[Predictions, Catalog]:
    """A tool's surest labels of two events: one of a photo surely known, one of three unsure ones."""
    rows = [
        {"media_id": file, "file_path": file, "event_id": event, "location_id": "A", "labels": ["fox"]}
        for file, event in zip(FILES, ("e", "f", "f", "f"), strict=True)
    ]
    answers: list[list[object]] = [["file", "prediction", "score"], [FILES[0], "fox", 0.4]]
    answers += [[FILES[1], "fox", 0.5], [FILES[2], "deer", 0.9], [FILES[3], "fox", 0.6]]
    catalog = Catalog.from_rows(rows, "/photos", "rows")
    return read_answers(table(tmp_path / "t.csv", answers), catalog).predictions, catalog


def test_what_is_not_told_is_not_made_up_in_pooling(tmp_path: Path) -> None:
    made, catalog = few_told(tmp_path)
    by_event = pool_events(made, catalog, rows="event")
    assert by_event.facts.kept == 1
    assert by_event.facts.pooled is not None
    assert by_event.facts.pooled.how.method == "mean"
    assert by_event.table["fox"].to_list() == pytest.approx([0.4, 1.1 / 3])
    assert by_event.table["deer"].to_list() == pytest.approx([0, 0.3])
    surest = pool_events(made, catalog, how="max", rows="event")
    assert surest.table["deer"].to_list() == pytest.approx([0, 0.6])  # 0.9 and 0.6 are no shares of 1
    with pytest.raises(UsageError, match="surest labels only"):
        pool_events(made, catalog, how="mean-logit")


def test_what_is_not_told_is_not_made_up_in_combining_submitting_and_writing(tmp_path: Path) -> None:
    made, catalog = few_told(tmp_path)
    with pytest.raises(DataError, match="surest labels only"):
        learn_combination([made, made], catalog)
    form = table(tmp_path / "form.csv", [["id", "fox", "deer"], *([file, 0.5, 0.5] for file in FILES)])
    with pytest.raises(DataError, match="surest labels only"):
        write_submission(made, form, tmp_path / "s.csv")
    unlabelled = catalog.with_table(catalog.table.with_columns(labels=pl.lit(None, pl.List(pl.String))))
    write(made, unlabelled, tmp_path / "s.json", format="speciesnet", layout="photo")
    classes = [entry["classifications"]["scores"] for entry in _entries(tmp_path / "s.json")]
    assert classes == [[0.4], [0.5], [0.9], [0.6]]


def _entries(path: Path) -> list[Any]:
    entries: list[Any] = json.loads(path.read_text())["predictions"]
    return entries


@pytest.mark.parametrize("form", ["nested", "late", "utf-16", "utf-8-sig", "indented"])
def test_json_is_recognised_by_its_keys_wherever_they_stand(form: str, tmp_path: Path) -> None:
    entries = json.loads(speciesnet(tmp_path / "s.json").read_text())["predictions"]
    before: dict[str, Any] = {
        "nested": {"info": {"format_version": "6", "run": {"by": ["images", "detections"]}}},
        "late": {"comment": 'said "predictions": [' + "x" * 100_000},
    }.get(form, {})
    text = json.dumps(before | {"predictions": entries}, indent=2 if form == "indented" else None)
    path = tmp_path / "t.json"
    path.write_text(text, encoding=form if form.startswith("utf") else "utf-8")
    assert read_answers(path, catalog_of()).format == "speciesnet"
    images = [{"file": file, "detections": [box(0.9)]} for file in FILES]
    text = json.dumps(before | {"images": images, "detection_categories": {"1": "animal"}})
    path.write_text(text, encoding=form if form.startswith("utf") else "utf-8")
    assert read_answers(path, catalog_of()).format == "megadetector"


@pytest.mark.parametrize("wrong", ["text", 7, None, {}, {"file": None, "detections": []}])
def test_an_entry_that_names_no_file_is_listed_and_left_out(wrong: Any, tmp_path: Path) -> None:
    path = megadetector(tmp_path / "md.json", [{"file": FILES[0], "detections": [box(0.9)]}, wrong])
    found = read_answers(path, catalog_of())
    assert found.predictions.summary().ok == 1
    assert "md.json images[1] has no 'file'" in " ".join(found.notes)
    with pytest.raises(DataError, match=r"images\[1\] has no 'file'"):
        read_answers(path, catalog_of(), strict=True)


def test_a_file_without_an_answer_and_a_threshold_that_is_none_are_refused(tmp_path: Path) -> None:
    path = megadetector(tmp_path / "md.json", [{"file": file, "failure": "no access"} for file in FILES])
    with pytest.raises(DataError, match="no answer for any media: the detector failed: no access"):
        read_answers(path, catalog_of())
    for threshold in (20, -0.1, float("nan")):
        with pytest.raises(UsageError, match="from 0 to 1"):
            read_answers(path, catalog_of(), threshold=threshold)


def test_ids_are_matched_though_some_are_of_other_media(tmp_path: Path) -> None:
    rows: list[list[object]] = [["media_id", "red_fox", "blank"]]
    rows += [[f"m{number}", 0.8, 0.2] for number in range(4)] + [["m9", 0.1, 0.9]]
    found = read_answers(table(tmp_path / "t.csv", rows), catalog_of())
    assert found.predictions.summary().ok == 4
    assert "it names 1 file that is not in the catalog" in found.notes


def test_wildlife_insights_species_beside_its_genus_is_an_epithet(tmp_path: Path) -> None:
    head = ["filename", "identified_by", "common_name", "genus", "species", "cv_confidence"]
    rows: list[list[object]] = [head, ["1.jpg", "Computer vision", "", "Vulpes", "vulpes", 0.9]]
    rows += [["2.jpg", "Computer vision", "", "Vulpes", "", 0.8]]
    catalog = Catalog.from_rows(
        [{"media_id": f"{n}", "file_path": f"D/{n}.jpg"} for n in (1, 2)], "/", "rows"
    )
    made = read_answers(table(tmp_path / "images.csv", rows), catalog).predictions
    assert made.labels == ("vulpes", "vulpes vulpes")


@pytest.mark.parametrize(
    ("word", "score"), [("top{}", "p{}"), ("pred_{}", "score_{}"), ("Label {}", "Conf {}"), ("c-{}", "x.{}")]
)
def test_numbered_pairs_are_the_surest_labels_of_a_row(word: str, score: str, tmp_path: Path) -> None:
    head: list[object] = ["file", *(name.format(rank) for rank in (1, 2) for name in (word, score))]
    rows: list[list[object]] = [head, [FILES[0], "red fox", 0.7, "roe deer", 0.2]]
    rows += [[FILES[1], "roe_deer", 0.6, "", ""], [FILES[2], "empty", 0.8, "red fox", "?"]]
    rows += [[FILES[3], "red fox", 0.5, "red fox", 0.3]]
    read = read_answers(table(tmp_path / "t.csv", rows), catalog_of())
    made = read.predictions
    assert set(made.labels) <= {"blank", "red_fox", "roe_deer"}
    assert made.facts.kept == 1  # of one photo only the surest is told
    assert row(made, "m0")["roe_deer"] == pytest.approx(0.2)
    assert made.table["status"].to_list() == ["ok", "ok", "failed", "failed"]
    assert [row(made, media)["reason"] for media in ("m2", "m3")] == [
        "a probability is no number",
        "it names 'red fox' twice",
    ]


def test_a_row_a_label_is_a_whole_distribution_where_every_file_adds_up(tmp_path: Path) -> None:
    rows: list[list[object]] = [["file", "label", "probability"]]
    rows += [[file, label, p] for file in FILES for label, p in (("red fox", 0.7), ("roe deer", 0.3))]
    made = read_answers(table(tmp_path / "t.csv", rows), catalog_of()).predictions
    assert made.facts.kept is None
    assert row(made, "m0")["roe_deer"] == pytest.approx(0.3)
    rows[-1][-1] = 0.1
    assert read_answers(table(tmp_path / "t.csv", rows), catalog_of()).predictions.facts.kept == 1


def test_speciesnets_taxon_without_a_common_name_is_an_answer_and_no_detection_is_none(
    tmp_path: Path,
) -> None:
    fox = FOX.removesuffix("red fox")
    entries = [
        {"filepath": FILES[0], "prediction": fox, "prediction_score": 0.8},
        {"filepath": FILES[1], "detections": []},
        {"filepath": FILES[2]},
        {"filepath": FILES[3], "prediction": "u;;;;;;", "prediction_score": 0.8},
    ]
    made = read_answers(dump(tmp_path / "s.json", {"predictions": entries}), catalog_of()).predictions
    assert made.labels == ("Vulpes vulpes",)
    assert made.table["status"].to_list() == ["ok", "failed", "failed", "failed"]
    assert "no detection" in row(made, "m1")["reason"]
    assert "no prediction" in row(made, "m2")["reason"]


def test_an_unsure_classifier_of_pytorch_wildlife_does_not_say_blank(tmp_path: Path) -> None:
    entries = [{"img_id": FILES[0], "category": 0, "confidence": 0.1}]
    path = dump(tmp_path / "p.json", {"annotations": entries, "categories": {"0": "red fox"}})
    made = read_answers(path, catalog_of()).predictions
    assert row(made, "m0")["red_fox"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "rows",
    [
        [
            ["image_path", "max_confidence", "detections", "max_conf_animal", "max_classification_conf_fox"],
            ["A/1.jpg", "0.9", "[]", "0.9", "0.8"],
        ],
        [
            ["filename", "datetime", "detection_category", "max_detection_confidence", "count"],
            ["A/1.jpg", "", "animal", "0.9", "1"],
        ],
    ],
)
def test_megadetectors_summaries_are_no_answers(rows: list[list[object]], tmp_path: Path) -> None:
    """Each highest confidence would else pass for the probability of a label called after its column."""
    with pytest.raises(DataError, match="is a summary of a MegaDetector file"):
        read_answers(table(tmp_path / "t.csv", rows), catalog_of())


def test_a_class_whose_name_is_a_number_is_called_by_it(tmp_path: Path) -> None:
    box = {"category": "1", "conf": 0.9, "bbox": [0, 0, 1, 1], "classifications": [["0", 0.8]]}
    document = {
        "images": [{"file": FILES[0], "detections": [box]}],
        "detection_categories": {"1": "animal"},
        "classification_categories": {"0": 7, "1": "fox"},
    }
    made = read_answers(dump(tmp_path / "md.json", document), catalog_of()).predictions
    assert made.labels == ("7",)
