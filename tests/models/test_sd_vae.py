"""The autoencoder of Stable Diffusion: sizes, scaling, and files of weights; see tests/parity."""

import math
import pickle
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.interop import load_sd_vae, save_safetensors
from jaxgan.models.sd_vae import SCALING, Decoder, Encoder
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
WIDTHS = (4, 8)
ENCODER = Encoder(2, WIDTHS, blocks=1, groups=2)
DECODER = Decoder(3, WIDTHS, blocks=2, groups=2)
load = partial(load_sd_vae, encoder=ENCODER, decoder=DECODER)


def names(latents: int, widths: tuple[int, ...], blocks: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of a file by their names in diffusers."""
    first, last = widths[0], widths[-1]
    norms = {"encoder.conv_norm_out": last, "decoder.conv_norm_out": first}
    kernels: dict[str, tuple[int, ...]] = {
        "encoder.conv_in": (first, 3, 3, 3),
        "encoder.conv_out": (2 * latents, last, 3, 3),
        "quant_conv": (2 * latents, 2 * latents, 1, 1),
        "post_quant_conv": (latents, latents, 1, 1),
        "decoder.conv_in": (last, latents, 3, 3),
        "decoder.conv_out": (3, first, 3, 3),
    }

    def block(name: str, inputs: int, outputs: int) -> None:
        norms.update({f"{name}.norm1": inputs, f"{name}.norm2": outputs})
        kernels[f"{name}.conv1"] = (outputs, inputs, 3, 3)
        kernels[f"{name}.conv2"] = (outputs, outputs, 3, 3)
        if inputs != outputs:
            kernels[f"{name}.conv_shortcut"] = (outputs, inputs, 1, 1)

    for player, order, number, resize in (
        ("encoder.down", widths, blocks, "downsamplers"),
        ("decoder.up", widths[::-1], blocks + 1, "upsamplers"),
    ):
        before = order[0]
        for level, width in enumerate(order):
            for i in range(number):
                block(f"{player}_blocks.{level}.resnets.{i}", width if i else before, width)
            if level < len(order) - 1:
                name = f"{player}_blocks.{level}.{resize}.0.conv"
                kernels[name] = (width, width, 3, 3)
            before = width
    for player in ("encoder", "decoder"):
        norms[f"{player}.mid_block.attentions.0.group_norm"] = last
        for layer in ("to_q", "to_k", "to_v", "to_out.0"):
            kernels[f"{player}.mid_block.attentions.0.{layer}"] = (last, last)
        for i in range(2):
            block(f"{player}.mid_block.resnets.{i}", last, last)
    layers = kernels | {name: (width,) for name, width in norms.items()}
    weights = {f"{name}.weight": shape for name, shape in layers.items()}
    return weights | {f"{name}.bias": shape[:1] for name, shape in layers.items()}


def given(dtype: Any = np.float32) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {n: random.normal(size=s).astype(dtype) for n, s in names(2, WIDTHS, 1).items()}


def renamed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names a file's arrays as older versions of diffusers do."""
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for new, old in older.items():
        arrays = {name.replace(new, old): x for name, x in arrays.items()}
    return arrays


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vae.safetensors"


def shapes(module: Any, images: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    """Variables and outputs of a module, without computing them."""
    outputs, variables = jax.eval_shape(
        lambda x: module.init_with_output(KEY, x, train=False), jax.ShapeDtypeStruct(images, dtype)
    )
    return variables, outputs


def count(variables: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables))


def test_the_published_sizes():
    encoding, latents = shapes(Encoder(), (2, 256, 512, 3))
    decoding, images = shapes(Decoder(), latents.shape)
    assert latents.shape == (2, 32, 64, 4) and images.shape == (2, 256, 512, 3)
    assert (count(encoding), count(decoding)) == (34_163_664, 49_490_199)
    published = names(4, (128, 256, 512, 512), 2)
    assert sum(map(math.prod, published.values())) == 83_653_863 == 34_163_664 + 49_490_199
    assert len(published) == len(jax.tree.leaves([encoding, decoding])) == 248


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_they_compute_in_the_type_of_parameters_and_inputs(dtype):
    with jax.enable_x64(True):
        for module, shape in ((ENCODER, (1, 4, 6, 3)), (DECODER, (1, 2, 3, 2))):
            variables, _ = shapes(module, shape)
            variables = jax.tree.map(lambda x: x.update(dtype=dtype), variables)
            outputs = jax.eval_shape(
                partial(module.apply, train=False), variables, jax.ShapeDtypeStruct(shape, dtype)
            )
            assert outputs.dtype == dtype


@pytest.mark.parametrize("size", [(7, 8), (16, 12), (1, 1)])
def test_sizes_that_cannot_be_divided_are_refused(size):
    with pytest.raises(ValueError, match=f"divides sides by 8, which {size[0]} x {size[1]} does"):
        shapes(Encoder(), (1, *size, 3))


def test_latents_are_scaled_means(path):
    told = np.arange(1.0, 5.0)
    arrays = given() | {
        "quant_conv.weight": np.zeros((4, 4, 1, 1)),
        "quant_conv.bias": told,
        "post_quant_conv.weight": np.eye(2)[:, :, None, None],
        "post_quant_conv.bias": np.zeros(2),
    }
    save_safetensors(path, arrays)
    encoding, decoding = load(path)

    @jax.jit
    def run(images):
        latents = ENCODER.apply(encoding, images, train=False)
        _, inside = DECODER.apply(
            decoding, latents, train=False,
            capture_intermediates=lambda module, _: module.name == "post_quant_conv",
            mutable=["intermediates"],
        )  # fmt: skip
        return latents, jax.tree.leaves(inside)

    latents, (mean,) = run(jnp.zeros((1, 2, 4, 3)))
    assert SCALING == 0.18215
    np.testing.assert_allclose(latents, np.broadcast_to(SCALING * told[:2], (1, 1, 2, 2)), 1e-6)
    np.testing.assert_allclose(mean, np.broadcast_to(told[:2], (1, 1, 2, 2)), 1e-6)


def test_weights_arrive_where_their_names_say(path):
    arrays = given()
    save_safetensors(path, arrays)
    encoding, decoding = (variables["params"] for variables in load(path))
    assert count([encoding, decoding]) == sum(x.size for x in arrays.values())
    for found, name in (
        (encoding["down_blocks.1.resnets.0"]["conv1"], "encoder.down_blocks.1.resnets.0.conv1"),
        (decoding["up_blocks.0.upsamplers.0.conv"], "decoder.up_blocks.0.upsamplers.0.conv"),
    ):
        np.testing.assert_array_equal(
            found["kernel"], arrays[f"{name}.weight"].transpose(2, 3, 1, 0)
        )
    query = decoding["mid_block.attentions.0"]["to_q"]["kernel"]
    np.testing.assert_array_equal(query, arrays["decoder.mid_block.attentions.0.to_q.weight"].T)


def test_files_of_all_versions_give_the_same_weights(path):
    newer = given(np.float16)
    convolutions = {n: x[:, :, None, None] if x.ndim == 2 else x for n, x in newer.items()}
    loaded = []
    for arrays in (newer, renamed(newer), renamed(convolutions)):
        save_safetensors(path, arrays)
        loaded.append(load(path))
    first, *others = loaded
    assert {leaf.dtype for leaf in jax.tree.leaves(first)} == {np.dtype(np.float32)}
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, first, other)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"quant_conv.bias": None}, "lacks quant_conv.bias"),
        ({"encoder.more.weight": np.ones(1), "b": np.ones(1)}, "unexpected b, encoder.more.weight"),
        (
            {"encoder.conv_in.weight": np.ones((4, 1, 3, 3))},
            r"encoder.conv_in.weight has the shape \(4, 1, 3, 3\), but .* needs \(4, 3, 3, 3\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_a_way_out(path, change, told):
    save_safetensors(path, {n: x for n, x in (given() | change).items() if x is not None})
    with pytest.raises(
        UserError, match=rf"from .*vae.safetensors: .*{told}.*; give .*sd-vae-ft-mse"
    ):
        load(path)


def test_what_cannot_be_read_is_refused_with_a_way_out(path):
    save_safetensors(path, given())
    whole = path.read_bytes()
    for data in (whole[:-1], pickle.dumps({"quant_conv.bias": 1}), None):
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(
            UserError, match="vae.safetensors: cannot read .*sd-vae-ft-mse"
        ) as raised:
            load(path)
        assert "\n" not in str(raised.value)
        path.touch()
