"""Checks of files, and the tree of links that other tools read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trapline.catalog import AtRandom, ByLocation, Catalog, check_files, link_class_folders
from trapline.errors import DataError, UsageError
from trapline.formats import read


def picture(path: Path, seed: int, quality: int = 95) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8), np.uint8)
    Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(path, quality=quality)
    return path


def catalog_of(root: Path, rows: list[tuple[str, str, list[str] | None]]) -> Catalog:
    table = [{"media_id": media, "file_path": path, "labels": labels} for media, path, labels in rows]
    return Catalog.from_rows(table, root, "rows")


@pytest.fixture
def world(tmp_path: Path) -> Catalog:
    first = picture(tmp_path / "a.jpg", 1)
    (tmp_path / "same.jpg").write_bytes(first.read_bytes())
    picture(tmp_path / "alike.jpg", 1, quality=50)
    picture(tmp_path / "other.jpg", 2)
    (tmp_path / "text.jpg").write_text("no picture at all")
    (tmp_path / "cut.jpg").write_bytes(picture(tmp_path / "whole.jpg", 3).read_bytes()[:-900])
    return catalog_of(
        tmp_path,
        [
            ("a", "a.jpg", ["fox"]),
            ("same", "same.jpg", ["hare"]),
            ("alike", "alike.jpg", ["fox"]),
            ("other", "other.jpg", ["fox"]),
            ("again", "other.jpg", ["fox"]),
            ("text", "text.jpg", None),
            ("cut", "cut.jpg", None),
            ("gone", "gone.jpg", None),
        ],
    )


def test_the_quick_check_finds_what_names_and_bytes_tell(world: Catalog) -> None:
    seen: list[int] = []
    found = check_files(world, on_file=seen.append)
    assert found.missing == ("gone",)
    assert found.duplicates == (("a", "same"),)
    assert found.conflicts == (("a", "same"),)
    assert found.same_path == (("other", "again"),)
    assert found.unreadable == found.near_duplicates == ()
    assert sum(seen) == len(world)


def test_the_full_check_decodes_and_compares_pictures(world: Catalog) -> None:
    found = check_files(world, full=True)
    assert [media for media, _ in found.unreadable] == ["text"]
    assert [media for media, _ in found.damaged] == ["cut"]
    assert ("a", "same", "alike") in found.near_duplicates
    assert ("a", "same", "alike") in found.near_conflicts
    assert json.loads(json.dumps(found.as_dict()))["depth"] == "full"


def test_frames_of_one_event_are_alike_by_nature(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg", 1)
    picture(tmp_path / "2.jpg", 1, quality=50)
    rows = [{"media_id": name, "file_path": name, "event_id": "e"} for name in ("1.jpg", "2.jpg")]
    assert check_files(Catalog.from_rows(rows, tmp_path, "rows"), full=True).near_duplicates == ()


def photos(root: Path, names: list[str]) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_a_catalog_comes_back_from_its_class_folders(tmp_path: Path, kind: str) -> None:
    names = [f"S{n % 6}/IMG_{n // 6}.JPG" for n in range(24)]
    photos(tmp_path / "in", names)
    rows = [
        {"media_id": name, "file_path": name, "location_id": name[:2], "labels": [["fox", "blank"][n % 2]]}
        for n, name in enumerate(names)
    ]
    catalog = ByLocation().apply(Catalog.from_rows(rows, tmp_path / "in", "rows"))
    report = link_class_folders(catalog, tmp_path / "out", kind=kind)
    assert (report.made, report.kept, report.removed) == (24, 0, 0)
    assert report.renamed > 0
    again = link_class_folders(catalog, tmp_path / "out", kind=kind)
    assert (again.made, again.kept, again.removed) == (0, 24, 0)

    back = read(tmp_path / "out")
    columns = ("split", "labels")

    def said(world: Catalog) -> list[Any]:
        contents = [path.read_bytes() for path in world.paths()]
        return sorted(zip(contents, *(world.table[name].to_list() for name in columns), strict=True))

    assert said(back) == said(catalog)


def test_after_another_split_no_link_stays_in_the_part_it_left(tmp_path: Path) -> None:
    photos(tmp_path / "in", [f"S{n}/{n}.jpg" for n in range(9)])
    rows = [(f"m{n}", f"S{n}/{n}.jpg", ["fox"]) for n in range(9)]
    catalog = catalog_of(tmp_path / "in", rows)
    for seed in (1, 2, 3):
        done = AtRandom(seed=seed).apply(catalog)
        link_class_folders(done, tmp_path / "out")
        assert len(tree(tmp_path / "out")) == 9
        wanted = {f"{part}/fox/{path[3:]}" for part, path in done.table.select("split", "file_path").rows()}
        assert set(tree(tmp_path / "out")) == wanted


def test_what_cannot_be_linked_is_counted_or_refused(tmp_path: Path) -> None:
    photos(tmp_path / "in", ["a.jpg", "b.jpg"])
    report = link_class_folders(
        catalog_of(tmp_path / "in", [("a", "a.jpg", ["fox"]), ("b", "b.jpg", None)]), tmp_path / "o1"
    )
    assert (report.made, report.without_label) == (1, 1)
    for labels, complaint in (
        (["fox", "hare"], "several labels"),
        (["../fox"], "cannot name a folder"),
        (["a:b"], "cannot name"),
    ):
        with pytest.raises(DataError, match=complaint):
            link_class_folders(catalog_of(tmp_path / "in", [("a", "a.jpg", labels)]), tmp_path / "o2")
    with pytest.raises(DataError, match="is missing"):
        link_class_folders(catalog_of(tmp_path / "in", [("c", "c.jpg", ["fox"])]), tmp_path / "o2")


def test_files_that_are_no_links_of_ours_are_left_alone(tmp_path: Path) -> None:
    photos(tmp_path / "in", ["a.jpg"])
    catalog = catalog_of(tmp_path / "in", [("a", "a.jpg", ["fox"])])
    with pytest.raises(UsageError, match="holds other things"):
        link_class_folders(catalog, tmp_path / "in")
    link_class_folders(catalog, tmp_path / "out")
    record = tmp_path / "out" / ".trapline-links.json"
    record.write_text(json.dumps({"../in/a.jpg": "a.jpg"}))
    with pytest.raises(DataError, match="not written by Trapline"):
        link_class_folders(catalog, tmp_path / "out")
    assert (tmp_path / "in" / "a.jpg").exists()
    record.write_text(json.dumps({"own.jpg": "a.jpg"}))
    (tmp_path / "out" / "own.jpg").write_text("mine")
    link_class_folders(catalog, tmp_path / "out")
    assert (tmp_path / "out" / "own.jpg").exists()
