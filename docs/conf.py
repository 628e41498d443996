"""How Sphinx builds the site: `sphinx-build -W --keep-going docs site`."""

import inspect
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from sphinx import addnodes

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import pages  # noqa: E402  (found through the line above)

project = "jaxgan"
author = "the authors of jaxgan"
release = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]["version"]
version = release

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.coverage",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
default_role = "code"  # docstrings write `x`

html_theme = "furo"
html_title = f"jaxgan {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "html_image"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # seconds for a cell; a busy machine takes its time
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88

coverage_ignore_pyobjects = [
    *(rf"^{re.escape(name)}(\.|$)" for name in pages.elsewhere()),
    r"\.(embedding_init|inner_init|kernel_init|wrap)$",  # fields whose defaults are functions
]
coverage_show_missing_items = True
coverage_statistics_to_report = coverage_statistics_to_stdout = False


def mend(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Makes reStructuredText of a docstring: examples, lists without blank lines, `Error`s."""
    text = re.sub(r"(?m)^(?=\S)(.*)\n\n(?=    \S)", r"\1\n\n::\n\n", "\n".join(lines))
    mended, bullet = [], None  # the indentation of the list that a line is in
    for line in re.sub(r"`s\b", r"`\\ s", text).split("\n"):
        indent = len(line) - len(line.lstrip())
        is_item = line.lstrip().startswith("- ")
        if line and is_item == (bullet is None) and (is_item or indent <= (bullet or 0)):
            mended.append("")
        if is_item or (line and bullet is not None and indent <= bullet):
            bullet = indent if is_item else None
        mended.append(line)
    lines[:] = mended


SHORTER = {
    r"~?jaxlib\._jax\.Array": "Array",
    r"~?jaxtyping\.": "",
    r"~?typing\.Annotated\[(\w+), [^\]]*\]": r"\1",  # a number of some range
    r"<function (?:\w+\.)*(\w+)>": r"\1",
}


def shorten(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str
) -> tuple[str | None, str | None]:
    """Shortens types and defaults in a signature."""
    parts = [signature, returned]
    for long, short in SHORTER.items():
        parts = [part and re.sub(long, short, part) for part in parts]
    return parts[0], parts[1]


def skip(app: Any, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leaves out what says nothing: fields of named tuples, and built-in functions as defaults."""
    return True if type(obj).__name__ == "_tuplegetter" or inspect.isbuiltin(obj) else None


def hide_value(app: Any, domain: str, kind: str, content: Any) -> None:
    """Leaves out the values of data: a loss is a pair of functions without names."""
    if kind == "data":
        for node in list(content.parent.findall(addnodes.desc_annotation)):
            if node.astext().strip().startswith("="):
                node.parent.remove(node)


def setup(app: Any) -> None:
    """Writes the pages that are made of docstrings, and has docstrings mended before napoleon."""
    app.connect("builder-inited", lambda app: pages.write(Path(app.srcdir)))
    app.connect("autodoc-process-docstring", mend, priority=400)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", skip)
    app.connect("object-description-transform", hide_value)
