"""Names as disks have them: two files are never one media, and no name ends a command."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ImageColor import getrgb

from trapline.catalog import Catalog, as_listed, as_name, as_text, link_class_folders, normal_paths
from trapline.errors import DataError
from trapline.evaluation import survey
from trapline.formats import WRITERS, join_boxes, read, undo_sorted, write
from trapline.models import ModelFile
from trapline.prediction import Predictions, as_catalog, predict, read_list
from trapline.prediction.table import FIXED

pytestmark = pytest.mark.skipif(os.name != "posix", reason="such names cannot be there")

PHOTOS = {
    b"a/b.jpg": "red",
    b"a\\b.jpg": "lime",
    "h\u00f6hle/1.jpg".encode(): "blue",
    "ho\u0308hle/1.jpg".encode(): "yellow",
    b"h\xf6hle/1.jpg": "white",
    b"IMG.JPG": "black",
    b"img.jpg": "aqua",
    b"caf\xe9.jpg": "gray",
    "caf\uefe9.jpg".encode(): "navy",
    b"sp ace /x.jpg": "olive",
    b"dots./y..jpg": "purple",
    b"new\nline\t.jpg": "teal",
    b"=1+1.jpg": "maroon",
}
"""Name on the disk → colour, by which the photo is known."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in PHOTOS.items():
        path = tmp_path / "photos" / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), colour).save(path)
    return tmp_path / "photos"


def colour_of(path: Path) -> str:
    with Image.open(path) as image:
        seen = image.convert("RGB").getpixel((16, 16))
    assert isinstance(seen, tuple)
    return min(
        PHOTOS.values(), key=lambda name: sum(abs(a - b) for a, b in zip(seen, getrgb(name), strict=True))
    )


def said_of(catalog: Catalog) -> Predictions:
    labels = ("fox", "blank")
    table = catalog.table.select("media_id", "event_id", box=None, file_path="file_path")
    table = table.with_columns(status=pl.lit("ok"), reason=None, fox=pl.lit(0.9), blank=pl.lit(0.1))
    table = table.cast({**FIXED, "fox": pl.Float32(), "blank": pl.Float32()})
    return Predictions(table, labels, "media", "0123456789abcdef", "single-label")


name_bytes = st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & {0, 47})


@given(st.one_of(name_bytes, st.text("a\\\uef5c\uef80\uefff\ue000é", min_size=1).map(str.encode)))
def test_every_name_leads_back_to_its_file(name: bytes) -> None:
    text = as_text(os.fsdecode(name))
    text.encode()  # a table can hold it
    assert "\\" not in text
    assert os.fsencode(as_name(text)) == name


@given(st.lists(name_bytes, min_size=2, unique=True))
def test_names_that_differ_stay_different(names: list[bytes]) -> None:
    assert len({as_text(os.fsdecode(name)) for name in names}) == len(names)


def test_each_photo_of_a_folder_is_a_media_of_its_own(folder: Path) -> None:
    catalog = read(folder)
    assert len(catalog) == len(PHOTOS)
    assert catalog.table["media_id"].is_unique().all()
    assert sorted(map(colour_of, catalog.paths())) == sorted(PHOTOS.values())
    assert "a\uef5cb.jpg" in catalog.table["file_path"]


