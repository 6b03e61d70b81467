"""A recipe run whole: catalog → explore → split → train → predict → evaluate → submit, by one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trapline.catalog import (
    SPLIT_PARTS,
    ByDefault,
    Catalog,
    Splitter,
    describe_left_out,
    known_labels,
    sample_catalog,
)
from trapline.errors import UsageError, many
from trapline.storage import AnyPath, RemotePath, as_any_path, fetch

if TYPE_CHECKING:
    from trapline.evaluation import Evaluation
    from trapline.models import ModelFile
    from trapline.prediction import Level
    from trapline.recipes import Recipe
    from trapline.taxonomy import Taxonomy

FORMAT_NAME = "submission_format.csv"


@dataclass(frozen=True)
class Walk:
    """What a whole run left behind.

    Attributes:
        folder: with everything below in it, and the training run under `train/`.
        catalog: `catalog.parquet`, with the split.
        exploration: `explore.html`.
        model: `train/model.onnx`.
        predictions: `predictions.parquet`, of the part that was judged.
        evaluation: the figures of `report.html` and `evaluation.json`.
        judged: the part they are of: `test`, or `validation` where no media of a test part has a label.
        submission: `submission.csv`, where the source has a submission format; else None.
    """

    folder: Path
    catalog: Path
    exploration: Path
    model: Path
    predictions: Path
    evaluation: Evaluation
    judged: str
    submission: Path | None


def run_pipeline(
    source: AnyPath | str,
    recipe: Recipe,
    folder: Path | str,
    *,
    boxes: Path | str | None = None,
    taxonomy: Taxonomy | None = None,
    splitter: Splitter = ByDefault(),
    read_options: Mapping[str, Any] | None = None,
    allow_leak: bool = False,
    absent: float | None = None,
    say: Callable[[str], None] = lambda line: None,
    report: Callable[[str, int, int, str], None] | None = None,
) -> Walk:
    """Run a recipe whole on any source that `trapline.read` reads.

    What is judged may show labels that nothing was trained on (animals of one season alone). They count as
    wrong, those with more labels than the model can say are left out, and the report says so: after hours of
    training a figure is worth more than a refusal.

    Args:
        source: of labelled media; unlabelled ones are predicted for the submission.
        recipe: see `trapline.models.resolve_recipe`.
        folder: made; must be new or empty.
        boxes: MegaDetector JSON to join onto the catalog; or `auto`, or a detector's ONNX file, to find them
            for media without a box.
        taxonomy: what the labels are, for recipes of taxa.
        splitter: says what trains, validates and tests; `ByColumn()` takes the source's own parts.
        read_options: passed to the reader.
        allow_leak: train although the split leaks; the card and the report then say so.
        absent: the probability in the submission of labels that no labelled media has; None makes them an
            error.
        say: told of each step, for people.
        report: told of the progress of training.

    Raises:
        UsageError: the folder is not empty; boxes are to be found and the recipe cuts to none.
        DataError: the backbone's weights cannot be had (said before anything is read), or whatever a step
            finds wrong with the media.
    """
    from trapline.evaluation import explore
    from trapline.formats import with_times_for
    from trapline.models import ModelFile, card_doubts, names_detector
    from trapline.training import need_weights, train

    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty. Name a new folder with -o.")
    need_weights(recipe, None)
    to_find = boxes is not None and names_detector(boxes)
    if to_find and recipe.preprocessing.crop is None:
        raise UsageError(
            f"The recipe {recipe.name} looks at whole photos, so that no boxes need be found: leave --boxes "
            "out."
        )
    catalog = _read(as_any_path(source), None if to_find else boxes, read_options or {})
    catalog = with_times_for(splitter, catalog)
    say(f"catalog   {len(catalog)} media, {_labels(catalog)}")
    drawn = _sample(catalog, recipe, say)
    divided = splitter.apply(drawn)  # first: what cannot be split leaves nothing behind
    if to_find:
        divided = _detect(divided, boxes or "auto", folder, say)
    exploration = explore(catalog, folder / "explore.html")
    say(f"explore   {exploration}")
    catalog = divided
    saved = catalog.save(folder / "catalog.parquet")
    say(f"split     by {_by(catalog)}: {_parts(catalog)}")
    for line in describe_left_out(catalog):
        say(f"          {line}")
    model = train(recipe, catalog, folder / "train", taxonomy=taxonomy, allow_leak=allow_leak, report=report)
    opened = ModelFile(model)
    say(f"train     {model}")
    for doubt in card_doubts(opened.card):
        say(f"          {doubt}")
    predictions, evaluation, judged = _judge(catalog, opened, folder)
    say(f"evaluate  {folder / 'report.html'}: {_headline(evaluation)} on the part '{judged}'")
    unknown = sorted(set(evaluation.labels) - set(opened.card.labels))
    if unknown:
        say(f"          the model does not know {', '.join(unknown)}: counted as wrong")
    submission = _submit(as_any_path(source), catalog, opened, folder, absent)
    say(f"submit    {submission}" if submission else f"submit    nothing: {source} has no {FORMAT_NAME}")
    return Walk(folder, saved, exploration, model, predictions, evaluation, judged, submission)


def _read(source: AnyPath, boxes: Path | str | None, options: Mapping[str, Any]) -> Catalog:
    from trapline.formats import join_boxes, read

    catalog = read(source, **options)
    return catalog if boxes is None else join_boxes(catalog, Path(boxes))


def _detect(catalog: Catalog, detector: Path | str, folder: Path, say: Callable[[str], None]) -> Catalog:
    """The catalog with boxes for media that have none; the work is in the folder's `boxes.journal`."""
    from trapline.models import Detector
    from trapline.prediction import detect

    detected = detect(Detector(detector), catalog, folder / "boxes.journal", where_none=True)
    boxes = detected.table["boxes"].list.len()
    boxed, failed = (boxes > 0).sum(), boxes.is_null().sum()
    say(f"detect    {boxed} of {many(len(boxes), 'media has')} a box, {failed} failed")
    return detected


