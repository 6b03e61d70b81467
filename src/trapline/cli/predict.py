"""`trapline predict`: one row a media, box or event, whatever happens to the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli._common import (
    Force,
    Json,
    note_left_out,
    progress,
    refuse_as_predictions,
    warnings_as_notes,
)
from trapline.errors import DataError

if TYPE_CHECKING:
    from trapline.catalog import Catalog, JoinedBoxes
    from trapline.models import ModelFile
    from trapline.prediction import Estimate, Progress, Summary


def run(
    model: Annotated[Path, typer.Argument(help="The model file.")],
    source: Annotated[
        Path,
        typer.Argument(
            help="A catalog, a folder, one photo, a .txt list of paths, or any format of `catalog`."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The table to write, .csv or .parquet.")
    ] = Path("predictions.csv"),
    level: Annotated[
        str,
        typer.Option(help="media: a row a photo. box: a row a detector's box. event: a row an event."),
    ] = "media",
    part: Annotated[
        str | None, typer.Option(help="Only this part of the split: train, validation, test.")
    ] = None,
    boxes: Annotated[Path | None, typer.Option(help="MegaDetector JSON with boxes to cut to.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Media a batch.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode photos; as many as there are cores.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads the network runs on; as many as there are cores.")
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(help="What runs the network: auto, cpu, cuda, directml, coreml or openvino."),
    ] = "auto",
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Leave with status 1 if any media failed, or a folder was not read."),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin again instead of going on with an earlier run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Time a sample, say how long it would take, write nothing.")
    ] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Predict every photo of SOURCE and write one row for each. Run again to go on after an interruption."""
    from trapline.catalog import JoinedBoxes
    from trapline.models import ModelFile
    from trapline.models.trial import STANDARD, tried
    from trapline.prediction import estimate, predict_to_file, refuse_failures

    if not dry_run:
        refuse_as_predictions(output, force)
    if not model.is_file():  # said before the photos are listed, which may take minutes
        raise DataError(f"There is no model file at {model}.")
    tried(model, "model", runtime, STANDARD)
    with progress() as display:
        display.add_task(f"read {source}", total=None, rate="")
        catalog = _read(source, boxes)
    note_left_out(catalog)
    if boxes is not None and isinstance(catalog.facts.boxes, JoinedBoxes):
        _note_joined(catalog.facts.boxes)
    # Opened now and not before: what listing the photos needed for a while, the network can use again.
    opened = ModelFile(model, threads=threads, runtime=runtime)
    if dry_run:
        guess = estimate(
            opened,
            catalog,
            output,
            level=level,  # type: ignore[arg-type]
            part=part,
            batch_size=batch_size,
            workers=workers,
            fresh=fresh,
        )
        _show_estimate(guess, json)
        return
    _note_boxes(opened, catalog)
    with warnings_as_notes(), progress() as display:
        task = display.add_task("predict", total=None, rate="")
        last: list[Progress] = []

        def show(now: Progress) -> None:
            if not last:  # the time left is that of this run, not of what an earlier one did
                display.reset(task, total=now.total, completed=now.earlier)
            last[:] = [now]
            display.update(task, total=now.total, completed=now.done, rate=f"{now.rate:.1f}/s")

        summary = predict_to_file(
            opened,
            catalog,
            output,
            level=level,  # type: ignore[arg-type]
            part=part,
            batch_size=batch_size,
            workers=workers,
            fresh=fresh,
            progress=show,
        )
    _show_summary(summary, output, level, opened.runtime, last[0] if last else None, json)
    if strict:
        refuse_failures(summary, catalog)


def _read(source: Path, boxes: Path | None) -> Catalog:
    from trapline.images import SUFFIXES
    from trapline.prediction import as_catalog, read_list
    from trapline.prediction.inputs import narrowed

    if source.is_file() and source.suffix.lower() in SUFFIXES:
        catalog = as_catalog([source])
    elif source.is_file() and source.suffix.lower() == ".txt":
        catalog = as_catalog(read_list(source))
    else:
        from trapline.formats import read

        catalog = read(source)
    if boxes is not None:
        from trapline.formats import join_boxes

        catalog = join_boxes(catalog, boxes)
    return narrowed(catalog)


def _note_joined(boxes: JoinedBoxes) -> None:
    """Say how many photos and boxes found no partner, if any."""
    counts = (
        (boxes.media_not_in_file, "media are not in it"),
        (boxes.failed, "media failed in the detector"),
        (boxes.names_not_in_catalog, "of its names are no media here"),
    )
    said = [f"{count:,} {what}" for count, what in counts if count]
    if said:
        note = f"Note: {boxes.file} has boxes of {boxes.matched:,} media; {', '.join(said)}."
        typer.echo(note, err=True)


def _note_boxes(model: ModelFile, catalog: Catalog) -> None:
    if model.card.preprocessing.crop is None:
        return
    boxes, learnt = not catalog.table["boxes"].is_null().all(), model.card.saw_crops
    if not boxes and learnt is not False:
        typer.echo(
            "Note: this model cuts photos to detector boxes where there are some. There are none here, so it "
            "sees full frames; give boxes with --boxes.",
            err=True,
        )
    elif boxes and learnt is False:
        typer.echo(
            "Note: no photo had a box when this model was trained: it learnt from full frames. Here photos "
            "are cut to boxes, which it has never seen. Leave the boxes out, or train again with boxes.",
            err=True,
        )


def _show_estimate(guess: Estimate, json: bool) -> None:
    if json:
        import dataclasses
        from json import dumps

        typer.echo(dumps(dataclasses.asdict(guess)))
        return
    typer.echo(f"{guess.media} media, {guess.earlier} of them done by an earlier run.")
    typer.echo(
        f"Of {guess.sampled} that were tried {guess.failed} failed. All would take {_clock(guess.seconds)}."
    )


def _show_summary(
    summary: Summary, output: Path, level: str, runtime: str, last: Progress | None, json: bool
) -> None:
    now = last.done - last.earlier if last else 0
    rate = last.rate if last else 0.0
    if json:
        import dataclasses
        from json import dumps

        result = {
            "output": str(output),
            "runtime": runtime,
            **dataclasses.asdict(summary),
            "predicted_now": now,
        }
        typer.echo(dumps(result | {"seconds": last.seconds if last else 0.0, "media_per_second": rate}))
        return
    things = {"media": "media", "box": "boxes and full frames", "event": "events"}[level]
    skipped = f", {summary.skipped} boxes skipped" if summary.skipped else ""
    typer.echo(f"Wrote {output}: {summary.ok} {things} predicted, {summary.failed} failed{skipped}.")
    if last:
        asked = "media" if level == "event" else things  # events are pooled of media that are predicted
        typer.echo(
            f"{now} {asked} now, in {_clock(last.seconds)} ({rate:.1f} {asked} a second, on {runtime})."
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


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