def test_each_photo_gets_its_own_answer(folder: Path, tmp_path: Path, write_tiny_model: Any) -> None:
    model = ModelFile(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    catalog = read(folder)
    listed = tmp_path / "photos" / "list.txt"
    lines = [os.fsencode(as_name(path)) for path in catalog.table["file_path"] if "\n" not in path]
    predict(model, catalog, tmp_path / "p.csv")
    again = Predictions.load(tmp_path / "p.csv").table
    assert again["status"].to_list() == ["ok"] * len(PHOTOS)
    for path, *numbers in again.select("file_path", *model.card.labels).rows():
        alone = predict(model, [catalog.path(path)], tmp_path / "one.parquet", fresh=True)
        assert alone.probabilities()[0].tolist() == pytest.approx(numbers, abs=1e-6)
    listed.write_bytes(b"\n".join(line for line in lines if b"\xee" not in line))
    by_list = predict(model, as_catalog(read_list(listed)), tmp_path / "q.csv").table
    assert by_list["status"].to_list() == ["ok"] * (len(PHOTOS) - 2)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_no_name_ends_a_writer(name: str, folder: Path, tmp_path: Path, scene: Any) -> None:
    made = scene()
    catalog = read(folder)
    rows = catalog.table.with_columns(
        camera_time=pl.lit("2021-03-01").str.to_datetime("%Y-%m-%d", time_unit="us"),
        location_id=pl.lit("north"),
    )
    catalog = Catalog.from_rows(rows, catalog.root, "odd")
    suffix = WRITERS[name].endings[0] if WRITERS[name].endings else ".json"
    output = tmp_path / "out" / (f"o{suffix}" if WRITERS[name].into == "file" else "o")
    options = {"format": name, "taxonomy": made.taxonomy, **made.options.get(name, {})}
    if name == "camtrap-dp":  # the standard allows neither an end of a line nor two dots in a path
        with pytest.raises(DataError, match=r"the new row of media.csv for .*filePath"):
            write(said_of(catalog), catalog, output, **options)
        catalog = catalog.filter(~pl.col("file_path").str.contains(r"\n|\.\."))
    write(said_of(catalog), catalog, output, **options)
    assert output.exists()


@pytest.mark.parametrize("mode", ["symlink", "hardlink", "copy"])
def test_sorted_photos_are_called_as_they_were(mode: str, folder: Path, tmp_path: Path) -> None:
    catalog = read(folder)
    for _ in range(2):
        write(said_of(catalog), catalog, tmp_path / "sorted", format="sorted", mode=mode)
        for name, colour in PHOTOS.items():
            assert colour_of(tmp_path / "sorted" / "fox" / os.fsdecode(name)) == colour
        shutil.rmtree(tmp_path / "sorted") if mode == "copy" else undo_sorted(tmp_path / "sorted")
    assert not (tmp_path / "sorted").exists()


def test_sidecars_and_links_lie_where_their_photos_are(folder: Path, tmp_path: Path) -> None:
    catalog = read(folder)
    write(said_of(catalog), catalog, folder, format="xmp")
    assert all((folder / os.fsdecode(name + b".xmp")).is_file() for name in PHOTOS)
    labelled = catalog.with_table(catalog.table.with_columns(labels=["fox"]))
    for _ in range(2):
        link_class_folders(labelled, tmp_path / "links")
    found = sorted(colour_of(path) for path in (tmp_path / "links" / "fox").iterdir())
    assert found == sorted(PHOTOS.values())


def test_a_report_of_odd_names_can_be_written(folder: Path, tmp_path: Path) -> None:
    catalog = Catalog.load(read(folder).save(tmp_path / "c.parquet"))
    survey(catalog).save_report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8")


def test_a_folder_whose_own_name_is_no_text(folder: Path, tmp_path: Path, write_tiny_model: Any) -> None:
    odd = tmp_path / os.fsdecode(b"card\xe9\\1")
    folder.rename(odd)
    catalog = Catalog.load(read(odd).save(odd / "c.parquet"))
    model = ModelFile(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    predict(model, catalog, odd / "p.csv")
    predictions = Predictions.load(odd / "p.csv")
    for name in ("megadetector", "sorted", "csv", "coco-camera-traps", "summary"):
        ending = (WRITERS[name].endings or ("",))[-1]
        write(predictions, catalog, odd / f"o-{name}{ending}", format=name)
    survey(catalog).save_report(odd / "report.html")
    survey(catalog).save_json(odd / "report.json")


def table(folder: Path, *rows: str) -> Path:
    path = folder / "labels.csv"
    pl.DataFrame({"filepath": rows, "label": [f"l{number}" for number in range(len(rows))]}).write_csv(path)
    return path


def test_a_table_means_the_file_that_is_called_so(folder: Path) -> None:
    catalog = read(table(folder, "a/b.jpg", "a\\b.jpg", ".\\sp ace \\x.jpg", "dots.//y..jpg"))
    assert [colour_of(path) for path in catalog.paths()] == ["red", "lime", "olive", "purple"]
    assert catalog.table["labels"].to_list() == [["l0"], ["l1"], ["l2"], ["l3"]]


def test_two_spellings_that_the_disk_does_not_tell_apart_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"'x/1.jpg' and 'x\\\\1.jpg' are both named"):
        read(table(folder, "x/1.jpg", "x\\1.jpg"))
    assert len(read(table(folder, "x\\1.jpg", "x\\2.jpg", ".\\x\\1.jpg"))) == 2  # as Windows has them


def test_our_own_table_leads_back_to_the_photos(folder: Path, tmp_path: Path) -> None:
    catalog = read(folder)
    said_of(catalog).save(tmp_path / "p.csv")
    columns = {"path": "file_path", "id": "media_id"}
    again = read(tmp_path / "p.csv", format="csv", columns=columns, root=folder)
    assert sorted(map(colour_of, again.paths())) == sorted(PHOTOS.values())


def boxes_of(files: list[str], catalog: Catalog, folder: Path) -> dict[str, float | None]:
    entries = [
        {"file": name, "detections": [{"category": "1", "conf": number / 100, "bbox": [0, 0, 1, 1]}]}
        for number, name in enumerate(files)
    ]
    document = {"images": entries, "detection_categories": {"1": "animal"}, "info": {}}
    (folder / "md.json").write_text(json.dumps(document), encoding="utf-8")
    table = join_boxes(catalog, folder / "md.json").table
    return {
        path: None if boxes is None else round(boxes[0]["conf"] * 100)
        for path, boxes in table.select("file_path", "boxes").rows()
    }


def test_boxes_go_to_the_file_of_that_name(folder: Path, tmp_path: Path) -> None:
    catalog = read(folder)
    files = sorted(os.fsdecode(name) for name in PHOTOS)
    with pytest.raises(
        DataError, match="more than once, with other boxes"
    ):  # JSON does not tell a byte and its sign apart
        boxes_of(files, catalog, tmp_path)
    files.remove("caf\uefe9.jpg")
    found = boxes_of(files, catalog, tmp_path)
    assert found.pop(as_text("caf\uefe9.jpg")) is None
    assert found == {as_text(name): number for number, name in enumerate(files)}


@pytest.mark.parametrize("name", ["SiteA\\IMG_1.JPG", "sitea/img_1.jpg", "./SiteA//IMG_1.jpg"])
def test_names_that_differ_as_systems_do_are_joined_where_nothing_else_is_meant(
    name: str, tmp_path: Path
) -> None:
    one = Catalog.from_rows([{"media_id": "1", "file_path": "SiteA/IMG_1.jpg"}], tmp_path, "one")
    assert boxes_of([name], one, tmp_path) == {"SiteA/IMG_1.jpg": 0}
    paths = ["SiteA/IMG_1.jpg", "SiteA/img_1.jpg"]
    two = Catalog.from_rows([{"media_id": path, "file_path": path} for path in paths], tmp_path, "two")
    assert boxes_of([*paths, "SITEA/img_1.jpg"], two, tmp_path) == {paths[0]: 0, paths[1]: 1}
    if "//" not in name:
        with pytest.raises(DataError, match="could be any of 2 media"):
            boxes_of([name], two, tmp_path)


def test_paths_in_one_form(tmp_path: Path) -> None:
    given_ = ["./a.jpg", "a//b.jpg", "a/././b.jpg", "https://x//y.jpg", f"{tmp_path}/c.jpg", "b\\c.jpg", None]
    expected = ["a.jpg", "a/b.jpg", "a/b.jpg", "https://x//y.jpg", "c.jpg", "b/c.jpg", None]
    assert normal_paths(pl.Series("p", given_), tmp_path).to_list() == expected
    assert as_listed(os.fsdecode(b"a\\\xe9")) == "a\\\uefe9"
