"""`trapline recalibrate`: probabilities fitted again to labelled media."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common

if TYPE_CHECKING:
    from trapline.ensemble import Recalibrated


def run(
    model: Annotated[
        Path, typer.Argument(help="The model file, or a table of predictions.", show_default=False)
    ],
    catalog: Annotated[Path, typer.Argument(help="Labelled media.", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The new model file, or table.", show_default=False)
    ],
    part: Annotated[
        str | None, typer.Option(help="Of the split [validation; without a split all labelled media].")
    ] = None,
    method: Annotated[
        str, typer.Option(help="temperature, labels (an offset a label besides), or auto: what they bear.")
    ] = "auto",
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Fit a model's probabilities to labelled media that it was not trained on; say what that changes."""
    from trapline import api
    from trapline.prediction import are_predictions

    common.refuse_to_overwrite(output, force)
    again = api.recalibrate_predictions if are_predictions(model) else api.recalibrate
    _show(again(model, catalog, output, part=part, method=method), json)  # type: ignore[arg-type]


def _show(made: Recalibrated, json: bool) -> None:
    from trapline.evaluation import columns, title, with_span

    if json:
        facts = {"output": made.path.as_posix(), "calibration": made.calibration.model_dump(mode="json")}
        figures = {
            when: {name: figure.model_dump() for name, figure in values.items()}
            for when, values in (
                ("before", made.before),
                ("after", made.after),
                ("change", made.change),
                ("event_change", made.event_change),
            )
        }
        common.print_json(
            facts
            | figures
            | {
                "measured_on": made.measured_on,
                "used": made.used,
                "left_out": made.left_out,
                "unknown_labels": made.unknown_labels,
            },
            indent=1,
        )
        return
    for sentence in made.describe_left_out():
        typer.echo(sentence)
    fitted = made.calibration.describe()
    how = "its probabilities stay" if fitted == "none" else fitted
    typer.echo(f"Wrote {made.path}: {how}, fitted on {made.calibration.fitted_on}.")
    typer.echo(f"Measured on {made.measured_on}:" if made.before else f"Not measured: {made.measured_on}.")
    if made.before:
        rows = [("", "before", "after", "change")]
        rows += [
            (title(name), with_span(figure), with_span(made.after[name]), with_span(made.change[name]))
            for name, figure in made.before.items()
            if name in made.after and name in made.change
        ]
        for line in columns(rows):
            typer.echo(f"  {line}")
    if "log_loss" in made.event_change:
        typer.echo(f"  {title('log_loss')} of events changes by {with_span(made.event_change['log_loss'])}")
