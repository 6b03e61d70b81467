"""What is kept with predictions besides their table: typed here, JSON in the header of their file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, JsonValue, PlainSerializer

from trapline.catalog import Facts, Record
from trapline.errors import DataError, many
from trapline.models import (
    Card,
    ChosenLabels,
    EventPooling,
    GroupedBy,
    MeasuredAt,
    TrainedOn,
    describe_distance,
    describe_few_locations,
)
from trapline.taxonomy import Taxonomy


@dataclass(frozen=True, kw_only=True)
class PoolingOptions(Record):
    """Which media of an event weigh how much.

    Attributes:
        without_box: the weight of media in which the detector found nothing, over 1 for the others.
        place_days: events without a box were answered by what else their location shows within so many days.
        blanks: `own`: each media says for itself how likely it is blank; `event`: its event does.
    """

    without_box: float
    place_days: float | None
    blanks: Literal["own", "event"] = "event"

    def __str__(self) -> str:
        suffix = "" if self.place_days is None else f" --place-days {self.place_days:g}"
        return f"--without-box {self.without_box:g}{suffix}{' --blanks own' if self.blanks == 'own' else ''}"


@dataclass(frozen=True, kw_only=True)
class PooledBy(Record):
    """The method for every label that `by_label` does not name, and on what they were chosen, for people."""

    method: str
    by_label: dict[str, str]
    selected_on: str


@dataclass(frozen=True, kw_only=True)
class Pooled(PoolingOptions):
    """How the media of each event were pooled."""

    how: PooledBy

    @property
    def options(self) -> PoolingOptions:
        """Without the method."""
        return PoolingOptions(without_box=self.without_box, place_days=self.place_days, blanks=self.blanks)


@dataclass(frozen=True, kw_only=True)
class Combination(Record):
    """What `learn_combination` found, kept in the table's `facts.combined`.

    Attributes:
        models: fingerprints, in the order of the weights.
        names: of the models, for people.
        weights: one a model, and
        sureness: of each group: see `trapline.metrics.opinions`.
        pooled: how the tables were pooled by event first; None if not.
        learnt_on: for people.
        slopes: label -> what its logit of the pool is multiplied by, and
        offsets: label -> what is added then; empty where the pool needs none.
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    weights: tuple[float, ...]
    sureness: dict[str, float]
    pooled: PoolingOptions | None
    learnt_on: str
    slopes: dict[str, float] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: PredictionFacts) -> Combination:
        """What a combined table says of itself.

        Raises:
            DataError: the table is not a combined one.
        """
        if facts.combined is None:
            raise DataError(
                "These predictions do not say how models were combined; give the table that "
                "`trapline combine` wrote when it learnt the weights."
            )
        return facts.combined


@dataclass(frozen=True, kw_only=True)
class RegionWeights(Record):
    """By which list the probabilities were weighed.

    Attributes:
        weights: label → weight.
        unlisted: the weight of what the list does not name.
        not_named: labels that it does not name.
        unknown: its names that say nothing of any label.
    """

    weights: dict[str, float]
    unlisted: float
    not_named: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FarLocation(Record):
    """A location whose media are unlike those of training.

    Attributes:
        location_id: None for media of no known location.
        media: rows that the model answered.
        distance: see `trapline.models.Familiar.distance`; 1 or more.
    """

    location_id: str | None
    media: int
    distance: float


@dataclass(frozen=True, kw_only=True)
class Compared(Record):
    """What was predicted beside what the model has learnt from, location by location.

    Attributes:
        by: what the groups of training are (`location`, `day`, `event`).
        groups: how many of them the statistics rest on.
        locations: that were compared.
        far: how many of them are unlike those of training.
        farthest: of these the first, at most `MOST_FAR`, the farthest first.
    """

    by: GroupedBy
    groups: int
    locations: int
    far: int
    farthest: tuple[FarLocation, ...] = ()

    def sentences(self, most: int = 3) -> list[str]:
        """What a reader of the predictions must know, the farthest first."""
        told = [
            describe_distance(
                "Photos of no known location" if one.location_id is None else f"Location {one.location_id}",
                one.media,
                one.distance,
                self.by,
                self.groups,
            )
            for one in self.farthest[:most]
        ]
        if self.far > len(told):
            told.append(
                f"{self.far} of {many(self.locations, 'location is')} as unlike; the predictions' header "
                f"names {len(self.farthest)}."
            )
        return told


@dataclass(frozen=True, kw_only=True)
class NearbyWeights(Record):
    """How far answers lean on those for what the same location shows around that time.

    Attributes:
        model: fingerprint of the one whose answers were learnt from.
        of: what the answers are of: media, pooled media, or events.
        days: spans in which what is near counts.
        amplitudes: what a neighbour counts, one a span,
        reliance: and how far the answers lean on that, and
        sureness: on themselves: see `trapline.metrics.nearby`.
        shares: label → its share among what was learnt from.
        learnt_on: for people.
        shifted: whether the answers were shifted to other shares of the labels before.
    """

    model: str
    of: str
    days: tuple[float, ...]
    amplitudes: tuple[float, ...]
    reliance: float
    sureness: float
    shares: dict[str, float]
    learnt_on: str
    shifted: bool = False

    @classmethod
    def of_table(cls, facts: PredictionFacts) -> NearbyWeights:
        """What a table whose answers lean says of itself.

        Raises:
            DataError: its answers do not.
        """
        if facts.nearby is None:
            raise DataError(
                "These predictions do not say how far answers lean on others; give the table that "
                "`trapline nearby` wrote when it learnt that."
            )
        return facts.nearby


