"""The report of a run: the page, its plots and pictures, and the summary of a population."""

from jaxgan.report.page import write_report

__all__ = ["write_report"]
