"""The pages a person reads: of an evaluation, of a catalog, of a tuning."""

from trapline.reports.tuning_report import tuning_report

__all__ = ["tuning_report"]
