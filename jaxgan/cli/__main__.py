"""Runs the command line: `python -m jaxgan.cli`."""

from jaxgan.cli.commands import main

main()
