"""GAT against PyTorch: outputs and gradients of its networks, and whole steps of a recipe."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_parity, draw_like, to_torch
from steps import assert_same_weights, disturbed
from torch import Tensor

from jaxgan.core.gan import init
from jaxgan.core.steps import make_step
from jaxgan.keys import per_example, stream
from jaxgan.models.gat import Discriminator, Generator, Size
from jaxgan.recipes.mnist_gat import MnistGat
from jaxgan.types import DataSpec

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(1)
SIZE = Size(depth=8, width=8, heads=2)
ROWS, COLUMNS, PATCH = 2, 3, 4
SHAPE = (ROWS * PATCH, COLUMNS * PATCH, 3)
LABELS = np.array([2, 0], np.int32)
cases = pytest.mark.parametrize("labels", [(), (LABELS,)], ids=["unconditional", "conditional"])
pytestmark = pytest.mark.usefixtures("attention_in_float64")


def test_attention_is_what_stands_in_for_it(monkeypatch):
    arrays = RANDOM.normal(size=(3, 2, 5, 3, 4)).astype(np.float32)
    expected = jax.nn.dot_product_attention(*arrays)
    monkeypatch.undo()
    np.testing.assert_allclose(jax.nn.dot_product_attention(*arrays), expected, atol=1e-5)


def normalized(x: Tensor, epsilon: float) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()


def affine(x: Tensor, layer: Any) -> Tensor:
    return F.linear(x, layer["kernel"].T, layer["bias"])


def slow(x: Tensor, layers: Any) -> Tensor:
    for name in ("SlowDense_0", "SlowDense_1"):
        layer = layers[name]
        x = F.linear(x, 0.01 * layer["kernel"].T, 0.01 * layer["bias"])
        x = F.silu(x) if name == "SlowDense_0" else x
    return x


def embedded(rows: int, columns: int, width: int) -> Tensor:
    """By the definition of each number."""
    made = torch.zeros(rows, columns, width, dtype=torch.float64)
    quarter = width // 4
    for row in range(rows):
        for column in range(columns):
            for index in range(quarter):
                speed = 10_000 ** (-index / quarter)
                for start, place in ((0, column), (2 * quarter, row)):
                    angle = torch.tensor(place * speed, dtype=torch.float64)
                    made[row, column, start + index] = angle.sin()
                    made[row, column, start + quarter + index] = angle.cos()
    return made.reshape(rows * columns, width)


def turned(x: Tensor, rows: int, columns: int) -> Tensor:
    """Queries or keys `[B, N, T, H]` as complex numbers; a first token without place stays."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    half = pairs.shape[-1] // 2
    speeds = 10_000 ** (-torch.arange(half, dtype=torch.float64) / half)
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).double()
    angles = torch.cat([grid[:, :1] * speeds, grid[:, 1:] * speeds], 1)
    angles = F.pad(angles, (0, 0, x.shape[2] - rows * columns, 0))
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


def attention(x: Tensor, layers: Any, grid: tuple[int, int], heads: int) -> Tensor:
    queries, keys, values = affine(x, layers["inputs"]).chunk(3, -1)

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    queries = normalized(split(queries), 1e-6) * layers["query_norm"]["scale"]
    keys = normalized(split(keys), 1e-6) * layers["key_norm"]["scale"]
    made = F.scaled_dot_product_attention(
        turned(queries, *grid), turned(keys, *grid), split(values)
    )
    return affine(made.transpose(1, 2).flatten(-2), layers["outputs"])


def mlp(x: Tensor, layers: Any) -> Tensor:
    gates, values = affine(x, layers["inputs"]).chunk(2, -1)
    return affine(F.silu(gates) * values, layers["outputs"])


def of(layers: Any, *index: int) -> Any:
    """One block of a stack."""
    return jax.tree.map(lambda leaf: leaf[index], layers)


