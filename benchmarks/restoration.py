"""What simple ways make of damaged digits: the first 200 test images of MNIST, with holes.

    python benchmarks/restoration.py

prints the PSNR of the missing pixels and the SSIM of whole images, for a missing center and a
missing left half: of the nearest of the 60,000 training images by the known pixels, of the mean of
the 20 nearest, and of the best linear estimate from their covariance. What is to be restored is
held out, so these are what `jaxgan restore` and `mnist_restore` have to beat.
"""

import jax
import numpy as np

from jaxgan import metrics, restoration
from jaxgan.data.sources import open_source

COUNT = 200
NEAREST = 20
RIDGE = 1e-3  # added to the variance of known pixels, some of which are always black


def read(split: str) -> np.ndarray:
    """Reads images in [0, 1], `[N, 784]`."""
    source = open_source(f"mnist@{split}", image_size=None, default_size=28, data_dir=None)
    return source.read(range(len(source)))[0].reshape(-1, 784).astype(np.float64) / 255


def main() -> None:
    """Prints the table."""
    train, test = read("train"), read(f"test[:{COUNT}]")
    mean = train.mean(0)
    covariance = np.cov(train.T)
    for name, mask in (("center", restoration.center()), ("left", restoration.left())):
        known = np.asarray(mask(28, 28, jax.random.key(0))).ravel()
        hidden = ~known
        given, seen = test[:, known], train[:, known]
        distances = (seen**2).sum(1) - 2 * given @ seen.T
        nearest = np.argsort(distances, axis=1)[:, :NEAREST]
        among = covariance[np.ix_(known, known)] + RIDGE * np.eye(known.sum())
        weights = np.linalg.solve(among, covariance[np.ix_(known, hidden)])
        ways = {
            "1 nearest": train[nearest[:, 0]][:, hidden],
            f"mean of {NEAREST} nearest": train[nearest].mean(1)[:, hidden],
            "linear": np.clip(mean[hidden] + (given - mean[known]) @ weights, 0, 1),
        }
        for way, filled in ways.items():
            whole = test.copy()
            whole[:, hidden] = filled
            psnr = 10 * np.log10(1 / ((filled - test[:, hidden]) ** 2).mean())
            images = [x.reshape(-1, 28, 28, 1).astype(np.float32) for x in (whole, test)]
            ssim = np.asarray(metrics.ssim(*images, data_range=1)).mean()
            print(f"{name:8}{way:20}PSNR {psnr:.2f} dB  SSIM {ssim:.3f}", flush=True)


if __name__ == "__main__":
    main()
