"""`jaxgan export`: from its options to weights that others load, or a program that others run."""

from pathlib import Path

import numpy as np

from jaxgan import rundir
from jaxgan.cli.options import Export
from jaxgan.cli.outputs import check_file
from jaxgan.core.state import GANState
from jaxgan.export.files import write
from jaxgan.export.sampler import sampler
from jaxgan.interop import to_arrays
from jaxgan.keys import from_seed, stream
from jaxgan.pretrained import place_beside
from jaxgan.report.card import card
from jaxgan.report.pictures import save_samples, suffix_of
from jaxgan.rundir import loading
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
            raise UserError("--to is for programs; weights work both ways: leave it out")
        return str(_write_bundle(options))
    if options.half:
        raise UserError("--half is for weights: leave it out, or choose --format safetensors")
    if options.format == "stablehlo":
        from jaxgan.export.stablehlo import FORMAT
    else:
        from jaxgan.export.onnx import FORMAT  # which asks for the extra
    out = options.out
    for end in ("", ".json"):  # some formats add a description
        check_file(out.with_name(out.name + end))
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    apart = write(out, sampler(trained, options.data_dir, options.to), FORMAT)
    return f"{out}\nlargest difference from JAX: {apart:.1e}"


def _write_bundle(options: Export) -> Path:
    """Writes the bundle of a run, with samples and a card."""
    out = options.out
    with naming(out):
        if out.exists() and not rundir.is_bundle(out) and not (out.is_dir() and _is_empty(out)):
            raise UserError(f"{out} exists and is not a bundle: choose another --out")
    config = rundir.read_config(options.run)
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    key = stream(from_seed(0), "sample")
    samples = loading.draw(trained, SAMPLES, key, data_dir=options.data_dir)
    members, seed = config.members, config.seed
    if members is not None:
        seed = members.seeds(seed)[options.member or 0]
    measured = rundir.newest_of(place_beside(options.run), loading.digest_of(trained))
    digest = rundir.write_bundle(
        out, config, trained.recipe, trained.state, seed=seed, half=options.half
    )
    if options.half and not _is_half(trained.state):  # the evaluation is of other weights
        measured = None
    told = card(
        *(config, trained), seed=seed, digest=digest, measured=measured, data_dir=options.data_dir
    )
    write_atomically(out / "README.md", told.encode())
    with naming(out, missing=True):
        save_samples(samples, out / f"samples{suffix_of(samples)}")
    return out


def _is_half(state: GANState) -> bool:
    """Whether float16 holds all weights as they are."""
    return all(np.array_equal(x, np.asarray(x, np.float16)) for x in to_arrays(state).values())


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())
