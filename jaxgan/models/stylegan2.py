"""StyleGAN2: a mapping of latents to styles, and a synthesis of images by styles.

Images have a side of `smallest * 2 ** (len(widths) - 1)` and are not bounded. Latents are 512
standard normal numbers in the source. `to_styles` and `to_images` are the two halves of the
generator, for path lengths and for latent tools:

    styles = generator.apply(variables, latents, train=False, method="to_styles")
    images = generator.apply(variables, styles, method="to_images", rngs={"noise": key})

Between them, `truncate` and `mix` change styles, and so does a row of `sefa` (`jaxgan.latents`) of
the `style_matrix`, added to them.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), and the code
of Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float

from jaxgan.nn.equalized import (
    Convolution,
    EqualizedConv,
    EqualizedDense,
    ModulatedConv,
    convolve_same,
)
from jaxgan.nn.labels import Labels, is_conditional, one_hot
from jaxgan.nn.layers import normalize_second_moment
from jaxgan.nn.minibatch import minibatch_deviation
from jaxgan.nn.noise import normal_per_example
from jaxgan.nn.resampling import (
    convolve_down,
    convolve_up,
    downsample,
    require_sizes,
    upsample,
)
from jaxgan.types import Images, Latents, PyTree, Scalar, Scores

BOUND = 256.0  # of a convolution's outputs, which float16 could not hold otherwise

Styles = Float[Array, "... L S"]  # one for each layer of the synthesis


def _leaky(x: Array) -> Array:
    return math.sqrt(2) * nn.leaky_relu(x, 0.2)


def _bounded(x: Array) -> Array:
    return jnp.clip(x, -BOUND, BOUND)


def _dtypes(sizes: int, in_bfloat16: int) -> Sequence[DTypeLike | None]:
    """The type that each size computes in, from the smallest up; None for that of parameters."""
    return (None,) * (sizes - in_bfloat16) + (jnp.bfloat16,) * in_bfloat16


class Mapping(nn.Module):
    """Dense layers that learn at a hundredth of the speed of the others."""

    width: int = 512  # of a style, and of all layers
    depth: int = 8  # layers

    @nn.compact
    def __call__(
        self, latents: Latents | None, labels: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B S"]:
        """Maps latents `[B, Z]`, one-hot labels `[B, K]` or both to styles `[B, width]`."""
        codes = [] if latents is None else [normalize_second_moment(latents)]
        if labels is not None:
            codes.append(normalize_second_moment(EqualizedDense(self.width, name="labels")(labels)))
        x = jnp.concatenate(codes, -1)
        for _ in range(self.depth):
            x = _leaky(EqualizedDense(self.width, multiplier=0.01)(x))
        return x


class Layer(nn.Module):
    """A modulated convolution, noise, a bias and leaky ReLU."""

    features: int  # output channels
    convolution: Convolution = convolve_same
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(
        self,
        inputs: Float[Array, "B H W C"],
        styles: Float[Array, "B S"],
        noise: Float[Array, "#B P Q 1"],
    ) -> Float[Array, "B P Q F"]:
        """Maps `[B, H, W, C]` to `[B, P, Q, features]`; noise is `[B or 1, P, Q, 1]`."""
        x = ModulatedConv(self.features, self.convolution, self.dtype)(inputs, styles)
        strength = self.param("noise_strength", nn.initializers.zeros, (), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, noise, bias = promote_dtype(x, strength * noise, bias, dtype=self.dtype)
        return _bounded(_leaky(x + noise + bias.reshape(1, 1, 1, -1)))


class ToColors(nn.Module):
    """Colors of features: a modulated convolution of 1 x 1 that keeps its norm."""

    colors: int
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "B H W C"], styles: Float[Array, "B S"]
    ) -> Float[Array, "B H W F"]:
        """Maps `[B, H, W, C]` to `[B, H, W, colors]`."""
        affine = EqualizedDense(inputs.shape[-1], bias_init=nn.initializers.ones, name="affine")
        inputs, scales = promote_dtype(inputs, affine(styles), dtype=self.dtype)
        colors = EqualizedDense(self.colors, dtype=self.dtype, name="colors")
        return _bounded(colors(inputs * scales[:, None, None]))


class Synthesis(nn.Module):
    """An image as the sum of images of all sizes, each made from the features of its size."""

    widths: tuple[int, ...]  # channels of each size, from the smallest up
    colors: int
    in_bfloat16: int = 0  # how many of the largest sizes compute in bfloat16

    @nn.compact
    def __call__(self, styles: Styles, noise: Sequence[Float[Array, "#B _ _ 1"]]) -> Images:
        """Maps styles `[B, L, S]` to images, with noise for each of the layers of 3 x 3.

        Of each size but the first, one layer enlarges the features and another follows. The
        image of a size has the style of the layer after it.
        """
        side = noise[0].shape[1]
        shape = (1, side, side, self.widths[0])
        x = self.param("constant", nn.initializers.normal(1.0), shape, jnp.float32)
        x = jnp.repeat(x, len(styles), 0)
        image = None
        dtypes = _dtypes(len(self.widths), self.in_bfloat16)
        for size, (features, dtype) in enumerate(zip(self.widths, dtypes, strict=True)):
            if size:
                enlarge = Layer(features, convolve_up, dtype)
                x = enlarge(x, styles[:, 2 * size - 1], noise[2 * size - 1])
            x = Layer(features, dtype=dtype)(x, styles[:, 2 * size], noise[2 * size])
            own = ToColors(self.colors, dtype)(x, styles[:, 2 * size + 1]).astype(styles.dtype)
            image = own if image is None else upsample(image) + own
        assert image is not None
        return image


def truncate(
    styles: Styles, average: Float[Array, "S"], psi: Scalar, layers: int | None = None
) -> Styles:
    """Moves styles towards their average: less variety, fewer failures.

    Source: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial
    Networks" (2019), appendix B.

    Args:
        styles: `[B, L, S]`.
        average: `[S]`, which a generator keeps as `batch_stats/average`.
        psi: what remains of the distance: 1 changes nothing, 0 leaves the average alone.
        layers: how many layers to treat, from the first; all if None.

    Returns:
        `[B, L, S]`.
    """
    average = average.reshape(1, 1, -1).astype(styles.dtype)
    treated = styles[:, :layers]
    moved = treated + (1 - psi) * (average - treated)
    return jnp.concatenate([moved, styles[:, moved.shape[1] :]], 1)


def mix(styles: Styles, others: Styles, taken: Bool[Array, "L"]) -> Styles:
    """Mixes the styles of two latents, layer by layer.

    A grid of all pairs has the coarse styles of its column and the fine ones of its row:

        mix(rows[:, None], columns[None], jnp.arange(layers) < 7)  # [R, C, L, S]

    Source: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial
    Networks" (2019), section 3.1.

    Args:
        styles: `[..., L, S]`.
        others: `[..., L, S]`; leading axes may be 1 in either.
        taken: `[L]`: which layers have the styles of `others`.

    Returns:
        `[..., L, S]`.
    """
    shape = jnp.broadcast_shapes(styles.shape, others.shape)
    return jnp.where(jnp.broadcast_to(taken[:, None], shape), others, styles)


def style_matrix(params: PyTree, layers: Sequence[int]) -> Float[Array, "S F"]:
    """Joins the layers that styles pass first, whose directions `jaxgan.latents.sefa` finds.

    To edit an image, add a direction to the styles of these layers alone.

    Source: Shen and Zhou, "Closed-Form Factorization of Latent Semantics in GANs" (2021), whose
    code divides each column by its length as well.

    Args:
        params: a generator's parameters.
        layers: which of the L styles; of the last, which goes to colors alone, it is that of these.

    Returns:
        `[S, F]`: the affine layers from styles to the scales of channels, side by side.

    Raises:
        ValueError: if there is no such layer.
    """
    synthesis = params["synthesis"]
    count = sum(name.startswith("Layer_") for name in synthesis)

    def affine(layer: int) -> Array:
        if not 0 <= layer <= count:
            raise ValueError(f"layers of this G are 0 to {count}, not {layer}")
        if layer < count:
            return synthesis[f"Layer_{layer}"]["ModulatedConv_0"]["affine"]["kernel"]
        return synthesis[f"ToColors_{count // 2}"]["affine"]["kernel"]

    return jnp.concatenate([affine(layer) for layer in layers], 1)


class Generator(nn.Module):
    """Mapping and synthesis.

    The collection `batch_stats` holds a running average of the styles, which starts at 0. It moves
    when G trains; in the source's code, also when D does. `generator.clone(truncation=0.7)` has the
    same parameters and samples near that average.
    """

    widths: tuple[int, ...]  # channels of each size, from the smallest up
    colors: int = 3  # channels of an image
    classes: int | None = None  # of labels; None for an unconditional generator
    style_size: int = 512
    mapping_depth: int = 8
    mixing: float = 0.9  # probability that a batch of training has styles of two latents
    decay: float = 0.995  # of the average of styles
    truncation: Scalar = 1.0  # psi, outside training (see `truncate`)
    smallest: int = 4  # side of the smallest size
    in_bfloat16: int = 0  # largest sizes that compute in bfloat16; 4 in the source, in float16

    def setup(self):
        """Makes the two halves, and the average."""
        self.mapping = Mapping(self.style_size, self.mapping_depth)
        self.synthesis = Synthesis(self.widths, self.colors, self.in_bfloat16)
        self.average = self.variable(
            "batch_stats", "average", jnp.zeros, (self.style_size,), jnp.float32
        )

    def __call__(self, latents: Latents, labels: Labels | None = None, *, train: bool) -> Images:
        """Maps latents `[B, Z]`, with labels `[B]` if conditional, to images `[B, H, W, C]`."""
        return self.to_images(self.to_styles(latents, labels, train=train))

    def to_styles(self, latents: Latents, labels: Labels | None = None, *, train: bool) -> Styles:
        """Maps latents to styles for all layers.

        Args:
            latents: `[B, Z]`.
            labels: int32 `[B]` if conditional.
            train: whether to move the average of styles and to mix: from a layer on that is drawn
                for the whole batch, styles are those of other latents, from N(0, 1). Otherwise,
                styles are truncated.

        Returns:
            `[B, L, S]`, where L is `2 * len(widths)`.
        """
        conditions = None
        if is_conditional(self.classes, labels):
            conditions = one_hot(labels, self.classes, dtype=latents.dtype)
        styles = self._for_all_layers(self.mapping(latents, conditions))
        average = self.average.value
        if not train:
            return truncate(styles, average, self.truncation)
        # On several devices, whoever minimizes takes the mean of what each of them keeps.
        now = styles[:, 0].astype(average.dtype).mean(0)
        self.average.value = self.decay * average + (1 - self.decay) * now
        if not self.mixing:
            return styles
        choice, place, others = jax.random.split(self.make_rng("mixing"), 3)
        layers = styles.shape[1]
        mixed = jax.random.bernoulli(choice, self.mixing)
        first = jnp.where(mixed, jax.random.randint(place, (), 1, layers), layers)
        others = normal_per_example(others, len(latents), latents.shape[1:], latents.dtype)
        others = self._for_all_layers(self.mapping(others, conditions))
        return mix(styles, others, jnp.arange(layers) >= first)

    def to_images(
        self, styles: Styles, noise: Sequence[Float[Array, "#B _ _ 1"]] | None = None
    ) -> Images:
        """Maps styles to images.

        Args:
            styles: `[B, L, S]`.
            noise: as `draw_noise` gives it, or `[1, H, W, 1]` for all images alike; drawn if None.

        Returns:
            Images `[B, H, W, C]`.
        """
        if noise is None:
            noise = self.draw_noise(len(styles), styles.dtype)
        return self.synthesis(styles, noise)

    def draw_noise(self, n: int, dtype=jnp.float32) -> list[Float[Array, "B _ _ 1"]]:
        """Draws noise from N(0, 1) for all layers of 3 x 3.

        Args:
            n: how many images.
            dtype: of the noise.

        Returns:
            For each layer, `[n, H, W, 1]`.
        """
        key = self.make_rng("noise")
        layers = range(2 * len(self.widths) - 1)
        sides = [self.smallest * 2 ** ((layer + 1) // 2) for layer in layers]
        return [
            normal_per_example(jax.random.fold_in(key, layer), n, (side, side, 1), dtype)
            for layer, side in enumerate(sides)
        ]

    def _for_all_layers(self, styles: Float[Array, "B S"]) -> Styles:
        return jnp.repeat(styles[:, None], 2 * len(self.widths), 1)


class Block(nn.Module):
    """Two convolutions, of which the second halves the size."""

    features: int  # output channels
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B P Q F"]:
        """Maps `[B, H, W, C]` to `[B, H / 2, W / 2, features]`."""
        x = _bounded(_leaky(EqualizedConv(inputs.shape[-1], dtype=self.dtype)(inputs)))
        return _bounded(_leaky(EqualizedConv(self.features, convolve_down, self.dtype)(x)))


class ResidualBlock(nn.Module):
    """A block and a linear shortcut."""

    features: int  # output channels
    dtype: DTypeLike | None = None  # that it computes in; that of inputs and parameters if None

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B P Q F"]:
        """Maps `[B, H, W, C]` to `[B, H / 2, W / 2, features]`."""
        shrink = EqualizedDense(self.features, use_bias=False, dtype=self.dtype)
        shortcut = shrink(downsample(inputs))
        return (shortcut + Block(self.features, self.dtype)(inputs)) / math.sqrt(2)


class Discriminator(nn.Module):
    """Convolutions down to the smallest size, the deviation within groups, and dense layers."""

    widths: tuple[int, ...]  # channels of each size, from the smallest up
    block: Callable[..., nn.Module] = ResidualBlock  # of a number of features, and a type
    group: int = 4  # examples in a group (see `minibatch_deviation`)
    classes: int | None = None  # of labels; None for an unconditional discriminator
    smallest: int = 4  # side of the smallest size
    in_bfloat16: int = 0  # largest sizes that compute in bfloat16; 4 in the source, in float16

    @nn.compact
    def __call__(self, images: Images, labels: Labels | None = None, *, train: bool) -> Scores:
        """Maps images `[B, H, W, C]`, with labels `[B]` if conditional, to logits `[B]`.

        Raises:
            ValueError: if images are not of the largest of as many sizes as there are widths, or
                groups do not divide the batch.
        """
        require_sizes(images, len(self.widths), self.smallest)
        *larger, largest = self.widths
        dtypes = _dtypes(len(self.widths), self.in_bfloat16)
        x = _bounded(_leaky(EqualizedDense(largest, dtype=dtypes[-1])(images)))
        for features, dtype in reversed(list(zip(larger, dtypes[1:], strict=True))):
            x = self.block(features, dtype)(x)
        x = minibatch_deviation(x.astype(images.dtype), self.group)
        width = self.widths[0]
        x = _bounded(_leaky(EqualizedConv(width)(x)))
        x = _leaky(EqualizedDense(width)(x.reshape(len(x), -1)))
        if not is_conditional(self.classes, labels):
            return EqualizedDense(1)(x)[:, 0]
        conditions = one_hot(labels, self.classes, dtype=images.dtype)
        wanted = Mapping(width)(None, conditions)
        return (EqualizedDense(width)(x) * wanted).sum(-1) / math.sqrt(width)


class Pair(NamedTuple):
    """Two networks for the same images."""

    generator: Generator
    discriminator: Discriminator


#: Settings of the source's code, called `cifar` and `paper256` there, for images of 32 x 32 and of
#: 256 x 256. `clone` changes them: `CIFAR.generator.clone(classes=10)`.
CIFAR = Pair(
    Generator((512,) * 4, mapping_depth=2, mixing=0.0),
    Discriminator((512,) * 4, Block, group=32),
)
#: Settings for images of 256 x 256 (see `CIFAR`).
PAPER256 = Pair(
    Generator((512, 512, 512, 512, 256, 128, 64)),
    Discriminator((512, 512, 512, 512, 256, 128, 64), group=8),
)
