"""Pairs of pictures in folders."""

from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image
from tiny import save

from jaxgan.data import load
from jaxgan.data.sources import open_sources
from jaxgan.util.errors import UserError


def opened(spec: str, size: int = 8):
    return open_sources(spec, image_size=size, default_size=64, data_dir=None)


def message(spec: str) -> str:
    with pytest.raises(UserError) as caught:
        opened(spec)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_partners_have_the_same_name_whatever_the_suffix(tmp_path):
    names = {"a.png": "a.bmp", "a-b.png": "a-b.png", "b/a.bmp": "b/a.png", "a1.png": "a1.bmp"}
    left = {name: save(tmp_path / "A" / name, 8, 8, seed=i) for i, name in enumerate(names)}
    right = {
        name: save(tmp_path / "B" / name, 8, 8, 3, seed=9 + i)
        for i, name in enumerate(names.values())
    }
    target, source = opened(f"folder:{tmp_path}#A,B")
    assert (target.shape, source.shape) == ((8, 8, 3), (8, 8, 1))  # each has its own channels
    assert (len(target), len(source), target.classes) == (4, 4, None)
    images, sources = (each.read(range(4))[0] for each in (target, source))
    partners = {left[a].tobytes(): right[b].tobytes() for a, b in names.items()}
    assert partners == {a.tobytes(): b.tobytes() for a, b in zip(sources, images, strict=True)}
    other, one = opened(f"folder:{tmp_path}#B,A")
    np.testing.assert_array_equal(other.read(range(4))[0], sources)
    np.testing.assert_array_equal(one.read(range(4))[0], images)


def test_a_name_in_the_path_is_no_pair(tmp_path):
    save(tmp_path / "a#b" / "c.png", 8, 8)
    assert len(opened(f"folder:{tmp_path}/a#b")) == 1
    save(tmp_path / "a#b,c" / "c.png", 8, 8)
    assert len(opened(f"folder:{tmp_path}/a#b,c/")) == 1


def test_partners_are_cropped_and_resized_alike(tmp_path):
    picture = Image.fromarray(save(tmp_path / "A" / "x.png", 40, 60))
    (tmp_path / "B").mkdir()
    picture.resize((30, 20), Image.Resampling.BOX).save(tmp_path / "B" / "x.png")
    one, other = (each.read([0])[0].astype(float) for each in opened(f"folder:{tmp_path}#A,B", 5))
    assert np.abs(one - other).mean() < 8  # of noise between 0 and 255
    across = np.asarray(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((5, 5)), float)
    assert np.abs(one[0, ..., 0] - across).mean() > 8


def test_pictures_without_a_partner_are_named(tmp_path):
    for name in ("A/1", "A/2", "A/3", "B/2", "B/4", "B/5"):
        save(tmp_path / f"{name}.png", 8, 8)
    text = message(f"folder:{tmp_path}#A,B")
    assert f"4 of the 6 pictures in {tmp_path}" in text
    assert "no partner of the same name: A/1.png, A/3.png, B/4.png and 1 more; add" in text
    (tmp_path / "B/4.png").rename(tmp_path / "B/1.png")
    (tmp_path / "B/5.png").rename(tmp_path / "B/3.png")
    assert len(opened(f"folder:{tmp_path}#A,B")[0]) == 3


def test_two_pictures_of_one_name(tmp_path):
    for name in ("A/1.png", "A/1.bmp", "B/1.png"):
        save(tmp_path / name, 8, 8)
    text = message(f"folder:{tmp_path}#A,B")
    assert f"1.bmp and 1.png in {tmp_path / 'A'} would have the same partner" in text


def test_partners_of_another_shape_are_named_with_their_sizes(tmp_path):
    save(tmp_path / "A" / "1.png", 20, 10)
    save(tmp_path / "B" / "1.png", 10, 10)
    text = message(f"folder:{tmp_path}#B,A")
    assert "A/1.png (10 x 20) and B/1.png (10 x 10)" in text


def test_partners_lie_as_viewers_show_them(tmp_path):
    save(tmp_path / "A" / "1.jpg", 20, 10, 3)
    picture = Image.fromarray(save(tmp_path / "B" / "1.jpg", 10, 20, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    picture.save(tmp_path / "B" / "1.jpg", exif=exif)
    assert len(opened(f"folder:{tmp_path}#A,B")) == 2


@pytest.mark.parametrize("missing", ["A", "B"])
def test_an_empty_or_missing_side(tmp_path, missing):
    for name in "AB":
        (tmp_path / name).mkdir()
        if name != missing:
            save(tmp_path / name / "1.png", 8, 8)
    assert "there are no pictures" in message(f"folder:{tmp_path}#A,B")
    (tmp_path / missing).rmdir()
    assert f"there is no folder {tmp_path / missing}" in message(f"folder:{tmp_path}#A,B")


def test_broken_partners_are_named(tmp_path):
    for name in ("A/1.png", "B/1.png"):
        save(tmp_path / name, 8, 8)
    (tmp_path / "B/1.png").write_bytes(b"")
    assert f"1 of the 1 pictures in {tmp_path / 'B'} are broken: 1.png" in message(
        f"folder:{tmp_path}#A,B"
    )


@pytest.mark.parametrize("order", ["", "#left,right", "#right,left"])
def test_halves_of_a_picture(tmp_path, order):
    whole = save(tmp_path / "1.png", 8, 16, 3)
    target, source = opened(f"halves:{tmp_path}{order}")
    if order == "#right,left":
        target, source = source, target
    np.testing.assert_array_equal(source.read([0])[0][0], whole[:, :8])
    np.testing.assert_array_equal(target.read([0])[0][0], whole[:, 8:])


def test_halves_of_an_odd_width_are_named(tmp_path):
    save(tmp_path / "1.png", 8, 16)
    save(tmp_path / "2.png", 8, 15)
    text = message(f"halves:{tmp_path}")
    assert "1 of the 2 pictures" in text and "odd width" in text and "2.png" in text


def test_streamed_pairs_are_the_resident_ones(tmp_path):
    for i in range(6):
        save(tmp_path / f"{i}.png", 8, 16, seed=i)
    options: dict[str, Any] = {"batch_size": 2, "seed": 3, "image_size": 8}
    feeds = [load(f"halves:{tmp_path}", **options, resident_bytes=limit) for limit in (0, 1 << 20)]
    batches = []
    for feed in feeds:
        rows = jax.tree.map(lambda rows: rows[0], feed.rows(4, 5))
        batches.append(jax.jit(feed.batch)(feed.arrays, rows, jax.random.key(0)))
    jax.tree.map(np.testing.assert_array_equal, *batches)
    assert batches[0].keys() == {"image", "source"}