@dataclass(frozen=True, kw_only=True)
class SharesShift(Record):
    """To which shares of the labels the probabilities were shifted.

    Attributes:
        before: label → its share where the model learnt, and
        after: as estimated for what was predicted.
        over: what was shifted together: a season, a location, or all.
        kept: media of the old shares that were counted beside the new.
        media: that the new shares were estimated of.
    """

    before: dict[str, float]
    after: dict[str, float]
    over: str
    kept: float
    media: int


@dataclass(frozen=True, kw_only=True)
class TreeHead(Record):
    """One decision of a model of taxa.

    Attributes:
        name: of the decision.
        parent: the node it stands at; None at the top.
        children: the nodes it decides between.
        media: that it was trained on.
        weight_decay: its regularisation.
    """

    name: str
    parent: str | None
    children: tuple[str, ...]
    media: int
    weight_decay: float


@dataclass(frozen=True, kw_only=True)
class LevelPromise(Record):
    """At one level: media answered there, those answered rightly, the groups they are of, and the bound."""

    media: int
    right: int
    groups: int
    bound: float


@dataclass(frozen=True, kw_only=True)
class HeldOutAnswers(Record):
    """Of media whose locations were not chosen on: the share answered, and how much of that is right."""

    answered: float
    precision: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class BrokenPromise(Record):
    """Why no rank of taxa keeps a promise.

    Attributes:
        level: the broadest rank, of which the next two are.
        sure: media answered there with a probability of the promise or more.
        wrong: label → how many of its media are wrong among these, the worst first.
        over: the axes along which, each taken alone, no threshold keeps it; `groups` are locations or events.
    """

    level: str
    sure: int
    wrong: dict[str, int]
    over: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerChoice(Record):
    """The thresholds that keep a promise, and level → what they answer there, or as finely as can be.

    `broken_by` says why, where there is no threshold for a taxon.
    """

    promise: float
    thresholds: dict[str, float]
    curve: dict[str, HeldOutAnswers]
    broken_by: BrokenPromise | None = None


