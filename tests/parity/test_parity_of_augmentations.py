"""The warp and the colors of ADA against PyTorch: padding, filters and sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from compare import assert_parity

from jaxgan.augment import affine, colors
from jaxgan.augment.matrices import product

SYM6 = [
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
]
HEIGHT, WIDTH = 16, 14  # so that the samples stay within one mirror image
KEYS = jax.random.split(jax.random.key(3), 5)
rng = np.random.default_rng(0)


def drawn(draw, shape):
    with jax.enable_x64(True):
        image = jnp.zeros(shape, jnp.float64)
        return np.asarray(jax.jit(jax.vmap(lambda key: draw(image, key)))(KEYS))


def filtered(images, taps):
    """Each channel correlated with the same taps, along both axes."""
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        kernel = taps.reshape(shape).expand(images.shape[1], -1, -1, -1)
        images = F.conv2d(images, kernel, groups=images.shape[1])
    return images


def torch_warp(images, matrices):
    """As the source does it: a mirror image all around, twice the pixels, a grid of samples."""
    images = images.permute(0, 3, 1, 2)
    n, channels, height, width = images.shape
    taps = torch.tensor(SYM6, dtype=images.dtype)
    taps = taps / taps.sum()
    images = F.pad(images, (width - 1, width - 1, height - 1, height - 1), mode="reflect")
    doubled = images.new_zeros(n, channels, 2 * images.shape[2], 2 * images.shape[3])
    doubled[:, :, ::2, ::2] = images
    doubled = filtered(F.pad(doubled, (6, 5, 6, 5)), 2 * taps.flip(0))

    def moved(by, scale_x, scale_y):
        return torch.tensor([[scale_x, 0, by], [0, scale_y, by], [0, 0, 1]], dtype=images.dtype)

    # From the grid's [-1, 1] to half pixels around the middle, to pixels, and back.
    size = [n, channels, 2 * (height + 6), 2 * (width + 6)]
    into = moved(0.25, size[3] / 4, size[2] / 4)
    out = moved(0, 2 / doubled.shape[3], 2 / doubled.shape[2]) @ moved(-0.5, 2, 2)
    matrices = torch.cat([matrices[:, :2], torch.eye(3, dtype=images.dtype)[2].expand(n, 1, 3)], 1)
    theta = (out @ matrices @ into)[:, :2]
    samples = F.grid_sample(
        doubled, F.affine_grid(theta, size, align_corners=False), align_corners=False
    )
    return filtered(samples[:, :, 1:-1, 1:-1], taps)[:, :, ::2, ::2].permute(0, 2, 3, 1)


def test_warp():
    draw = product(
        affine.mirror,
        affine.quarter_turn,
        affine.whole_shift(),
        affine.zoom(0.1),
        affine.turn,
        affine.stretch(0.1),
        affine.turn,
        affine.shift(0.05),
    )
    matrices = drawn(draw, (HEIGHT, WIDTH, 2))
    images = rng.uniform(-1, 1, (len(KEYS), HEIGHT, WIDTH, 2))
    assert_parity(jax.vmap(affine.warp), torch_warp, images, matrices)


def test_colors():
    draw = product(
        colors.brighten(), colors.amplify(), colors.flip_luma, colors.turn_hue, colors.saturate()
    )
    matrices = drawn(draw, (2, 3, 3))

    def theirs(images, matrices):
        ones = torch.ones_like(images[..., :1])
        rows = torch.cat([images, ones], -1) if images.shape[3] == 3 else None
        if rows is None:
            rows = torch.cat([images, images, images, ones], -1)
        found = torch.einsum("nhwi,nij->nhwj", rows, matrices)[..., :3]
        return found if images.shape[3] == 3 else found.mean(3, keepdim=True)

    for channels in (1, 3):
        images = rng.uniform(-1, 1, (len(KEYS), 2, 3, channels))
        assert_parity(jax.vmap(colors.recolor), theirs, images, matrices)
