"""Photos that have moved are found where that is certain, and nowhere else."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog, identify, relocate
from trapline.errors import DataError
from trapline.formats import read

NAMES = ("S1/A/IMG_0001.jpg", "S1/A/IMG_0002.jpg", "S1/B/IMG_0001.jpg", "S2/A/IMG_0001.jpg")


def fill(root: Path, names: tuple[str, ...] = NAMES, extra: bytes = b"") -> Catalog:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode() + extra)
    return Catalog.from_rows([{"media_id": name, "file_path": name} for name in names], root, "files")


def found(catalog: Catalog) -> list[str]:
    return [path.read_bytes().decode() for path in catalog.paths() if path.is_file()]


def test_the_same_tree_elsewhere_is_found_by_its_paths(tmp_path: Path) -> None:
    catalog = fill(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    moved = relocate(catalog, tmp_path / "two")
    assert (moved.root, found(moved)) == (tmp_path / "two", list(NAMES))
    assert moved.table.equals(catalog.table)
    assert moved.facts.notes[-1] == f"media looked for in {tmp_path / 'two'}: 4 at their paths"


def test_photos_that_were_tagged_are_found_at_their_paths_and_under_other_names(tmp_path: Path) -> None:
    names = [f"A/IMG_{number:04}.JPG" for number in range(4)]
    for number, name in enumerate(names):
        (tmp_path / "one/A").mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 60 * number).save(tmp_path / "one" / name)
    rows = [{"media_id": name, "file_path": name} for name in names]
    catalog = identify(Catalog.from_rows(rows, tmp_path / "one", "files"))
    (tmp_path / "two/A").mkdir(parents=True)
    comment = b"\xff\xfe\x00\x05fox"
    for number, name in enumerate(names):
        data = (tmp_path / "one" / name).read_bytes()
        target = name if number < 2 else f"{number}.jpeg"
        (tmp_path / "two" / target).write_bytes(data[:2] + comment + data[2:])
    moved = relocate(catalog, tmp_path / "two")
    assert moved.table["file_path"].to_list() == [*names[:2], "2.jpeg", "3.jpeg"]
    assert moved.facts.notes[-1].endswith("2 at their paths, 2 by their content")


def test_what_was_read_whole_is_found_under_any_name_and_a_stranger_at_its_path_is_not_it(
    tmp_path: Path,
) -> None:
    catalog = identify(fill(tmp_path / "one"))
    for number, name in enumerate(NAMES):
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "one" / name).rename(tmp_path / "two" / f"{number:04}.jpeg")
    fill(tmp_path / "two", NAMES[:2], extra=b" but another photo")
    moved = relocate(catalog, tmp_path / "two")
    assert found(moved) == list(NAMES)
    assert moved.table["media_id"].to_list() == list(NAMES)
    assert "4 by their content" in moved.facts.notes[-1]


@pytest.mark.parametrize("into", ["", "disk/", "disk/2020/"])
def test_a_folder_that_was_moved_whole_is_found_although_photos_count_from_1_everywhere(
    tmp_path: Path, into: str
) -> None:
    catalog = fill(tmp_path / "one")
    fill(tmp_path / "two" / into, NAMES[:3])
    fill(tmp_path / "two", ("elsewhere/A/IMG_0009.jpg", "elsewhere/IMG_0001.jpg"))
    moved = relocate(catalog, tmp_path / "two")
    assert found(moved) == list(NAMES[:3])
    assert "1 are not there (S2/A/IMG_0001.jpg)" in moved.facts.notes[-1]


def test_a_folder_that_could_be_in_two_places_is_not_guessed(tmp_path: Path) -> None:
    catalog = fill(tmp_path / "one", NAMES[2:])
    fill(tmp_path / "two" / "x", NAMES[2:3])
    fill(tmp_path / "two" / "y", NAMES[2:3])
    fill(tmp_path / "two", NAMES[3:])
    moved = relocate(catalog, tmp_path / "two")
    assert found(moved) == [NAMES[3]]


def test_photos_of_another_time_are_not_those_of_the_catalog(tmp_path: Path) -> None:
    def photo(path: Path, time: datetime) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = time.strftime("%Y:%m:%d %H:%M:%S")
        Image.new("RGB", (32, 24)).save(path, exif=exif)

    noon = datetime(2020, 5, 1, 12)
    for number in range(3):
        photo(tmp_path / f"one/A/IMG_000{number}.JPG", noon + timedelta(minutes=number))
        photo(tmp_path / f"two/old/A/IMG_000{number}.JPG", noon + timedelta(minutes=number))
        photo(tmp_path / f"two/new/A/IMG_000{number}.JPG", noon + timedelta(days=1, minutes=number))
    moved = relocate(read(tmp_path / "one"), tmp_path / "two")
    assert moved.table["file_path"].str.starts_with("old/A/").all()


def test_letters_written_otherwise_are_the_same_name_where_one_file_alone_can_be_meant(
    tmp_path: Path,
) -> None:
    catalog = fill(tmp_path / "one", ("Höhle/IMG_1.JPG", "a/x.jpg"))  # composed
    fill(tmp_path / "two", ("Ho\u0308hle/img_1.jpg", "A/x.jpg", "a/X.jpg"))  # decomposed
    moved = relocate(catalog, tmp_path / "two")
    assert moved.table["file_path"].to_list() == ["Ho\u0308hle/img_1.jpg", "a/x.jpg"]


def test_a_folder_without_any_of_the_photos_is_refused(tmp_path: Path) -> None:
    catalog = fill(tmp_path / "one")
    (tmp_path / "two").mkdir()
    with pytest.raises(DataError, match=r"None of the 4 media is in .*S1/A/IMG_0001\.jpg"):
        relocate(catalog, tmp_path / "two")
    with pytest.raises(DataError, match="does not exist"):
        relocate(catalog, tmp_path / "three")


def test_a_saved_catalog_is_read_with_another_root(tmp_path: Path) -> None:
    fill(tmp_path / "one").save(tmp_path / "old.parquet")
    (tmp_path / "one").rename(tmp_path / "two")
    moved = read(tmp_path / "old.parquet", root=tmp_path / "two", content=True)
    assert found(moved) == list(NAMES)
    assert moved.table["content_hash"].null_count() == 0
    assert moved.table.schema["content_hash"] == pl.String
