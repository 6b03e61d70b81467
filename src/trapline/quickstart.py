"""The whole way of the data on a synthetic world, in one call, judged by a random split and by location."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trapline.errors import UsageError, many

if TYPE_CHECKING:
    from trapline.catalog import Catalog
    from trapline.evaluation import Evaluation
    from trapline.synthetic import WorldSummary
    from trapline.training import StepReport

SPLITS = ("random", "location")
NAMES = {"random": "the model of the random split", "location": "the model of the split by location"}
RATIOS = (50.0, 15.0, 35.0)  # enough test locations for intervals over them
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")

OWN_PHOTOS = """\
The same with your own photos: a card folder (one folder a location) and a table that says what is in them
  trapline catalog labels.csv -o catalog.parquet     columns: filepath, label, location, event, datetime
  trapline catalog PHOTOS --format photo_folder -o card.parquet      photos that nobody has labelled yet
or photos sorted into one folder a label
  trapline catalog FOLDER --format class_folders -o catalog.parquet
and from there
  trapline explore catalog.parquet -o explore.html
  trapline split catalog.parquet -o split.parquet
  trapline train split.parquet -r head -o runs/mine
  trapline predict runs/mine/model.onnx split.parquet --part test -o test.parquet
  trapline evaluate split.parquet test.parquet -o report.html
  trapline predict runs/mine/model.onnx card.parquet -o predictions.csv
  trapline write predictions.csv card.parquet --format summary -o species.csv
The last file counts photos and visits by species and location: docs/species-table.md."""


@dataclass(frozen=True)
class Quickstart:
    """What a quickstart left behind.

    Attributes:
        folder: where everything lies.
        world: what was drawn.
        evaluations: on the test photos of the split `random` and of the split `location`.
        reports: the pages to read, by what they are.
        seconds: from start to end.
    """

    folder: Path
    world: WorldSummary
    evaluations: dict[str, Evaluation]
    reports: dict[str, Path]
    seconds: float


@dataclass(frozen=True)
class _Teller:
    """Says each step as the command that does the same, then what came of it and how long it took."""

    say: Callable[[str], object]

    @contextmanager
    def step(self, title: str, command: str) -> Iterator[list[str]]:
        """The lines put into the list are said when the step is done."""
        self.say(f"\n{title}\n  $ {command}")
        started, lines = time.monotonic(), list[str]()
        yield lines
        for line in lines:
            self.say(f"  {line}")
        self.say(f"  {time.monotonic() - started:.1f} s")


def quickstart(
    folder: Path | str,
    *,
    seed: int = 42,
    locations: int = 28,
    events_per_location: int = 11,
    force: bool = False,
    say: Callable[[str], object] = print,
    report: StepReport | None = None,
) -> Quickstart:
    """Draw a synthetic world, train on it, and judge the model by a random split and by location.

    Needs no network, no data and no PyTorch. Writes into `folder`: `world/`, the catalog and its two splits,
    `runs/`, the predictions, `explore.html` and the two reports.

    Args:
        folder: where to write; made if needed.
        seed: of the world and the splits.
        locations: cameras of the world; at least 8, so that every part of the split has some.
        events_per_location: bursts of three photos a location, on average.
        force: replace what an earlier quickstart left in the folder.
        say: told each line that a person should read.
        report: told of the progress within a step.

    Raises:
        UsageError: the folder holds something already, or there are too few locations.
    """
    folder = Path(folder)
    if locations < 8:
        raise UsageError(f"A quickstart needs at least 8 locations to split by location, not {locations}.")
    _make_room(folder, force)
    started, teller = time.monotonic(), _Teller(say)
    say("Everything here is synthetic: the pictures are drawn by a program, none is a photograph, and the")
    say("figures say nothing about real animals. They show how Trapline works and what a split can hide.")
    say(f"\nThe commands below do the same by hand, in {folder}:")
    world = _draw(folder, locations, events_per_location, seed, teller, report)
    catalog = _catalog(folder, world, teller)
    evaluations = {}
    for by in SPLITS:
        split = _split(folder, catalog, by, seed, teller)
        evaluations[by] = _train_and_judge(folder, split, by, teller, report)
    reports = _write_reports(folder, evaluations)
    done = Quickstart(folder, world, evaluations, reports, time.monotonic() - started)
    for line in _conclusion(done):
        say(line)
    return done


def _make_room(folder: Path, force: bool) -> None:
    """Make the folder, or take away what an earlier quickstart left in it, and nothing else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        folder.mkdir(parents=True, exist_ok=True)
    elif not force:
        raise UsageError(
            f"{folder} exists. Name another folder, or replace an earlier quickstart with --force."
        )
    elif not (folder / "world" / "README.txt").is_file():
        raise UsageError(
            f"{folder} is not the folder of a quickstart; it is left alone. Name another folder."
        )
    for name in ("runs", ".cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [*folder.glob("test-*.parquet*"), *folder.glob("split-*.parquet")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _draw(
    folder: Path, locations: int, events: int, seed: int, teller: _Teller, report: StepReport | None
) -> WorldSummary:
    from trapline.synthetic import make_world

    drawn = 0

    def count() -> None:
        nonlocal drawn
        drawn += 1
        if report is not None:
            report("draw", drawn, max(drawn, locations * events * 3), "")

    command = f"trapline quickstart world --data-only --seed {seed}"
    command += f" --locations {locations} --events-per-location {events}"
    with teller.step("Draw a synthetic world", command) as lines:
        world = make_world(
            folder / "world",
            locations=locations,
            events_per_location=events,
            seed=seed,
            force=True,
            on_photo=count,
        )
        lines.append(
            f"{many(world.media, 'picture')} of {many(world.locations, 'location')}, {world.night} of them "
            "infrared, in bursts of three"
        )
        lines.append(", ".join(f"{label} {number}" for label, number in world.labels.items()))
    return world


