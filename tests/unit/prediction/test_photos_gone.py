"""A drive that is gone ends a run; it is not a table of failures, and what was done is kept."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trapline.catalog import Catalog, SourceGoneError, check_files
from trapline.formats import read
from trapline.models import ModelFile
from trapline.prediction import Progress, estimate, predict
from trapline.training.features import embed
from trapline.training.pixels import PixelCache


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]) -> ModelFile:
    return ModelFile(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"), threads=1)


@pytest.fixture
def card(tmp_path: Path) -> Catalog:
    (tmp_path / "drive" / "card").mkdir(parents=True)
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "drive" / "card" / f"{number:03}.png")
    return read(tmp_path / "drive" / "card")


def unplug(drive: Path) -> None:
    drive.rename(drive.with_name("away"))


def unmount(drive: Path) -> None:
    """The folder it was mounted on stays, empty."""
    drive.rename(drive.with_name("away"))
    (drive / "card").mkdir(parents=True)


def dangle(drive: Path) -> None:
    """A folder of links to a share: the names are there and lead nowhere."""
    drive.rename(drive.with_name("away"))
    (drive / "card").mkdir(parents=True)
    for path in (drive.with_name("away") / "card").iterdir():
        (drive / "card" / path.name).symlink_to(drive.with_name("share") / path.name)


def plug_in(drive: Path) -> None:
    shutil.rmtree(drive, ignore_errors=True)
    drive.with_name("away").rename(drive)


KINDS = [unplug, unmount, dangle]


@pytest.mark.parametrize("go", KINDS)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_drive_that_is_gone_leaves_table_and_journal_as_they_were(
    model: ModelFile, card: Catalog, tmp_path: Path, go: Callable[[Path], None], fresh: bool
) -> None:
    output = tmp_path / "p.csv"
    predict(model, card, output)
    files = [output, tmp_path / "p.csv.json", tmp_path / "p.csv.journal"]
    before = [path.read_bytes() for path in files]
    go(tmp_path / "drive")
    with pytest.raises(SourceGoneError, match=r"None of the 20 photos in .*drive or the network share"):
        predict(model, card, output, fresh=fresh)
    with pytest.raises(SourceGoneError):
        estimate(model, card, output)
    assert [path.read_bytes() for path in files] == before
    plug_in(tmp_path / "drive")
    assert predict(model, card, output).table["status"].to_list() == ["ok"] * 20


@pytest.mark.parametrize("go", KINDS)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_drive_that_is_pulled_stops_the_run_and_it_goes_on_later(
    model: ModelFile, card: Catalog, tmp_path: Path, go: Callable[[Path], None], suffix: str
) -> None:
    output, once = tmp_path / f"p{suffix}", tmp_path / f"once{suffix}"
    predict(model, card, once, batch_size=1)

    def pull(now: Progress) -> None:
        if now.done == 3:
            go(tmp_path / "drive")

    with pytest.raises(SourceGoneError, match="could be read a moment ago"):
        predict(model, card, output, batch_size=1, progress=pull)
    assert not output.exists()
    plug_in(tmp_path / "drive")
    seen: list[Progress] = []
    predict(model, card, output, progress=seen.append)
    assert 3 <= seen[0].earlier < 20
    assert output.read_bytes() == once.read_bytes()


def test_a_few_missing_files_are_rows_and_stay_rows(model: ModelFile, card: Catalog, tmp_path: Path) -> None:
    for number in (0, 7, 18, 19):
        card.path(f"{number:03}.png").unlink()
    for _ in range(2):  # the second run asks about nothing but what is missing
        table = predict(model, card, tmp_path / "p.csv", batch_size=2).table
        assert table["status"].to_list().count("failed") == 4
        assert set(table["reason"].drop_nulls()) == {"no such file or directory"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody")
def test_a_folder_that_this_user_may_not_read(card: Catalog, tmp_path: Path) -> None:
    (tmp_path / "drive").chmod(0o700)
    card.save(tmp_path / "c.parquet")
    script = (
        "import os, sys\nfrom trapline.catalog import Catalog, SourceGoneError, refuse_gone\n"
        "catalog = Catalog.load(sys.argv[1])\nos.setuid(65534)\n"
        "try:\n    refuse_gone(catalog)\nexcept SourceGoneError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "c.parquet")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "permission denied" in said


@pytest.mark.parametrize("go", KINDS)
def test_nothing_is_learnt_or_checked_without_photos(
    model: ModelFile, card: Catalog, tmp_path: Path, go: Callable[[Path], None]
) -> None:
    go(tmp_path / "drive")
    with pytest.raises(SourceGoneError):
        embed(model, card, cache=None, skip_unreadable=True)
    with pytest.raises(SourceGoneError):
        PixelCache(tmp_path / "cache").exact(card, model.card.preprocessing)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(SourceGoneError):
        check_files(card, full=True)


def test_pixels_of_a_drive_that_was_pulled_are_not_kept(
    model: ModelFile, card: Catalog, tmp_path: Path
) -> None:
    def pull(done: int, total: int) -> None:
        if done == 1:
            unplug(tmp_path / "drive")

    cache = PixelCache(tmp_path / "cache")
    for number in range(20, 120):  # more than are read ahead
        shutil.copy(card.path("000.png"), card.root / f"{number:03}.png")
    catalog = read(card.root)
    with pytest.raises(SourceGoneError):
        cache.exact(catalog, model.card.preprocessing, pull)
    assert list((tmp_path / "cache" / "pixels").iterdir()) == []


def test_a_table_of_events_is_kept_too(model: ModelFile, card: Catalog, tmp_path: Path) -> None:
    rows = card.table.with_columns(event_id="media_id")
    events = Catalog.from_rows(rows, card.root, "events")
    predict(model, events, tmp_path / "p.csv", level="event")
    before = (tmp_path / "p.csv").read_bytes()
    unmount(tmp_path / "drive")
    with pytest.raises(SourceGoneError):
        predict(model, events, tmp_path / "p.csv", level="event")
    assert (tmp_path / "p.csv").read_bytes() == before
