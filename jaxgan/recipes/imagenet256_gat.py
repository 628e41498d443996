"""GAT on ImageNet at 256 x 256, in the latents of Stable Diffusion's autoencoder."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
from flax import linen as nn
from jax import Array

from jaxgan.augment import Augmentation, compose, sometimes
from jaxgan.data import Feed
from jaxgan.data.encoded import Taught
from jaxgan.features import dinov2
from jaxgan.models import gat, sd_vae
from jaxgan.recipes.gat import Representation
from jaxgan.recipes.latent_gat import LatentGat
from jaxgan.recipes.recipe import Count, NonNegative
from jaxgan.types import Batch, DataSpec

EPOCH = 1_281_167 // 512  # steps


def _preset(name: str, patch: int) -> dict[str, Any]:
    return {**gat.SIZES[name]._asdict(), "patch": patch}


@dataclass(frozen=True, kw_only=True)
class Imagenet256Gat(LatentGat):
    """GAT on ImageNet at 256 x 256 pixels: conditional transformers on latents of 32 x 32 x 4.

    The presets are the published sizes, S, B, L and XL, with patches of 2, 4 or 8: `--preset b2`.

    D's tokens of reals are drawn towards what DINOv2's ViT-B/14 sees in their pictures, which are
    therefore read beside the latents.

    Source: Hyun et al., "Scalable GANs with Transformers" (2025), and its code. Latents are means,
    where the source draws them from the encoder's distributions. DINOv2 sees pictures prepared as
    for evaluation, and as they are, where D sees latents shifted, mirrored and cut out. As in the
    source, networks compute in bfloat16, whose rounding approximate penalties also punish.

    Command: `jaxgan train imagenet256_gat --latents latents`, after `jaxgan encode
    diffusion_pytorch_model.safetensors --data tfds:imagenet2012 --image-size 256 --out latents` and
    `jaxgan features import-dinov2-base dinov2_vitb14_pretrain.pth`
    Expect: the source reports an FID of 2.18 for XL/2 after 60 epochs. It is for GPUs or TPUs, and
    has not been trained here. Of XL/2, a state takes 14.6 GiB, and a step is 34 passes of 0.24
    TFLOP for each of its 512 pictures.
    """

    name: ClassVar[str] = "imagenet256_gat"
    default_length: ClassVar = {"steps": 60 * EPOCH}
    presets: ClassVar = {
        f"{name.lower()}{patch}": _preset(name, patch) for name in gat.SIZES for patch in (2, 4, 8)
    }

    coder: ClassVar = (
        "`jaxgan encode FILE --data tfds:imagenet2012 --image-size 256 --out FOLDER`, where FILE "
        "is diffusion_pytorch_model.safetensors of Stable Diffusion's autoencoder"
    )
    fitting: ClassVar = "encode the pictures with that of Stable Diffusion"

    data: str = "tfds:imagenet2012"  # of the pictures: tfds:NAME, folder:PATH, ...
    image_size: Count | None = 256  # height and width of the pictures
    batch_size: Count = 512  # real examples in one update
    dtype: Literal["float32", "bfloat16"] = "bfloat16"  # that the networks compute in
    depth: Count = gat.SIZES["XL"].depth  # blocks of either player; 4 divides them
    width: Count = gat.SIZES["XL"].width  # width of a token
    heads: Count = gat.SIZES["XL"].heads  # of attention; the channels of each are a multiple of 4
    patch: Count = 2  # side of the square of latents that a token stands for
    representation_weight: NonNegative = 1.0  # of what DINOv2 sees in reals, for D's tokens

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the latents, with what DINOv2 sees in their pictures (see `Recipe.feed`)."""
        latents = self.encoded(seed)
        if not self.representation_weight:
            return latents
        look = dinov2.load_base()
        return Taught(latents, self.examples(seed, data_dir), look)

    def representation(self, spec: DataSpec) -> Representation:
        """Returns DINOv2's tokens, on D's grid (see `GatRecipe.representation`)."""
        assert spec.latent is not None
        grid = [side // self.patch for side in spec.latent[:2]]

        def fitting(batch: Batch) -> dict[str, Array]:
            whole, patches = batch["whole"], batch["patches"]
            shape = len(whole), *grid, dinov2.BASE.width
            return {"whole": whole, "patches": jax.image.resize(patches, shape, "cubic")}

        return Representation(dinov2.BASE.width, fitting)

    def augment(self) -> Augmentation:
        """Makes DiffAugment, and mirrors half of the examples (see `GatRecipe.augment`)."""
        return compose(super().augment(), sometimes(lambda image, key: image[:, ::-1], 0.5))

    def decoder(self, spec: DataSpec) -> nn.Module:
        """Makes the decoder of Stable Diffusion (see `LatentGat.decoder`)."""
        return sd_vae.Decoder(spec.shape[-1])
