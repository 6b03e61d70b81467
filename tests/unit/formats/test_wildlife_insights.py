"""Wildlife Insights' downloads: locations, epithets, blanks, who said it, sequences, files by their names."""

import csv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog
from trapline.errors import DataError, UsageError
from trapline.formats import read

IMAGES = [
    "project_id",
    "deployment_id",
    "image_id",
    "filename",
    "location",
    "is_blank",
    "identified_by",
    "wi_taxon_id",
    "class",
    "order",
    "family",
    "genus",
    "species",
    "common_name",
    "uncertainty",
    "timestamp",
    "number_of_objects",
    "cv_confidence",
    "license",
]
DEER = ("Mammalia", "Cetartiodactyla", "Cervidae", "Odocoileus", "virginianus", "White-tailed Deer")
OWL = ("Aves", "Strigiformes", "Strigidae", "Bubo", "virginianus", "Great Horned Owl")
PIG = ("Mammalia", "Artiodactyla", "Suidae", "Sus", "scrofa scrofa", "Domestic Pig")
DOVE = ("Aves", "Columbiformes", "Columbidae", "Leptotila", "", "Leptotila Species")
BIRD = ("Aves", "", "", "", "", "Bird")
VEHICLE = ("", "", "", "", "", "Vehicle")
BLANK = ("", "", "", "", "", "Blank")
NOTHING = ("", "", "", "", "", "")
NO_RESULT = ("No CV Result",) * 6
UNKNOWN = ("", "", "", "", "", "Unknown")


def image(
    number: int,
    taxon: Sequence[str] = DEER,
    *,
    deployment: str = "D1",
    project: str = "9",
    by: str = "Ana Lima",
    blank: str = "0",
    name: str | None = None,
) -> list[str]:
    address = f"gs://bucket_{project}__main/deployment/77/u{number}.jpg"
    time = f"2023-05-01 10:{number % 60:02}:00"
    file = name or f"IMG_{number:04}.JPG"
    return [
        project,
        deployment,
        f"u{number}",
        file,
        address,
        blank,
        by,
        "t",
        *taxon,
        "",
        time,
        "1",
        "",
        "CC0",
    ]


