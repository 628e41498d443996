"""GAT on ImageNet at 256 x 256, in the latents of Stable Diffusion's autoencoder."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from flax import linen as nn

from jaxgan.augment import Augmentation, compose, sometimes
from jaxgan.models import gat, sd_vae
from jaxgan.recipes.latent_gat import LatentGat
from jaxgan.recipes.recipe import Count
from jaxgan.types import DataSpec

EPOCH = 1_281_167 // 512  # steps


def _preset(name: str, patch: int) -> dict[str, Any]:
    return {**gat.SIZES[name]._asdict(), "patch": patch}


@dataclass(frozen=True, kw_only=True)
class Imagenet256Gat(LatentGat):
    """GAT on ImageNet at 256 x 256 pixels: conditional transformers on latents of 32 x 32 x 4.

    The presets are the published sizes, S, B, L and XL, with patches of 2, 4 or 8: `--preset b2`.

    Source: Hyun et al., "Scalable GANs with Transformers" (2025), and its code, but for the term
    that draws D's tokens towards features of DINOv2, which is left out. Latents are means, where
    the source draws them from the encoder's distributions.

    Command: `jaxgan train imagenet256_gat --latents latents`, after `jaxgan encode
    diffusion_pytorch_model.safetensors --data tfds:imagenet2012 --image-size 256 --out latents`
    Expect: the source reports an FID of 2.18 for XL/2 after 60 epochs, with that term. It is for
    GPUs or TPUs, and has not been trained here. Of XL/2, a state takes 14.5 GiB, and a step is 34
    passes of 0.24 TFLOP for each of its 512 pictures.
    """

    name: ClassVar[str] = "imagenet256_gat"
    default_length: ClassVar = {"steps": 60 * EPOCH}
    presets: ClassVar = {
        f"{name.lower()}{patch}": _preset(name, patch) for name in gat.SIZES for patch in (2, 4, 8)
    }

    data: str = "tfds:imagenet2012"  # of the pictures: tfds:NAME, folder:PATH, ...
    image_size: Count | None = 256  # height and width of the pictures
    batch_size: Count = 512  # real examples in one update
    dtype: Literal["float32", "bfloat16"] = "bfloat16"  # that the networks compute in
    depth: Count = gat.SIZES["XL"].depth  # blocks of either player; 4 divides them
    width: Count = gat.SIZES["XL"].width  # numbers of a token
    heads: Count = gat.SIZES["XL"].heads  # of attention; the channels of each are a multiple of 4
    patch: Count = 2  # side of the square of latents that a token stands for

    def augment(self) -> Augmentation:
        """Makes DiffAugment, and mirrors half of the examples (see `GatRecipe.augment`)."""
        return compose(super().augment(), sometimes(lambda image, key: image[:, ::-1], 0.5))

    def decoder(self, spec: DataSpec) -> nn.Module:
        """Makes the decoder of Stable Diffusion (see `LatentGat.decoder`)."""
        return sd_vae.Decoder(spec.shape[-1])
