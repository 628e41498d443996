"""The report of a run: the page, its plots and pictures, and the summary of a population."""

from jaxgan.report.page import write_report
from jaxgan.report.pictures import save_grid

__all__ = ["save_grid", "write_report"]
