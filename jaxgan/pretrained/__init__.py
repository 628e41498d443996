"""Trained GANs that come with the package, as bundles (see `jaxgan.rundir.bundles`).

Each has a card, README.md, that says what made it. On the command line they are runs by the name of
`pretrained:NAME`: `jaxgan sample pretrained:mnist`.
"""

from pathlib import Path
from typing import Any

from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded
from jaxgan.util.parsing import shown

PREFIX = "pretrained:"
_HERE = Path(__file__).parent


def names() -> list[str]:
    """Lists the GANs that come with the package."""
    return sorted(card.parent.name for card in _HERE.glob("*/README.md"))


def bundle(name: str) -> Path:
    """Finds the bundle of a GAN that comes with the package.

    Args:
        name: one of `names()`.

    Returns:
        Its folder, for `jaxgan.rundir.load`.

    Raises:
        UserError: if there is no such GAN.
    """
    if name not in names():
        known = " or ".join(names())
        raise UserError(f"no pretrained GAN is called {shown(name)}: choose {known}")
    return _HERE / name


def load_pretrained(name: str) -> Any:
    """Loads a GAN that comes with the package.

        digits = jaxgan.load_pretrained("mnist")
        images = jaxgan.sample(digits.gan, digits.state, key, 10, {"label": jnp.arange(10)})

    Args:
        name: one of `jaxgan.pretrained.names()`.

    Returns:
        The `jaxgan.rundir.Trained`: its recipe, the shapes of its data, the GAN and its state.

    Raises:
        UserError: if there is no such GAN.
    """
    from jaxgan.rundir import load  # takes a second, and few who import jaxgan need it

    return load(bundle(name))


def directory(run: str) -> Path:
    """Finds where a run lies, given its path, or `pretrained:NAME`."""
    return bundle(run.removeprefix(PREFIX)) if run.startswith(PREFIX) else expanded(run)


def place_beside(run: Path) -> Path:
    """Returns where files that are made of a run go: into its directory, or the current one."""
    return Path() if run.parent == _HERE else run
