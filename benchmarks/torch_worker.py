"""Trains a system in PyTorch as well as PyTorch can, when it is told to.

The networks and losses are those of tests/parity. The training iteration is lean: the fakes are
made once where both steps use the same latents, no gradient is computed that nobody uses, Adam is
the fused one, and nothing waits for a loss. On a GPU compiled iterations are replayed as CUDA
graphs, float32 products may use TF32, as JAX's do, and the device is waited for once in many
iterations. In bfloat16, networks compute under autocast.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from turns import SIZE, take_turns

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "parity"))

from systems import SYSTEMS, GivenDropout, System  # noqa: E402  (found through the line above)

BATCH = 128
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
AT_ONCE = {"pattern_1010": 200}  # iterations between two looks at the clock
ON_GPU = 50  # the same on a GPU, of the others


def step_d(system: System, images: Tensor, fakes: Tensor) -> None:
    loss = system.loss_real(system.discriminator(images))
    loss = loss + system.loss_fake(system.discriminator(fakes.detach()))
    descend(system.discriminator, system.optimizer_d, loss)


def step_g(system: System, fakes: Tensor) -> None:
    loss = system.loss_generator(system.discriminator(fakes))
    descend(system.generator, system.optimizer_g, loss)


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    parameters = list(network.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()


def pattern_1010(system: System, images: Tensor) -> None:
    low = torch.tensor([0.8, 0, 0.8, 0], device=DEVICE)
    descend(
        system.discriminator,
        system.optimizer_d,
        system.loss_real(system.discriminator(low + 0.2 * torch.rand(1, 4, device=DEVICE))),
    )
    constant = torch.full((1, 1), 0.5, device=DEVICE)
    with torch.no_grad():
        fakes = system.generator(constant)
    descend(system.discriminator, system.optimizer_d, system.loss_fake(system.discriminator(fakes)))
    step_g(system, system.generator(constant))


def shared_latents(system: System, images: Tensor) -> None:
    fakes = system.generator(torch.randn(BATCH, 100, device=DEVICE))
    step_d(system, images, fakes)
    step_g(system, fakes)


def fresh_latents(system: System, images: Tensor) -> None:
    with torch.no_grad():
        fakes = system.generator(2 * torch.rand(BATCH, 96, device=DEVICE) - 1)
    step_d(system, images, fakes)
    step_g(system, system.generator(2 * torch.rand(BATCH, 96, device=DEVICE) - 1))


def two_of_each(system: System, images: Tensor) -> None:
    for part in images.split(BATCH):
        with torch.no_grad():
            fakes = system.generator(2 * torch.rand(BATCH, 100, device=DEVICE) - 1)
        step_d(system, part, fakes)
    latents = 2 * torch.rand(BATCH, 100, device=DEVICE) - 1
    for _ in range(2):
        step_g(system, system.generator(latents))


ITERATIONS = {
    "pattern_1010": pattern_1010,
    "mnist_mlp": shared_latents,
    "mnist_conv": fresh_latents,
    "mnist_dcgan": shared_latents,
    "mnist_dcgan_bn": two_of_each,
}


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def main(name: str, dtype: str, way: str) -> None:
    torch.manual_seed(0)
    torch.set_default_device(DEVICE)
    torch.set_float32_matmul_precision("high" if DEVICE == "cuda" else "highest")
    system = SYSTEMS[name](torch.float32)
    for index, layer in enumerate(system.discriminator):
        if isinstance(layer, GivenDropout):
            system.discriminator[index] = nn.Dropout(layer.rate)
    for optimizer in (system.optimizer_g, system.optimizer_d):
        for group in optimizer.param_groups:
            group["fused"] = True
    packed = ROOT / "jaxgan" / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    pixels = np.frombuffer(gzip.decompress(packed.read_bytes())[16:], np.uint8)
    data = torch.from_numpy(pixels.reshape(-1, 1, 28, 28).copy()).to(DEVICE)
    low, high = (0, 1) if name == "mnist_dcgan_bn" else (-1, 1)
    examples = 2 * BATCH if name == "mnist_dcgan_bn" else BATCH

    iterate = ITERATIONS[name]
    if way == "compiled":
        iterate = torch.compile(iterate, mode="reduce-overhead" if DEVICE == "cuda" else None)

    def train() -> int:
        count = AT_ONCE.get(name, ON_GPU if DEVICE == "cuda" else 1)
        for _ in range(count):
            rows = torch.randint(len(data), (examples,))
            images = data[rows].float() * ((high - low) / 255) + low
            with torch.autocast(DEVICE, torch.bfloat16, enabled=dtype == "bfloat16"):
                iterate(system, images)
        wait()
        return count

    def prepare() -> dict[str, float]:
        for _ in range(3):
            train()
        return {"iterations": 3}

    a = torch.ones(SIZE, SIZE, dtype=getattr(torch, dtype))

    def multiply() -> Tensor:
        product = a @ a
        wait()
        return product

    take_turns(prepare, train, multiply)


if __name__ == "__main__":
    main(*sys.argv[1:])
