"""`trapline split`: say which media train, validate and test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common

if TYPE_CHECKING:
    from datetime import datetime

    from trapline.catalog import Catalog, SplitRecord


def run(
    catalog: Annotated[Path, typer.Argument(help="The catalog (Parquet).", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it [NAME-split.parquet].")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="location, random, event, season, date or column [location; date or event of one alone].",
        ),
    ] = None,
    ratios: Annotated[
        str | None, typer.Option("--ratios", help="Shares of train, validation and perhaps test [70,15,15].")
    ] = None,
    folds: Annotated[int | None, typer.Option("--folds", help="Make folds instead of ratios.")] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", help="With --folds: which validates, from 0 [0].")
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="With --by season or column: the name of the column.")
    ] = None,
    dates: Annotated[
        str | None, typer.Option("--dates", help="With --by date: where validation and test begin.")
    ] = None,
    decisions: common.Decisions = None,
    sure_only: common.SureOnly = False,
    train: common.TrainNames = None,
    validate: common.ValidateNames = None,
    test: common.TestNames = None,
    files: Annotated[
        bool, typer.Option("--files/--no-files", help="Look for equal files in several parts (reads them).")
    ] = True,
    seed: common.SplitSeed = None,
    rows_per_file: common.RowsPerFile = None,
    json: common.Json = False,
    force: common.Force = False,
) -> None:
    """Split a catalog into train, validation and test: by location unless asked otherwise."""
    from trapline import api
    from trapline.catalog import make_splitter

    splitter = make_splitter(
        by,
        ratios=common.parse_numbers(ratios, "--ratios"),
        folds=folds,
        fold=fold,
        seed=seed,
        column=column,
        dates=_dates(dates),
        train=train,
        validation=validate,
        test=test,
    )
    output = output or catalog.with_name(f"{catalog.stem}-split.parquet")
    common.refuse_as_catalog(output, force)
    with common.warnings_as_notes():
        done = api.split(catalog, splitter, check_files=files, decisions=decisions, sure_only=sure_only)
    done.save(output, rows_per_file=rows_per_file)
    if done.facts.videos is not None:
        common.note(f"{done.facts.videos.describe()}.")
    record = done.facts.split
    assert record is not None
    if json:
        common.print_json({"output": str(output), **record.as_json()}, indent=1)
    else:
        _show(done, record, output)


def _held(done: Catalog) -> str:
    from trapline.catalog import is_held, streamed

    held = streamed(done.frame.select(is_held(done.frame).any())).item()
    return ", or held for an audit that goes on," if held else ""


def _dates(text: str | None) -> list[datetime] | None:
    from datetime import datetime

    from trapline.errors import UsageError

    try:
        return [datetime.fromisoformat(word.strip()) for word in text.split(",")] if text else None
    except ValueError:
        raise UsageError(f"--dates takes dates as in 2016-04-01,2016-05-01; not '{text}'.") from None


def _show(done: Catalog, record: SplitRecord, output: Path) -> None:
    import polars as pl
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from trapline.catalog import describe_left_out, labels_by_part, streamed

    counts = labels_by_part(done)
    table = Table("label", title=f"Split by {record.by} ({record.method})")
    for part in record.parts:
        table.add_column(part, justify="right")
    for what in ("media", "locations", "events"):
        table.add_row(
            Text(what, "bold"), *(f"{getattr(of_part, what):,}" for of_part in record.parts.values())
        )
    table.add_section()
    for row in counts.iter_rows(named=True):
        table.add_row(Text(row["labels"]), *(f"{row.get(part, 0):,}" for part in record.parts))
    console = Console(soft_wrap=True, highlight=False, markup=False)  # labels may hold brackets
    console.print(table)
    for part, labels in record.lacks.items():
        if labels:
            console.print(f"{part} has no media of: {', '.join(labels)}")
    for line in describe_left_out(done):
        console.print(line)
    left = streamed(done.frame.select(pl.col("split").null_count())).item() - sum(
        (record.left_out or {}).values()
    )
    if left:
        console.print(f"{left:,} media without labels{_held(done)} are in no part.")
    leaks = record.leaks
    nothing = "No leak: no location, event or file is in two parts."
    if not leaks.files_checked:
        nothing = "No location or event is in two parts; the content of files was not compared."
    for line in leaks.lines() or [nothing]:
        console.print(line, style="red" if line.startswith("LEAK") else "")
    console.print(f"Fingerprint {record.fingerprint[:16]}. Written: {output}")
