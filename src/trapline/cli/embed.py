"""`trapline embed`: what a network sees in every photo, as a table and for heads that are trained later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common

if TYPE_CHECKING:
    from trapline.prediction import Progress, Summary


def run(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RECIPE",
            help="A model file, the id of a ready model (lite0), or a recipe: its heads then train at once.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            help="A catalog, a folder, one photo, a .txt list of paths, or any format of `catalog`.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The table to write, .parquet.", show_default=False)
    ],
    changes: common.Changes = None,
    part: common.Part = None,
    boxes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Boxes to cut to: MegaDetector's JSON.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Media a batch.")] = None,
    workers: common.Workers = None,
    threads: common.Threads = None,
    runtime: common.Runtime = "auto",
    on: common.On = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Leave with status 1 if any media failed, or a folder was not read."),
    ] = False,
    fresh: common.Fresh = False,
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Write what a network sees in every photo of SOURCE, a row each. Run again to go on.

    Heads trained later on these photos find it in the cache.
    """
    from trapline import api

    common.refuse_to_overwrite(output, force)
    with common.warnings_as_notes(), common.progress() as display:
        task = display.add_task(f"read {source}", total=None, rate="")

        def show(now: Progress) -> None:
            display.update(
                task,
                total=now.total,
                completed=now.done,
                rate=f"{now.rate:.1f}/s",
                description="embed",
            )

        def show_views(done: int, total: int) -> None:
            display.update(task, total=total, completed=done, rate="", description="other views")

        done = api.embed(
            model,
            source,
            output,
            changes=changes or (),
            part=part,
            boxes=boxes,
            batch_size=batch_size,
            workers=workers,
            threads=threads,
            runtime=runtime,
            on=on,
            fresh=fresh,
            say=common.note,
            progress=show,
            views_progress=show_views,
        )
    show_embedded(done.summary, output, json)
    if strict:
        done.refuse_failures()


def show_embedded(summary: Summary, output: Path, json: bool) -> None:
    """Print what became of the media."""
    if json:
        counts = {"rows": summary.rows, "ok": summary.ok, "failed": summary.failed}
        common.print_json({"output": output.as_posix(), **counts, "failures": summary.failures})
        return
    typer.echo(f"Wrote {output}: {summary.ok} media embedded, {summary.failed} failed.")
    for title, reasons in (("Failed:", summary.failures), ("Embedded, but:", summary.warnings)):
        if reasons:
            typer.echo(title)
        for reason, count in reasons.items():
            typer.echo(f"  {count:>7}  {reason}")
