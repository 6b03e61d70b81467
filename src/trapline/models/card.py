"""The card: what a model file says of itself, as JSON in the file's own metadata."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trapline.errors import DataError, UsageError
from trapline.images import Preprocessing
from trapline.metrics import Estimate
from trapline.models.familiar import Familiar
from trapline.models.new_locations import AtNewLocations, MeasuredAt

FORMAT_VERSION: Literal["1"] = "1"

_LONGEST_LABEL = 256
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
_REVERSING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def label_flaw(label: str) -> str | None:
    """Why a text cannot be a label; None if it can.

    Labels become columns, folders, lines of a table and of a terminal: what nobody sees, or what rewrites the
    line that it stands in, is no name.
    """
    if not label.strip():
        return "it is empty"
    if len(label) > _LONGEST_LABEL:
        return f"it has {len(label):,} characters, and {_LONGEST_LABEL} are the most"
    if any(unicodedata.category(sign) in _UNSEEN or sign in _REVERSING for sign in label):
        return "it holds a control character"
    return None


class Interval(BaseModel):
    """A metric with its 95 % interval; `low` and `high` are None where it cannot be computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, estimate: Estimate) -> Interval | None:
        """An estimate; None where the figure is undefined."""
        if estimate.value is None:
            return None
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)


def as_intervals(estimates: Mapping[str, Estimate]) -> dict[str, Interval]:
    """Estimates by name; figures that are undefined are left out."""
    intervals = {name: Interval.of(estimate) for name, estimate in estimates.items()}
    return {name: interval for name, interval in intervals.items() if interval is not None}


class Calibration(BaseModel):
    """How the logits were turned into probabilities, and on what that was fitted.

    In this order: `prior_shift`, `blank_kept`, `method`, softmax or sigmoid.

    Attributes:
        method: `temperature` divides the logits by `temperature`; `labels` multiplies them by `slopes` and
            adds `offsets`, one a label; `none` leaves them.
        temperature: the divisor.
        slopes: one a label, with the method `labels`.
        offsets: one a label, with the method `labels`.
        fitted_on: for people: which locations, how many media ("validation: 19 locations, 201 media").
        locations: the location ids used.
        prior_shift: added to the logits, one a label, to put the class prior right again after training on
            balanced classes; empty if nothing was.
        blank_kept: the share of the blank media that training saw; multi-label models are corrected for the
            rest (see `trapline.metrics.restore_blanks`).
        exclusive: the labels of a multi-label model exclude each other all the same (a softmax): the form of
            published pipelines, which cannot say two species.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["none", "temperature", "labels"] = "none"
    temperature: float = Field(1.0, gt=0)
    slopes: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    fitted_on: str = "not calibrated"
    locations: tuple[str, ...] = ()
    prior_shift: tuple[float, ...] = ()
    blank_kept: float = Field(1.0, gt=0, le=1)
    exclusive: bool = False

    def describe(self) -> str:
        """What the method does, for people."""
        if self.method == "none":
            return "none"
        if self.method == "temperature":
            return f"temperature {self.temperature:.3f}"
        low, high = min(self.slopes), max(self.slopes)
        slope = f"a slope of {low:.2f}" if low == high else f"a slope ({low:.2f} to {high:.2f})"
        return f"{slope} and an offset ({min(self.offsets):+.2f} to {max(self.offsets):+.2f}) a label"


PoolingMethod = Literal["mean", "max", "noisy-or", "mean-logit", "geometric-mean", "first"]
"""From the frames of an event to one probability a label; what each does stands in
`trapline.prediction.frames`."""


class EventPooling(BaseModel):
    """How the frames of an event become one answer, and on what that was chosen.

    Attributes:
        method: for every label that `by_label` does not name.
        by_label: label -> method.
        calibration: from the pooled log odds to probabilities; `exclusive` where events are answered by a
            softmax, as a model is whose labels exclude each other.
        selected_on: for people: on which events the methods and the calibration were chosen.
        metrics: metric name -> value and interval, of events.
        metrics_on: for people: which events, and by which models they were predicted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: PoolingMethod = "mean-logit"
    by_label: dict[str, PoolingMethod] = {}
    calibration: Calibration = Calibration()
    selected_on: str = ""
    metrics: dict[str, Interval] = {}
    metrics_on: str = ""

    def without_figures(self) -> EventPooling:
        """How to pool alone, as predictions keep it."""
        return self.model_copy(update={"metrics": {}, "metrics_on": ""})


