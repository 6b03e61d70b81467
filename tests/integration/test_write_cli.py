"""`trapline write` as a command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.cli import main
from trapline.formats import WRITERS
from trapline.prediction import Predictions
from trapline.prediction.table import FIXED

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command in the test's folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(b"photo")
    rows = [
        {"media_id": name, "file_path": name, "location_id": "wood", "camera_time": None, "boxes": None}
        for name in ("a.jpg", "b.jpg")
    ]
    Catalog.from_rows(rows, tmp_path / "photos", "test").save("catalog.parquet")
    table = pl.DataFrame(
        [
            ("a.jpg", None, None, "a.jpg", "ok", None, 0.8, 0.2),
            ("b.jpg", None, None, "b.jpg", "failed", "torn", None, None),
        ],
        schema={**FIXED, "fox": pl.Float32(), "blank": pl.Float32()},
        orient="row",
    )
    Predictions(table, ("fox", "blank"), "media", "f" * 16, "single-label").save("predictions.csv")
    (tmp_path / "taxonomy.csv").write_text("label,genus,species\nfox,Vulpes,vulpes\n")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["write", "predictions.csv", "catalog.parquet", *arguments])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


def test_what_was_written_and_what_is_lost_is_said(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("--format", "megadetector", "-o", "md.json", "--taxonomy", "taxonomy.csv")
    assert status == 0
    assert "Wrote 2 images to md.json (megadetector)." in out
    assert "Not in it:" in out
    document = json.loads((tmp_path / "md.json").read_text())
    assert document["classification_category_descriptions"]["1"] == ";;;;vulpes;vulpes;fox"
    status, _, err = run("--format", "megadetector", "-o", "md.json")
    assert status == 2
    assert "--force" in err
    assert run("--format", "megadetector", "-o", "md.json", "--force")[0] == 0


def test_the_result_is_there_as_json(run: Run) -> None:
    status, out, _ = run("--format", "summary", "-o", "s.csv", "--json", "--interval", "60")
    report: dict[str, Any] = json.loads(out)
    assert status == 0
    assert (report["rows"], report["output"], report["files"]) == (2, "s.csv", ["s.csv"])


def test_sorting_can_be_undone(run: Run, tmp_path: Path) -> None:
    assert run("--format", "sorted", "-o", "sorted", "--mode", "copy")[0] == 0
    assert (tmp_path / "sorted" / "fox" / "a.jpg").is_file()
    status, out, _ = run("--format", "sorted", "-o", "sorted", "--undo")
    assert status == 0
    assert "Took 2 files away" in out
    assert not (tmp_path / "sorted").exists()
    assert (tmp_path / "photos" / "a.jpg").is_file()
    assert run("--format", "xmp", "-o", "sorted", "--undo")[0] == 2


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs ExifTool (libimage-exiftool-perl)")
def test_photos_that_could_not_be_copied_are_named_and_strict_makes_them_status_1(
    run: Run, tmp_path: Path
) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "a.jpg")
    status, out, _ = run("--format", "xmp", "--mode", "copy", "-o", "copies")
    assert status == 0
    assert "Wrote 1 copy to copies (xmp)." in out
    assert "1 photo was not written:\n  b.jpg: " in out
    status, out, err = run("--format", "xmp", "--mode", "copy", "-o", "strict", "--strict", "--json")
    assert status == 1
    assert json.loads(out)["failed"][0].startswith("b.jpg: ")
    assert "1 photo was not written, the first is b.jpg: " in err
    assert run("--format", "xmp", "--mode", "copy", "-o", "copies", "--force")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["--format", "megadetektor", "-o", "x"], 2, "did you mean 'megadetector'"),
        (["--format", "csv", "-o", "x.csv", "--interval", "3"], 2, "has no option 'interval'"),
        (["--format", "camtrap-dp", "-o", "dp"], 2, "--deployments"),
        (["--format", "summary", "-o", "x.csv", "--taxonomy", "none.csv"], 1, "There is no file none.csv"),
        (["--format", "summary", "-o", "x.csv", "--threshold", "7"], 2, "between 0 and 1"),
        (
            ["--format", "summary", "-o", "x.csv", "--thresholds", "lynx=0.8", "--thresholds", "lynx=0.9"],
            2,
            "names 'lynx' twice",
        ),
    ],
)
def test_wrong_use_is_answered(arguments: list[str], status: int, complaint: str, run: Run) -> None:
    left, _, err = run(*arguments)
    assert left == status
    assert complaint in err


def test_the_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["write", "--help"])
    text = "".join(capsys.readouterr().out.split())  # names may be broken over lines
    assert all(name in text for name in WRITERS)
