"""GAT's recipes of latents: published sizes, what D sees, whole steps, and devices they are for."""

from dataclasses import asdict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.tree_util import Partial
from tiny_systems import make_recipe

from jaxgan.core.gan import Play, init
from jaxgan.core.steps import make_step
from jaxgan.data import Resident, batches, scaled
from jaxgan.data.encoded import Origin, Part, write_latents
from jaxgan.features import dinov2
from jaxgan.models.gat import SIZES
from jaxgan.recipes.imagenet256_gat import Imagenet256Gat
from jaxgan.types import DataSpec
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
SPEC = DataSpec((256, 256, 3), 1000, None, (32, 32, 4))
TINY = {"depth": 4, "width": 8, "heads": 2, "code_size": 5, "batch_size": 4, "latent_size": 3}
SMALL = DataSpec((16, 16, 3), 12, None, (4, 4, 5))


def preset(name: str, **fields: Any) -> Any:
    return make_recipe("imagenet256_gat", **{**Imagenet256Gat.presets[name], **fields})


def prepared(recipe: Any, spec: DataSpec) -> tuple[Any, Any, Any]:
    """The step, a function that draws the first state, and shapes of a batch."""
    gan = recipe.gan(spec)
    update, count = recipe.update(gan), recipe.batch_size
    batch = {
        "latent": jax.ShapeDtypeStruct((count, *(spec.latent or ())), jnp.float32),
        "label": jax.ShapeDtypeStruct((count,), jnp.int32),
    }
    if recipe.representation_weight:
        batch["whole"] = jax.ShapeDtypeStruct((count, 768), jnp.float32)
        batch["patches"] = jax.ShapeDtypeStruct((count, 16, 16, 768), jnp.float32)
    return make_step(update), lambda key: init(gan, key, batch, update), batch


def drawn(batch: Any) -> Any:
    made = {name: jax.random.normal(KEY, like.shape) for name, like in batch.items()}
    return {**made, "label": jnp.arange(len(made["latent"]), dtype=jnp.int32)}


def count(tree: Any) -> int:
    return sum(x.size for x in jax.tree.leaves(tree))


