"""What a column is: record tables of camtrapR, folders beside names, ids as locations, ranks of taxa."""

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import read

RECORD = [
    "Station",
    "Species",
    "DateTimeOriginal",
    "Date",
    "Time",
    "delta.time.secs",
    "Directory",
    "FileName",
]


def put(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def notes_of(catalog: Catalog, word: str) -> list[str]:
    return [note for note in catalog.facts.notes if word in note]


def records(folder: str, station: str, *names: str, species: str = "PBE") -> list[list[Any]]:
    return [
        [station, species, f"2009-04-1{n} 05:00:00", f"2009-04-1{n}", "05:00:00", 0, folder, name]
        for n, name in enumerate(names)
    ]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_record_tables_folder_tells_apart_names_that_every_camera_uses(tmp_path: Path, end: str) -> None:
    rows = [
        row
        for station in ("A", "B")
        for row in records(f"raw/{station}{end}", station, "IMG_0001.JPG", "IMG_0002.JPG")
    ]
    rows.append([*rows[0][:1], "VTA", *rows[0][2:]])
    catalog = read(put(tmp_path / "recordTable.csv", RECORD, rows))
    table = catalog.table
    assert table["file_path"].to_list() == [f"raw/{s}/IMG_000{n}.JPG" for s in "AB" for n in (1, 2)]
    assert table["labels"].to_list() == [["PBE", "VTA"], ["PBE"], ["PBE"], ["PBE"]]
    assert table["location_id"].to_list() == ["A", "A", "B", "B"]
    assert table["camera_time"].null_count() == 0
    assert notes_of(catalog, "folder from 'Directory'")


@pytest.mark.parametrize(
    "above", ["C:\\Users\\ana\\project\\raw", "/home/ana/project/raw", "raw", "../other/raw", "D:/raw"]
)
def test_folders_of_another_computer_are_matched_by_their_ends(tmp_path: Path, above: str) -> None:
    slash = "\\" if "\\" in above else "/"
    for station in "AB":
        file = tmp_path / "photos" / station / "IMG_0001.JPG"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
    rows = [row for station in "AB" for row in records(f"{above}{slash}{station}", station, "IMG_0001.JPG")]
    path = put(tmp_path / "tables" / "recordTable.csv", RECORD, rows)
    catalog = read(path, root=tmp_path / "photos")
    assert catalog.table["file_path"].to_list() == ["A/IMG_0001.JPG", "B/IMG_0001.JPG"]
    assert notes_of(catalog, "2 of 2 paths are of another folder and were matched by their ends")


def test_a_name_that_could_be_two_photos_is_no_guess(tmp_path: Path) -> None:
    for folder in (".", "A"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "IMG_0001.JPG").write_bytes(b"")
    path = put(tmp_path / "t.csv", RECORD, records("/mnt/A", "A", "IMG_0001.JPG"))
    with pytest.raises(DataError, match="could be any of 2 media"):
        read(path)


def test_paths_with_folders_keep_a_column_of_folders_as_it_is(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", ["filepath", "folder"], [["a/1.jpg", "a"], ["b/1.jpg", "b"]])
    table = read(path).table
    assert table["file_path"].to_list() == ["a/1.jpg", "b/1.jpg"]
    assert table["folder"].to_list() == ["a", "b"]
    asked = read(path, columns={"folder": "folder"}).table
    assert asked["file_path"].to_list() == ["a/a/1.jpg", "b/b/1.jpg"]
    names = put(tmp_path / "u.csv", ["filename", "directory"], [["1.jpg", "x"], ["2.jpg", ""]])
    assert read(names).table["file_path"].to_list() == ["x/1.jpg", "2.jpg"]
    assert read(names, columns={"folder": ""}).table["file_path"].to_list() == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["gs://bucket/a.jpg", "gs://bucket/b.jpg", "gs://bucket/b.jpg"], "it holds addresses"),
        (["https://x.org/1", "https://x.org/2", None], "it holds addresses"),
        ([f"POINT({n} 1)" for n in range(7)], "each of 7 photos has one of its own"),
        ([f"id-{n}" for n in range(5)], "each of 5 photos has one of its own"),
    ],
)
def test_addresses_and_ids_are_no_locations(tmp_path: Path, values: list[str | None], why: str) -> None:
    rows = [[f"{n}.jpg", value, f"S{n % 2}"] for n, value in enumerate(values)]
    path = put(tmp_path / "t.csv", ["filepath", "location", "site"], rows)
    catalog = read(path)
    assert catalog.table["location_id"].to_list() == [f"S{n % 2}" for n in range(len(values))]
    assert catalog.table["location"].to_list() == values
    assert notes_of(catalog, f"'location' is no location: {why}")
    asked = read(path, columns={"location": "location"})
    assert asked.table["location_id"].to_list() == values
    assert not notes_of(asked, "is no location")


