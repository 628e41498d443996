"""The autoencoder of Stable Diffusion: pictures to latents of an eighth of their sides, and back.

With the default sizes, 34,163,664 parameters encode and 49,490,199 decode. Their published weights
are read by `jaxgan.interop.load_sd_vae`; layers are named as in the files of these. The
autoencoder of SDXL has the same layers, but another `SCALING`.

Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), and
its code.
"""

import jax
from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn.layers import Conv
from jaxgan.nn.residual import double

FACTOR = 8  # by which the published widths divide sides
SCALING = 0.18215  # brings latents to a variance of about 1

Maps = Float[Array, "B H W C"]


class Encoder(nn.Module):
    """Maps images to the means of their latents' distributions."""

    latents: int = 4  # channels of latents
    widths: tuple[int, ...] = (128, 256, 512, 512)  # channels; each but the first at half the size
    blocks: int = 2  # residual ones at each size
    groups: int = 32  # of channels that are normalized together

    @nn.compact
    def __call__(self, images: Maps, train: bool) -> Float[Array, "B P Q {self.latents}"]:
        """Maps images `[B, H, W, 3]` in [-1, 1] to scaled latents `[B, H / 8, W / 8, latents]`.

        Other numbers of widths than four make it another power of two than 8.

        Raises:
            ValueError: if it does not divide height and width.
        """
        del train  # part of every network's signature
        height, width = images.shape[1:3]
        factor = 2 ** (len(self.widths) - 1)
        if height % factor or width % factor:
            raise ValueError(
                f"the encoder divides sides by {factor}, which {height} x {width} does not allow"
            )
        x = Conv(self.widths[0], 3, name="conv_in")(images)
        for level, features in enumerate(self.widths):
            if level:
                before = f"down_blocks.{level - 1}.downsamplers.0.conv"
                x = Conv(x.shape[-1], 3, 2, ((0, 1), (0, 1)), name=before)(x)
            for number in range(self.blocks):
                x = Block(features, self.groups, name=f"down_blocks.{level}.resnets.{number}")(x)
        x = _activate(self.groups, "conv_norm_out", _middle(self.groups, x))
        moments = Conv(2 * self.latents, 3, name="conv_out")(x)
        moments = nn.Dense(2 * self.latents, name="quant_conv")(moments)
        return SCALING * moments[..., : self.latents]  # the others are logarithms of variances


class Decoder(nn.Module):
    """Maps latents to images."""

    colors: int = 3  # channels of images
    widths: tuple[int, ...] = (128, 256, 512, 512)  # as the encoder's: the last come first
    blocks: int = 3  # residual ones at each size
    groups: int = 32  # of channels that are normalized together

    @nn.compact
    def __call__(self, latents: Maps, train: bool) -> Float[Array, "B P Q {self.colors}"]:
        """Maps scaled latents `[B, H, W, 4]` to images `[B, 8 H, 8 W, colors]`.

        Images of what the encoder gives are in [-1, 1], but for a little.
        """
        del train  # part of every network's signature
        x = nn.Dense(latents.shape[-1], name="post_quant_conv")(latents / SCALING)
        x = _middle(self.groups, Conv(self.widths[-1], 3, name="conv_in")(x))
        for level, features in enumerate(reversed(self.widths)):
            if level:
                before = f"up_blocks.{level - 1}.upsamplers.0.conv"
                x = Conv(x.shape[-1], 3, name=before)(double(x))
            for number in range(self.blocks):
                x = Block(features, self.groups, name=f"up_blocks.{level}.resnets.{number}")(x)
        x = _activate(self.groups, "conv_norm_out", x)
        return Conv(self.colors, 3, name="conv_out")(x)


class Block(nn.Module):
    """Twice a norm, SiLU and a convolution; and a shortcut, linear where the channels change."""

    features: int  # output channels
    groups: int

    @nn.compact
    def __call__(self, inputs: Maps) -> Float[Array, "B H W {self.features}"]:
        """Maps `[B, H, W, C]` to `[B, H, W, features]`."""
        x = Conv(self.features, 3, name="conv1")(_activate(self.groups, "norm1", inputs))
        x = Conv(self.features, 3, name="conv2")(_activate(self.groups, "norm2", x))
        if inputs.shape != x.shape:
            inputs = nn.Dense(self.features, name="conv_shortcut")(inputs)
        return inputs + x


class Attention(nn.Module):
    """Adds to each place what it gathers from all others, with a single head."""

    groups: int

    @nn.compact
    def __call__(self, inputs: Maps) -> Maps:
        """Maps `[B, H, W, C]` to the same shape."""
        batch, *_, channels = inputs.shape
        x = _norm(self.groups, "group_norm")(inputs).reshape(batch, -1, 1, channels)
        queries, keys, values = (
            nn.Dense(channels, name=name)(x) for name in ("to_q", "to_k", "to_v")
        )
        gathered = jax.nn.dot_product_attention(queries, keys, values)
        return inputs + nn.Dense(channels, name="to_out.0")(gathered).reshape(inputs.shape)


def _middle(groups: int, x: Array) -> Array:
    """Applies what encoder and decoder have at the smallest size."""
    channels = x.shape[-1]
    x = Block(channels, groups, name="mid_block.resnets.0")(x)
    x = Attention(groups, name="mid_block.attentions.0")(x)
    return Block(channels, groups, name="mid_block.resnets.1")(x)


def _activate(groups: int, name: str, x: Array) -> Array:
    return nn.silu(_norm(groups, name)(x))


def _norm(groups: int, name: str) -> nn.GroupNorm:
    return nn.GroupNorm(groups, epsilon=1e-6, name=name)
