"""Keywords of photos as labels: in them, in sidecars, in trees and lists, a person's and a model's."""

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from trapline.errors import DataError, UsageError
from trapline.formats.readers import read
from trapline.formats.writers.xmp import sidecar

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool"),
]


def photo(folder: Path, name: str, *arguments: str) -> Path:
    path = folder / "A" / name
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    if arguments:
        subprocess.run(["exiftool", "-q", "-overwrite_original", *arguments, path], check=True)
    return path


def labels(folder: Path, *keywords: str) -> list[list[str] | None]:
    found = read(folder, format="photo_folder", keywords=keywords).table.sort("file_path")["labels"]
    return [None if own is None else list(own) for own in found]


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        (["-XMP-lr:HierarchicalSubject=Species|Mammals|red fox"], ["Species"]),
        (["-XMP-digiKam:TagsList=Species/red fox"], ["Species"]),
        (["-XMP-digiKam:TagsList=Wild/Species/red fox", "-XMP-dc:Subject=red fox"], ["Wild/Species"]),
        (["-XMP-digiKam:TagsList=Species", "-XMP-digiKam:TagsList=Species/red fox"], ["Species"]),
        (["-XMP-dc:Subject=red fox", "-XMP-dc:Subject=night"], ["red fox", "deer"]),
        (["-IPTC:Keywords=red fox"], ["red fox"]),
    ],
)
def test_keywords_are_labels(tmp_path: Path, arguments: list[str], keywords: list[str]) -> None:
    photo(tmp_path, "1.jpg", *arguments)
    photo(tmp_path, "2.jpg", "-XMP-dc:Subject=night")
    photo(tmp_path, "3.jpg")
    assert labels(tmp_path, *keywords) == [["red fox"], None, None]


@pytest.mark.parametrize("name", ["1.jpg.xmp", "1.xmp"])
def test_sidecars_are_read_and_what_a_model_said_is_no_label(tmp_path: Path, name: str) -> None:
    photo(tmp_path, "1.jpg")
    photo(tmp_path, "2.jpg", "-XMP-digiKam:TagsList=Species/deer")
    (tmp_path / "A" / name).write_text(sidecar(["fox"], ["Trapline|species|fox"]))
    assert labels(tmp_path, "Species") == [None, ["deer"]]
    assert labels(tmp_path, "Trapline|species") == [["fox"], None]
    assert labels(tmp_path, "fox", "Species") == [None, ["deer"]]
    catalog = read(tmp_path, format="photo_folder", keywords=["Species"])
    assert any("1 photo has keywords below 'Trapline'" in note for note in catalog.facts.notes)
    assert catalog.table["keywords"].to_list() == ["Trapline|species|fox", "Species|deer"]


def test_a_keyword_that_no_photo_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    photo(tmp_path, "1.jpg", "-XMP-dc:Subject=night")
    with pytest.raises(DataError, match=r"has a keyword 'Species'.*'night' \(1\)"):
        labels(tmp_path, "Species")


def test_without_exiftool_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path, "1.jpg")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="Install it"):
        labels(tmp_path, "Species")


@pytest.mark.parametrize(
    ("photos", "sidecars", "expected"),
    [
        (["a.JPG"], ["a.JPG.XMP"], [["fox"]]),
        (["a.JPG"], ["a.XMP"], [["fox"]]),
        (["a.JPG"], ["a.jpg.xmp"], [["fox"]]),
        (["a.JPG", "a.jpg"], ["a.jpg.xmp"], [None, ["fox"]]),  # to the letter it is the other's
        (["a.JPG", "b.JPG"], ["a.JPG.xmp", "c.xmp"], [["fox"], None]),
    ],
)
def test_a_sidecar_is_of_its_photo_in_whatever_case(
    tmp_path: Path, photos: list[str], sidecars: list[str], expected: list[list[str] | None]
) -> None:
    for name in photos:
        photo(tmp_path, name)
    for name in sidecars:
        (tmp_path / "A" / name).write_text(sidecar(["fox"], ["Species|fox"]))
    assert labels(tmp_path, "Species") == expected


def test_sidecars_that_are_damaged_or_of_no_photo_are_said(tmp_path: Path) -> None:
    photo(tmp_path, "1.jpg", "-XMP-dc:Subject=fox")
    (tmp_path / "A/1.xmp").write_text(sidecar(["hare"], [])[:150])
    (tmp_path / "A/9.xmp").write_text(sidecar(["hare"], []))
    notes = read(tmp_path, format="photo_folder", keywords=["fox"]).facts.notes
    assert any("1 sidecars are damaged" in note and "A/1.xmp" in note for note in notes)
    assert any("of no photo here" in note and "A/9.xmp" in note for note in notes)


@pytest.mark.parametrize("written", ["Lynx boréal", "Lynx bore\u0301al"])
@pytest.mark.parametrize("wanted", ["Lynx boréal", "Lynx bore\u0301al"])
def test_keywords_are_one_in_both_forms_of_their_accents(tmp_path: Path, written: str, wanted: str) -> None:
    photo(tmp_path, "1.jpg", f"-XMP-dc:Subject={written}")
    assert labels(tmp_path, wanted) == [["Lynx boréal"]]


@pytest.mark.parametrize(
    "tag", ["-XMP-mediapro:CatalogSets=Species|hare", "-XMP-microsoft:LastKeywordXMP=Species/hare"]
)
def test_trees_are_read_as_each_program_writes_them(tmp_path: Path, tag: str) -> None:
    photo(tmp_path, "1.jpg", tag)
    assert labels(tmp_path, "Species/") == [["hare"]]


def test_a_keyword_in_another_case_is_said_and_is_no_label(tmp_path: Path) -> None:
    photo(tmp_path, "1.jpg", "-XMP-dc:Subject=fox")
    photo(tmp_path, "2.jpg", "-XMP-dc:Subject=Fox")
    catalog = read(tmp_path, format="photo_folder", keywords=["fox"])
    assert catalog.table["labels"].to_list() == [["fox"], None]
    assert any("1 photo has the keyword 'Fox', which is not 'fox'" in note for note in catalog.facts.notes)


def test_a_keyword_without_a_letter_is_refused(tmp_path: Path) -> None:
    photo(tmp_path, "1.jpg")
    with pytest.raises(UsageError, match="names no keyword"):
        labels(tmp_path, "|")
