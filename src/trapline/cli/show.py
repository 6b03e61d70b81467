"""`trapline show`: what a model file says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trapline.cli._common import Force, Json, parse_numbers, print_json, refuse_to_overwrite
from trapline.errors import UsageError, many, name_some
from trapline.storage import AnyPath, as_any_path, is_url

if TYPE_CHECKING:
    from trapline.images import Box
    from trapline.models import Calibration, Card, ModelFile


def run(
    model: Annotated[
        str,
        typer.Argument(
            help="A model file or a detector, or the id of a ready one (lite0, megadetector-lite).",
            show_default=False,
        ),
    ],
    photo: Annotated[
        Path | None, typer.Option(help="Models of taxa: what the model says of this photo, taxon by taxon.")
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(help="With --photo: a catalog that has it; the model sees the box that predict takes."),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="With --photo: cut to this box, in fractions."),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Its network, layer by layer, with shapes and parameters.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="With --layers: draw the network too, as .png, .svg or .pdf."),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Show the card of a model file: its labels, how it was calibrated and judged, its licences."""
    from trapline import api
    from trapline.models import is_detector

    if is_detector(model):
        if photo is not None or layers or output is not None or catalog is not None or box is not None:
            raise UsageError(f"{model} is a detector: --photo and --layers are for other model files.")
        _detector(model, json)
        return
    opened = api.open_model(model, threads=1)
    if photo is not None:
        if layers or output is not None:
            raise UsageError("--layers and -o show the network, --photo what it says: ask for one of them.")
        _explain(opened, photo, catalog, box, json)
        return
    if catalog is not None or box is not None:
        raise UsageError("--catalog and --box say where in a photo to look: name one with --photo.")
    if layers:
        _layers(opened, output, force, json)
        return
    if output is not None:
        raise UsageError("-o names the drawing of the network: ask for it with --layers.")
    if json:
        facts = {
            "path": _named(model, opened.path).as_posix(),
            "bytes": opened.path.stat().st_size,
            "fingerprint": opened.fingerprint,
            "card": opened.card.model_dump(mode="json"),
        }
        print_json(facts, indent=1)
        return
    for name, value in _lines(opened, _named(model, opened.path)):
        typer.echo(f"{name:<15} {value}".rstrip())


_POSITIONS = {
    "corner": "the whole picture in the upper left corner",
    "centre": "the whole picture in the middle of grey",
    "squash": "the whole picture, squashed",
}


def _named(model: str, path: Path) -> AnyPath:
    """A model's file as it was named: the address, where what is opened is a copy."""
    return as_any_path(model) if is_url(model) else path


def _detector(named: str, json: bool) -> None:
    from trapline.models import Detector, kinds_doubt

    detector = Detector(named, threads=1)
    path, size, facts = detector.path, detector.preprocessing, detector.facts
    if json:
        about = {
            "path": _named(named, path).as_posix(),
            "bytes": path.stat().st_size,
            "fingerprint": detector.fingerprint,
        }
        read = {"layout": detector.layout.name, "categories": list(detector.categories)}
        print_json(about | {"detector": read | facts}, indent=1)
        return
    told_by = detector.kinds
    source, digest = facts.get("source"), facts.get("source_fingerprint", "")[:12]
    made_from = f"{source} ({digest})" if source else ""
    lines = _filled(
        ("name", facts.get("name", path.stem)),
        ("file", f"{_named(named, path)} ({path.stat().st_size / 1e6:.1f} MB)"),
        ("fingerprint", detector.fingerprint),
        ("task", f"detector: boxes of {', '.join(detector.categories)}"),
        ("told apart", "" if told_by is None else kinds_doubt(told_by.model.card)),
        ("input", f"{size.height} × {size.width} pixels at most, {_POSITIONS[detector.layout.position]}"),
        ("layout", f"{detector.layout.name}: {detector.layout.text}"),
        ("made from", made_from),
        ("licence", facts.get("licence", "")),
        ("measured", facts.get("measured", "")),
        ("notices", "; ".join(facts.get("notices", ()))),
    )
    for name, value in lines:
        typer.echo(f"{name:<15} {value}")


