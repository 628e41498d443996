"""One system twice, in jaxgan and in PyTorch, trained side by side on the same numbers."""

from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen
from systems import SYSTEMS, Step, System, biases_before_norm, norms_of

from jaxgan.core.gan import GAN, generate, init
from jaxgan.core.state import GANState, TrainState
from jaxgan.core.steps import make_step
from jaxgan.interop import from_torch_state_dict, layer_names, to_torch_state_dict
from jaxgan.nn.layers import Dropout
from jaxgan.recipes import Recipe, find_recipe
from jaxgan.types import DataSpec

# Examples in a batch: few, to be quick. All else is as in the systems. mnist_dcgan_bn needs more
# than the others: each of its losses depends on statistics of so few numbers that rounding grows
# tenfold every five iterations. With 8 examples, PyTorch in float64 is 1e-6 away from itself with
# the examples in another order after 25 iterations.
BATCH = {
    "pattern_1010": 1,
    "mnist_mlp": 16,
    "mnist_conv": 8,
    "mnist_dcgan": 8,
    "mnist_dcgan_bn": 24,
}
# Which of the latent batches of an iteration each pass of G uses.
LATENTS = {
    "pattern_1010": [0, 0],  # D on fakes, G
    "mnist_mlp": [0],  # D and G
    "mnist_conv": [0, 1],  # D, G
    "mnist_dcgan": [0],  # D and G
    "mnist_dcgan_bn": [0, 1, 2, 2],  # D, D, G, G
}
MOMENTS = {"mu": "exp_avg", "nu": "exp_avg_sq"}  # of Adam, in optax and in PyTorch


class Difference(NamedTuple):
    """How far the two are apart in one array."""

    kind: str  # loss, gradient, parameter, moment, statistic, output; silent: see `Pair.train`
    name: str
    relative: float  # the largest difference of two numbers, by the array's largest number so far


class Recorded(NamedTuple):
    """What one training step of jaxgan drew and computed, each in order."""

    latents: list[jax.Array]
    masks: list[jax.Array]  # of dropout; True keeps a value
    gradients_d: list[Any]  # trees, like the parameters
    gradients_g: list[Any]


def small_recipe(name: str, batch: int) -> Recipe:
    """Makes a recipe with a small batch, but the batch norm of the full one."""
    settings: dict[str, Any] = {"batch_size": batch}
    if name == "mnist_dcgan_bn":
        settings["norm_time"] = 5000 * batch / 128
    return find_recipe(name)(**settings)


