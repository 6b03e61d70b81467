"""`trapline run`: a recipe whole, from the photos to the report and the submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli import _common as common


def run(
    source: Annotated[Path, typer.Argument(help="Labelled photos, in any format that `catalog` reads.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for everything.")],
    recipe: Annotated[
        str, typer.Option("-r", "--recipe", help="A recipe, such as small-cnn or conser-vision-resnet50.")
    ] = "head",
    recipe_file: common.RecipeFile = None,
    taxonomy: common.RecipeTaxonomy = None,
    set_: common.Changes = None,
    format: Annotated[str, typer.Option("--format", help="The name of a reader, or auto.")] = "auto",
    boxes: common.CropOrFindBoxes = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Split by location, event, random, season, date, or published, as `trapline split`."
        ),
    ] = None,
    ratios: Annotated[str | None, typer.Option(help="Train, validation and test [70,15,15].")] = None,
    train: common.TrainNames = None,
    validate: common.ValidateNames = None,
    test: common.TestNames = None,
    absent: Annotated[
        float | None, typer.Option(help="In the submission, probability of labels that no photo has.")
    ] = None,
    seed: common.SplitSeed = None,
    allow_leak: common.AllowLeak = False,
) -> None:
    """Run a recipe whole: catalog, explore, split, train, predict, evaluate and, where asked for, submit."""
    from trapline import api
    from trapline.catalog import make_splitter
    from trapline.cli._steps import reporter

    splitter = make_splitter(
        by,
        ratios=common.parse_numbers(ratios, "--ratios"),
        seed=seed,
        train=train,
        validation=validate,
        test=test,
    )
    with common.warnings_as_notes(), common.progress() as display:
        api.run(
            source,
            output,
            recipe,
            changes=set_ or (),
            recipe_file=recipe_file,
            taxonomy=taxonomy,
            format=format,
            boxes=boxes,
            splitter=splitter,
            absent=absent,
            allow_leak=allow_leak,
            say=typer.echo,
            report=reporter(display),
        )
