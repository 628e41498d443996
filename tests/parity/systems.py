"""The five reference systems in plain PyTorch: NCHW modules, `torch.optim`, one iteration each.

Written from the description of the systems alone, not from jaxgan, so that the two agree only if
both are right. Each system takes its images, latents and dropout masks from outside, and answers
with the loss and the gradients of every optimizer step, in the order taken.

Two things that the description leaves to the design are done here as it says: a network's running
averages move only in its own optimizer steps, and dropout is active in every training pass.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Optimize = Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]


class Step(NamedTuple):
    """What one optimizer step went by."""

    loss: float
    gradients: dict[str, Tensor]  # by parameter name


class System:
    """Two networks with an optimizer each, and the losses of scores `[B]`, batch means."""

    def __init__(
        self,
        generator: nn.Sequential,
        discriminator: nn.Sequential,
        optimize: Optimize,
        dtype: torch.dtype,
    ):
        self.generator = generator.to(dtype)
        self.discriminator = discriminator.to(dtype)
        self.optimizer_g = optimize(self.generator.parameters())
        self.optimizer_d = optimize(self.discriminator.parameters())

    def loss_real(self, scores: Tensor) -> Tensor:
        """The discriminator's, on real examples."""
        raise NotImplementedError

    def loss_fake(self, scores: Tensor) -> Tensor:
        """The discriminator's, on generated examples."""
        raise NotImplementedError

    def loss_generator(self, scores: Tensor) -> Tensor:
        """The generator's: its examples should pass for real ones."""
        return self.loss_real(scores)

    def iteration(
        self,
        images: Sequence[Tensor],
        latents: Sequence[Tensor],
        masks: Sequence[Sequence[Tensor]] = (),
    ) -> tuple[list[Step], list[Step]]:
        """One training iteration: the discriminator's steps, and the generator's.

        Images, latents and dropout masks come in the order in which they are used.
        """
        raise NotImplementedError

    def fakes(self, latents: Tensor) -> Tensor:
        """The images that the discriminator is trained on: no gradient, no running averages."""
        with torch.no_grad(), statistics_kept(self.generator):
            return self.generator(latents)

    def step_discriminator(self, loss: Tensor) -> Step:
        return _step(self.discriminator, self.optimizer_d, loss)

    def step_generator(self, latents: Tensor) -> Step:
        with statistics_kept(self.discriminator):
            scores = self.discriminator(self.generator(latents))
        return _step(self.generator, self.optimizer_g, self.loss_generator(scores))


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> Step:
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
    silent = biases_before_norm(network)
    for name, parameter in network.named_parameters():
        parameter.grad = gradients[name] * (name not in silent)
    optimizer.step()
    return Step(loss.item(), gradients)


def biases_before_norm(network: nn.Module) -> set[str]:
    """Names the biases that a batch norm takes away again at once, of a chain of layers.

    Such a bias changes nothing but the mean that the norm subtracts, so its true gradient is 0.
    What is computed is rounding, of which Adam makes whole steps. The systems here put the true
    gradient in its place.
    """
    reshaping = nn.Unflatten | nn.ZeroPad2d
    chain = [(name, m) for name, m in network.named_children() if not isinstance(m, reshaping)]
    parameters = dict(network.named_parameters())
    silent = set()
    for (name, _), (following, _) in pairwise(chain):
        bias, norm = parameters.get(f"{name}.bias"), norms_of(network).get(following)
        # A norm of channels does not take away what differs from place to place.
        if bias is not None and norm is not None and bias.numel() == norm.num_features:
            silent.add(f"{name}.bias")
    return silent


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Batch norms still use the batch's statistics, but their running averages stay."""
    for norm in norms_of(network).values():
        norm.track_running_stats = False
    yield
    for norm in norms_of(network).values():
        norm.track_running_stats = True


def norms_of(network: nn.Module) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d]:
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    }


def batch_norms(average: float, eps: float) -> tuple[Callable[[int], nn.Module], ...]:
    """Makes constructors of batch norms of vectors and of feature maps.

    Running averages move by `r = average * r + (1 - average) * batch`.
    """
    settings: dict[str, Any] = {"eps": eps, "momentum": 1 - average}
    return partial(nn.BatchNorm1d, **settings), partial(nn.BatchNorm2d, **settings)


class GivenDropout(nn.Module):
    """Dropout by the mask that was handed in: 1 keeps a value, 0 drops it."""

    mask: Tensor

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask / (1 - self.rate) if self.training else x


