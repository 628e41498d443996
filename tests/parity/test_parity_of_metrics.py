from functools import partial

import jax
import numpy as np
import pytest
import torch

from jaxgan.metrics import frechet_distance, inception_score, ms_ssim, squared_mmd

pytest.importorskip("torchmetrics")

from torchmetrics.functional.image import structural_similarity_index_measure  # noqa: E402
from torchmetrics.image.fid import FrechetInceptionDistance  # noqa: E402
from torchmetrics.image.inception import InceptionScore  # noqa: E402
from torchmetrics.image.kid import poly_mmd  # noqa: E402

RANDOM = np.random.default_rng(0)


class Channels(torch.nn.Module):
    """An extractor whose features of one-pixel images are their channels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.filterwarnings("ignore:std().* degrees of freedom is <= 0")  # of its trial run
def test_frechet_distance(offset):
    x = np.maximum(RANDOM.normal(size=(400, 16)) @ RANDOM.normal(size=(16, 16)), 0) + offset
    y = np.maximum(RANDOM.normal(size=(300, 16)) @ RANDOM.normal(size=(16, 16)), 0.1) + offset
    x, y = x.astype(np.float32), y.astype(np.float32)
    theirs = FrechetInceptionDistance(Channels(), normalize=True, input_img_size=(16, 1, 1))
    theirs.set_dtype(torch.float64)
    for features, real in ((x, True), (y, False)):
        theirs.update(torch.from_numpy(features)[:, :, None, None], real=real)
    np.testing.assert_allclose(frechet_distance(x, y), float(theirs.compute()), rtol=1e-6)


def test_kernel_distance():
    x, y = RANDOM.normal(size=(2, 50, 8)).astype(np.float32)
    y += 0.3
    a, b = torch.from_numpy(x).double(), torch.from_numpy(y).double()
    np.testing.assert_allclose(squared_mmd(x, y), float(poly_mmd(a, b)), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save")
@pytest.mark.filterwarnings("ignore:std().* degrees of freedom is <= 0")  # of one split
def test_inception_score():
    logits = (2 * RANDOM.normal(size=(1000, 10))).astype(np.float32)
    theirs = InceptionScore(torch.nn.Identity(), splits=1)
    theirs.update(torch.from_numpy(logits))
    found = inception_score(logits, jax.random.key(0), splits=1).value
    np.testing.assert_allclose(found, float(theirs.compute()[0]), rtol=1e-5)


def test_ms_ssim_of_one_scale():
    # Of more, theirs counts places on the last scale where the window leaves the image.
    x = RANDOM.uniform(size=(3, 20, 21, 2)).astype(np.float32)
    y = np.clip(x + RANDOM.normal(0, 0.3, x.shape), 0, 1).astype(np.float32)
    a, b = (torch.from_numpy(z).double().permute(0, 3, 1, 2) for z in (x, y))
    theirs = partial(structural_similarity_index_measure, data_range=1.0, reduction="none")
    places = theirs(a, b, return_full_image=True)[1][..., 5:-5, 5:-5]
    np.testing.assert_allclose(ms_ssim(x, y, data_range=1), places.mean((1, 2, 3)), atol=1e-5)
