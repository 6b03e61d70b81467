"""What tools of annotation and detectors write in JSON, where it is odd: labels stay, no box is made up."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import read, read_answers
from trapline.formats.readers import join_boxes

CATEGORIES = [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}, {"id": 2, "name": "hare"}]
BOX = [0.1, 0.1, 0.2, 0.2]


def written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def coco(folder: Path, *annotations: dict[str, Any], size: dict[str, Any] | None = None, **more: Any) -> Path:
    sized = {"width": 100, "height": 50} if size is None else size
    images = [{"id": number, "file_name": f"{number}.jpg"} | sized for number in range(3)]
    notes = [{"category_id": 1} | annotation for annotation in annotations]
    document = {"images": images, "categories": CATEGORIES, "annotations": notes} | more
    return written(folder / "coco.json", document)


def three(folder: Path) -> Catalog:
    rows = [{"media_id": f"{n}", "file_path": f"{n}.jpg"} for n in range(3)]
    return Catalog.from_rows(rows, folder, "three")


# --- COCO


@pytest.mark.parametrize(
    ("box", "size", "reason"),
    [
        ([10, 10, 20], None, "not four numbers"),
        (["left", 10, 20, 5], None, "not four numbers"),
        ([10, 10, -20, 5], None, "less than no width"),
        ([-50, -50, 30, 30], None, "beside its image"),
        ([150, 10, 30, 30], None, "beside its image"),
        ([10, 10, 20, 5], {}, "no width and height"),
        ([10, 10, 20, 5], {"width": 0, "height": 0}, "no width and height"),
    ],
)
def test_a_box_that_cannot_be_one_costs_no_label(
    tmp_path: Path, box: list[Any], size: dict[str, Any] | None, reason: str
) -> None:
    path = coco(tmp_path, {"image_id": 0, "bbox": box}, size=size)
    catalog = read(path)
    assert catalog.table["labels"].to_list() == [["fox"], None, None]
    assert catalog.table["boxes"].to_list() == [None] * 3
    assert catalog.facts.rejected is not None
    assert reason in catalog.facts.rejected.rows[0].reason
    assert "its label is read" in catalog.facts.rejected.rows[0].reason
    with pytest.raises(DataError, match=reason):
        read(path, strict=True)


def test_numbers_that_are_written_as_text_are_numbers(tmp_path: Path) -> None:
    size = {"width": "100", "height": "50"}
    boxes = read(coco(tmp_path, {"image_id": 0, "bbox": ["10", "5", "20.0", "10"]}, size=size)).table["boxes"]
    assert [boxes[0][0][side] for side in ("x", "y", "width", "height")] == pytest.approx(
        [0.1, 0.1, 0.2, 0.2]
    )


@pytest.mark.parametrize(
    ("classified_by", "labels"),
    [
        ("human", [["fox"], None, None]),
        ("machine", [None, ["hare"], None]),
        ("all", [["fox"], ["hare"], None]),
    ],
)
def test_an_annotation_with_a_score_is_a_models(
    tmp_path: Path, classified_by: str, labels: list[Any]
) -> None:
    human = {"image_id": 0, "bbox": [10, 10, 20, 5]}
    machine = {"image_id": 1, "bbox": [10, 10, 20, 5], "category_id": 2, "score": 0.4}
    catalog = read(coco(tmp_path, human, machine), classified_by=classified_by)
    assert catalog.table["labels"].to_list() == labels
    assert [boxes and boxes[0]["conf"] for boxes in catalog.table["boxes"].to_list()] == [1, 0.4, None]
    told = any("so they are a model's" in note for note in catalog.facts.notes)
    assert told == (classified_by == "human")


def test_coco_with_scores_is_read_as_predictions(tmp_path: Path) -> None:
    notes = [
        {"image_id": 0, "score": 0.3},
        {"image_id": 0, "score": 0.8, "category_id": 2},
        {"image_id": 1, "score": "0.9", "category_id": 0},
        {"image_id": 1, "score": 7},
    ]
    answers = read_answers(coco(tmp_path, *notes), three(tmp_path))
    table = answers.predictions.table
    assert answers.format == "coco"
    assert table["status"].to_list() == ["ok", "ok", "failed"]
    assert table["hare"].to_list()[:2] == pytest.approx([0.8, 0])
    assert table["blank"].to_list()[:2] == pytest.approx([0, 0.9])
    assert any("annotations[3] has the score 7" in note for note in answers.notes)
    with pytest.raises(DataError, match="no model's answers"):
        read_answers(coco(tmp_path, {"image_id": 0}), three(tmp_path))


@pytest.mark.parametrize("more", [{}, {"annotations": None}, {"annotations": []}])
def test_images_alone_are_media_without_labels(tmp_path: Path, more: dict[str, Any]) -> None:
    path = written(tmp_path / "t.json", {"images": [{"id": 1, "file_name": "1.jpg"}]} | more)
    assert read(path).table["labels"].to_list() == [None]


def test_a_category_that_is_there_twice_is_one_unless_it_differs(tmp_path: Path) -> None:
    twice = [*CATEGORIES, {"id": "1", "name": "fox"}]
    assert read(coco(tmp_path, {"image_id": 0}, categories=twice)).labels == ["fox"]
    with pytest.raises(DataError, match="the id 1 in categories is both 'fox' and 'hare'"):
        read(coco(tmp_path, {"image_id": 0}, categories=[*CATEGORIES, {"id": 1, "name": "hare"}]))


def test_a_frame_that_is_no_number_is_said(tmp_path: Path) -> None:
    images = [
        {"id": n, "file_name": f"{n}.jpg", "seq_id": "s", "frame_num": frame}
        for n, frame in enumerate(["1", "two", 3.5])
    ]
    catalog = read(coco(tmp_path, images=images))
    assert catalog.table["frame"].to_list() == [1, None, None]
    assert any("frame_num of 2 images is no whole number" in note for note in catalog.facts.notes)


# --- how the file itself is written


def zipped(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


MD = {
    "info": {},
    "detection_categories": {"1": "animal"},
    "images": [{"file": "0.jpg", "detections": [{"category": "1", "conf": 0.5, "bbox": BOX}]}],
}
COCO = {"images": [{"id": 0, "file_name": "0.jpg"}], "annotations": [], "categories": CATEGORIES}
SPECIESNET = {"predictions": [{"filepath": "0.jpg", "prediction": "u;;;;;;fox", "prediction_score": 0.9}]}


@pytest.mark.parametrize("document", [MD, COCO, SPECIESNET])
@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("a.json", lambda text: b"\xef\xbb\xbf" + text.encode()),
        ("a.json", lambda text: text.encode("utf-16")),  # as PowerShell's > writes it
        ("a.json.gz", lambda text: gzip.compress(text.encode())),
        ("A.JSON", lambda text: b"\n\n " + text.encode()),
        ("a.json.zip", lambda text: zipped({"a.json": text, "__MACOSX/._a.json": "x"})),  # as LILA's
        ("md.zip", lambda text: zipped({"results/md.json": text})),
    ],
)
def test_json_is_known_however_it_is_encoded(
    tmp_path: Path, document: dict[str, Any], name: str, encode: Any
) -> None:
    (tmp_path / name).write_bytes(encode(json.dumps(document)))
    assert read(tmp_path / name).table["file_path"].to_list() == ["0.jpg"]
    if document is not COCO:
        answers = read_answers(tmp_path / name, three(tmp_path))
        assert answers.predictions.table["status"].to_list() == ["ok", "failed", "failed"]


def test_a_zip_of_more_than_a_json_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(zipped({"a.json": json.dumps(COCO), "0.jpg": "x"}))
    with pytest.raises(DataError, match="Unpack it"):
        read(tmp_path / "b.zip")
    with pytest.raises(DataError, match="more than one JSON file"):
        join_boxes(three(tmp_path), tmp_path / "b.zip")
    (tmp_path / "c.zip").write_bytes(zipped({"a.json": json.dumps(MD)}))
    assert join_boxes(three(tmp_path), tmp_path / "c.zip").table["boxes"].null_count() == 2


def test_pytorch_wildlifes_answers_are_no_source(tmp_path: Path) -> None:
    document = {"annotations": [{"img_id": "0.jpg", "category": [0]}], "categories": {"0": "animal"}}
    with pytest.raises(DataError, match="`trapline predictions` reads them"):
        read(written(tmp_path / "p.json", document))


# --- detections


@pytest.mark.parametrize(("name", "kept"), [("Animal", "animal"), (" PERSON", "person"), ("Fox", "Fox")])
def test_the_usual_categories_are_known_in_any_case(tmp_path: Path, name: str, kept: str) -> None:
    entry = {"file": "0.jpg", "detections": [{"category": "1", "conf": 0.5, "bbox": BOX}]}
    path = written(tmp_path / "m.json", {"detection_categories": {"1": name}, "images": [entry]})
    assert join_boxes(three(tmp_path), path).table["boxes"][0][0]["category"] == kept
    assert read_answers(path, three(tmp_path)).predictions.labels == (kept,)


CONVERTED = [{"id": 0, "name": "empty"}, {"id": 1, "name": "animal"}]
"""MegaDetector's own conversion of its CSV writes its categories as a list."""