def put(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def download(tmp_path: Path) -> Callable[..., Path]:
    """Writes a download; its deployments are D1 at Ridge and D2 at Creek."""

    def write(images: Sequence[Sequence[str]], *, kind: str = "Image", name: str = "images.csv") -> Path:
        folder = tmp_path / "wi"
        put(folder / "projects.csv", ["project_id", "project_name", "project_type"], [["9", "P", kind]])
        put(folder / "cameras.csv", ["project_id", "camera_id", "make"], [["9", "c1", "Bushnell"]])
        put(
            folder / "deployments.csv",
            ["project_id", "deployment_id", "placename", "longitude", "latitude", "start_date", "end_date"],
            [
                ["9", deployment, spot, "-77.2", "3.5", "", ""]
                for deployment, spot in (("D1", "Ridge"), ("D2", "Creek"))
            ],
        )
        put(folder / name, IMAGES, images)
        return folder

    return write


def labels_of(catalog: Catalog) -> list[list[str] | None]:
    return catalog.table["labels"].to_list()


def test_the_place_is_the_deployments_and_the_epithet_stands_behind_its_genus(
    download: Callable[..., Path],
) -> None:
    taxa = [DEER, OWL, PIG, DOVE, BIRD, VEHICLE, BLANK, NOTHING, NO_RESULT, UNKNOWN]
    catalog = read(download([image(n, taxon, deployment=f"D{1 + n % 2}") for n, taxon in enumerate(taxa)]))
    assert catalog.facts.format is not None
    assert catalog.facts.format.name == "wildlife_insights"
    assert catalog.table["location_id"].to_list() == ["Ridge", "Creek"] * 5
    names = [
        "Odocoileus virginianus",
        "Bubo virginianus",
        "Sus scrofa scrofa",
        "Leptotila",
        "Aves",
        "Vehicle",
    ]
    assert labels_of(catalog) == [*([name] for name in names), ["blank"], None, None, None]
    assert catalog.table["media_id"].to_list() == [f"u{n}" for n in range(10)]
    assert catalog.table["url"][0].startswith("gs://bucket_9__main/")
    assert any(note.startswith("3 rows name nothing") for note in catalog.facts.notes)


def test_common_names_where_they_are_asked_for(download: Callable[..., Path]) -> None:
    folder = download([image(1), image(2, BIRD), image(3, BLANK), image(4, (*OWL[:5], ""))])
    assert labels_of(read(folder, label_names="common")) == [
        ["White-tailed Deer"],
        ["Bird"],
        ["blank"],
        ["Bubo virginianus"],
    ]
    with pytest.raises(UsageError):
        read(folder, label_names="latin")


@pytest.mark.parametrize("said", ["1", "true", "TRUE", "Yes"])
def test_what_is_said_to_be_blank_is_blank(download: Callable[..., Path], said: str) -> None:
    assert labels_of(read(download([image(1, NOTHING, blank=said), image(2)])))[0] == ["blank"]


def test_a_row_that_is_blank_and_a_taxon_is_listed_and_its_photo_stays(download: Callable[..., Path]) -> None:
    folder = download([image(1, blank="1"), image(2)])
    catalog = read(folder)
    assert labels_of(catalog) == [None, ["Odocoileus virginianus"]]
    assert catalog.facts.rejected is not None
    (row,) = catalog.facts.rejected.rows
    assert (row.where, row.reason) == (
        "images.csv line 2",
        "is said to be blank and to be 'Odocoileus virginianus'",
    )
    with pytest.raises(DataError, match=r"images\.csv line 2"):
        read(folder, strict=True)


def test_a_machines_word_is_no_persons(download: Callable[..., Path]) -> None:
    folder = download(
        [
            image(1),
            image(2, OWL, by="Computer vision"),
            image(3, BIRD, by="Computer Vision"),
            image(4, BLANK, by=""),
        ]
    )
    catalog = read(folder)
    assert labels_of(catalog) == [["Odocoileus virginianus"], None, None, ["blank"]]
    assert any(note.startswith("2 identifications are by computer vision") for note in catalog.facts.notes)
    assert labels_of(read(folder, classified_by="machine")) == [None, ["Bubo virginianus"], ["Aves"], None]
    assert labels_of(read(folder, classified_by="all"))[1:3] == [["Bubo virginianus"], ["Aves"]]


def test_rows_of_one_image_are_labels_of_one_media_also_in_tables_cut_in_two(
    download: Callable[..., Path],
) -> None:
    folder = download([image(1), image(2)], name="images_9_1.csv")
    put(folder / "images_9_2.csv", IMAGES, [image(1, OWL), image(3), image(2)])
    catalog = read(folder)
    assert labels_of(catalog) == [
        ["Odocoileus virginianus", "Bubo virginianus"],
        *[["Odocoileus virginianus"]] * 2,
    ]
    assert any(note.startswith("1 row of images is repeated") for note in catalog.facts.notes)
    alone = read(folder / "images_9_1.csv")
    assert len(alone) == 2
    assert any("images_9_2.csv beside images_9_1.csv is not read" in note for note in alone.facts.notes)


def test_a_deployment_that_is_not_there_is_listed_and_the_rest_goes_on(download: Callable[..., Path]) -> None:
    catalog = read(download([image(1), image(2, deployment="D7")]))
    assert catalog.table["media_id"].to_list() == ["u1"]
    assert catalog.facts.rejected is not None
    assert "deployment 'D7'" in catalog.facts.rejected.rows[0].reason
    with pytest.raises(DataError, match="deployment 'D7'"):
        read(download([image(2, deployment="D7")]))


def test_images_alone_have_their_deployments_for_locations_and_that_is_said(tmp_path: Path) -> None:
    path = put(tmp_path / "images.csv", IMAGES, [image(n, deployment=f"D{n % 2}") for n in range(6)])
    catalog = read(path)
    assert catalog.table["location_id"].to_list() == ["D0", "D1"] * 3
    assert any("no deployments.csv" in note for note in catalog.facts.notes)


def test_projects_that_share_names_are_told_apart(download: Callable[..., Path]) -> None:
    folder = download([image(1), image(2, project="8"), image(3, deployment="D2")])
    names = ["project_id", "deployment_id", "placename", "longitude", "latitude"]
    rows = [["9", "D1", "Ridge", "1", "1"], ["9", "D2", "Creek", "1", "2"], ["8", "D1", "Ridge", "5", "5"]]
    put(folder / "deployments.csv", names, rows)
    table = read(folder).table
    assert table["location_id"].to_list() == ["9/Ridge", "8/Ridge", "Creek"]
    assert table["deployment_id"].to_list() == ["9/D1", "8/D1", "D2"]
    rows[2][3:] = ["1", "1"]  # one spot in two projects is one location
    put(folder / "deployments.csv", names, rows)
    assert read(folder).table["location_id"].to_list() == ["Ridge", "Ridge", "Creek"]


@pytest.mark.parametrize(
    ("layout", "how"),
    [
        ("{file}", "deployment and file name"),
        ("photos/{deployment}/{file}", "deployment and file name"),
        ("{place}/{file}", "placename and file name"),
        ("any/{file}", "file name"),
        ("deployment/77/{id}.jpg", "address"),
        ("in/{id}.jpg", "address's last part"),
    ],
)
def test_photos_are_known_by_the_name_that_fits_them(
    download: Callable[..., Path], layout: str, how: str
) -> None:
    folder = download([image(n, deployment=f"D{n}") for n in (1, 2)])
    where = {1: ("D1", "Ridge"), 2: ("D2", "Creek")}
    paths = [
        layout.format(file=f"IMG_{n:04}.JPG", deployment=where[n][0], place=where[n][1], id=f"u{n}")
        for n in (1, 2)
    ]
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    catalog = read(folder)
    assert catalog.table["file_path"].to_list() == paths
    assert any(
        f"the files of 2 of 2 images are below {folder}, by their {how}" in n for n in catalog.facts.notes
    )
    elsewhere = folder.rename(folder.with_name("moved"))
    tables = folder.with_name("tables")
    tables.mkdir()
    for file in elsewhere.glob("*.csv"):
        file.rename(tables / file.name)
    assert read(tables, root=elsewhere).table["file_path"].to_list() == paths


def test_names_that_several_cameras_use_are_told_apart_by_their_folders(
    download: Callable[..., Path],
) -> None:
    folder = download([image(n, deployment=f"D{n}", name="IMG_0001.JPG") for n in (1, 2)])
    for deployment in ("D1", "D2"):
        (folder / deployment).mkdir()
        (folder / deployment / "IMG_0001.JPG").write_bytes(b"")
    assert read(folder).table["file_path"].to_list() == ["D1/IMG_0001.JPG", "D2/IMG_0001.JPG"]


SEQUENCE_IMAGES = [
    "project_id",
    "deployment_id",
    "image_id",
    "filename",
    "sequence_id",
    "location",
    "wi_taxon_id",
    "class",
    "order",
    "family",
    "genus",
    "species",
    "common_name",
    "timestamp",
]
SEQUENCES = [
    "project_id",
    "deployment_id",
    "sequence_id",
    "is_blank",
    "identified_by",
    "wi_taxon_id",
    "class",
    "order",
    "family",
    "genus",
    "species",
    "common_name",
    "uncertainty",
    "start_time",
    "end_time",
    "group_size",
]


def test_what_is_said_of_a_sequence_is_said_of_the_sequence(download: Callable[..., Path]) -> None:
    folder = download([image(1)], kind="Sequence")
    rows = [
        [
            "9",
            "D1",
            f"u{n}",
            f"{n}.jpg",
            f"s{n // 2}",
            f"gs://b/{n}.jpg",
            "",
            *NOTHING,
            f"2023-05-01 10:0{n}:00",
        ]
        for n in range(6)
    ]
    put(folder / "images.csv", SEQUENCE_IMAGES, rows)
    told = [("s0", "0", "Ana", DEER), ("s0", "0", "Ana", OWL), ("s1", "1", "Ana", NOTHING)]
    told += [("s2", "0", "Computer Vision", BIRD)]
    put(
        folder / "sequences.csv",
        SEQUENCES,
        [["9", "D1", name, blank, by, "", *taxon, "", "", "", "2"] for name, blank, by, taxon in told],
    )
    catalog = read(folder)
    assert catalog.table["event_id"].to_list() == ["s0", "s0", "s1", "s1", "s2", "s2"]
    both = ["Odocoileus virginianus", "Bubo virginianus"]
    assert catalog.table["event_labels"].to_list() == [both, both, ["blank"], ["blank"], None, None]
    assert catalog.table["labels"].null_count() == 6
    assert labels_of(read(folder, event_labels=True))[:3] == [both, both, ["blank"]]
    machine = read(folder, classified_by="machine").table["event_labels"].to_list()
    assert machine == [None] * 4 + [["Aves"]] * 2


def test_images_that_repeat_their_sequences_labels_have_none_of_their_own(tmp_path: Path) -> None:
    put(tmp_path / "projects.csv", ["project_id", "project_type"], [["9", "Sequence"]])
    put(tmp_path / "images.csv", [*IMAGES, "sequence_id"], [[*image(n), f"s{n // 2}"] for n in range(4)])
    catalog = read(tmp_path)
    assert catalog.table["labels"].null_count() == 4
    assert catalog.table["event_labels"].to_list() == [["Odocoileus virginianus"]] * 4


@pytest.mark.parametrize("inner", ["", "project_9/"])
def test_a_zip_is_read_as_its_folder_would_be(
    download: Callable[..., Path], tmp_path: Path, inner: str
) -> None:
    folder = download([image(1), image(2, OWL, deployment="D2")])
    archive = tmp_path / "wi.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.glob("*.csv"):
            file.write(path, f"{inner}{path.name}")
            file.writestr(f"__MACOSX/{inner}._{path.name}", b"\0\5\26\7")
    assert read(archive).table.equals(read(folder).table)


def test_a_download_in_a_folder_of_its_own_is_known(download: Callable[..., Path]) -> None:
    folder = download([image(1), image(2)])
    outer = folder.parent / "outer"
    outer.mkdir()
    folder.rename(outer / "wi")
    assert read(outer).table["location_id"].to_list() == ["Ridge", "Ridge"]


@pytest.mark.parametrize(
    "gone", [["images.csv"], ["images.csv", "projects.csv"], ["images.csv", "cameras.csv"]]
)
def test_a_download_without_its_images_is_refused_and_no_folder_of_photos(
    download: Callable[..., Path], gone: list[str]
) -> None:
    folder = download([image(1)])
    (folder / "photo.jpg").write_bytes(b"")
    for name in gone:
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"has no images\.csv beside .*deployments\.csv"):
        read(folder)


