"""Who may say something of the media of a catalog, and what each says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl

from trapline.catalog import (
    ATTRIBUTES,
    DECISIONS,
    EVENT_LABELS,
    INDIVIDUALS,
    Catalog,
    DetectedBoxes,
    any_decision,
    has_decisions,
    with_individuals,
)
from trapline.errors import DataError, UsageError, many
from trapline.metrics import labels_said
from trapline.models import blank_column
from trapline.observations.categories import SURE, category_name, kind_of
from trapline.observations.table import ObservationFacts, Observations, as_rows, spread
from trapline.observations.thresholds import LabelThresholds, own_thresholds, thresholds_for
from trapline.prediction import Predictions, Ranks
from trapline.taxonomy import BLANK, KINDS, Kind, Label, Taxonomy, default_kind, plain

Observer = Literal["human", "model", "detector"]
OBSERVERS: tuple[Observer, ...] = get_args(Observer)

_USUAL = {False: 0.0, True: 0.5}
"""The threshold of labels that nothing is said of: where a row has one label, and where it has several."""

TOP = 5
"""How many of a model's labels are kept beside its answer."""

_ALL_ALIKE: tuple[Kind, ...] = ("blank", "human", "vehicle")
"""Kinds whose only label means the whole kind, whatever it is called ("hunter")."""

_KEYS = ("media_id", "event_id", "file_path")
_DECISION_OF_EVENT = ("media_id", "event_id", "person", "decided_at")
"""What tells apart what is decided of an event as a whole; there `media_id` is null."""

_HUMAN, _HUMAN_OF_EVENT, _MODEL, _UNKNOWN, _UNKNOWN_OF_EVENT, _BELOW, _OVERRULED = range(7)
"""Whose word stands above whose, of one media: the lower number; what was decided otherwise later is last."""

