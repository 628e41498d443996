"""From an autoencoder to a data set of latents, and on to a GAN of them, as users type it."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from runs import assert_refused, command

from jaxgan import sample
from jaxgan.data import batches, load
from jaxgan.models.autoencoder import Decoder, Encoder
from jaxgan.recipes import Recipe
from jaxgan.recipes.latent_gat import LatentGat
from jaxgan.report.page import write_report
from jaxgan.rundir.loading import digest_of
from jaxgan.rundir.loading import load as load_run

EVERY = "--log-every 1 --sample-every 2 --checkpoint-every 2 --grid 2 2 --steps 2".split()
CODER = [*EVERY, *"--data faces --image-size 16 --batch-size 4 --widths 8 8 --channels 3".split()]
GAT = [
    *[*EVERY, "--data", "faces", "--image-size", "16", "--decoder-widths", "8", "8"],
    *"--batch-size 4 --width 8 --heads 2 --code-size 5 --latent-size 3".split(),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a run of an autoencoder, latents, and a run of a GAN of latents."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(root / "data"))
        patch.setattr("jaxgan.training.observers.write_report", lambda run: run)
        for words in (
            ["train", "autoencoder", *CODER, "--discriminator-width", "4", "--out", root / "coder"],
            ["encode", root / "coder", "--out", root / "latents"],
            ["train", "openmoji_gat", *GAT, "--latents", root / "latents", "--out", root / "gan"],
        ):
            done = command(*words)
            assert done.status == 0, done.err
    return root


@pytest.fixture
def there(made, here, monkeypatch) -> Path:
    monkeypatch.setenv("TFDS_DATA_DIR", str(made / "data"))
    return made


@pytest.fixture(scope="module")
def coder(made) -> Any:
    net = load_run(made / "coder").state.generator
    variables = {"params": net.params, **net.collections}
    return {
        name: {kind: tree[name] for kind, tree in variables.items() if name in tree}
        for name in ("encoder", "decoder")
    }


@pytest.mark.slow
def test_latents_are_what_the_encoder_makes_of_all_pictures(there, coder):
    names = {"latents.npy", "latents.json", "decoder.safetensors"}  # faces have no classes
    assert {path.name for path in (there / "latents").iterdir()} == names
    latents = np.load(there / "latents" / "latents.npy")
    feed = load("faces", batch_size=1, seed=None, image_size=16)
    assert latents.shape == (feed.size, 4, 4, 3) and latents.dtype == np.float16
    pictures = jnp.concatenate([x["image"] for x in batches(feed, jax.random.key(0), 0, 50)])
    expected: Any = Encoder((8, 8), 3).apply(coder["encoder"], pictures, train=False)
    np.testing.assert_allclose(latents[:50], expected, atol=5e-3)
    origin = json.loads((there / "latents" / "latents.json").read_text())
    assert origin["data"] == "faces" and origin["shape"] == [16, 16, 3]


@pytest.mark.slow
def test_a_gan_of_latents_samples_pictures_of_the_decoder(there, coder):
    trained = load_run(there / "gan")
    assert trained.spec.shape == (16, 16, 3) and trained.spec.latent == (4, 4, 3)
    held = trained.state.generator.collections["decoder"]
    jax.tree.map(np.testing.assert_array_equal, held, coder["decoder"])
    key = jax.random.key(1)
    pictures = sample(trained.gan, trained.state, key, 3)
    assert pictures.shape == (3, 16, 16, 3)
    plain: Any = trained.recipe
    alone = plain.game("latent", trained.spec.latent, trained.spec)
    levels = sample(alone, trained.state, key, 3)
    expected: Any = Decoder((8, 8), 3).apply(coder["decoder"], levels[:, -1], train=False)
    np.testing.assert_allclose(pictures, expected, atol=1e-4)


@pytest.mark.slow
def test_samples_are_compared_with_the_pictures(there):
    done = command(
        *("evaluate", there / "gan", "--features", "pixels", "--metrics", "fd"),
        *("--num", "20", "--draws", "2"),
    )
    assert done.status == 0 and "fd_pixels" in done.out, done.err


@pytest.mark.slow
def test_what_is_exported_needs_no_latents(there, here):
    run = here / "run"
    shutil.copytree(there / "gan", run)
    config = json.loads((run / "config.json").read_text())
    config["hyperparameters"]["latents"] = "gone"
    (run / "config.json").write_text(json.dumps(config))
    done = command("export", run, "--out", "bundle")
    assert done.status == 0, done.err
    card = (here / "bundle" / "README.md").read_text()
    assert "G makes latents of autoencoder, step 2, digest" in card
    ours, theirs = (load_run(Path(path)) for path in (run, "bundle"))
    key = jax.random.key(2)
    np.testing.assert_array_equal(
        *(sample(each.gan, each.state, key, 3) for each in (ours, theirs))
    )


@pytest.mark.slow
def test_an_autoencoder_shows_what_becomes_of_pictures(there):
    done = command("translate", there / "coder", "data:faces@test", "--out", "shown")
    assert done.status == 0 and "translated: L1 " in done.out, done.err


@pytest.mark.slow
def test_a_run_is_not_resumed_with_latents_of_another_autoencoder(there, here):
    shutil.copytree(there / "gan", here / "gan")
    shutil.copytree(there / "latents", here / "latents")
    config = json.loads((here / "gan" / "config.json").read_text())
    config["hyperparameters"]["latents"] = "latents"
    (here / "gan" / "config.json").write_text(json.dumps(config))
    origin = json.loads((here / "latents" / "latents.json").read_text())
    origin["autoencoder"] = "another"
    (here / "latents" / "latents.json").write_text(json.dumps(origin))
    words = ["train", "openmoji_gat", *GAT, "--latents", "latents", "--out", "gan", "--resume"]
    assert_refused(command(*words, "--steps", "4"), "now has .* latents of .* of another")


@pytest.mark.slow
def test_every_member_of_a_population_has_the_decoder(there, here, coder, monkeypatch):
    monkeypatch.setattr("jaxgan.training.observers.write_report", write_report)
    words = ["population", "openmoji_gat", *GAT, "--latents", there / "latents"]
    done = command(*words, "--members", "2", "--out", "two")
    assert done.status == 0, done.err
    for member in (0, 1):
        held = load_run(Path("two"), member=member).state.generator.collections["decoder"]
        jax.tree.map(np.testing.assert_array_equal, held, coder["decoder"])


@pytest.mark.slow
def test_a_recipe_that_forgets_its_decoder_does_not_train(there, monkeypatch):
    monkeypatch.setattr(LatentGat, "begin", Recipe.begin)
    words = ["train", "openmoji_gat", *GAT, "--latents", there / "latents", "--out", "never"]
    with pytest.raises(ValueError, match="G's decoder has no weights"):
        command(*words)


@pytest.mark.slow
def test_programs_decode(there, here):
    done = command("export", there / "gan", "--format", "onnx", "--out", "gan.onnx")
    assert done.status == 0, done.err
    assert "largest difference" in done.out or "differ" in done.out, done.out


@pytest.mark.slow
def test_a_resumed_run_is_that_of_one_go(there, here):
    words = ["train", "openmoji_gat", *GAT, "--latents", there / "latents"]
    whole, parts = here / "whole", here / "parts"
    assert command(*words, "--steps", "4", "--out", whole).status == 0
    assert command(*words, "--steps", "2", "--out", parts).status == 0
    done = command(*words, "--steps", "4", "--out", parts, "--resume")
    assert done.status == 0, done.err
    assert digest_of(load_run(whole)) == digest_of(load_run(parts))


@pytest.mark.parametrize(
    "words, told",
    [
        (
            "train openmoji_gat --latents {}/latents",
            "latents of faces at 16 x 16, not of openmoji at 32 x 32: choose --data and --image-",
        ),
        (
            "train openmoji_gat --latents {}/latents --data faces --image-size 16",
            "is of another decoder than that of openmoji_gat: .*choose .* --decoder-widths",
        ),
        ("encode {}/gan --out new", "openmoji_gat is not an autoencoder: train one by"),
        ("encode {}/coder --out {}/latents", "exists and is not an empty folder"),
        ("encode vae.safetensors --out new", "is not a run: say by --data which pictures"),
        ("encode vae.safetensors --out new --data faces --step 3", "leave out --step"),
        ("encode vae.safetensors --out new --data faces", "cannot read vae.safetensors"),
        ("encode {}/coder --out new --data folder:gray", "takes 3 colors, not the 1 of the data"),
        ("encode {}/coder --out new --image-size 18", "multiples of 4 and at least 4, not 18"),
        ("encode {}/coder --out new --image-size 0", "image_size must be"),
    ],
)
@pytest.mark.slow
def test_what_does_not_fit_is_refused_in_a_line(there, here, words, told):
    (here / "gray").mkdir()
    Image.new("L", (16, 16)).save(here / "gray" / "one.png")
    assert_refused(command(*words.replace("{}", str(there)).split()), told)
    assert not (here / "new").exists()


@pytest.mark.parametrize(
    "words, told",
    [
        ("openmoji_gat", "learns from latents: make some by `jaxgan encode RUN --out FOLDER`"),
        ("openmoji_gat --latents gone", "gone holds no latents"),
        ("mnist_mlp --latents x", "unrecognized options '--latents'"),
    ],
)
def test_latents_are_for_recipes_that_learn_from_them(here, words, told):
    assert_refused(command("train", *words.split()), told)
