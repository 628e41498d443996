"""Convolutions of the reference systems, by definition and by the method chosen on CPUs.

    python benchmarks/convolutions.py

As in a training step, the convolutions run in a compiled loop. The two methods take turns. Prints
the median milliseconds of each, by definition first, for a forward convolution and for its
gradients with respect to the input and the kernel.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import jax
from jax import Array
from looped import REPEATS, looped

from jaxgan.nn.convolution import fourier, windows
from jaxgan.nn.convolution.bilinear import BY_DEFINITION, fastest, same_padding

BATCH, TURNS = 128, 5
LAYERS = {  # height and width, kernel, channels, features, stride, padded
    "mnist_dcgan, 5x5, 256 to 128, on 7x7": (7, 5, 256, 128, 1, True),
    "mnist_dcgan, 4x4, stride 2, 64 to 128, on 14x14": (14, 4, 64, 128, 2, True),
    "mnist_conv, 5x5, 32 to 64, on 12x12": (12, 5, 32, 64, 1, False),
    "mnist_conv, 5x5, 1 to 32, on 28x28": (28, 5, 1, 32, 1, False),
    "mnist_dcgan_bn, 5x5, stride 2, 128 to 128, on 14x14": (14, 5, 128, 128, 2, True),
}


def milliseconds(methods: Sequence[Callable], a: Array, b: Array) -> list[float]:
    """Measures methods in turns, and returns the median of each."""
    programs = [jax.jit(looped(method)).lower(a, b).compile() for method in methods]
    spent: list[list[float]] = [[] for _ in methods]
    for _ in range(TURNS):
        for program, times in zip(programs, spent, strict=True):
            began = time.perf_counter()
            program(a, b).block_until_ready()
            times.append(1e3 * (time.perf_counter() - began) / REPEATS)
    return [statistics.median(times) for times in spent]


def main() -> None:
    names = {windows.convolve: "windows", fourier.convolve: "Fourier"}
    print("| layer | method | forward | by the input | by the kernel |")
    print("|---|---|---|---|---|")
    for name, (side, taps, channels, features, stride, padded) in LAYERS.items():
        size, kernel_size = (side, side), (taps, taps)
        padding = same_padding(size, kernel_size, stride) if padded else ((0, 0), (0, 0))
        keys = jax.random.split(jax.random.key(0))
        x = jax.random.normal(keys[0], (BATCH, *size, channels))
        kernel = jax.random.normal(keys[1], (*kernel_size, channels, features))
        y = BY_DEFINITION.convolve(x, kernel, stride, padding)
        chosen = fastest(x.shape, kernel.shape, stride, padding, x.dtype)
        cells = [name, names.get(chosen.convolve, "by definition")]
        inputs = (x, kernel), (y, kernel), (x, y)
        sizes = {}, {"size": size}, {"size": kernel_size}
        for *methods, two, more in zip(BY_DEFINITION, chosen, inputs, sizes, strict=True):
            methods = [
                partial(method, stride=stride, padding=padding, **more) for method in methods
            ]
            cells.append("{:.1f}, {:.1f}".format(*milliseconds(methods, *two)))
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