class Export(BaseModel):
    """How a model file was made from another one, and what that changed.

    Attributes:
        format: `int8`.
        source: the fingerprint of the model file it was made from.
        calibrated_on: for people: the media that ranges of values were read from.
        measured_on: for people: the media that `change` and `same_answer` are of.
        change: metric name -> this file's figure less the source's on the same media, with its interval.
        same_answer: the share of these media (multi-label: of their labels) for which both say the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["int8"]
    source: str
    calibrated_on: str
    measured_on: str
    change: dict[str, Interval] = {}
    same_answer: float = Field(ge=0, le=1)


class ForeignOrigin(BaseModel):
    """From what file of another framework a model file was made.

    Attributes:
        kind: of that file ("a model of Keras (.keras)").
        file: its name.
        fingerprint: SHA-256 of it; of a folder that of its files, in the order of their names.
        assumed: what the file does not say and was taken for granted, a sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    file: str
    fingerprint: str
    assumed: tuple[str, ...] = ()


class TrainedOn(BaseModel):
    """Of which parts of which split weights come: so locations that were seen are told from others.

    Attributes:
        parts: of the split.
        split: its fingerprint.
        only_location: that of all media of the training, where they are of one; of predictions of versions
            before `measured_at` was kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parts: tuple[str, ...]
    split: str
    only_location: str | None = None


class ChosenLabels(BaseModel):
    """Of which answers a card's thresholds of labels are, and how `evaluate` chose them.

    Attributes:
        level: of the answers: of `media`, an `event` or a `box`.
        made_by: how these came of the model's (`PredictionFacts.made_by`).
        pooled: by event, as the model does it.
        wanted: label → what was wanted, as in `precision=0.95`.
        promised: labels of whose threshold it can be said, with 90 % confidence, that this holds at other
            locations.
        never: labels that are no answers, because no threshold reached it.
        chosen_on: for people: on what.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["media", "event", "box"]
    made_by: str
    pooled: bool
    wanted: dict[str, str]
    promised: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    chosen_on: str = ""

    def describe(self) -> str:
        """For people."""
        on = f" on {self.chosen_on}" if self.chosen_on else ""
        kept = f"promised for {', '.join(self.promised)}" if self.promised else "promised for no label"
        never = f"; never an answer: {', '.join(self.never)}" if self.never else ""
        how = "pooled by event, " if self.pooled else ""
        return f"of answers of the level {self.level}, {how}chosen{on}; {kept}{never}"