def _explain(model: ModelFile, photo: Path, catalog: Path | None, box: str | None, json: bool) -> None:
    explanation = model.explain(photo, catalog=catalog, box=None if box is None else _box(box))
    if json:
        from dataclasses import asdict

        print_json(asdict(explanation), indent=1)
        return
    answer = (
        "none: no rank keeps what the model promises" if explanation.answer is None else explanation.answer
    )
    certainty = (
        "" if explanation.probability is None else f" ({explanation.rank}, {explanation.probability:.3f})"
    )
    typer.echo(f"Answer: {answer}{certainty}")
    typer.echo(f"Seen: {explanation.seen}")
    if explanation.warning:
        typer.echo(f"Note: {explanation.warning}")
    typer.echo(f"{'probability':>11}  {'of parent':>9}")
    for step in explanation.steps:
        names = [name for name in step.labels if name != step.name]
        label = f" = {', '.join(names)}" if names else ""
        name = f"{'  ' * step.depth}{step.name} ({step.rank}){label}"
        typer.echo(f"{step.probability:>11.3f}  {step.of_parent:>9.3f}  {name}")


def _layers(model: ModelFile, output: Path | None, force: bool, json: bool) -> None:
    from trapline.models import network_layers

    size = model.card.preprocessing
    layers = network_layers(model.path, size.height, size.width)
    total = sum(layer.parameters for layer in layers)
    summary = f"{len(layers)} layers, {total:,} parameters"
    if output is not None:
        from trapline.reports import draw_network

        refuse_to_overwrite(output, force)
        draw_network(layers, f"{model.card.name}\n{summary}", output)
    if json:
        from dataclasses import asdict

        rows = [asdict(layer) for layer in layers]
        print_json({"parameters": total, "layers": rows}, indent=1)
        return
    names = max((len(layer.name) for layer in layers), default=0)
    operators = max((len(layer.operator) for layer in layers), default=0)
    for layer in layers:
        shape = "?" if layer.shape is None else " × ".join(map(str, layer.shape))
        learnt = f"{layer.parameters:,}" if layer.parameters else ""
        typer.echo(f"{layer.name:<{names}}  {layer.operator:<{operators}}  {shape:<17} {learnt:>12}".rstrip())
    typer.echo(f"{summary}; shapes for one image, channels first")


def _box(text: str) -> Box:
    from trapline.images import Box

    numbers = parse_numbers(text, "--box")
    if len(numbers) != 4:
        raise UsageError(f"--box takes x,y,width,height, as in 0.1,0.2,0.3,0.4; not '{text}'.")
    return Box(*numbers)


def _lines(model: ModelFile, path: AnyPath) -> Iterator[tuple[str, str]]:
    """Names and values, empty ones left out; a line that goes on has an empty name."""
    from trapline.evaluation import at_new, columns, title, with_span
    from trapline.models import few_locations_doubt, review_doubt

    card = model.card
    classifier = card.task != "features"
    yield from _filled(
        ("FEW LOCATIONS", few_locations_doubt(card)),
        ("name", card.name),
        ("file", f"{path} ({model.path.stat().st_size / 1e6:.1f} MB)"),
        ("fingerprint", model.fingerprint),
        ("task", card.task if classifier else "features: a backbone, for heads to be trained on"),
        (many(len(card.labels), "label"), ", ".join(card.labels)),
        ("review", review_doubt(card) or ""),
        ("embedding", f"{card.embedding_size} numbers"),
        ("input", _input(card)),
        ("backbone", " ".join((card.backbone.get("name", ""), card.backbone.get("fingerprint", "")[:12]))),
        ("calibration", _calibration(card) if classifier else ""),
        ("learnt from", _familiar(card)),
        ("events", _events(card)),
        ("made from", _export(card)),
        ("made from", _origin(card)),
        ("heads", ", ".join(head["name"] for head in card.taxonomy.get("heads", ()))),
        ("roll-up", _promise(card)),
        ("thresholds", ", ".join(f"{label} {value:.2f}" for label, value in card.thresholds.items())),
        ("thresholds are", "" if card.chosen_labels is None else card.chosen_labels.describe()),
        ("split", _split(card)),
    )
    yield from _training(card)
    figures = columns([(title(name), with_span(figure)) for name, figure in card.metrics.items()])
    for index, line in enumerate(figures):
        yield "" if index else "metrics", line
    for index, sentence in enumerate(at_new(card.metrics, card.new_locations)):
        yield "" if index else "new locations", sentence
    yield from _filled(("measured on", card.metrics_on))
    for index, notice in enumerate(card.notices):
        yield "" if index else "notices", notice
    yield from _filled(
        ("made with", ", ".join(f"{name} {number}" for name, number in card.versions.items())),
        ("made", card.created),
    )


