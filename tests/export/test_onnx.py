"""ONNX: every family, and single operations, as a runtime for ONNX computes them."""

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES
from jax import lax

from jaxgan.export import files
from jaxgan.export.sampler import Sampler
from jaxgan.util.errors import UserError

pytest.importorskip("onnx", reason="pip install 'jaxgan[onnx]'")

import onnx.reference  # noqa: E402

from jaxgan.export.onnx import FORMAT, run, serialize  # noqa: E402

QUICK = ("mnist_cgan",)  # dense layers, transposed convolutions, batch norm by label
KERNEL = np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype(np.float32)
HALVES = KERNEL[0, 0].astype(np.float16)
TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)


def convolve(x, stride=1, spread=1, groups=1, padding=((1, 1), (1, 1)), kernel=KERNEL):
    return lax.conv_general_dilated(
        x,
        jnp.asarray(kernel[:, :, : 4 // groups]),
        (stride, stride),
        padding,
        lhs_dilation=(spread, spread),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


OPERATIONS = {
    "stride": lambda x: convolve(x, stride=2),
    "groups": lambda x: convolve(x, groups=2),
    "spread": lambda x: convolve(x, spread=2, padding=((1, 2), (2, 1))),
    "more outputs": lambda x: convolve(x, spread=2, padding=((2, 3), (2, 3))),
    "attention": lambda x: jnp.einsum("bqvc,bkvc->bvqk", x, jax.nn.softmax(x)),
    "elementwise": lambda x: jnp.sqrt(abs(x)) + jnp.exp(-x) * jnp.sign(x) / (2 + jnp.sin(x)) - x**3,
    "choice": lambda x: jnp.where((x > 0) & ~(x == 1) | (x != x), jnp.clip(x, -0.5, 0.5), 0.0),
    "activations": lambda x: jax.nn.leaky_relu(x, 0.2) + jax.nn.gelu(x) * jax.nn.sigmoid(x),
    "parts": lambda x: jnp.concatenate([x[:, ::2, 1:], jnp.flip(x, 1)[:, :3, :-1]], 1),
    "stacks": lambda x: jnp.stack([*jnp.unstack(x, axis=2), x[:, :, 0], jnp.ones((1, 4, 4))], 2),
    "padding": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), constant_values=3.0),
    "gaps": lambda x: lax.pad(x, 3.0, ((0, 0, 0), (1, 0, 2), (0, 1, 1), (0, 0, 0))),
    "softplus and others": lambda x: (
        jax.nn.softplus(x) + jax.nn.elu(x) + jnp.round(x) + lax.rem(x, jnp.full_like(x, 0.3))
    ),
    "angles": lambda x: jnp.arctan(x) + jnp.sinh(x) + jnp.cosh(x) + jnp.arcsin(jnp.tanh(x)),
    "positions": lambda x: jnp.argmax(x, 1).sum(2) + jnp.argmin(x, 3).sum(1)[:, :1] + x[:, 0, :, 0],
    "sums in logarithms": lambda x: jax.nn.logsumexp(x, 3),
    "another order": lambda x: jnp.ravel(x, order="F")[None] * x.reshape(1, 80, order="C"),
    "no rounds": lambda x: jnp.concatenate(
        [x, lax.scan(lambda x, row: (x + row, x[0]), x, TABLE[:0, 0])[1].reshape(1, 0, 5, 4)], 1
    ),
    "sums over nothing": lambda x: jnp.sum(x, axis=()),
    "rows beyond a table": lambda x: jnp.take(
        TABLE, (9 * x[:, 0, 0]).astype(int), axis=0, mode="clip"
    ),
    "running sums": lambda x: jnp.cumsum(x, 1) + lax.cumsum(x, 2, reverse=True),
    "sums": lambda x: x.mean((1, 3)) + x.max((1, 2)).min(-1, keepdims=True),
    "repeats": lambda x: jnp.repeat(x, 2, 1) + jnp.tile(x[:, :1], (1, 8, 1, 1)),
    "constants": lambda x: jnp.concatenate([x, KERNEL[None, :, :1, :, 0].repeat(5, 2)], 1),
    "constants of a batch": lambda x: jnp.concatenate([x, jnp.full_like(x, 2.0)], 1),
    "loop": lambda x: jnp.concatenate(
        [
            y.reshape(1, -1)
            for y in lax.scan(
                lambda x, row: (jnp.sin(x) * row, x[:, 0]), x, jnp.arange(1.0, 4.0), reverse=True
            )
        ],
        1,
    ),
    "loop over a batch": lambda x: lax.scan(
        lambda carry, row: (carry + row, row * carry), x[:, 0], jnp.swapaxes(x, 0, 1)
    )[1].sum(0),
    "table": lambda x: jnp.take(TABLE, jnp.clip(x[:, 0, 0].astype(int), 0, 3), axis=0),
}


def of_pictures(draw) -> Sampler:
    x = jax.random.normal(jax.random.key(0), (3, 4, 5, 4))

    def each(arguments):
        return jax.vmap(lambda x: draw(x[None])[0])(arguments["x"])

    return Sampler(each, {"x": x}, each({"x": x}), {"recipe": "none"})


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_compute_what_those_of_jax_do(name):
    sampler = of_pictures(OPERATIONS[name])
    data = serialize(sampler)
    for some in (slice(None), slice(1)):
        made = run(data, {"x": sampler.arguments["x"][some]})
        np.testing.assert_allclose(made, sampler.pictures[some], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda x: jnp.sort(x, 1), "sort"),
        (lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), "convert_element_type"),
        (lambda x: x[:, :0].sum(1) + 1, "reduce_sum"),
        (lambda x: convolve(x, kernel=KERNEL * x[0, 0, 0, 0]), "conv_general_dilated"),
        (lambda x: convolve(x, spread=2, kernel=KERNEL * x[0, 0, 0, 0]), "conv_general_dilated"),
        (lambda x: lax.scan(lambda x, row: (x + row, x), x, TABLE[:0, 0])[1].sum(0), "reduce_sum"),
        (
            lambda x: jnp.dot(x.astype(np.float16), HALVES, preferred_element_type=jnp.float32),
            "dot_general",
        ),
        (lambda x: abs(x + 1j * x), "convert_element_type"),
        (lambda x: lax.while_loop(lambda x: x.max() < 3, lambda x: x + 1, x), "while"),
    ],
)
def test_other_operations_are_named(draw, told):
    with pytest.raises(
        UserError, match=f"{told}, as this network uses it, cannot .*--format stablehlo"
    ):
        serialize(of_pictures(draw))


