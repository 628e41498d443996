"""Data sets of latents: what is written is read, in the order of the pictures."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.tree_util import Partial
from tiny import noise

from jaxgan.data import Mapped, Resident, batches, scaled, spec_of
from jaxgan.data.encoded import Origin, Part, Taught, load_latents, read_origin, write_latents
from jaxgan.util.errors import UserError

KEY = jax.random.key(0)
LATENTS = np.random.default_rng(0).normal(size=(30, 2, 3, 4)).astype(np.float16)
LABELS = np.arange(30, dtype=np.int32) % 5
ORIGIN = Origin("faces", 16, (16, 24, 3), 5, "autoencoder, step 3, digest 0123")


def written(folder: Path, labels: bool = True) -> Path:
    origin = ORIGIN if labels else Origin("faces", None, (16, 24, 3), None, "ours")
    parts = (
        Part(LATENTS[start : start + 7], LABELS[start : start + 7] if labels else None)
        for start in range(0, 30, 7)
    )
    write_latents(folder, origin, 30, parts)
    return folder


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("resident_bytes", [1 << 20, 100])
def test_latents_come_in_the_order_of_the_pictures(tmp_path, labels, resident_bytes):
    feed = load_latents(
        written(tmp_path, labels), batch_size=8, seed=3, resident_bytes=resident_bytes
    )
    coder = ORIGIN.autoencoder if labels else "ours"
    assert spec_of(feed) == ((16, 24, 3), 5 if labels else None, None, (2, 3, 4), coder, ())
    assert feed.size == 30 and feed.batch_size == 8
    pictures = Resident(
        noise(30, 5, 4, 3),
        np.arange(30, dtype=np.int32),
        batch_size=8,
        seed=3,
        to_batch=scaled(-1.0, 1.0),
    )
    for found, same in zip(batches(feed, KEY, 2, 9), batches(pictures, KEY, 2, 9), strict=True):
        rows = np.asarray(same["label"])
        np.testing.assert_array_equal(found["latent"], LATENTS[rows].astype(np.float32))
        assert found["latent"].dtype == np.float32 and ("label" in found) == labels
        if labels:
            np.testing.assert_array_equal(found["label"], LABELS[rows])


def test_another_seed_is_another_order_of_the_same(tmp_path):
    feed = load_latents(written(tmp_path), batch_size=30, seed=3)
    other = feed.with_seed(4)
    (ours,), (theirs,) = (list(batches(each, KEY, 0, 1)) for each in (feed, other))
    assert (np.asarray(ours["label"]) != np.asarray(theirs["label"])).any()
    ours, theirs = (np.sort(np.asarray(x["latent"]).sum((1, 2, 3))) for x in (ours, theirs))
    np.testing.assert_array_equal(ours, theirs)
    assert other.arrays is feed.arrays


@pytest.mark.parametrize("resident_bytes", [1 << 20, 100])
def test_other_batches_hold_the_same_latents(tmp_path, resident_bytes):
    feed = load_latents(written(tmp_path), batch_size=7, seed=3, resident_bytes=resident_bytes)
    sevens, tens = (
        np.concatenate([x["latent"] for x in batches(each, KEY, 0, 3)])
        for each in (feed, feed.with_batch_size(10))
    )
    np.testing.assert_array_equal(sevens, tens[:21])
    assert len(np.unique(tens.sum((1, 2, 3)))) == 30


def test_latents_are_changed_as_any_batch_is(tmp_path):
    feed = load_latents(written(tmp_path), batch_size=4)
    mapped = Mapped(feed, lambda batch, key: {**batch, "twice": 2 * batch["latent"]})
    spec = spec_of(mapped)
    (entry,) = spec.entries
    assert entry.name == "twice" and entry.shape == spec.latent
    assert spec._replace(entries=()) == spec_of(feed) and spec.autoencoder
    (found,) = batches(mapped, KEY, 3, 4)
    (expected,) = batches(feed, KEY, 3, 4)
    np.testing.assert_array_equal(found["latent"], expected["latent"])
    np.testing.assert_array_equal(found["twice"], 2 * expected["latent"])


def beside(n: int, seed: int) -> Resident:
    pictures = np.zeros((n, 5, 4, 3), np.uint8) + np.arange(n, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Resident(pictures, batch_size=8, seed=seed, to_batch=scaled(-1.0, 1.0))


def look(weights, images):
    return {"whole": weights * images.mean((1, 2)), "patches": images[:, :2, :2]}


@pytest.mark.parametrize("resident_bytes", [1 << 20, 100])
def test_what_a_network_sees_is_of_the_same_pictures(tmp_path, resident_bytes):
    latents = load_latents(written(tmp_path), batch_size=8, seed=3, resident_bytes=resident_bytes)
    feed = Taught(latents, beside(30, 3), Partial(look, np.full((1, 1), 255.0, np.float32)))
    names = [(entry.name, entry.dtype) for entry in spec_of(feed).entries]
    assert names == [("patches", "float32"), ("whole", "float32")] and feed.size == 30
    assert spec_of(feed)._replace(entries=()) == spec_of(latents)
    for each in (feed, feed.with_seed(4), feed.with_batch_size(5)):
        for batch in batches(each, KEY, 2, 6):
            rows = np.rint(batch["whole"][:, 0]).astype(int)
            np.testing.assert_array_equal(batch["latent"], LATENTS[rows].astype(np.float32))
            np.testing.assert_array_equal(batch["label"], LABELS[rows])
            np.testing.assert_allclose(batch["patches"][:, 1, 1, 2] * 255, rows, atol=1e-3)


def test_other_pictures_than_were_encoded_are_refused(tmp_path):
    latents = load_latents(written(tmp_path), batch_size=8, seed=3)
    with pytest.raises(UserError, match="latents of 30 pictures, .* has 29: encode it again"):
        Taught(latents, beside(29, 3), Partial(look, 1.0))


def test_the_origin_is_kept(tmp_path):
    assert read_origin(written(tmp_path)) == ORIGIN


def test_a_folder_without_latents_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no latents, as it has no latents.json: make some"):
        load_latents(tmp_path, batch_size=1)


def test_batches_are_no_larger_than_the_data(tmp_path):
    with pytest.raises(UserError, match="batch size 31 is larger than the 30 examples"):
        load_latents(written(tmp_path), batch_size=31)


def spoil_json(folder: Path) -> None:
    text = json.loads((folder / "latents.json").read_text())
    (folder / "latents.json").write_text(json.dumps({**text, "classes": "five"}))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (spoil_json, "latents.json is damaged: classes must be"),
        (lambda f: (f / "latents.npy").write_bytes(b"no"), "latents.npy is damaged"),
        (lambda f: (f / "latents.npy").unlink(), "latents.npy is damaged .*no such file"),
        (lambda f: (f / "labels.npy").unlink(), "labels.npy is damaged .*no such file"),
        (lambda f: np.save(f / "labels.npy", LABELS + 1), "labels.npy is damaged .*no class"),
        (lambda f: np.save(f / "labels.npy", LABELS[1:]), "labels.npy is damaged .*no class"),
        (lambda f: np.save(f / "latents.npy", LATENTS[0]), r"damaged .*float16 \[2, 3, 4\]"),
        (
            lambda f: np.save(f / "latents.npy", LATENTS.astype(np.float32)),
            "damaged .*again by `jaxgan encode`",
        ),
        (
            lambda f: np.save(f / "latents.npy", np.array([print] * 2, object)),
            "latents.npy is damaged",
        ),
        (lambda f: (f / "latents.npy").write_bytes(b"PK\3\4..."), "latents.npy is damaged"),
        (
            lambda f: (f / "latents.npy").write_bytes((f / "latents.npy").read_bytes()[:900]),
            "latents.npy is damaged",
        ),
    ],
)
def test_what_is_damaged_is_refused_in_a_line(tmp_path, spoil, message):
    spoil(written(tmp_path))
    with pytest.raises(UserError, match=message) as caught:
        load_latents(tmp_path, batch_size=4)
    assert "\n" not in str(caught.value)