def generator(variables, latents, *labels, size=SIZE, shape=SHAPE):
    params = variables["params"]
    w = normalized(latents, 1e-8)
    if labels:
        w = torch.cat([normalized(params["codes"]["embedding"][labels[0].long()], 1e-8), w], 1)
    w = slow(w, params["mapping"])
    grid = shape[0] // PATCH, shape[1] // PATCH
    x = embedded(*grid, size.width).expand(len(w), -1, -1)
    picture, levels = torch.zeros(len(w), *shape, dtype=torch.float64), []
    for quarter in range(4):
        own = of(params["quarters"], quarter)
        for index in range(size.depth // 4):
            block = of(own["blocks"], index)
            modulation = affine(F.silu(w), block["Modulation_0"]["Dense_0"])[:, None]
            scale, gate, mlp_scale, mlp_gate = modulation.chunk(4, -1)
            inputs = normalized(x, 1e-6) * (1 + scale)
            x = x + gate * attention(inputs, block["Attention_0"], grid, size.heads)
            x = x + mlp_gate * mlp(normalized(x, 1e-6) * (1 + mlp_scale), block["SwiGlu_0"])
        scale = affine(F.silu(w), own["Modulation_0"]["Dense_0"])[:, None]
        patches = affine(normalized(x, 1e-6) * (1 + scale), own["patches"])
        # F.fold has the channels of a patch first.
        patches = patches.unflatten(-1, (PATCH**2, -1)).transpose(-2, -1).flatten(-2)
        made = F.fold(patches.transpose(1, 2), shape[:2], PATCH, stride=PATCH)
        picture = picture + made.permute(0, 2, 3, 1)
        levels.append(picture)
    return torch.stack(levels, 1)


def discriminator(variables, levels, *labels, size=SIZE):
    params = variables["params"]
    batch, _, height, width, _ = levels.shape
    grid = height // PATCH, width // PATCH
    pictures = levels.permute(0, 1, 4, 2, 3).flatten(1, 2)  # levels, then colors
    kernel = params["patches"]["kernel"].unflatten(0, (PATCH, PATCH, -1)).permute(3, 2, 0, 1)
    x = F.conv2d(pictures, kernel, params["patches"]["bias"], stride=PATCH).flatten(2)
    x = x.transpose(1, 2) + embedded(*grid, size.width)
    x = torch.cat([params["token"].expand(batch, -1, -1), x], 1)
    for index in range(size.depth):
        block = of(params["blocks"], index)
        inputs = normalized(x, 1e-6) * block["RMSNorm_0"]["scale"]
        x = x + block["scale"] * attention(inputs, block["Attention_0"], grid, size.heads)
        inputs = normalized(x, 1e-6) * block["RMSNorm_1"]["scale"]
        x = x + block["mlp_scale"] * mlp(inputs, block["SwiGlu_0"])
    features = normalized(x[:, 0], 1e-6) * params["RMSNorm_0"]["scale"]
    if not labels:
        return (features @ params["score"]["kernel"])[:, 0]
    codes = slow(params["labels"]["embedding"][labels[0].long()], params["SlowMlp_0"])
    return (affine(features, params["features"]) * codes).sum(1)


def draw(module, *inputs) -> Any:
    """Parameters whose effect is of the size of 1, slow ones too."""
    shapes: Any = jax.eval_shape(lambda *x: module.init(KEY, *x, train=True), *inputs)

    def scaled(path, leaf):
        return leaf * (100 if "Slow" in jax.tree_util.keystr(path) else 1)

    return {"params": jax.tree.map_with_path(scaled, draw_like(shapes["params"], 0.5))}


def ours(module):
    def apply(variables, *inputs):
        width = module.size.width
        average = {"batch_stats": {"average": jnp.zeros((module.classes or 1, width))}}
        return module.apply(average | variables, *inputs, train=False)

    return apply


@cases
def test_generator(labels):
    module = Generator(SIZE, SHAPE, PATCH, 3 if labels else None, 5)
    latents = RANDOM.normal(size=(2, 5))
    assert_parity(ours(module), generator, draw(module, latents, *labels), latents, *labels)


@cases
def test_discriminator(labels):
    module = Discriminator(SIZE, PATCH, 3 if labels else None, 6)
    levels = RANDOM.normal(size=(2, 4, *SHAPE))
    assert_parity(ours(module), discriminator, draw(module, levels, *labels), levels, *labels)


# Whole training steps: the recipe's own without augmentation, from the same numbers.

BATCH, LATENT, SIDE = 3, 5, 8
SMALL = Size(depth=4, width=8, heads=2)
RECIPE = MnistGat(
    batch_size=BATCH,
    latent_size=LATENT,
    code_size=6,
    depth=SMALL.depth,
    width=SMALL.width,
    heads=SMALL.heads,
    patch=PATCH,
    learning_rate=2e-5,
    cooldown=2**31 - 1,  # so long that the learning rate stays, to all digits
    representation_weight=0.0,
    clip=0.3,  # so small that the gradients of both are clipped
    gamma=1.0,
)


class Theirs:
    """The same GAN and its steps in PyTorch, given what jaxgan draws."""

    def __init__(self, state: Any):
        self.d = jax.tree.map(to_torch, state.discriminator.params)
        self.g = jax.tree.map(to_torch, state.generator.params)
        self.average = [leaf.detach().clone() for leaf in jax.tree.leaves(self.g)]
        self.adam_d, self.adam_g = (
            torch.optim.Adam(jax.tree.leaves(net), 2e-5 * 768 / 8, (0.0, 0.99))
            for net in (self.d, self.g)
        )
        self.clipped = []

    def generate(self, batch: dict[str, Tensor]) -> Tensor:
        return generator(
            {"params": self.g}, batch["latent"], batch["label"], size=SMALL, shape=(SIDE, SIDE, 1)
        )

    def judge(self, levels: Tensor, batch: dict[str, Tensor], noise: np.ndarray) -> Tensor:
        """Hides levels by a chain of noises, from the last to the first, and judges them."""
        hidden: list[Tensor] = []
        before, chained = 0.0, torch.zeros(1)
        for level in (3, 2, 1, 0):
            t = 1 - 0.125 ** (1 - level / 3) + 0.01
            r = (1 - t) / (1 - before)
            fresh = torch.tensor(noise[:, level])
            chained = r * chained + (t**2 - r**2 * before**2) ** 0.5 * fresh
            hidden.insert(0, (1 - t) * levels[:, min(level, levels.shape[1] - 1)] + chained)
            before = t
        return discriminator({"params": self.d}, torch.stack(hidden, 1), batch["label"], size=SMALL)

    def move(self, adam: torch.optim.Adam, loss: Tensor) -> float:
        (group,) = adam.param_groups
        adam.zero_grad()
        loss.backward(inputs=group["params"])
        norm = torch.nn.utils.get_total_norm([p.grad for p in group["params"]])
        self.clipped.append(float(norm) > RECIPE.clip)
        for p in group["params"]:
            p.grad *= min(1.0, RECIPE.clip / float(norm))
        adam.step()
        return loss.item()

    def iterate(self, key: jax.Array, numbers: dict[str, np.ndarray]) -> dict[str, float]:
        batch = {name: torch.tensor(x) for name, x in numbers.items()}
        real = batch["image"][:, None]

        def normals(key: jax.Array, *shape: int) -> np.ndarray:
            keys = per_example(key, BATCH)
            return np.asarray(jax.vmap(lambda key: jax.random.normal(key, shape, float))(keys))

        def noise(key: jax.Array, use: str) -> np.ndarray:
            return normals(stream(stream(key, f"view_{use}"), "noise"), 4, SIDE, SIDE, 1)

        own = jax.random.fold_in(key, 0)
        fake = self.generate(batch).detach()
        score, fake_score = (
            self.judge(x, batch, noise(own, f"discriminator_{kind}"))
            for kind, x in (("real", real), ("fake", fake))
        )
        loss = F.softplus(fake_score - score).mean()
        hidden, penalty = noise(own, "discriminator_penalty"), torch.zeros(())
        keys = per_example(stream(own, "penalty"), BATCH)
        for x in (real, fake):
            e = jax.vmap(
                lambda key, x=x: jax.random.normal(jax.random.fold_in(key, 0), x.shape[1:], float)
            )(keys)
            moved = self.judge(x + 0.01 * torch.tensor(np.asarray(e)), batch, hidden)
            change = (moved - self.judge(x, batch, hidden)) / 0.01
            penalty = penalty + RECIPE.gamma / 2 * (change**2).mean()
        self.move(self.adam_d, loss + penalty)

        own = jax.random.fold_in(key, 1)
        fake_score = self.judge(self.generate(batch), batch, noise(own, "generator_fake"))
        score = self.judge(real, batch, noise(own, "generator_real"))
        loss_g = self.move(self.adam_g, F.softplus(score - fake_score).mean())
        for kept, leaf in zip(self.average, jax.tree.leaves(self.g), strict=True):
            kept.lerp_(leaf.detach(), 1 - RECIPE.average_decay)
        return {"loss_d": loss.item(), "penalty": penalty.item(), "loss_g": loss_g}


@pytest.mark.slow
def test_four_steps_of_the_recipe_agree_in_float64(monkeypatch):
    monkeypatch.setattr(MnistGat, "augment", lambda self: lambda image, key: image)
    random = np.random.default_rng(0)
    gan = RECIPE.gan(DataSpec((SIDE, SIDE, 1), 10))
    gan = replace(gan, inputs=lambda key, n, batch: (batch["latent"], batch["label"]))
    update = RECIPE.update(gan)

    def draw_batch() -> dict[str, np.ndarray]:
        return {
            "image": random.uniform(-1, 1, (BATCH, SIDE, SIDE, 1)),
            "latent": random.normal(size=(BATCH, LATENT)),
            "label": random.integers(0, 10, BATCH).astype(np.int32),
        }

    with jax.enable_x64(True):
        state = jax.jit(lambda key: init(gan, key, draw_batch(), update))(KEY)
        state = disturbed(state, random, 0.3)
        theirs = Theirs(jax.device_get(state))
        step = jax.jit(make_step(update))
        for index in range(4):
            batch = draw_batch()
            state, metrics = step(state, batch, KEY)
            for name, value in theirs.iterate(jax.random.fold_in(KEY, index), batch).items():
                np.testing.assert_allclose(metrics[name], value, rtol=1e-8, err_msg=name)
            assert_same_weights(state, theirs, 1e-8, averaged=1e-8)
        assert all(theirs.clipped)
