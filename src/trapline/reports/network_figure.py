"""A drawing of a network: a box a layer, from top to bottom, in as many columns as it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trapline.arguments import Output, checked
from trapline.errors import UsageError
from trapline.models import NetworkLayer
from trapline.reports.page import COLOURS, new_figure

SUFFIXES = (".png", ".svg", ".pdf")
ROWS = 30
"""Layers a column."""

WIDTH, HEIGHT = 2.9, 0.42
"""Of a layer with the room about it, inches."""

_TALL = 0.66
"""Of a box, its share of the height."""


@checked
def draw_network(layers: Sequence[NetworkLayer], title: str, path: Output) -> Path:
    """Draw the layers with what each computes, the shape it gives, and its parameters.

    Args:
        layers: in the order in which they are computed.
        title: above the drawing.
        path: `.png`, `.svg` or `.pdf`.

    Raises:
        UsageError: another kind of file.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"A drawing is written as {', '.join(SUFFIXES)}, not as '{path.name}'.")
    columns, rows = -(-len(layers) // ROWS), min(ROWS, len(layers))
    figure = new_figure(max(1, columns) * WIDTH, (rows + 1) * HEIGHT)
    figure.patch.set(alpha=1, facecolor="white")
    axes = figure.subplots()
    axes.axis("off")
    axes.set(xlim=(-0.55, max(1, columns) - 0.4), ylim=(rows - 0.4, -0.9))
    axes.set_title(title, fontsize=7, color=COLOURS["ink"], parse_math=False)
    for index, layer in enumerate(layers):
        for source in layer.inputs:
            _arrow(axes, source, index)
        _box(axes, index, layer)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def _position(index: int) -> tuple[int, int]:
    """Column and row."""
    return index // ROWS, index % ROWS


def _box(axes: Any, index: int, layer: NetworkLayer) -> None:
    from matplotlib.patches import Rectangle

    column, row = _position(index)
    edge = COLOURS["accent" if layer.parameters else "line"]
    corner = (column - 0.38, row - _TALL / 2)
    axes.add_patch(Rectangle(corner, 0.76, _TALL, facecolor="white", edgecolor=edge, zorder=2))
    shape = "" if layer.shape is None else "×".join(map(str, layer.shape))
    told = [shape, f"{layer.parameters:,} parameters" if layer.parameters else ""]
    lines = f"{layer.operator}\n{', '.join(filter(None, told))}"
    axes.text(column, row, lines, fontsize=6, ha="center", va="center", color=COLOURS["ink"], zorder=3)


def _arrow(axes: Any, source: int, index: int) -> None:
    """From one layer to another: down, round those between, or over to the next column."""
    from matplotlib.patches import FancyArrowPatch

    (left, above), (column, row) = _position(source), _position(index)
    half = _TALL / 2
    begin: tuple[float, float] = (left, above + half)
    end: tuple[float, float] = (column, row - half)
    bend = 0.0
    if column == left and row > above + 1:
        begin, end = (left + 0.38, above), (column + 0.38, row)
        bend = -min(0.5, 1.2 / (row - above))
    elif column != left:
        begin, end = (left + 0.38, above), (column - 0.38, row)
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.7}
    style["color"] = COLOURS["muted"]
    axes.add_patch(FancyArrowPatch(begin, end, connectionstyle=f"arc3,rad={bend}", zorder=1, **style))