_OF_PEOPLE = (_HUMAN, _HUMAN_OF_EVENT, _UNKNOWN, _UNKNOWN_OF_EVENT)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """A model's predictions, people's labels and a detector's boxes; `gather` checks and makes them.

    Attributes:
        predicted: what the model said; None where there is no model.
        catalog: the media; it holds labels and boxes.
        taxonomy: has exactly the labels that occur; None if none was given.
        observers: whose word counts.
        min_conf: the confidence from which a box says something.
        labelled_by: the name of who gave the labels; None where it is not known.
        thresholds: of the model's labels or ranks; None for one of all, and the model's own way.
    """

    predicted: Predictions | None
    catalog: Catalog
    taxonomy: Taxonomy | None
    observers: tuple[Observer, ...] = OBSERVERS
    min_conf: float = SURE
    labelled_by: str | None = None
    thresholds: LabelThresholds | None = None

    @property
    def predictions(self) -> Predictions:
        """What the model said.

        Raises:
            UsageError: there is none: a catalog alone is written.
        """
        if self.predicted is None:
            raise UsageError("This format is of predictions: give those of a model, before their catalog.")
        return self.predicted

    @property
    def level(self) -> str | None:
        """Of what the predictions are; None without."""
        return None if self.predicted is None else self.predicted.level

    @property
    def classifier(self) -> str | None:
        """The model's name and fingerprint: who says so; None without a model."""
        if self.predicted is None:
            return None
        return f"{self.predicted.facts.model_name or 'Trapline model'} ({self.predicted.model})"

    @property
    def detector(self) -> str | None:
        """What found the boxes of the catalog, where it is known."""
        boxes = self.catalog.facts.boxes
        return None if boxes is None else boxes.detector or None

    @cached_property
    def observer_names(self) -> dict[str, str]:
        """The observers' ids, and who they are, for people."""
        names = {}
        if self.predicted is not None:
            names[f"model:{self.predicted.model}"] = self.classifier or ""
        if "human" in self.observers:
            names |= {f"human:{person}": person for person in self._deciders}
            names[self._labeller] = self.labelled_by or {"human": "a person"}.get(self._labeller, "unknown")
        if "detector" in self.observers:
            names[self._detector] = self.detector or "a detector"
        return names

    @cached_property
    def _deciders(self) -> list[str]:
        """Who decided on media of the catalog."""
        if not has_decisions(self.catalog):
            return []
        people = self.catalog.table[DECISIONS].explode().struct.field("person")
        return sorted(people.drop_nulls().unique())

    @property
    def _labeller(self) -> str:
        """Whose the labels of the catalog are; unknown where a machine's were asked for as well."""
        if self.labelled_by:
            return f"human:{self.labelled_by}"
        read_as = self.catalog.facts.format
        return "human" if read_as is None or read_as.labels_of is None else "unknown"

    @property
    def _detector(self) -> str:
        return f"detector:{self.detector}" if self.detector else "detector"

    # ---- what labels are

    def label(self, name: str) -> Label:
        """What a label, or a rolled-up answer, stands for; without a taxonomy its name decides."""
        if name not in self._looked_up:
            self._looked_up[name] = self._look_up(name)
        return self._looked_up[name]

    @cached_property
    def _looked_up(self) -> dict[str, Label]:
        return {}

    def _look_up(self, name: str) -> Label:
        by_name = Label(name, default_kind(name) or "animal")
        if self.taxonomy is None:
            return by_name
        if name in self.taxonomy.labels:
            return self.taxonomy.labels[name]
        if name in KINDS:
            return Label(name, next(kind for kind in KINDS if kind == name))
        try:
            return self.taxonomy.for_labels([name]).labels[name]
        except DataError:  # people and detectors have names of their own, beside a model's tree
            return by_name

    def kind(self, name: str) -> Kind:
        """The kind of a label; without a taxonomy anything that is not `blank`, … is an animal."""
        return self.label(name).kind

    def scientific_name(self, name: str) -> str | None:
        """The taxon of a label or answer, where there is a taxonomy and it has one."""
        return None if self.taxonomy is None else self.label(name).taxon

    @cached_property
    def rolled_up(self) -> Sequence[tuple[str | None, float]] | None:
        """The answer and its probability in each row, of a model of taxa; None of other models.

        The answer is called what a label is where that says the same (see `_labels_that_say`).
        """
        if self.predicted is None:
            return None
        ranks = Ranks.of_facts(self.predicted.labels, self.predicted.facts)
        if ranks is None:
            return None
        chosen = self.thresholds
        ranked = ranks.answers(self.predicted.probabilities(), None if chosen is None else chosen.ranks)
        named = _labels_that_say(ranks.taxonomy, self.predicted.labels)
        answers = [None if name is None else named.get(name, name) for name in ranked.answers]
        return list(zip(answers, ranked.probabilities.tolist(), strict=True))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """What answers of the model and of people may be called: its labels, rolled-up answers, theirs."""
        own = () if self.predicted is None else self.predicted.labels
        extra = {name for name, _ in self.rolled_up or () if name is not None}
        own += tuple(sorted(extra - set(own)))
        return (*own, *(name for name in self.labels_of_people if name not in own))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What an answer may be called: the classes, then what the detector's word that stands is called."""
        extra = self._ranked_others.filter(pl.col("observer") == self._detector)["label"]
        return (*self.classes, *sorted(set(extra.drop_nulls()) - set(self.classes)))

    @cached_property
    def labels_of_people(self) -> tuple[str, ...]:
        """The labels of the catalog, where people count, sorted."""
        standing = self._of_people.filter(pl.col("_rank") != _OVERRULED)
        return tuple(sorted(set(standing["label"].drop_nulls())))

    @property
    def unnamed_labels(self) -> bool:
        """Some labels are of people who are not named: they came with the catalog."""
        return self._labeller in self._of_people["observer"]

    @property
    def unnamed_animals(self) -> bool:
        """Some label is of an animal that only a taxonomy can name; `animal` itself may be any."""
        return any(self.kind(name) == "animal" and plain(name) != "animal" for name in self.names)

    def detected_name(self, kind: Kind, category: str) -> str:
        """What the detector's boxes of a kind are called: like the one label of the kind, else as it says."""
        labels = [label for label in self.classes if self.kind(label) == kind]
        alike = [label for label in labels if plain(label) in (kind, category)]
        if alike or (kind in _ALL_ALIKE and len(labels) == 1):
            return (alike or labels)[0]
        return kind if self.predicted is not None else category

    # ---- what each says

    def observe(self, threshold: float | None = None) -> Observations:
        """What all say, and whose word stands.

        A person's word of a media stands above all, then one of its event, then a model's. Beside a model's
        word of boxes stands the detector's of people and vehicles that the model was not asked about, and
        above what it says of the whole photo then. Else the detector's stands where nobody else speaks.
        A media about which nobody says anything has one row, `unobserved`.

        Args:
            threshold: labels of the model below this probability are no answers; None for its own way.

        Raises:
            UsageError: the threshold is not from 0 to 1, or there is no model.
            DataError: a media, event or box of the predictions is not in the catalog.
        """
        if threshold not in self._observed:
            self._observed[threshold] = self._observe(threshold)
        return self._observed[threshold]

    @cached_property
    def _observed(self) -> dict[float | None, Observations]:
        return {}

    def _observe(self, threshold: float | None) -> Observations:
        predicted = self._of_model(threshold)
        rows = pl.concat([self._below_detected(predicted), self._others])
        pairs = spread(rows, self.catalog)
        self._refuse_foreign_boxes(predicted)
        best = pairs.filter(pl.col("_rank") == pl.col("_rank").min().over("media"))
        standing = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(best["_row"].unique().implode())
        silent = self.catalog.table.filter(~pl.col("media_id").is_in(pairs["media"].unique().implode()))
        table = pl.concat(
            [
                rows.drop("_rank").with_columns(stands=standing),
                as_rows(
                    {"status": pl.lit("unobserved"), "stands": pl.lit(value=True)}, silent.select(*_KEYS)
                ),
            ]
        )
        spoken = table["observer"].drop_nulls().unique()
        names = {key: name for key, name in self.observer_names.items() if key in spoken}
        facts = ObservationFacts(
            source=self.catalog.source,
            observers=names,
            threshold=threshold,
            thresholds=self._named_thresholds if threshold is None else {},
            min_conf=self.min_conf,
        )
        return Observations(table, facts)

    @property
    def _named_thresholds(self) -> dict[str, float]:
        """Label or rank → its threshold, of those that have one; JSON knows no infinity."""
        chosen = self.thresholds
        own = {} if chosen is None else chosen.labels if chosen.ranks is None else chosen.ranks
        return {name: value for name, value in own.items() if value <= 1}

    def limit(self, threshold: float | None) -> float:
        """The threshold in force: as given; else 0 for one label a row, 0.5 for several.

        Where each label has its own it is infinite: an answer is what reaches that, and nothing else.

        Raises:
            UsageError: it is not between 0 and 1, there is no model whose labels it could be for, or each
                label has its own.
        """
        if threshold is not None and self.thresholds is not None and not self.thresholds.of_model:
            raise UsageError(
                "--threshold is one for all labels, and --thresholds are theirs: give one of both."
            )
        if threshold is not None and self.predicted is None:
            raise UsageError(
                "--threshold is for a model's probabilities, and there are no predictions; from which "
                "confidence on a detector's boxes count says --min-conf."
            )
        if threshold is None and self.thresholds is not None:
            return math.inf
        if threshold is None:
            return _USUAL[self.predicted is not None and self.predicted.task == "multi-label"]
        if not 0 <= threshold <= 1:
            raise UsageError(f"The threshold must be between 0 and 1, not {threshold}.")
        return threshold

    def _of_model(self, threshold: float | None) -> pl.DataFrame:
        """What the model says, in the order of its rows.

        Of a single-label model the most probable label is the answer if it reaches the threshold; of a
        multi-label model every label that does, but `blank` only alone (see `trapline.metrics.labels_said`).
        Of a model of taxa, unless thresholds of labels are given, it is the rolled-up answer.
        """
        limit = self.limit(threshold)
        if self.predicted is None:
            return as_rows({}, pl.DataFrame({"media_id": []}, {"media_id": pl.String}))
        table, labels = self.predicted.table, self.predicted.labels
        numbers = self.predicted.probabilities()
        order = np.argsort(-np.nan_to_num(numbers, nan=-1.0), axis=1, kind="stable")
        several = self.predicted.task == "multi-label"
        chosen = self.thresholds if threshold is None else None
        limits = limit if chosen is None else np.array(chosen.of(labels, _USUAL[several]))
        passes = labels_said(numbers, limits, blank_column(labels) if several else None)
        asks_labels = threshold is not None or (chosen is not None and chosen.ranks is None)
        rolled = None if asks_labels else self.rolled_up
        index: list[int] = []
        answers: list[tuple[str, float] | None] = []
        others: list[list[tuple[str, float]]] = []
        for row, status in enumerate(table["status"]):
            columns = order[row] if several else order[row, :TOP]
            ranked = [(labels[column], float(numbers[row, column])) for column in columns]
            if status == "failed":
                own, ranked = [], []
            else:
                if self.predicted.facts.kept is not None:  # others are not told of
                    ranked = [answer for answer in ranked if answer[1] > 0] or ranked[:1]
                candidates = zip(ranked if several else ranked[:1], columns, strict=False)
                own = [answer for answer, column in candidates if passes[row, column]]
            if rolled is not None and status != "failed":
                name, probability = rolled[row]
                own = [] if name is None else [(name, probability)]
                ranked = [*own, *(answer for answer in ranked if answer[0] != name)]
            for answer in own or (None,):
                index.append(row)
                answers.append(answer)
                others.append(ranked[:TOP])
        taxa = {name: self.scientific_name(name) for name in {answer[0] for answer in answers if answer}}
        names = [answer[0] if answer else None for answer in answers]
        rows = table.select("media_id", "event_id", "file_path", "box", "status", "reason")[index]
        return as_rows(
            {
                "observer": pl.lit(f"model:{self.predicted.model}"),
                "label": pl.Series(names, dtype=pl.String),
                "scientific_name": pl.Series([taxa.get(name or "") for name in names], dtype=pl.String),
                "probability": pl.Series([a[1] if a else None for a in answers], dtype=pl.Float64),
                "alternatives": _alternatives(others),
                "status": pl.when(pl.Series([a is None for a in answers]) & (pl.col("status") == "ok"))
                .then(pl.lit("unclassified"))
                .otherwise("status"),
                "reason": pl.when(pl.col("status") == "failed")
                .then(pl.col("reason").fill_null("no reason was recorded"))
                .otherwise("reason"),
            },
            rows,
        )

    def _refuse_foreign_boxes(self, predicted: pl.DataFrame) -> None:
        counts = self.catalog.table.select("media_id", _boxes=pl.col("boxes").list.len().fill_null(0))
        boxes = predicted.drop_nulls("box").join(counts, on="media_id", maintain_order="left")
        foreign = boxes.filter(~pl.col("box").is_between(0, pl.col("_boxes").cast(pl.Int64) - 1))
        for media, box, count in foreign.select("media_id", "box", "_boxes").head(1).iter_rows():
            raise DataError(
                f"The predictions name box {box} of the media {media!r}, but the catalog has "
                f"{many(count, 'box')} of it. Give the catalog that was predicted."
            )

    @cached_property
    def _of_people(self) -> pl.DataFrame:
        """Their decisions and labels of media; and of events, where they said it of these: a row a label."""
        table = self.catalog.table if "human" in self.observers else self.catalog.table.clear()
        return pl.concat([self._decided(table), self._labelled(table)])

    def _labelled(self, table: pl.DataFrame) -> pl.DataFrame:
        """Labels of the catalog on which nobody decided."""
        whole = direct = pl.lit(value=False)
        if has_decisions(self.catalog):
            whole = any_decision("stands", "of_event")
            direct = any_decision("stands") & ~whole
        keys = [*_KEYS, *(name for name in (INDIVIDUALS,) if name in table.columns)]
        own = table.filter(pl.col("labels").is_not_null() & ~direct).select(*keys, label="labels")
        parts = [with_individuals(own.explode("label"), of_event=False)]
        if EVENT_LABELS in table.columns:
            of_event = pl.col(EVENT_LABELS).is_not_null() & ~whole.any().over("event_id")
            rest = table.filter(pl.col("labels").is_null() & of_event).select(*keys, label=EVENT_LABELS)
            events = rest.filter(pl.col("event_id").is_not_null()).unique("event_id", maintain_order=True)
            nobody = pl.lit(None, pl.String)
            events = events.with_columns(media_id=nobody, file_path=nobody)
            lone = rest.filter(pl.col("event_id").is_null())
            parts += [with_individuals(part.explode("label"), of_event=True) for part in (events, lone)]
        rows = pl.concat(parts)
        by = {"observer": pl.lit(self._labeller), "status": pl.lit("ok")}
        highest = _UNKNOWN if self._labeller == "unknown" else _HUMAN
        rank = pl.col("media_id").is_null().cast(pl.Int64) + highest
        return as_rows(by, rows).with_columns(_rank=rank)

    def _decided(self, table: pl.DataFrame) -> pl.DataFrame:
        """What people decided, one row a label; what is said of an event as a whole once, of the event."""
        if not has_decisions(self.catalog):
            return as_rows({}, table.clear()).with_columns(_rank=pl.lit(0, pl.Int64))
        of_whole = any_decision("stands", "of_event")
        own, event = pl.col("labels").is_not_null() & of_whole, ~of_whole.any().over("event_id")
        each = table.select(*_KEYS, own.alias("_own"), event.alias("_event"), DECISIONS)
        each = each.explode(DECISIONS).drop_nulls(DECISIONS).unnest(DECISIONS)
        kept = pl.when("of_event").then("_event").otherwise("_own")  # and stands among the catalog's labels
        each = each.filter(~(pl.col("person").is_null() & kept))
        whole = pl.col("of_event")
        each = each.with_columns(
            pl.when(~whole).then("media_id").alias("media_id"),
            pl.when(~whole).then("file_path").alias("file_path"),
        ).with_columns(pl.col("stands").any().over(*_DECISION_OF_EVENT))
        each = pl.concat(
            [
                each.filter(~whole),
                each.filter(whole).unique([*_DECISION_OF_EVENT, "label", *ATTRIBUTES], maintain_order=True),
            ]
        )
        told = pl.col("verdict") != "cannot tell"
        remarks = [
            pl.when(~pl.col("sure")).then(pl.lit("not sure")),
            pl.when("flagged").then(pl.lit("flagged")),
            pl.col("remark"),
        ]
        reason = pl.concat_str(remarks, separator="; ", ignore_nulls=True)
        rows = as_rows(
            {
                "observer": pl.concat_str(pl.lit("human:"), "person").fill_null(self._labeller),
                "observed_at": pl.col("decided_at"),
                "status": pl.when(told).then(pl.lit("ok")).otherwise(pl.lit("unclassified")),
                "reason": pl.when(reason != "").then(reason),
                "label": pl.when(pl.col("verdict") == "blank").then(pl.lit(BLANK)).otherwise("label"),
            },
            each,
        )
        rank = pl.when(~each["stands"]).then(_OVERRULED).otherwise(each["of_event"].cast(pl.Int64))
        return rows.with_columns(rank.alias("_rank"))

    @cached_property
    def _others(self) -> pl.DataFrame:
        """What people and the detector say, with `_rank`; the detector's that stand beside a model's too."""
        people = self._of_people.with_columns(scientific_name=self._taxa_of(self._of_people["label"]))
        boxes = self._of_boxes
        beside = pl.lit(value=False)
        if self.predicted is not None and self.predicted.level == "box":
            asked = self.predicted.table.select(
                "media_id", pl.col("box").cast(pl.Int64), _asked=pl.lit(value=True)
            )
            boxes = boxes.join(asked, on=["media_id", "box"], how="left", maintain_order="left")
            known = boxes["media_id"].is_in(asked["media_id"].implode())
            beside = known & pl.col("_beside") & pl.col("_asked").is_null() & pl.col("box").is_not_null()
        boxes = boxes.with_columns(_rank=pl.when(beside).then(_MODEL).otherwise(_BELOW).cast(pl.Int64))
        return pl.concat([people, boxes.select(people.columns)])

    @property
    def _ranked_others(self) -> pl.DataFrame:
        """Of `_others` those that stand, whatever the threshold."""
        others = self._others
        labelled = others.filter(pl.col("_rank").is_in(_OF_PEOPLE))
        if self.predicted is None:
            spoken = labelled
        else:
            keys = self.predicted.table.select("media_id", "event_id", observer=pl.lit("model"))
            spoken = pl.concat([keys, labelled.select(keys.columns)])
        taken = spread(spoken.select("media_id", "event_id", "observer"), self.catalog)["media"].unique()
        return others.filter((pl.col("_rank") == _MODEL) | ~pl.col("media_id").is_in(taken.implode()))

    def _below_detected(self, predicted: pl.DataFrame) -> pl.DataFrame:
        """What the model says, with `_rank`: of a whole photo less than what the detector says beside it."""
        beside = self._others.filter(pl.col("_rank") == _MODEL)["media_id"].unique()
        whole = pl.col("box").is_null() & (pl.col("status") != "failed")
        below = pl.col("media_id").is_in(beside.implode()) & whole
        return predicted.with_columns(_rank=pl.when(below).then(_BELOW).otherwise(_MODEL).cast(pl.Int64))

    @cached_property
    def _of_boxes(self) -> pl.DataFrame:
        """What the detector says: a row a box that counts; `blank` where none does; why it failed.

        A photo is `blank` with what its surest box leaves of 1; these are confidences, not calibrated.
        `_beside` marks those of people and vehicles.
        """
        table = self.catalog.table if "detector" in self.observers else self.catalog.table.clear()
        looked = table.filter(pl.col("boxes").is_not_null()).select(*_KEYS, "boxes")
        each = looked.with_columns(box=pl.int_ranges(pl.col("boxes").list.len())).explode("boxes", "box")
        each = each.drop_nulls("boxes").unnest("boxes").with_columns(pl.col("conf").fill_null(1.0))
        area = (pl.col("width") > 0) & (pl.col("height") > 0)
        sure = each.filter(pl.col("conf").ge(self.min_conf) & area)
        kinds = {name: kind_of({"category": name}) for name in sure["category"].unique()}
        named = {
            name: category_name(name) if kind is None else self.detected_name(kind, category_name(name))
            for name, kind in kinds.items()
        }
        beside = [name for name, kind in kinds.items() if kind in ("human", "vehicle")]
        boxes = sure.with_columns(
            label=pl.col("category").replace_strict(named, return_dtype=pl.String, default=None),
            probability="conf",
            _beside=pl.col("category").is_in(beside),
        )
        none = looked.join(sure, on="media_id", how="anti").join(
            each.filter(area).group_by("media_id").agg(pl.col("conf").max()),
            on="media_id",
            how="left",
            maintain_order="left",
        )
        unsure = pl.format(
            f"no box of at least {self.min_conf:g}: the surest has {{}}", pl.col("conf").round(2)
        )
        empty = none.with_columns(
            label=pl.lit(self.detected_name("blank", BLANK)),
            probability=1 - pl.col("conf").fill_null(0.0),
            reason=unsure,
        )
        facts = self.catalog.facts.boxes
        failures = facts.failures if isinstance(facts, DetectedBoxes) else {}
        failed = table.filter(pl.col("boxes").is_null() & pl.col("media_id").is_in(list(failures)))
        failed = failed.select(
            *_KEYS, reason=pl.col("media_id").replace_strict(failures, default=None, return_dtype=pl.String)
        )
        by: dict[str, pl.Series | pl.Expr] = {"observer": pl.lit(self._detector)}
        parts = [
            as_rows(by | {"status": pl.lit("ok"), "scientific_name": self._taxa_of(boxes["label"])}, boxes),
            as_rows(by | {"status": pl.lit("ok")}, empty),
            as_rows(by | {"status": pl.lit("failed")}, failed),
        ]
        rows = pl.concat(parts)
        marks = pl.concat([boxes["_beside"], pl.repeat(False, len(rows) - len(boxes), eager=True)])
        index = self.catalog.table.select("media_id").with_row_index("_index")
        ordered = rows.with_columns(_beside=marks).join(index, on="media_id", maintain_order="left")
        return ordered.sort("_index", "box", maintain_order=True).drop("_index")

    def _taxa_of(self, labels: pl.Series) -> pl.Series:
        taxa = {name: self.scientific_name(name) for name in labels.drop_nulls().unique()}
        return labels.replace_strict(taxa, default=None, return_dtype=pl.String)


