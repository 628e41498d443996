"""How well a run of `mnist_restore` fills the holes of test digits.

    jaxgan train mnist_restore
    python experiments/holes.py runs/mnist_restore-seed0 [--count 10000]

prints the PSNR of the missing pixels, the SSIM of whole digits, how many digits the digit network
reads correctly, and the Frechet distance between restored digits and whole ones. The digits are the
first of MNIST's test split, from which nothing was learned.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxgan import metrics, restoration
from jaxgan.data.sources import open_source
from jaxgan.evaluation import translating
from jaxgan.features import digits
from jaxgan.features.extractor import extract
from jaxgan.rundir import load


class Scores(NamedTuple):
    """What is printed."""

    psnr: float  # of the missing pixels, in dB
    ssim: float
    read: float  # share of digits that are read correctly
    distance: float  # Frechet distance of the digit network's features


def measure(made: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> Scores:
    """Measures restored digits, uint8 `[N, 28, 28, 1]`, beside whole ones with labels `[N]`."""
    hidden = ~np.asarray(restoration.center()(28, 28, jax.random.key(0)))[..., 0]
    errors = (made / 255 - truth / 255)[:, hidden]
    network = digits.load()
    assert network.logits is not None
    features = extract(network, made)
    read = np.argmax(network.logits(jnp.asarray(features)), axis=1) == labels
    images = [(x / 255).astype(np.float32) for x in (made, truth)]
    return Scores(
        psnr=float(10 * np.log10(1 / (errors**2).mean())),
        ssim=float(np.asarray(metrics.ssim(*images, data_range=1.0)).mean()),
        read=float(read.mean()),
        distance=metrics.frechet_distance(extract(network, truth), features),
    )


def main(run: tyro.conf.Positional[Path], count: int = 200, data_dir: str | None = None) -> Scores:
    """Scores a run of `mnist_restore`.

    Args:
        run: its directory.
        count: digits, of at most 10,000.
        data_dir: TFDS's data directory.
    """
    split = f"mnist@test[:{count}]"
    trained = load(run)
    damaged = translating.read(f"data:{split}", trained, data_dir=data_dir)
    made = translating.translate(trained, damaged, jax.random.key(0))
    source = open_source(split, image_size=None, default_size=28, data_dir=data_dir)
    truth, labels = source.read(range(len(source)))
    assert labels is not None
    scores = measure(made, truth, labels)
    print(
        f"hole {scores.psnr:.2f} dB, SSIM {scores.ssim:.3f}, read correctly {scores.read:.1%}, "
        f"Frechet distance {scores.distance:.2f}"
    )
    return scores


if __name__ == "__main__":
    tyro.cli(main)
