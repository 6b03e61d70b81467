"""Long tables judged part by part: the figures of `evaluate`, of media that never stand in memory together.

Figures and their intervals come from sums by location and season. Areas under curves need the order of all
media: they are found label by label, from one column at a time, and have no interval.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import polars as pl

import trapline
from trapline import metrics
from trapline.catalog import EVENT_LABELS, Catalog, event_catalog
from trapline.errors import DataError, UsageError
from trapline.evaluation.coarser import CoarserLabels, list_coarser, tree_of
from trapline.evaluation.constants import compare_with_constants
from trapline.evaluation.evaluate import describe_calibrated_on, describe_few, describe_measured_on
from trapline.evaluation.levels import NOUNS, align_levels
from trapline.evaluation.matching import (
    Counts,
    JudgedMedia,
    Matched,
    SeveralLabels,
    UnknownLabels,
    join_truth,
    refuse_nothing,
)
from trapline.evaluation.notes import notes
from trapline.evaluation.part_figures import (
    CellFigures,
    Floats,
    label_results,
    location_group,
    location_results,
    season_results,
    with_curves,
)
from trapline.evaluation.result import Bin, Evaluation, Leak, Over
from trapline.evaluation.tallies import Tallies
from trapline.evaluation.threshold_tallies import TalliedParts, kinds_of
from trapline.evaluation.thresholds import Thresholds, choose_thresholds
from trapline.evaluation.training_media import (
    ANOTHER_SPLIT,
    Told,
    Training,
    find_training,
    read_told,
    training_among,
)
from trapline.evaluation.wants import Wants
from trapline.models import MeasuredAt
from trapline.prediction import Predictions, SideBySide, shared_key
from trapline.taxonomy import Taxonomy

MOST_WHOLE = 1_000_000
"""Rows of a table that is judged whole: the intervals of the areas under its curves take hours."""

NOT_COMPARED = (
    "Of so many media it is not looked into whether some, or copies of them, were trained on: `trapline "
    "split` looks into that of the parts of a catalog."
)
_COLUMNS = ("event_id", "location_id", "labels", "split", "frame", "boxes", "season", EVENT_LABELS)


def evaluate_parts(
    side: SideBySide,
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
    taxonomy: Taxonomy | None = None,
    want: Wants | None = None,
) -> Evaluation:
    """Judge a table of predictions by its catalog, in memory that grows with locations and labels alone.

    What `evaluate` gives, but: areas under curves have no intervals and are of all media only; evaluated
    media are not compared with those trained on; figures by rank of a model of taxa, and those of metrics of
    other packages, are left out; intervals are over locations or seasons. Notes say so.

    Args:
        side: the predictions and the catalog.
        training: as of `evaluate`, likewise the others.
        part: see there.
        name: see there.
        samples: see there.
        seed: see there.
        over: `location` or `season`; None for locations.
        unknown_labels: see there.
        several_labels: see there.
        allow_unmatched: see there.
        taxonomy: see there.
        want: see there; thresholds of ranks are left out, and of more than 500 groups several are one.

    Raises:
        UsageError: intervals over events or media.
        DataError: truth and predictions that cannot be joined, or nothing left to judge.
    """
    over = over or "location"
    _check(side, over)
    asked: _Asked = {
        "unknown_labels": unknown_labels,
        "several_labels": several_labels,
        "allow_unmatched": allow_unmatched,
        "taxonomy": taxonomy,
    }
    judge = _Judge(side, part or _predicted_part(side), asked, over, want)
    judge.go()
    return _put_together(judge, _trained_on(judge, training), name, over, samples, seed)


def _check(side: SideBySide, over: Over) -> None:
    if over not in ("location", "season"):
        raise UsageError(f"The intervals of so many media are over locations or seasons, not over {over}s.")
    if over == "season" and "season" not in side.media[1].collect_schema():
        raise DataError("The catalog has no column 'season' to resample; take locations.")


def _predicted_part(side: SideBySide) -> str | None:
    """The one part of the split that was predicted, if it is one."""
    head, rows = side.tables[0]
    key = shared_key(head.level)
    parts: set[str | None] = set()
    media = side.media[1].select("media_id", "event_id", "split")
    for (table,), catalog in side.frames(media, [rows.select(key)]):
        predicted = catalog.filter(catalog.select(key).to_series().is_in(table.to_series().implode()))
        parts.update(predicted["split"].unique())
    return parts.pop() if len(parts) == 1 else None


def _trained_on(judge: _Judge, training: Catalog | Collection[str] | None) -> Training:
    head, catalog = judge.head, judge.side.media[0]
    if isinstance(training, Catalog):
        told = read_told(head, training)
        return find_training(catalog, event_catalog(training) if head.level == "event" else training, told)
    if training is not None:
        return find_training(catalog, training, Told())
    split = catalog.facts.split
    told = read_told(head, catalog, "" if split is None else split.fingerprint)
    return training_among(judge.tallies.alike.lazy(), told, catalog.facts, others=False)


class _RowTruth:
    """The truth of each row of a table: two bytes a row, or one for every eight labels.

    Attributes:
        judged: bool [rows].
    """

    def __init__(self, rows: int, labels: int, several: bool) -> None:
        self.judged = np.zeros(rows, np.bool_)
        self._bits = np.zeros((rows, -(-labels // 8)), np.uint8) if several else None
        self._codes = np.zeros(0 if several else rows, np.int16)

    def keep(self, rows: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> None:
        """Keep the truth of some rows, as the metrics take it."""
        self.judged[rows] = True
        if self._bits is None:
            self._codes[rows] = truth
        else:
            self._bits[rows] = np.packbits(truth.astype(np.bool_), axis=1)

    def has(self, label: int) -> npt.NDArray[np.bool_]:
        """bool [rows]: whether a row is judged and has the label."""
        if self._bits is None:
            return np.asarray((self._codes == label) & self.judged)
        return np.asarray(self._bits[:, label // 8] & np.uint8(128 >> label % 8), np.bool_)


class _Asked(TypedDict):
    """How truth and predictions are joined; see `join_truth`."""

    unknown_labels: UnknownLabels
    several_labels: SeveralLabels
    allow_unmatched: bool
    taxonomy: Taxonomy | None


class _Judge:
    """One pass over the parts, and one over each column for what needs the order of all media.

    Args:
        side: the predictions and the catalog.
        part: of the split, None for all media.
        asked: as of `join_truth`.
        over: what the groups are that thresholds are chosen on.
        want: what thresholds keep; None for none.
    """

    truth: _RowTruth

    def __init__(
        self, side: SideBySide, part: str | None, asked: _Asked, over: Over, want: Wants | None
    ) -> None:
        self.over, self.want = over, want
        self.side, self.part, self.tallies = side, part, Tallies()
        self.head = side.tables[0][0]
        self.several = self.head.task == "multi-label"
        self.unknown: tuple[str, ...] = ()
        self.asked = asked
        self.tree = tree_of(self.head.facts, asked["taxonomy"])
        self.less = CoarserLabels(self.tree, self.head.labels)
        self.thresholds: TalliedParts | None = None

    @property
    def has_seasons(self) -> bool:
        """Whether the catalog has seasons."""
        return "season" in self.side.media[1].collect_schema()

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's, then those that it does not know and that are judged."""
        return (*self.head.labels, *self.unknown)

    def go(self) -> None:
        """Count all media."""
        if (
            self.asked["unknown_labels"] == "wrong" or self.tree is not None
        ):  # known only once all media are joined
            known = {label for *_, matched in self._joined(None) for label in matched.unknown}
            self.unknown = tuple(sorted(known))
        self.truth = _RowTruth(
            sum(heights[1] for heights in self.side.counts), len(self.labels), self.several
        )
        kinds = {} if self.tree is None else kinds_of(self.tree, self.labels)
        self.thresholds = None if self.want is None else TalliedParts(self.over, kinds)
        offset = 0
        for table, catalog, matched in self._joined(self.unknown):
            self.tallies.count_alike(catalog.table)
            self.tallies.add(matched)
            if self.thresholds is not None and matched.media.height:
                self.thresholds.add(matched, boxes=self.head.level == "media")
            assert matched.rows is not None
            heard = np.flatnonzero((table.table["status"] != "skipped").to_numpy())
            rows = heard[matched.rows] if table.level == "box" else matched.rows
            self.truth.keep(offset + rows, matched.truth)
            offset += len(table)
        head, media = self.side.media
        counts = self.tallies.counts
        if self.part is not None and not counts["media"]:
            head.with_frame(media.unique("split")).part(self.part)  # says which there are
        refuse_nothing(Counts(**counts), head)

    def _joined(self, unknown: tuple[str, ...] | None) -> Iterator[tuple[Predictions, Catalog, Matched]]:
        """Of each part its rows, the truth of the same level, and both brought together.

        Args:
            unknown: labels that the model does not know; None for those of each part.
        """
        begin = 0
        for (table,), media in self.side.parts(_COLUMNS):
            catalog, predictions = align_levels(media, table)
            try:
                matched = join_truth(
                    catalog, predictions, part=self.part, unknown=unknown, less=self.less, **self.asked
                )
            except DataError as error:
                raise DataError(
                    f"Media {begin + 1:,} to {begin + len(media):,} of the catalog, where this is found "
                    f"first (so many are judged in parts; the numbers are of this one): {error}"
                ) from error
            yield table, catalog, matched
            begin += len(media)

    def curves(self) -> tuple[Floats, Floats]:
        """[K], [K]: the area under the curve and the average precision of each label."""
        rows, figures = self.side.tables[0][1], []
        columns = rows.collect_schema().names()
        for index, label in enumerate(self.labels):
            if index < len(self.head.labels):
                values = rows.select(pl.nth(columns.index(label))).collect(engine="streaming").to_series()
                scores = values.fill_null(0).to_numpy().clip(0, 1)
            else:
                scores = np.zeros(len(self.truth.judged), np.float32)
            has = self.truth.has(index)
            figures.append(metrics.rank_label(scores[has], scores[self.truth.judged & ~has]))
        return tuple(np.array(figures).T)


