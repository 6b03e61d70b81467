"""`trapline train`: from a catalog with a split and a recipe to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.cli import _common as common
from trapline.errors import many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trapline.models import Card


def run(
    catalog: Annotated[Path, typer.Argument(help="A catalog with a split.", show_default=False)],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", help="The recipe's name; timm/NAME for any network of timm."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder [runs/RECIPE].")
    ] = None,
    decisions: common.Decisions = None,
    sure_only: common.SureOnly = False,
    changes: common.Changes = None,
    recipe_file: common.RecipeFile = None,
    taxonomy: common.RecipeTaxonomy = None,
    node: Annotated[
        str | None, typer.Option(help="Recipes of taxa: train this head only (felidae_taxon_classifier).")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Judge by this many location folds, then train on train and validation."),
    ] = None,
    allow_leak: common.AllowLeak = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; the recipe's is 42.")] = None,
    devices: common.Devices = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Have PyTorch compile the network; may pay on a GPU.")
    ] = False,
    on: common.On = None,
    show_recipe: Annotated[
        bool, typer.Option("--show-recipe", help="Print the recipe as YAML and stop.")
    ] = False,
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Train a recipe on the catalog's train part, judge it on its validation part, write a model file."""
    import time

    from trapline import api

    chosen = api.as_recipe(recipe, changes or (), recipe_file=recipe_file, folds=folds, node=node, seed=seed)
    if show_recipe:
        import yaml

        typer.echo(yaml.safe_dump(chosen.model_dump(mode="json"), sort_keys=False), nl=False)
        return
    started = time.monotonic()
    with common.warnings_as_notes(), common.progress() as display:
        from trapline.cli._steps import reporter

        model = api.train(
            catalog,
            chosen,
            output,
            decisions=decisions,
            sure_only=sure_only,
            taxonomy=taxonomy,
            allow_leak=allow_leak,
            resume=resume,
            devices=devices,
            compiled=compiled,
            force=force,
            on=on,
            report=reporter(display),
        )
    from trapline.models import card_doubts

    path, card = model.path, model.card
    if output is not None and not isinstance(output, Path):  # an address; the model was opened here
        path = output / path.name
    seconds, notes = time.monotonic() - started, card_doubts(card)
    if json:
        document: dict[str, Any] = {"model": str(path), "seconds": seconds, "measured_on": card.metrics_on}
        document["metrics"] = {name: figure.model_dump() for name, figure in card.metrics.items()}
        document["new_locations"] = {
            name: [one.model_dump() for one in ends] for name, ends in card.new_locations.items()
        }
        document["notes"] = notes
        common.print_json(document)
        return
    for line in _lines(card, path, seconds, notes):
        typer.echo(line)


def _lines(card: Card, path: Path, seconds: float, notes: list[str]) -> Iterator[str]:
    from trapline.evaluation import at_new, columns, number, span, title

    yield f"Wrote {path} after {seconds:.0f} s: {many(len(card.labels), 'label')}, recipe {card.name}."
    yield f"Measured on {card.metrics_on}:"
    some = any(figure.low is not None for figure in card.metrics.values())
    rows = [("", "", "95 % interval")] if some else []
    rows += [(title(name), number(figure.value), span(figure)) for name, figure in card.metrics.items()]
    for line in columns(rows):
        yield f"  {line}"
    if not some:
        yield (
            "No intervals: they are over locations, or over the events of one location alone (`trapline "
            "catalog … --event-gap 60s` makes some of the times)."
        )
    for sentence in at_new(card.metrics, card.new_locations):
        yield f"New locations: {sentence}"
    for note in notes:
        yield f"Note: {note}"
    yield f"Next: trapline show {path}, or trapline predict {path} FOLDER"