class Pair:
    """A recipe and the PyTorch system of its name, from the same first parameters."""

    def __init__(
        self, name: str, dtype: type[np.floating], batch: int | None = None, seed: int = 0
    ):
        self.name = name
        self.recipe = small_recipe(name, batch or BATCH[name])
        self.image_shape = (4,) if name == "pattern_1010" else (28, 28, 1)
        self.gan = self.recipe.gan(DataSpec(self.image_shape))
        self.dtype = dtype
        self.largest: dict[tuple[str, str], float] = defaultdict(float)  # by kind and name
        self.random = np.random.default_rng(seed)
        example = {"image": np.zeros((1, *self.image_shape))}
        state = jax.jit(lambda key: init(self.gan, key, example))(jax.random.key(seed))
        self.state: GANState = jax.tree.map(
            lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
        )
        self.latent_shape = self.gan.inputs(jax.random.key(0), 1, {}).shape[1:]
        self.iterate = jax.jit(self._iterate)

        self.system: System = SYSTEMS[name](getattr(torch, np.dtype(dtype).name))
        for role in ("discriminator", "generator"):
            network = getattr(self.system, role)
            weights = self.carried(role, getattr(self.state, role))
            network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
            for norm in norms_of(network).values():
                norm.register_forward_pre_hook(count_values)
        self.silencers = {role: self.silencer(role) for role in ("discriminator", "generator")}

    def _iterate(self, state: GANState, images: jax.Array, key: jax.Array):
        recorded = Recorded([], [], [], [])
        step = make_step(self.recipe.update(self.recording(recorded)))
        with linen.intercept_methods(partial(record_mask, recorded.masks)):
            state, metrics = step(state, {"image": images}, key)
        return state, metrics, recorded

    def recording(self, recorded: Recorded) -> GAN:
        """The GAN, which also writes down its latents and its gradients.

        What reaches the optimizers of the gradients of biases before batch norm is their true
        value 0 (see `systems.biases_before_norm`). The lists hold tracers, which the function that
        is being traced has to return.
        """

        def inputs(key, n, batch):
            recorded.latents.append(self.gan.inputs(key, n, batch))
            return recorded.latents[-1]

        def optimizer(role: str, gradients: list[Any]):
            inner: optax.GradientTransformation = getattr(self.gan, f"{role}_optimizer")

            def update(updates, state, params=None):
                gradients.append(updates)
                updates = jax.tree.map(jnp.multiply, updates, self.silencers[role])
                return inner.update(updates, state, params)

            return optax.GradientTransformation(inner.init, update)

        return replace(
            self.gan,
            inputs=inputs,
            discriminator_optimizer=optimizer("discriminator", recorded.gradients_d),
            generator_optimizer=optimizer("generator", recorded.gradients_g),
        )

    def compare(self, kind: str, name: str, ours, theirs) -> Difference:
        """Compares an array of jaxgan's with PyTorch's.

        By the largest number that the array has had up to now: an array of a single number, as the
        gradient of D's last bias, may be near 0 just now, and no computation gives a sum that
        cancels to a precision relative to what is left.
        """
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        assert ours.shape == theirs.shape, name
        self.largest[kind, name] = max(self.largest[kind, name], abs(theirs).max())
        gap = abs(ours - theirs).max()
        relative = float(gap / self.largest[kind, name]) if gap else 0.0
        assert np.isfinite(relative), f"{kind} {name} is not finite, or 0 in PyTorch alone"
        return Difference(kind, name, relative)

    def silencer(self, role: str) -> Any:
        """A tree of numbers to multiply gradients by: 0 for biases before batch norm, else 1."""
        network, net = getattr(self.system, role), getattr(self.state, role)
        names = biases_before_norm(network)
        factors = {n: np.full_like(w, n not in names) for n, w in self.carried(role, net).items()}
        ours = getattr(self.gan, role)
        tree = from_torch_state_dict(ours, net, factors, **self.layout(role)).params
        return jax.tree.map(lambda factor: factor.max().item(), tree)

    def carried(self, role: str, net: TrainState) -> dict[str, np.ndarray]:
        """A network's parameters and running averages under their names in PyTorch."""
        return to_torch_state_dict(getattr(self.gan, role), net, **self.layout(role))

    def layout(self, role: str) -> dict[str, Any]:
        shape = self.latent_shape if role == "generator" else self.image_shape
        return {
            "inputs": np.zeros((1, *shape)),
            "layers": layer_names(getattr(self.system, role).state_dict()),
        }

    def draw_images(self) -> np.ndarray:
        """Random images in the recipe's range, for one iteration."""
        low, high = getattr(self.recipe, "value_range", (0, 1))
        size = (self.recipe.examples_per_step, *self.image_shape)
        return self.random.uniform(low, high, size).astype(self.dtype)

    def train(self) -> list[Difference]:
        """Trains both for one iteration, and compares all there is.

        The gradients of biases before batch norm have the kind "silent". They are rounding, in
        either library its own, so they are not compared with each other, but both with 0, by the
        largest gradient of their network.
        """
        images = self.draw_images()
        self.state, metrics, recorded = self.iterate(self.state, images, jax.random.key(7))
        parts = getattr(self.recipe, "discriminator_steps", 1)  # each takes every so-manieth image
        self.fed = (
            [nchw(images[part::parts]) for part in range(parts)],
            [nchw(z) for z in distinct(recorded.latents, LATENTS[self.name])],
            # D has two dropout layers, so every two masks are those of one pass.
            [list(map(nchw, both)) for both in zip(*[iter(recorded.masks)] * 2, strict=True)],
        )
        steps_d, steps_g = self.system.iteration(*self.fed)

        differences = []
        losses = {"loss_d": steps_d[-1], "loss_g": steps_g[-1]}
        if self.name == "pattern_1010":
            losses = {"loss_d_real": steps_d[0], "loss_d_fake": steps_d[1], "loss_g": steps_g[0]}
        for name, step in losses.items():
            differences.append(self.compare("loss", name, metrics[name], step.loss))
        for role, steps, trees in (
            ("discriminator", steps_d, recorded.gradients_d),
            ("generator", steps_g, recorded.gradients_g),
        ):
            biases = biases_before_norm(getattr(self.system, role))
            largest = max(abs(g).max().item() for g in steps[0].gradients.values())
            for kind, name, ours, theirs in self.arrays(role, trees, steps):
                label = f"{role} {name}"
                if kind == "gradient" and name in biases:
                    rounding = max(abs(ours).max(), abs(theirs).max())
                    differences.append(Difference("silent", label, float(rounding / largest)))
                else:
                    differences.append(self.compare(kind, label, ours, theirs))
        return differences

    def arrays(
        self, role: str, trees: list[Any], steps: list[Step]
    ) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
        """All arrays of one network, and its gradients: kind, name, jaxgan's, PyTorch's."""
        net: TrainState = getattr(self.state, role)
        network = getattr(self.system, role)
        parameters = dict(network.named_parameters())
        ours = self.carried(role, net)
        for name, parameter in parameters.items():
            yield "parameter", name, ours[name], parameter.detach().numpy()
        for name, norm in norms_of(network).items():
            assert norm.running_mean is not None
            mean, variance = f"{name}.running_mean", f"{name}.running_var"
            yield "statistic", mean, ours[mean], norm.running_mean.numpy()
            yield "statistic", variance, ours[variance], biased_variance(norm).numpy()

        for tree, step in zip(trees, steps, strict=True):
            ours = self.carried(role, net.replace(params=tree))
            for name, gradient in step.gradients.items():
                yield "gradient", name, ours[name], gradient.numpy()

        optimizer = self.system.optimizer_d if role == "discriminator" else self.system.optimizer_g
        if isinstance(optimizer, torch.optim.SGD):
            assert not jax.tree.leaves(net.opt_state), "plain SGD has no state"
            return
        for moment, torch_name in MOMENTS.items():
            tree = optax.tree_utils.tree_get(net.opt_state, moment)
            ours = self.carried(role, net.replace(params=tree))
            for name, parameter in parameters.items():
                theirs = optimizer.state[parameter][torch_name].numpy()
                yield "moment", f"{moment} of {name}", ours[name], theirs

    def outputs(self) -> list[Difference]:
        """Compares what the networks answer now in the mode for sampling."""
        z = jnp.asarray(self.random.standard_normal((8, *self.latent_shape)), self.dtype)
        images = jnp.asarray(self.draw_images())
        net = self.state.discriminator
        samples = generate(self.gan, self.state, z)
        scores, _ = self.gan.discriminator.apply(
            net.params, net.collections, images, jax.random.key(0), False
        )
        if any(isinstance(x, torch.nn.Sigmoid) for x in list(self.system.discriminator)[-2:]):
            scores = jax.nn.sigmoid(scores)  # which jaxgan leaves to the loss
        generator = in_sampling(self.system.generator)
        discriminator = in_sampling(self.system.discriminator)
        if self.name == "mnist_conv":
            generator.train()  # it samples with the batch's statistics
        with torch.no_grad():
            their_samples, their_scores = generator(nchw(z)), discriminator(nchw(images))
        return [
            self.compare("output", "samples", nchw(samples).numpy(), their_samples.numpy()),
            self.compare("output", "scores", scores, their_scores.numpy()),
        ]