class Pattern1010(System):
    """Vectors of 4; mean squared error; D on real, D on fake, G: three SGD steps."""

    def __init__(self, dtype: torch.dtype):
        super().__init__(
            nn.Sequential(nn.Linear(1, 3), nn.Sigmoid(), nn.Linear(3, 4), nn.Sigmoid()),
            nn.Sequential(
                nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 1), nn.Sigmoid(), nn.Flatten(0)
            ),
            lambda parameters: torch.optim.SGD(parameters, lr=0.01),
            dtype,
        )

    def loss_real(self, scores: Tensor) -> Tensor:
        return F.mse_loss(scores, torch.ones_like(scores))

    def loss_fake(self, scores: Tensor) -> Tensor:
        return F.mse_loss(scores, torch.zeros_like(scores))

    def iteration(self, images, latents, masks=()):
        (image,), (constant,) = images, latents
        real = self.step_discriminator(self.loss_real(self.discriminator(image)))
        fake = self.step_discriminator(self.loss_fake(self.discriminator(self.fakes(constant))))
        return [real, fake], [self.step_generator(constant)]


class MnistMLP(System):
    """Fully connected; binary cross-entropy; one latent batch serves both steps."""

    def __init__(self, dtype: torch.dtype):
        norm_features, _ = batch_norms(0.9, 1e-5)
        super().__init__(
            nn.Sequential(
                nn.Linear(100, 128),
                nn.ReLU(),
                nn.Linear(128, 256),
                norm_features(256),
                nn.ReLU(),
                nn.Linear(256, 512),
                norm_features(512),
                nn.ReLU(),
                nn.Linear(512, 1024),
                norm_features(1024),
                nn.ReLU(),
                nn.Linear(1024, 784),
                nn.Tanh(),
                nn.Unflatten(1, (1, 28, 28)),
            ),
            nn.Sequential(
                nn.Flatten(),
                nn.Linear(784, 512),
                nn.LeakyReLU(0.2),
                nn.Linear(512, 256),
                nn.LeakyReLU(0.2),
                nn.Linear(256, 1),
                nn.Sigmoid(),
                nn.Flatten(0),
            ),
            lambda parameters: torch.optim.Adam(parameters, 2e-4, betas=(0.5, 0.999), eps=1e-8),
            dtype,
        )

    def loss_real(self, scores: Tensor) -> Tensor:
        return F.binary_cross_entropy(scores, torch.ones_like(scores))

    def loss_fake(self, scores: Tensor) -> Tensor:
        return F.binary_cross_entropy(scores, torch.zeros_like(scores))

    def iteration(self, images, latents, masks=()):
        (image,), (latent,) = images, latents
        real = self.loss_real(self.discriminator(image))
        fake = self.loss_fake(self.discriminator(self.fakes(latent)))
        return [self.step_discriminator(real + fake)], [self.step_generator(latent)]


class LogitSystem(System):
    """The losses of the two systems whose discriminator answers with a logit."""

    def loss_real(self, scores: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))

    def loss_fake(self, scores: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores))


class MnistConv(LogitSystem):
    """Convolutional, ReLU before batch norm; fresh latents for each of the two steps."""

    def __init__(self, dtype: torch.dtype):
        norm_features, norm_channels = batch_norms(0.99, 1e-3)
        super().__init__(
            nn.Sequential(
                nn.Linear(96, 1024),
                nn.ReLU(),
                norm_features(1024),
                nn.Linear(1024, 128 * 7 * 7),
                nn.ReLU(),
                norm_features(128 * 7 * 7),
                nn.Unflatten(1, (128, 7, 7)),
                nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
                nn.ReLU(),
                norm_channels(64),
                nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
                nn.Tanh(),
            ),
            nn.Sequential(
                nn.Conv2d(1, 32, 5),
                nn.LeakyReLU(0.01),
                nn.MaxPool2d(2),
                nn.Conv2d(32, 64, 5),
                nn.LeakyReLU(0.01),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(1024, 1024),
                nn.LeakyReLU(0.01),
                nn.Linear(1024, 1),
                nn.Flatten(0),
            ),
            lambda parameters: torch.optim.Adam(parameters, 1e-3, betas=(0.5, 0.999)),
            dtype,
        )

    def iteration(self, images, latents, masks=()):
        (image,), (latent_d, latent_g) = images, latents
        real = self.loss_real(self.discriminator(image))
        fake = self.loss_fake(self.discriminator(self.fakes(latent_d)))
        return [self.step_discriminator(real + fake)], [self.step_generator(latent_g)]