def test_categories_in_a_list_are_read_as_those_by_id(tmp_path: Path) -> None:
    path = written(tmp_path / "m.json", MD | {"detection_categories": CONVERTED})
    assert join_boxes(three(tmp_path), path).table["boxes"][0][0]["category"] == "animal"
    assert read_answers(path, three(tmp_path)).predictions.labels == ("animal",)


@pytest.mark.parametrize(
    "wrong", [["animal"], [{"id": 1, "name": "animal"}, {"id": "1", "name": "person"}], [{}]]
)
def test_categories_that_are_no_names_by_id_are_refused(tmp_path: Path, wrong: Any) -> None:
    path = written(tmp_path / "m.json", MD | {"detection_categories": wrong})
    with pytest.raises(DataError, match="'detection_categories' are no names by id"):
        join_boxes(three(tmp_path), path)
    with pytest.raises(DataError, match="lacks 'images' or their categories"):
        read_answers(path, three(tmp_path))


def detections(folder: Path, *entries: dict[str, Any]) -> Path:
    images = [{"file": f"{number}.jpg"} | entry for number, entry in enumerate(entries)]
    return written(folder / "md.json", MD | {"images": images})


def answered(path: Path) -> list[tuple[str, str | None]]:
    table = read_answers(path, three(path.parent)).predictions.table
    return list(zip(table["status"], table["reason"], strict=True))


