"""Weights to and from PyTorch: state dicts of plain NCHW modules, and safetensors files.

PyTorch itself is not needed here: a state dict is a mapping of names to arrays. To sample in
PyTorch from what jaxgan trained, with any `torch.nn.Module` of the same layers:

    trained = jaxgan.rundir.load(Path("runs/mnist_mlp"))
    network = torch.nn.Sequential(torch.nn.Linear(100, 128), torch.nn.ReLU(), ...)
    weights = to_torch_state_dict(
        trained.gan.generator,
        trained.state.generator,
        shape=(100,),
        layers=layer_names(network.state_dict()),
    )
    network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})

and back, from a PyTorch network into a state:

    generator = from_torch_state_dict(
        gan.generator, state.generator, network.state_dict(), shape=(100,)
    )
    state = state.replace(generator=generator)

`save_safetensors` and `load_safetensors` keep such a state dict in a file.

What differs between the two worlds, and is carried over exactly:

- A dense kernel is `[in, out]` here, `[out, in]` there; a convolution's `[h, w, in, out]` here,
  `[out, in, h, w]` there; a transposed one's `[h, w, out, in]` here, `[in, out, h, w]` there.
- Where a feature map is flattened, its numbers follow each other by place and then by channel
  here, by channel and then by place there. The dense layers on either side of a flattened map (a
  reshape into one counts too), and the batch norms between, are reordered to fit.

The running variance is carried over as it is. When training goes on, PyTorch's follows the unbiased
variance of the batch, n / (n - 1) times the one that Flax's follows.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgan.core.networks import Network
from jaxgan.core.state import TrainState
from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.util.errors import UserError
from jaxgan.util.files import write_atomically

StateDict = dict[str, np.ndarray]

# (collection, name) in Flax -> name in PyTorch.
_NAMES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
_IGNORED = "num_batches_tracked"  # PyTorch counts batches, for a kind of average not used here


def to_torch_state_dict(
    network: Network,
    net: TrainState,
    *,
    shape: tuple[int, ...],
    layers: Iterable[str] | None = None,
) -> StateDict:
    """Turns a network's parameters and running averages into a PyTorch state dict.

    Args:
        network: the generator or the discriminator: Linen layers in a chain, dense, convolutions
            and batch norms, with anything without parameters in between.
        net: its part of the state, or the moving average of it.
        shape: of one input: `(Z,)` of a latent, `(H, W, C)` of an image (here, not in PyTorch).
        layers: names of the PyTorch module's layers that have parameters, in the order in which
            they are applied (see `layer_names`); the names in Flax if None.

    Returns:
        Arrays by name: `weight` and `bias` of every layer, `running_mean` and `running_var` of
        batch norms. `torch.nn.Module.load_state_dict` takes them, made tensors.

    Raises:
        UserError: if the module has other layers, or `net` or `layers` do not fit it.
    """
    variables = flatten_dict(_variables(net))
    weights = _weights(network, shape, layers)
    _require_names({w.path for w in weights.values()}, variables, "the network's state")
    state_dict = {}
    for name, weight in weights.items():
        array = np.asarray(variables[weight.path])
        _require_shape("/".join(weight.path), array, weight.shape)
        for axis, groups in enumerate(weight.groups):
            array = _regroup(array, axis, groups)
        state_dict[name] = np.array(array.transpose(weight.axes), order="C")  # writable
    return state_dict


def from_torch_state_dict(
    network: Network,
    net: TrainState,
    state_dict: Mapping[str, Any],
    *,
    shape: tuple[int, ...],
    layers: Iterable[str] | None = None,
) -> TrainState:
    """Puts the weights of a PyTorch network into a network's part of a state.

    Args:
        module: the generator or the discriminator (see `to_torch_state_dict`).
        net: its part of a state.
        state_dict: arrays by name, or tensors in the memory of the CPU.
        shape: of one input: `(Z,)` of a latent, `(H, W, C)` of an image (here, not in PyTorch).
        layers: names of the layers in `state_dict`, in the order in which they are applied (see
            `layer_names`); the names in Flax if None.

    Returns:
        `net` with other parameters and running averages, of the types that they had; the state of
        the optimizer stays.

    Raises:
        UserError: if a name is missing or unexpected, a shape is another, or a value is no array.
    """
    leaves: dict[tuple[str, ...], Any] = flatten_dict(_variables(net))
    dtypes = {path: leaf.dtype for path, leaf in leaves.items()}
    weights = _weights(network, shape, layers)
    _require_names({w.path for w in weights.values()}, dtypes, "the network's state")
    given = [name for name in state_dict if name.rpartition(".")[2] != _IGNORED]
    _require_names(weights, given, "the state dict")
    variables = {}
    for name, weight in weights.items():
        array = _array(name, state_dict[name])
        _require_shape(name, array, tuple(weight.shape[axis] for axis in weight.axes))
        array = array.transpose(np.argsort(weight.axes))
        for axis, groups in enumerate(weight.groups):
            array = _regroup(array, axis, array.shape[axis] // groups)
        variables[weight.path] = jnp.asarray(array, dtypes[weight.path])
    carried = unflatten_dict(variables)
    # An empty collection leaves nothing in the flat form.
    return net.replace(params=carried.pop("params", {}), collections={**net.collections, **carried})


def layer_names(state_dict: Iterable[str]) -> list[str]:
    """Lists the layers with parameters of a PyTorch network.

    Args:
        state_dict: what the network's `state_dict()` gives. Not one that comes from a safetensors
            file, which sorts its arrays by name.

    Returns:
        The names of the layers, "0" for "0.weight" and "0.bias", in the order in which the network
        defines them. In a `torch.nn.Sequential` they are applied in that order.
    """
    return list(dict.fromkeys(name.rpartition(".")[0] for name in state_dict))


def save_safetensors(path: Path, state_dict: Mapping[str, Any]) -> None:
    """Writes a state dict to a safetensors file.

    Args:
        path: of the file; an existing one is replaced, as a whole or not at all.
        state_dict: arrays by name, or tensors in the memory of the CPU.

    Raises:
        UserError: if a value is no array of numbers, or the file cannot be written.
    """
    # The writer takes the bytes as they lie in memory, whatever the strides say.
    arrays = {name: np.asarray(_array(name, x), order="C") for name, x in state_dict.items()}
    try:
        write_atomically(path, safetensors.numpy.save(arrays))
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"cannot write {path}: {_one_line(error)}") from error


def load_safetensors(path: Path) -> StateDict:
    """Reads a safetensors file. Nothing in it is executed.

    Args:
        path: of the file.

    Returns:
        Arrays by name.

    Raises:
        UserError: if the file cannot be read or is no sound safetensors file, or holds numbers of a
            type that NumPy lacks.
    """
    try:
        views = safetensors.numpy.load(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"cannot read {path}: {_one_line(error)}") from error
    except KeyError as error:
        raise UserError(f"cannot read {path}: NumPy has no numbers of type {error}") from error
    return {name: view.copy() for name, view in views.items()}  # the views are read-only


def _variables(net: TrainState) -> dict[str, Any]:
    return {"params": net.params, **net.collections}


class _Layer(NamedTuple):
    """A layer with parameters, as seen when its network was applied."""

    is_norm: bool
    inputs: tuple[int, ...]  # shape
    outputs: tuple[int, ...]  # shape


class _Weight(NamedTuple):
    """How one array is carried over."""

    path: tuple[str, ...]  # in Flax, from the collection on
    shape: tuple[int, ...]  # in Flax
    groups: tuple[int, ...]  # of each axis: channels of the feature map that lies along it, or 1
    axes: tuple[int, ...]  # the permutation that makes the array in PyTorch


def _weights(
    network: Network, shape: tuple[int, ...], layers: Iterable[str] | None
) -> dict[str, _Weight]:
    """Lists a network's arrays by their names in PyTorch."""
    by_layer = _weights_by_layer(network, shape)
    names = [".".join(path) for path in by_layer] if layers is None else list(layers)
    if len(names) != len(by_layer) or len(set(names)) != len(names):
        raise UserError(
            f"the network has {len(by_layer)} layers with parameters, and layers must name each of "
            f"them, not: {', '.join(names)}"
        )
    return {
        f"{name}.{_NAMES[weight.path[0], weight.path[-1]]}": weight
        for name, weights in zip(names, by_layer.values(), strict=True)
        for weight in weights
    }


