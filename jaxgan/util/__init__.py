"""Errors, files and tables, which every package uses."""
