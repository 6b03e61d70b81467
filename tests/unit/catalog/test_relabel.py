"""What people decided comes back onto its media, whatever became of the names."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from trapline.catalog import Catalog, relabel
from trapline.errors import DataError


def catalog_of(root: Path, rows: list[tuple[str, bytes | None, list[str] | None]]) -> Catalog:
    table: list[dict[str, Any]] = []
    for name, content, labels in rows:
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        table.append({"media_id": name, "file_path": name, "labels": labels})
    return Catalog.from_rows(table, root, root.name)


def test_labels_follow_the_content_and_then_the_name(tmp_path: Path) -> None:
    catalog = catalog_of(
        tmp_path / "photos",
        [
            ("A/1", b"one", ["fox"]),
            ("A/2", b"two", None),
            ("A/3", b"three", ["hare"]),
            ("A/4", b"4", ["cat"]),
        ],
    )
    corrected = catalog_of(
        tmp_path / "sorted",
        [
            ("deer/x", b"one", ["deer"]),  # moved and renamed
            ("deer/2 (1)", b"two", ["deer"]),
            ("A/3", b"three, with a keyword in it", ["marten"]),  # its bytes changed
            ("deer/new", b"never seen", ["deer"]),
            ("unclassified/4", b"4", None),
        ],
    )
    found = relabel(catalog, corrected)
    assert found.table["labels"].to_list() == [["deer"], ["deer"], ["marten"], ["cat"]]
    assert found.table["media_id"].to_list() == catalog.table["media_id"].to_list()
    assert found.facts.notes[-1] == (
        "labels of sorted: put on 3 media, 2 of which had others; 1 of them by their names, though they are "
        "other files than here (A/3); 1 labelled photos are not of this catalog (deer/new)"
    )


def test_copies_under_two_labels_are_one_photo_with_both(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "photos", [("1", b"one", None), ("again", b"one", None)])
    both = catalog_of(tmp_path / "s", [("fox/1", b"one", ["fox"]), ("hare/1", b"one", ["hare"])])
    assert relabel(catalog, both).table["labels"].to_list() == [["fox", "hare"]] * 2


def test_copies_that_are_called_blank_and_something_else_change_nothing(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "photos", [("1", b"one", ["fox"]), ("2", b"two", None)])
    both = catalog_of(
        tmp_path / "s",
        [("blank/1", b"one", ["blank"]), ("hare/1", b"one", ["hare"]), ("blank/2", b"two", ["blank"])],
    )
    back = relabel(catalog, both)
    assert back.table["labels"].to_list() == [["fox"], ["blank"]]
    assert "1 are labelled both blank and otherwise and stay as they were (1)" in back.facts.notes[-1]


def test_another_photo_of_the_same_name_takes_no_label_from_one_that_is_known_by_its_content(
    tmp_path: Path,
) -> None:
    catalog = catalog_of(tmp_path / "photos", [("IMG_1", b"one", ["fox"]), ("B/IMG_1", b"two", ["cat"])])
    moved = catalog_of(tmp_path / "s", [("IMG_1", b"two", ["hare"])])
    assert relabel(catalog, moved).table["labels"].to_list() == [["fox"], ["hare"]]


def test_where_contents_are_not_known_that_is_said_with_what_helps(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "photos", [("1", b"one", None)])
    gone = catalog_of(tmp_path / "s", [("fox/9", None, ["fox"])])
    with pytest.raises(DataError, match=r"Of 1 of the photos of .* the content is not known.*--content"):
        relabel(catalog, gone)


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "photos", [("1", b"one", None)])
    with pytest.raises(DataError, match="neither by content nor by name"):
        relabel(catalog, catalog_of(tmp_path / "s", [("fox/9", b"nine", ["fox"])]))
    with pytest.raises(DataError, match="no labels"):
        relabel(catalog, catalog_of(tmp_path / "t", [("1", b"one", None)]))


@pytest.mark.parametrize("column", ["media_id", "file_path"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_whose_accents_are_written_otherwise_are_the_same(column: str, form: Any) -> None:
    names = ["Höhle/é1.jpg", "Höhle/é2.jpg"]
    ours = [unicodedata.normalize("NFD" if form == "NFC" else "NFC", name) for name in names]
    theirs = [unicodedata.normalize(form, name) for name in names]
    other = {"media_id": "file_path", "file_path": "media_id"}[column]
    catalog = Catalog.from_rows([{"media_id": name, "file_path": name} for name in ours], "/none", "ours")
    rows = [{column: name, other: f"x{n}", "labels": [f"l{n}"]} for n, name in enumerate(theirs)]
    found = relabel(catalog, Catalog.from_rows(rows, "/none", "theirs"))
    assert found.table["labels"].to_list() == [["l0"], ["l1"]]


def test_other_files_of_the_same_names_are_taken_and_said(tmp_path: Path) -> None:
    rows: list[tuple[str, bytes | None, list[str] | None]]
    rows = [("IMG_1.JPG", b"one", ["deer"]), ("IMG_2.JPG", b"two", None), ("IMG_3.JPG", b"", None)]
    catalog = catalog_of(tmp_path / "card", rows)
    other = catalog_of(
        tmp_path / "other", [(name, content and content[::-1], ["fox"]) for name, content, _ in rows]
    )
    note = relabel(catalog, other).facts.notes[-1]
    assert "2 of them by their names, though they are other files than here (IMG_1.JPG)" in note
    assert "by their names" not in relabel(catalog, catalog).facts.notes[-1]
