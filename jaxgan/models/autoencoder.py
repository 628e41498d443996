"""A small convolutional autoencoder: pictures to latents of fewer numbers, and back.

GANs can be trained on its latents instead of pictures. Latents have a mean of 0 and a deviation of
1 in each channel, by batch norm without parameters, and noise is added to them in training, so that
latents that are nearly right make pictures that are nearly right. There is no other bottleneck: the
noise bounds what a number can tell.

Source: after Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022),
which has larger networks, attention, and latents from a distribution of learned deviations.
"""

from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn.layers import Conv, ConvTranspose, batch_norm
from jaxgan.nn.noise import normal_per_example
from jaxgan.types import Images

GROUP = 8  # channels that are normalized together

Latents = Float[Array, "B h w C"]


class Block(nn.Module):
    """Twice group norm, SiLU and a convolution, added to the inputs."""

    @nn.compact
    def __call__(self, inputs: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Maps `[B, H, W, C]` to the same shape."""
        x = inputs
        for init in (nn.initializers.glorot_uniform(), nn.initializers.zeros):
            x = nn.silu(nn.GroupNorm(None, GROUP)(x))
            x = Conv(inputs.shape[-1], 3, kernel_init=init)(x)
        return inputs + x


class Encoder(nn.Module):
    """Convolutions that halve the size, each with a block after it."""

    widths: tuple[int, ...]  # channels, from the largest size to that of latents; multiples of 8
    channels: int  # of latents

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Latents:
        """Maps `[B, H, W, C]` to `[B, H / 2^n, W / 2^n, channels]`, of n widths.

        Raises:
            ValueError: if 2^n does not divide height and width.
        """
        factor = 2 ** len(self.widths)
        if images.shape[1] % factor or images.shape[2] % factor:
            raise ValueError(
                f"height and width must be multiples of {factor}, not {images.shape[1:3]}"
            )
        x = images
        for width in self.widths:
            x = Block()(Conv(width, 4, 2)(x))
        x = Conv(self.channels, 3)(nn.silu(nn.GroupNorm(None, GROUP)(x)))
        return batch_norm(0.99, 1e-5, train)(use_scale=False, use_bias=False)(x)


class Decoder(nn.Module):
    """The encoder, backwards."""

    widths: tuple[int, ...]  # those of the encoder
    colors: int  # of images

    @nn.compact
    def __call__(self, latents: Latents, *, train: bool) -> Images:
        """Maps `[B, h, w, C]` to `[B, 2^n h, 2^n w, colors]`, unbounded, of n widths."""
        *wider, inner = self.widths
        x = Conv(inner, 3)(latents)
        for width in reversed(wider):
            x = ConvTranspose(width, 4, 2)(Block()(x))
        return ConvTranspose(self.colors, 4, 2)(nn.silu(nn.GroupNorm(None, GROUP)(Block()(x))))


class Autoencoder(nn.Module):
    """An encoder and a decoder, `encoder` and `decoder` among the parameters."""

    widths: tuple[int, ...]
    channels: int  # of latents
    colors: int
    noise: float = 0.1  # deviation of what is added to latents in training

    def setup(self):
        """Makes both."""
        self.encoder = Encoder(self.widths, self.channels)
        self.decoder = Decoder(self.widths, self.colors)

    def __call__(self, images: Images, *, train: bool) -> Images:
        """Maps images `[B, H, W, colors]` to images that are made of their latents."""
        latents = self.encoder(images, train=train)
        if train:
            n, *shape = latents.shape
            drawn = normal_per_example(self.make_rng("noise"), n, tuple(shape), latents.dtype)
            latents += self.noise * drawn
        return self.decoder(latents, train=train)
