"""`trapline models`: ready detectors, classifiers and encoders, by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.cli._common import Json, download_progress, print_json
from trapline.errors import UsageError

if TYPE_CHECKING:
    from trapline.models import KeptModel, ReadyModel

group = typer.Typer(
    help="Ready models: what there is, under what licence, and how it comes onto this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Id = Annotated[str, typer.Argument(metavar="ID", help="As `list` names it.", show_default=False)]


@group.command("list", short_help="The catalogue: id, task, licence, what is here.")
def list_models(
    task: Annotated[str | None, typer.Option(help="Only these: detector, classifier or encoder.")] = None,
    here: Annotated[bool, typer.Option("--here", help="Only what is on this machine.")] = False,
    json: Json = False,
) -> None:
    """List the ready models. Nothing is asked of a network."""
    from trapline import api

    models = api.list_models()
    if task is not None and task not in {model.task for model in models}:
        raise UsageError(f"--task is detector, classifier or encoder, not '{task}'.")
    chosen = [model for model in models if task in (None, model.task)]
    chosen = [model for model in chosen if not here or _where(model) in _HERE]
    if json:
        print_json([_facts(model) for model in chosen], indent=1)
        return
    rows = [("id", "task", "licence", "where it is", "run with Trapline")]
    rows += [(one.id, one.task, _licence(one), _where(one), _run(one)) for one in chosen]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        typer.echo(
            "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[4]])
        )
    if any(model.terms for model in chosen):
        typer.echo("* `get` asks you to accept its terms; `trapline models show ID` says which.")


_HERE = ("comes with Trapline", "on this machine")


def _where(model: ReadyModel) -> str:
    from trapline.models import ready_path

    if model.shipped:
        return _HERE[0]
    if ready_path(model) is not None:
        return _HERE[1]
    return "to be fetched" if model.fetchable else "by hand, --file"


def _licence(model: ReadyModel) -> str:
    return model.licence + ("*" if model.terms else "")


def _run(model: ReadyModel) -> str:
    return "yes" if model.run == "here" else "never"


def _facts(model: ReadyModel) -> dict[str, Any]:
    from trapline.models import kept_model, ready_path

    kept, path = kept_model(model), ready_path(model)
    return model.model_dump(mode="json") | {
        "use": model.use(),
        "fetchable": model.fetchable,
        "where": _where(model),
        "path": None if path is None else path.as_posix(),
        "kept": None if kept is None else {key: vars(kept)[key] for key in _KEPT},
    }


_KEPT = ("source", "size", "sha256", "checked")


@group.command("show", short_help="All that is known of one, and what is not.")
def show(model: Id, json: Json = False) -> None:
    """Show what is known of the ready model ID: licence, labels, source, what it is shown; what is not."""
    from trapline.models import named_model

    ready = named_model(model)
    if json:
        print_json(_facts(ready), indent=1)
        return
    for name, value in _lines(ready):
        typer.echo(f"{name:<15} {value or 'not known'}")


def _lines(model: ReadyModel) -> Iterator[tuple[str, str]]:
    """Each field with its value, empty where it is not known; those that do not concern it are left out."""
    from trapline.models import LAYOUTS, TERMS, kept_model, ready_path

    path, kept = ready_path(model), kept_model(model)
    yield "id", ", ".join((model.id, *model.aliases))
    yield "title", model.title
    yield "task", model.task
    yield "where it is", _where(model) + (f": {path}" if path else "")
    if kept is not None:
        yield "came from", f"{kept.source} ({kept.size / 1e6:,.1f} MB, SHA-256 {kept.sha256})"
        yield "checked against", kept.checked
    yield "run", "with Trapline: yes" if model.run == "here" else "never: nobody has tried it with Trapline"
    yield "use", model.use()
    if model.task != "encoder":
        yield "labels", _labels(model)
    yield "region", model.region or ""
    yield "developer", model.developer or ""
    yield "licence", model.licence
    for term in model.terms:
        yield "", f"{term}: {TERMS[term]}"
    if model.licence_note:
        yield "", model.licence_note
    yield "stated at", model.licence_source or ""
    yield "page", model.page or ""
    if not model.shipped:
        yield "file", model.file or ""
        yield "fetched from", ", ".join(model.urls)
        yield "SHA-256", model.sha256 or ""
        yield "MD5", model.md5 or ""
        yield "size", f"{model.size:,} bytes" if model.size else _stated(model)
    yield "layout", "" if model.layout == "not-stated" else LAYOUTS[model.layout]
    yield "is shown", model.input.describe()
    yield "trained on", model.trained_on or ""
    yield "cite", model.citation or ""
    if model.note:
        yield "note", model.note


def _stated(model: ReadyModel) -> str:
    return f"about {model.size_stated}, as its publisher says" if model.size_stated else ""


def _labels(model: ReadyModel) -> str:
    if model.labels:
        return f"{len(model.labels)}: {', '.join(model.labels)}"
    count = f"{model.label_count:,}" if model.label_count else "number not known"
    return f"{count}; listed in {model.labels_from}" if model.labels_from else ""


@group.command("get", short_help="Fetch one, or take a file by hand; checked.")
def get(
    model: Id,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL|FOLDER",
            help="A mirror: an address or folder that has the publishers' files by their names "
            "[TRAPLINE_MODELS_FROM].",
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Take this file, and fetch none.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="What the file must have, where its publisher told you.")
    ] = None,
    unchecked: Annotated[
        bool,
        typer.Option("--unchecked", help="Take what comes where no SHA-256 is known; it is told and kept."),
    ] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the licence and keep to it.")
    ] = False,
    most: Annotated[
        float, typer.Option(min=0, metavar="GB", help="Refuse more than this, packed or unpacked.")
    ] = 20.0,
    force: Annotated[bool, typer.Option("--force", help="Replace what is here.")] = False,
    json: Json = False,
) -> None:
    """Have the ready model ID on this machine. From then on its ID is enough, without a network, wherever a
    model or a detector is named. Run again to go on where a download broke off.
    """
    from trapline import api
    from trapline.models import named_model

    with download_progress() as show:
        kept = api.get_model(
            model,
            source=source,
            file=file,
            sha256=sha256,
            unchecked=unchecked,
            accept_licence=accept_licence,
            most_bytes=int(most * 1e9),
            force=force,
            progress=show,
        )
    _show_kept(kept, named_model(model), json)
    raise typer.Exit(int(kept.damaged))


def _show_kept(kept: KeptModel, model: ReadyModel, json: bool) -> None:
    if json:
        print_json(vars(kept) | {"path": kept.path.as_posix()}, indent=1)
        return
    came = "Came" if kept.fetched else "Here"
    typer.echo(f"{came} from {kept.source}: {kept.size / 1e6:,.1f} MB, SHA-256 {kept.sha256}.")
    typer.echo(f"Checked against {kept.checked}. Kept as {kept.path}.")
    if kept.damaged:
        typer.echo(f"It cannot be used (--force puts another in its place): {kept.trouble}")
    elif kept.trouble:
        typer.echo(f"It cannot be used yet ({model.use()}): {kept.trouble}")
    elif model.task == "detector":
        typer.echo(f"Use it: trapline detect {model.id} PHOTOS -o boxes.json")
    else:
        typer.echo(f"Use it: trapline predict {model.id} PHOTOS -o answers.csv")
