"""What heads learn from: the embeddings of a frozen backbone, computed once for every view of each photo."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from trapline.images import choose_box, prepare
from trapline.models import ModelFile
from trapline.prediction import event_rows as events_of
from trapline.recipes import (
    MODEL_FILE,
    DenseRecipe,
    EpochTreeRecipe,
    FeatureRecipe,
    HeadRecipe,
    Statistic,
    TreeRecipe,
    Views,
)
from trapline.training.arrays import Floats, Rows, Singles
from trapline.training.contract import FitPart, Learner, LearntModel, Origin, StepReport
from trapline.training.features import FeatureView, embed_views
from trapline.training.frozen import background_backbone, head_recipe
from trapline.training.heads_file import load_heads, save_heads
from trapline.training.linear import LinearLayer
from trapline.training.selection import Selected

if TYPE_CHECKING:
    import onnx

FrozenRecipe = HeadRecipe | DenseRecipe | TreeRecipe | EpochTreeRecipe
M = TypeVar("M", bound=LearntModel)

HEADS = "heads.npz"
"""In the folder of a part: what was fitted elsewhere."""


@dataclass(frozen=True)
class Looks:
    """The views of each photo that a head trains on.

    Attributes:
        views: the first is the one that prediction uses.
        weights: the share of each in training.
        predict: the places of the views that the model file averages.
    """

    views: tuple[FeatureView, ...]
    weights: tuple[float, ...]
    predict: tuple[int, ...]


def looks_of(recipe: FrozenRecipe) -> Looks:
    """The views that a recipe's flips and full frames call for, weighted by their chances."""
    change = Views() if isinstance(recipe, EpochTreeRecipe) else recipe.augmentation
    cropped = recipe.preprocessing
    frames = [(cropped, 1.0)]
    if change.full_frame and cropped.crop is not None:
        frames = [
            (cropped, 1 - change.full_frame),
            (cropped.model_copy(update={"crop": None}), change.full_frame),
        ]
    flips = [(False, 1 - change.horizontal_flip), (True, change.horizontal_flip)]
    weighted = [
        (FeatureView(frame, mirrored), share * chance)
        for frame, share in frames
        for mirrored, chance in flips
    ]
    needed = [FeatureView(cropped)] + ([FeatureView(cropped, mirrored=True)] if recipe.flip_average else [])
    kept = [(view, weight) for view, weight in weighted if weight > 0 or view in needed]
    views = tuple(view for view, _ in kept)
    return Looks(views, tuple(weight for _, weight in kept), tuple(views.index(view) for view in needed))


def looked_through(recipe: FrozenRecipe, cache: Path | None) -> tuple[ModelFile, ModelFile]:
    """The backbone as a recipe names it, and what its heads look through: that, or what sees with it."""
    backbone = ModelFile(head_recipe(recipe, cache).backbone.removeprefix(MODEL_FILE))
    if isinstance(recipe, FeatureRecipe) and recipe.background_view:
        return backbone, background_backbone(backbone, cache)
    return backbone, backbone


