"""`trapline quickstart`: the whole way of the data on a synthetic world, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.addresses import Use
from trapline.cli._common import Force, Seed, progress, warnings_as_notes
from trapline.errors import many


def run(
    folder: Annotated[Path, typer.Argument(help="Where the world and the reports go."), Use.LOCAL] = Path(
        "quickstart"
    ),
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Draw the synthetic photos and labels, and stop.")
    ] = False,
    locations: Annotated[int, typer.Option(help="Cameras of the synthetic world.")] = 28,
    events_per_location: Annotated[
        int, typer.Option(help="Bursts of three photos a location, on average.")
    ] = 11,
    open_report: Annotated[
        bool, typer.Option("--open/--no-open", help="Show the report in the browser, if there is a screen.")
    ] = True,
    seed: Seed = 42,
    force: Force = False,
) -> None:
    """Try Trapline without data: a synthetic world, a model trained on it, and two ways to judge it."""
    if data_only:
        _draw_only(folder, locations, events_per_location, seed, force)
        return
    from trapline.cli._steps import reporter
    from trapline.quickstart import quickstart

    with warnings_as_notes(), progress() as display:
        done = quickstart(
            folder,
            seed=seed,
            locations=locations,
            events_per_location=events_per_location,
            force=force,
            say=typer.echo,
            report=reporter(display),
        )
    if open_report and _has_screen():
        import webbrowser

        webbrowser.open(done.reports["location"].absolute().as_uri())


def _has_screen() -> bool:
    """Whether a person sits at this terminal, with a display to open a browser on."""
    import os
    import sys

    if not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def _draw_only(folder: Path, locations: int, events_per_location: int, seed: int, force: bool) -> None:
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
        f"Drew {world.media} synthetic pictures ({world.night} infrared) of "
        f"{many(world.locations, 'location')} in {many(world.events, 'event')}:"
    )
    typer.echo(f"  {world.photos}    one folder a location")
    typer.echo(f"  {world.labels_csv}    filepath,label,location,event,datetime")
    typer.echo(f"  {world.boxes_json}    true boxes in MegaDetector's format")