def test_a_deployment_at_two_places_is_refused(download: Callable[..., Path]) -> None:
    folder = download([image(1)])
    put(folder / "deployments.csv", ["deployment_id", "placename"], [["D1", "Ridge"], ["D1", "Creek"]])
    with pytest.raises(DataError, match="'D1' twice, at Ridge and Creek"):
        read(folder)


def test_columns_that_cannot_be_theirs_are_refused_and_missing_ranks_are_not_missed(tmp_path: Path) -> None:
    header = ["deployment_id", "image_id", "is_blank", "identified_by"]
    rows = [["D1", f"u{n}", str(n % 2), "Ana"] for n in range(3)]
    catalog = read(put(tmp_path / "images.csv", header, rows))
    assert labels_of(catalog) == [None, ["blank"], None]
    assert catalog.table["file_path"].to_list() == ["u0", "u1", "u2"]
    for name, complaint in (("media_id", "column 'media_id'"), ("url", "has both location and url")):
        odd = put(tmp_path / f"{name}.csv", [*header, "location", name], [[*row, "a", "b"] for row in rows])
        with pytest.raises(DataError, match=complaint):
            read(odd)


def test_tables_that_a_browser_renamed_are_read_and_those_twice_count_once(
    download: Callable[..., Path],
) -> None:
    folder = download([image(1), image(2)], name="images_9.csv")
    put(folder / "images_9 (1).csv", IMAGES, [image(1), image(2)])
    put(folder / "images_10(2).csv", IMAGES, [image(3)])
    assert len(read(folder)) == 3
