"""The curve of a training, or of a choice: a CSV for programs and a figure for people."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from trapline.catalog import harmless_cell
from trapline.metrics import accuracy, categorical_cross_entropy, log_loss, top_k
from trapline.storage import replace_whole
from trapline.training.arrays import Floats, Rows, Singles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, float]]
NodeHistory = Sequence[Mapping[str, float | str | None]]
"""Rows of several nodes, each named in `node`."""

MOST_NODES = 120
"""As many nodes are drawn; the CSV has all."""

ROLLING = 10
"""Batches over which the loss is averaged, as the published notebook draws it."""


def epoch_figures(truth: Rows, probabilities: Floats, exclusive: bool) -> dict[str, float]:
    """The figures of an epoch that cost little: log loss, accuracy, top-5 accuracy where there are so many.

    Of several labels accuracy and categorical cross-entropy are those of a softmax only.

    Args:
        truth: int [N] or 0/1 [N, K].
        probabilities: [N, K].
        exclusive: a multi-label task answered by a softmax.
    """
    figures = {"log_loss": log_loss(truth, probabilities)}
    if truth.ndim == 1 or exclusive:
        figures["accuracy"] = accuracy(truth, probabilities)
    if probabilities.shape[1] > 5:
        figures["top_5_accuracy"] = top_k(truth, probabilities, k=5)
    if truth.ndim == 2 and exclusive:
        figures["categorical_cross_entropy"] = categorical_cross_entropy(truth, probabilities)
    return {name: float(value) for name, value in figures.items()}


def write_history(history: History | NodeHistory, folder: Path) -> None:
    """Write `history.csv`, one row an epoch (or what else was tried in turn)."""
    _write_rows(history, folder / "history.csv")


def _write_rows(rows: History | NodeHistory, path: Path) -> None:
    """Replace the file whole; a cell without a number is empty."""
    with replace_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _short(value) for name, value in row.items()})


def _short(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return harmless_cell(value or "")
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"


def draw_history(histories: Sequence[History], path: Path, best_epoch: int | None = None) -> None:
    """Draw losses and validation metrics against the epoch; several runs (folds, members) thin, one each."""
    figure = _figure(9)
    losses, scores = figure.subplots(1, 2)
    names = [name for name in histories[0][0] if name.startswith(("train_", "validation_"))]
    for index, name in enumerate(names):
        axes = losses if name.endswith(("loss", "cross_entropy")) else scores
        for run, history in enumerate(histories):
            epochs, values = ([row[key] for row in history] for key in ("epoch", name))
            label = name.replace("_", " ") if run == 0 else None
            axes.plot(epochs, values, color=f"C{index}", label=label, marker="." if len(epochs) < 30 else "")
    for axes, title in ((losses, "Losses"), (scores, "Scores")):
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if best_epoch is not None:
            axes.axvline(best_epoch, color="0.5", linestyle=":", label=f"kept: epoch {best_epoch}")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    scores.set_ylim(0, 1)
    figure.savefig(path, dpi=120)


def write_batches(losses: Sequence[Singles], folder: Path) -> None:
    """Write `batches.csv`: the training loss of each batch, and its rolling mean over `ROLLING` batches.

    Args:
        losses: an array [batches] an epoch.
        folder: gets the file.
    """
    epochs = np.repeat(np.arange(len(losses)) + 1, [len(of_epoch) for of_epoch in losses])
    every = np.concatenate(losses)
    names = ("epoch", "train_loss", f"mean_of_{ROLLING}")
    means = [None if np.isnan(mean) else mean for mean in rolling_mean(every)]
    cells = zip(epochs, every, means, strict=True)
    rows = [{"batch": index + 1} | dict(zip(names, row, strict=True)) for index, row in enumerate(cells)]
    _write_rows(rows, folder / "batches.csv")


def draw_batches(losses: Sequence[Singles], path: Path) -> None:
    """Draw the training loss against the batch, thin, and its rolling mean over `ROLLING` batches."""
    every = np.concatenate(losses)
    batches = np.arange(len(every)) + 1
    with _panel(7, path, title="Training loss by batch", xlabel="batch", ylabel="loss") as axes:
        axes.plot(batches, every, color="C0", alpha=0.35, linewidth=0.8, label="loss of the batch")
        axes.plot(batches, rolling_mean(every), color="C0", label=f"rolling mean of {ROLLING}")


def rolling_mean(values: npt.NDArray[np.floating]) -> Floats:
    """[N]: the mean of each value and the `ROLLING` - 1 before it; NaN where there are fewer."""
    means = np.full(len(values), np.nan)
    if len(values) >= ROLLING:
        windows = np.lib.stride_tricks.sliding_window_view(values.astype(np.float64), ROLLING)
        means[ROLLING - 1 :] = windows.mean(axis=1)
    return means


def draw_strengths(losses: Mapping[float, float], kept: float, path: Path) -> None:
    """Draw the out-of-fold log loss of heads against the strength of their regularisation."""
    strengths = sorted(losses)
    across = {"xlabel": "optimiser.weight_decay", "xscale": "log"}
    with _panel(5, path, title="Out of fold, in training", ylabel="log loss", **across) as axes:
        axes.plot(strengths, [losses[strength] for strength in strengths], marker=".")
        axes.axvline(kept, color="0.5", linestyle=":", label=f"kept: {kept:g}")


@contextmanager
def _panel(width: float, path: Path, **settings: str) -> Iterator[Axes]:
    """One panel to draw in, with grid and legend; it is saved then."""
    figure = _figure(width)
    axes = figure.subplots()
    yield axes
    axes.set(**settings)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def draw_nodes(history: NodeHistory, kept: Mapping[str, float], path: Path) -> None:
    """Draw the accuracies of each node in a panel of its own, with what was kept.

    Args:
        history: rows with `node`, `epoch` or `weight_decay`, and columns that end in `accuracy`.
        kept: node -> its epoch or strength.
        path: of the picture. Of more than `MOST_NODES` nodes the first are drawn, and it says so.
    """
    nodes = list(dict.fromkeys(str(row["node"]) for row in history))
    across = "epoch" if "epoch" in history[0] else "weight_decay"
    names = [name for name in history[0] if name.endswith("accuracy")]
    shown = nodes[:MOST_NODES]
    columns = min(4, len(shown))
    lines = -(-len(shown) // columns)
    figure = _figure(max(4.5, 3.2 * columns), 0.7 + 2.3 * lines)
    panels = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for axes, node in zip(panels, shown, strict=False):
        _draw_node([row for row in history if row["node"] == node], across, names, axes)
        axes.axvline(kept[node], color="0.5", linestyle=":", label="kept")
        axes.set_title(node.removesuffix("_taxon_classifier"), fontsize="small")
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    first = panels[0]
    first.set_ylim(-0.02, 1.02)
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize="small")
    more = f"; the first {len(shown)} of {len(nodes)} nodes" if len(nodes) > len(shown) else ""
    figure.supxlabel(f"{'epoch' if across == 'epoch' else 'optimiser.weight_decay'}{more}", fontsize="small")
    figure.savefig(path, dpi=100)


def _draw_node(rows: NodeHistory, across: str, names: Sequence[str], axes: Axes) -> None:
    table = pl.DataFrame(rows, infer_schema_length=None).sort(across)
    for index, name in enumerate(names):
        values = table[name].cast(pl.Float64).fill_null(np.nan)
        marker = "." if len(values) < 30 else ""
        axes.plot(table[across], values, f"C{index}", label=name.replace("_", " "), marker=marker)
    if across == "weight_decay":
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize="x-small")


def _figure(width: float, height: float = 3.4) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
