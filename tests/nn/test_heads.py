from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.nn import heads
from jaxgan.nn.spectral import SpectralNorm, plain

KEY = jax.random.key(0)
FEATURES = jax.random.normal(KEY, (3, 4))
LABELS = jnp.array([1, 0, 1])


def bare(layer):
    return plain(layer, True)


def head(module, labels: Any = LABELS) -> tuple[Any, Any, Any]:
    """A head's outputs, its parameters, and itself as a function of them."""

    @jax.jit
    def apply(params):
        return module.apply({"params": params}, FEATURES, labels, bare)

    params: Any = jax.jit(lambda: module.init(KEY, FEATURES, labels, bare))()["params"]
    return apply(params), params, apply


def test_a_score_is_linear():
    scores, params, _ = head(heads.Score(), None)
    layer = params["Dense_0"]
    np.testing.assert_allclose(scores, FEATURES @ layer["kernel"][:, 0] + layer["bias"], rtol=1e-5)
    assert layer["bias"] == 0


def test_a_projection_adds_the_product_with_the_labels_vector():
    scores, params, apply = head(heads.Projection(2))
    table = params["Embed_0"]["embedding"]
    none = apply(params | {"Embed_0": {"embedding": 0 * table}})
    own = {"params": {"Dense_0": params["Dense_0"]}}
    linear: Any = heads.Score().apply(own, FEATURES, None, bare)
    np.testing.assert_allclose(none, linear, rtol=1e-6)
    np.testing.assert_allclose(scores - none, (FEATURES * table[LABELS]).sum(1), atol=1e-6)
    shift = jnp.arange(4.0)
    moved = apply(params | {"Embed_0": {"embedding": table + shift[None]}})
    kernel = params["Dense_0"]["kernel"] + shift[:, None]
    other = apply(params | {"Dense_0": params["Dense_0"] | {"kernel": kernel}})
    np.testing.assert_allclose(moved, other, rtol=1e-5)


@pytest.mark.parametrize("labels", [None, LABELS])
def test_an_auxiliary_classifier_gives_logits_without_a_bias_whether_or_not_it_has_labels(labels):
    outputs, params, _ = head(heads.AuxiliaryClassifier(6), labels)
    assert jax.tree.map(jnp.shape, outputs) == {"score": (3,), "logits": (3, 6)}
    np.testing.assert_allclose(outputs["logits"], FEATURES @ params["Dense_1"]["kernel"], rtol=1e-5)
    assert params["Dense_1"].keys() == {"kernel"}


def test_twin_classifiers_are_two():
    outputs, params, _ = head(heads.TwinClassifier(5), None)
    for name, layer in (("logits", "Dense_1"), ("twin_logits", "Dense_2")):
        np.testing.assert_allclose(outputs[name], FEATURES @ params[layer]["kernel"], rtol=1e-5)
    assert not np.allclose(outputs["logits"], outputs["twin_logits"], atol=0.1)


def test_embeddings_and_the_labels_proxies_have_length_1():
    outputs, params, _ = head(heads.Contrastive(2, 5))
    layer, table = params["Dense_1"], params["Embed_0"]["embedding"]
    vectors = {
        "embedding": FEATURES @ layer["kernel"] + layer["bias"][None],
        "proxies": table[LABELS],
    }
    assert outputs.keys() == {"score", *vectors}
    for name, vector in vectors.items():
        lengths = jnp.linalg.norm(vector, axis=1, keepdims=True)
        np.testing.assert_allclose(outputs[name], vector / lengths, rtol=1e-5)


def test_an_embedding_of_nothing_has_a_finite_gradient():
    _, params, _ = head(heads.Contrastive(2, 5))

    def total(features):
        variables = {"params": params}
        outputs: Any = heads.Contrastive(2, 5).apply(variables, features, LABELS, bare)
        return outputs["embedding"].sum()

    assert np.isfinite(jax.jit(jax.grad(total))(jnp.zeros((3, 4)))).all()


def test_labels_are_asked_for_or_refused():
    for module in (heads.Projection(2), heads.Contrastive(2)):
        with pytest.raises(ValueError, match="a network of 2 classes needs labels"):
            head(module, None)
    with pytest.raises(ValueError, match="leave labels out"):
        head(heads.Score())


@pytest.mark.parametrize(
    "module, layers",
    [
        (heads.Score(), 1),
        (heads.Projection(2), 2),
        (heads.AuxiliaryClassifier(2), 2),
        (heads.TwinClassifier(2), 3),
        (heads.Contrastive(2, 5), 3),
    ],
    ids=lambda x: type(x).__name__,
)
def test_all_layers_of_a_head_are_wrapped(module, layers):
    labels = None if isinstance(module, heads.Score) else LABELS
    variables = jax.eval_shape(
        lambda: module.init(KEY, FEATURES, labels, lambda layer: SpectralNorm(layer, True))
    )
    assert len(jax.tree.leaves(variables["batch_stats"])) == layers
