"""`trapline predict` and `trapline submit` as commands, and what is left when they are killed."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw, ImageFilter

from trapline.catalog import Catalog
from trapline.models import EventPooling, find_detector
from trapline.prediction import Predictions

Run = Callable[..., tuple[int, str, str]]

NO_STATISTICS = (
    "Note: Whether photos are unlike those that the model learnt from cannot be told: its card keeps no "
    "statistics of them.\n"
)
"""All that is said of the small models here."""


@pytest.fixture
def model(tmp_path: Path, write_tiny_model: Callable[..., Path]) -> str:
    write_tiny_model(tmp_path / "model.onnx")
    return "model.onnx"


def photos(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.jpg")


def test_a_folder_a_photo_a_list_and_a_catalog_are_predicted(run: Run, model: str, tmp_path: Path) -> None:
    photos(tmp_path / "card" / "north", 3)
    photos(tmp_path / "card" / "south", 2)
    (tmp_path / "list.txt").write_text("card/north/0001.jpg\ncard/south/0000.jpg\n")
    status, out, err = run("predict", model, "card")
    assert (status, err) == (0, NO_STATISTICS)
    assert "5 media predicted, 0 failed" in out
    assert pl.read_csv("predictions.csv").height == 5
    assert run("predict", model, "list.txt", "-o", "list.parquet")[0] == 0
    assert pl.read_parquet("list.parquet")["file_path"].to_list() == ["north/0001.jpg", "south/0000.jpg"]
    assert run("predict", model, "card/north/0001.jpg", "-o", "one.csv")[0] == 0
    one = pl.read_csv("one.csv").row(0)[-3:]
    assert one == pytest.approx(pl.read_parquet("list.parquet").row(0)[-3:], abs=1e-6)


def test_what_a_command_reads_is_never_its_output(run: Run, model: str, tmp_path: Path) -> None:
    photos(tmp_path / "photos", 2)
    run("catalog", "photos", "-o", "c.parquet")
    run("predict", model, "c.parquet", "-o", "p.csv")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "c.parquet")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for command in (
        ("predict", model, "c.parquet", "-o", "c.parquet"),
        ("predict", model, "link.parquet", "-o", "c.parquet"),
        ("pool", "p.csv", "c.parquet", "-o", "p.csv"),
        ("write", "p.csv", "c.parquet", "--format", "summary", "-o", "p.csv"),
        ("predictions", "p.csv", "c.parquet", "-o", "p.csv"),
    ):
        status, _, told = run(*command, "--force")
        assert status == 2, command
        assert "is read by the command itself" in told
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert run("catalog", "c.parquet", "-o", "c.parquet", "--force")[0] == 0


def test_nothing_is_overwritten_unless_told(run: Run, model: str, tmp_path: Path) -> None:
    photos(tmp_path / "card", 2)
    assert run("predict", model, "card")[0] == 0
    status, _, err = run("predict", model, "card")
    assert status == 2
    assert "--force" in err
    photos(tmp_path / "card", 3)
    assert run("predict", model, "card", "--force")[0] == 0
    assert pl.read_csv("predictions.csv").height == 3


def test_failed_media_are_counted_and_strict_makes_them_status_1(
    run: Run, model: str, tmp_path: Path
) -> None:
    photos(tmp_path / "card", 2)
    (tmp_path / "card" / "bad.jpg").write_bytes(b"")
    status, out, _ = run("predict", model, "card", "--json")
    result = json.loads(out)
    assert status == 0
    assert (result["ok"], result["failed"], result["failures"]) == (2, 1, {"the file is empty": 1})
    status, out, err = run("predict", model, "card", "--force", "--strict")
    assert status == 1
    assert "1 failed" in out
    assert "bad.jpg: the file is empty" in err


@pytest.mark.parametrize(
    ("level", "rows", "asked"), [("media", "6 media", "6 media"), ("event", "2 events", "6 media")]
)
def test_the_rate_is_of_what_the_model_was_asked_about(
    run: Run, model: str, tmp_path: Path, level: str, rows: str, asked: str
) -> None:
    photos(tmp_path / "card", 6)
    Catalog.from_rows(
        [{"media_id": f"{n}", "file_path": f"{n:04}.jpg", "event_id": f"e{n // 3}"} for n in range(6)],
        tmp_path / "card",
        "rows",
    ).save(tmp_path / "card.parquet")
    status, out, _ = run("predict", model, "card.parquet", "--level", level)
    assert status == 0
    assert f"{rows} predicted, 0 failed." in out
    assert re.search(rf"^{asked} now, in [\d.]+ s \([\d.]+ media a second, on \w+\)\.$", out, re.MULTILINE)


def test_the_command_pools_frames_as_they_were_shot_in_whatever_order_the_rows_are(
    run: Run, write_tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "first.onnx", event=EventPooling(method="first"))
    photos(tmp_path, 3)
    rows = pl.DataFrame({"media_id": ["0", "1", "2"], "event_id": ["e"] * 3, "frame": [2, 1, 3]})
    rows = rows.with_columns(file_path=pl.format("000{}.jpg", "media_id"))
    Catalog.from_rows(rows, tmp_path, "three frames").save(tmp_path / "card.parquet")
    for level in ("media", "event"):
        asked = ("predict", "first.onnx", "card.parquet", "--level", level, "-o", f"{level}.parquet")
        assert run(*asked)[0] == 0
    alone, pooled = (Predictions.load(tmp_path / f"{level}.parquet") for level in ("media", "event"))
    np.testing.assert_allclose(pooled.probabilities()[0], alone.probabilities()[1], atol=1e-6)


def test_a_dry_run_says_how_long_and_writes_nothing(run: Run, model: str, tmp_path: Path) -> None:
    photos(tmp_path / "card", 4)
    status, out, _ = run("predict", model, "card", "--dry-run")
    assert status == 0
    assert "4 media" in out
    assert json.loads(run("predict", model, "card", "--dry-run", "--json")[1])["media"] == 4
    assert not list(tmp_path.glob("predictions*"))


def test_boxes_are_joined_and_their_absence_is_said(
    run: Run, tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    from trapline.images import CropPolicy, Preprocessing

    write_tiny_model(
        tmp_path / "crop.onnx", preprocessing=Preprocessing(height=16, width=16, crop=CropPolicy())
    )
    photos(tmp_path / "card", 2)
    detection = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.3, 0.3]}
    detections = {
        "info": {"format_version": "1.3"},
        "detection_categories": {"1": "animal"},
        "images": [{"file": "0000.jpg", "detections": [detection]}, {"file": "0001.jpg", "detections": []}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(detections))
    status, _, err = run("predict", "crop.onnx", "card", "-o", "frames.csv")
    assert status == 0
    assert "full frames" in err
    status, _, err = run("predict", "crop.onnx", "card", "-o", "crops.csv", "--boxes", "boxes.json")
    assert (status, err) == (0, NO_STATISTICS)
    assert "1 of 2 media were cut" in (tmp_path / "crops.csv.json").read_text()
    frames, crops = pl.read_csv("frames.csv"), pl.read_csv("crops.csv")
    assert not frames[:1].equals(crops[:1])
    assert frames[1:].equals(crops[1:])
    # a model of a recipe that crops, trained on photos without boxes, has only seen full frames
    write_tiny_model(
        tmp_path / "frame.onnx",
        preprocessing=Preprocessing(height=16, width=16, crop=CropPolicy()),
        training_data={"train": {"media": 9, "cropped": 0}, "validation": {"media": 3, "cropped": 0}},
    )
    assert run("predict", "frame.onnx", "card", "-o", "as-trained.csv")[2] == NO_STATISTICS
    said = run("predict", "frame.onnx", "card", "-o", "otherwise.csv", "--boxes", "boxes.json")[2]
    assert "which it has never seen" in said
    assert "a catalog without boxes" in said


def test_boxes_are_found_first_where_that_is_asked_for(
    run: Run, model: str, tmp_path: Path, write_tiny_model: Callable[..., Path]
) -> None:
    from trapline.images import CropPolicy, Preprocessing

    write_tiny_model(
        tmp_path / "crop.onnx", preprocessing=Preprocessing(height=16, width=16, crop=CropPolicy())
    )
    photos(tmp_path / "card", 2)
    paint_animal(tmp_path / "card" / "animal.jpg")
    status, _, err = run("detect", "card", "-o", "boxes.json")
    assert (status, err) == (0, "")
    images = {one["file"]: one for one in json.loads((tmp_path / "boxes.json").read_text())["images"]}
    assert images["animal.jpg"]["detections"][0]["conf"] > 0.5
    assert run("predict", "crop.onnx", "card", "-o", "read.csv", "--boxes", "boxes.json")[0] == 0
    for number, boxes in enumerate(("auto", "megadetector-lite.onnx")):
        if boxes != "auto":
            (tmp_path / boxes).write_bytes(find_detector().read_bytes())
        status, _, err = run("predict", "crop.onnx", "card", "-o", f"found{number}.csv", "--boxes", boxes)
        assert (status, err) == (0, NO_STATISTICS)
        assert pl.read_csv(f"found{number}.csv").equals(pl.read_csv("read.csv"))
    assert (tmp_path / "found0.csv.boxes.journal").exists()
    status, _, err = run("predict", "crop.onnx", "card", "-o", "guess.csv", "--boxes", "auto", "--dry-run")
    assert (status, "trapline detect" in err) == (2, True)
    status, _, err = run("predict", model, "card", "-o", "whole.csv", "--boxes", "auto")
    assert (status, "looks at whole photos" in err) == (2, True)


def test_detect_asks_for_photos(run: Run) -> None:
    status, _, err = run("detect", "-o", "boxes.json")
    assert (status, "Name the photos" in err) == (2, True)


def paint_animal(path: Path) -> None:
    """Something like an animal on a lawn."""
    lawn = np.linspace(150, 70, 480)[:, None, None] * np.array([0.8, 1, 0.7])
    noisy = (lawn + np.random.default_rng(0).normal(0, 12, (480, 640, 3))).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(1))
    draw, fur = ImageDraw.Draw(picture), (120, 80, 50)
    draw.ellipse((220, 240, 400, 330), fill=fur)
    draw.ellipse((380, 200, 450, 260), fill=fur)
    for left in (240, 265, 350, 375):
        draw.rectangle((left, 310, left + 14, 390), fill=fur)
    draw.polygon([(400, 205), (410, 170), (422, 203)], fill=fur)
    draw.ellipse((430, 218, 438, 226), fill=(10, 10, 10))
    picture.filter(ImageFilter.GaussianBlur(1.2)).save(path, quality=92)


def test_what_a_folder_holds_besides_photos_is_said(run: Run, model: str, tmp_path: Path) -> None:
    photos(tmp_path / "card" / "north", 2)
    photos(tmp_path / "elsewhere", 1)
    for name in ("a.mp4", "b.AVI", "c.CR2", "d.cr2"):
        (tmp_path / "card" / name).write_bytes(b"no photo")
    (tmp_path / "card" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    status, out, err = run("predict", model, "card")
    assert status == 0
    assert "2 media predicted, 0 failed" in out
    assert "Note: left aside: 2 .cr2 files, 1 linked folders." in err
    assert "Note: 2 videos are left out (1 .avi, 1 .mp4): media are photos here." in err
    assert run("predict", model, "card", "-o", "again.csv", "--strict")[0] == 0
    assert "left aside" in run("predict", model, "card", "--dry-run")[2]


def test_a_folder_that_cannot_be_read_is_named_and_strict_fails(
    ordinary: list[str], model: str, tmp_path: Path
) -> None:
    photos(tmp_path / "card" / "ok", 2)
    photos(tmp_path / "card" / "below" / "secret", 2)
    secret = tmp_path / "card" / "below" / "secret"

    def predict(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ordinary, *command(model, "card", *options)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    secret.chmod(0)
    try:
        done, strict = predict(), predict("--strict", "--force")
    finally:
        secret.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert "2 media predicted, 0 failed" in done.stdout
    assert "1 folder cannot be read, and what is in them is missing: below/secret (Permission" in done.stderr
    assert strict.returncode == 1
    assert "1 folder could not be read, and their photos have no rows: below/secret" in strict.stderr
    assert predict("--strict", "--force").returncode == 0


def test_a_photo_that_may_not_be_read_costs_its_row(
    ordinary: list[str], write_forbidden: Callable[[Path], str], model: str, tmp_path: Path
) -> None:
    photos(tmp_path / "card", 2)
    name = write_forbidden(tmp_path / "card")
    done = subprocess.run(
        [*ordinary, *command(model, "card")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    table = pl.read_csv(tmp_path / "predictions.csv")
    assert table.select("media_id", "status").rows() == [
        ("0000.jpg", "ok"),
        ("0001.jpg", "ok"),
        (name, "failed"),
    ]
    assert "ermission denied" in table["reason"][2]


def test_photos_that_the_boxes_do_not_name_are_counted(run: Run, model: str, tmp_path: Path) -> None:
    photos(tmp_path / "card", 5)
    images = [
        {"file": "0000.jpg", "detections": []},
        {"file": "0001.jpg", "failure": "torn", "detections": None},
        {"file": "gone.jpg", "detections": []},
    ]
    document = {"info": {}, "detection_categories": {"1": "animal"}, "images": images}
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    status, _, err = run("predict", model, "card", "--boxes", "boxes.json")
    assert status == 0
    assert (
        "Note: boxes.json has boxes of 2 media; 3 media are not in it, 1 media failed in the detector, "
        "1 of its names are no media here." in err
    )


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["none.onnx", "card"], 1, "no model file"),
        (["model.onnx", "nowhere"], 1, "nowhere"),
        (["model.onnx", "card", "-o", "p.xlsx"], 2, ".csv or .parquet"),
        (["model.onnx", "card", "--part", "test"], 1, "no split at all"),
        (["model.onnx", "card", "--batch-size", "0"], 2, "batch-size"),
    ],
)
def test_wrong_use_says_what_to_do(
    run: Run, model: str, tmp_path: Path, arguments: list[str], status: int, complaint: str
) -> None:
    photos(tmp_path / "card", 1)
    found, _, err = run("predict", *arguments)
    assert found == status
    assert complaint in err
    assert "Traceback" not in err


def test_submit_writes_checks_and_refuses(run: Run, model: str, tmp_path: Path) -> None:
    photos(tmp_path / "card", 3)
    assert run("predict", model, "card")[0] == 0
    names = ["0002.jpg", "0000.jpg"]
    wanted = "id,lynx,blank,hare\n" + "".join(f"{name},0.4,0.3,0.3\n" for name in names)
    (tmp_path / "format.csv").write_text(wanted)
    status, out, err = run("submit", "predictions.csv", "format.csv")
    assert (status, err) == (0, "")
    assert "2 rows" in out
    assert pl.read_csv("submission.csv")["id"].to_list() == names
    assert run("submit", "submission.csv", "format.csv", "--check-only")[0] == 0
    (tmp_path / "submission.csv").write_text(wanted.replace("0.4", "0.9"))
    status, _, err = run("submit", "submission.csv", "format.csv", "--check-only")
    assert status == 1
    assert "do not sum to 1" in err
    (tmp_path / "format.csv").write_text(wanted + "9999.jpg,0.4,0.3,0.3\n")
    status, _, err = run("submit", "predictions.csv", "format.csv", "-o", "other.csv")
    assert status == 1
    assert "9999.jpg" in err
    status, out, _ = run("submit", "predictions.csv", "format.csv", "-o", "other.csv", "--fill", "prior")
    assert status == 0
    assert "1 id had no prediction" in out


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "trapline", "predict", *arguments]


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's files as only some systems can")
def test_a_disk_that_is_full_costs_nothing(tmp_path: Path, model: str) -> None:
    """Real refused writes, by the limit on a file's size, in the journal and then in the table."""
    import resource

    photos(tmp_path / "card", 40)
    options = [model, "card", "--batch-size", "4", "--workers", "1", "--threads", "1", "--force"]

    def run(output: str, most: int = -1) -> subprocess.CompletedProcess[str]:
        limit = (most, most) if most > 0 else (resource.RLIM_INFINITY,) * 2
        return subprocess.run(
            command(*options, "-o", output),
            cwd=tmp_path,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("whole.csv").returncode == 0
    full = run("cut.csv", 3000)
    assert full.returncode == 1
    assert "make room and run the same command again" in full.stderr
    assert "Traceback" not in full.stderr
    assert not (tmp_path / "cut.csv").exists()
    journal = (tmp_path / "cut.csv.journal").stat().st_size
    assert 1000 < journal <= 3000
    assert run("cut.csv").returncode == 0
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    (tmp_path / "cut.csv").unlink()
    full = run("cut.csv", 2000)  # all is in the journal; the table does not fit
    assert full.returncode == 1
    assert "cut.csv cannot be written" in full.stderr
    assert not list(tmp_path.glob("*.partial"))
    assert run("cut.csv").returncode == 0
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
def test_killed_at_random_moments_the_table_is_the_same_to_the_byte(
    tmp_path: Path,
    model: str,
    write_zoo: Callable[[Path], dict[str, str]],
    write_forbidden: Callable[[Path], str],
    ordinary: list[str],
) -> None:
    """Real SIGKILLs; the moments are spread over the time an undisturbed run needs."""
    zoo = tmp_path / "photos"
    names = write_zoo(zoo)
    photos(zoo, 200)
    names = [*names, write_forbidden(zoo), *(f"{number:04}.jpg" for number in range(200))]
    random.Random(3).shuffle(names)
    (tmp_path / "list.txt").write_text("".join(f"photos/{name}\n" for name in names), encoding="utf-8")
    options = [model, "list.txt", "--batch-size", "3", "--workers", "1", "--threads", "1"]

    started = time.monotonic()
    subprocess.run(
        [*ordinary, *command(*options, "-o", "whole.csv")], cwd=tmp_path, check=True, capture_output=True
    )
    needed = time.monotonic() - started
    grown, kills = [], 0
    moments = random.Random(5)
    journal = tmp_path / "cut.csv.journal"
    while kills < 10:
        process = subprocess.Popen(
            [*ordinary, *command(*options, "-o", "cut.csv")],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        before = journal.stat().st_size if journal.exists() else 0
        deadline = time.monotonic() + needed * 4
        while process.poll() is None and time.monotonic() < deadline:
            size = journal.stat().st_size if journal.exists() else 0
            if size > before:  # it is at work: let it go on for a random moment
                time.sleep(moments.uniform(0, 0.02))
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        _, complaint = process.communicate()
        if process.returncode == 0:  # it was done first: begin again
            assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
            for path in tmp_path.glob("cut.csv*"):
                path.unlink()
            continue
        assert process.returncode == -signal.SIGKILL, complaint
        kills += 1
        grown.append(journal.stat().st_size if journal.exists() else 0)
    final = subprocess.run(
        [*ordinary, *command(*options, "-o", "cut.csv", "--json", "--force")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert len(set(grown)) >= 5  # killed at different stages
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "cut.csv.json").read_bytes() == (tmp_path / "whole.csv.json").read_bytes()
    result = json.loads(final.stdout)
    assert result["rows"] == len(names)
    table = pl.read_csv(tmp_path / "cut.csv")
    assert table["media_id"].to_list() == names
    assert table.filter(pl.col("media_id") == "forbidden.jpg")["status"].item() == "failed"
