"""StableHLO: every family, in a process that has JAX alone."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from families import FAMILIES

from jaxgan.export import files, stablehlo
from jaxgan.util.errors import UserError

QUICK = ("mnist_dcgan", "mnist_stylegan2")
PLAIN = """
import json, sys
from pathlib import Path

sys.modules["jaxgan"] = sys.modules["flax"] = None  # importing them fails

import jax
import numpy as np

told = json.loads(Path("made.stablehlo.json").read_text())
program = jax.export.deserialize(bytearray(Path("made.stablehlo").read_bytes()))
with np.load("arguments.npz") as arguments:
    assert told["inputs"].keys() == set(arguments)
    np.save("pictures.npy", program.call(**arguments))
"""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FAMILIES]
)
def test_batches_of_any_size_make_the_pictures_of_jax(name, sampler_of, tmp_path):
    sampler = sampler_of(name)
    path = tmp_path / "new" / "made"
    assert files.write(path, sampler, stablehlo.FORMAT) < 1e-3
    assert json.loads(path.with_name("made.json").read_text()) == sampler.about
    data = path.read_bytes()
    program = jax.export.deserialize(bytearray(data))
    assert program.platforms == ("cpu", "cuda", "tpu")
    first = {name: x[:1] if x.ndim else x for name, x in sampler.arguments.items()}
    np.testing.assert_allclose(
        stablehlo.run(data, first), sampler.pictures[:1], rtol=1e-3, atol=1e-4
    )


def test_the_way_back_is_that_of_translate(way_back, tmp_path):
    files.write(tmp_path / "made", way_back.sampler, stablehlo.FORMAT)
    assert json.loads((tmp_path / "made.json").read_text())["to"] == "a"
    data = (tmp_path / "made").read_bytes()
    way_back.assert_same(stablehlo.run(data, {"source": way_back.given}))


def test_a_process_without_jaxgan_and_flax_runs_it(sampler_of, tmp_path):
    sampler = sampler_of("mnist_dcgan")
    files.write(tmp_path / "made.stablehlo", sampler, stablehlo.FORMAT)
    np.savez(tmp_path / "arguments.npz", **sampler.arguments)
    done = subprocess.run([sys.executable, "-c", PLAIN], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    np.testing.assert_allclose(np.load(tmp_path / "pictures.npy"), sampler.pictures, atol=1e-5)


def test_what_makes_other_pictures_is_not_written(sampler_of, tmp_path):
    sampler = sampler_of("mnist_dcgan")
    other = sampler._replace(pictures=sampler.pictures + 0.1)
    with pytest.raises(UserError, match="differ by 1.0e-01"):
        files.write(tmp_path / "made", other, stablehlo.FORMAT)
    assert not any(tmp_path.iterdir())
