"""The synthetic world: the same for the same seed, and its labels, times and boxes agree with its photos."""

import csv
import hashlib
import json
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trapline.errors import UsageError
from trapline.images import read_exif
from trapline.synthetic import WorldSummary, make_world

SMALL = {"locations": 4, "events_per_location": 4, "size": (240, 180), "seed": 5}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> WorldSummary:
    return make_world(tmp_path_factory.mktemp("world"), **SMALL)


@pytest.fixture(scope="module")
def rows(world: WorldSummary) -> list[dict[str, str]]:
    with world.labels_csv.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def detections(world: WorldSummary) -> dict[str, list[dict]]:
    boxes = json.loads(world.boxes_json.read_text(encoding="utf-8"))
    assert boxes["info"]["format_version"] == "1.6"
    assert "synthetic" in boxes["info"]["detector"]
    return {image["file"]: image["detections"] for image in boxes["images"]}


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_makes_the_same_files_with_any_number_of_workers(
    world: WorldSummary, tmp_path: Path
) -> None:
    again = make_world(tmp_path / "again", **SMALL, workers=1)
    assert fingerprint(again.folder) == fingerprint(world.folder)


def test_another_seed_makes_another_world(world: WorldSummary, tmp_path: Path) -> None:
    other = make_world(tmp_path / "other", **SMALL | {"locations": 1, "events_per_location": 2, "seed": 6})
    photo = "photos/SYN01/IMG_0001.JPG"
    assert (other.folder / photo).read_bytes() != (world.folder / photo).read_bytes()


def test_every_photo_has_one_row_and_every_row_a_photo(
    world: WorldSummary, rows: list[dict[str, str]]
) -> None:
    on_disk = sorted(path.relative_to(world.folder).as_posix() for path in world.photos.rglob("*.JPG"))
    assert sorted(row["filepath"] for row in rows) == on_disk
    assert len(rows) == world.media
    assert len({row["location"] for row in rows}) == world.locations
    assert all(row["filepath"].split("/")[1] == row["location"] for row in rows)
    assert {label: sum(row["label"] == label for row in rows) for label in world.labels} == world.labels


def test_a_photo_says_when_it_was_taken_and_that_it_is_synthetic(
    world: WorldSummary, rows: list[dict[str, str]]
) -> None:
    for row in rows:
        path = world.folder / row["filepath"]
        exif = read_exif(path)
        assert exif.camera_time == datetime.fromisoformat(row["datetime"])
        assert exif.make == "Trapline synthetic"
        with Image.open(path) as image:
            assert image.size == (240, 180)
            assert "not a photograph" in image.getexif()[0x010E]


def test_the_frames_of_an_event_show_one_kind_or_nothing(rows: list[dict[str, str]]) -> None:
    for event, of_event in groupby(rows, key=lambda row: row["event"]):
        frames = list(of_event)
        times = [datetime.fromisoformat(row["datetime"]) for row in frames]
        assert len(frames) == 3, event
        assert len({row["label"] for row in frames} - {"blank"}) <= 1
        assert 0 < (times[-1] - times[0]).total_seconds() <= 4
        assert times == sorted(times)


def test_events_of_a_location_are_apart(rows: list[dict[str, str]]) -> None:
    for _, of_location in groupby(rows, key=lambda row: row["location"]):
        starts = [datetime.fromisoformat(row["datetime"]) for row in of_location][::3]
        assert all((b - a).total_seconds() >= 1200 for a, b in pairwise(starts))


def test_boxes_lie_above_the_banner_where_there_is_an_animal(
    rows: list[dict[str, str]], detections: dict[str, list[dict]]
) -> None:
    assert list(detections) == [row["filepath"] for row in rows]
    missed = 0
    for row in rows:
        found = detections[row["filepath"]]
        assert not (row["label"] == "blank" and found), "a blank photo has no box"
        missed += row["label"] != "blank" and not found
        for one in found:
            x, y, width, height = one["bbox"]
            assert min(x, y) >= 0
            assert x + width <= 1.0001
            assert y + height < 0.96
            assert 0.2 <= one["conf"] <= 1
    animals = sum(row["label"] != "blank" for row in rows)
    assert 0 < animals < len(rows)
    assert missed < 0.3 * animals


def test_night_is_grey_and_day_is_not(world: WorldSummary, rows: list[dict[str, str]]) -> None:
    grey = 0
    for row in rows:
        with Image.open(world.folder / row["filepath"]) as image:
            pixels = np.asarray(image.convert("RGB"), np.int16)[:150]
        colourless = np.abs(pixels - pixels.mean(axis=2, keepdims=True)).mean() < 1.5
        grey += colourless
        hour = int(row["datetime"][11:13])
        assert colourless or 5 <= hour <= 20
    assert 0 < world.night < len(rows)
    assert grey == world.night


def test_a_world_is_not_overwritten_unless_asked(world: WorldSummary, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--force"):
        make_world(world.folder, **SMALL)
    small = SMALL | {"locations": 1, "events_per_location": 2}
    make_world(tmp_path / "w", **small)
    stale = tmp_path / "w" / "photos" / "SYN99"
    stale.mkdir()
    make_world(tmp_path / "w", **small, force=True)
    assert not stale.exists()


def test_a_folder_of_somebody_else_is_left_alone_even_with_force(tmp_path: Path) -> None:
    mine = tmp_path / "photos" / "mine.jpg"
    mine.parent.mkdir()
    mine.write_bytes(b"precious")
    with pytest.raises(UsageError, match="left alone"):
        make_world(tmp_path, **SMALL, force=True)
    assert mine.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"locations": 0}, "locations"),
        ({"events_per_location": 1}, "events"),
        ({"size": (100, 100)}, "pixels"),
    ],
)
def test_impossible_worlds_are_refused(tmp_path: Path, wrong: dict, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make_world(tmp_path / "w", **SMALL | wrong)