def _labels(catalog: Catalog) -> str:
    """The labels of media or of their events, for people."""
    labels = catalog.table.select(known_labels(catalog.table).explode().drop_nulls().unique().sort())
    return ", ".join(labels.to_series()) or "none labelled"


def _sample(catalog: Catalog, recipe: Recipe, say: Callable[[str], None]) -> Catalog:
    """The media that the recipe draws; drawn before the split, those that are judged are of them too."""
    if recipe.sample is None:
        return catalog
    drawn = sample_catalog(catalog, recipe.sample.share, recipe.sample.seed)
    of = drawn.facts.sample.of if drawn.facts.sample else 0
    say(f"sample    {of - len(catalog) + len(drawn)} of {of} labelled media, seed {recipe.sample.seed}")
    return drawn


def _by(catalog: Catalog) -> str:
    return catalog.facts.split.by if catalog.facts.split else "nothing"


def _parts(catalog: Catalog) -> str:
    counts = dict(catalog.table["split"].drop_nulls().value_counts().iter_rows())
    return ", ".join(f"{part} {counts[part]}" for part in SPLIT_PARTS if part in counts)


def _judge(catalog: Catalog, model: ModelFile, folder: Path) -> tuple[Path, Evaluation, str]:
    from trapline.evaluation import evaluate
    from trapline.prediction import predict

    labelled = catalog.table.filter(known_labels(catalog.table).is_not_null())["split"]
    judged = next(part for part in reversed(SPLIT_PARTS) if part in labelled)
    output = folder / "predictions.parquet"
    predictions = predict(model, catalog, output, part=judged, level=_level(model, catalog))
    evaluation = evaluate(
        catalog, predictions, part=judged, unknown_labels="wrong", several_labels="leave-out"
    )
    evaluation.save_json(folder / "evaluation.json")
    evaluation.save_report(folder / "report.html")
    return output, evaluation, judged


def _headline(evaluation: Evaluation) -> str:
    shown = []
    for name in ("accuracy", "mean_average_precision", "log_loss"):
        if name in evaluation.metrics:
            estimate = evaluation.metrics[name]
            interval = "" if estimate.low is None else f" ({estimate.low:.3f}–{estimate.high:.3f})"
            shown.append(f"{name.replace('_', ' ')} {estimate.value:.3f}{interval}")
    return ", ".join(shown)


def _level(model: ModelFile, catalog: Catalog) -> Level:
    """Events, where that is what the model was trained to say."""
    of_events = model.card.recipe.get("learn_from") == "event"
    return "event" if of_events and catalog.table["event_id"].is_not_null().any() else "media"


def _submit(
    source: AnyPath, catalog: Catalog, model: ModelFile, folder: Path, absent: float | None
) -> Path | None:
    from trapline.competitions import read_format, write_submission
    from trapline.prediction import predict

    wanted = (source if source.is_dir() else source.parent) / FORMAT_NAME
    if not wanted.is_file():
        return None
    wanted = fetch(wanted) if isinstance(wanted, RemotePath) else wanted
    unlabelled = catalog.filter(known_labels(catalog.table).is_null())
    asked = unlabelled.table["event_id"].is_in(list(read_format(wanted).ids)).any()
    level: Level = "event" if asked else "media"
    predictions = predict(model, unlabelled, folder / "unlabelled.parquet", level=level)
    return write_submission(predictions, wanted, folder / "submission.csv", absent=absent).path
