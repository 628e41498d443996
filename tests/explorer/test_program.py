"""What pages compute: joined latents, mixed classes and styles, gradients, directions."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import CODES, FAMILIES, one_hot_labels, tiny

from jaxgan.core.first_layer import first_layer
from jaxgan.core.gan import generate
from jaxgan.latents import sefa
from jaxgan.util.errors import UserError

pytest.importorskip("onnx", reason="pip install 'jaxgan[onnx]'")

from jaxgan.explorer import program as programs  # noqa: E402
from jaxgan.explorer.page import write_folder  # noqa: E402
from jaxgan.explorer.program import program  # noqa: E402
from jaxgan.export.onnx import run  # noqa: E402

# Grouped convolutions, attention and several latents, modulation and resampling.
THOROUGH = ("mnist_r3gan", "cifar10_biggan", "mnist_stylegan2", "mnist_infogan")


@pytest.fixture(scope="module")
def made():
    return cache(lambda name: program(tiny(name)))


def pictures(trained, *inputs):
    return trained.recipe.example(generate(trained.gan, trained.state, inputs))


def test_latents_are_joined_and_classes_are_weights(made):
    trained, page = tiny("mnist_infogan"), made("mnist_infogan")
    keys = jax.random.split(jax.random.key(1), 2)
    noise, codes = jax.random.normal(keys[0], (4, 3)), jax.random.uniform(keys[1], (4, 2))
    category = jnp.array([0, 3, 9, 3])
    arguments = {
        "latents": jnp.concatenate([noise, codes], 1),
        "classes": jax.nn.one_hot(category, 10),
    }
    expected = pictures(trained, noise, category, codes)
    np.testing.assert_allclose(run(page.models["draw"], arguments), expected, atol=1e-5)
    assert [(x["size"], x["distribution"]) for x in page.about["latents"]] == [
        (3, "N(0, 1)"),
        (2, "U(-1, 1)"),
    ]
    assert page.about["classes"] == 10 and page.about["source"] is None
    assert page.about["mixes"]


def test_classes_are_not_mixed_where_g_takes_labels_alone(made, tmp_path):
    trained = one_hot_labels()
    page = program(trained)
    assert page.about["classes"] == 10 and not page.about["mixes"]
    latents, labels = jax.random.normal(jax.random.key(1), (3, 3)), jax.nn.one_hot([9, 0, 4], 10)
    drawn = run(page.models["draw"], {"latents": latents, "classes": 0.8 * labels + 0.02})
    np.testing.assert_allclose(drawn, pictures(trained, latents, labels), atol=1e-5)
    for name, each in (("alone", page), ("mixed", made("mnist_infogan"))):
        write_folder(tmp_path / name, each)
        text = (tmp_path / name / "index.html").read_text("utf-8")
        assert 'id="class"' in text and ('id="mixed"' in text) == (name == "mixed")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("mnist_cgan", FAMILIES["mnist_cgan"]._replace(classes=1500)),
        ("mnist_infogan", FAMILIES["mnist_infogan"]._replace(fields={**CODES, "categories": 1500})),
    ],
)
def test_all_classes_are_counted(name, family):
    page = program(tiny(name, family))
    assert page.about["classes"] == page.sampler.arguments["classes"].shape[1] == 1500


@pytest.mark.parametrize(("channels", "models"), [(1, ["draw"]), (3, ["draw", "back"])])
def test_the_way_back_is_offered_between_pictures_of_one_shape(channels, models, monkeypatch):
    family = FAMILIES["cyclegan"]
    given = (16, 16, channels)
    family = family._replace(source=given, fields={**family.fields, "identity_weight": 0.0})
    sources = np.random.default_rng(0).uniform(-1, 1, (12, *given)).astype(np.float32)
    monkeypatch.setattr(
        "jaxgan.recipes.translating.TranslatingRecipe.conditions",
        lambda self, count, spec, data_dir=None: {"source": jnp.asarray(sources[:count])},
    )
    page = program(tiny("cyclegan", family))
    assert list(page.models) == models
    assert page.about["source"] == list(given)


def test_a_mixture_of_classes_is_neither_of_them(made):
    page = made("mnist_cgan")
    weights = jnp.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    arguments = {
        "latents": jnp.broadcast_to(page.sampler.arguments["latents"][:1], (3, 3)),
        "classes": jnp.pad(weights, ((0, 0), (2, 6))),
    }
    first, both, second = run(page.models["draw"], arguments)
    assert min(np.abs(first - both).max(), np.abs(second - both).max()) > 0.01


def test_layers_have_the_styles_of_either_latent(made):
    trained, page = tiny("mnist_stylegan2"), made("mnist_stylegan2")
    assert page.about["layers"] == 4 and page.about["truncation"]
    own, other = (jax.random.normal(jax.random.key(seed), (2, 3)) for seed in (1, 2))

    def draw(*taken, truncation=1.0):
        arguments = {"latents": own, "others": other, "truncation": jnp.float32(truncation)}
        arguments["taken"] = jnp.broadcast_to(jnp.array(taken, jnp.float32), (2, 4))
        return run(page.models["draw"], arguments)

    # One by one: in a batch, each has noise of its own.
    ends = [np.stack([pictures(trained, x[None])[0] for x in z]) for z in (own, other)]
    np.testing.assert_allclose(draw(0, 0, 0, 0), ends[0], atol=1e-4)
    np.testing.assert_allclose(draw(1, 1, 1, 1), ends[1], atol=1e-4)
    between = draw(0, 0, 1, 1)
    assert min(np.abs(between - end).max() for end in ends) > 1e-3
    mean = draw(0, 0, 0, 0, truncation=0.0)
    np.testing.assert_allclose(mean[0], mean[1], atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["mnist_cgan", *(pytest.param(name, marks=pytest.mark.slow) for name in THOROUGH)],
)
def test_gradients_are_those_of_finite_differences(name, made):
    page = made(name)
    arguments, drawn = page.sampler.arguments, page.sampler.pictures
    weight = jax.random.uniform(jax.random.key(0), (*drawn.shape[:3], 1))
    wanted = {"target": jnp.flip(drawn, 0), "weight": weight}
    gradient = run(page.models["search"], arguments | wanted)

    def error(latents):
        made = np.asarray(page.sampler.draw(arguments | {"latents": latents}), np.float64)
        differences = np.asarray(weight) * (made - np.asarray(wanted["target"])) ** 2
        return differences.sum((1, 2, 3)) / np.sum(weight, (1, 2, 3)) / drawn.shape[-1]

    latents = arguments["latents"]
    direction = jax.random.normal(jax.random.key(1), latents.shape)
    step = 1e-3
    slope = (error(latents + step * direction) - error(latents - step * direction)) / (2 * step)
    expected, scale = (gradient * direction).sum(1), np.abs(gradient * direction).sum()
    np.testing.assert_allclose(slope, expected, rtol=0.02, atol=0.02 * scale)


def test_where_nothing_is_known_there_is_no_gradient(made):
    page = made("mnist_cgan")
    drawn = page.sampler.pictures
    nothing = {"target": drawn, "weight": jnp.zeros_like(drawn[..., :1])}
    assert (run(page.models["search"], page.sampler.arguments | nothing) == 0).all()


def test_directions_are_those_of_the_first_layer_or_codes_or_principal(made):
    trained = tiny("mnist_mlp")
    latents = trained.gan.inputs(jax.random.key(0), 1, {})
    expected = sefa(first_layer(trained.gan, trained.state, latents))
    found = made("mnist_mlp").about["directions"]
    np.testing.assert_allclose([x["vector"] for x in found], expected, atol=1e-5)
    both = made("mnist_infogan").about["directions"]
    names = ["Code 1", "Code 2", "Direction 1", "Direction 2", "Direction 3"]
    assert [x["name"] for x in both] == names
    np.testing.assert_array_equal([x["vector"] for x in both[:2]], np.eye(5)[3:])


@pytest.mark.slow
def test_principal_directions_move_pictures_more_than_others(made):
    page = made("cifar10_biggan")  # whose first layer sees labels as well
    directions = np.array([x["vector"] for x in page.about["directions"]])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-4)
    latents = jax.random.normal(jax.random.key(0), (64, 4))
    classes = jax.nn.one_hot(jnp.zeros(64, int), 10)

    def change(direction):
        ends = [
            page.sampler.draw(
                {"latents": latents + s * jnp.asarray(direction)[None], "classes": classes}
            )
            for s in (-1, 1)
        ]
        return float(jnp.abs(ends[1] - ends[0]).mean())

    others = np.random.default_rng(1).normal(size=(16, 4))
    changes = [change(x / np.linalg.norm(x)) for x in others]
    assert change(directions[0]) > np.mean(changes)


def test_what_a_page_cannot_show_is_refused():
    with pytest.raises(UserError, match="gaussians_ring8 does not make grayscale or RGB"):
        program(tiny("gaussians_ring8"))


def test_a_model_that_computes_something_else_is_refused(monkeypatch):
    monkeypatch.setattr(programs, "run", lambda model, arguments: run(model, arguments) + 0.1)
    with pytest.raises(UserError, match="does not match JAX"):
        program(tiny("mnist_mlp"))