def _alternatives(rows: Sequence[Sequence[tuple[str, float]]]) -> pl.Series:
    flat = [answer for row in rows for answer in row]
    table = pl.DataFrame(
        {
            "row": np.repeat(np.arange(len(rows)), [len(row) for row in rows]),
            "label": pl.Series([label for label, _ in flat], dtype=pl.String),
            "probability": pl.Series([probability for _, probability in flat], dtype=pl.Float64),
        }
    )
    lists = table.group_by("row", maintain_order=True).agg(pl.struct("label", "probability").alias("top"))
    numbers = pl.DataFrame({"row": np.arange(len(rows))})
    return numbers.join(lists, on="row", how="left", maintain_order="left")["top"]


def _labels_that_say(taxonomy: Taxonomy, names: Sequence[str]) -> dict[str, str]:
    """Taxon or kind → the label that says neither less nor more than it.

    Of a kind that is a label without a taxon called like it ("empty"), or the kind's only label; the only
    label of an animal without a taxon ("unknown bird") still says more than `animal`.
    """
    label_of: dict[str, str] = {}
    for name in reversed(names):
        if (taxon := taxonomy.labels[name].taxon) is not None:
            label_of[taxon] = name
    for kind in KINDS:
        own = [name for name in names if taxonomy.kind(name) == kind]
        alike = [name for name in own if kind in (plain(name), default_kind(name))]
        only = own if len(own) == 1 and kind in _ALL_ALIKE else []
        for name in [*alike, *only][:1]:
            if taxonomy.labels[name].taxon is None:
                label_of[kind] = name
    return label_of


