"""The command line: `jaxgan train`, `jaxgan sample` and so on."""

from jaxgan.cli.main import main

__all__ = ["main"]