def _put_together(
    judge: _Judge, trained_on: Training, name: str | None, over: Over, samples: int, seed: int
) -> Evaluation:
    head, (catalog, _), tallies = judge.head, judge.side.media, judge.tallies
    facts, labels = head.facts, judge.labels
    cells = pl.DataFrame(
        list(tallies.cells), schema={"location_id": pl.String, "season": pl.String}, orient="row"
    )
    drawn = pl.struct("location_id" if over == "location" else "season").rank("dense").cast(pl.Int64)
    figures = CellFigures(
        labels,
        cells,
        {key: values[: len(cells)] for key, values in tallies.sums.items()},
        cells.select(drawn).to_series().to_numpy() - 1,
        samples,
        seed,
        judge.several,
        facts.exclusive,
        facts.kept,
        bool(tallies.coarser),
    )
    counts = _counts(tallies, cells)
    measured_on = describe_measured_on(counts, judge.part, NOUNS[head.level])
    curves = None if facts.kept is not None else judge.curves()
    seen = trained_on.saw(cells["location_id"])
    total = figures.total()
    present = frozenset(np.flatnonzero(total["support"]).tolist())
    truth, weights = _patterns(tallies, len(labels), judge.several)
    everything = np.ones(len(cells), np.bool_)
    measured = with_curves(figures.measure(everything), curves)
    drawn_groups = int(figures.groups.max()) + 1
    bins = metrics.table_of_bins(total["bin_count"], total["bin_confidence"], total["bin_right"])
    located = location_results(figures, tallies.names, seen)
    at = MeasuredAt.of({one.location: one.media for one in located if one.location is not None})
    few = describe_few(at, facts)
    told = (
        *notes(
            JudgedMedia(counts, labels, judge.unknown, present, facts.kept),
            catalog.table,
            drawn_groups if drawn_groups > 1 else 0,
            over,
            trained_on,
            describe_calibrated_on(head, judge.part),
            model=head.model,
            compared=facts.familiar,
            few=bool(few),
        ),
        *_about_parts(judge, over, drawn_groups, curves is not None),
    )
    return Evaluation(
        name=name or facts.model_name or "the model",
        task=head.task,
        level=head.level,
        labels=labels,
        measured_on=measured_on,
        part=judge.part,
        model=head.model,
        model_info=facts,
        catalog=catalog.source,
        split=catalog.facts.split.as_json() if catalog.facts.split else {},
        leak=_leak(trained_on),
        counts=counts,
        failures=dict(sorted(tallies.failures.items(), key=lambda item: (-item[1], item[0]))),
        intervals_over=over,
        samples=samples,
        seed=seed,
        metrics=measured,
        few_locations=few,
        per_label=label_results(figures, judge.unknown, curves),
        per_location=located,
        per_season=season_results(figures) if judge.has_seasons else (),
        confusion=None if tallies.confusion is None else tuple(map(tuple, tallies.confusion.tolist())),
        seen=location_group(figures, seen),
        unseen=location_group(figures, None if seen is None else ~seen),
        constants=compare_with_constants(
            truth, labels, trained_on, weights=weights, exclusive=facts.exclusive, kept=facts.kept
        ),
        calibration=tuple(Bin(**vars(one)) for one in bins),
        mistakes=tuple(mistake for _, mistake in tallies.worst),
        wrong=tallies.wrong,
        ranks=None,
        coarser=list_coarser(tallies.coarser),
        thresholds=_thresholds(judge, samples, seed, measured_on),
        notes=told,
        trapline=trapline.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        root=catalog.root,
    )