class MnistDCGAN(LogitSystem):
    """DCGAN with dropout in the discriminator; one latent batch serves both steps."""

    def __init__(self, dtype: torch.dtype):
        norm_features, norm_channels = batch_norms(0.9, 1e-5)
        super().__init__(
            nn.Sequential(
                nn.Linear(100, 256 * 7 * 7, bias=False),
                norm_features(256 * 7 * 7),
                nn.ReLU(),
                nn.Unflatten(1, (256, 7, 7)),
                nn.ConvTranspose2d(256, 128, 5, stride=1, padding=2, bias=False),
                norm_channels(128),
                nn.ReLU(),
                nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),
                norm_channels(64),
                nn.ReLU(),
                nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1, bias=False),
                nn.Tanh(),
            ),
            nn.Sequential(
                nn.Conv2d(1, 64, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2),
                GivenDropout(0.3),
                nn.Conv2d(64, 128, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2),
                GivenDropout(0.3),
                nn.Flatten(),
                nn.Linear(128 * 7 * 7, 1),
                nn.Flatten(0),
            ),
            lambda parameters: torch.optim.Adam(parameters, 2e-4, betas=(0.9, 0.999)),
            dtype,
        )

    def use(self, masks: Sequence[Tensor]) -> None:
        dropouts = [m for m in self.discriminator if isinstance(m, GivenDropout)]
        for dropout, mask in zip(dropouts, masks, strict=True):
            dropout.mask = mask

    def iteration(self, images, latents, masks=()):
        (image,), (latent,) = images, latents
        masks_real, masks_fake, masks_generator = masks
        self.use(masks_real)
        real = self.loss_real(self.discriminator(image))
        self.use(masks_fake)
        fake = self.loss_fake(self.discriminator(self.fakes(latent)))
        step = self.step_discriminator(real + fake)
        self.use(masks_generator)
        return [step], [self.step_generator(latent)]


class MnistDCGANBN(System):
    """DCGAN with batch norm in both nets: two D steps, then two G steps on one latent batch."""

    def __init__(self, dtype: torch.dtype):
        norm_features, norm_channels = batch_norms(math.exp(-128 / 5000), 1e-5)
        # SAME at 5x5, stride 2: of the 17 (31) rows of a full transposed convolution of 7 (14),
        # one goes at the top and two at the bottom; `padding` takes one at either end.
        last_row_and_column = (0, -1, 0, -1)
        super().__init__(
            nn.Sequential(
                nn.Linear(100, 1024),
                norm_features(1024),
                nn.ReLU(),
                nn.Linear(1024, 128 * 7 * 7),
                nn.Unflatten(1, (128, 7, 7)),
                norm_channels(128),
                nn.ReLU(),
                nn.ConvTranspose2d(128, 128, 5, stride=2, padding=1),
                nn.ZeroPad2d(last_row_and_column),
                norm_channels(128),
                nn.ReLU(),
                nn.ConvTranspose2d(128, 1, 5, stride=2, padding=1),
                nn.ZeroPad2d(last_row_and_column),
                nn.Sigmoid(),
            ),
            nn.Sequential(
                nn.Conv2d(1, 1, 5, stride=2),
                norm_channels(1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(1, 64, 5, stride=2),
                norm_channels(64),
                nn.LeakyReLU(0.2),
                nn.Flatten(),
                nn.Linear(64 * 4 * 4, 1024),
                norm_features(1024),
                nn.LeakyReLU(0.2),
                nn.Linear(1024, 1),
                nn.Sigmoid(),
                nn.Flatten(0),
            ),
            lambda parameters: torch.optim.Adam(parameters, 2e-4, betas=(0.5, 0.999)),
            dtype,
        )

    def loss_real(self, scores: Tensor) -> Tensor:
        return -torch.log(scores).mean()

    def loss_fake(self, scores: Tensor) -> Tensor:
        return -torch.log(1 - scores).mean()

    def loss_generator(self, scores: Tensor) -> Tensor:
        return (1 - torch.log(scores)).mean()

    def iteration(self, images, latents, masks=()):
        *latents_d, latent_g = latents
        steps_d = []
        for image, latent in zip(images, latents_d, strict=True):
            real = self.loss_real(self.discriminator(image))
            fake = self.loss_fake(self.discriminator(self.fakes(latent)))
            steps_d.append(self.step_discriminator(real + fake))
        return steps_d, [self.step_generator(latent_g) for _ in range(2)]


SYSTEMS: dict[str, Callable[[torch.dtype], System]] = {
    "pattern_1010": Pattern1010,
    "mnist_mlp": MnistMLP,
    "mnist_conv": MnistConv,
    "mnist_dcgan": MnistDCGAN,
    "mnist_dcgan_bn": MnistDCGANBN,
}
