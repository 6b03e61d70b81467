"""What a model of taxa decides on media that no head saw: how the crops of an observation become one answer,
and from which thresholds each rank keeps its promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import Catalog
from trapline.errors import many
from trapline.metrics import choose_threshold, enough_locations, estimate_ratio, log_loss
from trapline.models import EventPooling, PoolingMethod, choose_by_share
from trapline.prediction import Predictions, pool_events
from trapline.recipes import Taxa
from trapline.taxonomy import (
    AnswerShare,
    Best,
    Classes,
    RolledUp,
    answered_at,
    best_answers,
    levels_of,
    roll_up,
    unsupported_kinds,
    verdict,
)
from trapline.training.arrays import Flags, Floats
from trapline.training.events import LEAST_EVENTS

_POOLINGS: tuple[PoolingMethod, ...] = ("mean-logit", "geometric-mean", "mean", "max")


def choose_pooling(
    predictions: Predictions, catalog: Catalog, of_label: Mapping[str, str | None]
) -> EventPooling | None:
    """The way of pooling with the least log loss over the observations of several media.

    The mean where they are fewer than `LEAST_EVENTS`; None where there are none.

    Args:
        predictions: of media that no head was trained on.
        catalog: with their labels and events.
        of_label: label of the data → class. Observations whose media have several classes, or a coarse
            label, do not take part.
    """
    fine = {label: name for label, name in of_label.items() if name is not None}
    truth = (
        catalog.table.join(predictions.ok.select("media_id"), on="media_id", how="semi")
        .filter(pl.col("event_id").is_not_null())
        .select(
            "event_id",
            "location_id",
            pl.col("labels").list.first().replace_strict(fine, default=None).alias("truth"),
        )
        .group_by("event_id", maintain_order=True)
        .agg(pl.col("location_id").first(), pl.col("truth").unique(), pl.len().alias("media"))
        .filter((pl.col("media") > 1) & (pl.col("truth").list.len() == 1))
        .with_columns(pl.col("truth").list.first())
        .drop_nulls("truth")
    )
    if not truth.height:
        return None
    rests_on = f"{many(truth.height, 'observation')} of several photos{_of_locations(truth)}, unseen"
    if truth.height < LEAST_EVENTS:
        few = f"{rests_on}: fewer than the {LEAST_EVENTS} that a choice needs, so the mean is taken"
        return EventPooling(method="mean", selected_on=few)
    index_of = {name: index for index, name in enumerate(predictions.labels)}
    losses: dict[PoolingMethod, float] = {}
    for method in _POOLINGS:
        pooled = pool_events(predictions, catalog, how=method, rows="event")
        rows = truth.join(pooled.table, on="event_id", how="inner", maintain_order="left")
        numbers = rows[list(predictions.labels)].cast(pl.Float64).to_numpy()
        answers = np.array([index_of[name] for name in rows["truth"]])
        losses[method] = float(log_loss(answers, numbers))
    best = min(losses, key=losses.__getitem__)
    tried = ", ".join(f"{method} {loss:.3f}" for method, loss in losses.items())
    return EventPooling(
        method=best,
        selected_on=f"the log loss of {rests_on} ({tried})",
    )


def _of_locations(events: pl.DataFrame) -> str:
    """Of how many known locations events are, for people; empty where none is known."""
    count = events["location_id"].drop_nulls().n_unique()
    return f" of {many(count, 'location')}" if count else ""


METHOD = (
    "at each rank, of the media that no finer rank answers: the lowest threshold whose one-sided bound of "
    "precision (Clopper-Pearson at the effective number of media, Korn & Graubard 1998, Kish 1965; with one "
    "more group, half of it wrong, imagined, Fay & Feuer 1997; the lower of the two) keeps the promise, "
    "tried in a fixed order (Angelopoulos et al. 2021), each after the first ten times as surely, so that at "
    "most one in ten of the promises made is broken (simulated: benchmarks/coverage.py)"
)


USUAL_PROMISES = (0.95, 0.9, 0.8)
"""The first of these that there are locations enough for is promised where none is asked for."""


PROMISES = (*(round(0.5 + 0.05 * step, 2) for step in range(10)), 0.975, 0.99)
"""What is tried besides the promise asked for; the card keeps the thresholds of each."""
_FOLDS, _SAMPLES, _SEED = 5, 300, 42


_MOST_NAMED = 5
"""So many labels are named of those that break a promise."""


_AXES = {"seasons": ("season",), "sets": ("dataset", "data_set", "source_set")}
"""What media may have in common besides their location → columns that say it, in any case."""


def other_axes(media: pl.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Axes besides locations along which a promise must hold: of each media its season, and its data set.

    Args:
        media: rows of a catalog, with the columns of their source.

    Returns:
        those of which several are known; media of which it is not known are together one more.
    """
    axes = {}
    for name, columns in _AXES.items():
        column = next((column for column in media.columns if column.lower() in columns), None)
        if column is not None and media[column].drop_nulls().n_unique() > 1:
            axes[name] = media[column].cast(pl.String).fill_null("\0").to_numpy()
    return axes