def test_presets_are_the_published_sizes():
    assert len(Imagenet256Gat.presets) == 12
    for name, size in SIZES.items():
        for patch in (2, 4, 8):
            recipe = preset(f"{name.lower()}{patch}")
            assert (recipe.depth, recipe.width, recipe.heads, recipe.patch) == (*size, patch)
    default: Any = make_recipe("imagenet256_gat")
    assert default == preset("xl2")
    assert default.total_steps(1_281_167) == 60 * (1_281_167 // 512)


@pytest.mark.parametrize(
    "name, generator, discriminator",
    [("s2", 29_256_512, 39_114_624), ("xl2", 601_936_640, 467_383_872)],
)
def test_states_hold_both_players_and_the_decoder(name, generator, discriminator):
    _, start, _ = prepared(preset(name, batch_size=2), SPEC)
    state = jax.eval_shape(start, KEY)
    assert count(state.generator.params) == generator
    assert count(state.discriminator.params) == discriminator
    assert count(state.generator.collections["decoder"]) == 49_490_199


def test_d_is_taught_what_dinov2_sees_on_its_own_grid():
    recipe: Any = make_recipe("imagenet256_gat", **TINY, patch=4, representation_weight=2.0)
    gan = recipe.gan(SPEC)
    above = (np.arange(16) < 8).reshape(1, 16, 1, 1)
    seen = jnp.asarray(np.where(above, np.eye(768)[3], np.eye(768)[5]).repeat(16, 2))
    batch = {"whole": jnp.eye(768)[:1], "patches": seen}
    right = {"whole": batch["whole"], "patches": seen[:, ::2, ::2]}  # 8 x 8 patches of 4 x 4
    turned = {**right, "patches": jnp.swapaxes(right["patches"], 1, 2)}

    def term(outputs: Any) -> float:
        state: Any = None
        play = Play(batch, None, None, None, outputs, None, state, KEY, jnp.negative, jnp.negative)
        assert gan.discriminator_terms is not None
        return gan.discriminator_terms(play)[0]

    assert term(right) < 0.01 and term(turned) > 0.9
    assert term({**right, "whole": -right["whole"]}) == pytest.approx(4 + term(right))


def test_pictures_are_read_beside_latents_for_dinov2(tmp_path, monkeypatch):
    latents = np.random.default_rng(0).normal(size=(30, 4, 4, 5)).astype(np.float16)
    pictures = (
        np.zeros((30, 16, 16, 3), np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None, None]
    )
    write_latents(
        tmp_path, Origin("folder:x", 16, (16, 16, 3), None, "ours"), 30, iter([Part(latents, None)])
    )
    recipe: Any = make_recipe(
        "imagenet256_gat", **TINY, data="folder:x", image_size=16, latents=str(tmp_path)
    )
    with pytest.raises(UserError, match="jaxgan features import-dinov2-base FILE"):
        recipe.feed(0)

    def open_pictures(self: Any, data: str, seed: int | None, data_dir: str | None = None) -> Any:
        return Resident(pictures, batch_size=self.batch_size, seed=seed, to_batch=scaled(-1.0, 1.0))

    monkeypatch.setattr(type(recipe), "open", open_pictures)
    monkeypatch.setattr(
        dinov2, "load_base", lambda: Partial(lambda images: {"whole": images.mean((1, 2))})
    )
    for batch in batches(recipe.feed(7), KEY, 0, 3):
        rows = np.rint(np.asarray(batch["whole"][:, 0]) * 255).astype(int)
        np.testing.assert_array_equal(batch["latent"], latents[rows].astype(np.float32))
    without = make_recipe(
        "imagenet256_gat", **{**asdict(recipe), "representation_weight": 0.0}
    ).feed(7)
    assert {*next(batches(without, KEY, 0, 1))} == {"latent"}


def test_half_of_the_latents_are_mirrored(monkeypatch):
    recipe: Any = make_recipe("imagenet256_gat", **TINY)
    base = type(recipe).__mro__[2]
    monkeypatch.setattr(base, "augment", lambda self: lambda image, key: image)
    image = jax.random.normal(KEY, (3, 4, 2))
    keys = jax.random.split(KEY, 400)
    made = np.asarray(jax.vmap(recipe.augment(), (None, 0))(image, keys))
    mirrored = (made == np.asarray(image[:, ::-1])).all((1, 2, 3))
    assert (mirrored | (made == np.asarray(image)).all((1, 2, 3))).all()
    assert 160 < mirrored.sum() < 240


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openmoji_gat", "imagenet256_gat"])
def test_a_step_moves_both_players_on_latents(name):
    step, start, batch = prepared(make_recipe(name, **TINY), SMALL)
    state = start(KEY)
    moved, metrics = jax.jit(step)(state, drawn(batch), KEY)
    assert {"loss_d", "loss_g", "penalty"} <= metrics.keys()
    assert all(np.isfinite(x) for x in metrics.values())
    for player in ("generator", "discriminator"):
        before, after = (getattr(each, player).params for each in (state, moved))
        still = jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), before, after))
        assert sum(still) <= 1  # D's bias of features, which reals and fakes share


@pytest.mark.slow
def test_steps_of_s2_run_in_full_size():
    step, start, batch = prepared(preset("s2", batch_size=2, dtype="float32"), SPEC)
    step, state = jax.jit(step, donate_argnums=0), jax.jit(start)(KEY)
    for _ in range(2):
        state, metrics = step(state, drawn(batch), KEY)
        assert all(np.isfinite(x) for x in metrics.values())


@pytest.mark.slow
def test_xl2_lowers_for_cuda_and_tpu():
    step, start, batch = prepared(preset("xl2"), SPEC)
    state = jax.eval_shape(start, KEY)
    lowered = export.export(jax.jit(step), platforms=("cuda", "tpu"))(state, batch, KEY)
    assert lowered.platforms == ("cuda", "tpu")
    assert len(lowered.mlir_module_serialized) < 3e6  # blocks are scanned: as large as that of S/2


def test_pictures_have_no_latents():
    with pytest.raises(UserError, match="openmoji_gat makes latents, which this data set does"):
        make_recipe("openmoji_gat", **TINY).gan(DataSpec((16, 16, 3), 12))