@dataclass(frozen=True, kw_only=True)
class RollUpPromise(Record):
    """What the thresholds of the rolled-up answers promise.

    Attributes:
        promise: the share of answers that are right,
        confidence: and how sure that is.
        method: by which it was found.
        media: it was found on.
        groups: of media that are right or wrong together.
        over: what the groups are.
        axes: what else it must hold along, `seasons` or `sets` → how many there are.
        chosen_on: level → what its threshold was chosen on.
        unanswered: media that are answered at no level.
        answer: the share of media that was asked for, where the promise followed from that.
        choices: what could be promised instead, from the broadest answers to the surest.
    """

    promise: float
    confidence: float | None = None
    method: str | None = None
    media: int | None = None
    groups: int | None = None
    over: str | None = None
    axes: dict[str, int] | None = None
    chosen_on: dict[str, LevelPromise] | None = None
    unanswered: int | None = None
    answer: str | None = None
    choices: tuple[AnswerChoice, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ModelTree(Facts):
    """The tree of a model of taxa, as its card has it.

    Attributes:
        format_version: of the tree; this, `source`, `taxa` and `labels` are what `Taxonomy.from_json` reads.
        source: of the tree, for people.
        taxa: its nodes.
        labels: the model's, and what each is.
        way: how the decisions are put together.
        head_ranks: the ranks at which decisions are made.
        heads: the decisions.
        classes: label of the data → the class it is trained as; None where it stops above all of them.
        outside: labels of the data that lie outside the node that the model decides.
        unsupported: taxa that no answer stops at.
        ranks: how ranks are computed, for people.
        rollup: what the thresholds promise; None where none were chosen, so that a majority answers.
        others: what only another Trapline knows.
    """

    format_version: str
    source: str
    taxa: tuple[dict[str, JsonValue], ...]
    labels: tuple[dict[str, JsonValue], ...]
    way: str | None = None
    head_ranks: tuple[str, ...] | None = None
    heads: tuple[TreeHead, ...] = ()
    classes: dict[str, str | None] | None = None
    outside: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    ranks: str | None = None
    rollup: RollUpPromise | None = None


def _as_tree(content: object) -> object:
    if not isinstance(content, dict):
        return content
    try:
        return ModelTree.from_json(content, "the tree")
    except DataError as error:
        raise ValueError(str(error)) from error


_Tree = Annotated[ModelTree, BeforeValidator(_as_tree), PlainSerializer(ModelTree.as_json)]


def _pooling_as_json(pooling: EventPooling) -> JsonValue:
    """Figures are of the model's card, and stand here only where there is no other file of them."""
    content: JsonValue = pooling.model_dump(
        mode="json", exclude=None if pooling.metrics else {"metrics", "metrics_on"}
    )
    return content


_CHANGE_ANSWERS = ("calibration", "pooled", "combined", "region", "nearby")
"""Facts of what became of a model's answers."""


@dataclass(frozen=True, kw_only=True)
class PredictionFacts(Facts):
    """What is known of predictions as a whole.

    Attributes:
        model_name: of the model file, or of several.
        recipe: the name of that which trained, where the predictions are those it was judged by.
        calibration: on what the probabilities were calibrated, for people.
        measured_on: which media these are, where the model was judged by them, for people.
        source: what was predicted, for people.
        crops: how many media were cut to a box, for people.
        runtime: what ran the network.
        batch_size: media at once.
        limits: of a photo (`trapline.images.Limits`).
        trained_on: from which parts of which split the weights come, one a model.
        measured_at: at how many locations the figures of each model's card were measured.
        held_out_by: what the folds kept together, where each media was predicted by a model of other folds.
        familiar: how far the locations lie from what the model has learnt from; None where its card cannot
            tell.
        event: how the model says that events are pooled.
        exclusive: the labels of a multi-label model exclude each other.
        taxonomy: of a model of taxa.
        thresholds: rank → the least probability of an answer at it; or label → likewise, with
        chosen_labels: of which answers these are.
        pooled: how events were pooled.
        combined: how models were combined.
        region: by which list of species the probabilities were weighed.
        nearby: how far they lean on what their location shows around that time.
        shares: to which shares of the labels they were shifted: group (a season) → shares.
        kept: how many labels of each media another tool tells of, where it tells of the surest only; the
            others have the probability 0, which is not what it thinks of them.
        others: what only a newer Trapline knows.
    """

    model_name: str | None = None
    recipe: str | None = None
    calibration: str | None = None
    measured_on: str | None = None
    source: str | None = None
    crops: str | None = None
    runtime: str | None = None
    batch_size: int | None = None
    limits: dict[str, int | float | None] | None = None
    trained_on: tuple[TrainedOn, ...] = ()
    measured_at: tuple[MeasuredAt, ...] = ()
    held_out_by: str | None = None
    familiar: Compared | None = None
    event: Annotated[EventPooling, PlainSerializer(_pooling_as_json)] | None = None
    exclusive: bool = False
    taxonomy: _Tree | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    chosen_labels: ChosenLabels | None = None
    pooled: Pooled | None = None
    combined: Combination | None = None
    region: RegionWeights | None = None
    nearby: NearbyWeights | None = None
    shares: dict[str, SharesShift] | None = None
    kept: int | None = None

    @property
    def made_by(self) -> str:
        """Twelve letters that are others where probabilities were made otherwise of the same model's answers.

        Of shares it counts over what they were estimated, since they are estimated anew of all that comes.
        """
        own = self.as_json()
        parts = {name: own[name] for name in _CHANGE_ANSWERS if name in own}
        shares = sorted({one.over for one in (self.shares or {}).values()})
        text = json.dumps([parts, shares], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def models_measured_at(self) -> tuple[MeasuredAt, ...]:
        """The same, of older versions what they say of the training."""
        names = [model.only_location for model in self.trained_on if model.only_location is not None]
        return self.measured_at or tuple(
            MeasuredAt(locations=1, effective=1, only=name) for name in dict.fromkeys(names)
        )

    @property
    def tree(self) -> Taxonomy | None:
        """The tree of a model of taxa; None of other models.

        Raises:
            DataError: it is none.
        """
        if self.taxonomy is None:
            return None
        return Taxonomy.from_json(self.taxonomy.as_json(), "The taxonomy of the predictions")

    @property
    def few_locations(self) -> tuple[str, ...]:
        """What must stand above all that is made of these predictions; empty but of models measured at few
        locations."""
        sentences = (describe_few_locations(one, "The model was measured") for one in self.models_measured_at)
        return tuple(dict.fromkeys(sentence for sentence in sentences if sentence))


def facts_of_card(card: Card) -> PredictionFacts:
    """What predictions keep of their model's card, so that they can be pooled, ranked and judged alone.

    Raises:
        DataError: the tree of a model of taxa is not one.
    """
    return PredictionFacts(
        model_name=card.name,
        calibration=card.calibration.fitted_on,
        trained_on=() if card.trained_on is None else (card.trained_on,),
        measured_at=() if card.figures_at is None else (card.figures_at,),
        event=None if card.event is None else card.event.without_figures(),
        exclusive=card.calibration.exclusive,
        taxonomy=ModelTree.from_json(card.taxonomy, "The model's taxonomy") if card.taxonomy else None,
        thresholds=card.thresholds if card.taxonomy or card.chosen_labels is not None else {},
        chosen_labels=card.chosen_labels,
    )