@cache
def _weights_by_layer(
    network: Network, shape: tuple[int, ...]
) -> dict[tuple[str, ...], list[_Weight]]:
    """Lists a network's arrays by layer, in the order in which the layers are applied."""
    layers: dict[tuple[str, ...], _Layer] = {}

    def record(call, arguments, settings, context):
        outputs = call(*arguments, **settings)
        seen = context.module
        if isinstance(seen, nn.Dense | nn.Conv | Conv | ConvTranspose | nn.BatchNorm):
            is_norm = isinstance(seen, nn.BatchNorm)
            layers[seen.path] = _Layer(is_norm, arguments[0].shape, outputs.shape)
        return outputs

    def initialize():
        key, inputs = jax.random.key(0), jnp.zeros((1, *shape))
        with nn.intercept_methods(record):
            params, collections = network.init(key, inputs)
        outputs, _ = network.apply(params, collections, inputs, key, False)
        return inputs, outputs, {"params": params, **collections}

    inputs, outputs, variables = jax.eval_shape(initialize)
    leaves: dict[tuple[str, ...], Any] = flatten_dict(variables)
    groups = dict(zip(layers, _groups(inputs.shape, layers.values(), outputs.shape), strict=True))
    by_layer: dict[tuple[str, ...], list[_Weight]] = {path: [] for path in layers}
    for path, leaf in leaves.items():
        layer = path[1:-1]
        if layer not in layers:
            raise UserError(f"cannot carry over {'/'.join(path)}: no layer that is known here")
        weight = {
            1: _Weight(path, leaf.shape, groups[layer][1:], (0,)),
            2: _Weight(path, leaf.shape, groups[layer], (1, 0)),
            4: _Weight(path, leaf.shape, (1, 1, 1, 1), (3, 2, 0, 1)),
        }[leaf.ndim]
        by_layer[layer].append(weight)
    return by_layer


