"""What lies on cards and disks beside the photos, and names that systems keep for themselves."""

from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import read, write
from trapline.prediction import Predictions


def photo(path: Path, number: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number, 0, 0)).save(path, "JPEG")
    return path


def predictions(catalog: Catalog, *labels: str) -> Predictions:
    """The labels one after the other are the answers of the media."""
    fixed = catalog.table.select(
        "media_id",
        "event_id",
        pl.lit(None, pl.Int64).alias("box"),
        "file_path",
        pl.lit("ok").alias("status"),
        pl.lit(None, pl.String).alias("reason"),
    )
    rest = 0.1 / max(1, len(labels) - 1)
    numbers = [
        pl.Series(
            label, [0.9 if row % len(labels) == index else rest for row in range(len(catalog))], pl.Float32
        )
        for index, label in enumerate(labels)
    ]
    return Predictions(fixed.hstack(numbers), labels, "media", "f" * 16, "single-label")


@pytest.mark.parametrize(
    "folder",
    ["#recycle", "@Recycle", "$Recycle.Bin/S-1-5", "RECYCLER", "@eaDir/a.jpg", "_gsdata_", "#snapshot/daily"],
)
def test_what_was_thrown_away_is_no_photo(tmp_path: Path, folder: str) -> None:
    photo(tmp_path / "A/1.jpg")
    photo(tmp_path / folder / "2.jpg")
    catalog = read(tmp_path)
    assert catalog.table["file_path"].to_list() == ["A/1.jpg"]
    assert any("1 hidden folders" in note for note in catalog.facts.notes)


def test_jpegs_are_photos_under_all_their_endings(tmp_path: Path) -> None:
    names = ["a.jfif", "b.JPE", "c.mpo"]
    for number, name in enumerate(names):
        photo(tmp_path / name, number)
    assert read(tmp_path).table["file_path"].to_list() == names


def test_a_folder_of_what_is_not_read_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.CR2").write_bytes(b"II*\0")
    (tmp_path / "b.HEIC").write_bytes(b"")
    with pytest.raises(DataError, match=r"left aside: 1 \.cr2 files, 1 \.heic files"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["~IMG_1.jpg", "~$x.jpg", "A/~/1.jpg"])
def test_a_tilde_is_part_of_a_name(tmp_path: Path, name: str) -> None:
    photo(tmp_path / name)
    assert read(tmp_path).table["file_path"].to_list() == [name]


LABELS = ["con", "NUL", "aux.txt", "..", ".hidden", "Deer ", "a/b", "x" * 300, "é" * 150, "-rf", "RECYCLER"]


def test_sorted_folders_are_ones_that_every_disk_takes_and_shows(tmp_path: Path) -> None:
    for number in range(len(LABELS)):
        photo(tmp_path / f"p/A/{number:02}.jpg", number)
    catalog = read(tmp_path / "p")
    write(predictions(catalog, *LABELS), catalog, tmp_path / "s", format="sorted")
    folders = {path.name for path in (tmp_path / "s").iterdir() if path.is_dir()}
    assert {"_con", "_NUL", "_aux.txt", "_.hidden", "Deer_", "a_b", "-rf", "_RECYCLER"} <= folders
    assert all(len(name.encode()) <= 255 and name[0] != "." for name in folders)
    back = read(tmp_path / "s").table
    assert back["labels"].null_count() == 0
    assert {label for own in back["labels"] for label in own} == set(LABELS)


def test_two_forms_of_a_label_would_share_a_folder(tmp_path: Path) -> None:
    photo(tmp_path / "p/1.jpg")
    catalog = read(tmp_path / "p")
    with pytest.raises(DataError, match="would share the folder"):
        write(predictions(catalog, "é", "e\u0301"), catalog, tmp_path / "s", format="sorted")


def test_a_name_as_long_as_disks_take_has_its_sidecar_or_costs_itself_alone(tmp_path: Path) -> None:
    photo(tmp_path / "p" / ("x" * 247 + ".jpg"), 1)  # with .xmp 255 bytes
    photo(tmp_path / "p" / ("y" * 249 + ".jpg"), 2)
    photo(tmp_path / "p/1.jpg", 3)
    catalog = read(tmp_path / "p")
    report = write(predictions(catalog, "fox"), catalog, tmp_path / "s", format="xmp")
    assert sorted(path.name[0] for path in (tmp_path / "s").iterdir()) == ["1", "x"]
    assert report.rows == 2
    assert len(report.failed) == 1
    assert "too long" in report.failed[0]


def test_labels_that_are_patterns_elsewhere_are_labels(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / f"p/{number}.jpg", number)
    catalog = read(tmp_path / "p")
    made = predictions(catalog, "*", "^fox$", "fox")
    assert made.probabilities().shape == (3, 3)
    assert write(made, catalog, tmp_path / "s.csv", format="summary").rows == 3


def test_columns_that_are_patterns_elsewhere_are_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("filepath,label,*,^x$\na.jpg,fox,1,2\n")
    catalog = read(tmp_path / "t.csv")
    assert catalog.table.select("column_3", "column_4").rows() == [("1", "2")]
    assert any("column 3, '*', is called 'column_3'" in note for note in catalog.facts.notes)
