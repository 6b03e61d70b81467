"""Several evaluations side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trapline.errors import UsageError
from trapline.evaluation import words
from trapline.evaluation.result import Evaluation
from trapline.models import Interval


@dataclass(frozen=True)
class Comparison:
    """Figures of several evaluations.

    Attributes:
        names: of the evaluations, the columns.
        measured_on: for each what its figures were measured on.
        rows: figure -> one interval an evaluation, None where it has no such figure.
    """

    names: tuple[str, ...]
    measured_on: tuple[str, ...]
    rows: dict[str, tuple[Interval | None, ...]]

    def to_markdown(self) -> str:
        """A Markdown table, figures with their 95 % intervals in brackets."""
        head = [
            "| | " + " | ".join(name.replace("|", "\\|") for name in self.names) + " |",
            "|---|" + "---|" * len(self.names),
            "| measured on | " + " | ".join(self.measured_on) + " |",
        ]
        lines = [
            f"| {words.title(figure)} | " + " | ".join(words.with_span(one) for one in row) + " |"
            for figure, row in self.rows.items()
        ]
        return "\n".join([*head, *lines]) + "\n"


def compare(evaluations: Mapping[str, Evaluation]) -> Comparison:
    """Set evaluations beside each other, by name, in their order.

    Figures whose intervals overlap may still differ: the intervals hold for each evaluation alone.

    Raises:
        UsageError: there are none.
    """
    if not evaluations:
        raise UsageError("There is nothing to compare: give at least one evaluation.")
    figures = list(dict.fromkeys(name for one in evaluations.values() for name in one.metrics))
    return Comparison(
        names=tuple(evaluations),
        measured_on=tuple(one.measured_on for one in evaluations.values()),
        rows={figure: tuple(one.metrics.get(figure) for one in evaluations.values()) for figure in figures},
    )