def choose_thresholds(
    probabilities: Floats,
    labels: list[str],
    groups: npt.NDArray[Any],
    classes: Classes,
    settings: Taxa,
    axes: Mapping[str, npt.NDArray[Any]] | None = None,
) -> tuple[dict[str, float], dict[str, Any]]:
    """The threshold of each level that can keep the promise, and the record for the card.

    The promise must hold over the groups and along every other axis that is known, as seasons: the least of
    their bounds counts. Where an axis has few units its bound is wide, and the promise hard to keep.

    Media whose label says less than a level are not counted there, unless the answer is wrong already.
    Where a share of answers is asked for, the promise is the highest with which that many media are
    answered, at locations that its thresholds were not chosen on; where none answers so many, the lowest.

    Args:
        probabilities: [N, classes], calibrated, of media that no head was trained on.
        labels: [N], the truth, as the data has it.
        groups: [N], what is right or wrong together: the location of each, or its event.
        classes: the tree and its classes.
        settings: `promise` (see `usual_promise` for None) or `answer`, and `confidence`.
        axes: `seasons`, `sets` → [N], of which each media is.
    """
    media = _JudgedMedia.of(probabilities, labels, groups, classes, settings.confidence, axes or {})
    asked = None if settings.answer is None else AnswerShare.parse(settings.answer)
    wanted = settings.promise or usual_promise(groups, settings.confidence)
    promises = sorted({*PROMISES, *((wanted,) if asked is None else ())})
    choices = [media.try_promise(promise, labels) for promise in promises]
    promise = wanted if asked is None else (choose_by_share(choices, asked) or choices[0])["promise"]
    thresholds, table = media.choose(promise, np.ones(len(labels), bool))
    record = {
        "promise": promise,
        "confidence": settings.confidence,
        "method": METHOD,
        "media": len(labels),
        "groups": len(np.unique(groups)),
        "chosen_on": table,
        "unanswered": int((media.roll_up(thresholds).levels == None).sum()),  # noqa: E711  of an array
        "choices": choices,
    }
    if axes:
        record["axes"] = {name: len(np.unique(units)) for name, units in axes.items()}
    return thresholds, record | ({} if asked is None else {"answer": str(asked)})


def usual_promise(groups: npt.NDArray[Any], confidence: float) -> float:
    """What is promised where nothing is asked for: as much as so many locations can show, and 0.8 at least.

    It rests on their number and sizes alone. Chosen by what is right there, it would be a lucky one.

    Args:
        groups: [N], the location of each media, or its event.
        confidence: of the promise.
    """
    enough = (one for one in USUAL_PROMISES if enough_locations(groups, one, confidence))
    return next(enough, USUAL_PROMISES[-1])


