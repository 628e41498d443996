"""The same result on any number of devices: twenty steps of each system, in float64.

Dropout is no exception: the mask of an example depends on its place in the global batch alone.
"""

import socket
import subprocess
import sys
from functools import cache, partial

import jax
import numpy as np
import pytest
import topologies
from safetensors.numpy import load_file
from topologies import by_pmap, by_shard_map, numbers, on_a_mesh, on_one


def quick(*names: str) -> list:
    """All systems; those that are not named are left to the slow tests."""
    marks = {name: () if name in names else pytest.mark.slow for name in topologies.FIELDS}
    return [pytest.param(name, marks=mark) for name, mark in sorted(marks.items())]


ROUNDING = 1e-9  # relative to the largest number of an array
# The true gradient of a bias before batch norm is 0: it and its moments have nothing to be relative
# to. They hold what rounding leaves: gradients of up to 1e-14, which Adam divides by its epsilon,
# so that twenty steps of 2e-4 * 1e-14 / 1e-8 come together. The running mean of the batch norm
# after it takes up a share of that bias.
IN_MEAN = 1e-10
NOTHING = {"params": 4e-9, "mu": 1e-14, "nu": 1e-28}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@cache
def alone(name: str) -> dict[str, np.ndarray]:
    return numbers(on_one(name))


def assert_same(name: str, found: dict[str, np.ndarray]) -> None:
    expected = alone(name)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].dtype == array.dtype
        nothing = next((x for kind, x in NOTHING.items() if f".{kind}[" in key), 0)
        largest = np.abs(array).max(initial=0)
        silent = largest <= nothing
        assert not silent or np.abs(found[key]).max() <= nothing, f"{name} {key}"
        bound = 2 * nothing if silent else ROUNDING * largest
        bound += IN_MEAN if key.endswith("['mean']") else 0
        np.testing.assert_allclose(found[key], array, rtol=0, atol=bound, err_msg=f"{name} {key}")


def some_slow(quick: int):
    """One number of devices is tried in every run of the tests, the others with the slow ones."""
    marks = {count: () if count == quick else pytest.mark.slow for count in (2, 4, 8)}
    return [pytest.param(count, marks=mark) for count, mark in marks.items()]


@pytest.mark.parametrize("count", some_slow(8))
@pytest.mark.parametrize("name", quick("mnist_mlp"))
def test_jit_over_a_mesh(name, count):
    result = on_a_mesh(name, count)
    assert len(result[0].step.devices()) == count
    assert_same(name, numbers(result))


@pytest.mark.slow
@pytest.mark.parametrize("count", some_slow(4))
@pytest.mark.parametrize("name", quick("mnist_mlp"))
def test_pmap(name, count):
    assert_same(name, numbers(by_pmap(name, count)))


@pytest.mark.slow
@pytest.mark.parametrize("count", some_slow(2))
@pytest.mark.parametrize("name", quick("mnist_mlp"))
def test_shard_map(name, count):
    assert_same(name, numbers(by_shard_map(name, jax.devices()[:count])))


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ["mnist_mlp"],
        pytest.param(
            ["mnist_conv", "mnist_dcgan", "mnist_dcgan_bn", "pattern_1010"], marks=pytest.mark.slow
        ),
    ],
    ids=" ".join,
)
def test_two_processes_of_two_devices(tmp_path, names):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    program = [sys.executable, topologies.__file__, coordinator, "2"]
    start = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    children = [start([*program, str(index), str(tmp_path), *names]) for index in (0, 1)]
    said = [child.communicate(timeout=300)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    for name in names:
        for index in (0, 1):
            assert_same(name, load_file(tmp_path / f"{name}_{index}.safetensors"))
