from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.core import Tracer
from jax.tree_util import Partial

from jaxgan.core.networks import linen
from jaxgan.core.state import TrainState
from jaxgan.features import Extractor, digits, extract
from jaxgan.features.extractor import hash_weights, load_network, make_features, make_logits
from jaxgan.interop import to_torch_state_dict
from jaxgan.util.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 2, 3, 1), np.uint8)


class Tiny(nn.Module):
    def setup(self):
        self.last = nn.Dense(3)

    @nn.compact
    def features(self, images, train: bool = False):
        x = nn.Dense(5)(images.reshape(images.shape[0], -1))
        return nn.BatchNorm(use_running_average=not train)(x)

    def __call__(self, images, train: bool = False):
        return self.last(self.features(images, train))


NETWORK = linen(Tiny())


@pytest.fixture(scope="module")
def net() -> TrainState:
    variables: Any = Tiny().init(jax.random.key(0), jnp.zeros((1, 2, 3, 1)))
    return TrainState(variables["params"], {"batch_stats": variables["batch_stats"]}, ())


def flatten(images):
    return images.reshape(images.shape[0], -1)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 8])
def test_any_function_can_be_an_extractor_and_padding_leaves_no_trace(batch_size):
    pixels = Extractor("pixels", "as they are", None, flatten)
    found = extract(pixels, IMAGES, batch_size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, IMAGES.reshape(7, 6) / 255, rtol=1e-6)


def test_an_extractor_has_a_short_name():
    assert Extractor("Net v2/B (small)", "none", None, flatten).short == "net_v2_b_small"
    assert Extractor("Net v2/B (small)", "none", None, flatten, short="net").short == "net"
    assert digits.load().short == "digits" != digits.per_channel(3).short
    for name, short in (("a", "Net"), ("a", "my net"), ("???", "")):
        with pytest.raises(UserError, match="short must be of a-z, 0-9 and _"):
            Extractor(name, "none", None, flatten, short=short)


@pytest.mark.parametrize(
    ("images", "batch_size"),
    [(IMAGES / 255, 3), (IMAGES[0], 3), (IMAGES[:0], 3), (IMAGES, 0)],
    ids=["floats", "one image", "none", "none at a time"],
)
def test_what_are_no_images_is_refused(images, batch_size):
    with pytest.raises(UserError, match="features need uint8 images"):
        extract(Extractor("pixels", "as they are", None, flatten), images, batch_size)


def test_the_function_is_compiled_once_for_batches_of_one_shape():
    traced = []

    def count(images):
        traced.append(images.shape)
        return flatten(images)

    counting = Extractor("pixels", "as they are", None, count)
    extract(counting, IMAGES, 3)
    extract(counting, IMAGES[:2], 3)
    assert traced == [(3, 2, 3, 1)]


def test_arrays_of_a_partial_are_no_constants_of_the_program():
    traced = []

    def add(offset, images):
        traced.append(isinstance(offset, Tracer))
        return flatten(images) + offset

    for offset in (1.0, 2.0):
        shifted = Extractor("shifted", "as they are", None, Partial(add, jnp.float32(offset)))
        np.testing.assert_allclose(
            extract(shifted, IMAGES, 7), IMAGES.reshape(7, 6) / 255 + offset, rtol=1e-6
        )
    assert traced == [True]


def test_a_network_gives_its_features_and_logits(net):
    variables: Any = {"params": net.params, **net.collections}
    images = jnp.asarray(IMAGES, jnp.float32) / 255
    last = net.params["last"]
    features = make_features(Tiny(), net)(images)
    assert features.shape == (7, 5)
    expected: Any = Tiny().apply(variables, images)
    logits = make_logits(last["kernel"], last["bias"] + 1)(features)
    np.testing.assert_allclose(logits, expected + 1, rtol=1e-5, atol=1e-6)


def test_networks_compute_in_full_precision(net):
    last = net.params["last"]
    with jax.default_matmul_precision("bfloat16"):
        for function, shape in (
            (make_features(Tiny(), net), (1, 2, 3, 1)),
            (make_logits(last["kernel"], last["bias"]), (1, 5)),
        ):
            program = jax.make_jaxpr(function)(jnp.zeros(shape))
            (product,) = [eqn for eqn in program.eqns if eqn.primitive.name == "dot_general"]
            assert set(product.params["precision"]) == {jax.lax.Precision.HIGHEST}


def test_the_hash_is_of_the_numbers_and_their_places(net):
    state_dict = to_torch_state_dict(NETWORK, net, inputs=np.zeros((1, 2, 3, 1)))
    turned = {name: state_dict[name] for name in reversed(state_dict)}
    loaded = load_network(NETWORK, turned, (2, 3, 1))
    assert hash_weights(loaded) == hash_weights(net)
    assert len(hash_weights(net)) == 64
    hashes = {hash_weights(net)}
    stats = net.collections["batch_stats"]["BatchNorm_0"]
    swapped = {"BatchNorm_0": {"mean": stats["var"], "var": stats["mean"]}}
    hashes.add(hash_weights(net.replace(collections={"batch_stats": swapped})))
    state_dict["last.bias"][1] = np.nextafter(state_dict["last.bias"][1], np.float32(1))
    hashes.add(hash_weights(load_network(NETWORK, state_dict, (2, 3, 1))))
    assert len(hashes) == 3
    numbers = np.arange(6, dtype=np.float32)
    trees = {"a": numbers}, {"b": numbers}, {"a": numbers.reshape(2, 3)}
    assert len({hash_weights(TrainState(tree, {}, ())) for tree in trees}) == 3


def test_weights_of_another_network_are_refused(net):
    state_dict = to_torch_state_dict(NETWORK, net, inputs=np.zeros((1, 2, 3, 1)))
    with pytest.raises(UserError, match="lacks last.bias"):
        load_network(NETWORK, {n: x for n, x in state_dict.items() if n != "last.bias"}, (2, 3, 1))
    with pytest.raises(UserError, match="Dense_0.weight has the shape"):
        load_network(NETWORK, state_dict, (3, 3, 1))