def test_a_loop_over_a_batch_of_any_size_is_named():
    def each(arguments):
        return lax.map(jnp.sin, arguments["x"])

    x = jnp.ones((3, 4))
    with pytest.raises(UserError, match="scan, as this network uses it, cannot"):
        serialize(Sampler(each, {"x": x}, x, {"recipe": "none"}))


def test_what_onnx_itself_refuses_is_told():
    negative = of_pictures(lambda x: (-x.astype(jnp.uint8)).astype(jnp.float32))
    with pytest.raises(UserError, match=r"^[^\n]*ONNX, which refuses it .*Neg.*stablehlo[^\n]*$"):
        serialize(negative)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FAMILIES]
)
def test_batches_of_any_size_make_the_pictures_of_jax(name, sampler_of, tmp_path):
    sampler = sampler_of(name)
    assert files.write(tmp_path / "made", sampler, FORMAT) < 1e-4
    (path,) = tmp_path.iterdir()
    model = onnx.load(path)
    assert {x.key: json.loads(x.value) for x in model.metadata_props} == {"jaxgan": sampler.about}
    assert {x.name for x in model.graph.input} == sampler.about["inputs"].keys()
    first = {name: x[:1] if x.ndim else x for name, x in sampler.arguments.items()}
    values = {name: np.asarray(x) for name, x in first.items()}
    expected: Any = onnx.reference.ReferenceEvaluator(model).run(["samples"], values)
    for made in (run(path.read_bytes(), first), expected[0]):
        np.testing.assert_allclose(made, sampler.pictures[:1], rtol=1e-3, atol=1e-4)


def test_the_way_back_is_that_of_translate(way_back):
    data = serialize(way_back.sampler)
    (told,) = onnx.load_from_string(data).metadata_props
    assert json.loads(told.value)["to"] == "a"
    way_back.assert_same(run(data, {"source": way_back.given}))


def test_without_onnx_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "jaxgan.export.graph")
    with pytest.raises(UserError, match=r"pip install 'jaxgan\[onnx\]'"):
        import jaxgan.export.graph  # noqa: F401


def test_weights_used_twice_are_kept_once():
    twice = of_pictures(lambda x: convolve(x) + convolve(2 * x))
    kept = onnx.load_from_string(serialize(twice)).graph.initializer
    assert sum(len(x.raw_data) for x in kept) < 1.5 * KERNEL.nbytes


def test_weights_beyond_what_a_file_holds_are_refused(monkeypatch):
    monkeypatch.setattr(onnx.checker, "MAXIMUM_PROTOBUF", 100)
    with pytest.raises(UserError, match="too large for a file of ONNX.*--format stablehlo"):
        serialize(of_pictures(OPERATIONS["stride"]))
