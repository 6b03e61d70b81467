"""The pages a person reads: of an evaluation, of a catalog, of a tuning."""

from trapline.reports.evaluation_report import write_evaluation
from trapline.reports.explore_report import write_exploration
from trapline.reports.network_figure import draw_network
from trapline.reports.tuning_report import tuning_report

__all__ = ["draw_network", "tuning_report", "write_evaluation", "write_exploration"]
