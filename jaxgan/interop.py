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
        inputs=np.zeros((1, 100)),
        layers=layer_names(network.state_dict()),
    )
    network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})

And from a PyTorch network into a state:

    generator = from_torch_state_dict(
        gan.generator, state.generator, network.state_dict(), inputs=np.zeros((1, 100))
    )
    state = state.replace(generator=generator)

The inputs of a conditional network are a tuple, `(np.zeros((1, 128)), np.zeros(1, int))`. Layers
may be connected in any way, such as in residual blocks, also within `jax.jit` and the like. Only a
part of a flattened feature map, or one joined with other numbers, is nothing that a layer can take
or give. A map that is transposed to `[B, C, H, W]` before it is flattened is in PyTorch's order.

`save_safetensors` and `load_safetensors` write and read such state dicts. `load_sd_vae` reads the
weights of a published autoencoder.

Conversion is exact, and back again bit for bit. What differs:

- Kernels: dense ones are `[in, out]` here and `[out, in]` there; convolutions `[h, w, in, out]` and
  `[out, in, h, w]`; transposed convolutions `[h, w, out, in]` and `[in, out, h, w]`.
- A flattened feature map is ordered by position, then channel here; by channel, then position
  there. Dense layers before a reshape into a map and after its flattening are reordered, and so are
  batch norms and embeddings of the same numbers.
- Dense layers of maps are `torch.nn.Linear` of channels, which PyTorch has last only if permuted.
- The gain of self-attention is a number `gamma` of the module that holds its four layers.
- Spectral normalization is `torch.nn.utils.parametrizations.spectral_norm`, not the older
  `torch.nn.utils.spectral_norm`, with its default `dim`. jaxgan keeps one of the two vectors of the
  power iteration and makes a step from it in each call; PyTorch keeps both and makes steps in
  training alone. The other one is therefore written such that PyTorch in evaluation divides by the
  same number as jaxgan, and not read: what PyTorch has trained gets here an estimate of the largest
  singular value that is up to a step better.

The running variance is copied. If training continues, PyTorch's tracks the unbiased variance of the
batch, n / (n - 1) times the one that Flax's tracks.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote, unquote

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.ad_checkpoint import checkpoint_name
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from jaxgan.core.networks import Network
from jaxgan.core.state import GANState, TrainState
from jaxgan.models.sd_vae import Decoder, Encoder
from jaxgan.nn.attention import SelfAttention
from jaxgan.nn.labels import Embed
from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.nn.spectral import SpectralNorm
from jaxgan.types import PyTree
from jaxgan.util.errors import UserError
from jaxgan.util.files import read_bytes, write_atomically

StateDict = dict[str, np.ndarray]
Places = dict[Any, tuple[int, ...]]  # of the axes of a program's variables

# (collection, name) in Flax -> name in PyTorch.
_NAMES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "embedding"): "weight",
    ("params", "bias"): "bias",
    ("params", "gain"): "gamma",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
