"""`trapline import`: a classifier that was trained elsewhere becomes a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common
from trapline.errors import many

if TYPE_CHECKING:
    from trapline.models import Imported


def run(
    source: Annotated[
        Path,
        typer.Argument(
            help="An ONNX, Keras (.keras, .h5), TorchScript or torch.export file, PyTorch's tensors (.pth, "
            ".safetensors), or the folder of a SavedModel.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The model file.", show_default=False)],
    labels: Annotated[
        Path | None,
        typer.Option(help="Its labels in the order of its answers: one a line, or JSON or YAML."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="YAML or JSON that says what the options say; they stand above it."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Of a file of tensors: torchvision's or timm's name of the network.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Sides of its input, where its file leaves them open: 224, or 384x512 (height x width)."
        ),
    ] = None,
    layout: Annotated[str | None, typer.Option(help="NCHW or NHWC, where its shape does not say.")] = None,
    channels: Annotated[str | None, typer.Option(help="RGB or BGR [RGB].")] = None,
    scaling: Annotated[
        str | None, typer.Option(help="What it takes: pixels 0-255, 0-1, -1-1, imagenet, or caffe.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Taken off after the scaling (0-1 unless said), a channel: 0.5,0.5,0.5."),
    ] = None,
    std: Annotated[str | None, typer.Option(help="Divided by after that, a channel.")] = None,
    activation: Annotated[
        str | None,
        typer.Option(help="Of its answers: softmax, sigmoid, or none where they are probabilities already."),
    ] = None,
    fit: Annotated[str | None, typer.Option(help="squash, letterbox or crop [squash].")] = None,
    crop_fraction: Annotated[
        float | None, typer.Option(help="Of crop: the share of the shorter side that is kept [1].")
    ] = None,
    interpolation: Annotated[
        str | None, typer.Option(help="nearest, bilinear, bicubic, lanczos or area [bilinear].")
    ] = None,
    output_name: Annotated[str | None, typer.Option(help="Which of its outputs holds the answers.")] = None,
    embedding: Annotated[
        str | None,
        typer.Option(help="Which value of the graph is the embedding [what its last dense layer reads]."),
    ] = None,
    hidden_activation: Annotated[
        str | None, typer.Option(help="Of tensors: between the dense layers of its head [relu].")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called.")] = None,
    notice: Annotated[
        list[str] | None, typer.Option(help="A licence or origin that must travel with it. Repeatable.")
    ] = None,
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Make a model file of a classifier that was trained elsewhere."""
    from trapline import api
    from trapline.models import sides_of

    common.refuse_to_overwrite(output, force)
    height, width = (None, None) if size is None else sides_of(size)
    about = {
        "network": network,
        "height": height,
        "width": width,
        "layout": layout,
        "channels": channels,
        "scaling": scaling,
        "mean": common.parse_numbers(mean, "--mean"),
        "std": common.parse_numbers(std, "--std"),
        "activation": activation,
        "fit": fit,
        "crop_fraction": crop_fraction,
        "interpolation": interpolation,
        "output": output_name,
        "embedding": embedding,
        "hidden_activation": hidden_activation,
        "name": name,
        "notices": notice,
    }
    _show(api.import_model(source, output, labels=labels, manifest=manifest, about=about), output, json)


def _show(made: Imported, output: Path, json: bool) -> None:
    card = made.model.card
    if json:
        facts = {
            "output": output.as_posix(),
            "fingerprint": made.model.fingerprint,
            "kind": made.kind,
        }
        common.print_json(
            facts | {"assumed": made.assumed, "labels": card.labels, "task": card.task}, indent=1
        )
        return
    size = card.preprocessing
    typer.echo(
        f"Wrote {output} of {made.kind}: {card.task}, {many(len(card.labels), 'label')}, {size.height} × "
        f"{size.width} "
        f"pixels, embedding of {card.embedding_size} numbers."
    )
    if made.assumed:
        typer.echo("Taken for granted, as the file does not say it:")
        for sentence in made.assumed:
            typer.echo(f"  {sentence}")
    typer.echo("Its probabilities are not calibrated, and on what it was trained is not known.")
