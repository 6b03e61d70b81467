"""Which media of a catalog train and validate, and what is wrong with them if they cannot."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml

from trapline.catalog import (
    EVENT_LABELS,
    Catalog,
    Groups,
    LeakCheck,
    SplitMethod,
    check_leaks,
    event_key,
    fingerprint,
    frame_order,
    label_events,
    sample_catalog,
)
from trapline.errors import DataError, TraplineWarning, many
from trapline.images import CropPolicy, choose_box
from trapline.models import Calibration, label_flaw
from trapline.recipes import LabelRecipe, Recipe
from trapline.taxonomy import BLANK
from trapline.training.arrays import Rows, Singles
from trapline.training.decided import teachable
from trapline.training.targets import prior_shift, target_matrix

_FOR_TRAIN = "`trapline split --by location`, or of one location `--by event`, puts rare labels into train"


class Taught(NamedTuple):
    """The rows that train, and the share of the blank media among those they were drawn from."""

    rows: Rows
    blank_kept: float


@dataclass(frozen=True)
class Selected:
    """The labelled media of the parts train and validation.

    Attributes:
        catalog: these media alone, in the catalog's order.
        labels: what the model can say, sorted.
        targets: float32 [N, labels].
        train: rows of the train part.
        validation: rows of the validation part.
        left_out: why -> how many media of the two parts are not used.
        failed: row -> why the photo cannot be read; set aside from `train` and `validation`.
    """

    catalog: Catalog
    labels: tuple[str, ...]
    targets: Singles
    train: Rows
    validation: Rows
    left_out: dict[str, int] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def events(self) -> npt.NDArray[Any]:
        """[N]: the event of each media; a media without one stands for itself."""
        return self.catalog.table.select(event_key()).to_series().to_numpy()

    def groups(self, rows: Rows) -> Groups:
        """Which of the rows belong together."""
        return Groups.of(self.catalog.table[rows.tolist()])

    def taught(self, recipe: Recipe, rows: Rows) -> Taught:
        """Which of the rows train: first frames only if asked, and the share of the blanks that is kept.

        Blank media are drawn one by one, so that the share which is put back later is that which trained:
        drawn by event, blank frames of events that show an animal would always be kept.

        Raises:
            DataError: blanks are to be left out and none of the rows is blank.
        """
        if not isinstance(recipe, LabelRecipe):
            return Taught(rows, 1.0)
        if recipe.frames == "first":
            rows = self._first_frames(rows)
        if recipe.keep_blanks == 1:
            return Taught(rows, 1.0)
        empty, shown = np.array([label == BLANK for label in self.labels]), self.targets[rows] > 0
        blank = np.sort(rows[shown[:, empty].any(axis=1) & ~shown[:, ~empty].any(axis=1)])
        if not len(blank):
            raise DataError(
                f"keep_blanks={recipe.keep_blanks:g} leaves out media labelled '{BLANK}', and none of the "
                f"{len(rows)} media that would train is. Leave it at 1, or split otherwise."
            )
        kept = max(1, round(recipe.keep_blanks * len(blank)))
        left_out = np.random.default_rng(recipe.seed).permutation(blank)[kept:]
        return Taught(rows[~np.isin(rows, left_out)], kept / len(blank))

    def _first_frames(self, rows: Rows) -> Rows:
        """Of each event the first of the rows."""
        order = frame_order(self.catalog.table)
        shot = order[np.isin(order, rows)]
        return np.sort(shot[np.unique(self.events[shot], return_index=True)[1]])

    def without(self, failed: Mapping[int, str]) -> Selected:
        """The same with unreadable photos set aside.

        Raises:
            DataError: so many of them that something is wrong with the path.
        """
        if not failed:
            return self
        first = "; ".join(list(failed.values())[:3])
        if len(failed) > max(5, len(self.catalog) // 10):
            raise DataError(
                f"{len(failed)} of {many(len(self.catalog), 'photo')} cannot be read: {first}. "
                f"Paths start from {self.catalog.root}; `trapline catalog` tells which files are missing."
            )
        gone = np.array(sorted(failed))
        warnings.warn(
            f"{many(len(failed), 'photo cannot be read and is')} left out: {first}",
            TraplineWarning,
            stacklevel=3,
        )
        return replace(
            self,
            train=np.setdiff1d(self.train, gone),
            validation=np.setdiff1d(self.validation, gone),
            left_out={**self.left_out, "unreadable": len(failed)},
            failed=dict(failed),
        )

    def unseen(self, rows: Rows) -> list[str]:
        """The labels that none of the rows has."""
        return [self.labels[index] for index in np.flatnonzero(~self.targets[rows].any(axis=0))]


def select_media(catalog: Catalog, recipe: Recipe, *, needs_split: bool = True) -> Selected:
    """The media that a training uses.

    Args:
        catalog: with labels and, unless folds are dealt later, a split.
        recipe: its task and `sample` are used.
        needs_split: False takes all labelled media of the parts train and validation; or, if there is no
            split, all there are as `train`, with an empty `validation`.

    Raises:
        DataError: no split, an empty part, fewer than two labels, blanks to be left out where there are none,
            or (for single-label tasks) a label without training media.
    """
    parts = catalog.table["split"]
    has_split = parts.null_count() < len(parts)
    if needs_split:
        catalog.part("train")
        catalog.part("validation")
    catalog, undecided = teachable(catalog, frames=recipe.learn_from == "media")
    whole, every_label = len(catalog), catalog.labels
    if recipe.sample is not None:
        catalog = sample_catalog(catalog, recipe.sample.share, recipe.sample.seed)
    undrawn = whole - len(catalog)
    if catalog.facts.videos is not None:
        warnings.warn(f"{catalog.facts.videos.describe()}.", TraplineWarning, stacklevel=2)
    if recipe.learn_from == "event":
        catalog = label_events(catalog)
    used = catalog.filter(pl.col("split").is_in(["train", "validation"])) if has_split else catalog
    labelled = used.filter(pl.col("labels").is_not_null())
    left_out = {"unlabelled": len(used) - len(labelled)} if len(used) > len(labelled) else {}
    if left_out:
        warnings.warn(
            f"{left_out['unlabelled']} of {len(used)} media for training and validation have no label "
            "and are left out.",
            TraplineWarning,
            stacklevel=2,
        )
    if undrawn:
        left_out["not in the sample"] = undrawn
    if absent := sorted(set(recipe.leave_out) - set(every_label)):
        raise DataError(
            f"leave_out names {', '.join(absent)}, and no media has that label; there are "
            f"{', '.join(every_label)}."
        )
    labelled, unwanted = _leave_out(labelled, recipe.leave_out)
    left_out |= unwanted | undecided
    labels = tuple(labelled.labels)
    _check_labels(labels)
    part = labelled.table["split"]
    train = part.eq_missing("train").arg_true().to_numpy().astype(np.int64)
    validation = part.eq_missing("validation").arg_true().to_numpy().astype(np.int64)
    if not has_split:
        train = np.arange(len(labelled), dtype=np.int64)
    targets = target_matrix(labelled, labels, recipe.task)
    selected = Selected(labelled, labels, targets, train, validation, left_out)
    if needs_split:
        _check_parts(recipe, selected)
    # refuses before photos are read
    selected.taught(recipe, train if needs_split else np.arange(len(labelled)))
    return selected


def _leave_out(catalog: Catalog, unwanted: tuple[str, ...]) -> tuple[Catalog, dict[str, int]]:
    """The media without some labels, and why → how many of them show nothing else and are gone."""
    if not unwanted:
        return catalog, {}
    own = [name for name in ("labels", EVENT_LABELS) if name in catalog.table.columns]
    other = pl.col(own).list.set_difference(list(unwanted)).list.sort()
    rest = catalog.table.with_columns(pl.when(other.list.len() > 0).then(other))
    gone = catalog.table.filter(rest["labels"].is_null())["labels"].list.first().value_counts(name="media")
    counts = {f"labelled {label}": count for label, count in gone.sort("labels").rows()}
    return catalog.with_table(rest.filter(pl.col("labels").is_not_null())), counts


def how_to_leave_out(labels: Sequence[str], recipe: Recipe) -> str:
    """The option with which a training goes on without some labels, besides those left out already."""
    every = [*recipe.leave_out, *labels]
    value = ",".join(every)
    if len(value.split(",")) != len(every) or yaml.safe_load(value) != value:  # a comma, or YAML's own word
        value = json.dumps(every, ensure_ascii=False)
    return f"train without these media: --set {shlex.quote(f'leave_out={value}')}"


def _check_labels(labels: tuple[str, ...]) -> None:
    """Refuse labels of which no model can be made, now and not when it is written."""
    if len(labels) < 2:
        raise DataError(
            f"A classifier needs at least two labels; the media for training have {len(labels)}"
            f"{f' ({labels[0]})' if labels else ''}. Photos without an animal are labelled 'blank'."
        )
    for label in labels:
        if (flaw := label_flaw(label)) is not None:
            raise DataError(
                f"{label[:40]!a} cannot be a label: {flaw}. Put it right in the catalog's source."
            )


def _check_parts(recipe: Recipe, selected: Selected) -> None:
    if not len(selected.train) or not len(selected.validation):
        empty = "validation" if len(selected.train) else "train"
        raise DataError(f"The part '{empty}' has no labelled media. Split again with `trapline split`.")
    missing, unjudged = selected.unseen(selected.train), selected.unseen(selected.validation)
    if missing and recipe.task == "single-label":
        raise DataError(
            f"No training media has the label {', '.join(missing)}, though validation media do. "
            f"Split otherwise ({_FOR_TRAIN}), or {how_to_leave_out(missing, recipe)}"
        )
    if missing:
        warnings.warn(
            f"No training media has the label {', '.join(missing)}, though validation media do: the model "
            f"will hardly ever say it, and the figures count that. Or {how_to_leave_out(missing, recipe)}",
            TraplineWarning,
            stacklevel=3,
        )
    if unjudged:
        warnings.warn(
            f"No validation media has the label {', '.join(unjudged)}: nothing is known of how well the "
            "model says it.",
            TraplineWarning,
            stacklevel=3,
        )


def refuse_leaks(catalog: Catalog, allow_leak: bool) -> LeakCheck:
    """Stop if what validates was trained on, unless the user insists.

    Raises:
        DataError: the split leaks and `allow_leak` is False.
    """
    leaks = check_leaks(catalog.filter(pl.col("split").is_in(["train", "validation"])))
    if leaks.leaking and not allow_leak:
        raise DataError(
            f"The split leaks, so that its figures would flatter the model. {'; '.join(leaks.lines())}. "
            "Split again (`trapline split`), or train all the same with --allow-leak: its card says so."
        )
    return leaks


def split_record(catalog: Catalog, leaks: LeakCheck) -> dict[str, Any]:
    """What the card keeps of the split: how it was made, its fingerprint, and what leaks."""
    made = catalog.facts.split or SplitMethod(by="given with the catalog")
    return {**made.as_json(), "fingerprint": fingerprint(catalog), "leaks": leaks.as_json()}


def data_summary(selected: Selected, crop: CropPolicy | None) -> dict[str, Any]:
    """What the card keeps of the data: media, known locations and events, labels, and what was left out.

    Where the preprocessing crops, also how many media had a box to be cut to.
    """
    summary: dict[str, Any] = {"source": selected.catalog.source}
    locations = selected.catalog.table["location_id"].unique()
    if len(locations) == 1 and locations[0] is not None:
        summary["only_location"] = locations[0]
    boxed = np.array(
        [choose_box(boxes, crop) is not None for boxes in selected.catalog.table["boxes"].to_list()], bool
    )
    for part, rows in (("train", selected.train), ("validation", selected.validation)):
        counts = selected.targets[rows].sum(axis=0).astype(int).tolist()
        known = selected.catalog.table[rows.tolist()].select(
            pl.col("location_id", "event_id").drop_nulls().n_unique()
        )
        summary[part] = {
            "media": len(rows),
            "locations": known["location_id"].item(),
            "events": known["event_id"].item(),
            "labels": dict(zip(selected.labels, counts, strict=True)),
            **({} if crop is None else {"cropped": int(boxed[rows].sum())}),
        }
    return {**summary, "left_out": selected.left_out}


def base_calibration(recipe: Recipe, selected: Selected, rows: Rows) -> Calibration:
    """From what training on the rows saw to what is natural, before any calibration is fitted."""
    taught, kept = selected.taught(recipe, rows)
    shift = prior_shift(recipe, selected.targets[taught])
    kept = kept if recipe.correct_prior else 1.0
    exclusive = isinstance(recipe, LabelRecipe) and recipe.exclusive
    if kept < 1 and (exclusive or recipe.task == "single-label"):  # of a softmax: a constant shift
        values = np.zeros(len(selected.labels)) if not shift else np.array(shift)
        values[selected.labels.index(BLANK)] -= np.log(kept)
        shift, kept = tuple(values.tolist()), 1.0
    return Calibration(prior_shift=shift, blank_kept=kept, exclusive=exclusive)
