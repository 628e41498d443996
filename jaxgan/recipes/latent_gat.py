"""What the recipes of GAT share that make latents of an autoencoder in the place of pictures."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from flax import linen as nn
from jax.tree_util import Partial

from jaxgan.core.decoding import decoded, with_decoder
from jaxgan.core.gan import GAN
from jaxgan.core.networks import linen
from jaxgan.core.state import GANState
from jaxgan.data import Feed
from jaxgan.data.encoded import DECODER, Encoded, load_latents, read_origin
from jaxgan.interop import load_variables
from jaxgan.recipes.gat import GatRecipe, last_level
from jaxgan.types import DataSpec, Images, PyTree
from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded


@dataclass(frozen=True, kw_only=True)
class LatentGat(GatRecipe):
    """A GAT trained on latents that `jaxgan encode` made; samples are decoded to pictures.

    `data` and `image_size` name the pictures themselves: real examples are theirs.
    """

    coder: ClassVar[str]  # how latents are made, in an error message
    fitting: ClassVar[str]  # the way out, in that of a decoder that does not fit

    latents: str | None = None  # folder that `jaxgan encode` made

    @abstractmethod
    def decoder(self, spec: DataSpec) -> nn.Module:
        """Makes the decoder: a Linen module from latents to pictures.

        Args:
            spec: what the examples look like.
        """

    def feed(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the latents (see `Recipe.feed`)."""
        return self.encoded(seed)

    def encoded(self, seed: int) -> Encoded:
        """Opens the latents.

        Args:
            seed: of the order.

        Returns:
            The feed.

        Raises:
            UserError: if there are none, or they are of other pictures than those of `data`.
        """
        folder = self._folder()
        origin = read_origin(folder)
        if (self.data, self.image_size) != (origin.data, origin.image_size):
            raise UserError(
                f"{folder} holds latents of {_in_words(origin.data, origin.image_size)}, not of "
                f"{_in_words(self.data, self.image_size)}: choose --data and --image-size alike"
            )
        return load_latents(folder, batch_size=self.examples_per_step, seed=seed)

    def examples(self, seed: int, data_dir: str | None = None) -> Feed:
        """Opens the pictures that the latents were made of (see `Recipe.examples`)."""
        return self.open(self.data, seed, data_dir)

    def begin(self) -> Callable[[GANState], GANState]:
        """Gives the decoder its weights (see `Recipe.begin`)."""
        path = self._folder() / DECODER

        def put(variables: PyTree, state: GANState) -> GANState:
            try:
                return with_decoder(state, variables)
            except ValueError as error:
                raise UserError(
                    f"{path} is of another decoder than that of {self.name}: {error}; "
                    f"{self.fitting}"
                ) from None

        return Partial(put, load_variables(path))

    def example(self, made: PyTree) -> Images:
        """Returns samples as they are, for they are decoded already (see `Recipe.example`)."""
        return made

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        if spec.latent is None:
            raise UserError(f"{self.name} makes latents, which this data set does not have")
        gan = self.game("latent", spec.latent, spec)
        decoder = linen(self.decoder(spec))  # in float32: samples are for people and for metrics
        return replace(gan, generator=decoded(gan.generator, decoder, last_level))

    def _folder(self) -> Path:
        if self.latents is None:
            raise UserError(
                f"{self.name} learns from latents: make some by {self.coder}, and choose --latents "
                "FOLDER"
            )
        return expanded(self.latents)


def _in_words(data: str, size: int | None) -> str:
    return data if size is None else f"{data} at {size} x {size}"