@dataclass(frozen=True)
class _JudgedMedia:
    """Media with their best answers and what is right of them.

    Attributes:
        bests: the best answers, broadest level first.
        verdicts: level → [N], whether its answer is right; `none` where there is none.
        groups: [N], codes from 0.
        classes: the tree and its classes.
        confidence: of the promises.
        axes: name → [N], what else must not break a promise.
    """

    bests: list[Best]
    verdicts: dict[str, npt.NDArray[np.str_]]
    groups: npt.NDArray[np.int64]
    classes: Classes
    confidence: float
    axes: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def of(
        cls,
        probabilities: Floats,
        labels: list[str],
        groups: npt.NDArray[Any],
        classes: Classes,
        confidence: float,
        axes: Mapping[str, npt.NDArray[Any]],
    ) -> _JudgedMedia:
        tree = classes.taxonomy
        bests = best_answers(probabilities, levels_of(tree, classes.names, unsupported_kinds(classes)))
        verdicts = {}
        for best in bests:
            pairs = list(zip(best.answers, labels, strict=True))
            known = {
                (answer, label): "none" if answer is None else verdict(tree, answer, label)
                for answer, label in dict.fromkeys(pairs)
            }
            verdicts[best.level] = np.array([known[pair] for pair in pairs])
        codes = np.unique(groups, return_inverse=True)[1].astype(np.int64)
        return cls(bests, verdicts, codes, classes, confidence, axes)

    def choose(self, promise: float, inside: Flags) -> tuple[dict[str, float], dict[str, Any]]:
        """The thresholds that keep a promise on some of the media, and level → what each rests on."""
        open_rows = inside.copy()
        thresholds: dict[str, float] = {}
        table = {}
        for best in reversed(self.bests):
            verdict_of = self.verdicts[best.level]
            judged = open_rows & ~np.isin(verdict_of, ("unknown", "none"))
            choice = choose_threshold(
                best.probabilities[judged],
                verdict_of[judged] == "right",
                self.groups[judged],
                promise=promise,
                confidence=self.confidence,
                also=[units[judged] for units in self.axes.values()],
            )
            if choice is None:
                continue
            thresholds[best.level] = float(np.floor(choice.threshold * 1e6) / 1e6)  # tables hold float32
            open_rows &= ~(best.probabilities >= thresholds[best.level])  # NaN: the path has no such rank
            table[best.level] = {
                "media": choice.answered,
                "right": choice.right,
                "groups": choice.groups,
                "bound": round(choice.bound, 4),
            }
        order = [best.level for best in self.bests if best.level in thresholds]
        return {level: thresholds[level] for level in order}, {level: table[level] for level in order}

    def roll_up(self, thresholds: Mapping[str, float]) -> RolledUp:
        """The answers of all media."""
        return roll_up(self.bests, thresholds)

    def _broken_by(self, promise: float, labels: Sequence[str]) -> dict[str, Any]:
        """Why no rank keeps a promise, at the broadest one: see `trapline.prediction.facts.BrokenPromise`."""
        of_taxa = [best for best in self.bests if best.level != "kind"]
        if not of_taxa:
            return {}
        best = of_taxa[0]
        judged = ~np.isin(self.verdicts[best.level], ("unknown", "none"))
        right = self.verdicts[best.level] == "right"
        sure = judged & (best.probabilities >= promise)
        wrong = Counter(labels[row] for row in np.flatnonzero(sure & ~right).tolist())
        return {
            "level": best.level,
            "sure": int(sure.sum()),
            "wrong": dict(wrong.most_common(_MOST_NAMED)),
            "over": self._axes_that_break(promise, best.probabilities[judged], right[judged], judged),
        }

    def _axes_that_break(
        self, promise: float, probabilities: Floats, right: Flags, judged: Flags
    ) -> list[str]:
        """The axes along which, each taken alone, no threshold keeps a promise; with too few media all."""

        def kept(groups: npt.NDArray[Any], *also: npt.NDArray[Any]) -> bool:
            chosen = choose_threshold(
                probabilities, right, groups, promise=promise, confidence=self.confidence, also=also
            )
            return chosen is not None

        each = np.arange(len(right))  # as if every media were a location of its own
        broken = [] if kept(self.groups[judged]) else ["groups"]
        return broken + [name for name, units in self.axes.items() if not kept(each, units[judged])]

    def try_promise(self, promise: float, labels: Sequence[str]) -> dict[str, Any]:
        """The thresholds that keep a promise, and what such thresholds answer at groups not chosen on.

        Where no rank of taxa keeps it, why.
        """
        thresholds, _ = self.choose(promise, np.ones(len(self.groups), bool))
        tried = {"promise": promise, "thresholds": thresholds, "curve": self._curve(promise)}
        if set(thresholds) - {"kind"} or not (why := self._broken_by(promise, labels)):
            return tried
        return tried | {"broken_by": why}

    def _curve(self, promise: float) -> dict[str, dict[str, float]]:
        """Level → the share answered there or as finely as can be, and how much of that is right.

        Each fold of the groups is answered by thresholds of the others.
        """
        number = int(self.groups.max()) + 1
        if number < 2:
            return {}
        fold_of = np.random.default_rng(_SEED).permutation(number) % min(_FOLDS, number)
        answers, levels = np.full(len(self.groups), None, object), np.full(len(self.groups), None, object)
        for fold in np.unique(fold_of):
            held = fold_of[self.groups] == fold
            rolled = self.roll_up(self.choose(promise, ~held)[0])
            answers[held], levels[held] = rolled.answers[held], rolled.levels[held]
        rolled = RolledUp(answers, levels, np.full(len(answers), np.nan))
        right, wrong = (
            np.any(
                [(levels == best.level) & (self.verdicts[best.level] == what) for best in self.bests], axis=0
            )
            for what in ("right", "wrong")
        )
        curve = {}
        for best in self.bests:
            there = answered_at(rolled, best.level, self.classes.taxonomy, self.classes.names)
            share = estimate_ratio(right & there, (right | wrong) & there, self.groups, _SAMPLES, _SEED)
            figures = {"precision": share.value, "low": share.low, "high": share.high}
            curve[best.level] = {"answered": round(float(there.mean()), 4)} | {
                name: round(value, 4) for name, value in figures.items() if value is not None
            }
        return curve
