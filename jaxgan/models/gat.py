"""GAT: transformers for generator and discriminator, of any size.

G makes a picture of all its tokens at once, in four steps: after each quarter of its blocks, a head
adds to what the earlier ones made. These four pictures are *levels*, `[B, L, H, W, C]`, of which
the last is the sample, and D judges all four as one.

Pictures are not bounded. Latents are 64 standard normal numbers in the source, and pictures are
latents of an autoencoder, of 32 x 32 x 4:

    size = SIZES["XL"]
    generator = Generator(size, shape=(32, 32, 4), patch=2, classes=1000)
    discriminator = Discriminator(size, patch=2, classes=1000)

Source: Hyun et al., "Scalable GANs with Transformers" (2025), and its code.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from jaxtyping import Float

from jaxgan.nn.labels import Embed, Labels, class_means, is_conditional, one_hot
from jaxgan.nn.layers import normalize_second_moment
from jaxgan.nn.positions import rotary_angles, sine_cosine
from jaxgan.nn.transformer import (
    Angles,
    Attention,
    Dense,
    SwiGlu,
    Tokens,
    from_patches,
    recomputed,
    rms_norm,
    stack,
    to_patches,
)
from jaxgan.types import Latents, Scalar, Scores

LEVELS = 4  # pictures of G, each made from as many blocks
SPEED = 0.01  # at which what makes styles and label codes learns, by that of other layers

Styles = Float[Array, "B D"]
Levels = Float[Array, "B L H W C"]  # pictures of each example, from the first head to the last


class Size(NamedTuple):
    """How large a network is."""

    depth: int  # blocks; of G, 4 divides them
    width: int  # width of a token
    heads: int  # of attention; the channels of each are a multiple of 4


#: The published sizes.
SIZES: Mapping[str, Size] = {
    "S": Size(12, 384, 6),
    "B": Size(12, 768, 12),
    "L": Size(24, 1024, 16),
    "XL": Size(28, 1152, 16),
}


class SlowDense(nn.Module):
    """A dense layer that learns at a hundredth of the speed of others.

    Parameters are kept a hundred times as large as they act. Adam's steps do not grow with them, so
    that they change less in proportion.
    """

    features: int  # outputs

    @nn.compact
    def __call__(self, inputs: Float[Array, "B C"]) -> Float[Array, "B F"]:
        """Maps `[B, C]` to `[B, features]`."""
        init = nn.initializers.variance_scaling(SPEED**-2, "fan_avg", "uniform")
        shape = (inputs.shape[-1], self.features)
        kernel = self.param("kernel", init, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return SPEED * (inputs @ kernel + bias[None])


class SlowMlp(nn.Module):
    """Two slow layers."""

    features: int  # outputs, and hidden units

    @nn.compact
    def __call__(self, inputs: Float[Array, "B C"]) -> Float[Array, "B F"]:
        """Maps `[B, C]` to `[B, features]`."""
        hidden = nn.silu(SlowDense(self.features)(inputs))
        return SlowDense(self.features)(hidden)


class Modulation(nn.Module):
    """What a style makes of the channels of tokens: a few vectors."""

    count: int  # of vectors
    gain: float  # of the first weights, by Xavier's: how large the vectors are at first

    @nn.compact
    def __call__(self, styles: Styles) -> Float[Array, "N B 1 D"]:
        """Maps styles `[B, D]` to `[count, B, 1, D]`, one for all tokens."""
        init = nn.initializers.variance_scaling(self.gain**2, "fan_avg", "uniform")
        made = nn.Dense(self.count * styles.shape[-1], kernel_init=init)(nn.silu(styles))
        return jnp.stack(jnp.split(made[:, None], self.count, -1))


class GeneratorBlock(nn.Module):
    """Attention and an MLP, whose inputs and outputs a style scales."""

    heads: int
    gain: float  # of modulation

    @nn.compact
    def __call__(self, inputs: Tokens, styles: Styles, angles: Angles) -> tuple[Tokens, None]:
        """Maps tokens `[B, T, D]`, by styles `[B, D]`, to the same shape."""
        scale, gate, mlp_scale, mlp_gate = Modulation(4, self.gain)(styles)
        x = inputs
        x += gate * Attention(self.heads)(rms_norm(gain=False)(x) * (1 + scale), angles)
        x += mlp_gate * SwiGlu()(rms_norm(gain=False)(x) * (1 + mlp_scale))
        return x, None


class Quarter(nn.Module):
    """Blocks of G, and the head that makes a picture of what they leave."""

    size: Size
    features: int  # numbers of a patch
    gain: float  # of modulation

    @nn.compact
    def __call__(
        self, inputs: Tokens, styles: Styles, angles: Angles
    ) -> tuple[Tokens, Float[Array, "B T F"]]:
        """Maps tokens `[B, T, D]`, by styles `[B, D]`, to tokens and to patches `[B, T, F]`."""
        blocks = stack(recomputed(GeneratorBlock), self.size.depth // LEVELS)
        x, _ = blocks(self.size.heads, self.gain, name="blocks")(inputs, styles, angles)
        (scale,) = Modulation(1, self.gain)(styles)
        return x, Dense(self.features, name="patches")(rms_norm(gain=False)(x) * (1 + scale))


class Generator(nn.Module):
    """A mapping of latents to styles, and a synthesis of four levels by styles.

    With the source's gain of 0.1, the first samples of a class are nearly alike: with four blocks
    of width 96, a thousandth of their mean square depends on the latent. Small networks may never
    come to vary then. With a gain of 5, it is three quarters.

    The collection `batch_stats` holds a running average of the styles of each class, which starts
    at 0 and moves when G trains. `generator.clone(truncation=0.7)` has the same parameters and
    samples near it.
    """

    size: Size
    shape: tuple[int, int, int]  # of a picture: height, width, colors
    patch: int  # side of the square that a token stands for
    classes: int | None = None  # of labels; None for an unconditional generator
    label_size: int = 64  # of a label's code, which comes before the latent
    decay: float = 0.995  # of the average of styles; in microbatches, of their mean over the parts
    truncation: Scalar = 1.0  # psi, outside training: 0 leaves the average alone
    gain: float = 0.1  # of the first weights that styles act through, by Xavier's

    def setup(self):
        """Makes the parts, and the average.

        Raises:
            ValueError: if 4 does not divide the number of blocks.
        """
        if self.size.depth % LEVELS:
            raise ValueError(f"G has {LEVELS} heads, which do not divide {self.size.depth} blocks")
        if self.classes is not None:
            init = nn.initializers.normal(0.02)
            self.codes = Embed(self.classes, self.label_size, embedding_init=init)
        self.mapping = SlowMlp(self.size.width)
        *_, colors = self.shape
        self.quarters = stack(Quarter, LEVELS)(self.size, self.patch**2 * colors, self.gain)
        self.average = self.variable(
            "batch_stats", "average", jnp.zeros, (self.classes or 1, self.size.width), jnp.float32
        )

    def __call__(self, latents: Latents, labels: Labels | None = None, *, train: bool) -> Levels:
        """Maps latents `[B, Z]`, with labels `[B]` if conditional, to levels `[B, 4, H, W, C]`."""
        return self.to_levels(self.to_styles(latents, labels, train=train))

    def to_styles(self, latents: Latents, labels: Labels | None = None, *, train: bool) -> Styles:
        """Maps latents to styles.

        Args:
            latents: `[B, Z]`.
            labels: int32 `[B]` if conditional.
            train: whether to move the averages of styles; otherwise, styles are truncated.

        Returns:
            `[B, D]`.
        """
        average, inputs = self.average.value, normalize_second_moment(latents)
        if is_conditional(self.classes, labels):
            inputs = jnp.concatenate([normalize_second_moment(self.codes(labels)), inputs], 1)
        # Without labels there is one class.
        rows = jnp.zeros(len(latents), jnp.int32) if labels is None else labels
        styles = self.mapping(inputs)
        if train:
            now = lax.stop_gradient(styles.astype(average.dtype))
            means, found = class_means(now, rows, len(average))
            moved = self.decay * average + (1 - self.decay) * means
            self.average.value = jnp.where(found[:, None], moved, average)
            return styles
        typical = one_hot(rows, len(average), styles.dtype) @ average.astype(styles.dtype)
        return typical + self.truncation * (styles - typical)

    def to_levels(self, styles: Styles) -> Levels:
        """Maps styles `[B, D]` to levels `[B, 4, H, W, C]`."""
        height, width, colors = self.shape
        rows, columns = height // self.patch, width // self.patch
        places = jnp.asarray(sine_cosine(rows, columns, self.size.width), styles.dtype)
        tokens = jnp.broadcast_to(places[None], (len(styles), *places.shape))
        angles = rotary_angles(rows, columns, self.size.width // self.size.heads)
        _, patches = self.quarters(tokens, styles, jnp.asarray(angles))
        made = jnp.cumsum(jnp.swapaxes(patches, 0, 1), 1)  # [B, L, T, F]
        made = made.reshape(-1, *made.shape[2:])
        return from_patches(made, height, width, self.patch).reshape(-1, LEVELS, *self.shape)


class DiscriminatorBlock(nn.Module):
    """Attention and an MLP, whose outputs a vector scales that starts at 0.1."""

    heads: int

    @nn.compact
    def __call__(self, inputs: Tokens, angles: Angles) -> tuple[Tokens, None]:
        """Maps tokens `[B, T, D]` to the same shape."""

        def scale(name: str) -> Float[Array, "1 1 D"]:
            init = nn.initializers.constant(0.1)
            return self.param(name, init, inputs.shape[-1:], jnp.float32)[None, None]

        x = inputs
        x += scale("scale") * Attention(self.heads)(rms_norm(gain=True)(x), angles)
        x += scale("mlp_scale") * SwiGlu()(rms_norm(gain=True)(x))
        return x, None


class Projector(nn.Module):
    """Three dense layers, from tokens to the features of another network."""

    hidden: int  # units
    features: int  # outputs

    @nn.compact
    def __call__(self, inputs: Tokens) -> Float[Array, "B T F"]:
        """Maps `[B, T, D]` to `[B, T, features]`."""
        x = inputs
        for _ in range(2):
            x = nn.silu(Dense(self.hidden)(x))
        return Dense(self.features)(x)


class Discriminator(nn.Module):
    """Blocks on the patches of all levels, and on one more token, whose features give the score.

    With `feature_size`, outputs are a dictionary: "score"; and features, to be drawn towards those
    of a trained network (see `jaxgan.terms.misalignment`): "whole", `[B, F]`, of the first token,
    and "patches", `[B, h, w, F]`.
    """

    size: Size
    patch: int  # side of the square that a token stands for
    classes: int | None = None  # of labels; None for an unconditional discriminator
    code_size: int = 2048  # numbers of a label's code, whose product with the features is the score
    feature_size: int | None = None  # F; None for a score alone

    @nn.compact
    def __call__(
        self, levels: Levels, labels: Labels | None = None, *, train: bool
    ) -> Scores | dict[str, Array]:
        """Maps levels `[B, L, H, W, C]`, with labels `[B]` if conditional, to logits `[B]`."""
        batch, _, height, width, _ = levels.shape
        pictures = jnp.moveaxis(levels, 1, 3).reshape(batch, height, width, -1)
        x = Dense(self.size.width, name="patches")(to_patches(pictures, self.patch))
        grid = height // self.patch, width // self.patch
        x += jnp.asarray(sine_cosine(*grid, self.size.width), x.dtype)[None]
        init = nn.initializers.normal(0.02)
        token = self.param("token", init, (1, 1, self.size.width), jnp.float32)
        x = jnp.concatenate([jnp.broadcast_to(token, (batch, 1, self.size.width)), x], 1)
        # The first token has no place and is not turned.
        angles = jnp.pad(rotary_angles(*grid, self.size.width // self.size.heads), [(1, 0), (0, 0)])
        blocks = stack(recomputed(DiscriminatorBlock), self.size.depth)
        x, _ = blocks(self.size.heads, name="blocks")(x, angles)
        features = rms_norm(gain=True)(x[:, 0])
        if is_conditional(self.classes, labels):
            features = Dense(self.code_size, name="features")(features)
            table = Embed(self.classes, self.code_size, embedding_init=init, name="labels")
            score = (features * SlowMlp(self.code_size)(table(labels))).sum(-1)
        else:
            score = Dense(1, use_bias=False, name="score")(features)[:, 0]
        if self.feature_size is None:
            return score
        projected = Projector(self.code_size, self.feature_size, name="projector")(x)
        patches = projected[:, 1:].reshape(batch, *grid, self.feature_size)
        return {"score": score, "whole": projected[:, 0], "patches": patches}
