"""The real data sets in small: the same files and formats, with a few of their photos, which are links."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

Row = dict[str, str]


def little_caltech_night(
    source: Path, folder: Path, locations: int = 12, each: int = 9, withheld: int = 12
) -> Path:
    """Some photos of each of some locations of the labelled part, some photos of the withheld one."""
    photos: dict[str, list[str]] = {}
    for row in _rows(source / "train_features.csv"):
        photos.setdefault(row["site"], []).append(row["id"])
    train = {name for site in sorted(photos)[:locations] for name in photos[site][:each]}
    test = {row["id"] for row in list(_rows(source / "test_features.csv"))[:withheld]}
    for name in ("train_features", "train_labels", "train_metadata"):
        _copy(source, folder, f"{name}.csv", lambda row: row["id"] in train)
    for name in ("test_features", "test_metadata", "submission_format"):
        _copy(source, folder, f"{name}.csv", lambda row: row["id"] in test)
    for part in ("train", "test"):
        (folder / f"{part}_features").symlink_to(source / f"{part}_features")
    boxes = json.loads((source / "boxes.json").read_text())
    boxes["images"] = [image for image in boxes["images"] if Path(image["file"]).stem in train | test]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return folder


def little_trailcam_bursts(source: Path, folder: Path, every: int = 4, withheld: int = 4) -> Path:
    """Every so manieth burst of each season, and the first ones of the withheld season."""
    train = {
        row["seq_id"] for number, row in enumerate(_rows(source / "train_labels.csv")) if number % every == 0
    }
    test = {row["seq_id"] for row in list(_rows(source / "submission_format.csv"))[:withheld]}
    for name in ("train_labels", "train_metadata"):
        _copy(source, folder, f"{name}.csv", lambda row: row["seq_id"] in train)
    for name in ("test_metadata", "submission_format"):
        _copy(source, folder, f"{name}.csv", lambda row: row["seq_id"] in test)
    files = {row["file_name"] for row in _rows(folder / "train_metadata.csv")}
    _copy(source, folder, "train_frame_labels.csv", lambda row: row["file_name"] in files)
    for season in source.glob("S?"):
        (folder / season.name).symlink_to(season)
    return folder


def little_jura(source: Path, folder: Path, every: int = 5) -> Path:
    """Every so manieth labelled photo."""
    names = [row["file_name"] for row in _rows(source / "labels.csv")][::every]
    _copy(source, folder, "labels.csv", lambda row: row["file_name"] in names)
    (folder / "site-8.2-G").symlink_to(source / "site-8.2-G")
    return folder


def _rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _copy(source: Path, folder: Path, name: str, keep: Callable[[Row], bool]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row in _rows(source / name) if keep(row)]
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
