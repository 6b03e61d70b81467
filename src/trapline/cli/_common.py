"""What every command shares: the options that mean the same everywhere, progress, refusal to overwrite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, overload

import typer

from trapline.arguments import refuse_own_input
from trapline.errors import UsageError
from trapline.storage import AnyPath

if TYPE_CHECKING:
    from rich.progress import Progress


Force = Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Report = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write a report: .html to read, .json for scripts.")
]
Table = Annotated[Path, typer.Option("-o", "--output", help="The table to write, .csv or .parquet.")]
LearntBy = Annotated[str, typer.Option(help="What is kept together where it is learnt: location or season.")]
LearntFolds = Annotated[int, typer.Option(min=2, help="Folds of the locations, where it is learnt.")]
RowsPerFile = Annotated[
    int | None, typer.Option(min=1, help="Write a folder of Parquet files of so many rows each.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin again instead of going on with an earlier run.")]
Part = Annotated[str | None, typer.Option(help="Only this part of the split: train, validation, test.")]
CropOrFindBoxes = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|ID|auto",
        help="Boxes to cut to: MegaDetector's JSON; auto, a detector's ONNX file or id: find them first.",
    ),
]

Decisions = Annotated[
    Path | None,
    typer.Option("--decisions", metavar="FILE.db", help="Decisions of a review, which become labels."),
]
SureOnly = Annotated[
    bool, typer.Option("--sure-only", help="Leave out decisions of which the person was not sure.")
]

RecipeFile = Annotated[Path | None, typer.Option(help="YAML with fields of the recipe.")]
RecipeTaxonomy = Annotated[
    Path | None, typer.Option(help="Recipes of taxa: a CSV, JSON, SpeciesNet labels or nested folders.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A field of the recipe: optimiser.lr=1e-4. Repeat it."),
]
AllowLeak = Annotated[bool, typer.Option("--allow-leak", help="Train though the split leaks.")]

Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that decode photos; as many as there are cores.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads the network runs on; as many as there are cores.")
]
Runtime = Annotated[
    str, typer.Option(help="What runs the network: auto, cpu, cuda, directml, coreml or openvino.")
]

Devices = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto|NAMES",
        help="Train a network on so many GPUs, on all (auto), on some (cuda:0,cuda:2), or in so many "
        "processes on the processor (cpu:2).",
    ),
]

On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ENGINE",
        help="Several at once, each in a process of its own: local:N (on this machine), ray, "
        "ray://HOST:PORT.",
        show_default=False,
    ),
]

TrainNames = Annotated[
    list[str] | None,
    typer.Option("--train", help="With --by season or location: what trains (S1, S1..S4). Repeatable."),
]
ValidateNames = Annotated[
    list[str] | None, typer.Option("--validate", help="Likewise: what validates. Repeatable.")
]
TestNames = Annotated[list[str] | None, typer.Option("--test", help="Likewise: what tests. Repeatable.")]
SplitSeed = Annotated[
    int | None, typer.Option("--seed", help="Deals locations, events or photos to the parts [42].")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything that is random.")]

TfInput = Annotated[
    str | None,
    typer.Option("--tf-input", help="What TensorFlow Serving's clients call the pixels [images]."),
]
TfOutput = Annotated[
    str | None,
    typer.Option("--tf-output", help="What they call the probabilities [probabilities]."),
]
TfRange = Annotated[
    str | None,
    typer.Option("--tf-range", help="They send pixels as float32: 0-255, or 0-1 for a share of 255."),
]


def refuse_to_overwrite(path: AnyPath, force: bool) -> None:
    """Stop with status 2 if `path` exists and `--force` was not given."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists. Name another output with -o, or overwrite it with --force.")


def refuse_as_report(output: Path | None, what: str | None, force: bool) -> list[Path]:
    """The same for a report, and for the table of `what` beside it if it is a page; these files."""
    from trapline.reports import listed_beside

    files = [] if output is None else [output]
    if output is not None and what is not None and output.suffix.lower() == ".html":
        files.append(listed_beside(output, what))
    for path in files:
        refuse_to_overwrite(path, force)
    return files


def refuse_as_predictions(
    path: AnyPath, force: bool, *sources: object, rows_per_file: int | None = None
) -> None:
    """The same for a table of predictions; whatever `force`, for one of the sources, and for what is not ours
    and would be lost: a header beside it, a folder in its place."""
    from trapline.prediction import check_output

    refuse_to_overwrite(path, force)
    refuse_own_input(path, *sources)
    check_output(path, rows_per_file)


def refuse_as_catalog(path: AnyPath, force: bool) -> None:
    """The same for the output of a command that writes a catalog, which is Parquet whatever it is called."""
    if path.suffix.lower() != ".parquet":
        raise UsageError(f"A catalog is written as .parquet, not as '{path.name}'.")
    refuse_to_overwrite(path, force)


@overload
def parse_numbers(text: str, option: str) -> list[float]: ...
@overload
def parse_numbers(text: str | None, option: str) -> list[float] | None: ...
def parse_numbers(text: str | None, option: str) -> list[float] | None:
    """Numbers with commas between them, as in 70,15,15; anything else is a `UsageError`."""
    if text is None:
        return None
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} takes numbers with commas, as in 70,15,15; not '{text}'.") from None


def print_json(result: object, indent: int | None = None) -> None:
    """Print a result on standard output as JSON; what it does not know (paths, times) is text."""
    import json

    typer.echo(json.dumps(result, indent=indent, default=str))


def note(sentence: str) -> None:
    """Print on standard error what a person must know, and is not asked for."""
    typer.echo(f"Note: {sentence}", err=True)


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print Trapline's warnings as notes on standard error, each once, as they come."""
    import warnings

    from trapline.errors import TraplineWarning

    with warnings.catch_warnings():
        warnings.simplefilter("default", TraplineWarning)
        plain, told = warnings.showwarning, set()

        def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
            if not issubclass(category, TraplineWarning):
                plain(message, category, *where, **options)
            elif str(message) not in told:
                told.add(str(message))
                note(str(message))

        warnings.showwarning = show
        yield


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on standard error with rate and time left; silent when piped, gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as display:
        yield display


@contextmanager
def download_progress() -> Iterator[Callable[[int, int | None], None]]:
    """The same display for a download: told how many bytes are there, and how many there will be."""
    with progress() as display:
        task = display.add_task("download", total=None, rate="")

        def show(done: int, total: int | None) -> None:
            size = "" if total is None else f" of {total / 1e6:,.0f}"
            display.update(task, completed=done, total=total, rate=f"{done / 1e6:,.0f}{size} MB")

        yield show