def _groups(
    inputs: tuple[int, ...], layers: Collection[_Layer], outputs: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Finds which layers take or give a flattened feature map.

    Args:
        inputs: the network's input shape.
        layers: its layers, in order.
        outputs: its output shape.

    Returns:
        For each layer, the channels of the map that its inputs, and its outputs, are or become
        when they are flattened; 1 where they are not.
    """
    given = [inputs, *(layer.outputs for layer in layers)]
    taken = [*(layer.inputs for layer in layers), outputs]
    groups = [1] * len(given)
    for place, (before, after) in enumerate(zip(given, taken, strict=True)):
        if len(before) > 2 >= len(after):
            # No multiple of its channels is not this map: several were joined and averaged.
            groups[place] = before[-1] if after[-1] % before[-1] == 0 else 1
        elif len(after) > 2 >= len(before):
            groups[place] = after[-1]
    # A batch norm gives its numbers in the order in which it takes them.
    norms = [place for place, layer in enumerate(layers) if layer.is_norm]
    for place in norms:
        groups[place + 1] = max(groups[place], groups[place + 1])
    for place in reversed(norms):
        groups[place] = max(groups[place], groups[place + 1])
    return list(pairwise(groups))


def _regroup(array: np.ndarray, axis: int, groups: int) -> np.ndarray:
    """Reorders an axis of `n * groups` numbers, group after group, to place after place.

    With `n` for `groups` it does the opposite. With one number per group it does nothing, as it
    should for a convolution's channels.
    """
    shape = array.shape
    split = array.reshape(*shape[:axis], -1, groups, *shape[axis + 1 :])
    return split.swapaxes(axis, axis + 1).reshape(shape)


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{name} cannot be read as an array: {_one_line(error)}") from error
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} is no array of numbers, but {array.dtype}")
    return array


def _require_names(expected: Iterable, given: Iterable, what: str) -> None:
    expected, given = set(expected), set(given)
    for kind, names in (("lacks", expected - given), ("has unexpected", given - expected)):
        if names:
            listed = ", ".join(sorted(x if isinstance(x, str) else "/".join(x) for x in names))
            raise UserError(f"{what} {kind} {listed}")


def _require_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise UserError(f"{name} has the shape {array.shape}, but the network needs {shape}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
