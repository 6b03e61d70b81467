"""AddaxAI's tables: photos, boxes and what people verified; a model's word alone is no label."""

import csv
import json
from pathlib import Path

import pytest

from trapline.errors import DataError
from trapline.formats import read, read_answers

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
    assert "1 box is outside the photo" in " ".join(catalog.facts.notes)
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


OLD_TIME = "05/04/21 16:03:00"
FILES = ["absolute_path", "relative_path", "data_type", "n_detections", "file_height", "file_width"]
FILES += ["max_confidence", "human_verified", "DateTimeOriginal"]


def test_times_are_day_month_and_two_digits_of_the_year_as_version_6_writes_them(tmp_path: Path) -> None:
    row = [*detection("A\\1.jpg", "fox", 0.9, True)[:-1], OLD_TIME]
    source = table(tmp_path / "results_detections.csv", [row])
    assert str(read(source).table["camera_time"][0]) == "2021-04-05 16:03:00"
    asked = read(source, time_format="%m/%d/%y %H:%M:%S")
    assert str(asked.table["camera_time"][0]) == "2021-05-04 16:03:00"


def test_the_first_tables_of_ecoassist_hold_a_models_word_alone(tmp_path: Path) -> None:
    names = [name for name in HEAD if name != "human_verified"]
    head = [name.replace("DateTimeOriginal", "datetime_original") for name in names]
    row = detection("1.jpg", "fox", 0.9, None)
    source = table(tmp_path / "results_detections.csv", [row[:5] + row[6:]], head)
    catalog = read(source)
    assert catalog.facts.format is not None
    assert catalog.facts.format.name == "addaxai"
    assert catalog.table["labels"].to_list() == [None]
    assert str(catalog.table["camera_time"][0]) == TIME
    assert read(source, classified_by="machine").table["labels"].to_list() == [["fox"]]


def test_both_tables_are_read_together_and_who_verified_an_empty_photo_called_it_blank(
    tmp_path: Path,
) -> None:
    verified = [*detection("A\\1.jpg", "fox", "NA", True)[:-1], OLD_TIME]
    table(tmp_path / "results_detections.csv", [verified, verified])
    rows = [
        ["C:\\x", "A\\1.jpg", "img", 1, 280, 400, "NA", True, OLD_TIME],
        ["C:\\x", "A\\2.jpg", "img", 0, 280, 400, 0.0, True, "NA"],
        ["C:\\x", "A\\3.jpg", "img", 0, 280, 400, 0.0, False, "NA"],
    ]
    catalog = read(table(tmp_path / "results_files.csv", rows, FILES))
    assert catalog.table["labels"].to_list() == [["fox"], ["blank"], None]
    (box,) = catalog.table["boxes"][0].to_list()
    assert (box["category"], box["conf"], box["x"]) == ("fox", 1.0, 10 / 400)
    assert read(tmp_path / "results_detections.csv").table.equals(catalog.table)
    notes = " ".join(catalog.facts.notes)
    assert "read together: results_files.csv, results_detections.csv" in notes
    assert "results_detections.csv: 1 row left out: others say the same" in notes
    assert "AddaxAI had the photos in C:/x (--root FOLDER says where they are)" in notes


