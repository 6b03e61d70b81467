"""A picture of a tree of taxa with numbers on its nodes."""

from __future__ import annotations

from typing import Any

from trapline.evaluation import RankEvaluation, TaxonResult
from trapline.reports.page import COLOURS, as_svg, new_figure
from trapline.taxonomy import RANKS, Taxonomy

ROW = 0.34
"""Height of a leaf, inches."""


def draw_tree(ranks: RankEvaluation, tree: Taxonomy) -> Any:
    """The tree from the left (broad) to the right, each taxon with its recall and number of media.

    Returns:
        inline SVG in the report's theme.
    """
    positions, depth = _layout(tree)
    figure = new_figure(7.2, max(1.6, ROW * (len({y for _, y in positions.values()}) + 1)))
    axes = figure.subplots()
    axes.axis("off")
    for name, (x, y) in positions.items():
        parent = tree.taxa[name].parent
        if parent is not None:
            left, middle = positions[parent]
            axes.plot([left, left, x], [middle, y, y], color=COLOURS["line"], linewidth=1, zorder=1)
    result_of = {one.name: one for one in ranks.taxa}
    for name, (x, y) in positions.items():
        _node(axes, x, y, name, result_of.get(name))
    axes.set(xlim=(-0.05, depth + 0.9), ylim=(max(y for _, y in positions.values()) + 0.7, -0.7))
    told = ", ".join(f"{one.name} {one.recall:.2f}" for one in ranks.taxa if one.recall is not None)
    return as_svg(figure, "tree", f"The tree of taxa with the share recognised: {told}")


def _layout(tree: Taxonomy) -> tuple[dict[str, tuple[float, float]], int]:
    """Name → (column of its rank, row); a parent stands level with the first of its children."""
    present = [rank for rank in RANKS if any(taxon.rank == rank for taxon in tree.taxa.values())]
    positions: dict[str, tuple[float, float]] = {}
    row = 0

    def put(name: str) -> None:
        nonlocal row
        positions[name] = (float(present.index(tree.taxa[name].rank)), float(row))
        children = tree.children(name)
        for child in children:
            put(child)
        row += not children

    for top in tree.children():
        put(top)
    return positions, len(present) - 1


def _node(axes: Any, x: float, y: float, name: str, result: TaxonResult | None) -> None:
    known = result is not None and result.recall is not None
    axes.plot([x], [y], "o", color=COLOURS["accent" if known else "muted"], markersize=4, zorder=2)
    caption = (
        f"{result.recall:.2f} · {result.media}" if result is not None and result.recall is not None else "–"
    )
    short = name if name.count(" ") == 0 else f"{name[0]}. {name.split(' ', 1)[1]}"
    plain: dict[str, Any] = {"parse_math": False}  # a name may hold dollars
    axes.text(x + 0.04, y - 0.06, short, fontsize=8, color=COLOURS["ink"], va="bottom", **plain)
    axes.text(x + 0.04, y + 0.1, caption, fontsize=7, color=COLOURS["muted"], va="top")