def _filled(*lines: tuple[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in lines if value.strip()]


def _familiar(card: Card) -> str:
    from trapline.models import familiar_doubt

    known = card.familiar
    if known is None:
        return familiar_doubt(card)
    return (
        f"{many(known.media, 'photo')} of {known.groups} {known.by}s; what is unlike these is told, from a "
        f"distance that 19 of 20 stay under (set on {known.held_out}); unknown species are not told by it"
    )


def _export(card: Card) -> str:
    made = card.export
    if made is None:
        return ""
    return (
        f"{made.source[:12]}, as {made.format}, with ranges from {made.calibrated_on}; on {made.measured_on} "
        f"{made.same_answer:.1%} of answers are the same"
    )


def _origin(card: Card) -> str:
    origin = card.origin
    if origin is None:
        return ""
    made = (
        f"{origin.file}, {origin.kind} ({origin.fingerprint[:12]}), trained elsewhere, on what is not known"
    )
    return "; ".join([made, *(f"taken for granted: {sentence}" for sentence in origin.assumed)])


def _promise(card: Card) -> str:
    from trapline.models import describe_answers, describe_units, promise_doubt

    made = card.taxonomy.get("rollup")
    if not made:
        return ""
    if lacking := promise_doubt(card):
        return lacking
    where = f"{made['media']} single photos of {describe_units(made)}"
    asked = f"{made['answer']} of photos were to be answered: " if made.get("answer") else ""
    kept = (
        f"precision {made['promise']:.2f} a rank with confidence {made['confidence']:.2f}, chosen on {where}"
    )
    reached = describe_answers(card)
    return f"{asked}{kept}{f'; {reached}' if reached else ''}"


def _split(card: Card) -> str:
    made = [str(card.split[key]) for key in ("by", "method") if key in card.split]
    return f"by {', '.join(made)} ({str(card.split.get('fingerprint', ''))[:12]})" if card.split else ""


def _input(card: Card) -> str:
    size = card.preprocessing
    parts = [f"{size.height} × {size.width} pixels, {size.fit}, {size.interpolation}"]
    if size.crop is None:
        parts.append("the full frame")
    else:
        of = "/".join(size.crop.categories) or "any"
        parts.append(
            f"cut to the best box ({of}, confidence from {size.crop.min_conf:g}, "
            f"context {size.crop.context:g}), the full frame where there is none"
        )
    if size.mask_top or size.mask_bottom:
        how = "cut off" if size.cut_banners else "masked"
        parts.append(f"banners {how} (top {size.mask_top:.0%}, bottom {size.mask_bottom:.0%})")
    return "; ".join(parts)


def _calibration(card: Card) -> str:
    """How, on what, and what was put right before."""
    from trapline.models import calibration_doubts

    calibration = card.calibration
    parts = [_method(calibration)]
    if calibration.prior_shift:
        parts.append("natural class prior put back")
    if calibration.blank_kept < 1:
        parts.append(f"trained on {calibration.blank_kept:.0%} of the blanks, the others put back")
    if calibration.exclusive:
        parts.append("the labels exclude each other")
    return ". ".join(["; ".join(parts), *(doubt.removesuffix(".") for doubt in calibration_doubts(card))])


def _method(calibration: Calibration) -> str:
    if calibration.method == "none":
        return f"none; {calibration.fitted_on}"
    where = f" ({name_some(calibration.locations, 8)})" if calibration.locations else ""
    return f"{calibration.describe()}, fitted on {calibration.fitted_on}{where}"


def _events(card: Card) -> str:
    """How the photos of an event become one answer."""
    if card.batch == "event":
        return "the model looks at all photos of an event together"
    if card.event is None:
        return ""
    pooling = card.event
    sentence = f"pooled by {pooling.method}"
    sentence += "".join(f", {label} by {method}" for label, method in pooling.by_label.items())
    calibrated = "" if pooling.calibration.method == "none" else " and calibrated"
    return f"{sentence}; chosen{calibrated} on {pooling.selected_on}" if pooling.selected_on else sentence


def _training(card: Card) -> Iterator[tuple[str, str]]:
    name = "trained on"
    for part in ("train", "validation"):
        facts = card.training_data.get(part)
        if isinstance(facts, dict):
            counts = ", ".join(f"{label} {count}" for label, count in facts.get("labels", {}).items())
            cut = f" ({facts['cropped']} cut to a box)" if "cropped" in facts else ""
            yield (
                name,
                f"{part}: {facts.get('media')} media{cut}, {_describe_locations(facts)}: {counts}",
            )
            name = ""
    left_out = card.training_data.get("left_out")
    if left_out:
        yield "left out", ", ".join(f"{count} {why}" for why, count in left_out.items())


def _describe_locations(facts: Mapping[str, Any]) -> str:
    """Of how many locations the media of a part are, or of how many events where none is known."""
    if facts.get("locations") == 0 and facts.get("events"):
        return f"{many(facts['events'], 'event')} of no known location"
    return many(facts.get("locations", 0), "location")
