"""The networks of `mnist_conv` with labels: conditional batch norm in G, a projection in D."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.models.conv import Discriminator, Generator

KEY = jax.random.key(0)
CLASSES = 3
G: Any = Generator((8, 8, 1), width=4, channels=(3, 2))
D: Any = Discriminator(channels=(2, 3), width=4)
LABELS = jnp.array([0, 2, 1, 1])


def test_a_generator_normalizes_by_label_and_at_first_as_without_labels():
    latents = jax.random.normal(KEY, (4, 3))
    conditional = G.clone(classes=CLASSES)
    variables = conditional.init(KEY, latents, LABELS, train=False)
    plain = G.init(KEY, latents, train=False)
    params = variables["params"]
    same = {name: x for name, x in params.items() if not name.startswith("Conditional")}
    norms = {name: x for name, x in plain["params"].items() if name.startswith("BatchNorm")}

    def run(params):
        return conditional.apply(
            {**variables, "params": params}, latents, LABELS, train=True, mutable="batch_stats"
        )[0]

    expected = G.apply(
        {"params": same | norms, "batch_stats": plain["batch_stats"]},
        latents,
        train=True,
        mutable="batch_stats",
    )[0]
    np.testing.assert_allclose(run(params), expected, rtol=1e-4, atol=1e-6)

    def of_class_2(path, x):  # a table [K, C] of the last norm
        last = path[0].key == "ConditionalBatchNorm_2"
        return x.at[2].add(1.0) if last else x

    moved = run(jax.tree_util.tree_map_with_path(of_class_2, params))
    changed = np.abs(moved - run(params)).max((1, 2, 3)) > 1e-3
    assert changed.tolist() == [False, True, False, False]


def test_a_discriminator_adds_the_product_with_the_vector_of_the_label():
    images = jax.random.normal(KEY, (4, 16, 16, 1))
    conditional = D.clone(classes=CLASSES)
    variables = conditional.init(KEY, images, LABELS, train=False)
    params = dict(variables["params"])
    vectors = params.pop("Embed_0")["embedding"]
    assert vectors.shape == (CLASSES, 4)
    plain = D.apply({"params": params}, images, train=False)
    scores = [
        conditional.apply(variables, images, jnp.full(4, y), train=False) - plain for y in range(3)
    ]
    # Products with the features, which are as many as units: of any label, linear in its vector.
    halved = params | {"Embed_0": {"embedding": vectors.at[1].set((vectors[0] + vectors[2]) / 2)}}
    between = conditional.apply({"params": halved}, images, jnp.full(4, 1), train=False) - plain
    np.testing.assert_allclose(between, (scores[0] + scores[2]) / 2, rtol=1e-4, atol=1e-6)
    assert np.abs(scores[0] - scores[1]).min() > 0


def test_labels_and_classes_come_together():
    with pytest.raises(ValueError, match="needs labels"):
        G.clone(classes=CLASSES).init(KEY, jnp.zeros((4, 3)), train=False)
    with pytest.raises(ValueError, match="set classes"):
        D.init(KEY, jnp.zeros((4, 16, 16, 1)), LABELS, train=False)