NEW_FILES = [
    *("file_id", "deployment_id", "event_id", "file_type", "relative_path", "absolute_path", "datetime"),
    *("observation_type", "classification_label", "is_verified", "notes"),
]
NEW_DETECTIONS = [
    *("detection_id", "file_id", "deployment_id", "event_id", "detection_category", "detection_confidence"),
    *("classification_label", "classification_method", "is_verified"),
    *("frame_number", "bbox_x", "bbox_y", "bbox_width", "bbox_height"),
]
EXPORT = "-jura-2026-09-01.csv"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The tables of a project of two deployments whose cameras count alike, of sites that have names."""
    time = "2026-05-01T10:00:00+02:00"
    files = [
        ["f1", "d1", "e1", "image", "1.JPG", "/cards/A/1.JPG", time, "animal", "red fox", "TRUE", ""],
        ["f2", "d2", "e2", "image", "1.JPG", "/cards/B/1.JPG", time, "blank", "", "TRUE", "rain"],
        ["f3", "d2", "e2", "image", "2.JPG", "/cards/B/2.JPG", time, "person", "", "FALSE", ""],
        ["f4", "d2", "e3", "video", "3.MP4", "/cards/B/3.MP4", time, "animal", "", "FALSE", ""],
    ]
    found = [
        ["x1", "f1", "d1", "e1", "animal", 0.91, "red fox", "human", "TRUE", "", 0.1, 0.2, 0.5, 0.8],
        ["x2", "f1", "d1", "e1", "animal", 0.4, "badger", "machine", "FALSE", "", 0.9, 0.2, 0.2, 0.8],
        ["x3", "f3", "d2", "e2", "person", 0.8, "", "machine", "FALSE", "", 0, 0, 1, 1],
        ["x4", "f4", "d2", "e3", "animal", 0.8, "", "machine", "FALSE", 7, 0, 0, 1, 1],
    ]
    table(tmp_path / f"detections{EXPORT}", found, NEW_DETECTIONS)
    table(
        tmp_path / f"deployments{EXPORT}", [["d1", "Forest"], ["d2", "Road"]], ["deployment_id", "site_name"]
    )
    return table(tmp_path / f"files{EXPORT}", files, NEW_FILES)


@pytest.mark.parametrize("named", ["files", "detections"])
def test_the_tables_of_later_versions_are_one_export(named: str, export: Path) -> None:
    catalog = read(export.with_name(f"{named}{EXPORT}"))
    assert catalog.facts.format is not None
    assert catalog.facts.format.name == "addaxai"
    rows = catalog.table
    assert rows["media_id"].to_list() == ["f1", "f2", "f3"]
    assert rows["file_path"].to_list() == ["A/1.JPG", "B/1.JPG", "B/2.JPG"]
    assert rows["location_id"].to_list() == ["Forest", "Road", "Road"]
    assert rows["labels"].to_list() == [["red fox"], ["blank"], None]
    assert rows["timestamp"].dt.hour().to_list() == [8, 8, 8]
    assert [[box["category"] for box in boxes or []] for boxes in rows["boxes"].to_list()] == [
        ["animal"],
        [],
        ["person"],
    ]
    assert rows["addaxai_notes"].to_list() == [None, "rain", None]
    assert "1 box is outside the photo" in " ".join(catalog.facts.notes)
    assert "AddaxAI had the photos in /cards" in " ".join(catalog.facts.notes)


def test_what_the_model_says_of_later_versions_is_a_label_only_if_asked(export: Path) -> None:
    labels = read(export, classified_by="machine").table["labels"].to_list()
    assert labels == [["badger"], None, ["person"]]


def test_detections_without_their_files_are_refused(export: Path) -> None:
    export.unlink()
    with pytest.raises(DataError, match=f"put files{EXPORT} of the same export beside it"):
        read(export.with_name(f"detections{EXPORT}"))


def answers(source: Path, catalog: Path) -> dict[str, dict[str, object]]:
    predictions = read_answers(source, read(catalog)).predictions
    assert predictions.facts.model_name == "AddaxAI"
    return {row["media_id"]: row for row in predictions.table.to_dicts()}


def test_of_each_file_the_models_word_on_its_surest_detection_is_the_answer(tmp_path: Path) -> None:
    rows = [
        ["C:\\x", "A\\1.jpg", "img", 2, 280, 400, 0.9, False, "NA"],
        ["C:\\x", "A\\2.jpg", "img", 1, 280, 400, 0.8, False, "NA"],
        ["C:\\x", "A\\4.jpg", "img", 0, 280, 400, 0.125, False, "NA"],
        ["C:\\x", "A\\5.jpg", "img", 1, 280, 400, "NA", True, "NA"],
    ]
    table(tmp_path / "results_files.csv", rows, FILES)
    found = [
        detection("A\\1.jpg", "hare", 0.4, False),
        detection("A\\1.jpg", "fox", 0.9, False),
        detection("A\\2.jpg", "hare", 0.8, False),
        detection("A\\5.jpg", "hare", "NA", True),
    ]
    source = table(tmp_path / "results_detections.csv", found)
    truth = [[f"A/{name}.jpg", "fox"] for name in (1, 2, 4, 5)]
    said = answers(source, table(tmp_path / "truth.csv", truth, ["file_path", "label"]))
    assert (said["A/1.jpg"]["fox"], said["A/2.jpg"]["hare"]) == pytest.approx((0.9, 0.8))
    assert said["A/4.jpg"]["blank"] == 0.875, "what its surest detection leaves"
    assert (said["A/5.jpg"]["status"], said["A/5.jpg"]["reason"]) == (
        "failed",
        "a person verified it, and what the model said is not kept",
    )


@pytest.mark.parametrize("with_detections", [True, False])
def test_answers_of_later_versions_are_the_models_own(with_detections: bool, export: Path) -> None:
    head = [*NEW_DETECTIONS, "classification_confidence", "ai_classification_label"]
    found = [
        [
            "x1",
            "f1",
            "d1",
            "e1",
            "animal",
            0.91,
            "red fox",
            "human",
            "TRUE",
            "",
            0.1,
            0.2,
            0.5,
            0.8,
            1,
            "dog",
            0.6,
        ],
        ["x3", "f3", "d2", "e2", "person", 0.8, "", "machine", "FALSE", "", 0, 0, 1, 1, "", "", ""],
    ]
    table(export.with_name(f"detections{EXPORT}"), found, [*head, "ai_classification_confidence"])
    if not with_detections:
        export.with_name(f"detections{EXPORT}").unlink()
        rows = [
            ["f1", "image", "1.JPG", "/cards/A/1.JPG", "animal", 0.91, "dog", 0.6, "FALSE"],
            ["f2", "image", "1.JPG", "/cards/B/1.JPG", "blank", "", "", "", "TRUE"],
            ["f3", "image", "2.JPG", "/cards/B/2.JPG", "person", 0.8, "", "", "FALSE"],
        ]
        names = ["file_id", "file_type", "relative_path", "absolute_path", "observation_type"]
        names += ["detection_confidence", "classification_label", "classification_confidence", "is_verified"]
        table(export, rows, names)
    truth = [[path, "red fox"] for path in ("A/1.JPG", "B/1.JPG", "B/2.JPG")]
    said = answers(export, table(export.with_name("truth.csv"), truth, ["file_path", "label"]))
    assert said["A/1.JPG"]["dog"] == pytest.approx(0.6), "not what a person made of it"
    assert said["B/1.JPG"]["blank"] == 1
    assert said["B/2.JPG"]["person"] == pytest.approx(0.8)


def recognition_file(path: Path) -> Path:
    """As the program writes it: version 6 marks a photo that a person verified, later ones a detection."""
    box = [0.1, 0.1, 0.5, 0.5]
    images: list[dict[str, object]] = [
        {
            "file": "1.jpg",
            "detections": [{"category": "4", "conf": 1.0, "bbox": box}],
            "manually_checked": True,
        },
        {"file": "2.jpg", "detections": [], "manually_checked": True},
        {
            "file": "3.jpg",
            "detections": [{"category": "4", "conf": 0.9, "bbox": box}],
            "manually_checked": False,
        },
        {
            "file": "4.jpg",
            "detections": [
                {
                    "category": "1",
                    "conf": 0.9,
                    "bbox": box,
                    "verified": True,
                    "classifications": [["7", 1.0]],
                },
                {
                    "category": "1",
                    "conf": 0.8,
                    "bbox": box,
                    "verified": False,
                    "classifications": [["8", 0.6]],
                },
            ],
        },
    ]
    document = {
        "images": images,
        "detection_categories": {"1": "animal", "4": "red fox"},
        "classification_categories": {"7": "badger", "8": "hare"},
        "info": {"format_version": "1.6"},
    }
    path.write_text(json.dumps(document))
    return path


def test_what_a_person_verified_in_its_json_is_a_label(tmp_path: Path) -> None:
    catalog = read(recognition_file(tmp_path / "image_recognition_file.json"))
    assert catalog.table["labels"].to_list() == [["red fox"], ["blank"], None, ["badger"]]
    assert "labels of people: 3 of 4 photos were verified by one" in " ".join(catalog.facts.notes)


def test_what_a_person_verified_in_its_json_is_no_answer_of_a_model(tmp_path: Path) -> None:
    source = recognition_file(tmp_path / "image_recognition_file.json")
    truth = table(tmp_path / "truth.csv", [[f"{n}.jpg", "fox"] for n in range(1, 5)], ["file_path", "label"])
    made = read_answers(source, read(truth)).predictions.table
    assert made["status"].to_list() == ["failed", "failed", "ok", "failed"]
    assert set(made["reason"].drop_nulls()) == {"a person verified it, and what the model said is not kept"}
