"""A model that was measured at too few locations says so wherever it, or what it predicted, is used."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from trapline.catalog import Catalog
from trapline.models import Card, MeasuredAt, ModelFile, NewLocationsInterval
from trapline.prediction import Predictions
from trapline.serving.answers import describe
from trapline.serving.shelf import Shelf

Run = Callable[..., tuple[int, str, str]]
BOX = "Too few locations to tell of others"


def photos(folder: Path) -> Path:
    """A labelled catalog of two photos at each of ten locations."""
    folder.mkdir()
    rows = []
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
        labels, location = [("hare", "lynx")[number % 2]], f"L{number // 2}"
        rows.append(
            {
                "media_id": f"m{number}",
                "file_path": f"{number}.jpg",
                "labels": labels,
                "location_id": location,
            }
        )
    return Catalog.from_rows(rows, folder, "twenty photos").save(folder.parent / "photos.parquet")


@pytest.mark.parametrize(("locations", "told"), [(1, True), (4, True), (10, False)])
def test_the_box_of_a_model_follows_its_predictions_everywhere(
    run: Run, tmp_path: Path, write_tiny_model: Callable[..., Path], locations: int, told: bool
) -> None:
    photos(tmp_path / "card")
    at = MeasuredAt.of({f"L{number}": 9 for number in range(locations)})
    model = write_tiny_model(tmp_path / "model.onnx", measured_at=at)
    words = "at one location (L0)" if locations == 1 else f"at {locations} locations: too few"

    shown = run("show", "model.onnx")[1]
    assert (shown.startswith("FEW LOCATIONS") and words in shown) == told
    assert json.loads(run("show", "model.onnx", "--json")[1])["card"]["measured_at"]["locations"] == locations

    status, _, err = run("predict", "model.onnx", "photos.parquet", "-o", "p.csv")
    assert status == 0
    assert (words in err) == told
    assert "cannot be told: its card keeps no statistics" in err
    assert Predictions.load("p.csv").facts.measured_at == (at,)

    out = run("evaluate", "photos.parquet", "p.csv")[1]
    assert (f"FEW LOCATIONS: The model was measured {words}" in out) == told
    assert "New locations" not in out, "it is not known which the model was trained on"
    table = Catalog.load(tmp_path / "photos.parquet").table
    others = table.with_columns(
        pl.format("other-{}", name).alias(name) for name in ("media_id", "location_id")
    )
    Catalog.from_rows(others, tmp_path / "nowhere", "others").save(tmp_path / "others.parquet")
    _, out, err = run(
        "evaluate", "photos.parquet", "p.csv", "--training", "others.parquet", "-o", "report.html"
    )
    assert "New locations: Accuracy" in out, f"of this evaluation, at ten locations: {err}"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (BOX in page and words in page) == told
    assert "What to expect at a new location" in page

    out = run("write", "p.csv", "photos.parquet", "--format", "summary", "-o", "species.csv")[1]
    assert (words in out) == told
    assert "In our trials" not in out, "the whole of it stands where it is judged and predicted"
    assert sum(words in line for line in out.splitlines()) == told
    document = describe(ModelFile(model))
    assert (words in (document["few_locations"] or "")) == told
    assert "cannot be told" in document["not_compared"]
    shelf = Shelf({"model": model})
    shelf.open_all()
    assert "cannot be told" in shelf.doubts["model"]
    assert (words in shelf.doubts["model"]) == told


def test_the_card_keeps_what_new_locations_may_show_and_old_cards_open(
    write_tiny_model: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    new = {"accuracy": tuple(NewLocationsInterval(locations=n, low=0.4, high=0.9) for n in (1, 10))}
    figures = {"accuracy": {"value": 0.75, "low": 0.7, "high": 0.8}}
    path = write_tiny_model(tmp_path / "m.onnx", new_locations=new, metrics=figures, metrics_on="twenty")
    assert ModelFile(path).card.new_locations == new
    shown = run("show", "m.onnx")[1]
    sentence = (
        "Accuracy 0.750 (0.70–0.80: the mean over locations like these); at one new location 0.40–0.90, "
        "on 10 new ones together 0.40–0.90."
    )
    assert sentence in shown
    old = ModelFile(path).card.model_dump(mode="json", exclude={"new_locations", "measured_at"})
    assert Card.model_validate(old).new_locations == {}
