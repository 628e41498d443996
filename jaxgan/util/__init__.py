"""Errors, files and tables, which every room uses."""
