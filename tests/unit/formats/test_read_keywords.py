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
    assert any("1 photos have keywords below 'Trapline'" in note for note in catalog.facts.notes)
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