@pytest.mark.parametrize(
    "values", [["A", "B", "C", "D"], ["A", "A", "B", "C", "D"], ["A", "B", "C", "D", "A", "E"]]
)
def test_few_photos_or_any_two_of_one_place_have_locations(tmp_path: Path, values: list[str]) -> None:
    path = put(tmp_path / "t.csv", ["filepath", "location"], [[f"{n}.jpg", v] for n, v in enumerate(values)])
    assert read(path).table["location_id"].to_list() == values


def test_stations_that_number_their_photos_alike_are_locations(tmp_path: Path) -> None:
    rows = [row for s in "ABCDE" for row in records(f"raw/{s}", s, *(f"IMG_{n}.JPG" for n in range(5)))]
    assert read(put(tmp_path / "t.csv", RECORD, rows)).table["location_id"].n_unique() == 5


def test_a_column_of_addresses_is_no_path_where_another_is(tmp_path: Path) -> None:
    header, rows = ["filepath", "image"], [["https://x.org/1.jpg", "1.jpg"], ["https://x.org/2.jpg", "2.jpg"]]
    path = put(tmp_path / "t.csv", header, rows)
    assert read(path).table["file_path"].to_list() == ["1.jpg", "2.jpg"]
    alone = put(tmp_path / "u.csv", header[:1], [row[:1] for row in rows])
    with pytest.raises(DataError, match="'filepath' is no path: it holds addresses"):
        read(alone)


TAXA = [
    # genus, species, common name, label
    ("Odocoileus", "virginianus", "White-tailed deer", "Odocoileus virginianus"),
    ("Bubo", "virginianus", "Great horned owl", "Bubo virginianus"),
    ("Vulpes", "vulpes", "Red fox", "Vulpes vulpes"),
    ("Sus", "scrofa scrofa", "Domestic pig", "Sus scrofa scrofa"),
    ("Leptotila", "", "Leptotila species", "Leptotila"),
    ("Lepus", "sp.", "Hare", "Lepus"),
    ("", "", "Vehicle", "Vehicle"),
    ("", "", "blank", "blank"),
]


def test_species_beside_genus_is_an_epithet(tmp_path: Path) -> None:
    rows = [[f"{n}.jpg", genus, species, common] for n, (genus, species, common, _) in enumerate(TAXA)]
    path = put(tmp_path / "t.csv", ["filepath", "Genus", "Species", "Common name"], rows)
    catalog = read(path)
    assert catalog.table["labels"].to_list() == [[label] for *_, label in TAXA]
    assert catalog.table["Species"].to_list()[0] == "virginianus"
    assert notes_of(catalog, "labels are the finest taxa that the columns Genus, Species name together")
    alone = read(path, columns={"label": "Species"})
    assert alone.labels == ["scrofa scrofa", "sp.", "virginianus", "vulpes"]


