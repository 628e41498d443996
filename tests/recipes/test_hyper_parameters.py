"""Every hyper-parameter of the recipes, and its default."""

import dataclasses
from typing import Any

import pytest
from tiny_systems import make_recipe

# Every hyper-parameter and its default, as the five sources have them.
GAUSSIANS: dict[str, Any] = {
    "batch_size": 100,
    "log_every": 1000,
    "sample_every": 20_000,
    "checkpoint_every": 20_000,
    "grid": (50, 50),  # 2,500 points, as the source evaluates
    "packing": 1,
    "latent_size": 2,
    "generator_widths": (400, 400, 400, 400),
    "discriminator_widths": (200, 200, 200),
    "pieces": 5,
    "init_deviation": 0.02,
    "momentum": 0.95,
    "epsilon": 1e-4,
    "learning_rate": 1e-4,
    "beta1": 0.8,
    "beta2": 0.999,
}
FIELDS: dict[str, dict[str, Any]] = {
    "gaussians_ring8": GAUSSIANS,
    "gaussians_grid25": GAUSSIANS,
    "pattern_1010": {
        "batch_size": 1,
        "log_every": 5,  # D is trained twice in a step; its loss is recorded each 10th time
        "sample_every": 1000,
        "checkpoint_every": 10_000,
        "grid": (1, 1),
        "width": 3,
        "learning_rate": 0.01,
    },
    "mnist_mlp": {
        "data": "mnist",
        "batch_size": 128,
        "log_every": 117,
        "sample_every": 468,  # an epoch
        "checkpoint_every": 2340,
        "grid": (5, 5),
        "latent_size": 100,
        "generator_widths": (128, 256, 512, 1024),
        "discriminator_widths": (512, 256),
        "slope": 0.2,
        "momentum": 0.9,
        "epsilon": 1e-5,
        "learning_rate": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
    },
    "mnist_conv": {
        "data": "mnist@train[5000:]",  # 55,000 images, the first 5,000 being for validation
        "batch_size": 128,
        "log_every": 50,
        "sample_every": 250,
        "checkpoint_every": 500,
        "grid": (4, 4),
        "latent_size": 96,
        "generator_width": 1024,
        "generator_channels": (128, 64),
        "discriminator_channels": (32, 64),
        "discriminator_width": 1024,
        "slope": 0.01,
        "momentum": 0.99,
        "epsilon": 1e-3,
        "learning_rate": 1e-3,
        "beta1": 0.5,
        "beta2": 0.999,
    },
    "mnist_dcgan": {
        "data": "mnist",
        "batch_size": 128,
        "log_every": 50,
        "sample_every": 1000,
        "checkpoint_every": 500,
        "grid": (5, 5),
        "latent_size": 100,
        "generator_channels": (256, 128, 64),
        "discriminator_channels": (64, 128),
        "slope": 0.2,
        "dropout": 0.3,
        "init_deviation": 0.02,
        "momentum": 0.9,
        "epsilon": 1e-5,
        "learning_rate": 2e-4,
        "beta1": 0.9,  # Flux's default, not 0.5
        "beta2": 0.999,
    },
    "mnist_dcgan_bn": {
        "data": "mnist",
        "batch_size": 128,
        "log_every": 200,  # 25 times in 5,000 steps
        "sample_every": 500,
        "checkpoint_every": 500,
        "grid": (6, 6),
        "discriminator_steps": 2,
        "generator_steps": 2,
        "latent_size": 100,
        "generator_width": 1024,
        "generator_channels": (128, 128),
        "discriminator_channels": (1, 64),
        "discriminator_width": 1024,
        "slope": 0.2,
        "init_deviation": 0.02,
        "norm_time": 5000.0,
        "epsilon": 1e-5,
        "learning_rate": 2e-4,
        "beta1": 0.5,
        "beta2": 0.999,
    },
}


@pytest.mark.parametrize("name", FIELDS)
def test_hyper_parameters(name):
    fields = dataclasses.asdict(make_recipe(name))
    image_fields = {"image_size": None} if "data" in FIELDS[name] else {}
    length = {"steps": None, "epochs": None}
    computing = {"dtype": "float32", "microbatch": None}
    evaluating = {"eval_every": None, "eval_num": 2000, "best_by": "fid"}
    assert fields == FIELDS[name] | length | computing | evaluating | image_fields
