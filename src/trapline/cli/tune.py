"""`trapline tune`: search a recipe's space by location folds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli import _common as common
from trapline.errors import many


def run(
    catalog: Annotated[Path, typer.Argument(help="A catalog with labels.", show_default=False)],
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="The recipe's name.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder [runs/tune-RECIPE]; an earlier search goes on."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all.")] = 20,
    folds: Annotated[int, typer.Option(min=2, help="Location folds a trial.")] = 3,
    metric: Annotated[
        str, typer.Option(help="What is compared: log_loss, accuracy, macro_f1, …")
    ] = "log_loss",
    changes: common.Changes = None,
    recipe_file: common.RecipeFile = None,
    taxonomy: common.RecipeTaxonomy = None,
    seed: common.Seed = 42,
    devices: common.Devices = None,
    on: common.On = None,
    json: common.Json = False,
) -> None:
    """Try values of a recipe's search space, each judged by location folds. Run again to go on.

    Run it elsewhere at the same time on the same folder, and it helps.
    """
    from trapline import api
    from trapline.cli._steps import reporter
    from trapline.evaluation import title

    with common.warnings_as_notes(), common.progress() as display:
        show = reporter(display, keep=("trials",))
        study = api.tune(
            catalog,
            recipe,
            output,
            trials=trials,
            folds=folds,
            metric=metric,
            changes=changes or (),
            recipe_file=recipe_file,
            taxonomy=taxonomy,
            seed=seed,
            devices=devices,
            on=on,
            report=lambda done, total, line: show("trials", done, total, line),
            step_report=show,
        )
    folder = study.folder
    value, low, high = study.best.metrics[metric]
    if json:
        best = {"values": study.best.values, "metrics": study.best.metrics, "trial": study.best.number}
        common.print_json({"folder": str(folder), "trials": len(study.trials), "best": best})
        return
    interval = "" if low is None else f" (95 % {low:.3f}–{high:.3f})"
    typer.echo(
        f"Best of {many(len(study.trials), 'trial')}: {title(metric).lower()} {value:.3f}{interval} out "
        "of fold."
    )
    for field, chosen_value in study.best.values.items():
        typer.echo(f"  {field} = {chosen_value}")
    typer.echo(f"Report: {folder / 'report.html'}")
    typer.echo(f"Next: trapline train {catalog} -r {recipe} --recipe-file {folder / 'best.yaml'}")
