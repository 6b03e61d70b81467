"""Training batches out of memory-mapped pixels, in an order that the seed and the epoch decide."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trapline.errors import DataError, TraplineWarning
from trapline.recipes import Augmentation, NetworkRecipe
from trapline.training.arrays import Flags, Rows, Singles
from trapline.training.pixels import Store
from trapline.training.targets import sampling_weights
from trapline.training.views import affine_matrices, changes_geometry, random_views


def count_batches(media: int, batch_size: int, least: int = 1) -> int:
    """How many batches, nearly equal in size, an epoch of so many media has.

    Args:
        media: that are trained on.
        batch_size: no batch is larger, unless one would then be smaller than `least`.
        least: media in a batch; 2 where batch normalisation has nothing but the batch to normalise over.

    Raises:
        DataError: there are fewer media than `least`.
    """
    if media < least:
        raise DataError(
            f"Batch normalisation needs at least {least} photos in a batch, and there "
            f"{'is' if media == 1 else 'are'} {media} to train on. Add photos, or train without it "
            "(--set head.batch_norm=false, or another backbone)."
        )
    count = max(1, -(-media // batch_size))
    if media // count >= least:
        return count
    if batch_size < least:
        warnings.warn(
            f"batch_size={batch_size}: batch normalisation cannot learn from batches of one photo, so they "
            f"have {least} each (one of {least + 1} where the number of photos is odd).",
            TraplineWarning,
            stacklevel=2,
        )
    return media // least


@dataclass(frozen=True)
class Part:
    """What one of several processes that train together has of every batch.

    Attributes:
        rank: which process this is, from 0.
        ranks: how many there are.
    """

    rank: int = 0
    ranks: int = 1

    def of(self, media: int) -> Rows:
        """The indices in a batch of so many media, in order: pairs of one from each end.

        What is mixed with a media (the batch turned around) is then in the same process.
        """
        first = np.array_split(np.arange((media + 1) // 2), self.ranks)[self.rank]
        return np.unique(np.concatenate([first, media - 1 - first]))

    def piece(self, rows: Rows) -> Rows:
        """Its share of what is shared out in one piece each, as the validation media are."""
        return np.array_split(rows, self.ranks)[self.rank]


@dataclass(frozen=True)
class TrainingPixels:
    """Where training looks: the stores that `trapline.training.pixels` made for a recipe.

    Attributes:
        store: the exact pixels, or the canvases if the augmentation changes the geometry.
        whole: canvases of the full frames, if some are to be seen whole.
    """

    store: Store
    whole: Store | None = None


class Batches:
    """One pass a call of `iter`; `epoch` decides order, views and chance, so that a resumed run repeats them.

    A batch is a dictionary: `images` uint8 [B, h, w, 3], `targets` float [B, labels], `seed`, `media` (how
    many it has), `own` int64 [B] (which of them are in this process, all unless it has a `part`), and
    `matrices` float [B, 2, 3] where views are cut out of canvases. All batches are nearly equal in size, and
    none is smaller than `least`: rather than dropping the last photos of an epoch, a batch is larger by one.
    Chance is drawn for the whole batch by every process alike, so that it does not depend on their number.
    """

    def __init__(
        self,
        recipe: NetworkRecipe,
        pixels: TrainingPixels,
        targets: Singles,
        rows: Rows,
        least: int = 1,
        part: Part = Part(),
    ) -> None:
        self.recipe, self.pixels, self.targets, self.rows = recipe, pixels, targets, rows
        self.epoch, self.part = 0, part
        self.count = count_batches(len(rows), recipe.batch_size, least)
        self.weights = sampling_weights(targets[rows]) if recipe.balance == "sampling" else None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        random = np.random.default_rng([self.recipe.seed, self.epoch])
        if self.weights is None:
            order = random.permutation(self.rows)
        else:
            order = random.choice(self.rows, size=len(self.rows), p=self.weights)
        for rows in np.array_split(order, len(self)):
            yield self._batch(rows, random)

    def _batch(self, rows: Rows, random: np.random.Generator) -> dict[str, Tensor]:
        change, own = self.recipe.augmentation, self.part.of(len(rows))
        batch = {
            "targets": torch.from_numpy(self.targets[rows[own]]),
            "seed": torch.tensor(int(random.integers(2**31))),
            "media": torch.tensor(len(rows)),
            "own": torch.from_numpy(own),
        }
        images, facts = self.pixels.store.pixels[rows[own]], None
        if changes_geometry(change):
            facts, whole = self._facts(rows, random)
            if self.pixels.whole is not None:
                images[whole[own]] = self.pixels.whole.pixels[rows[own][whole[own]]]
        mirrored = random.random(len(rows)) < change.horizontal_flip
        upside_down = random.random(len(rows)) < change.vertical_flip
        if facts is not None:
            batch["matrices"] = torch.from_numpy(self._matrices(facts, mirrored, upside_down, random)[own])
        else:
            images[mirrored[own]] = images[mirrored[own], :, ::-1]
            images[upside_down[own]] = images[upside_down[own], ::-1]
        batch["images"] = torch.from_numpy(images)
        return batch

    def _facts(self, rows: Rows, random: np.random.Generator) -> tuple[Singles, Flags]:
        """[B, 8] of the canvases that are looked at, and which of them are of full frames."""
        facts, chosen = self.pixels.store.facts[rows].copy(), np.zeros(len(rows), np.bool_)
        if self.pixels.whole is not None:
            chosen = random.random(len(rows)) < self.recipe.augmentation.full_frame
            chosen &= ~np.isnan(facts[:, 4])  # without a box it is the full frame already
            facts[chosen, :4] = self.pixels.whole.facts[rows[chosen], :4]
            facts[chosen, 4:] = np.nan
        return facts, chosen

    def _matrices(
        self, facts: Singles, mirrored: Flags, upside_down: Flags, random: np.random.Generator
    ) -> Singles:
        size, change = self.recipe.preprocessing, self.recipe.augmentation
        context = None if size.crop is None else size.crop.context
        views = random_views(facts, change, context, random)
        angles = random.uniform(-change.rotate, change.rotate, len(facts))
        return affine_matrices(views, mirrored, upside_down, angles, size.width / size.height)


def made_ahead(
    batches: Iterable[dict[str, Tensor]], keep: Callable[[Tensor], Tensor] = Tensor.pin_memory
) -> Iterator[dict[str, Tensor]]:
    """The batches, each made by a thread while a GPU is at work on the one before.

    Args:
        batches: in their order.
        keep: where the thread puts them: in pinned memory, from which a GPU copies while it computes.
    """
    left = iter(batches)

    def take() -> dict[str, Tensor] | None:
        batch = next(left, None)
        return batch and {name: keep(numbers) for name, numbers in batch.items()}

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        coming = thread.submit(take)
        while (batch := coming.result()) is not None:
            coming = thread.submit(take)
            yield batch


def needs_mixing(change: Augmentation, epoch: int, epochs: int) -> bool:
    """Whether mixup and cutmix are on in this epoch."""
    return bool(change.mixup or change.cutmix) and epoch < epochs - change.last_epochs_off
