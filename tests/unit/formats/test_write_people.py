"""People in photos that leave as copies: unrecognisable where a detector has them, and said where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import BOX as BOX_TYPE
from trapline.errors import UsageError
from trapline.formats import undo_sorted, write

ANIMAL = {"category": "animal", "conf": 0.9, "x": 0.1, "y": 0.2, "width": 0.2, "height": 0.4}
PERSON = ANIMAL | {"category": "person", "conf": 0.8, "x": 0.5, "y": 0.25, "width": 0.25, "height": 0.5}
FAINT, UNTOLD = PERSON | {"conf": 0.1}, PERSON | {"category": "unknown"}
BOXES = [[ANIMAL, PERSON], [ANIMAL, FAINT], [], None, [UNTOLD], [ANIMAL]]


@pytest.fixture
def made(scene: Any) -> Any:
    """Photos of noise, of which the third is labelled human without a box, and the first has a preview in its
    EXIF data."""
    made = scene()
    rng = np.random.default_rng(1)
    for path in made.catalog.paths():
        picture = Image.fromarray(rng.integers(0, 256, (100, 200, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[271] = "Reconyx"
        exif.get_ifd(0x8769)[0x927C] = b"maker's note with a picture"
        picture.save(path, quality=95, exif=exif)
    labels = pl.Series([None, None, ["human"], None, None, None], dtype=pl.List(pl.String))
    table = made.catalog.table.with_columns(boxes=pl.Series(BOXES, dtype=pl.List(BOX_TYPE)), labels=labels)
    return replace(made, catalog=made.catalog.with_table(table))


def copies(made: Any, output: Path, **options: Any) -> tuple[Any, dict[str, Path]]:
    report = write(made.predictions, made.catalog, output, format="sorted", mode="copy", **options)
    return report, {path.name: path for path in output.rglob("*.jpg")}


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_people_in_boxes_are_unrecognisable_and_the_rest_is_as_it_was(made: Any, tmp_path: Path) -> None:
    report, files = copies(made, tmp_path / "out", blur_people=True)
    originals = {path.name: path for path in made.catalog.paths()}
    off = np.abs(pixels(files["a 1 !!.jpg"]) - pixels(originals["a 1 !!.jpg"])).mean(axis=2)
    assert off[30:70, 105:145].mean() > 40
    assert off[:, :80].mean() < 12  # written as JPEG again, no more
    assert files["a2.jpg"].read_bytes() == originals["a2.jpg"].read_bytes()
    whole = np.abs(pixels(files["a3.jpg"]) - pixels(originals["a3.jpg"])).mean(axis=2)
    assert whole.mean() > 40
    exif = Image.open(files["a 1 !!.jpg"]).getexif()
    assert exif[271] == "Reconyx"
    assert b"maker's note" not in files["a 1 !!.jpg"].read_bytes()
    assert {name.split(": ")[0].split("/")[-1] for name in report.failed} == {"b1.jpg", "b2.jpg"}
    assert {"b1.jpg", "b2.jpg"} & files.keys() == set()
    assert "unrecognisable in 1 photo" in " ".join(report.notes)
    assert "1 of people without such a box are blurred whole" in " ".join(report.notes)


def test_what_was_blurred_can_be_undone_and_a_lower_confidence_finds_more(made: Any, tmp_path: Path) -> None:
    _, files = copies(made, tmp_path / "out", blur_people=True, min_conf=0.05)
    original = next(path for path in made.catalog.paths() if path.name == "a2.jpg")
    assert files["a2.jpg"].read_bytes() != original.read_bytes()
    assert undo_sorted(tmp_path / "out") == (4, [])


def test_links_and_photos_at_which_no_detector_looked_are_refused(made: Any, tmp_path: Path) -> None:
    for name in ("sorted", "xmp"):
        with pytest.raises(UsageError, match="--mode copy"):
            write(made.predictions, made.catalog, tmp_path / name, format=name, blur_people=True)
    blind = made.catalog.with_table(made.catalog.table.with_columns(boxes=None))
    with pytest.raises(UsageError, match="trapline detect"):
        copies(replace(made, catalog=blind), tmp_path / "out", blur_people=True)
