"""`trapline quickstart`: the whole way of the data on a synthetic world, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import Force, Seed, progress


def run(
    folder: Annotated[Path, typer.Argument(help="Where the world and the reports go.")] = Path("quickstart"),
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Draw the synthetic photos and labels, and stop.")
    ] = False,
    locations: Annotated[int, typer.Option(help="Cameras of the synthetic world.")] = 24,
    events_per_location: Annotated[
        int, typer.Option(help="Bursts of three photos a location, on average.")
    ] = 12,
    seed: Seed = 42,
    force: Force = False,
) -> None:
    """Draw a small synthetic camera-trap world."""
    from trapline.synthetic import make_world

    with progress() as display:
        task = display.add_task("Drawing photos", total=None, rate="")
        world = make_world(
            folder,
            locations=locations,
            events_per_location=events_per_location,
            seed=seed,
            force=force,
            on_photo=lambda: display.advance(task),
        )
    typer.echo(
        f"Drew {world.media} synthetic pictures ({world.night} infrared) of {world.locations} locations "
        f"in {world.events} events:"
    )
    typer.echo(f"  {world.photos}    one folder a location")
    typer.echo(f"  {world.labels_csv}    filepath,label,location,event,datetime")
    typer.echo(f"  {world.boxes_json}    true boxes in MegaDetector's format")
