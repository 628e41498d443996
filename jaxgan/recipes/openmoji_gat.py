"""A small GAT of emoji, in the latents of a small autoencoder."""

from dataclasses import dataclass
from typing import ClassVar

from flax import linen as nn

from jaxgan.models.autoencoder import Decoder
from jaxgan.recipes.autoencoder import COLORS, Widths
from jaxgan.recipes.latent_gat import LatentGat
from jaxgan.recipes.recipe import Count, Positive
from jaxgan.types import DataSpec


@dataclass(frozen=True, kw_only=True)
class OpenmojiGat(LatentGat):
    """A small GAT on emoji in color, which makes latents of an autoencoder; conditional.

    Source: Hyun et al., "Scalable GANs with Transformers" (2025). Sizes, batch, G's learning
    rate and length are our own, for a CPU; so is the autoencoder, whose latents are a sixth of the
    picture.

    Command: `jaxgan train openmoji_gat --latents latents`, after `jaxgan train autoencoder --out
    runs/coder` and `jaxgan encode runs/coder --out latents`
    Expect: people, flags and things in outlines and colors of their own, blurred and no emoji yet,
    after its 4,000 steps of 0.36 s on one CPU core (seed 0): a Frechet distance of pixels of 91
    (4,000 samples), recall 0; `openmoji_cgan` has 43 and 0.06, real emoji 11 and 0.84. With
    `--style-gain 0.1`, as in the source, it is 148 (with each class equally often), and samples of
    a class are nearly alike. G's rate is a quarter of D's, or D loses hold within 300 steps.
    """

    name: ClassVar[str] = "openmoji_gat"
    default_length: ClassVar = {"steps": 4000}
    coder: ClassVar = "`jaxgan encode RUN --out FOLDER`, where RUN is of the recipe autoencoder"
    fitting: ClassVar = "choose the sizes of the autoencoder, such as --decoder-widths"

    data: str = "openmoji"  # of the pictures: mnist, openmoji, faces, tfds:NAME, folder:PATH
    image_size: Count | None = 32  # height and width of the pictures
    batch_size: Count = 32  # real examples in one update
    sample_every: Count = 500  # steps between two pictures of samples
    code_size: Count = 512  # dimensions of a label's code in D
    depth: Count = 4  # blocks of either player; 4 divides them
    width: Count = 96  # width of a token
    heads: Count = 4  # of attention; the channels of each are a multiple of 4
    patch: Count = 2  # side of the square of latents that a token stands for
    style_gain: Positive = 5.0  # how much first pictures depend on styles
    generator_rate: Positive = 0.25  # G's learning rate as a multiple of D's
    decoder_widths: Widths = COLORS  # those of the autoencoder

    def decoder(self, spec: DataSpec) -> nn.Module:
        """Makes the decoder of the recipe `autoencoder` (see `LatentGat.decoder`)."""
        return Decoder(self.decoder_widths, spec.shape[-1])
