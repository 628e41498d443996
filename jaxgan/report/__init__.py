"""The report of a run: the page, plots and pictures, a population's summary, a bundle's card."""

from jaxgan.report.page import write_report
from jaxgan.report.pictures import save_grid

__all__ = ["save_grid", "write_report"]