class Card(BaseModel):
    """All that is needed to use a model file and to judge it.

    Attributes:
        name: the recipe's or the user's name for the model.
        task: `single-label` (softmax), `multi-label` (sigmoid) or `features` (a backbone: no labels, no
            `probabilities` and `logits` outputs).
        labels: the label names in the order of the outputs.
        preprocessing: from a file to the graph's input.
        calibration: from logits to probabilities.
        batch: what the images of one batch are: single `media`, each answered by itself, or the frames of one
            `event`, all answered alike.
        event: how the media of an event are pooled; None if training did not look at events.
        thresholds: per label where one was chosen; of a model of taxa per rank (and `kind`): the least
            probability of an answer at that rank.
        chosen_labels: of thresholds of labels that `evaluate` chose: of which answers they are; else None.
        taxonomy: of a model of taxa: the tree and its labels (`Taxonomy.from_json` reads it), the heads by
            name, and what the roll-up promises.
        recipe: the whole recipe, as JSON.
        split: the record of the split that training used, with its fingerprint.
        training_data: counts of media, locations and labels, and where they came from.
        metrics: metric name -> value and interval, measured on `metrics_on`.
        metrics_on: for people: on which part of which split ("validation, 19 locations never trained on").
        measured_at: at how many locations; None where no metrics were measured, or by an older version.
        new_locations: metric name -> in what interval it will be on so many new locations; empty where the
            locations are too few to tell, or training had them too.
        backbone: the name and fingerprint of the backbone that was started from.
        export: how the file was made from another model file; None for one that training left.
        origin: the file of another framework that it was made from; None for one that training left.
        familiar: statistics of the training embeddings, by which media unlike them are told; None where there
            are none (a backbone, a file of an earlier version, or too few locations).
        notices: licences and origins that must travel with the weights.
        versions: library versions at the time of writing.
        created: ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal["1"] = FORMAT_VERSION
    name: str
    task: Literal["single-label", "multi-label", "features"]
    labels: tuple[str, ...] = ()
    embedding_size: int = Field(ge=1)
    preprocessing: Preprocessing
    calibration: Calibration = Calibration()
    batch: Literal["media", "event"] = "media"
    event: EventPooling | None = None
    thresholds: dict[str, float] = {}
    chosen_labels: ChosenLabels | None = Field(None, exclude_if=lambda chosen: chosen is None)
    taxonomy: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    split: dict[str, Any] = {}
    training_data: dict[str, Any] = {}
    metrics: dict[str, Interval] = {}
    metrics_on: str = ""
    measured_at: MeasuredAt | None = Field(None, exclude_if=lambda at: at is None)
    new_locations: AtNewLocations = Field({}, exclude_if=lambda intervals: not intervals)
    backbone: dict[str, str] = {}
    export: Export | None = None
    origin: ForeignOrigin | None = Field(None, exclude_if=lambda origin: origin is None)
    familiar: Familiar | None = Field(None, exclude_if=lambda familiar: familiar is None)
    notices: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    created: str = ""

    def limits(self, level: Literal["media", "event"], usual: float) -> list[float]:
        """The least probability of each label, in order: of a media, or of an event as the model pools it.

        Infinite for a label that is never an answer; the usual one where none is known.
        """
        chosen = self.chosen_labels
        if chosen is None:
            return [self.thresholds.get(label, usual) for label in self.labels]
        if chosen.level != level or chosen.pooled != (level == "event"):
            return [usual] * len(self.labels)
        return [self.thresholds.get(label, math.inf) for label in self.labels]

    @property
    def pooling(self) -> EventPooling:
        """How the media of an event are pooled, also where training did not look at events."""
        return self.event or EventPooling(calibration=Calibration(exclusive=self.calibration.exclusive))

    def refuse_chosen_thresholds(self) -> None:
        """Refuse to make other probabilities of a model whose thresholds were chosen for those that it has.

        Raises:
            UsageError: it is one.
        """
        if self.chosen_labels is not None:
            raise UsageError(
                f"{self.name} has thresholds that were chosen for its probabilities as they are. Take the "
                "file without them, and choose them anew for what becomes of it (evaluate --thresholds)."
            )

    @property
    def saw_crops(self) -> bool | None:
        """Whether photos of the training were cut to boxes; None where the card does not say."""
        if self.preprocessing.crop is None:
            return False
        counts = [part.get("cropped") for part in self.training_data.values() if isinstance(part, dict)]
        known = [count for count in counts if count is not None]
        return any(known) if known else None

    @property
    def trained_on(self) -> TrainedOn | None:
        """The parts of which split the weights come from; None where it is not said.

        A recipe that judges by folds trains in the end on all labelled media but those of the test part.
        """
        if "fingerprint" not in self.split or "fit" not in self.recipe:
            return None
        parts = ("train",) if self.recipe["fit"] == "train" else ("train", "validation")
        return TrainedOn(parts=parts, split=self.split["fingerprint"])

    @property
    def figures_at(self) -> MeasuredAt | None:
        """At how many locations its figures were measured; of older versions what their calibration says."""
        if self.measured_at is not None:
            return self.measured_at
        if (only := self.training_data.get("only_location")) is not None:
            return MeasuredAt(locations=1, effective=1, only=only)
        known = len(self.calibration.locations)
        return MeasuredAt(locations=known, effective=known) if known else None

    @model_validator(mode="after")
    def _labels_fit_the_task(self) -> Card:
        if self.task == "features" and self.labels:
            raise DataError("A backbone's card must not name labels.")
        if self.task != "features" and len(self.labels) < 2:
            raise DataError(
                f"A classifier's card needs at least two labels, this one has {len(self.labels)}."
            )
        twice = [label for label, times in Counter(self.labels).items() if times > 1]
        if twice:
            raise DataError(f"A card's labels must differ from one another; '{twice[0]}' is there twice.")
        for label in self.labels:
            if (flaw := label_flaw(label)) is not None:
                raise DataError(f"{label[:40]!a} cannot be a label: {flaw}.")
        return self

    @model_validator(mode="after")
    def _thresholds_are_of_labels(self) -> Card:
        named = set() if self.chosen_labels is None else {*self.thresholds, *self.chosen_labels.never}
        if self.chosen_labels is not None and named != set(self.labels):
            raise DataError("The card's thresholds must be those of its labels, of each one or none.")
        return self

    @model_validator(mode="after")
    def _statistics_fit_the_embedding(self) -> Card:
        if self.familiar is not None and self.familiar.embedding_size != self.embedding_size:
            raise DataError(
                f"The card's statistics are of embeddings of {self.familiar.embedding_size} numbers, and the "
                f"model's has {self.embedding_size}."
            )
        return self

    @model_validator(mode="after")
    def _calibrations_fit_the_labels(self) -> Card:
        for calibration in (self.calibration, *([self.event.calibration] if self.event else [])):
            lengths = {len(values) for values in (calibration.slopes, calibration.offsets)}
            if calibration.method == "labels" and lengths != {len(self.labels)}:
                raise DataError(
                    f"A calibration by label needs a slope and an offset for each of {self.labels}."
                )
            if self.task == "single-label" and (calibration.exclusive or calibration.blank_kept < 1):
                raise DataError("Labels of a single-label model exclude each other already.")
        return self
