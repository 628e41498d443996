"""CycleGAN: residual generators that translate between two domains, and both ways as one player.

The defaults are the source's for 256 x 256; it has 6 blocks for 128 x 128 and less. Small pictures,
of which every pixel counts, need fewer halvings. The discriminators are those of
`jaxgan.models.patchgan`, with `norms.instance`.

Examples are pictures of the domains a and b, which are no pair. For the way there and back, and for
pictures that are in their domain already, G is called again:

    def cycle_and_identity(play):
        def apart(pictures):
            errors = jax.tree.map(lambda x, y: jnp.abs(x - y).mean((1, 2, 3)), pictures, play.real)
            return (errors["a"] + errors["b"]) / 2

        swapped = {"a": play.real["b"], "b": play.real["a"]}
        return 10 * apart(play.generate(play.fake)) + 5 * apart(play.generate(swapped))

    def pictures(batch):
        return {"a": batch["a"], "b": batch["b"]}

    GAN(
        generator=linen(Generators(Generator(3), Generator(3))),
        discriminator=linen(Discriminators(judge, judge.clone())),
        loss=least_squares,
        inputs=lambda key, n, batch: pictures(batch),
        real=pictures,
        generator_terms=cycle_and_identity,
        ...,
    )

All of these are means over the two domains, where the source's losses of G are sums.

Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks" (2017), sections 4 and 7.2, and its code; the generator is after Johnson et al.,
"Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (2016). Biases are as in the
authors' PyTorch version.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn import norms
from jaxgan.nn.layers import Conv, ConvTranspose
from jaxgan.types import Images, PatchScores

_normal = nn.initializers.normal(0.02)
_ONE = ((1, 1), (1, 1))


class Block(nn.Module):
    """A residual block: two convolutions of 3 x 3."""

    norm: norms.Norm

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"], train: bool) -> Float[Array, "B H W C"]:
        """Maps `[B, H, W, C]` to the same shape."""
        conv = partial(
            Conv,
            *(inputs.shape[-1], 3),
            padding="REFLECT",
            kernel_init=_normal,
            use_bias=self.norm.biases,
        )
        x = nn.relu(self.norm.make(train)(conv()(inputs)))
        return inputs + self.norm.make(train)(conv()(x))


class Generator(nn.Module):
    """Layers that halve the size, residual blocks, and as many layers that double it."""

    colors: int  # channels of the pictures it makes
    blocks: int = 9  # residual blocks
    width: int = 64  # channels of the full size; doubled with each halving
    norm: norms.Norm = norms.instance
    halvings: int = 2  # of the size

    @nn.compact
    def __call__(
        self, images: Float[Array, "B H W C"], train: bool
    ) -> Float[Array, "B H W {self.colors}"]:
        """Maps images `[B, H, W, C]` to images `[B, H, W, colors]` in [-1, 1].

        Raises:
            ValueError: if H and W cannot be halved that often.
        """
        height, width = images.shape[1:3]
        if height % 2**self.halvings or width % 2**self.halvings:
            raise ValueError(f"images of {height} x {width} cannot be halved {self.halvings} times")

        def then_norm(x: Array) -> Array:
            return nn.relu(self.norm.make(train)(x))

        biases = self.norm.biases
        around = partial(Conv, kernel_size=7, padding="REFLECT", kernel_init=_normal)
        resize = {"padding": _ONE, "kernel_init": _normal, "use_bias": biases}
        x = then_norm(around(self.width, use_bias=biases)(images))
        for size in range(self.halvings):
            x = then_norm(Conv(self.width << (size + 1), 3, 2, **resize)(x))
        for _ in range(self.blocks):
            x = Block(self.norm)(x, train)
        for size in reversed(range(self.halvings)):
            x = then_norm(ConvTranspose(self.width << size, 3, 2, **resize)(x))
        return jnp.tanh(around(self.colors)(x))


class Generators(nn.Module):
    """A generator each way, as one player."""

    to_a: nn.Module
    to_b: nn.Module

    def __call__(self, pictures: dict[str, Images], train: bool) -> dict[str, Images]:
        """Translates pictures `{"a": [B, ...], "b": [B, ...]}`: "a" is made of "b", "b" of "a".

        After training, pictures of one domain will do: `{"a": ...}` gives `{"b": ...}`.
        """
        ways = {"a": ("b", self.to_a), "b": ("a", self.to_b)}
        return {
            name: translate(pictures[source], train=train)
            for name, (source, translate) in ways.items()
            if source in pictures
        }


class Discriminators(nn.Module):
    """A discriminator of each domain, as one player."""

    of_a: nn.Module
    of_b: nn.Module

    def __call__(self, pictures: dict[str, Images], train: bool) -> PatchScores:
        """Judges pictures `{"a": [B, ...], "b": [B, ...]}`, each with its own discriminator.

        Returns:
            The scores of patches: those of b, `[B, h, w]`, below those of a, in `[B, 2 h, w]`.
        """
        a, b = pictures["a"], pictures["b"]
        return jnp.concatenate([self.of_a(a, train=train), self.of_b(b, train=train)], axis=1)
