"""`trapline detect`: boxes for every photo, by the detector that comes with Trapline or your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common
from trapline.errors import UsageError, many

if TYPE_CHECKING:
    from trapline.catalog import DetectedBoxes
    from trapline.prediction import Progress


def run(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="[DETECTOR]",
            help="An ONNX file or the id of a ready detector; left out: MegadetectorLite, which comes with "
            "Trapline.",
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of photos, a catalog, or any source that `catalog` reads.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="A catalog (.parquet) or MegaDetector JSON (.json).", show_default=False
        ),
    ],
    kinds: Annotated[
        bool | None,
        typer.Option(
            "--kinds/--no-kinds",
            help="Tell animal, person and vehicle apart in the boxes of a detector that calls everything an "
            "animal. Of the one that comes with Trapline they are unless --no-kinds is given.",
            show_default=False,
        ),
    ] = None,
    part: common.Part = None,
    where_none: Annotated[
        bool, typer.Option("--where-none", help="Only photos without a box; the others keep their boxes.")
    ] = False,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT",
            help="Of DETECTOR, where it does not tell: yolox, yolov5, yolov9, yolo-mit, yolo-with-nms, "
            "yolov7-with-nms, rtdetr, rtdetr-top-k or rtdetr-raw.",
            show_default=False,
        ),
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(
            min=32, help="Pixels of DETECTOR's input's sides, where it takes any.", show_default=False
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="RGB|BGR",
            help="In which order DETECTOR takes them, where it is not its layout's.",
            show_default=False,
        ),
    ] = None,
    min_conf: Annotated[float, typer.Option(help="Boxes below this confidence are left out.")] = 0.05,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Of boxes that overlap more than this one stays, the most confident [0.45].",
            show_default=False,
        ),
    ] = None,
    categories: Annotated[
        str | None, typer.Option(help="What the detector finds, in its order: animal,person,vehicle.")
    ] = None,
    workers: common.Workers = None,
    threads: common.Threads = None,
    runtime: common.Runtime = "auto",
    on: common.On = None,
    fresh: common.Fresh = False,
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Find boxes in every photo of SOURCE. Run again to go on after an interruption."""
    from trapline import api
    from trapline.catalog import DetectedBoxes

    if first is None:
        raise UsageError("Name the photos: trapline detect FOLDER -o boxes.json")
    detector, source = ("auto", Path(first)) if second is None else (first, second)
    common.refuse_to_overwrite(output, force)
    with common.progress() as display:
        task = display.add_task("detect", total=None, rate="")

        def show(now: Progress) -> None:
            display.update(task, total=now.total, completed=now.done, rate=f"{now.rate:.1f}/s")

        detection = api.detect(
            detector,
            source,
            output,
            kinds=kinds,
            part=part,
            where_none=where_none,
            layout=layout,
            side=side,
            channels=channels,
            min_conf=min_conf,
            overlap=overlap,
            categories=categories.split(",") if categories else None,
            workers=workers,
            threads=threads,
            runtime=runtime,
            on=on,
            fresh=fresh,
            say=common.note,
            progress=show,
        )
    assert isinstance(detection.facts.boxes, DetectedBoxes)
    show_boxes(detection.facts.boxes, output, json)


def show_boxes(boxes: DetectedBoxes, output: Path, json: bool) -> None:
    """Print what a detector has found."""
    if json:
        common.print_json({"output": output.as_posix(), **boxes.as_json()}, indent=1)
        return
    typer.echo(
        f"Wrote {output}: {boxes.with_boxes} of {many(boxes.media, 'photo has')} a box of confidence "
        f"{boxes.min_conf:g} or more, {boxes.failed} failed."
    )
    if boxes.kinds is not None:
        from trapline.models import BoxKinds, kinds_doubt

        typer.echo(kinds_doubt(BoxKinds(threads=1).model.card))
    for media, reason in list(boxes.failures.items())[:10]:
        typer.echo(f"  {media}: {reason}")
    if len(boxes.failures) > 10:
        typer.echo(f"  and {len(boxes.failures) - 10} more")