def _thresholds(judge: _Judge, samples: int, seed: int, chosen_on: str) -> Thresholds | None:
    if judge.thresholds is None or judge.want is None:
        return None
    tallies = judge.thresholds.ordered()
    if tallies is None:
        return None
    chosen = choose_thresholds(
        tallies,
        judge.labels,
        judge.want,
        samples=samples,
        seed=seed,
        level=judge.head.level,
        model=judge.head.model,
        made_by=judge.head.facts.made_by,
        over=judge.over,
        groups=len(judge.thresholds.codes),
        several=judge.several,
        unknown=judge.unknown,
    )
    return chosen.model_copy(update={"chosen_on": chosen_on})


def _leak(trained_on: Training) -> Leak:
    """What is known of the training's media without comparing them."""
    if trained_on.held_out:
        return Leak(checked=True)
    return Leak(
        checked=False, findings=(*((ANOTHER_SPLIT,) if trained_on.another_split else ()), NOT_COMPARED)
    )


def _counts(tallies: Tallies, cells: pl.DataFrame) -> Counts:
    """Locations are counted over all parts, and not in each."""
    return Counts(**{**tallies.counts, "locations": cells["location_id"].drop_nulls().n_unique()})


def _patterns(tallies: Tallies, labels: int, several: bool) -> tuple[npt.NDArray[np.int64], Floats]:
    """Each truth that some media has, and how many have it."""
    kind, width = (np.uint8, labels) if several else (np.int64, 1)
    rows = np.array([np.frombuffer(row, kind) for row in tallies.patterns], np.int64).reshape(-1, width)
    weights = np.array(list(tallies.patterns.values()), np.float64)
    return rows if several else rows[:, 0], weights


def _about_parts(judge: _Judge, over: Over, drawn: int, curves: bool) -> list[str]:
    """What is not computed of so many media."""
    sentences = []
    if drawn == 1:
        sentences.append(
            f"All evaluated media are of one {over}, and intervals over the events of so many media are not "
            "computed."
        )
    if curves:
        sentences.append(
            "So many media are judged in parts: areas under curves (AUC, average precision) are of all of "
            "them, without intervals."
        )
    sentences.append("What new locations may show is not computed of so many media.")
    if judge.head.facts.taxonomy is not None:
        sentences.append(
            "Figures and thresholds by rank are not computed of so many media: judge one part, or some "
            "locations, for them."
        )
    if others := [one.name for one in metrics.EVALUATORS.values() if not _is_own(one)]:
        sentences.append(f"The metrics {', '.join(others)} need all media at once, and are left out.")
    return sentences


def _is_own(evaluator: metrics.Evaluator) -> bool:
    return evaluator.function.__module__.startswith("trapline.")