def _catalog(folder: Path, world: WorldSummary, teller: _Teller) -> Catalog:
    from trapline.evaluation import explore
    from trapline.formats import read

    with teller.step(
        "Read the photos and their labels", "trapline catalog world/labels.csv -o catalog.parquet"
    ) as lines:
        catalog = read(world.labels_csv)
        catalog.save(folder / "catalog.parquet")
        lines.append(
            f"{len(catalog)} media, {many(len(catalog.labels), 'label')}: {', '.join(catalog.labels)}"
        )
    with teller.step("Look into them", "trapline explore catalog.parquet -o explore.html") as lines:
        explore(catalog, folder / "explore.html")
        lines.append(f"{folder / 'explore.html'}: labels, locations, hours, pictures, what could go wrong")
    return catalog


def _split(folder: Path, catalog: Catalog, by: str, seed: int, teller: _Teller) -> Catalog:
    from trapline.catalog import make_splitter

    ratios = ",".join(f"{ratio:g}" for ratio in RATIOS)
    command = (
        f"trapline split catalog.parquet --by {by} --ratios {ratios} --seed {seed} -o split-{by}.parquet"
    )
    titles = {
        "random": "Split at random: photos of every camera are in every part",
        "location": "Split by location: the test cameras are in no other part",
    }
    with teller.step(titles[by], command) as lines:
        split = make_splitter(by, ratios=RATIOS, seed=seed).apply(catalog)
        split.save(folder / f"split-{by}.parquet")
        parts = split.facts.split.parts if split.facts.split else {}
        lines += [
            f"{part}: {of.media} media of {many(of.locations, 'location')}" for part, of in parts.items()
        ]
    return split


def _train_and_judge(
    folder: Path, split: Catalog, by: str, teller: _Teller, report: StepReport | None
) -> Evaluation:
    from trapline.evaluation import evaluate
    from trapline.models import ModelFile
    from trapline.prediction import predict
    from trapline.recipes import resolve_recipe
    from trapline.training import train

    leaks = by == "random"
    command = f"trapline train split-{by}.parquet -r head -o runs/{by}" + " --allow-leak" * leaks
    with teller.step("Train a head on the backbone that Trapline ships", command) as lines:
        path = train(
            resolve_recipe("head"),
            split,
            folder / "runs" / by,
            allow_leak=leaks,
            cache=folder / ".cache",  # the features of a photo are computed for the first split only
            report=report,
        )
        lines.append(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    command = f"trapline predict runs/{by}/model.onnx split-{by}.parquet --part test -o test-{by}.parquet"
    with teller.step("Predict the test photos", command) as lines:
        predictions = predict(ModelFile(path), split, folder / f"test-{by}.parquet", part="test")
        lines.append(f"{len(predictions.ok)} media predicted, {len(predictions.failed)} failed")
    command = f"trapline evaluate split-{by}.parquet test-{by}.parquet -o report-{by}.html"
    with teller.step("Judge the predictions", command) as lines:
        evaluation = evaluate(split, predictions, name=NAMES[by])
        accuracy, loss = evaluation.metrics["accuracy"].value, evaluation.metrics["log_loss"].value
        lines.append(f"accuracy {accuracy:.3f}, log loss {loss:.3f} on {evaluation.measured_on}")
    return evaluation


def _write_reports(folder: Path, evaluations: dict[str, Evaluation]) -> dict[str, Path]:
    random, location = (evaluations[by] for by in SPLITS)
    return {
        "explore": folder / "explore.html",
        "random": random.save_report(folder / "report-random.html", beside={NAMES["location"]: location}),
        "location": location.save_report(folder / "report-location.html", beside={NAMES["random"]: random}),
    }


def _conclusion(done: Quickstart) -> Iterator[str]:
    random, location = (done.evaluations[by] for by in SPLITS)
    yield "\nThe same photos and recipe, judged in two ways (95 % intervals over locations in brackets):\n"
    yield from _side_by_side(random, location)
    yield ""
    yield from _lesson(random, location)
    yield f"\nDone after {done.seconds:.0f} s. To read (synthetic, every one of them):"
    yield from (f"  {path}" for path in done.reports.values())
    yield f"\n{OWN_PHOTOS}"


def _side_by_side(random: Evaluation, location: Evaluation) -> list[str]:
    from trapline.evaluation import columns, number, title, with_span

    constants = {one.name: one.metrics for one in location.constants}
    rows = [["", "random split", "split by location", "label shares alone"]]
    rows += [
        [
            title(figure),
            with_span(random.metrics[figure]),
            with_span(location.metrics[figure]),
            number(constants["priors"].get(figure)),
        ]
        for figure in FIGURES
    ]
    return columns(rows)


def _lesson(random: Evaluation, location: Evaluation) -> Iterator[str]:
    points = 100 * (random.metrics["accuracy"].value - location.metrics["accuracy"].value)
    if points <= 0:
        yield "In this world the random split does not flatter the model; in others it does."
        return
    yield f"The random split flatters the model by {points:.0f} points of accuracy: its test photos show"
    yield "backgrounds that the model has met in training, and a background tells which animal lives there."
    yield "At a camera that it has never seen, the model is as good as the split by location says."
    yield "Trapline splits by location unless asked otherwise."
