"""`trapline export`: a model file in another form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trapline.cli import _common as common

if TYPE_CHECKING:
    from trapline.models import Detector, Int8Export, TfSignature


def run(
    model: Annotated[
        str, typer.Argument(help="The model file, or the id of a ready model.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="What to write.", show_default=False)],
    int8: Annotated[
        bool, typer.Option("--int8", help="A model file in eight bits; needs --calibrate.")
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", help="saved-model: for TensorFlow Serving; name a folder, as species_model/1."
        ),
    ] = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(
            help="The model file with the thresholds of this table, which `evaluate --thresholds` wrote of "
            "its predictions: all that it predicts is answered by them then."
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Labelled catalog with the split of the training: ranges are read from its training photos, "
            "the cost is measured on its validation photos."
        ),
    ] = None,
    detector: Annotated[
        bool,
        typer.Option(
            "--detector",
            help="MODEL is a detector, an ONNX file or a YOLOX's checkpoint: write it as ONNX that says of "
            "itself how it is read.",
        ),
    ] = False,
    categories: Annotated[
        str | None, typer.Option(help="Detector: what it finds, in its order [animal].")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Detector: its layout, where its ONNX file does not tell.")
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(help="Detector: pixels of its input's sides; of a checkpoint 640 unless it is named."),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="RGB|BGR", help="Detector: in which order it takes them, where it is not its layout's."
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Detector: the licence under which it may be used.")
    ] = None,
    seven_bits: Annotated[
        bool,
        typer.Option("--seven-bits", help="int8: safe on processors without VNNI too, and less exact."),
    ] = False,
    tf_input: common.TfInput = None,
    tf_output: common.TfOutput = None,
    tf_range: common.TfRange = None,
    media: Annotated[
        int | None, typer.Option(min=1, help="int8: training photos that ranges are read from [200].")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="int8: seed of the choice of photos [42].")] = None,
    force: common.Force = False,
    json: common.Json = False,
) -> None:
    """Write MODEL in another form, and say what that costs."""
    from trapline import api
    from trapline.errors import UsageError

    common.refuse_to_overwrite(output, force)
    if int8 + detector + (format is not None) + (thresholds is not None) != 1 or format not in (
        None,
        "saved-model",
    ):
        raise UsageError(
            "Say what to export to: --int8, a model file in eight bits; --thresholds, a model file with "
            "thresholds of its labels; --format saved-model, a folder for TensorFlow Serving; or --detector, "
            "a detector's ONNX file that says how it is read."
        )
    if not detector and {layout, side, channels, licence, categories} != {None}:
        raise UsageError(
            "--layout, --side, --channels, --licence and --categories say something of --detector only."
        )
    if not int8 and (seven_bits or (calibrate, media, seed) != (None, None, None)):
        raise UsageError("--calibrate, --media, --seed and --seven-bits say something of --int8 only.")
    if format is not None:
        from trapline.models import TfSignature

        _saved_model(model, output, TfSignature.of_options(tf_input, tf_output, tf_range), json)
        return
    if (tf_input, tf_output, tf_range) != (None, None, None):
        raise UsageError("--tf-input, --tf-output and --tf-range say something of --format saved-model only.")
    if detector:
        exported = api.export_detector(
            model,
            output,
            layout=layout,
            side=side,
            channels=channels,
            categories=categories.split(",") if categories else None,
            licence=licence,
        )
        _show_detector(exported, output, json)
        return
    if thresholds is not None:
        _with_thresholds(model, output, thresholds, json)
        return
    if calibrate is None:
        raise UsageError("--int8 needs the photos of the training: --calibrate CATALOG.")
    done = api.export(
        model,
        output,
        calibrate=calibrate,
        media=200 if media is None else media,
        seven_bits=seven_bits,
        seed=42 if seed is None else seed,
    )
    _show_int8(done, json)


def _show_detector(detector: Detector, output: Path, json: bool) -> None:
    size = detector.preprocessing
    if json:
        facts = {"output": output.as_posix(), "fingerprint": detector.fingerprint}
        common.print_json(facts | {"categories": list(detector.categories), "side": size.height}, indent=1)
        return
    typer.echo(
        f"Wrote {output}: finds {', '.join(detector.categories)} in pictures of {size.height} × "
        f"{size.width} pixels."
    )


def _with_thresholds(model: str, output: Path, thresholds: Path, json: bool) -> None:
    from trapline import api
    from trapline.models import ModelFile

    made = ModelFile(api.export_thresholds(model, output, thresholds=thresholds))
    chosen = made.card.chosen_labels
    assert chosen is not None
    if json:
        facts = {"output": output.as_posix(), "fingerprint": made.fingerprint}
        own = {"thresholds": made.card.thresholds, "chosen_labels": chosen.model_dump(mode="json")}
        common.print_json(facts | own, indent=1)
        return
    typer.echo(f"Wrote {output}: thresholds {chosen.describe()}.")


def _saved_model(model: str, output: Path, signature: TfSignature, json: bool) -> None:
    from trapline import api

    written = api.export_saved_model(model, output, signature)
    size = (written / "saved_model.pb").stat().st_size
    if json:
        common.print_json({"output": written.as_posix(), "bytes": size})
        return
    pixels = "uint8" if signature.range is None else f"float32, {signature.range}"
    typer.echo(
        f"Wrote {written}: {size / 1e6:.1f} MB, signature serving_default, "
        f"{signature.pixels} ({pixels}) → {signature.output}."
    )


def _show_int8(done: Int8Export, json: bool) -> None:
    from trapline.evaluation import columns, title

    export = done.export
    if json:
        facts = {
            "output": done.path.as_posix(),
            "bytes": dict(zip(("before", "after"), done.bytes, strict=True)),
            "calibration": {
                when: calibration.model_dump(mode="json")
                for when, calibration in zip(("before", "after"), done.calibration, strict=True)
            },
            "speed_ratio": done.speed_ratio,
            "left_out": done.left_out,
            "export": export.model_dump(mode="json"),
        }
        common.print_json(facts, indent=1)
        return
    before, after = (size / 1e6 for size in done.bytes)
    typer.echo(f"Wrote {done.path}: {after:.1f} MB, before {before:.1f} MB.")
    typer.echo(f"Ranges of values from {export.calibrated_on}.")
    typer.echo(f"Measured on {export.measured_on}, int8 less float:")
    rows = [("", "", "95 % interval")]
    for name, figure in export.change.items():
        span = "" if figure.low is None else f"{figure.low:+.3f} to {figure.high:+.3f}"
        rows.append((title(name), f"{figure.value:+.3f}", span))
    for line in columns([*rows, ("The same answer", f"{export.same_answer:.1%}", "")]):
        typer.echo(f"  {line}")
    for why, count in done.left_out.items():
        typer.echo(f"  {count} media left out: {why}")
    old, new = (calibration.describe() for calibration in done.calibration)
    if old != new:
        typer.echo(f"Calibration fitted again: {new}, before {old}.")
    typer.echo(f"The network runs {done.speed_ratio:.2f} times as fast here.")
