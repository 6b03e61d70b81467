"""`trapline run`: a recipe whole, from the photos to the report and the submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trapline.cli._common import (
    SplitSeed,
    TestNames,
    TrainNames,
    ValidateNames,
    parse_numbers,
    progress,
    warnings_as_notes,
)


def run(
    source: Annotated[Path, typer.Argument(help="Labelled photos, in any format that `catalog` reads.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for everything.")],
    recipe: Annotated[
        str, typer.Option("-r", "--recipe", help="A recipe, such as small-cnn or conser-vision-resnet50.")
    ] = "head",
    recipe_file: Annotated[Path | None, typer.Option(help="YAML with fields of the recipe.")] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(help="Recipes of taxa: a CSV, JSON, SpeciesNet labels or nested folders.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A field of the recipe: key=value. Repeatable."),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="The name of a reader, or auto.")] = "auto",
    boxes: Annotated[Path | None, typer.Option(help="MegaDetector JSON with boxes to cut to.")] = None,
    by: Annotated[
        str, typer.Option(help="Split by location, event, random, season, date, or published.")
    ] = "location",
    ratios: Annotated[str | None, typer.Option(help="Train, validation and test [70,15,15].")] = None,
    train: TrainNames = None,
    validate: ValidateNames = None,
    test: TestNames = None,
    absent: Annotated[
        float | None, typer.Option(help="In the submission, probability of labels that no photo has.")
    ] = None,
    seed: SplitSeed = None,
    allow_leak: Annotated[bool, typer.Option("--allow-leak", help="Train although the split leaks.")] = False,
) -> None:
    """Run a recipe whole: catalog, explore, split, train, predict, evaluate and, where asked for, submit."""
    from trapline import api
    from trapline.catalog import make_splitter
    from trapline.cli._steps import reporter

    splitter = make_splitter(
        by,
        ratios=parse_numbers(ratios, "--ratios"),
        seed=seed,
        train=train,
        validation=validate,
        test=test,
    )
    with warnings_as_notes(), progress() as display:
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