@pytest.mark.parametrize(
    ("pairs", "labels"),
    [
        ([("Vulpes", "Vulpes vulpes"), ("Lepus", "Lepus europaeus")], ["Vulpes vulpes", "Lepus europaeus"]),
        ([("vulpes", "vulpes vulpes"), ("lepus", None)], ["vulpes vulpes", "lepus"]),
        ([("Vulpes", "Red fox"), ("Lepus", "Brown hare")], ["Red fox", "Brown hare"]),
        ([("Vulpes", "red fox"), ("Lepus", "brown hare")], ["red fox", "brown hare"]),
        ([("Vulpes", "V. vulpes"), ("Lepus", "L. europaeus")], ["V. vulpes", "L. europaeus"]),
        ([("Vulpes", "Vulpes vulpes"), ("Lepus", "europaeus")], ["Vulpes vulpes", "Lepus europaeus"]),
    ],
)
def test_whole_names_and_names_of_another_kind_stay_as_they_are(
    tmp_path: Path, pairs: list[tuple[str, str | None]], labels: list[str]
) -> None:
    rows = [[f"{n}.jpg", *pair] for n, pair in enumerate(pairs)]
    catalog = read(put(tmp_path / "t.csv", ["filepath", "genus", "species"], rows))
    assert catalog.table["labels"].to_list() == [[label] for label in labels]


def test_class_is_a_rank_beside_other_ranks_and_a_label_alone(tmp_path: Path) -> None:
    rows = [["1.jpg", "Mammalia", "Carnivora", "Canidae"], ["2.jpg", "Aves", "", ""]]
    ranks = put(tmp_path / "t.csv", ["filepath", "class", "order", "family"], rows)
    assert read(ranks).table["labels"].to_list() == [["Canidae"], ["Aves"]]
    alone = put(tmp_path / "u.csv", ["filepath", "class"], [row[:2] for row in rows])
    assert read(alone).table["labels"].to_list() == [["Mammalia"], ["Aves"]]


def test_a_column_called_label_stays_the_label(tmp_path: Path) -> None:
    rows = [["1.jpg", "fox", "Vulpes", "vulpes"]]
    path = put(tmp_path / "t.csv", ["filepath", "label", "genus", "species"], rows)
    assert read(path).labels == ["fox"]


@pytest.mark.parametrize("name", ["labels.csv", "inner/labels.tsv", "labels.txt"])
def test_a_zip_with_one_table_is_read_as_that(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "cards.zip", "w") as archive:
        archive.writestr(name, "path\tlabel\na/1.jpg\tfox\na/2.jpg\t\n")
        archive.writestr(f"__MACOSX/._{name}", b"\0\5\26\7")
        archive.writestr("a/1.jpg", b"")
    catalog = read(tmp_path / "cards.zip")
    assert catalog.table["labels"].to_list() == [["fox"], None]
    assert catalog.root == tmp_path / "cards"  # where it is unpacked


def test_a_zip_with_several_tables_is_asked_about(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cards.zip", "w") as archive:
        archive.writestr("read me.txt", "path: of the photo")
        archive.writestr("one.csv", "path\n1.jpg\n")
        archive.writestr("two.csv", "path\n2.jpg\n")
    with pytest.raises(DataError, match=r"holds 2 tables \(one\.csv, two\.csv\)"):
        read(tmp_path / "cards.zip")


@pytest.mark.field
def test_camtraprs_own_record_table_fits_its_own_photos(field: Path) -> None:
    folder = field / "ecology" / "camtrapr"
    catalog = read(folder / "recordTableSample.csv", root=folder / "sample_images_species_dir")
    assert len(catalog) == 39
    assert catalog.labels == ["EGY", "MNE", "PBE", "TRA", "VTA"]
    assert all((catalog.root / path).is_file() for path in catalog.table["file_path"])


def test_authors_are_no_part_of_an_epithet_and_what_is_undetermined_is_its_genus(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = ['a.jpg,Lepus,"europaeus Pallas, 1778"', 'b.jpg,Lepus,"Lepus europaeus Pallas, 1778"']
    rows += [
        'c.jpg,Vulpes,"vulpes (Linnaeus, 1758)"',
        "d.jpg,Lepus,Lepus sp.",
        "e.jpg,Lepus,spp.",
        "f.jpg,Canis,lupus",
    ]
    path.write_text("\n".join(["filepath,genus,species", *rows]))
    labels = read(path).table["labels"].list.first().to_list()
    assert labels == ["Lepus europaeus", "Lepus europaeus", "Vulpes vulpes", "Lepus", "Lepus", "Canis lupus"]
