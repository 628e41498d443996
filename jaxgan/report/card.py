"""The card of a bundle: README.md, as a hub of models shows it and reads what stands at its top."""

import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.core.state import steps_done
from jaxgan.data.sources import UNKNOWN, license_of, public_name
from jaxgan.recipes import ImageRecipe, Recipe, source_of
from jaxgan.rundir import WEIGHTS, Config, Measured, Trained
from jaxgan.util.tables import as_markdown

TASKS = {False: "unconditional-image-generation", True: "image-to-image"}  # by whether G sees any
# What Hugging Face calls licenses; all that have no name there are "other".
LICENSES = frozenset(
    "apache-2.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-nc-4.0 cc-by-nc-sa-4.0 cc-by-sa-3.0 "
    "cc-by-sa-4.0 cc0-1.0 mit".split()
)
HOW = """```python
from pathlib import Path

import jax

from jaxgan import rundir
{imported}
trained = rundir.load(Path(FOLDER))
samples = rundir.draw(trained, 64, jax.random.key(0))
```

On the command line the folder is a run: {command}."""
# What would not stand for itself.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~$&]|^[#+=-]|(?<!\w)_|_(?!\w)")


def card(
    config: Config,
    trained: Trained,
    *,
    seed: int,
    digest: str,
    measured: Measured | None,
    data_dir: str | None = None,
) -> str:
    """Says in Markdown where weights come from, how good they are, and how they are used.

    Args:
        config: of the run.
        trained: the GAN.
        seed: that it was trained with.
        digest: the SHA-256 of the file of weights.
        measured: an evaluation of these weights; None for none.
        data_dir: TFDS's data directory; None for its default.

    Returns:
        The text, which begins with the YAML that a hub reads.

    Raises:
        UserError: if the data set does not exist.
    """
    recipe, shape = trained.recipe, " x ".join(map(str, trained.spec.shape))
    classes = trained.spec.classes
    license = license_of(recipe.data, data_dir) if isinstance(recipe, ImageRecipe) else UNKNOWN
    facts = [
        _made_by(recipe, seed),
        f"Examples: {shape}" + ("" if classes is None else f". The data set has {classes} classes"),
    ]
    if isinstance(recipe, ImageRecipe):
        facts.append(f"Data: {_code(recipe.data)}. License of the data: {_plain(license)}")
    if trained.spec.autoencoder is not None:
        facts.append(
            f"G makes latents of {_plain(trained.spec.autoencoder)}. These weights hold its "
            "decoder, under the license of the autoencoder"
        )
    source = _source(recipe)
    if source is not None:
        facts.append(
            f"The recipe is defined in {_code(source)}, which is not part of this folder: whoever "
            "made the folder can give it to you"
        )
    if config.versions:
        told = ", ".join(f"{name} {version}" for name, version in config.versions.items())
        facts.append(f"Made with {_plain(told)}")
    parts = [
        "\n".join(["---", *_head(trained, license, measured), "---"]),
        f"# {recipe.name}, {steps_done(trained.state):,} steps",
        _plain(config.description or ""),
        "![samples](samples.png)" if isinstance(recipe, ImageRecipe) else "",
        "\n".join(f"- {fact}" for fact in facts),
        _unmeasured(source) if measured is None else _evaluation(measured),
        f"`{WEIGHTS}` holds the weights (SHA-256 {digest}), `config.json` all that makes the "
        "networks again:",
        _how(source),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _head(trained: Trained, license: str, measured: Measured | None) -> list[str]:
    """Lists the lines of YAML of Hugging Face's cards, which other hubs read too."""
    recipe, task = trained.recipe, TASKS[trained.spec.source is not None]
    lines, names = ["library_name: jaxgan"], []
    if license != UNKNOWN:
        name = license.rpartition("License: ")[-1].strip().lower().replace(" ", "-")
        lines.append(f"license: {name if name in LICENSES else 'other'}")
    if isinstance(recipe, ImageRecipe):
        lines.append(f"pipeline_tag: {task}")
        specs = (recipe.data, getattr(recipe, "origin", recipe.data))
        names = [name for name in dict.fromkeys(map(public_name, specs)) if name is not None]
    else:
        task = "other"  # no hub has a task of vectors
    lines += ["tags:", "- gan", "- jax", "- flax"]
    if names:
        lines += ["datasets:", *(f"- {_quoted(name)}" for name in names)]
    if measured is not None:
        protocol = measured.results[0].result.protocol
        lines += [
            "model-index:",
            f"- name: {_quoted(recipe.name)}",
            "  results:",
            "  - task:",
            f"      type: {task}",
            "    dataset:",
            f"      name: {_quoted(protocol.data)}",
            f"      type: {_quoted(public_name(protocol.data) or protocol.data)}",
            f"      split: {_quoted(protocol.split)}",
            "    metrics:",
        ]
        for result, _ in measured.results:
            # Without an exponent, which YAML 1.1 takes for text where there is no point.
            value = np.format_float_positional(result.value, trim="0")
            lines += [f"    - type: {_quoted(result.metric)}", f"      value: {value}"]
    return lines


def _evaluation(measured: Measured) -> str:
    """Shows an evaluation as a table, and under it what the numbers depend on."""
    rows, covered, level = [], {}, 0.0
    for result, floor in measured.results:
        value, ends = f"{result.value:.4g}", result.interval
        if ends is not None:
            value += f" ± {(ends.high - ends.low) / 2:.2g}"
            level = ends.level
            covered.setdefault(ends.how, []).append(result.metric)
        rows.append([_plain(result.metric), value, f"{floor:.4g}"])
    told = f"Protocol: {measured.protocol}."
    if covered:
        most = max(covered, key=lambda how: len(covered[how]))
        of = {how: "all others" if how == most else ", ".join(x) for how, x in covered.items()}
        hows = [f"{how} ({x})" for how, x in of.items()] if len(of) > 1 else [most]
        told += f" ± is half of the {level:.0%} interval: {'; '.join(hows)}."
    return f"{as_markdown(['metric', 'value', 'of real examples'], rows)}\n{_plain(told)}"


def _source(recipe: Recipe) -> str | None:
    """Names the file or module that an own recipe is imported from; None for one of jaxgan's."""
    source = source_of(type(recipe))
    if source.startswith("jaxgan."):
        return None
    if source == "__main__":  # a shell, which no file keeps
        return "FILE.py"
    return Path(source).name if source.endswith(".py") else source


def _with_import(words: str, source: str | None) -> str:
    """Writes a command, with what it has to import, as code."""
    return _code(words if source is None else f"{words} --import {shlex.quote(source)}")


def _unmeasured(source: str | None) -> str:
    """Says how to measure what was not."""
    command = _with_import("jaxgan evaluate FOLDER", source)
    return f"How good the samples are has not been measured: {command} does."


def _how(source: str | None) -> str:
    """Says how the weights are used."""
    imported = (
        "" if source is None else f"from jaxgan.recipes import load_from\n\nload_from({source!r})"
    )
    return HOW.format(imported=imported, command=_with_import("jaxgan sample FOLDER", source))


def _made_by(recipe: Recipe, seed: int) -> str:
    """Says what trains a GAN like this one."""
    command = _command(recipe, seed)
    if command is not None:
        return f"Trained by {_code(command)}"
    return (
        f"Trained by the recipe {_code(recipe.name)} with the seed {seed}. No command "
        "says its hyperparameters, which are in `config.json`"
    )


def _command(recipe: Recipe, seed: int) -> str | None:
    """Returns the command that trains a recipe, with what differs from its defaults.

    Args:
        recipe: the recipe.
        seed: of the run.

    Returns:
        The command, which names the file of an own recipe without its folder; None if there is
        none, as for a value of None in place of another.
    """
    kind: Any = type(recipe)
    words = ["jaxgan", "train", recipe.name, "--seed", str(seed)]
    start, source = kind(), _source(recipe)
    if source_of(kind) == "__main__":
        return None
    if source is not None:
        words += ["--import", source]
    for field in fields(recipe):
        value, default = getattr(recipe, field.name), getattr(start, field.name)
        if value != default:
            option = _option(field.name.replace("_", "-"), value, default)
            if option is None:
                return None
            words += option
    return shlex.join(words)


def _option(name: str, value: Any, default: Any) -> list[str] | None:
    """Writes a hyperparameter as the words of an option; None if there are no such words."""
    match value:
        case True:
            return [f"--{name}"]
        case False if default is True:
            return [f"--no-{name}"]
        case None | False:
            return None
        case tuple():
            unsaid = any(isinstance(x, str) and x.startswith("-") or x is None for x in value)
            return None if unsaid else [f"--{name}", *map(str, value)]
    word = str(value)
    return [f"--{name}={word}"] if word.startswith("-") else [f"--{name}", word]


def _plain(text: str) -> str:
    """Writes text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


def _code(text: str) -> str:
    """Writes text as code in Markdown, between more backticks than it has anywhere."""
    text = " ".join(text.split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    ends = ("`", "") if not longest else ("`" * (longest + 1), " ")
    return "".join([*ends, text, *reversed(ends)])


def _quoted(text: str) -> str:
    """Writes text as YAML; what cannot be printed becomes an escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(x if x.isprintable() else f"\\U{ord(x):08x}" for x in escaped) + '"'
