"""The curve of a training, or of a choice: a CSV for programs and a figure for people."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, float]]


def write_history(history: History, folder: Path) -> Path:
    """Write `history.csv`, one row an epoch (or what else was tried in turn); the file is replaced whole."""
    path = folder / "history.csv"
    partial = path.with_name("history.csv.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        for row in history:
            writer.writerow({name: _short(value) for name, value in row.items()})
    partial.replace(path)
    return path


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"


def draw_history(histories: Sequence[History], path: Path, best_epoch: int | None = None) -> Path:
    """Draw losses and validation metrics against the epoch; several runs (folds, members) thin, one each."""
    figure = _figure(9)
    losses, scores = figure.subplots(1, 2)
    names = [name for name in histories[0][0] if name.startswith(("train_", "validation_"))]
    for place, name in enumerate(names):
        axes = losses if name.endswith("loss") else scores
        for run, history in enumerate(histories):
            epochs, values = ([row[key] for row in history] for key in ("epoch", name))
            label = name.replace("_", " ") if run == 0 else None
            axes.plot(epochs, values, color=f"C{place}", label=label, marker="." if len(epochs) < 30 else "")
    for axes, title in ((losses, "Losses"), (scores, "Validation")):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if best_epoch is not None:
            axes.axvline(best_epoch, color="0.5", linestyle=":", label=f"kept: epoch {best_epoch}")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    scores.set_ylim(0, 1)
    figure.savefig(path, dpi=120)
    return path


def draw_strengths(losses: Mapping[float, float], kept: float, path: Path) -> Path:
    """Draw the out-of-fold log loss of heads against the strength of their regularisation."""
    figure = _figure(5)
    axes = figure.subplots()
    strengths = sorted(losses)
    axes.plot(strengths, [losses[strength] for strength in strengths], marker=".")
    axes.axvline(kept, color="0.5", linestyle=":", label=f"kept: {kept:g}")
    axes.set(
        title="Out of fold, in training", xlabel="optimiser.weight_decay", ylabel="log loss", xscale="log"
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    return path


def _figure(width: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