# (name, number of axes) in Flax -> the permutation to PyTorch's axes.
_AXES = {
    ("kernel", 2): (1, 0),
    ("kernel", 4): (3, 2, 0, 1),
    ("embedding", 2): (0, 1),
}
_NORMALIZED = "parametrizations.weight"  # of a layer with spectral normalization
_COUNTERPARTS = {"_u": "_v", "_v": "_u"}  # vectors of the power iteration
_LAYERS = (nn.Dense, nn.Conv, Conv, ConvTranspose, nn.BatchNorm, nn.Embed, Embed, SelfAttention)
_ENDS = ("inputs of ", "outputs of ")  # what marks a layer in a program
_CALLS = {"jit", "custom_jvp_call", "custom_vjp_call", "remat2"}  # of programs within programs
# What variables are in place of maps whose channels were last: parts of one, one and other numbers,
# one whose channels were neither first nor last, or one whose channels were first.
_MADE_OF_SOME, _MADE_INTO_SOME, _TURNED, _AS_IN_PYTORCH = 0, -1, -2, 1
_IGNORED = "num_batches_tracked"  # a count that PyTorch uses for cumulative averages only
_NAMED = 3  # names that an error message lists
# Layers of attention, as older versions of diffusers name them.
_NEWER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLDER = re.compile(rf"(?<=\.)({'|'.join(_NEWER)})(?=\.)")


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
    inputs: PyTree,
    layers: Iterable[str] | None = None,
) -> StateDict:
    """Converts a network's parameters and running averages to a PyTorch state dict.

    Args:
        network: the generator or the discriminator: of Linen layers (dense, convolutions, batch
            norms, embeddings), also spectrally normalized, of self-attention, and of anything
            without parameters.
        net: its part of the state, or a moving average.
        inputs: what the network takes in Flax, or the shapes of it: latents `[B, Z]` or images
            `[B, H, W, C]`, or a tuple of these and labels `[B]`.
        layers: names of the PyTorch module's layers with parameters, in the order of application
            here, which is that of the names for None (see `layer_names`); None for the names in
            Flax.

    Returns:
        Arrays by name: `weight` and `bias` of every layer, `running_mean` and `running_var` of
        batch norms, and, instead of the weight of a layer with spectral normalization, those of
        its parametrization. As tensors, they suit `torch.nn.Module.load_state_dict`.

    Raises:
        UserError: if the network has other layers, `net` or `layers` do not match it, or a layer
            maps parts of a flattened feature map, or one that is joined with other numbers.
    """
    variables = flatten_dict(_variables(net))
    weights = _weights(network, inputs, layers)
    _require_names({w.path for w in weights.values()}, variables, "the network's state")
    state_dict = {}
    for name, weight in weights.items():
        array = np.asarray(variables[weight.path])
        _require_shape("/".join(weight.path), array, weight.shape)
        for axis, groups in enumerate(weight.groups):
            array = _regroup(array, axis, groups)
        state_dict[name] = np.array(array.transpose(weight.axes), order="C")  # writable
    for name, weight in weights.items():
        if weight.normalized is not None:
            kernel = state_dict[name[: -len("0._u")] + "original"]
            turned = np.moveaxis(kernel, weight.normalized, 0)
            state_dict[_name_of_counterpart(name)] = _counterpart(state_dict[name], turned)
    return state_dict


def from_torch_state_dict(
    network: Network,
    net: TrainState,
    state_dict: Mapping[str, Any],
    *,
    inputs: PyTree,
    layers: Iterable[str] | None = None,
) -> TrainState:
    """Loads the weights of a PyTorch network into a network's part of a state.

    Args:
        network: the generator or the discriminator (see `to_torch_state_dict`).
        net: its part of a state.
        state_dict: arrays, or tensors on the CPU, by name.
        inputs: what the network takes in Flax, or the shapes of it.
        layers: names of the layers in `state_dict`, in the order of application here (see
            `layer_names`); None for the names in Flax.

    Returns:
        `net` with new parameters and running averages of unchanged types, and its old optimizer
        state.

    Raises:
        UserError: if a name is missing or unexpected, a shape is wrong, a value is no array, or a
            layer maps parts of a flattened feature map, or one that is joined with other numbers.
    """
    leaves: dict[tuple[str, ...], Any] = flatten_dict(_variables(net))
    dtypes = {path: leaf.dtype for path, leaf in leaves.items()}
    weights = _weights(network, inputs, layers)
    _require_names({w.path for w in weights.values()}, dtypes, "the network's state")
    unread = {_name_of_counterpart(n) for n, w in weights.items() if w.normalized is not None}
    given = [n for n in state_dict if n not in unread and n.rpartition(".")[2] != _IGNORED]
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


