"""Write a synthetic world: photos, labels, true boxes, and a note that says what they are."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from trapline.errors import UsageError
from trapline.synthetic.camera import draw_camera
from trapline.synthetic.light import light_at
from trapline.synthetic.photo import Seen, add_banner, render
from trapline.synthetic.plan import Event, draw_events, draw_preferences
from trapline.synthetic.scene import PALETTES, Scene, draw_scene

BLANK = "blank"
COLUMNS = ("filepath", "label", "location", "event", "datetime")
MARK = "Synthetic picture drawn by trapline.synthetic; not a photograph of anything"
README = """\
This is a synthetic camera-trap world
=====================================

Every picture here was drawn by a program (trapline.synthetic, seed {seed}); none is a photograph. It exists
so that Trapline can be tried and tested without data. Nothing measured on it says anything about real
animals, real locations or how well a model will do on real photos.

photos/<location>/IMG_0001.JPG  {photos} pictures of {locations} locations: bursts of three,
                                by day in colour, by night infrared
labels.csv                      {columns}; paths relative to this folder; `blank` = no animal to be seen
boxes.json                      the true boxes in MegaDetector's batch format (1.6), not a detector's work;
                                about one in twelve was left out, the small and hidden ones first
"""


@dataclass(frozen=True)
class WorldSummary:
    """What was written.

    Attributes:
        folder: where everything lies.
        photos: folder of the pictures, one folder a location.
        labels_csv: the labels.
        boxes_json: the true boxes.
        media: number of pictures.
        locations: number of locations.
        events: number of events.
        night: number of infrared pictures.
        labels: pictures of each label.
        seed: that makes the same world again.
    """

    folder: Path
    photos: Path
    labels_csv: Path
    boxes_json: Path
    media: int
    locations: int
    events: int
    night: int
    labels: dict[str, int]
    seed: int


@dataclass(frozen=True)
class _Photo:
    """A picture that was written."""

    filepath: str
    label: str
    location: str
    event: str
    datetime: str
    night: bool
    detections: list[dict[str, Any]]


def make_world(
    folder: Path | str,
    *,
    locations: int = 28,
    events_per_location: int = 11,
    seed: int = 42,
    size: tuple[int, int] = (640, 480),
    force: bool = False,
    workers: int = 2,
    on_photo: Callable[[], object] | None = None,
) -> WorldSummary:
    """Draw a small camera-trap world.

    The same arguments give the same files on one machine, whatever `workers` is.

    Args:
        folder: where to write; made if needed.
        locations: cameras, each with a background of its own; at least 1.
        events_per_location: bursts of three frames a location, on average; at least 2.
        seed: of everything.
        size: of the pictures, (width, height) in pixels; at least 160 × 120.
        force: replace a world that lies there already.
        workers: threads.
        on_photo: called after each picture, for a progress display.

    Raises:
        UsageError: a number is out of range, or the folder already holds something.
    """
    folder = Path(folder)
    _check(locations, events_per_location, size)
    _make_room(folder, force)
    preferences = draw_preferences(np.random.default_rng([seed, 0]), locations)
    habitats = np.random.default_rng([seed, 1]).permutation(np.resize(sorted(PALETTES), locations))
    stopped = threading.Event()

    def count_photo() -> None:
        if stopped.is_set():
            raise CancelledError
        if on_photo is not None:
            on_photo()

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        jobs = [
            pool.submit(
                _draw_location, folder, f"SYN{location + 1:02d}", str(habitats[location]),
                preferences[location], events_per_location, np.random.SeedSequence([seed, 2, location]),
                size, count_photo,
            )
            for location in range(locations)
        ]  # fmt: skip
        try:
            photos = [photo for job in jobs for photo in job.result()]
        except BaseException:  # Ctrl-C too: the pool would otherwise draw the rest of the world first
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return _write_tables(folder, photos, locations, seed)


def _check(locations: int, events_per_location: int, size: tuple[int, int]) -> None:
    if not 1 <= locations <= 999:
        raise UsageError(f"A world has 1 to 999 locations, not {locations}.")
    if not 2 <= events_per_location <= 1000:
        raise UsageError(f"A location has 2 to 1000 events, not {events_per_location}.")
    if not (160 <= size[0] <= 4096 and 120 <= size[1] <= 4096):
        raise UsageError(f"Pictures are 160 × 120 to 4096 × 4096 pixels, not {size[0]} × {size[1]}.")


def _make_room(folder: Path, force: bool) -> None:
    """Make the folder; with `force`, take away the world that an earlier run left (and nothing else)."""
    ours = [folder / name for name in ("photos", "labels.csv", "boxes.json", "README.txt")]
    there = [path for path in ours if path.exists()]
    if there and not force:
        raise UsageError(f"{there[0]} exists. Name another folder, or replace the world with --force.")
    if there and not _is_world(folder):
        raise UsageError(
            f"{folder} holds files that are not a synthetic world; they are left alone. Name another folder."
        )
    for path in there:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    # Written first, so that a run that was stopped leaves a folder known as ours.
    (folder / "README.txt").write_text(README.splitlines()[0] + " (not finished)\n", encoding="utf-8")


def _is_world(folder: Path) -> bool:
    note = folder / "README.txt"
    return note.is_file() and note.read_text(encoding="utf-8").startswith(README.splitlines()[0])


def _draw_location(
    folder: Path,
    location: str,
    habitat: str,
    preference: np.ndarray,
    events_per_location: int,
    seeds: np.random.SeedSequence,
    size: tuple[int, int],
    on_photo: Callable[[], object],
) -> list[_Photo]:
    """Draw and write all pictures of one location, in the order of time."""
    for_scene, for_events, for_frames = (np.random.default_rng(seed) for seed in seeds.spawn(3))
    scene = draw_scene(for_scene, draw_camera(for_scene, size), habitat)
    number = int(np.clip(for_events.normal(events_per_location, events_per_location / 4), 2, None).round())
    folder = folder / "photos" / location
    folder.mkdir(parents=True)
    photos: list[_Photo] = []
    for index, event in enumerate(draw_events(for_events, scene.camera, preference, number), 1):
        for frame in range(len(event.frames)):
            path = folder / f"IMG_{len(photos) + 1:04d}.JPG"
            photos.append(_draw_photo(path, scene, f"{location}-{index:04d}", event, frame, for_frames))
            on_photo()
    return photos


def _draw_photo(
    path: Path, scene: Scene, event_id: str, event: Event, frame: int, rng: np.random.Generator
) -> _Photo:
    (seconds, actors), location = event.frames[frame], path.parent.name
    time = event.start + timedelta(seconds=seconds)
    light = light_at(event.start, scene, event.cloud, event.warmth)
    picture, seen = render(scene, actors, light, event.wind, rng)
    image = add_banner(picture, scene, location, time, light, f"{frame + 1}/{len(event.frames)}")
    image.save(path, "JPEG", quality=scene.camera.quality, exif=_exif(time, scene.camera.style))
    label = event.label if seen and event.label is not None else BLANK
    detections = [detection for detection in (_detection(one, rng) for one in seen) if detection is not None]
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    name = f"photos/{location}/{path.name}"
    return _Photo(name, label, location, event_id, stamp, light.night, detections)


def _exif(time: datetime, style: int) -> Image.Exif:
    stamp = time.strftime("%Y:%m:%d %H:%M:%S")
    exif = Image.Exif()
    exif[0x010E], exif[0x010F] = MARK, "Trapline synthetic"
    exif[0x0110], exif[0x0132] = f"Imaginary {style + 1}", stamp
    exif.get_ifd(0x8769)[0x9003] = stamp  # DateTimeOriginal
    return exif


def _detection(seen: Seen, rng: np.random.Generator) -> dict[str, Any] | None:
    """The true box as a detector would list it; the small and hidden ones are sometimes missed."""
    ease = min(seen.area / 0.01, 1.0) * min(seen.unhidden / 0.6, 1.0)
    if rng.random() < 0.02 + 0.28 * (1 - ease):
        return None
    conf = float(np.clip(0.35 + 0.55 * ease + rng.normal(0, 0.05), 0.2, 0.98))
    return {"category": "1", "conf": round(conf, 3), "bbox": list(seen.box)}


def _write_tables(folder: Path, photos: list[_Photo], locations: int, seed: int) -> WorldSummary:
    labels = [[getattr(photo, column) for column in COLUMNS] for photo in photos]
    pl.DataFrame(labels, schema=COLUMNS, orient="row").write_csv(folder / "labels.csv")
    boxes = {
        "info": {
            "format_version": "1.6",
            "detector": "none: true boxes of a synthetic world (trapline.synthetic), a few left out",
        },
        "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
        "images": [{"file": photo.filepath, "detections": photo.detections} for photo in photos],
    }
    (folder / "boxes.json").write_text(json.dumps(boxes, indent=1), encoding="utf-8")
    summary = WorldSummary(
        folder=folder,
        photos=folder / "photos",
        labels_csv=folder / "labels.csv",
        boxes_json=folder / "boxes.json",
        media=len(photos),
        locations=locations,
        events=len({photo.event for photo in photos}),
        night=sum(photo.night for photo in photos),
        labels=dict(sorted(Counter(photo.label for photo in photos).items())),
        seed=seed,
    )
    note = README.format(seed=seed, photos=summary.media, locations=locations, columns=", ".join(COLUMNS))
    (folder / "README.txt").write_text(note, encoding="utf-8")
    return summary
