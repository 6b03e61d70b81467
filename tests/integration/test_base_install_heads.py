"""The base install, without PyTorch: a head is trained, shown and run; wrong files are refused in words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from trapline.catalog import ByLocation, Catalog
from trapline.cli import main
from trapline.models import Calibration, EventPooling, ModelFile, backbones
from trapline.recipes import resolve_recipe
from trapline.training import train

WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "onnxscript", "optuna"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    random = np.random.default_rng(0)
    rows = []
    for number in range(40):
        label, place = ("bright", "dark")[number % 2], f"L{number // 5}"
        pixels = random.integers(0, 256, (48, 64, 3)) * (0.5 if label == "dark" else 1.0)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(
            {"media_id": str(number), "file_path": f"{number}.png", "labels": [label], "location_id": place}
        )
    made = ByLocation(ratios=(0.7, 0.3)).apply(Catalog.from_rows(rows, tmp_path, "drawn"))
    made.save(tmp_path / "catalog.parquet")
    return made


@pytest.mark.slow
def test_a_head_trains_without_pytorch(tmp_path: Path, catalog: Catalog) -> None:
    script = WITHOUT_TORCH + (
        "from trapline.catalog import Catalog\n"
        "from trapline.recipes import resolve_recipe\n"
        "from trapline.training import train\n"
        "import pathlib\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "recipe = resolve_recipe('head', overrides=['preprocessing.height=32', 'preprocessing.width=32'])\n"
        "catalog = Catalog.load(folder / 'catalog.parquet')\n"
        "train(recipe, catalog, folder / 'run', cache=folder / 'cache')\n"
        "assert not any(name.split('.')[0] == 'torch' for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    model = ModelFile(tmp_path / "run" / "model.onnx")
    assert model.card.labels == ("bright", "dark")
    assert model.card.metrics["accuracy"].value == 1.0
    onnx.checker.check_model(str(model.path), full_check=True)


def test_show_prints_what_a_person_must_know(
    tmp_path: Path, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = resolve_recipe("head", overrides=["preprocessing.height=32", "preprocessing.width=32"])
    path = train(recipe, catalog, tmp_path / "run", cache=tmp_path / "cache")
    main_ok(["show", str(path)])
    shown = capsys.readouterr().out
    card = ModelFile(path).card
    for said in (
        "bright, dark",
        "32 × 32 pixels",
        "Apache License",
        "validation",
        card.calibration.locations[0],
        card.backbone["fingerprint"][:12],
        f"{card.metrics['log_loss'].value:.3f}",
        ModelFile(path).fingerprint,
    ):
        assert said in shown
    main_ok(["show", str(path), "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["card"] == card.model_dump(mode="json")
    assert facts["bytes"] == path.stat().st_size


def test_show_says_how_the_probabilities_were_calibrated(
    tmp_path: Path, write_tiny_model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    by_label = Calibration(
        method="labels",
        slopes=(0.5, 1.0, 2.0),
        offsets=(-1.0, 0.0, 0.25),
        fitted_on="validation: 19 locations",
        blank_kept=0.25,
    )
    pooling = EventPooling(method="max", by_label={"blank": "mean"}, selected_on="validation: 40 events")
    path = write_tiny_model(tmp_path / "m.onnx", task="multi-label", calibration=by_label, event=pooling)
    main_ok(["show", str(path)])
    shown = capsys.readouterr().out
    assert "a slope (0.50 to 2.00) and an offset (-1.00 to +0.25) a label, fitted on validation: 19" in shown
    assert "temperature" not in shown
    assert "trained on 25% of the blanks, the others put back" in shown
    assert "pooled by max, blank by mean; chosen on validation: 40 events" in shown


def test_show_knows_the_shipped_backbones(capsys: pytest.CaptureFixture[str]) -> None:
    main_ok(["show", "lite0"])
    shown = capsys.readouterr().out
    assert "a backbone" in shown
    assert "labels" not in shown
    assert ModelFile(backbones.path("lite0")).fingerprint in shown


def test_show_knows_the_shipped_detector(capsys: pytest.CaptureFixture[str]) -> None:
    main_ok(["show", "megadetector-lite"])
    shown = capsys.readouterr().out
    assert "detector: boxes of animal" in shown
    assert "MIT" in shown
    main_ok(["show", "megadetector-lite", "--json"])
    assert json.loads(capsys.readouterr().out)["detector"]["categories"] == ["animal"]


def test_show_refuses_other_onnx_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(backbones.path("lite0"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(SystemExit) as left:
        main(["show", str(tmp_path / "foreign.onnx")])
    assert left.value.code == 1
    assert "without a Trapline card" in capsys.readouterr().err


def main_ok(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert not left.value.code