def test_a_failure_with_an_empty_list_is_no_empty_photo(tmp_path: Path) -> None:
    good = {"category": "1", "conf": 0.5, "bbox": BOX}
    path = detections(
        tmp_path,
        {"detections": [], "failure": "Failure image access"},
        {"detections": [], "failure": None},
        {"detections": [good], "failure": "of the classifier"},
    )
    for table in (join_boxes(three(tmp_path), path).table, read(path).table):
        assert [boxes if boxes is None else len(boxes) for boxes in table["boxes"].to_list()] == [None, 0, 1]
    assert [status for status, _ in answered(path)] == ["failed", "ok", "ok"]


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        ({"conf": True}, "its conf is True"),
        ({"conf": "sure"}, "its conf is 'sure'"),
        ({"conf": None}, "its conf is None"),
        ({"conf": 1.5}, "its conf is 1.5"),
        ({"category": "7"}, "the category '7' is not among the detection_categories"),
        ({"classifications": [["9", 0.5]]}, "the category '9' is not among the classification_categories"),
    ],
)
def test_an_odd_detection_fails_alone_and_says_why(
    tmp_path: Path, detection: dict[str, Any], reason: str
) -> None:
    good = {"category": "1", "conf": 0.5, "bbox": BOX}
    path = detections(tmp_path, {"detections": [good | detection]}, {"detections": [good]})
    (status, why), second, _ = answered(path)
    assert (status, second) == ("failed", ("ok", None))
    assert reason in str(why)
    if "classifications" not in detection:
        rejected = join_boxes(three(tmp_path), path).facts.rejected
        assert rejected is not None
        assert reason in rejected.rows[0].reason


@pytest.mark.parametrize(("conf", "read_as"), [("0.75", 0.75), (1.0000001, 1.0), (1, 1.0), ("1e-1", 0.1)])
def test_a_confidence_is_read_alike_for_boxes_and_answers(tmp_path: Path, conf: Any, read_as: float) -> None:
    path = detections(tmp_path, {"detections": [{"category": 1.0, "conf": conf, "bbox": BOX}]})
    assert join_boxes(three(tmp_path), path).table["boxes"][0][0]["conf"] == read_as
    predictions = read_answers(path, three(tmp_path), threshold=0.05).predictions
    assert predictions.table["animal"][0] == pytest.approx(read_as)


