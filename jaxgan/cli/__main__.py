"""Runs the command line: `python -m jaxgan.cli`."""

from jaxgan.cli import main

main()
