"""Labels as numbers: targets, weights and the shift that puts the natural prior back. Pure numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trapline.catalog import Catalog
from trapline.errors import DataError
from trapline.recipes import Recipe
from trapline.training.arrays import Floats, Rows, Singles


def target_matrix(catalog: Catalog, labels: Sequence[str], task: str) -> Singles:
    """float32 [N, labels]: 1 where the media has the label; every media must be labelled.

    Raises:
        DataError: a media has two labels in a single-label task, or one that is not in `labels`.
    """
    index_of = {label: index for index, label in enumerate(labels)}
    targets = np.zeros((len(catalog), len(labels)), np.float32)
    for row, (media, named) in enumerate(catalog.table.select("media_id", "labels").iter_rows()):
        if task == "single-label" and len(named) > 1:
            raise DataError(
                f"Media {media!r} has the labels {', '.join(named)}; a single-label task takes one. "
                "Train with --set task=multi-label --set loss.name=auto, or choose one label."
            )
        for label in named:
            if label not in index_of:
                raise DataError(f"Media {media!r} has the label '{label}', which no training media has.")
            targets[row, index_of[label]] = 1
    return targets


def truth_of(targets: Singles, task: str) -> Rows:
    """Targets in the shape that `trapline.metrics` takes: int [N], or 0/1 [N, labels]."""
    return targets.argmax(axis=1) if task == "single-label" else targets.astype(np.int64)


def label_weights(targets: Singles, task: str) -> Floats:
    """[labels]: what a label's share of the loss is multiplied by so that all labels count alike.

    Single-label: N / (labels × count), as scikit-learn's `balanced`. Multi-label: the weight of the
    positives, negatives / positives.
    """
    counts = np.maximum(targets.sum(axis=0, dtype=np.float64), 1)
    if task == "single-label":
        return np.asarray(len(targets) / (targets.shape[1] * counts))
    return np.asarray(np.maximum(len(targets) - counts, 1) / counts)


def sampling_weights(targets: Singles) -> Floats:
    """[N]: how often each media is drawn, so that labels come up alike; of several labels the rarest decides.

    The weights sum to 1.
    """
    inverse = 1 / np.maximum(targets.sum(axis=0, dtype=np.float64), 1)
    weights = (targets * inverse).max(axis=1)
    none = weights == 0  # multi-label media without any label are drawn as the most common label is
    weights[none] = inverse.min()
    return np.asarray(weights / weights.sum())


def prior_shift(recipe: Recipe, targets: Singles) -> tuple[float, ...]:
    """[labels], added to the logits: from the prior that balanced training saw to the natural one.

    Bayes' rule (Saerens et al. 2002): log natural − log seen; of class weights on several labels minus the
    log weights, exact for sigmoids and for the softmax of `exclusive` alike. Empty where nothing was balanced
    or the recipe wants the balanced prior. (Of several labels a photo nothing undoes sampling, and recipes
    refuse to try.)
    """
    if recipe.balance == "none" or not recipe.correct_prior:
        return ()
    if recipe.balance == "logit-adjustment":
        return tuple(added_prior(recipe, targets).tolist())
    if recipe.task == "multi-label":
        weights = np.where(
            targets.any(axis=0), label_weights(targets, recipe.task), 1.0
        )  # without, none weighed
        return tuple((-np.log(weights)).tolist())
    natural = targets.mean(axis=0, dtype=np.float64)
    if recipe.balance == "class-weights":
        seen = natural * label_weights(targets, recipe.task)
    else:
        seen = sampling_weights(targets) @ targets
    natural, seen = (np.clip(prior, 1e-6, 1 - 1e-6) for prior in (natural, seen))
    return tuple((np.log(natural / natural.sum()) - np.log(seen / seen.sum())).tolist())


def added_prior(recipe: Recipe, targets: Singles) -> Floats:
    """[labels], added to the logits that train: with logit adjustment the log prior, else nothing.

    It is the logarithm of each label's share, for multi-label tasks of its odds. A label that no media has
    counts as half a media.
    """
    if recipe.balance != "logit-adjustment":
        return np.zeros(targets.shape[1])
    share = (targets.sum(axis=0, dtype=np.float64) + 0.5) / (len(targets) + 1)
    single = recipe.task == "single-label"
    return np.asarray(np.log(share / share.sum()) if single else np.log(share) - np.log1p(-share))
