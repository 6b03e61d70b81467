"""Names that another disk, another system or an address writes in another way than the disk here."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.formats.readers import join_boxes, read


def composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


def photos(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / name)


def as_csv(root: Path, names: list[str]) -> Catalog:
    (root / "t.csv").write_text("filepath,label\n" + "".join(f"{name},fox\n" for name in names))
    return read(root / "t.csv")


def as_coco(root: Path, names: list[str]) -> Catalog:
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    document = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "fox"}]}
    (root / "c.json").write_text(json.dumps(document))
    return read(root / "c.json")


def as_speciesnet(root: Path, names: list[str]) -> Catalog:
    (root / "s.json").write_text(json.dumps({"instances": [{"filepath": name} for name in names]}))
    return read(root / "s.json")


def detections(names: list[str]) -> dict[str, object]:
    images = [{"file": name, "detections": []} for name in names]
    return {"info": {}, "detection_categories": {"1": "animal"}, "images": images}


def as_megadetector(root: Path, names: list[str]) -> Catalog:
    (root / "m.json").write_text(json.dumps(detections(names)))
    return read(root / "m.json")


READ = pytest.mark.parametrize("by", [as_csv, as_coco, as_speciesnet, as_megadetector])
By = Callable[[Path, list[str]], Catalog]


@READ
@pytest.mark.parametrize(
    ("here", "written"),
    [
        (composed("Höhle/é.jpg"), decomposed("Höhle/é.jpg")),
        (decomposed("Höhle/é.jpg"), composed("Höhle/é.jpg")),
        ("SiteA/img_1.jpg", "sitea/IMG_1.JPG"),
        ("Site A/IMG 1.jpg", "Site%20A/IMG%201.jpg"),
        (" lead/ x.jpg", "lead/x.jpg"),
    ],
)
def test_a_photo_is_known_by_another_form_of_its_name(
    tmp_path: Path, by: By, here: str, written: str
) -> None:
    photos(tmp_path, here)
    catalog = by(tmp_path, [written])
    assert catalog.table["file_path"].to_list() == [here]
    assert any("is taken for" in note for note in catalog.facts.notes)


@READ
@pytest.mark.parametrize(
    ("here", "written"),
    [
        (["A/1.jpg", "a/1.jpg"], ["A/1.JPG"]),  # the folder is there, the photo is not
        (["é.jpg", "É.jpg"], ["é.JPG"]),  # two could be meant
        (["x.jpg"], ["x.jpg", "X.jpg"]),  # another path is of that photo
        (["x.jpg"], ["X.jpg", "X.JPG"]),  # two would be of one photo
    ],
)
def test_what_could_be_another_photo_stays_as_written(
    tmp_path: Path, by: By, here: list[str], written: list[str]
) -> None:
    photos(tmp_path, *here)
    paths = by(tmp_path, written).table["file_path"].to_list()
    assert paths == (["A/1.jpg"] if written == ["A/1.JPG"] else written)


def test_an_address_is_a_name_of_a_photo_for_boxes_too(tmp_path: Path) -> None:
    photos(tmp_path / "p", "Site A/IMG 1.jpg", " B/1.jpg")
    path = tmp_path / "m.json"
    path.write_text(json.dumps(detections(["Site%20A/IMG%201.jpg", "B/1.jpg"])))
    assert join_boxes(read(tmp_path / "p"), path).table["boxes"].to_list() == [[], []]


def test_a_label_and_a_location_are_one_in_both_forms(tmp_path: Path) -> None:
    rows = [(composed, "1.jpg"), (decomposed, "2.jpg")]
    lines = [f"{name},{form('blaireau européen')},{form('Höhle')}\n" for form, name in rows]
    (tmp_path / "t.csv").write_text("filepath,label,location\n" + "".join(lines))
    catalog = read(tmp_path / "t.csv")
    assert catalog.labels == [composed("blaireau européen")]
    assert catalog.table["location_id"].unique().to_list() == [composed("Höhle")]


def test_folders_of_labels_are_one_in_both_forms(tmp_path: Path) -> None:
    photos(tmp_path, composed("é") + "/1.jpg", decomposed("é") + "/2.jpg")
    catalog = read(tmp_path, format="class_folders")
    assert catalog.labels == ["é"]
    assert sorted(catalog.table["file_path"]) == sorted(
        [composed("é") + "/1.jpg", decomposed("é") + "/2.jpg"]
    )
