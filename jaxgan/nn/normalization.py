"""Batch norm whose gain and bias depend on a condition, such as a label.

An `Affine` turns the condition into gains or biases. A `table` of labels makes the conditional
batch norm of SNGAN and SAGAN, `linear` maps of a code that several layers share make that of
BigGAN. A hidden layer on latents makes self-modulation:

    def hidden(init):
        return lambda z, channels: nn.Dense(channels, bias_init=init)(nn.relu(nn.Dense(32)(z)))

    ConditionalBatchNorm(hidden(ones), hidden(zeros), train)

Sources: Dumoulin et al., "A Learned Representation For Artistic Style" (2017), section 2.2, for
batch norm as in Miyato and Koyama, "cGANs with Projection Discriminator" (2018); Brock et al.,
"Large Scale GAN Training for High Fidelity Natural Image Synthesis" (2019), appendix B; Chen et
al., "On Self Modulation for Generative Adversarial Networks" (2019).
"""

from collections.abc import Callable

from flax import linen as nn
from jax import Array
from jaxtyping import Float

from jaxgan.nn.labels import Embed, Labels
from jaxgan.nn.layers import Initializer, batch_norm

# condition [B, ...], number of channels -> [B, channels]. Called within a module, so that it may
# make layers.
Affine = Callable[[Array, int], Array]


def table(classes: int, init: Initializer) -> Affine:
    """Makes gains or biases that are learned for each class.

    Args:
        classes: the number of labels.
        init: of the table `[classes, channels]`: ones for gains, zeros for biases.

    Returns:
        A function of labels `[B]`.
    """
    return lambda labels, channels: Embed(classes, channels, embedding_init=init)(labels)


def linear(wrap: Callable[[nn.Module], nn.Module], init: Initializer) -> Affine:
    """Makes gains or biases that are linear in a code, without a constant.

    Args:
        wrap: of the dense layer, such as spectral normalization.
        init: of its kernel.

    Returns:
        A function of codes `[B, D]`.
    """
    return lambda codes, channels: wrap(nn.Dense(channels, use_bias=False, kernel_init=init))(codes)


def one_plus(affine: Affine) -> Affine:
    """Makes gains around 1.

    Args:
        affine: what is added to 1.

    Returns:
        The gains.
    """
    return lambda condition, channels: 1 + affine(condition, channels)


class ConditionalBatchNorm(nn.Module):
    """Batch norm, then a gain and a bias for each example and channel.

    In training, it uses the statistics of the whole batch, on all devices of a mapped axis (see
    `jaxgan.axes`).
    """

    gain: Affine
    bias: Affine
    train: bool  # whether to use the batch's statistics or the running averages
    momentum: float = 0.9  # of the running averages
    epsilon: float = 1e-5  # added to the variance

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "B *S C"], condition: Labels | Float[Array, "B D"]
    ) -> Float[Array, "B *S C"]:
        """Maps `[B, ..., C]`, by labels `[B]` or codes `[B, D]`, to the same shape."""
        norm = batch_norm(self.momentum, self.epsilon, self.train)
        channels = inputs.shape[-1]
        gain, bias = (
            affine(condition, channels).reshape(-1, *[1] * (inputs.ndim - 2), channels)
            for affine in (self.gain, self.bias)
        )
        return norm(use_scale=False, use_bias=False)(inputs) * gain + bias