def gather(
    predictions: Predictions | None,
    catalog: Catalog,
    *,
    taxonomy: Taxonomy | None = None,
    observers: Sequence[str] | None = None,
    min_conf: float | None = None,
    labelled_by: str | None = None,
    thresholds: Path | str | Mapping[str, float] | None = None,
) -> Sources:
    """Who says something of the media of a catalog, checked.

    Args:
        predictions: of its media, boxes or events; None where a catalog alone speaks.
        catalog: the media, their labels and boxes.
        taxonomy: what the labels stand for; looked up by name; None for what the predictions of a model of
            taxa say themselves.
        observers: whose word counts: `human`, `model`, `detector`; None for all that there are.
        min_conf: the confidence from which a detector's box counts; None for `SURE`.
        labelled_by: the name of who gave the labels.
        thresholds: of the labels or ranks of the model, see `thresholds_for`; None for those of its card.

    Raises:
        UsageError: an observer is unknown or says nothing, or an option is of what is not there.
        DataError: nobody says anything of the media, or the taxonomy lacks a label.
    """
    chosen = tuple(name for name in OBSERVERS if observers is None or name in observers)
    unknown = [name for name in observers or () if name not in OBSERVERS]
    if unknown or not chosen:
        raise UsageError(f"--observers are any of {', '.join(OBSERVERS)}, not '{', '.join(unknown)}'.")
    table = catalog.table
    labels = [name for name in ("labels", EVENT_LABELS) if name in table.columns]
    decided = [DECISIONS] if has_decisions(catalog) else []
    labelled = any(table[name].null_count() < len(table) for name in (*labels, *decided))
    found_by = catalog.facts.boxes
    failed = isinstance(found_by, DetectedBoxes) and bool(found_by.failures)
    boxed = table["boxes"].null_count() < len(table) or failed
    speaking = {"human": labelled, "model": predictions is not None, "detector": boxed}
    silent = [name for name in chosen if not speaking[name]]
    if len(silent) == len(chosen) or (silent and observers is not None):
        who = "nobody" if observers is None else f"no {' or '.join(silent)}"
        raise DataError(
            f"Of the media of {catalog.source} {who} says anything. Labels of people come with the catalog "
            "(`trapline catalog --labels`) or are decided (`trapline review`), boxes from `trapline detect`, "
            "a model's predictions from `trapline predict`."
        )
    if min_conf is not None and not boxed:
        raise UsageError("--min-conf is for a detector's boxes, and no media of the catalog has any.")
    if min_conf is not None and not 0 <= min_conf <= 1:
        raise UsageError(f"The confidence must be between 0 and 1, not {min_conf}.")
    predicted = predictions.without_skipped() if predictions is not None and "model" in chosen else None
    if thresholds is not None and predicted is None:
        raise UsageError("--thresholds are of a model's labels, and no predictions are asked for.")
    least = SURE if min_conf is None else min_conf
    limits = None
    if predicted is not None:
        limits = own_thresholds(predicted) if thresholds is None else thresholds_for(thresholds, predicted)
    sources = Sources(
        predicted=predicted,
        catalog=catalog,
        taxonomy=taxonomy,
        observers=chosen,
        min_conf=least,
        labelled_by=labelled_by,
        thresholds=limits,
    )
    if labelled_by is not None and not sources.unnamed_labels:
        raise UsageError(
            "--labelled-by names who gave the labels, and no labels of people without a name are written."
        )
    return replace(sources, taxonomy=_known(sources, taxonomy))


def _known(sources: Sources, taxonomy: Taxonomy | None) -> Taxonomy | None:
    """The part of the taxonomy that is needed: of the user's for all labels, else of the model's own."""
    model = () if sources.predicted is None else sources.predicted.labels
    if taxonomy is not None:
        people = [name for name in sources.labels_of_people if name not in model]
        return taxonomy.for_labels([*model, *people])
    whole = None if sources.predicted is None else sources.predicted.facts.tree
    if whole is None:
        return None
    names = [*model]
    for name in sources.labels_of_people:
        try:
            whole.for_labels([name])
        except DataError:  # it is people's own: it has no taxon then
            continue
        names += [] if name in names else [name]
    return whole.for_labels(names)
