"""The table of thresholds: the curves and what was chosen, as `trapline write --thresholds` reads it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from trapline.catalog import as_listed
from trapline.evaluation.threshold_figures import ChosenThreshold, SubjectThresholds
from trapline.storage import replace_text

COLUMNS = (
    *("of", "name", "threshold", "answered", "answers", "right", "precision", "recall"),
    *("chosen", "wanted", "elsewhere", "elsewhere_low", "elsewhere_high", "bound"),
    *("level", "model", "made_by", "chosen_on"),
)
"""`chosen` is empty on the curve, else `ChosenThreshold.state`."""


def write_thresholds(subjects: Sequence[SubjectThresholds], whose: Sequence[str], path: Path) -> Path:
    """Write the curve of each label and rank, a row a threshold, and below it a row with what was chosen.

    Args:
        subjects: the labels and ranks.
        whose: level, model, how the answers came of the model's, and on what was chosen.
        path: of the CSV.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in subjects:
        for point in one.curve:
            shares = map(_cell, (point.precision, point.recall))
            counts = (_cell(point.answered), point.answers, point.right, *shares)
            table.writerow([one.of, one.name, _cell(point.threshold), *counts, *[""] * 6, *whose])
        table.writerow([*_chosen_cells(one, one.chosen), *whose])
    replace_text(path, as_listed(text.getvalue()))
    return path


def _chosen_cells(one: SubjectThresholds, chosen: ChosenThreshold) -> list[str]:
    here = map(_cell, (chosen.threshold, chosen.answered))
    shares = map(_cell, (chosen.precision, chosen.recall))
    one_there = chosen.elsewhere
    there = (None, None, None) if one_there is None else (one_there.value, one_there.low, one_there.high)
    return [
        *(one.of, one.name, *here, "", "", *shares),
        *(chosen.state, chosen.wanted, *map(_cell, (*there, chosen.bound))),
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
