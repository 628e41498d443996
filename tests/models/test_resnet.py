"""SNGAN's, WGAN-GP's, SAGAN's and BigGAN's networks: sizes, labels, and where normalization is."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan import latents, losses
from jaxgan.core.gan import GAN, init
from jaxgan.core.networks import linen
from jaxgan.core.steps import make_step
from jaxgan.core.updates import update_both
from jaxgan.models import biggan, resnet, sagan
from jaxgan.nn import heads
from jaxgan.nn.residual import GeneratorBlock
from jaxgan.nn.spectral import SpectralNorm, plain

KEY = jax.random.key(0)
LABELS = jnp.array([0, 2])
HEADS = {
    "score": heads.Score(),
    "projection": heads.Projection(3),
    "classifier": heads.AuxiliaryClassifier(3),
    "twins": heads.TwinClassifier(3),
    "contrastive": heads.Contrastive(3, 4),
}


def shapes(module, *inputs) -> Any:
    """Parameters and outputs of a module, without computing them."""

    def run(key, *inputs):
        return module.init_with_output(key, *inputs, train=False)

    outputs, variables = jax.eval_shape(run, KEY, *inputs)
    return variables["params"], outputs


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


PROJECTION = heads.Projection(10)
SMALL, LARGE = (1024, 512, 256, 128, 64), (1024, 1024, 512, 256, 128, 64)
UP, UP_ON = (64, 128, 256, 512, 1024), (64, 128, 256, 512, 1024, 1024)
GENERATORS = {  # module, size of latents, classes, parameters
    "sngan": (resnet.Generator(), 128, False, 4_276_739),
    "sngan_conditional": (resnet.Generator(classes=10), 128, True, 4_304_387),
    "sngan_gray": (resnet.Generator((32, 32, 1)), 128, False, 4_272_129),
    "sngan_28": (resnet.Generator((28, 28, 1), (256,) * 3), 128, False, 4_114_945),
    "sngan_64": (resnet.Generator((64, 64, 3), SMALL), 128, False, 12_220_675),
    "sngan_128": (resnet.Generator((128, 128, 3), LARGE), 128, False, 32_150_787),
    "wgan_gp": (resnet.Generator(widths=(128,) * 4), 128, False, 1_204_483),
    "sagan": (sagan.Generator(classes=10), 128, True, 4_386_308),
    "biggan": (biggan.Generator(10), 80, True, 9_416_196),
    "biggan_without_parts": (
        resnet.Generator(classes=10, wrap=SpectralNorm), 128, True, 4_304_387,
    ),
}  # fmt: skip
DISCRIMINATORS = {  # module, shape of images, labels, parameters
    "sngan": (resnet.Discriminator(), (32, 32, 3), False, 1_053_825),
    "sngan_conditional": (resnet.Discriminator(head=PROJECTION), (32, 32, 3), True, 1_055_105),
    "acgan": (
        resnet.Discriminator(head=heads.AuxiliaryClassifier(10)), (32, 32, 3), False, 1_055_105,
    ),
    "sngan_gray": (resnet.Discriminator(), (32, 32, 1), False, 1_051_265),
    "sngan_28": (resnet.Discriminator(), (28, 28, 1), False, 1_051_265),
    "sngan_64": (resnet.Discriminator(UP, 5, hidden=min), (64, 64, 3), False, 10_141_441),
    "wide_64": (resnet.Discriminator(UP, 4), (64, 64, 3), False, 19_542_721),
    "sngan_128": (resnet.Discriminator(UP_ON, 5, hidden=min), (128, 128, 3), False, 29_017_857),
    "wide_128": (resnet.Discriminator(UP_ON, 5), (128, 128, 3), False, 38_419_137),
    "wgan_gp": (resnet.Discriminator(wrap=plain, pool=jnp.mean), (32, 32, 3), False, 1_053_825),
    "sagan": (sagan.Discriminator(head=PROJECTION), (32, 32, 3), True, 1_075_586),
    "biggan": (biggan.Discriminator(head=PROJECTION), (32, 32, 3), True, 2_415_170),
    "contragan": (
        biggan.Discriminator(head=heads.Contrastive(10)), (32, 32, 3), True, 2_517_186,
    ),
    "biggan_without_parts": (
        resnet.Discriminator((256,) * 4, head=PROJECTION), (32, 32, 3), True, 4_207_361,
    ),
}  # fmt: skip


# In the quick tests, one of each family.
quick = {"sngan_28", "wgan_gp", "sagan", "biggan", "contragan"}


def cases(table):
    return [pytest.param(n, marks=() if n in quick else pytest.mark.slow) for n in table]


@pytest.mark.parametrize("name", cases(GENERATORS))
def test_generators_have_the_sources_numbers_of_parameters(name):
    module, size, conditional, parameters = GENERATORS[name]
    labels = (LABELS,) if conditional else ()
    params, images = shapes(module, jnp.zeros((2, size)), *labels)
    assert count(params) == parameters
    assert images.shape == (2, *module.shape)


@pytest.mark.parametrize("name", cases(DISCRIMINATORS))
def test_discriminators_have_the_sources_numbers_of_parameters(name):
    module, shape, conditional, parameters = DISCRIMINATORS[name]
    labels = (LABELS,) if conditional else ()
    params, outputs = shapes(module, jnp.zeros((2, *shape)), *labels)
    assert count(params) == parameters
    score = outputs["score"] if isinstance(outputs, dict) else outputs
    assert score.shape == (2,)


def names(tree) -> set[str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves}


@pytest.mark.parametrize(
    "module, inputs, bare",
    [
        (resnet.Discriminator((8,) * 2, 1, PROJECTION), (2, 4, 4, 3), set()),
        (sagan.Discriminator((8,) * 2, 1), (2, 4, 4, 3), set()),
        (
            sagan.Generator((8, 8, 3), (8,) * 2, 10, (1,)), (2, 4),
            {f"Synthesis_0/GeneratorBlock_0/ConditionalBatchNorm_{norm}/Embed_{part}/embedding"
             for norm in (0, 1) for part in (0, 1)},
        ),
        (biggan.Generator(10, (8, 8, 3), (8,) * 2, attention=(1,)), (2, 4), {"Embed_0/embedding"}),
    ],
    ids=["sngan", "sagan_discriminator", "sagan_generator", "biggan_generator"],
)  # fmt: skip
def test_all_matrices_but_the_tables_of_generators_are_spectrally_normalized(module, inputs, bare):
    labels = (LABELS,) if "10" in repr(module) else ()
    variables = jax.eval_shape(lambda: module.init(KEY, jnp.zeros(inputs), *labels, train=False))
    matrices = names(jax.tree.map(lambda x: x if x.ndim > 1 else None, variables["params"]))
    vectors = {name for name in names(variables["batch_stats"]) if name.endswith("_u")}
    assert bare < matrices or not bare
    assert {f"{name}_u" for name in matrices - bare} == vectors


def drawn(module, *inputs) -> tuple[Any, Any]:
    """The first variables, and the module as a jitted function of them and its inputs."""
    variables = jax.jit(lambda *inputs: module.init(KEY, *inputs, train=False))(*inputs)
    return variables, jax.jit(
        lambda *args: module.apply(*args, train=True, mutable=["batch_stats"])[0]
    )


def test_the_score_of_a_sum_grows_with_the_size_and_that_of_a_mean_does_not():
    for pool, factor in ((jnp.sum, 4), (jnp.mean, 1)):
        # One block that keeps its input, and so the image of its positive pixels.
        module = resnet.Discriminator((3,), 0, pool=pool, wrap=plain)
        variables, judge = drawn(module, jnp.ones((1, 2, 2, 3)))
        block = jax.tree.map(jnp.zeros_like, variables["params"]["DiscriminatorBlock_0"])
        variables["params"]["DiscriminatorBlock_0"] = block
        small, large = (judge(variables, jnp.ones((1, side, side, 3)))[0] for side in (2, 4))
        np.testing.assert_allclose(large, factor * small, rtol=1e-5)
        assert abs(small) > 0.1


@pytest.mark.slow
def test_a_part_of_the_latent_does_not_reach_blocks_before_its_own():
    normal = jax.nn.initializers.normal(1.0)
    module = biggan.Generator(3, (4, 4, 1), (8,) * 3, attention=(2,), kernel_init=normal)
    # The first latent again, with another first, second or third part.
    z = jnp.ones((4, 6)).at[1, 0].add(1).at[2, 2].add(1).at[3, 4].add(1)

    @jax.jit
    def blocks(z):
        _, variables = module.init_with_output(
            KEY, z, jnp.zeros(4, jnp.int32), train=False,
            capture_intermediates=lambda module, _: isinstance(module, GeneratorBlock),
        )  # fmt: skip
        found = variables["intermediates"]["Synthesis_0"]
        return [found[f"GeneratorBlock_{i}"]["__call__"][0] for i in (0, 1)]

    first, *others = zip(*(list(outputs) for outputs in blocks(z)), strict=True)
    reached = [
        [not np.allclose(x, y, atol=1e-4) for x, y in zip(first, other, strict=True)]
        for other in others
    ]
    assert reached == [[True, True], [True, True], [False, True]]


@pytest.mark.slow
def test_labels_count_and_are_asked_for():
    z, x = jnp.ones((2, 4)), jax.random.normal(KEY, (2, 4, 4, 3))
    conditional = [
        (resnet.Generator((4, 4, 3), (4, 4), classes=3), z),
        (resnet.Discriminator((4,), head=heads.Projection(3)), x),
    ]
    for module, inputs in conditional:
        variables, _ = drawn(module, inputs, LABELS)
        # Or generators' tables would have the same row for each label.
        noise = jax.tree.map(lambda p: p + jax.random.normal(KEY, p.shape), variables["params"])
        outputs, others = jax.jit(
            lambda variables, inputs, module=module: [
                module.apply(variables, inputs, labels, train=False)
                for labels in (LABELS, jnp.array([0, 1]))
            ]
        )(variables | {"params": noise}, inputs)
        np.testing.assert_allclose(others[0], outputs[0], rtol=1e-6)
        assert not np.allclose(others[1], outputs[1], rtol=1e-2)
        with pytest.raises(ValueError, match="needs labels"):
            shapes(module, inputs)
    for module, inputs in ((resnet.Generator((4, 4, 3), (4, 4)), z), (resnet.Discriminator(), x)):
        with pytest.raises(ValueError, match="leave labels out"):
            shapes(module, inputs, LABELS)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 blocks that double the size .* 28 x 28"):
        shapes(resnet.Generator((28, 28, 1)), jnp.zeros((1, 4)))
    with pytest.raises(ValueError, match="4 parts, .* do not divide a latent of 6"):
        shapes(biggan.Generator(10), jnp.zeros((2, 6)), LABELS)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, pytest.param(jnp.float64, marks=pytest.mark.slow)])
def test_networks_compute_in_the_type_of_parameters_and_inputs(dtype):
    with jax.enable_x64(True):
        networks = [
            (sagan.Generator((8, 8, 3), (8, 8), 10, (1,)), (2, 6)),
            (biggan.Generator(10, (8, 8, 3), (8, 8), attention=(1,)), (2, 6)),
            (sagan.Discriminator((8, 8), head=heads.Contrastive(10)), (2, 8, 8, 3)),
        ]
        for module, shape in networks:
            inputs = jax.ShapeDtypeStruct(shape, dtype)
            variables = jax.eval_shape(
                lambda *x, module=module: module.init(KEY, *x, train=False), inputs, LABELS
            )
            params = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), variables["params"]
            )
            outputs, _ = jax.eval_shape(
                lambda *x, module=module: module.apply(*x, train=True, mutable=["batch_stats"]),
                {"params": params, "batch_stats": variables["batch_stats"]}, inputs, LABELS,
            )  # fmt: skip
            assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype(dtype)}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_r1_has_finite_gradients_by_every_parameter(name):
    """Of all that happens in discriminators: a first block, one that halves, attention, a head."""
    module = sagan.Discriminator((8, 8), head=HEADS[name], attention=(1,))
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    labels = None if name == "score" else LABELS
    variables = jax.jit(lambda: module.init(KEY, x, labels, train=False))()
    variables["params"]["SelfAttention_0"]["gain"] = jnp.float32(0.5)

    @jax.jit
    @jax.grad
    def penalty(params):
        def total(x):
            outputs: Any = module.apply(variables | {"params": params}, x, labels, train=False)
            # All outputs, for terms look at the others.
            return sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(outputs))

        return (jax.grad(total)(x) ** 2).sum()

    gradient = penalty(variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        if path[-1].key == "kernel":
            assert (leaf != 0).any(), path


@pytest.mark.slow
@pytest.mark.parametrize(
    "module, size",
    [
        (sagan.Generator((8, 8, 3), (8, 8), 3, (1,)), 4),
        (biggan.Generator(3, (8, 8, 3), (8, 8), attention=(1,)), 4),
    ],
    ids=["sagan", "biggan"],
)
def test_path_lengths_of_generators_have_finite_gradients(module, size):
    z = jax.random.normal(KEY, (3, size))
    labels = jnp.array([0, 2, 2])
    variables = jax.jit(lambda: module.init(KEY, z, labels, train=False))()

    @jax.jit
    @jax.grad
    def length(params):
        def total(z):
            images, _ = module.apply(
                variables | {"params": params}, z, labels, train=True, mutable=["batch_stats"]
            )
            return jnp.sin(3 * images).sum()

        return (jax.grad(total)(z) ** 2).sum()

    gradient = length(variables["params"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert any((leaf != 0).any() for leaf in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_a_training_step_of_biggan_on_two_devices_is_one_on_all_examples():
    gan = GAN(
        generator=linen(biggan.Generator(3, (4, 4, 1), (8, 8), attention=(1,))),
        discriminator=linen(biggan.Discriminator((8,), 1, heads.Projection(3))),
        generator_optimizer=optax.sgd(0.1),
        discriminator_optimizer=optax.sgd(0.1),
        loss=losses.hinge,
        inputs=lambda key, n, batch: (latents.normal(4)(key, n), batch["label"]),
        view=lambda example, batch, key, state: (example, batch["label"]),
    )
    update = update_both(gan)
    batch = {"image": jax.random.normal(KEY, (4, 4, 4, 1)), "label": jnp.array([0, 2, 1, 2])}
    state = init(gan, KEY, batch, update)
    single, _ = jax.jit(make_step(update))(state, batch, KEY)
    mapped, _ = jax.pmap(
        make_step(update, axis_name="devices"), "devices", in_axes=(None, 0, None),
        devices=jax.devices()[:2],
    )(state, jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), batch), KEY)  # fmt: skip
    for device in (0, 1):
        jax.tree.map(
            lambda x, y, device=device: np.testing.assert_allclose(x[device], y, atol=1e-4),
            mapped, single,
        )  # fmt: skip
