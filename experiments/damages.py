"""Damages real digits, and prints what each metric makes of it: docs/evaluation.md has the table.

    python experiments/damages.py [--num 5000]

Reference examples and those that are damaged are two halves of MNIST's test images, which the digit
network did not learn from. The first line, of the undamaged half, is the floor that the others are
compared with. With copies, the damaged examples are the reference examples themselves.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
import tyro
from PIL import Image
from scipy import ndimage

from jaxgan import data, metrics
from jaxgan.devices import startup
from jaxgan.features import digits, extract
from jaxgan.util.tables import as_text

Damage = Callable[[np.ndarray], np.ndarray]  # of one image, float [28, 28] in 0..255


@dataclass(frozen=True)
class Settings:
    """What may differ between runs of this script."""

    num: int = 5000  # images in each half
    seed: int = 0


def main(settings: Settings) -> None:
    """Measures and prints a line for each damage."""
    startup.cache_compilations()
    random = np.random.default_rng(settings.seed)
    images, labels = open_test_images()
    order = random.permutation(len(images))
    first, second = order[: settings.num], order[settings.num : 2 * settings.num]
    reference, others = images[first], images[second]
    chosen = {
        "none": others,
        "JPEG, quality 30": damaged(others, jpeg),
        "turned by 5 degrees": damaged(others, turn),
        "moved by 1 pixel": np.roll(others, 1, axis=2),
        "bent (elastic)": damaged(others, lambda image: bend(image, random)),
        "noise, deviation 25": noisy(others, random),
        "blurred, deviation 1": damaged(others, lambda image: ndimage.gaussian_filter(image, 1)),
        "digits 0 to 4 alone": repeated(others[labels[second] < 5], settings.num),
        "a tenth, ten times each": repeated(others[: settings.num // 10], settings.num),
        "copies of the reference": reference,
    }
    extractor = digits.load()
    real = extract(extractor, reference)
    began = time.monotonic()
    rows = [measure(name, real, extract(extractor, x), x) for name, x in chosen.items()]
    header = ["damage", "fd_digits", "kd_digits", *metrics.PRDC._fields, "ms_ssim"]
    print(as_text(header, rows), end="")
    print(f"{settings.num} images each, seed {settings.seed}: {time.monotonic() - began:.0f} s")


def measure(name: str, real: np.ndarray, fake: np.ndarray, images: np.ndarray) -> list[str]:
    """Returns the line of a damage."""
    key = jax.random.key(0)
    block = min(1000, len(real))
    numbers = [
        metrics.frechet_distance(real, fake),
        metrics.kernel_distance(real, fake, key, blocks=100, block_size=block).value,
        *metrics.prdc(real, fake),
        float(metrics.pair_similarities(images.astype(np.float32), key, data_range=255).mean()),
    ]
    return [name, *(f"{number:.3f}" for number in numbers)]


def damaged(images: np.ndarray, damage: Damage) -> np.ndarray:
    """Damages images [N, 28, 28, 1] one by one."""
    found = np.stack([damage(image[..., 0].astype(float)) for image in images])
    return np.clip(np.round(found), 0, 255).astype(np.uint8)[..., None]


def jpeg(image: np.ndarray) -> np.ndarray:
    """Compresses an image and reads it again."""
    file = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(file, "JPEG", quality=30)
    with Image.open(file) as found:
        return np.asarray(found)


def turn(image: np.ndarray) -> np.ndarray:
    """Turns an image by 5 degrees."""
    return ndimage.rotate(image, 5, reshape=False, order=1)


def bend(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Moves each pixel by a smooth random field: Simard et al. (2003), alpha 34, sigma 4."""
    drawn = random.uniform(-1, 1, (2, *image.shape))
    field = 34 * ndimage.gaussian_filter(drawn, (0, 4, 4))
    return ndimage.map_coordinates(image, np.indices(image.shape) + field, order=1)


def noisy(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Adds normal noise, a tenth of the distance from black to white."""
    found = images + random.normal(0, 25.5, images.shape)
    return np.clip(np.round(found), 0, 255).astype(np.uint8)


def repeated(images: np.ndarray, count: int) -> np.ndarray:
    """Repeats images until there are `count`."""
    return images[np.arange(count) % len(images)]


def open_test_images() -> tuple[np.ndarray, np.ndarray]:
    """Returns MNIST's test images, uint8 [10000, 28, 28, 1], and their labels."""
    feed = data.load(
        "mnist@test", batch_size=1, seed=0, low=0.0, high=1.0, image_size=None, default_size=28
    )
    assert isinstance(feed, data.Resident)
    return np.asarray(feed.arrays["image"]), np.asarray(feed.arrays["label"])


if __name__ == "__main__":
    main(tyro.cli(Settings))
