"""Competitions that run the entrant's code (DrivenData's Hakuna Ma-data): the zip, and a trial of it."""

from trapline.competitions.code_execution.check import Checked, Outcome, check_package
from trapline.competitions.code_execution.package import CodePackage, build_package

__all__ = ["Checked", "CodePackage", "Outcome", "build_package", "check_package"]
