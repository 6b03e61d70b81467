"""What must hold of every reader, writer, recipe, backbone and metric: checks for the tests of a package.

Each takes the name of an entry, Trapline's or a guest's; an AssertionError says what does not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineError, UsageError
from trapline.formats import READERS, WRITERS, read, write
from trapline.metrics import EVALUATORS
from trapline.prediction import FIXED, Predictions
from trapline.recipes import RECIPES, Recipe, resolve_recipe

LABELS = ("fox", "hare", "blank")
_NUMBERS = ((0.9, 0.1, 0.02, None), (0.06, 0.8, 0.03, None), (0.04, 0.1, 0.95, None))
"""The probabilities of each label, of four media."""


def check_reader(name: str, source: Path, empty: Path, **options: Any) -> Catalog:
    """A reader knows its format and no other, reads it alike each time, and refuses what is not there.

    Args:
        name: of the reader.
        source: a file or folder of its format.
        empty: a folder in which nothing is.
        **options: its own, as `read` takes them.

    Returns:
        What it reads, for more checks.
    """
    reader = READERS.find(name)
    assert reader.description.endswith("."), f"the docstring of {name} begins with a sentence"
    assert reader.recognise(empty) is None, f"{name} recognises an empty folder"
    assert reader.recognise(empty / "missing") is None, f"{name} recognises what is not there"
    assert _refuses(lambda: read(empty, format=name), DataError), f"{name} reads an empty folder"
    assert isinstance(reader.recognise(source), str), f"{name} does not recognise {source}"
    catalog = read(source, format=name, **options)
    assert catalog.table.equals(read(source, format=name, **options).table), f"{name} reads otherwise again"
    assert _refuses(lambda: read(source, format=name, no_such_option=1)), f"{name} takes any option"
    return catalog


def check_writer(name: str, folder: Path, suffix: str = ".csv", **options: Any) -> Path:
    """A writer says what it writes and loses, leaves nothing half done, and replaces nothing unasked.

    A catalog that people labelled is written without predictions too, or refused as what it is not for.

    Args:
        name: of the writer.
        folder: an empty folder.
        suffix: of its file.
        **options: its own, as `write` takes them.

    Returns:
        The file or folder that it wrote of four media, for more checks.
    """
    writer = WRITERS.find(name)
    output = folder / (f"out{suffix}" if writer.into == "file" else "out")
    predictions, catalog = scene(folder)
    report = write(predictions, catalog, output, format=name, **options)
    assert writer.description.endswith("."), f"the docstring of {name} begins with a sentence"
    assert report.rows > 0, f"{name} wrote nothing"
    base = output if output.is_dir() else output.parent
    assert report.files, f"{name} names no file"
    assert all((base / file).is_file() for file in report.files), f"{name} names files that are not there"
    assert not list(folder.rglob("*.partial")), f"{name} leaves a half-written file"
    if writer.into != "shared":
        again = _refuses(lambda: write(predictions, catalog, output, format=name, **options))
        assert again, f"{name} replaces what is there"
    labelled = catalog.with_table(catalog.table.with_columns(labels=pl.lit([LABELS[0]])))
    alone = {option: value for option, value in options.items() if option != "threshold"}
    target = folder / "labelled" / output.name
    target.parent.mkdir()
    written: list[int] = []
    if not _refuses(lambda: written.append(write(None, labelled, target, format=name, **alone).rows)):
        assert written[0] > 0, f"{name} writes nothing of what people labelled"
    return output


def check_recipe(name: str) -> Recipe:
    """A recipe is found by its name, is the same from its file, and its search space can be drawn from."""
    recipe = resolve_recipe(name)
    assert recipe.name == name, f"{name} calls itself {recipe.name}"
    assert RECIPES[name]() == recipe, f"{name} is another recipe when it is resolved"
    assert type(recipe).model_validate(recipe.model_dump(mode="json")) == recipe, f"{name} is lost in JSON"
    return recipe


def check_backbone(recipe: Recipe, labels: int = 3) -> None:
    """The recipe's backbone gives finite numbers of one shape for any batch, the same in any company."""
    import torch

    from trapline.models.networks import build_network

    network, _ = build_network(recipe, labels, load=False)
    network.eval()
    size = (4, recipe.preprocessing.height, recipe.preprocessing.width, 3)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, embedding = network(images)
        alone, _ = network(images[:1])
    assert logits.shape == (4, labels), f"{recipe.backbone} gives logits of the shape {tuple(logits.shape)}"
    assert embedding.shape == (4, network.embedding_size), f"{recipe.backbone} changes the embedding's size"
    assert bool(torch.isfinite(logits).all()), f"{recipe.backbone} gives numbers that are not finite"
    assert torch.allclose(alone, logits[:1], atol=1e-4), f"{recipe.backbone} mixes the images of a batch"


def check_metric(name: str) -> list[str]:
    """A media of weight 2 counts as two media, many resamples as each alone; the names of the figures."""
    entry = EVALUATORS.find(name)
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(6), 40)
    truth = np.arange(40) % 6 if "single-label" in entry.tasks else (random.random((40, 6)) < 0.4).astype(int)
    weights = random.integers(1, 4, (2, 40))
    both = dict(entry.function(truth, probabilities, weights, None))
    for row, single in enumerate(weights):
        twice = np.repeat(truth, single, axis=0), np.repeat(probabilities, single, axis=0)
        for figure, value in entry.function(*twice, None, None):
            same = np.allclose(both[figure][row], value, equal_nan=True)
            assert same, f"{figure} of {name} counts weights otherwise than media"
    return list(both)


def scene(folder: Path) -> tuple[Predictions, Catalog]:
    """Predictions of four media, one of which failed, and their catalog; the photos are not there."""
    ids = ["a", "b", "c", "d"]
    media = {
        "media_id": ids,
        "file_path": [f"north/{name}.jpg" for name in ids],
        "location_id": ["north"] * 4,
    }
    catalog = Catalog.from_rows(pl.DataFrame(media), folder, "four media")
    rows = {
        "media_id": ids,
        "event_id": None,
        "box": None,
        "file_path": media["file_path"],
        "status": ["ok", "ok", "ok", "failed"],
        "reason": [None, None, None, "not a picture"],
        **dict(zip(LABELS, _NUMBERS, strict=True)),
    }
    table = pl.DataFrame(rows, schema=FIXED | dict.fromkeys(LABELS, pl.Float32()))
    return Predictions(table, LABELS, "media", "0" * 16, "single-label"), catalog


def _refuses(call: Callable[[], object], kind: type[TraplineError] = UsageError) -> bool:
    try:
        call()
    except kind:
        return True
    return False
