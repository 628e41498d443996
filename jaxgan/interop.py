"""Weights to and from safetensors files, and PyTorch: state dicts of plain NCHW modules.

`to_arrays` and `from_arrays` carry the weights of a GAN of any networks, under the names that they
have here:

    save_safetensors(path, to_arrays(trained.state))
    state = from_arrays(state, load_safetensors(path))  # to go on from there, with new optimizers

The rest converts to PyTorch, and needs no PyTorch: a state dict maps names to arrays. To sample in
PyTorch from a trained generator, with any `torch.nn.Module` of the same layers:

    trained = jaxgan.rundir.load(Path("runs/mnist_mlp"))
    network = torch.nn.Sequential(torch.nn.Linear(100, 128), torch.nn.ReLU(), ...)
    weights = to_torch_state_dict(
        trained.gan.generator,
        trained.state.generator,
        shape=(100,),
        layers=layer_names(network.state_dict()),
    )
    network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})

And from a PyTorch network into a state:

    generator = from_torch_state_dict(
        gan.generator, state.generator, network.state_dict(), shape=(100,)
    )
    state = state.replace(generator=generator)

`save_safetensors` and `load_safetensors` write and read such state dicts.

Conversion is exact. What differs:

- Kernels: dense ones are `[in, out]` here and `[out, in]` there; convolutions `[h, w, in, out]` and
  `[out, in, h, w]`; transposed convolutions `[h, w, out, in]` and `[in, out, h, w]`.
- A flattened feature map is ordered by position, then channel here; by channel, then position
  there. Dense layers before a reshape into a map and after its flattening are reordered, and so are
  the batch norms between.

The running variance is copied. If training continues, PyTorch's tracks the unbiased variance of the
batch, n / (n - 1) times the one that Flax's tracks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
from jaxgan.core.state import GANState, TrainState
from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.util.errors import UserError
from jaxgan.util.files import read_bytes, write_atomically

StateDict = dict[str, np.ndarray]

# (collection, name) in Flax -> name in PyTorch.
_NAMES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
_IGNORED = "num_batches_tracked"  # a count that PyTorch uses for cumulative averages only
_NAMED = 3  # names that an error message lists


def to_arrays(state: GANState) -> StateDict:
    """Lists the weights of a GAN's networks, and of the moving average of G if there is one.

    Args:
        state: the GAN's state.

    Returns:
        Parameters, running averages and the like by their paths, such as
        "generator/params/Dense_0/kernel" or "average/batch_stats/BatchNorm_0/mean".
    """
    leaves = jax.tree.leaves_with_path(_networks(state))
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def from_arrays(state: GANState, arrays: Mapping[str, Any]) -> GANState:
    """Gives the weights that `to_arrays` listed to the state of a GAN of the same networks.

    Args:
        state: a state, such as one that `jaxgan.init` made. Its optimizers and step stay.
        arrays: by path. A moving average that the state lacks is left out; one that `arrays` lack
            begins as G.

    Returns:
        The state with these weights, of unchanged types.

    Raises:
        UserError: if a name is missing or unexpected, or a shape is wrong.
    """
    nets = _networks(state)
    given = dict(arrays)
    if "average" not in nets:
        given = {path: x for path, x in given.items() if not path.startswith("average/")}
    elif not any(path.startswith("average/") for path in given):
        of_generator = [path for path in given if path.startswith("generator/")]
        given |= {path.replace("generator", "average", 1): given[path] for path in of_generator}
    wanted = [_name(path) for path, _ in jax.tree.leaves_with_path(nets)]
    _require_names(wanted, given, "what is given")

    def take(path: Any, like: jax.Array) -> jax.Array:
        array = _array(_name(path), given[_name(path)])
        _require_shape(_name(path), array, like.shape)
        return jnp.asarray(array, like.dtype)

    taken = {}
    for name, variables in jax.tree.map_with_path(take, nets).items():
        net = state.extra[name] if name in state.extra else getattr(state, name)
        taken[name] = net.replace(params=variables.pop("params"), collections=variables)
    players = {name: taken.pop(name) for name in ("generator", "discriminator")}
    return state.replace(**players).with_extra(**taken)


def _networks(state: GANState) -> dict[str, Any]:
    """Returns what `to_arrays` lists, as a tree."""
    nets = {"generator": state.generator, "discriminator": state.discriminator}
    nets |= {name: net for name, net in state.extra.items() if name == "average"}
    return {name: _variables(net) for name, net in nets.items()}


def to_torch_state_dict(
    network: Network,
    net: TrainState,
    *,
    shape: tuple[int, ...],
    layers: Iterable[str] | None = None,
) -> StateDict:
    """Converts a network's parameters and running averages to a PyTorch state dict.

    Args:
        network: the generator or the discriminator: a chain of Linen layers (dense, convolutions,
            batch norms) with anything without parameters in between.
        net: its part of the state, or a moving average.
        shape: of one input in Flax: `(Z,)` for latents, `(H, W, C)` for images.
        layers: names of the PyTorch module's layers with parameters, in the order of application
            (see `layer_names`); None for the names in Flax.

    Returns:
        Arrays by name: `weight` and `bias` of every layer, `running_mean` and `running_var` of
        batch norms. As tensors, they suit `torch.nn.Module.load_state_dict`.

    Raises:
        UserError: if the network has other layers, or `net` or `layers` do not match it.
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
    """Loads the weights of a PyTorch network into a network's part of a state.

    Args:
        network: the generator or the discriminator (see `to_torch_state_dict`).
        net: its part of a state.
        state_dict: arrays, or tensors on the CPU, by name.
        shape: of one input in Flax: `(Z,)` for latents, `(H, W, C)` for images.
        layers: names of the layers in `state_dict`, in the order of application (see
            `layer_names`); None for the names in Flax.

    Returns:
        `net` with new parameters and running averages of unchanged types, and its old optimizer
        state.

    Raises:
        UserError: if a name is missing or unexpected, a shape is wrong, or a value is no array.
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
    loaded = unflatten_dict(variables)
    # Empty collections are missing from the flat form.
    return net.replace(params=loaded.pop("params", {}), collections={**net.collections, **loaded})


def layer_names(state_dict: Iterable[str]) -> list[str]:
    """Lists the layers with parameters of a PyTorch network.

    Args:
        state_dict: the network's `state_dict()`; not one from a safetensors file, which sorts its
            arrays by name.

    Returns:
        The names, such as "0" for "0.weight" and "0.bias", in the order of definition, which in a
        `torch.nn.Sequential` is the order of application.
    """
    return list(dict.fromkeys(name.rpartition(".")[0] for name in state_dict))


def save_safetensors(path: Path, state_dict: Mapping[str, Any]) -> None:
    """Writes a state dict to a safetensors file.

    Args:
        path: of the file; an existing one is replaced, entirely or not at all.
        state_dict: arrays, or tensors on the CPU, by name.

    Raises:
        UserError: if a value is no array of numbers, or the file cannot be written.
    """
    # The library writes the bytes in memory order and ignores strides.
    arrays = {name: np.asarray(_array(name, x), order="C") for name, x in state_dict.items()}
    try:
        data = safetensors.numpy.save(arrays)
    except safetensors.SafetensorError as error:
        raise UserError(f"cannot write {path}: {_one_line(error)}") from error
    write_atomically(path, data)


def load_safetensors(path: Path) -> StateDict:
    """Reads a safetensors file. Nothing in it is executed.

    Args:
        path: of the file.

    Returns:
        Arrays by name.

    Raises:
        UserError: if the file is missing, cannot be read, is no valid safetensors file, or holds
            numbers of a type that NumPy lacks.
    """
    try:
        views = safetensors.numpy.load(read_bytes(path))
    except FileNotFoundError as error:
        raise UserError(f"cannot read {path}: there is no such file") from error
    except safetensors.SafetensorError as error:
        raise UserError(f"cannot read {path}: {_one_line(error)}") from error
    except KeyError as error:
        raise UserError(f"cannot read {path}: NumPy has no numbers of type {error}") from error
    return {name: view.copy() for name, view in views.items()}  # the views are read-only


def _variables(net: TrainState) -> dict[str, Any]:
    return {"params": net.params, **net.collections}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


class _Layer(NamedTuple):
    """A layer with parameters, as recorded when its network was applied."""

    is_norm: bool
    inputs: tuple[int, ...]  # shape
    outputs: tuple[int, ...]  # shape


class _Weight(NamedTuple):
    """How one array is converted."""

    path: tuple[str, ...]  # in Flax, starting with the collection
    shape: tuple[int, ...]  # in Flax
    groups: tuple[int, ...]  # of each axis: channels of the flattened map along it, or 1
    axes: tuple[int, ...]  # the permutation to PyTorch's order


def _weights(
    network: Network, shape: tuple[int, ...], layers: Iterable[str] | None
) -> dict[str, _Weight]:
    """Lists a network's arrays by their names in PyTorch."""
    by_layer = _weights_by_layer(network, shape)
    names = [".".join(path) for path in by_layer] if layers is None else list(layers)
    if len(names) != len(by_layer) or len(set(names)) != len(names):
        raise UserError(
            f"the network has {len(by_layer)} layers with parameters, and layers must name each of "
            f"them once, not {_list(names)}"
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
            raise UserError(f"cannot convert {'/'.join(path)}, which is of no supported layer")
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
    """Finds the layers whose inputs or outputs are a flattened feature map.

    Args:
        inputs: the network's input shape.
        layers: its layers, in order.
        outputs: its output shape.

    Returns:
        For each layer, the channels of the map before its inputs were flattened, and after its
        outputs are reshaped; 1 if they are not.
    """
    given = [inputs, *(layer.outputs for layer in layers)]
    taken = [*(layer.inputs for layer in layers), outputs]
    groups = [1] * len(given)
    for place, (before, after) in enumerate(zip(given, taken, strict=True)):
        if len(before) > 2 >= len(after):
            # Otherwise it is not this map flattened, but several joined and averaged.
            groups[place] = before[-1] if after[-1] % before[-1] == 0 else 1
        elif len(after) > 2 >= len(before):
            groups[place] = after[-1]
    # A batch norm keeps the order.
    norms = [place for place, layer in enumerate(layers) if layer.is_norm]
    for place in norms:
        groups[place + 1] = max(groups[place], groups[place + 1])
    for place in reversed(norms):
        groups[place] = max(groups[place], groups[place + 1])
    return list(pairwise(groups))


def _regroup(array: np.ndarray, axis: int, groups: int) -> np.ndarray:
    """Transposes an axis of n * groups numbers, seen as [n, groups]; n for `groups` inverts it."""
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
            words = sorted(x if isinstance(x, str) else "/".join(x) for x in names)
            raise UserError(f"{what} {kind} {_list(words)}")


def _list(names: Sequence[str]) -> str:
    """Lists a few names, shortened and printable, and the number of the others."""
    shown = ("".join(c if c.isprintable() else "?" for c in name[:80]) for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(shown) + more


def _require_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise UserError(f"{name} has the shape {array.shape}, but the network needs {shape}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