# --- SpeciesNet


def speciesnet(folder: Path, *entries: dict[str, Any]) -> Path:
    said = {"prediction": "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox", "prediction_score": 0.9}
    predictions = [{"filepath": f"{number}.jpg"} | said | entry for number, entry in enumerate(entries)]
    return written(folder / "sn.json", {"predictions": predictions})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bbox": [2, 2, 5, 5]}, "as fractions of the image"),
        ({"bbox": None}, "its bbox is not four numbers"),
        ({"conf": True}, "its conf is True"),
        ({"conf": 7}, "its conf is 7"),
    ],
)
def test_a_wrong_detection_of_speciesnet_costs_itself(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    good = {"category": "1", "label": "animal", "conf": "0.5", "bbox": BOX}
    wrong = good | change
    path = speciesnet(tmp_path, {"detections": [wrong]}, {"detections": [wrong, good]}, {"detections": []})
    catalog = read(path)
    assert [boxes if boxes is None else len(boxes) for boxes in catalog.table["boxes"].to_list()] == [
        None,
        1,
        0,
    ]
    assert catalog.table["speciesnet_prediction"].null_count() == 0
    rejected = catalog.facts.rejected
    assert rejected is not None
    assert [row.where for row in rejected.rows] == ["sn.json predictions[0]", "sn.json predictions[1]"]
    assert reason in rejected.rows[0].reason


def test_a_photo_that_speciesnet_names_again_is_one_where_the_words_are_the_same(tmp_path: Path) -> None:
    again = {"filepath": "0.jpg", "detections": []}
    catalog = read(speciesnet(tmp_path, again, again, {"filepath": "1.jpg"}))
    assert catalog.table["file_path"].to_list() == ["0.jpg", "1.jpg"]
    assert any("1 entry says the same of a photo" in note for note in catalog.facts.notes)
    with pytest.raises(DataError, match="more than once"):
        read(speciesnet(tmp_path, again, again | {"prediction_score": 0.1}))


def test_what_is_damaged_in_an_answer_of_speciesnet_is_said_in_words(tmp_path: Path) -> None:
    path = speciesnet(
        tmp_path,
        {"classifications": {"classes": ["a"], "scores": [0.9, 0.1]}},
        {"classifications": {"classes": ["a"]}},
        {},
    )
    assert answered(path) == [
        ("failed", "its entry is damaged: it has not as many scores as classes"),
        ("failed", "its entry is damaged: it lacks 'scores'"),
        ("ok", None),
    ]


# --- what no reader takes


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("via.json", {"_via_settings": {}, "_via_img_metadata": {}}, "VGG Image Annotator"),
        ("via.json", {"a.jpg12": {"filename": "a.jpg", "regions": [{"region_attributes": {}}]}}, "VGG"),
        ("a.json", {"version": "5", "shapes": [], "imagePath": "a.jpg"}, "labelme"),
        (
            "ls.json",
            [{"id": 1, "annotations": [{"completed_by": 1}], "data": {"image": "a.jpg"}}],
            "Label Studio",
        ),
        ("ml.json", [{"image": "a.jpg", "annotations": [{"coordinates": {}}]}], "CreateML"),
        ("r.json", [{"image_id": 1, "category_id": 1, "bbox": BOX, "score": 0.5}], "COCO results"),
        ("d.json", [{"file": "a.jpg", "detections": []}], "MegaDetector's batch format"),
        ("a.xml", "<annotations/>", "export from that tool as COCO"),
        ("data.yaml", "names: [fox]", "export from that tool as COCO"),
        ("a.jsonl", "{}", "save these as CSV"),
        ("IMG_0001.JPG", "x", "name the folder"),
    ],
)
def test_a_file_of_another_tool_is_called_what_it_is(
    tmp_path: Path, name: str, content: Any, advice: str
) -> None:
    path = written(tmp_path / name, content)
    for act in (lambda: read(path), lambda: read_answers(path, three(tmp_path))):
        with pytest.raises(DataError, match=advice):
            act()
