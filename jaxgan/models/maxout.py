"""Fully connected networks for points: G with batch norm, D of maxout units.

Source: Lin et al., "PacGAN: The Power of Two Samples in Generative Adversarial Networks" (2018),
and its code, https://github.com/fjxmlzn/PacGAN (synthetic_data_experiments), which follows that of
Dumoulin et al., "Adversarially Learned Inference" (2017). Maxout: Goodfellow et al. (2013).
"""

from flax import linen as nn

from jaxgan.nn.layers import batch_norm
from jaxgan.types import Images, Latents, Scores


class Generator(nn.Module):
    """Dense layers, each with batch norm and ReLU, and one that is linear."""

    size: int  # numbers in one example
    widths: tuple[int, ...] = (400, 400, 400, 400)  # hidden units
    init_deviation: float = 0.02  # standard deviation of the first kernels
    momentum: float = 0.95  # of batch norm's running averages
    epsilon: float = 1e-4  # of batch norm

    @nn.compact
    def __call__(self, latents: Latents, train: bool) -> Images:
        """Maps latents `[B, Z]` to vectors `[B, size]`."""
        norm = batch_norm(self.momentum, self.epsilon, train)
        init = nn.initializers.normal(self.init_deviation)
        x = latents
        for width in self.widths:
            # Batch norm would take a bias away again.
            x = nn.relu(norm()(nn.Dense(width, use_bias=False, kernel_init=init)(x)))
        return nn.Dense(self.size, kernel_init=init)(x)


class Discriminator(nn.Module):
    """Dense layers of maxout units: each is the largest of several linear ones."""

    widths: tuple[int, ...] = (200, 200, 200)  # hidden units
    pieces: int = 5  # linear units in each hidden unit
    init_deviation: float = 0.02  # standard deviation of the first kernels

    @nn.compact
    def __call__(self, images: Images, train: bool) -> Scores:
        """Maps vectors `[B, D]` to logits `[B]`."""
        init = nn.initializers.normal(self.init_deviation)
        x = images
        for width in self.widths:
            x = nn.Dense(width * self.pieces, kernel_init=init)(x)
            # Pieces before units: maxima of neighboring numbers take a CPU several times as long.
            x = x.reshape(-1, self.pieces, width).max(1)
        return nn.Dense(1, kernel_init=init)(x)[:, 0]
