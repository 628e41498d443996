"""The site builds without a warning, has every public name, and needs no other host."""

import re
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.slow
def test_names_and_recipes_are_there(site):
    page = (site / "api" / "jaxgan.html").read_text("utf-8")
    assert [name for name in jaxgan.__all__ if f'id="jaxgan.{name}"' not in page] == []
    gallery = (site / "gallery.html").read_text("utf-8")
    ours = [name for name, kind in recipes().items() if kind.__module__.startswith("jaxgan.")]
    assert [name for name in ours if f'id="gallery-{name.replace("_", "-")}"' not in gallery] == []


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
