"""`trapline predict`: one row a media, box or event, whatever happens to the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.cli import _common as common
from trapline.errors import UsageError, many

if TYPE_CHECKING:
    from trapline.prediction import Progress, RunEstimate, Summary


def run(
    model: Annotated[str, typer.Argument(help="The model file, or the id of a ready model.")],
    source: Annotated[
        Path,
        typer.Argument(
            help="A catalog, a folder, one photo, a .txt list of paths, or any format of `catalog`."
        ),
    ],
    output: common.Table = Path("predictions.csv"),
    level: Annotated[
        str,
        typer.Option(help="media: a row a photo. box: a row a detector's box. event: a row an event."),
    ] = "media",
    part: common.Part = None,
    boxes: common.CropOrFindBoxes = None,
    promise: Annotated[
        float | None, typer.Option(help="Model of taxa: the share of right answers to keep, as in 0.9.")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="Model of taxa: the share of photos to answer, 80% or family:80%.")
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
    rows_per_file: common.RowsPerFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Time a sample, say how long it would take, write nothing.")
    ] = False,
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Predict every photo of SOURCE and write one row for each. Run again to go on after an interruption."""
    from trapline import api

    options: dict[str, Any] = {
        "level": level,
        "part": part,
        "boxes": boxes,
        "batch_size": batch_size,
        "workers": workers,
        "threads": threads,
        "runtime": runtime,
        "fresh": fresh,
        "rows_per_file": rows_per_file,
        "say": common.note,
    }
    if dry_run:
        if on is not None:
            raise UsageError("--dry-run times a sample on this machine; leave --on out.")
        _show_estimate(api.estimate(model, source, output, **options), json)
        return
    options |= {"promise": promise, "answer": answer, "on": on}
    common.refuse_as_predictions(output, force, rows_per_file=rows_per_file)
    last: list[Progress] = []
    with common.warnings_as_notes(), common.progress() as display:
        task = display.add_task(f"read {source}", total=None, rate="")

        def show_boxes(now: Progress) -> None:
            rate = f"{now.rate:.1f}/s"
            display.update(task, total=now.total, completed=now.done, rate=rate, description="find boxes")

        def show(now: Progress) -> None:
            if not last:  # the time left is that of this run, not of what an earlier one did
                display.reset(task, total=now.total, completed=now.earlier, description="predict")
            last[:] = [now]
            display.update(task, total=now.total, completed=now.done, rate=f"{now.rate:.1f}/s")

        done = api.predict_to_file(model, source, output, progress=show, boxes_progress=show_boxes, **options)
    show_summary(done.summary, output, level, done.runtime, last[0] if last else None, json)
    if strict:
        done.refuse_failures()


def _show_estimate(guess: RunEstimate, json: bool) -> None:
    if json:
        common.print_json(vars(guess))
        return
    typer.echo(f"{guess.media} media, {guess.earlier} of them done by an earlier run.")
    typer.echo(
        f"Of {guess.sampled} that were tried {guess.failed} failed. All would take {clock(guess.seconds)}."
    )


def show_summary(
    summary: Summary, output: Path, level: str, runtime: str, last: Progress | None, json: bool
) -> None:
    """Print what became of a prediction; `last` is None where nothing was predicted now."""
    now = last.done - last.earlier if last else 0
    rate = last.rate if last else 0.0
    if json:
        from dataclasses import asdict

        result = {
            "output": str(output),
            "runtime": runtime,
            **asdict(summary),
            "predicted_now": now,
        }
        common.print_json(result | {"seconds": last.seconds if last else 0.0, "media_per_second": rate})
        return
    things = {"media": "media", "box": "boxes and full frames", "event": "events"}[level]
    skipped = f", {many(summary.skipped, 'box')} skipped" if summary.skipped else ""
    typer.echo(f"Wrote {output}: {summary.ok} {things} predicted, {summary.failed} failed{skipped}.")
    if last:
        asked = "media" if level == "event" else things  # events are pooled of media that are predicted
        typer.echo(
            f"{now} {asked} now, in {clock(last.seconds)} ({rate:.1f} {asked} a second, on {runtime})."
        )
    for title, counts in (
        ("Most probable label:", summary.top_labels),
        ("Failed:", summary.failures),
        ("Predicted, but:", summary.warnings),
    ):
        if counts:
            typer.echo(title)
        for name, count in counts.items():
            typer.echo(f"  {count:>7}  {name}")


def clock(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
