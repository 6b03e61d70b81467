"""From truth and predictions to an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import polars as pl

import trapline
from trapline import metrics
from trapline.arguments import checked
from trapline.catalog import Catalog, event_catalog, event_key
from trapline.errors import DataError, UsageError, many
from trapline.evaluation.breakdown import (
    confusion,
    per_label,
    per_location,
    per_season,
    worst_mistakes,
)
from trapline.evaluation.coarser import list_coarser, tree_of
from trapline.evaluation.constants import compare_with_constants
from trapline.evaluation.intervals import Resampling
from trapline.evaluation.levels import NOUNS, align_levels, judged_media
from trapline.evaluation.matching import Counts, Matched, SeveralLabels, UnknownLabels, match
from trapline.evaluation.notes import notes
from trapline.evaluation.rank_thresholds import choose_at_ranks
from trapline.evaluation.ranks import evaluate_ranks
from trapline.evaluation.result import Bin, Evaluation, LocationGroup, Over
from trapline.evaluation.rolled_up import Way
from trapline.evaluation.threshold_tallies import ThresholdTallies, group_codes, kinds_of
from trapline.evaluation.thresholds import Thresholds, choose_thresholds
from trapline.evaluation.training_media import find_leak, find_training, read_told
from trapline.evaluation.wants import Wants
from trapline.models import AtNewLocations, MeasuredAt, at_new_locations, describe_few_locations
from trapline.prediction import Level, PredictionFacts, Predictions
from trapline.taxonomy import Taxonomy

_DRAWN_TOGETHER: dict[Over, list[pl.Expr]] = {
    "location": [pl.col("location_id")],
    "event": [pl.col("location_id"), event_key().alias("event")],
    "season": [pl.col("season")],
    "media": [pl.col("media_id")],
}


class _OfRanks(TypedDict):
    """How media are judged by rank; see `evaluate_ranks`."""

    groups: Sequence[str | None]
    unknown_are_wrong: bool
    samples: int
    seed: int


@checked
def evaluate(
    catalog: Catalog,
    predictions: Predictions,
    *,
    training: Catalog | Collection[str] | None = None,
    part: str | None = None,
    name: str | None = None,
    samples: int = 1000,
    seed: int = 42,
    over: Over | None = None,
    unknown_labels: UnknownLabels = "error",
    several_labels: SeveralLabels = "error",
    allow_unmatched: bool = False,
    answers: Way = "rolled-up",
    taxonomy: Taxonomy | None = None,
    want: Wants | None = None,
) -> Evaluation:
    """Judge predictions by the labels of a catalog.

    Args:
        catalog: the truth; media without labels are counted and left out.
        predictions: one row a media, an event or a box. An event is judged by what is known of all of it, a
            box by what its media shows.
        training: what the model was trained on: a catalog (of a split one the parts that the predictions
            name, or `train`; else all of it), or the ids of its locations. None: these parts of `catalog`,
            if it has the split that was trained with; otherwise locations are not told apart into seen and
            unseen ones.
        part: the part of the split to judge on. None: the one part that was predicted, if the predictions
            are for no other; otherwise all media of the catalog.
        name: of the model, for the report; by default what the predictions say.
        samples: as of `metrics.estimate`, for the 95 % intervals.
        seed: likewise.
        over: what the intervals are over. None: locations, unless all photos come from one: then intervals
            over its events say at least how sure the figures are for that one location.
        unknown_labels: what becomes of media whose label the model does not know: an `error`, counted as
            `wrong`, or `leave-out` (counted and said).
        several_labels: the same for media with several labels and a model that says one.
        allow_unmatched: count, and do not refuse, media without prediction and predictions without media.
        answers: of a model of taxa: `rolled-up` answers stop where the evidence does, `greedy` ones go down
            to a leaf whatever its probability, as published.
        taxonomy: what the labels are: an answer that says less of the same ("human" of a hunter) is right
            then. None for the tree of a model of taxa; other models' answers are right if they are the label.
        want: choose thresholds that keep it; None for no thresholds.

    Raises:
        UsageError: an argument that cannot be, or greedy answers of a model without a taxonomy.
        DataError: truth and predictions that cannot be joined, or nothing left to judge.
    """
    if answers != "rolled-up" and predictions.facts.taxonomy is None:
        raise UsageError(f"{answers.capitalize()} answers are of a model of taxa; these have no taxonomy.")
    told = read_told(predictions, training if isinstance(training, Catalog) else catalog)
    media, media_trained_on = catalog, find_training(catalog, training, told)
    level, noun = predictions.level, NOUNS[predictions.level]
    if predictions.level == "event" and isinstance(training, Catalog):
        training = event_catalog(training)
    catalog, predictions = align_levels(catalog, predictions)
    part = part or _predicted_part(catalog, predictions)
    matched = match(
        catalog,
        predictions,
        part=part,
        unknown_labels=unknown_labels,
        several_labels=several_labels,
        allow_unmatched=allow_unmatched,
        taxonomy=taxonomy,
    )
    trained_on = find_training(catalog, training, told)
    over = over or _usual_over(matched.media)
    judged = catalog if part is None else catalog.part(part)
    resampling = Resampling(_groups(matched.media, over), samples, seed)
    entangled = find_leak(judged_media(media, level, matched.media["media_id"]), media_trained_on)
    wrong, mistakes = worst_mistakes(matched)
    seen = trained_on.saw(matched.media["location_id"], entangled.locations)
    of_ranks: _OfRanks = {
        "groups": judged.table.select(_DRAWN_TOGETHER[over][-1]).to_series().to_list(),
        "unknown_are_wrong": unknown_labels == "wrong",
        "samples": samples,
        "seed": seed,
    }
    heard = predictions.without_skipped()
    measured_on = describe_measured_on(matched.counts, part, noun)
    thresholds = None
    if want is not None:
        by_label = thresholds_of(matched, resampling, want, predictions, level, over, taxonomy)
        by_label = by_label.model_copy(update={"chosen_on": measured_on})
        thresholds = by_label.with_ranks(*choose_at_ranks(judged, heard, want=want.of_all, **of_ranks))
    few = describe_few(MeasuredAt.at(matched.media["location_id"].to_list()), predictions.facts)
    return Evaluation(
        name=name or predictions.facts.model_name or "the model",
        task=predictions.task,
        level=level,
        labels=matched.labels,
        measured_on=measured_on,
        part=part,
        model=predictions.model,
        model_info=predictions.facts,
        catalog=catalog.source,
        split=catalog.facts.split.as_json() if catalog.facts.split else {},
        leak=entangled.leak,
        counts=matched.counts,
        failures=matched.failures,
        intervals_over=over,
        samples=samples,
        seed=seed,
        metrics=matched.measure(resampling),
        new_locations=_at_new_locations(matched, seen, samples, seed),
        few_locations=few,
        per_label=per_label(matched, resampling),
        per_location=per_location(matched, seen),
        per_season=per_season(matched, resampling),
        confusion=confusion(matched),
        seen=_location_group(matched, resampling, seen),
        unseen=_location_group(matched, resampling, None if seen is None else ~seen),
        constants=compare_with_constants(
            matched.truth, matched.labels, trained_on, exclusive=matched.exclusive, kept=matched.kept
        ),
        calibration=tuple(
            Bin(**vars(entry)) for entry in metrics.calibration_table(matched.truth, matched.probabilities)
        ),
        mistakes=mistakes,
        wrong=wrong,
        ranks=evaluate_ranks(judged, heard, way=answers, **of_ranks),
        coarser=list_coarser({} if matched.coarse is None else matched.coarse.answers),
        thresholds=thresholds,
        notes=notes(
            matched.judged,
            matched.media,
            int(resampling.groups.max()) + 1,
            over,
            trained_on,
            describe_calibrated_on(predictions, part),
            entangled.leak.by_name,
            entangled.shared,
            predictions.model,
            predictions.facts.familiar,
            few=bool(few),
        ),
        trapline=trapline.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        root=catalog.root,
    )


def thresholds_of(
    matched: Matched,
    resampling: Resampling,
    want: Wants,
    predictions: Predictions,
    level: Level,
    over: Over,
    taxonomy: Taxonomy | None,
) -> Thresholds:
    """The thresholds that are wanted, chosen and judged on the evaluated media."""
    tree = tree_of(predictions.facts, taxonomy)
    tallies = ThresholdTallies({} if tree is None else kinds_of(tree, matched.labels))
    groups, number = group_codes(resampling.groups)
    tallies.add(matched, groups, number, boxes=level == "media")
    return choose_thresholds(
        tallies,
        matched.labels,
        want,
        samples=resampling.samples,
        seed=resampling.seed,
        level=level,
        model=predictions.model,
        made_by=predictions.facts.made_by,
        over=over,
        groups=int(resampling.groups.max()) + 1,
        several=predictions.task == "multi-label",
        unknown=matched.unknown,
    )


def _predicted_part(catalog: Catalog, predictions: Predictions) -> str | None:
    predicted = catalog.table.join(predictions.table, on="media_id", how="semi")["split"].unique().to_list()
    return predicted[0] if len(predicted) == 1 else None


def _usual_over(media: pl.DataFrame) -> Over:
    """Locations; events where there is but one location, and media have events."""
    one = media["location_id"].n_unique() == 1
    return "event" if one and media["event_id"].n_unique() > 1 else "location"


def describe_measured_on(counts: Counts, part: str | None, noun: str) -> str:
    """For people: which part of which catalog, and how many media, events or boxes are judged."""
    what = f"the part '{part}'" if part else "the whole catalog"
    return f"{what}: {counts.evaluated} {noun} of {many(counts.locations, 'location')}"


def describe_calibrated_on(predictions: Predictions, part: str | None) -> str | None:
    """What the predictions say their calibration was fitted on, if that may be the part that is judged."""
    fitted_on = predictions.facts.calibration or ""
    out_of_fold = fitted_on.startswith("out of fold") and part != "test"  # folds are of all other media
    return fitted_on if part is not None and (out_of_fold or part in fitted_on) else None


def describe_few(measured: MeasuredAt, facts: PredictionFacts) -> tuple[str, ...]:
    """What stands above all figures, where they or those of the model's card are of too few locations.

    Args:
        measured: where the evaluated media are from.
        facts: of the predictions.
    """
    own = describe_few_locations(measured, "These figures were measured")
    of_model = tuple(
        sentence
        for model in dict.fromkeys(facts.models_measured_at)
        if model != measured and (sentence := describe_few_locations(model, "The model was measured"))
    )
    if own or not of_model:
        return (own, *of_model) if own else ()
    return tuple(
        f"{sentence} This is such an evaluation, at {many(measured.locations, 'location')}."
        for sentence in of_model
    )


def _at_new_locations(matched: Matched, seen: pl.Series | None, samples: int, seed: int) -> AtNewLocations:
    """By media of locations that training did not have; nothing where it is not known which these are."""
    if seen is None:
        return {}
    rows = ~seen.fill_null(True).to_numpy()
    return at_new_locations(
        matched.truth[rows],
        matched.probabilities[rows],
        matched.media["location_id"].filter(pl.Series(rows)).to_list(),
        blank=matched.blank,
        exclusive=matched.exclusive,
        kept=matched.kept,
        samples=samples,
        seed=seed,
    )


def _groups(media: pl.DataFrame, over: Over) -> npt.NDArray[np.int64]:
    """[N]: what is drawn together. No known location is one location; media without an event stand alone."""
    if over == "season" and "season" not in media.columns:
        raise DataError("The catalog has no column 'season' to resample; take locations or events.")
    keys = pl.struct(_DRAWN_TOGETHER[over])
    return media.select(keys.rank("dense").cast(pl.Int64)).to_series().to_numpy() - 1


def _location_group(
    matched: Matched, resampling: Resampling, chosen: pl.Series | None
) -> LocationGroup | None:
    """The figures over the chosen media; those of no known location, which are null, are in no group."""
    rows = None if chosen is None else chosen.fill_null(False).to_numpy()
    if rows is None or not rows.any():
        return None
    locations = matched.media.filter(pl.Series(rows))["location_id"].n_unique()
    figures = matched.measure(resampling, rows)
    return LocationGroup(media=int(rows.sum()), locations=locations, metrics=figures)
