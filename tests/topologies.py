"""The tiny systems, trained for twenty steps in float64 on devices arranged in many ways.

As a program it is one of several processes that train together:

    python topologies.py HOST:PORT PROCESSES INDEX OUT NAME...
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from safetensors.numpy import save_file
from tiny_systems import FIELDS, SHAPES, make_recipe, to_float64

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step, run_steps
from jaxgan.types import DataSpec

STEPS = 20
BATCH = 8  # of one update: at least one example for each of 8 devices
AXIS = "devices"
SEED = 7


def prepare(name: str):
    """The recipe's update, its first state and the real examples of all steps."""
    recipe = make_recipe(name, **FIELDS[name] | {"batch_size": BATCH})
    gan = recipe.gan(DataSpec(SHAPES[name]))
    shape = (STEPS, recipe.examples_per_step, *SHAPES[name])
    images = np.random.default_rng(0).uniform(-1, 1, shape)
    state = jax.jit(partial(init, gan, batch={"image": images[0]}))(jax.random.key(0))
    return recipe.update(gan), to_float64(state), {"image": images}


def mesh_of(devices: list[Any]) -> Mesh:
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def on_one(name: str):
    update, state, batches = prepare(name)
    return jax.jit(partial(run_steps, make_step(update)))(state, batches, jax.random.key(SEED))


def on_a_mesh(name: str, count: int):
    """By jit alone: the batches are sharded, the state is replicated."""
    update, state, batches = prepare(name)
    mesh = mesh_of(jax.devices()[:count])
    state = jax.device_put(state, NamedSharding(mesh, P()))
    batches = jax.device_put(batches, NamedSharding(mesh, P(None, AXIS)))
    step = make_step(update, sharding=NamedSharding(mesh, P(AXIS)))
    return jax.jit(partial(run_steps, step))(state, batches, jax.random.key(SEED))


def by_pmap(name: str, count: int):
    update, state, batches = prepare(name)
    shares = jax.tree.map(lambda x: x.reshape(STEPS, count, -1, *x.shape[2:]), batches)
    run = partial(run_steps, make_step(update, axis_name=AXIS))
    devices = jax.devices()[:count]
    mapped = jax.pmap(run, AXIS, in_axes=(None, 1, None), devices=devices)
    results = jax.device_get(mapped(state, shares, jax.random.key(SEED)))
    for device in range(count):
        jax.tree.map(lambda x, d=device: np.testing.assert_array_equal(x[d], x[0]), results)
    return jax.tree.map(lambda x: x[0], results)


def by_shard_map(name: str, devices: list[Any]):
    update, state, batches = prepare(name)
    mesh, rows = mesh_of(devices), P(None, AXIS)
    batches = jax.tree.map(
        lambda x: jax.make_array_from_callback(
            x.shape, NamedSharding(mesh, rows), lambda index: x[index]
        ),
        batches,
    )
    run = partial(run_steps, make_step(update, axis_name=AXIS))
    specs = (P(), rows, P())
    mapped = jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False)
    state = jax.device_get(state)
    return jax.jit(mapped)(state, batches, jax.random.key(SEED))


def numbers(result: Any) -> dict[str, np.ndarray]:
    """All numbers of a state and of the metrics, by name; of this process's first copy."""
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(result)
    }


def main(coordinator: str, processes: int, index: int, out: Path, names: list[str]) -> None:
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_enable_x64", True)
    jax.distributed.initialize(coordinator, processes, index)
    assert (jax.process_count(), jax.device_count()) == (processes, 2 * processes)
    for name in names:
        result = numbers(by_shard_map(name, jax.devices()))
        save_file(result, out / f"{name}_{index}.safetensors")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:])
