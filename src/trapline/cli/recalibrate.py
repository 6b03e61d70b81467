"""`trapline recalibrate`: a model's probabilities fitted again to labelled media."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common

if TYPE_CHECKING:
    from trapline.models import Recalibrated


def run(
    model: Annotated[Path, typer.Argument(help="The model file.", show_default=False)],
    catalog: Annotated[Path, typer.Argument(help="Labelled media.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new model file.", show_default=False)],
    part: Annotated[
        str | None, typer.Option(help="Of the split [validation; without a split all labelled media].")
    ] = None,
    method: Annotated[
        str, typer.Option(help="temperature, or of multi-label models labels: a slope and an offset each.")
    ] = "temperature",
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Fit a model's probabilities to labelled media that it was not trained on; say what that changes."""
    from trapline import api

    common.refuse_to_overwrite(output, force)
    _show(api.recalibrate(model, catalog, output, part=part, method=method), json)


def _show(made: Recalibrated, json: bool) -> None:
    from trapline.evaluation import columns, title, with_span

    if json:
        facts = {"output": made.path.as_posix(), "calibration": made.calibration.model_dump(mode="json")}
        figures = {
            when: {name: figure.model_dump() for name, figure in values.items()}
            for when, values in (("before", made.before), ("after", made.after))
        }
        common.print_json(
            facts | figures | {"measured_on": made.measured_on, "left_out": made.left_out}, indent=1
        )
        return
    how = "a slope and an offset a label"
    if made.calibration.method == "temperature":
        how = f"temperature {made.calibration.temperature:.3f}"
    typer.echo(f"Wrote {made.path}: {how}, fitted on {made.calibration.fitted_on}.")
    typer.echo(f"Measured on {made.measured_on}:")
    rows = [("", "before", "after")]
    rows += [
        (title(name), with_span(figure), with_span(made.after[name]))
        for name, figure in made.before.items()
        if name in made.after
    ]
    for line in columns(rows):
        typer.echo(f"  {line}")
    for why, count in made.left_out.items():
        typer.echo(f"  {count} media left out: {why}")
