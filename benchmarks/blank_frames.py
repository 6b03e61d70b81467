"""What pooling says of single frames: each for itself, its event's whole answer, or its own word on blanks.

On trailcam-bursts, whose frames have labels of their own: a head on frames by season folds, pooled three
ways, judged frame by frame. Printed: log loss with its interval over events, of blank frames in events that
show something the share that is said to show it, and of other frames the share that is called blank.

    python benchmarks/blank_frames.py TRAILCAM_BURSTS
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import trapline
from trapline.metrics import estimate_all, labels_said, log_loss
from trapline.prediction import Predictions, pool_events
from trapline.recipes import resolve_recipe
from trapline.training import crossval

SETTINGS = [
    *("backbone=model-file:lite0", "weights=none", "head.pooling=avg", "learn_from=media"),
    *("preprocessing.mask_top=0.0235", "preprocessing.mask_bottom=0.039"),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--samples", type=int, default=1000)
    args = parser.parse_args()
    catalog = trapline.read(args.folder, part="train")
    recipe = resolve_recipe("sequences-frames", None, SETTINGS)
    folds = catalog.table["season"].n_unique()
    found = crossval(recipe, catalog, folds, cache=args.cache).predictions
    frames = catalog.table.join(found.table.select("media_id"), on="media_id", how="semi")
    order = found.table.select("media_id").join(
        frames.select("media_id", "event_id", "labels"), on="media_id", how="left", maintain_order="left"
    )
    truth = np.array([[label in shown for label in found.labels] for shown in order["labels"]], int)
    events = order["event_id"].to_numpy()
    ways = {
        "not pooled": found,
        "event's whole answer (--blanks event)": pool_events(found, catalog, how="mean", blanks="event"),
        "own word on blanks (the default)": pool_events(found, catalog, how="mean"),
    }
    print(
        f"{len(found)} frames of {len(set(events))} events, out of {folds} season folds; pooled by the mean, "
        "for which nothing is fitted\n"
    )
    print("| frames | log loss | blank frames beside an animal that get it | shown frames called blank |")
    print("| --- | --- | --- | --- |")
    for name, said in ways.items():
        print(f"| {name} | {_row(said, truth, events, args.samples)} |")


def _loss(truth: Any, values: Any, weights: Any = None) -> dict[str, Any]:
    return {"loss": log_loss(truth, values, weights)}


def _row(said: Predictions, truth: np.ndarray, events: np.ndarray, samples: int) -> str:
    values = said.probabilities().astype(float)
    blank = list(said.labels).index("blank")

    loss = estimate_all(truth, values, events, samples, metrics_fn=_loss)["loss"]
    told = labels_said(values, blank=blank)
    shown = np.delete(truth, blank, axis=1).any(axis=1)
    beside = np.logical_and(truth[:, blank] == 1, np.isin(events, np.unique(events[shown])))
    animal = np.asarray(np.delete(told, blank, axis=1).any(axis=1))
    missed = (truth[:, blank] == 0) & ~animal
    interval = f"{loss.value:.4f} ({loss.low:.4f}–{loss.high:.4f})"
    share = missed.sum() / (truth[:, blank] == 0).sum()
    return f"{interval} | {animal[beside].mean():.3f} of {beside.sum()} | {share:.3f}"


if __name__ == "__main__":
    main()