def record_mask(masks: list[jax.Array], call, arguments, settings, context):
    """Writes down what dropout keeps; for `flax.linen.intercept_methods`."""
    outputs = call(*arguments, **settings)
    if isinstance(context.module, Dropout):
        masks.append(outputs != 0)
    return outputs


def distinct(draws: list[jax.Array], places: list[int]) -> list[jax.Array]:
    """The different ones of some draws, of which the i-th must be the one at `places[i]`."""
    found = [draws[places.index(place)] for place in range(max(places) + 1)]
    for draw, place in zip(draws, places, strict=True):
        assert [np.array_equal(draw, other) for other in found].index(True) == place
    return found


def count_values(norm: torch.nn.Module, arguments: tuple[torch.Tensor]) -> None:
    """Notes how many numbers of each channel a batch norm averages; a forward pre-hook."""
    (x,) = arguments
    norm.count = x.numel() // x.shape[1]  # type: ignore[assignment]


def biased_variance(norm) -> torch.Tensor:
    """What PyTorch's running variance would be if it followed the biased variance, as Flax's does.

    After t batches with variances v_i it is p^t + sum_i (1 - p) p^(t - i) v_i n / (n - 1), where
    p is the part that each batch leaves of it, and n the count of numbers in a variance.
    """
    left = (1 - norm.momentum) ** norm.num_batches_tracked.item()
    return left + (norm.running_var - left) * (norm.count - 1) / norm.count


def in_sampling(network: torch.nn.Module) -> torch.nn.Module:
    """A copy of a network for sampling, its running variances as Flax has them."""
    network = deepcopy(network).eval()
    for norm in norms_of(network).values():
        norm.running_var = biased_variance(norm)
    return network


def nchw(images) -> torch.Tensor:
    images = np.asarray(images)
    return torch.tensor(images.transpose(0, 3, 1, 2) if images.ndim == 4 else images)