class FrozenLearner(Learner[M]):
    """A learner of heads; needs no PyTorch but to export a backbone that is no model file yet.

    Args:
        recipe: with how `frozen`.
        selected: the media.
        cache: folder for features and exported backbones, None for the user's.
        report: told of what is being done.

    Attributes:
        backbone: as the recipe names it.
        network: what is looked through: the backbone, or what sees with it.
        looks: the views.
        features: float32 [media, or events, views, D].
    """

    libraries: ClassVar[tuple[str, ...]] = (
        *("trapline", "onnx", "onnxruntime", "scikit-learn", "numpy", "pillow"),
    )

    recipe: FrozenRecipe

    def __init__(
        self, recipe: FrozenRecipe, selected: Selected, cache: Path | None, report: StepReport | None
    ) -> None:
        self.recipe, self.report = recipe, report
        self.looks = looks_of(recipe)
        self.backbone, self.network = looked_through(recipe, cache)
        self.statistics = recipe.event_statistics if isinstance(recipe, FeatureRecipe) else ()
        embedded = embed_views(
            self.network,
            selected.catalog,
            self.looks.views,
            cache=cache or "user",
            skip_unreadable=True,
            progress=self.tell("features"),
        )
        self.features, self.warnings = embedded.values, embedded.warnings
        self.selected = selected.without(embedded.failed)
        self._photos = self.selected.catalog
        self._frames: list[Rows] | None = None
        if self.statistics:
            self.selected, self._frames = event_rows(self.selected)
            self.features = over_events(self.features, self._frames, self.statistics)

    def heads_of_folds(
        self, rows: Rows, folds: Rows, folder: Path
    ) -> list[dict[str, dict[float, LinearLayer]]]:
        """Of each fold, by group and strength, the linear heads that were fitted elsewhere; [] if none."""
        if self.elsewhere is None:
            return []
        parts = [
            FitPart(f"fold-{number}", {"rows": rows, "folds": folds, "fold": np.array(number)}, HEADS)
            for number in range(len(np.unique(folds)))
        ]
        self.share_out(parts, folder)
        return [load_folds_heads(folder / part.name) for part in parts]

    def embeddings(self, model: M, rows: Rows) -> Singles:
        """Of the views that the model file averages their mean."""
        return np.asarray(self.features[rows[:, None], list(self.looks.predict)].mean(axis=1))

    def origin(self, model: M) -> Origin:
        """What the model started from."""
        card, size = self.backbone.card, self.network.card.embedding_size
        return Origin(card.name, self.backbone.fingerprint, card.notices, size * max(1, len(self.statistics)))

    def seeing(self) -> onnx.ModelProto:
        """The graph from pixels to what the head sees."""
        from trapline.models import describe_events, read_graph

        graph = read_graph(self.network)
        return describe_events(graph, self.statistics) if self.statistics else graph

    def file_logits(self, file: ModelFile, rows: Rows) -> Floats:
        """[rows, labels]: what the model file says of the photos themselves, or of the frames of events."""
        paths, size = self._photos.paths(), file.card.preprocessing
        boxes = self._photos.table["boxes"].to_list()
        logits = []
        for row in rows.tolist():
            frames = [row] if self._frames is None else self._frames[row].tolist()
            pixels = [
                prepare(paths[frame], size, choose_box(boxes[frame], size.crop)).pixels for frame in frames
            ]
            logits.append(file.run(np.stack(pixels)).logits[0])
        return np.asarray(logits, np.float64)


def save_folds_heads(heads: Mapping[str, Mapping[float, LinearLayer]], folder: Path) -> None:
    """Keep the heads of one fold, by group and strength."""
    named = {
        json.dumps([group, strength]): head
        for group, of_strength in heads.items()
        for strength, head in of_strength.items()
    }
    save_heads(named, folder / HEADS)


def load_folds_heads(folder: Path) -> dict[str, dict[float, LinearLayer]]:
    """What `save_folds_heads` kept."""
    heads: dict[str, dict[float, LinearLayer]] = defaultdict(dict)
    for name, head in load_heads(folder / HEADS).items():
        group, strength = json.loads(name)
        heads[group][strength] = head
    return heads


def event_rows(selected: Selected) -> tuple[Selected, list[Rows]]:
    """The selection with one row an event, its first media, and the readable media of each event.

    An event of which no media can be read is left out.
    """
    usable = np.setdiff1d(np.arange(len(selected.catalog)), list(selected.failed))
    readable = selected.catalog.with_table(selected.catalog.table[usable.tolist()])
    members = [usable[rows.to_numpy()] for rows in events_of(readable)]
    kept = np.array([rows[0] for rows in members], np.int64)
    chosen = replace(
        selected,
        catalog=selected.catalog.with_table(selected.catalog.table[kept.tolist()]),
        targets=selected.targets[kept],
        train=np.flatnonzero(np.isin(kept, selected.train)),
        validation=np.flatnonzero(np.isin(kept, selected.validation)),
        failed={},
    )
    return chosen, members


def over_events(features: Singles, members: Sequence[Rows], statistics: Sequence[Statistic]) -> Singles:
    """float32 [events, views, D * statistics] of the frames' features [N, views, D], as the graph has them.

    `std` divides by the number of frames: it is 0 where there is only one.
    """
    pooled = np.empty((len(members), features.shape[1], features.shape[2] * len(statistics)), np.float32)
    for event, rows in enumerate(members):
        frames = features[rows].astype(np.float64)
        parts = {"mean": frames.mean(axis=0), "std": frames.std(axis=0), "max": frames.max(axis=0)}
        pooled[event] = np.concatenate([parts[name] for name in statistics], axis=-1)
    return pooled