def fit_shapes(state_dict: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> StateDict:
    """Checks a state dict that a function takes as it is.

    Args:
        state_dict: arrays by name.
        shapes: those that the function needs, by name.

    Returns:
        The arrays, float32.

    Raises:
        UserError: if a name is missing or unexpected, a shape is wrong, or a value is no array.
    """
    _require_names(shapes, state_dict, "the state dict")
    fitted = {}
    for name, shape in shapes.items():
        array = _array(name, state_dict[name])
        _require_shape(name, array, shape)
        fitted[name] = array.astype(np.float32)
    return fitted


def layer_names(state_dict: Iterable[str]) -> list[str]:
    """Lists the layers with parameters of a PyTorch network.

    Args:
        state_dict: the network's `state_dict()`; not one from a safetensors file, which sorts its
            arrays by name.

    Returns:
        The names, such as "0" for "0.weight" and "0.bias", in the order of definition, which in a
        `torch.nn.Sequential` is the order of application.
    """
    owners = (name.rpartition(".")[0] for name in state_dict)
    return list(dict.fromkeys(owner.partition(".parametrizations")[0] for owner in owners))


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
        raise UserError(
            f"cannot read {path}: NumPy has no numbers of type {error}; convert them to float32"
        ) from error
    return {name: view.copy() for name, view in views.items()}  # the views are read-only


def load_sd_vae(
    path: Path, encoder: Encoder | None = None, decoder: Decoder | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the weights of the autoencoder of Stable Diffusion. Nothing in the file is executed.

    Args:
        path: of a safetensors file with the names of diffusers' `AutoencoderKL`, of any version.
        encoder: the module that some of the weights are for; None for that of the published size.
        decoder: the other one.

    Returns:
        The variables of the encoder and those of the decoder, float32.

    Raises:
        UserError: if the file cannot be read, or a weight is missing, unexpected or of the wrong
            shape.
    """
    encoder, decoder = encoder or Encoder(), decoder or Decoder()

    def draw(images: jax.Array) -> PyTree:
        key = jax.random.key(0)
        latents, encoding = encoder.init_with_output(key, images, train=False)
        return {"encoder": encoding, "decoder": decoder.init(key, latents, train=False)}

    side = 2 ** len(encoder.widths)
    drawn = jax.eval_shape(draw, jnp.zeros((1, side, side, 3)))
    leaves: dict[tuple[str, ...], Any] = flatten_dict(drawn)
    axes = {p: _AXES.get((p[-1], leaf.ndim), (0,)) for p, leaf in leaves.items()}
    names = {p: _name_in_diffusers(*p) for p in leaves}
    shapes = {names[p]: tuple(leaf.shape[axis] for axis in axes[p]) for p, leaf in leaves.items()}
    try:
        arrays = load_safetensors(path)
        given = {_OLDER.sub(lambda old: _NEWER[old[0]], name): x for name, x in arrays.items()}
        for name in given:
            if given[name].shape[2:] == (1, 1):  # dense layers of channels may be convolutions
                given[name] = given[name][:, :, 0, 0]
        weights = fit_shapes(given, shapes)
    except UserError as error:
        raise UserError(
            f"cannot load the autoencoder of Stable Diffusion from {path}: {error}; give "
            "diffusion_pytorch_model.safetensors of stabilityai/sd-vae-ft-mse, or one like it"
        ) from error
    variables = unflatten_dict(
        {p: jnp.asarray(weights[names[p]].transpose(np.argsort(axes[p]))) for p in leaves}
    )
    return variables["encoder"], variables["decoder"]


def _name_in_diffusers(player: str, collection: str, *layers: str) -> str:
    *outer, own = layers
    owner = [] if outer[0].endswith("quant_conv") else [player]
    return ".".join([*owner, *outer, _NAMES[collection, own]])


def save_variables(path: Path, variables: Mapping[str, Any]) -> None:
    """Writes the variables of a Linen module to a safetensors file.

    Args:
        path: of the file (see `save_safetensors`).
        variables: "params" and other collections, nested.

    Raises:
        UserError: as `save_safetensors`.
    """
    leaves = flatten_dict(dict(variables))
    # Flax's spectral norm has names with slashes.
    save_safetensors(
        path, {"/".join(quote(x, safe="") for x in place): leaf for place, leaf in leaves.items()}
    )


def load_variables(path: Path) -> dict[str, Any]:
    """Reads what `save_variables` wrote. Nothing in it is executed.

    Args:
        path: of the file.

    Returns:
        The variables.

    Raises:
        UserError: as `load_safetensors`, or if names contradict each other.
    """
    arrays = load_safetensors(path)
    for name in arrays:
        if any(other.startswith(f"{name}/") for other in arrays):
            raise UserError(f"cannot read {path}: {name} is an array and holds others")
    return unflatten_dict({tuple(map(unquote, name.split("/"))): x for name, x in arrays.items()})


def _variables(net: TrainState) -> dict[str, Any]:
    return {"params": net.params, **net.collections}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


class _Weight(NamedTuple):
    """How one array is converted."""

    path: tuple[str, ...]  # in Flax, starting with the collection
    name: str  # in PyTorch, within its layer
    shape: tuple[int, ...]  # in Flax
    groups: tuple[int, ...]  # of each axis: channels of the flattened map along it, or 1
    axes: tuple[int, ...]  # the permutation to PyTorch's order
    normalized: int | None = None  # the axis, in PyTorch, of the kernel that this vector normalizes


def _weights(network: Network, inputs: PyTree, layers: Iterable[str] | None) -> dict[str, _Weight]:
    """Lists a network's arrays by their names in PyTorch."""
    shapes, structure = jax.tree.flatten(jax.eval_shape(lambda x: x, inputs))
    by_layer = _weights_by_layer(network, tuple(shapes), structure)
    names = [".".join(path) for path in by_layer] if layers is None else list(layers)
    if len(names) != len(by_layer) or len(set(names)) != len(names):
        raise UserError(
            f"the network has {len(by_layer)} layers with parameters, and layers must name each of "
            f"them once, not {_list(names)}"
        )
    return {
        f"{name}.{weight.name}": weight
        for name, weights in zip(names, by_layer.values(), strict=True)
        for weight in weights
    }


@cache
def _weights_by_layer(
    network: Network, shapes: tuple[jax.ShapeDtypeStruct, ...], structure: Any
) -> dict[tuple[str, ...], list[_Weight]]:
    """Lists a network's arrays by layer, in the order in which the layers are applied."""
    key, inputs = jax.random.key(0), structure.unflatten(shapes)
    params, collections = jax.eval_shape(network.init, key, inputs)
    layers: dict[tuple[str, ...], None] = {}  # an ordered set
    axes: dict[tuple[str, ...], int] = {}  # of the outputs of normalized kernels

    def apply(params: PyTree, collections: PyTree, inputs: PyTree) -> PyTree:
        def record(call, arguments, settings, context):
            seen = context.module
            if not isinstance(seen, _LAYERS) or context.method_name != "__call__":
                outputs = call(*arguments, **settings)
                if isinstance(seen, SpectralNorm):
                    axes[seen.path] = seen.axis
                return outputs
            layers[seen.path] = None  # it comes before the layers within it, as in PyTorch
            before, after = (end + "/".join(seen.path) for end in _ENDS)
            first, *others = arguments
            return checkpoint_name(call(checkpoint_name(first, before), *others, **settings), after)

        with nn.intercept_methods(record):
            return network.apply(params, collections, inputs, key, False)

    program = jax.make_jaxpr(apply)(params, collections, inputs).jaxpr
    groups = _channels_of_ends(_inlined(program), layers)
    leaves: dict[tuple[str, ...], Any] = flatten_dict({"params": params, **collections})
    by_layer: dict[tuple[str, ...], list[_Weight]] = {path: [] for path in layers}
    for path, leaf in leaves.items():
        layer, own = path[1:-1], path[-1]
        order = tuple(range(leaf.ndim)) if leaf.ndim < 2 else _AXES.get((own, leaf.ndim))
        if layer not in groups or order is None:
            raise UserError(f"cannot convert {'/'.join(path)}, which is of no supported layer")
        along = {0: (), 1: groups[layer][1:], 2: groups[layer], 4: (1, 1, 1, 1)}[leaf.ndim]
        if None in along:
            raise UserError(
                f"cannot convert {'/'.join(path)}: the layer takes or gives parts of a flattened "
                "feature map, or one joined with other numbers or transposed, which PyTorch orders "
                "differently; give the map a layer of its own, whose outputs others can be added to"
            )
        normalized = None
        if own.endswith("_u"):
            kernel = own.removesuffix("_u")
            ndim = leaves["params", *layer, kernel].ndim
            normalized = _AXES[kernel, ndim].index(axes[layer] % ndim)
            # PyTorch's first vector is along the first axis of a matrix.
            name = f"{_NORMALIZED}.0.{'_v' if (ndim, normalized) == (2, 1) else '_u'}"
        elif layer in axes and leaf.ndim > 1:
            name = f"{_NORMALIZED}.original"
        else:
            name = _NAMES[path[0], own]
        by_layer[layer].append(_Weight(path, name, leaf.shape, along, order, normalized))
    return by_layer


def _inlined(program: Jaxpr) -> list[JaxprEqn]:
    """Lists the operations of a program, and those of programs within it in their places."""
    equations: list[JaxprEqn] = []

    def inline(jaxpr: Jaxpr, arguments: Sequence[Any]) -> list[Any]:
        # Calls of one program have variables of their own.
        known: dict[Any, Any] = {x: Var(x.aval) for x in jaxpr.constvars}
        known |= zip(jaxpr.invars, arguments, strict=True)

        def read(x: Any) -> Any:
            return x if isinstance(x, Literal) else known[x]

        for equation in jaxpr.eqns:
            inputs, params = [read(x) for x in equation.invars], equation.params
            if equation.primitive.name in _CALLS:
                inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
                inner = inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner
                outputs = inline(inner, inputs)
            else:
                outputs = [Var(x.aval) for x in equation.outvars]
                equations.append(equation.replace(invars=inputs, outvars=outputs))
            known |= zip(equation.outvars, outputs, strict=True)
        return [read(x) for x in jaxpr.outvars]

    inline(program, program.invars)
    return equations


def _channels_of_ends(
    equations: Sequence[JaxprEqn], layers: Iterable[tuple[str, ...]]
) -> dict[tuple[str, ...], tuple[int | None, ...]]:
    """Finds the channels of the flattened maps that layers take and give.

    Args:
        equations: the network's operations.
        layers: their paths.

    Returns:
        By layer, one number for what it takes and one for what it gives: 1 for what is no flattened
        map or in PyTorch's order, and None for what has no such order as a whole.
    """
    orders, marked = _orders(equations), defaultdict[str, set[int]](set)
    for equation in equations:
        if equation.primitive.name == "name":  # at each call of a layer
            name, order = equation.params["name"], orders.get(equation.outvars[0])
            marked[name] |= order or {_AS_IN_PYTORCH}

    def at(mark: str) -> int | None:
        counts = marked[mark]
        return min(counts) if len(counts) == 1 and min(counts) > 0 else None

    return {path: tuple(at(end + "/".join(path)) for end in _ENDS) for path in layers}


def _orders(equations: Sequence[JaxprEqn]) -> dict[Any, frozenset[int]]:
    """Finds the flattened feature maps in a network's program.

    Args:
        equations: the network's operations.

    Returns:
        The channels of the map, if it has more than one, for each variable `[B, n * channels]` that
        is one in its order: flattened from it, to be reshaped into it, or made of or into such a
        variable number by number. With other numbers, or instead of them, what else a variable is.
    """
    orders: defaultdict[Any, frozenset[int]] = defaultdict(frozenset)
    made, used = _turned(equations)
    for equation in equations:
        if equation.primitive.name == "reshape":
            x: Any = equation.invars[0]
            y: Any = equation.outvars[0]
            for flat, shaped, turned in ((x, y, used), (y, x, made)):
                if flat.aval.ndim == 2 < shaped.aval.ndim:
                    orders[flat] |= _channels(shaped.aval.shape, turned.get(shaped))
    before = None
    while orders != before:
        before = dict(orders)
        for equation in (*equations, *reversed(equations)):  # along the program, and back
            if equation.primitive.name == "dot_general":
                continue  # a dense layer
            for x, y in product(_rows(equation.invars), _rows(equation.outvars)):
                if x.aval.shape[1] == y.aval.shape[1]:
                    orders[x] = orders[y] = orders[x] | orders[y]
                    continue
                if orders[x] - {_MADE_INTO_SOME, _AS_IN_PYTORCH}:
                    orders[y] |= {_MADE_OF_SOME}
                if orders[y] - {_MADE_OF_SOME, _AS_IN_PYTORCH}:
                    orders[x] |= {_MADE_INTO_SOME}
    return orders


def _channels(shape: tuple[int, ...], turned: tuple[int, ...] | None) -> frozenset[int]:
    """Returns what `_orders` has for a flattened map of this shape, and places of its axes."""
    last = len(shape) - 1
    channels_axis = last if turned is None else turned.index(last)
    if shape[channels_axis] in {1, math.prod(shape[1:])}:
        return frozenset()  # with one channel or one position, all orders are the same
    known = {last: shape[last], 1: _AS_IN_PYTORCH}
    return frozenset({known.get(channels_axis, _TURNED)})


def _turned(equations: Sequence[JaxprEqn]) -> tuple[Places, Places]:
    """Finds the maps whose axes are in another order than batch, positions, channels.

    Returns:
        For each map that was made by a transposition, the places that its axes have in that order;
        and the same for each map of which a transposition is made.
    """
    made: Places = {}
    used: Places = {}
    maps: list[tuple[JaxprEqn, Any, Any]] = [
        (equation, x, equation.outvars[0])
        for equation in equations
        if equation.primitive.name not in ("reshape", "dot_general", "conv_general_dilated")
        for x in cast(list[Any], equation.invars)
        if not isinstance(x, Literal) and x.aval.ndim > 2
    ]
    for equation, x, y in maps:
        if equation.primitive.name == "transpose":
            places = made.get(x, range(x.aval.ndim))
            made[y] = tuple(places[axis] for axis in equation.params["permutation"])
        elif x in made and x.aval.shape == y.aval.shape:
            made[y] = made[x]
    for equation, x, y in reversed(maps):
        if equation.primitive.name == "transpose":
            places = used.get(y, range(x.aval.ndim))
            used[x] = tuple(places[axis] for axis in np.argsort(equation.params["permutation"]))
        elif y in used and x.aval.shape == y.aval.shape:
            used[x] = used[y]
    return made, used


def _rows(variables: Iterable[Any]) -> list[Any]:
    """Returns the variables `[B, N]` of several numbers in a row."""
    return [
        x
        for x in variables
        if not isinstance(x, Literal) and x.aval.ndim == 2 and x.aval.shape[1] > 1
    ]


def _counterpart(vector: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Finds PyTorch's other vector of a power iteration.

    Args:
        vector: the one that jaxgan keeps, `[N]`.
        kernel: in PyTorch's order, but for the axis of the vector, which is the first: `[N, ...]`.

    Returns:
        The vector whose product with the kernel and the first vector is jaxgan's estimate of the
        largest singular value. Its length is 1 where the iteration has converged; PyTorch's
        training does not depend on it.
    """
    matrix = kernel.reshape(len(vector), -1)
    other = vector @ matrix
    return other * (np.linalg.norm(matrix @ other) / np.linalg.norm(other) ** 3)


def _name_of_counterpart(name: str) -> str:
    return name[:-2] + _COUNTERPARTS[name[-2:]]


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
    if array.dtype == jnp.bfloat16:  # no number of NumPy's, nor of safetensors' for NumPy
        return array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} is not an array of numbers, but {array.dtype}")
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
