"""Videos that a source names are called so, counted, and are no media of the catalog."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.formats import join_boxes, read, write
from trapline.tables import MOST_KEPT


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


def a_table(folder: Path) -> Path:
    path = folder / "labels.csv"
    path.write_text("path,label\na/1.jpg,fox\na/2.AVI,fox\nb/3.jpg,\nb/4.mov,hare\n")
    return path


def a_timelapse_export(folder: Path) -> Path:
    path = folder / "TimelapseData.csv"
    rows = ["a,1.jpg", "a,2.AVI", "b,3.jpg", "b,4.mov"]
    head = "RelativePath,File,DateTime,DeleteFlag,Species\n"
    path.write_text(head + "".join(f"{row},2021-01-01 10:00:00,false,fox\n" for row in rows))
    return path


def a_coco_file(folder: Path) -> Path:
    path = folder / "coco.json"
    names = ("a/1.jpg", "a/2.AVI", "b/3.jpg", "b/4.mov")
    images = [{"id": str(number), "file_name": name} for number, name in enumerate(names)]
    annotations = [{"id": number, "image_id": str(number), "category_id": 1} for number in range(4)]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "fox"}]}
    path.write_text(json.dumps(document))
    return path


def a_speciesnet_file(folder: Path) -> Path:
    path = folder / "speciesnet.json"
    names = ("a/1.jpg", "a/2.AVI", "b/3.jpg", "b/4.mov")
    path.write_text(json.dumps({"instances": [{"filepath": name} for name in names]}))
    return path


def a_camtrap_dp_package(folder: Path) -> Path:
    start = "2021-01-01T00:00:00Z"
    (folder / "deployments.csv").write_text(
        "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd\n"
        f"d,wood,46,6,{start},2021-12-31T00:00:00Z\n"
    )
    media = [("1", "a/1.jpg", "image/jpeg"), ("2", "a/2", "video/avi"), ("3", "b/3.jpg", "image/jpeg")]
    media.append(("4", "b/4.mov", "image/jpeg"))  # the ending is the file's own word
    lines = (f"{name},d,{start},{path},true,{kind}\n" for name, path, kind in media)
    head = "mediaID,deploymentID,timestamp,filePath,filePublic,fileMediatype\n"
    (folder / "media.csv").write_text(head + "".join(lines))
    (folder / "observations.csv").write_text(
        "observationID,deploymentID,mediaID,observationLevel,observationType,scientificName\n"
        "o1,d,1,media,animal,Vulpes vulpes\no2,d,2,media,animal,Vulpes vulpes\n"
    )
    (folder / "datapackage.json").write_text(json.dumps({"profile": "x/camtrap-dp/1.0.2/y", "name": "n"}))
    return folder


def a_card(folder: Path) -> Path:
    for name in ("a/1.jpg", "b/3.jpg"):
        photo(folder / name)
    for name in ("a/2.AVI", "b/4.mov"):
        (folder / name).write_bytes(b"no photo")
    return folder


def class_folders(folder: Path) -> Path:
    a_card(folder)
    (folder / "a").rename(folder / "blank")
    return folder


SOURCES = (
    a_table,
    a_timelapse_export,
    a_coco_file,
    a_speciesnet_file,
    a_camtrap_dp_package,
    a_card,
    class_folders,
)


@pytest.mark.parametrize("make", SOURCES)
def test_every_reader_counts_videos_names_them_and_keeps_the_photos(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    catalog = read(make(tmp_path))
    assert sorted(Path(path).name for path in catalog.table["file_path"]) == ["1.jpg", "3.jpg"]
    videos = catalog.facts.videos
    assert videos is not None
    assert videos.count == 2
    assert sorted(Path(path).stem for path in videos.files) == ["2", "4"]
    said = [note for note in catalog.facts.notes if note.startswith("2 videos are left out (1 ")]
    assert len(said) == 1
    assert ".mov" in said[0]
    assert said[0] in catalog.facts.left_out
    catalog.save(tmp_path / "c.parquet")
    assert Catalog.load(tmp_path / "c.parquet").facts.videos == videos


def test_a_source_without_videos_says_nothing_of_them(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.mp4.jpg,fox\nmp4/b.jpg,hare\nmp4.jpg,hare\n")
    catalog = read(tmp_path / "labels.csv")
    assert len(catalog) == 3
    assert catalog.facts.videos is None
    assert not any("video" in note for note in catalog.facts.notes)


def test_a_source_of_nothing_but_videos_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.mp4,fox\nb.MP4,hare\n")
    with pytest.raises(DataError, match=r"no photo.*2 videos are left out \(2 \.mp4\)"):
        read(tmp_path / "labels.csv")
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "IMG_1.MP4").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"no picture.*1 video is left out \(1 \.mp4\)"):
        read(tmp_path / "card", format="photo_folder")
    with pytest.raises(DataError, match="is a video"):
        read(tmp_path / "card" / "IMG_1.MP4")


def test_exif_is_asked_of_photos_only(tmp_path: Path) -> None:
    a_card(tmp_path)
    catalog = read(a_table(tmp_path), exif=True)
    assert "EXIF: 2 photos have no time" in catalog.facts.notes


def test_of_many_videos_the_first_are_named_and_all_counted(tmp_path: Path) -> None:
    names = ["a.jpg", *(f"{number}.mp4" for number in range(MOST_KEPT + 5))]
    pl.DataFrame({"path": names}).write_csv(tmp_path / "many.csv")
    videos = read(tmp_path / "many.csv").facts.videos
    assert videos is not None
    assert videos.count == MOST_KEPT + 5
    assert len(videos.files) == MOST_KEPT
    assert videos.describe().startswith("2,005 videos are left out")


def test_boxes_of_a_videos_frames_are_no_photos_boxes(tmp_path: Path) -> None:
    box = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2]}
    images: list[dict[str, Any]] = [
        {"file": "a/1.jpg", "detections": [box]},
        {"file": "a/2.AVI", "frame_rate": 30, "detections": [box | {"frame_number": 60}]},
        {"file": "elsewhere.jpg", "detections": []},
    ]
    document = {"images": images, "detection_categories": {"1": "animal"}, "info": {}}
    (tmp_path / "md.json").write_text(json.dumps(document))
    joined = join_boxes(read(a_table(tmp_path)), tmp_path / "md.json")
    facts = joined.facts.boxes
    assert facts is not None
    assert (facts.matched, facts.names_not_in_catalog, facts.videos) == (1, 1, 1)  # type: ignore[union-attr]
    document["images"] = images[1:2]
    (tmp_path / "clips.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="1 of its 1 name is of videos"):
        join_boxes(read(a_table(tmp_path)), tmp_path / "clips.json")


def test_what_is_written_says_that_videos_are_not_in_it(scene: Any, tmp_path: Path) -> None:
    made = scene()
    videos = read(a_table(tmp_path)).facts.videos
    assert videos is not None
    catalog = made.catalog.with_table(made.catalog.table, replace(made.catalog.facts, videos=videos))
    report = write(made.predictions, catalog, tmp_path / "s.csv", format="summary")
    assert videos.describe() in report.notes
