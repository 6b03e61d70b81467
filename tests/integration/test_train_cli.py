"""The commands train and tune: what they print, write and refuse, and with which status they leave."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.cli import main
from trapline.cli.train import _lines
from trapline.models import ModelFile

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

TINY = ["--set", "preprocessing={height: 94, width: 94}", "--set", "epochs=1", "--set", "batch_size=4"]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """12 photos at 6 locations, split by location; the working folder and the cache are temporary."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    rows = []
    for place in range(12):
        pixels = random.integers(0, 120, (40, 60, 3), dtype=np.uint8)
        pixels[10:20, 10:20, place % 2] = 255
        Image.fromarray(pixels).save(tmp_path / f"{place}.png")
        row = {
            "media_id": str(place),
            "file_path": f"{place}.png",
            "location_id": f"L{place // 2}",
            "labels": ["ab"[place % 2]] if place != 7 else None,
            "split": "train" if place < 8 else "validation",
        }
        rows.append(row)
    return Catalog.from_rows(rows, tmp_path, "synthetic").save(tmp_path / "catalog.parquet")


def leave(*arguments: object) -> int:
    """The status that the command line leaves with."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


def test_train_writes_a_model_file_and_says_how_good_it_is(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave("train", catalog, "-r", "small-cnn", *TINY) == 0
    told = capsys.readouterr()
    assert "Wrote runs/small-cnn/model.onnx" in told.out.replace("\\", "/")
    assert "validation: 4 media at 2 locations" in told.out
    assert "Log loss" in told.out
    assert "Note: Measured at 2 locations: too few" in told.out
    assert "Note: 1 of 12 media for training and validation have no label" in told.err
    assert ModelFile("runs/small-cnn/model.onnx").card.labels == ("a", "b")
    assert leave("train", catalog, "-r", "small-cnn", *TINY) == 2
    assert "--resume" in capsys.readouterr().err
    assert leave("train", catalog, "-r", "small-cnn", *TINY, "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["log_loss"]["value"] > 0


def test_train_with_folds_judges_out_of_fold_and_fits_on_everything(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave("train", catalog, "-r", "small-cnn", *TINY, "--folds", 2, "-o", "run", "--seed", 3) == 0
    assert "2 location folds" in capsys.readouterr().out
    recipe = ModelFile("run/model.onnx").card.recipe
    assert (recipe["fit"], recipe["folds"], recipe["seed"]) == ("all", 2, 3)


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["-r", "smal-cnn"], 2, "did you mean 'small-cnn'"),
        ([], 2, "Name a recipe with -r"),
        (["-r", "small-cnn", "--set", "optimiser.lrr=1"], 2, "did you mean 'lr'"),
        (["-r", "small-cnn", "--recipe-file", "gone.yaml"], 2, "no recipe file"),
        (["-r", "efficientnet-lite0", "--set", "weights=gone.pth"], 1, "no weights at"),
    ],
)
def test_train_refuses_what_cannot_be(
    catalog: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, complaint: str
) -> None:
    assert leave("train", catalog, *arguments) == status
    assert complaint in capsys.readouterr().err


def test_a_recipe_can_be_looked_at_and_changed(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("train", catalog, "-r", "small-cnn", "--set", "epochs=7", "--show-recipe") == 0
    text = capsys.readouterr().out
    assert "epochs: 7" in text
    Path("mine.yaml").write_text(text, encoding="utf-8")
    assert leave("train", catalog, "--recipe-file", "mine.yaml", "--show-recipe") == 0
    assert capsys.readouterr().out == text


def test_force_removes_runs_and_nothing_else(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("photos/precious.txt").write_text("mine")
    assert leave("train", catalog, "-r", "small-cnn", *TINY, "-o", "photos", "--force") == 2
    assert "not removed" in capsys.readouterr().err
    assert Path("photos/precious.txt").exists()


def test_tune_tries_goes_on_and_hands_over_its_best(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = "search={optimiser.lr: {choices: [1e-3, 1e-4]}, head.hidden: {choices: [[], [8]]}}"
    options = [*TINY, "--set", space, "--folds", 2, "-o", "search"]
    assert leave("tune", catalog, "-r", "small-cnn", *options, "--trials", 1) == 0
    both = ["--trials", 3, "--on", "local:2", "--json"]
    assert leave("tune", catalog, "-r", "small-cnn", *options, *both) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["trials"] == 3
    assert set(found["best"]["values"]) == {"optimiser.lr", "head.hidden"}
    with Path("search/trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert min(float(row["log_loss"]) for row in rows) == pytest.approx(
        found["best"]["metrics"]["log_loss"][0]
    )
    page = Path("search/report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2  # one a field
    assert f"trial {found['best']['trial']}".split()[1] in page
    assert "http:" not in page
    assert "https:" not in page
    assert (
        leave("train", catalog, "-r", "small-cnn", "--recipe-file", "search/best.yaml", "--show-recipe") == 0
    )
    assert leave("tune", catalog, "-r", "small-cnn", *options, "--folds", 3) == 2
    assert "another folds" in capsys.readouterr().err


def test_tune_needs_a_space(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("tune", catalog, "-r", "conser-vision-resnet50") == 2
    assert "no search space" in capsys.readouterr().err


@pytest.mark.parametrize("high", [None, 0.9])
def test_figures_without_an_interval_say_why_and_have_no_empty_column(
    write_tiny_model: Any, tmp_path: Path, high: float | None
) -> None:
    figures = {"accuracy": {"value": 0.75, "low": high and 0.7, "high": high}}
    path = write_tiny_model(tmp_path / "m.onnx", metrics=figures, metrics_on="one camera")
    told = "\n".join(_lines(ModelFile(path).card, path, 1.0, []))
    assert ("95 % interval" in told) == (high is not None)
    assert ("No intervals" in told and "--event-gap 60s" in told) == (high is None)
