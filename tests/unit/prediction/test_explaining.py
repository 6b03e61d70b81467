"""One photo explained: the box that `predict` takes, and what was seen is always said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.cli import main
from trapline.errors import DataError, UsageError
from trapline.images import Box, CropPolicy, Preprocessing
from trapline.models import ModelFile
from trapline.prediction import explain, predict
from trapline.taxonomy import taxonomy_from_csv

LABELS = ("bobcat", "elk", "empty", "puma")
CSV = """label,family,genus,species,kind
bobcat,Felidae,Lynx,Lynx rufus,animal
puma,Felidae,Puma,Puma concolor,animal
elk,Cervidae,Cervus,Cervus canadensis,animal
empty,,,,blank
"""
BOX = {"category": "animal", "conf": 0.9, "x": 0.5, "y": 0.5, "width": 0.25, "height": 0.25}
CROPS = Preprocessing(height=16, width=16, crop=CropPolicy())


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Three photos of other colours where the box is: with a box, with a faint one, with none looked for."""
    rows = []
    for name, boxes in (
        ("a.png", [BOX | {"conf": 0.3}, BOX]),
        ("b.png", [BOX | {"conf": 0.1}]),
        ("c.png", None),
    ):
        (tmp_path / "photos" / name[0]).mkdir(parents=True)
        pixels = np.full((64, 64, 3), (10, 200, 30), np.uint8)
        pixels[32:48, 32:48] = (250, 20, 220)
        Image.fromarray(pixels).save(tmp_path / "photos" / name[0] / name)
        rows.append({"media_id": name, "file_path": f"{name[0]}/{name}", "boxes": boxes})
    return Catalog.from_rows(rows, tmp_path / "photos", "three")


@pytest.fixture
def model(write_tiny_model: Callable[..., Path], tmp_path: Path) -> Callable[..., ModelFile]:
    (tmp_path / "t.csv").write_text(CSV)
    tree = taxonomy_from_csv(tmp_path / "t.csv").for_labels(LABELS).to_json()

    def make(cropped: int | None = 10, **card: Any) -> ModelFile:
        data = {} if cropped is None else {"training_data": {"train": {"cropped": cropped}}}
        filled: dict[str, Any] = {"taxonomy": tree, "preprocessing": CROPS} | data | card
        return ModelFile(write_tiny_model(tmp_path / "m.onnx", LABELS, seed=3, **filled), threads=1)

    return make


def probability(found: Any, name: str) -> float:
    return sum(step.probability for step in found.steps if step.name == name)


def test_with_a_catalog_it_says_what_predict_says(
    model: Callable[..., ModelFile], catalog: Catalog, tmp_path: Path
) -> None:
    made = model()
    table = predict(made, catalog, tmp_path / "p.parquet").table
    for file_path, bobcat in table.select("file_path", "bobcat").iter_rows():
        found = explain(made, catalog.path(file_path), catalog=catalog)
        assert probability(found, "Lynx rufus") == pytest.approx(bobcat if bobcat >= 0.005 else 0, abs=1e-5)
    whole = explain(made, catalog.path("a/a.png"))
    cut = explain(made, catalog.path("a/a.png"), catalog=catalog)
    assert whole.steps != cut.steps
    assert cut.box == Box(0.5, 0.5, 0.25, 0.25)
    by_hand = explain(made, catalog.path("c/c.png"), box=Box(0.5, 0.5, 0.25, 0.25))
    assert by_hand.steps == cut.steps


def test_what_was_seen_is_said(model: Callable[..., ModelFile], catalog: Catalog) -> None:
    made = model()
    seen = [explain(made, path, catalog=catalog).seen for path in catalog.paths()]
    assert seen == [
        "the box 0.5,0.5,0.25,0.25",
        "the whole photo: no box is let through",
        "the whole photo: no detector was run",
    ]
    photo = catalog.path("a/a.png")
    unasked = "the whole photo: this model learnt from boxes, give --catalog or --box"
    assert explain(made, photo).seen == unasked
    assert explain(model(cropped=None), photo).seen == unasked.replace("learnt from", "looks at")
    untaught = model(cropped=0)
    assert explain(untaught, photo).seen == "the whole photo"
    assert "learnt from whole photos" in explain(untaught, photo, catalog=catalog).seen
    assert explain(model(preprocessing=Preprocessing(height=16, width=16)), photo).seen == "the whole photo"


def test_boxes_that_cannot_be_are_refused(
    model: Callable[..., ModelFile], catalog: Catalog, tmp_path: Path
) -> None:
    made, photo = model(), catalog.path("a/a.png")
    for box in (Box(0.5, 0.5, 0.6, 0.1), Box(0, 0, 0, 1), Box(-0.1, 0, 0.5, 0.5)):
        with pytest.raises(UsageError, match="fractions of the photo, inside it"):
            explain(made, photo, box=box)
    with pytest.raises(UsageError, match="not both"):
        explain(made, photo, catalog=catalog, box=Box(0, 0, 1, 1))
    (tmp_path / "a.png").write_bytes(photo.read_bytes())  # of the same name, elsewhere
    with pytest.raises(DataError, match="does not have"):
        explain(made, tmp_path / "a.png", catalog=catalog)
    with pytest.raises(UsageError, match="never cuts"):
        explain(model(preprocessing=Preprocessing(height=16, width=16)), photo, box=Box(0, 0, 1, 1))


def test_the_command_takes_both_and_always_says_what_was_seen(
    model: Callable[..., ModelFile], catalog: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = ["show", str(model().path), "--photo", str(catalog.path("a/a.png"))]
    saved = str(catalog.save(tmp_path / "c.parquet"))

    def run(*more: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as left:
            main([*photo, *more])
        said = capsys.readouterr()
        return left.value.code, said.out + said.err

    assert "Seen: the whole photo: this model learnt from boxes, give --catalog or --box" in run()[1]
    assert "Seen: the box 0.5,0.5,0.25,0.25" in run("--catalog", saved)[1]
    assert run("--catalog", saved)[1] == run("--box", "0.5,0.5,0.25,0.25")[1]
    status, said = run("--box", "0.5,0.5")
    assert status == 2
    assert "x,y,width,height" in said
