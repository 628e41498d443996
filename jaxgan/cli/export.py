"""`jaxgan export`: from its options to weights that others load, or a program that others run."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from jaxgan import rundir
from jaxgan.cli.options import Export
from jaxgan.core.state import steps_done
from jaxgan.data.sources import license_of
from jaxgan.export.files import write
from jaxgan.export.sampler import sampler
from jaxgan.keys import from_seed, stream
from jaxgan.recipes import ImageRecipe, Recipe
from jaxgan.report.pictures import save_samples
from jaxgan.rundir import Config, Trained, loading
from jaxgan.util.errors import UserError
from jaxgan.util.files import naming, write_atomically

SAMPLES = 64  # drawn beside the weights


def export(options: Export) -> str:
    """Writes what others need to make a run's pictures.

    Args:
        options: of the command.

    Returns:
        What to tell: where it is and, of a program, how far its pictures are from those of the run.

    Raises:
        UserError: if the run cannot be loaded or exported, or `options.out` is something else.
    """
    if options.format == "safetensors":
        if options.to == "a":
            raise UserError("--to is for programs, weights go both ways: leave it out")
        return str(_write_bundle(options))
    if options.half:
        raise UserError("--half is for weights: leave it out, or choose --format safetensors")
    if options.format == "stablehlo":
        from jaxgan.export.stablehlo import FORMAT
    else:
        from jaxgan.export.onnx import FORMAT  # which asks for the extra
    out = options.out
    with naming(out):
        if out.is_dir():
            raise UserError(f"{out} is a folder, not a file: choose another --out")
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    apart = write(out, sampler(trained, options.data_dir, options.to), FORMAT)
    return f"{out}\nlargest difference from JAX: {apart:.1e}"


def _write_bundle(options: Export) -> Path:
    """Writes the bundle of a run, with samples and a card."""
    out = options.out
    with naming(out):
        if out.exists() and not rundir.is_bundle(out) and not (out.is_dir() and _is_empty(out)):
            raise UserError(f"{out} exists and is no bundle: choose another --out")
    config = rundir.read_config(options.run)
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    key = stream(from_seed(0), "sample")
    samples = loading.draw(trained, SAMPLES, key, data_dir=options.data_dir)
    members, seed = config.members, config.seed
    if members is not None:
        seed = members.seeds(seed)[options.member or 0]
    digest = rundir.write_bundle(
        out, config, trained.recipe, trained.state, seed=seed, half=options.half
    )
    write_atomically(
        out / "README.md", _card(config, trained, seed, digest, options.data_dir).encode()
    )
    with naming(out, missing=True):
        save_samples(samples, out / ("samples.npz" if samples.ndim == 2 else "samples.png"))
    return out


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _card(config: Config, trained: Trained, seed: int, digest: str, data_dir: str | None) -> str:
    """Says in Markdown where weights come from, and how they are used."""
    recipe, step = trained.recipe, steps_done(trained.state)
    shape = " x ".join(map(str, trained.spec.shape))
    classes = trained.spec.classes
    versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
    lines = [
        f"# {recipe.name}, {step:,} steps",
        "",
        f"{config.description}",
        "",
        f"- Trained by `{_command(recipe, seed)}`",
        f"- Examples: {shape}" + ("" if classes is None else f", of {classes} classes"),
    ]
    if isinstance(recipe, ImageRecipe):
        license = license_of(recipe.data, data_dir)
        lines.append(f"- Data: `{recipe.data}`. License of the data: {license}")
    if versions:
        lines.append(f"- Made with {versions}")
    lines += [
        "",
        f"`{rundir.WEIGHTS}` holds the weights (SHA-256 {digest}), `config.json` all that makes "
        "the networks again:",
        "",
        "```python",
        "trained = jaxgan.rundir.load(Path(FOLDER))",
        "samples = jaxgan.rundir.draw(trained, 64, jax.random.key(0))",
        "```",
        "",
        "On the command line the folder is a run: `jaxgan sample FOLDER`.",
    ]
    return "\n".join(lines) + "\n"


def _command(recipe: Recipe, seed: int) -> str:
    """Returns the command that trains a recipe, with what differs from its defaults."""
    words = ["jaxgan", "train", recipe.name, "--seed", str(seed)]
    kind: Any = type(recipe)
    start = kind()
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if value != getattr(start, field.name):
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{field.name.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)
