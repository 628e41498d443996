"""InfoGAN on MNIST: codes that come to stand for what the images show."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxgan import latents, losses, terms
from jaxgan.core.gan import GAN, Play
from jaxgan.core.updates import Update, update_both
from jaxgan.keys import stream
from jaxgan.models import infogan
from jaxgan.recipes.recipe import (
    Count,
    ImageRecipe,
    NonNegative,
    Positive,
    Share,
    require_size,
)
from jaxgan.types import Batch, DataSpec, PerSample, PRNGKey, PyTree


@dataclass(frozen=True, kw_only=True)
class MnistInfogan(ImageRecipe):
    """InfoGAN on MNIST: without labels, codes come to stand for class, slant and width.

    Source: Chen et al., "InfoGAN: Interpretable Representation Learning by Information Maximizing
    Generative Adversarial Nets" (2016), appendix C.1, and the 5,000 updates of its code. The paper
    gives the continuous codes a smaller weight than 1, its code 1; here it is 0.1.

    Command: `jaxgan train mnist_infogan`, then `python experiments/infogan_codes.py RUN`
    Expect: a category for most digits, codes for slant and width, and a Frechet distance of 0.74
    (10,000 samples, digit network; 0.11 between real examples) after all 5,000 steps, which took 53
    minutes of processor time on one core (seed 0).
    """

    name: ClassVar[str] = "mnist_infogan"
    default_length: ClassVar = {"steps": 5000}

    batch_size: Count = 128  # real examples in one update
    log_every: Count = 50  # steps between two lines of metrics
    sample_every: Count = 250  # steps between two pictures of samples
    checkpoint_every: Count = 500  # steps between two checkpoints
    grid: tuple[Count, Count] = (10, 10)  # rows and columns of a picture: a column for a category
    latent_size: Count = 62  # dimensions of a latent, from N(0, 1)
    categories: Count = 10  # of the categorical code
    codes: Count = 2  # continuous codes, from U(-1, 1)
    generator_width: Count = infogan.Generator.width  # units of G's first dense layer
    generator_channels: tuple[Count, Count] = infogan.Generator.channels  # at 1/4 and 1/2 size
    discriminator_channels: tuple[Count, Count] = infogan.Discriminator.channels  # of convolutions
    discriminator_width: Count = infogan.Discriminator.width  # units of D's hidden dense layer
    reading_width: Count = infogan.Discriminator.reading  # units from which codes are read
    slope: NonNegative = infogan.Discriminator.slope  # of D's leaky ReLU below zero
    momentum: Share = infogan.Generator.momentum  # of batch norm's running averages
    generator_learning_rate: Positive = 1e-3  # of Adam
    discriminator_learning_rate: Positive = 2e-4  # of Adam
    beta1: Share = 0.5  # of Adam
    category_weight: NonNegative = 1.0  # of the information about the category
    codes_weight: NonNegative = 0.1  # of the information about the continuous codes

    def conditions(self, count: int, spec: DataSpec, data_dir: str | None = None) -> Batch:
        """Returns each category in turn (see `Recipe.conditions`)."""
        return {"category": jnp.arange(count, dtype=jnp.int32) % self.categories}

    def gan(self, spec: DataSpec) -> GAN:
        """Makes the GAN (see `Recipe.gan`)."""
        noise, uniform = latents.normal(self.latent_size), latents.uniform(self.codes)

        def inputs(key: PRNGKey, n: int, batch: Batch) -> PyTree:
            category = batch.get("category")
            if category is None:
                category = jax.random.randint(stream(key, "category"), (n,), 0, self.categories)
            return noise(key, n), category, uniform(stream(key, "codes"), n)

        def information(play: Play) -> PerSample:
            _, category, codes = play.inputs
            read = play.fake_outputs
            unread = optax.softmax_cross_entropy_with_integer_labels(read["category"], category)
            return self.category_weight * unread + self.codes_weight * terms.gaussian_code(
                codes, read["codes"]
            )

        generator = infogan.Generator(
            require_size(spec.shape, multiple=4, least=8),
            self.categories,
            self.generator_width,
            self.generator_channels,
            self.momentum,
        )
        discriminator = infogan.Discriminator(
            self.categories,
            self.codes,
            self.discriminator_channels,
            self.discriminator_width,
            self.reading_width,
            self.slope,
            self.momentum,
        )
        return GAN(
            generator=self.network(generator),
            discriminator=self.network(discriminator),
            generator_optimizer=optax.adam(self.generator_learning_rate, self.beta1),
            discriminator_optimizer=optax.adam(self.discriminator_learning_rate, self.beta1),
            loss=losses.map_outputs(lambda outputs: outputs["score"], losses.non_saturating),
            inputs=inputs,
            discriminator_terms=information,
            generator_terms=information,
        )

    def update(self, gan: GAN) -> Update:
        """Makes D's step, then G's (see `Recipe.update`)."""
        return update_both(gan)
