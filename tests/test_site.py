"""The site builds without a warning, has every public name, and needs no other host."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jaxgan
from jaxgan.recipes import recipes

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; its tutorial was executed."""
    pytest.importorskip("myst_nb", reason="pip install 'jaxgan[docs]'")
    out = tmp_path_factory.mktemp("docs") / "site"
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    cached = ["-d", str(out / ".doctrees"), str(ROOT / "docs")]
    for words in ([*cached, str(out)], ["-b", "coverage", *cached, str(out / "coverage")]):
        done = subprocess.run([*build, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return out


def packages() -> list[ModuleType]:
    """Lists the rooms that say what they offer."""
    rooms = [
        importlib.import_module(f"jaxgan.{x.name}") for x in pkgutil.iter_modules(jaxgan.__path__)
    ]
    return [room for room in rooms if hasattr(room, "__all__")]


@pytest.mark.slow
def test_names_and_recipes_are_there(site):
    for package in [jaxgan, *packages()]:
        page = (site / "api" / f"{package.__name__}.html").read_text("utf-8")
        offered = {name: vars(package)[name] for name in package.__all__}
        names = [
            x for x, value in offered.items() if inspect.isroutine(value) or inspect.isclass(value)
        ]
        missing = [x for x in names if f'id="{package.__name__}.{x}"' not in page]
        assert missing == [], package.__name__
    gallery = (site / "gallery.html").read_text("utf-8")
    for name, kind in recipes().items():
        if kind.__module__.startswith("jaxgan."):
            assert f'id="gallery-{name.replace("_", "-")}"' in gallery
            where = f"api/jaxgan.recipes.html#{kind.__module__}.{kind.__qualname__}"
            assert f'href="{where}"' in gallery


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site):
    loaded = r'<(?:script|img|link rel="stylesheet")[^>]* (?:src|href)="(?:https?:)?//[^"]*"'
    pages = [path for path in site.rglob("*.html") if re.search(loaded, path.read_text("utf-8"))]
    assert pages == []


@pytest.mark.slow
@pytest.mark.parametrize("page", ["points", "digits", "r3gan"])
def test_the_tutorial_shows_what_it_made(page, site):
    text = (site / "tutorial" / f"{page}.html").read_text("utf-8")
    assert len(re.findall(r'src="\.\./_images/[0-9a-f]{64}\.png"', text)) >= 2
