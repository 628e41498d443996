from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxgan.report.pictures import (
    GAP,
    NEUTRAL,
    animate,
    evenly,
    grid,
    nearest_grid,
    save_grid,
    save_png,
    save_samples,
    suffix_of,
)
from jaxgan.util.errors import UserError


def random_images(n, size, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, size, size, channels), dtype=np.uint8)


def gray(value, size=(40, 40)):
    return Image.new("L", size, value)


def frames_of(path: Path):
    """The frames as gray arrays, and their durations."""
    with Image.open(path) as gif:
        frames, durations = [], []
        for i in range(getattr(gif, "n_frames", 1)):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("L")))
            durations.append(gif.info["duration"])
        return frames, durations, gif.info


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_grid_enlarges_each_image_in_its_place(channels, mode):
    images = random_images(6, 28, channels)
    picture = grid(images, 2, 3)
    scale = (picture.width - 2 * GAP) // (3 * 28)
    pixels = np.asarray(picture).reshape(picture.height, picture.width, channels)
    assert picture.mode == mode
    assert scale > 1
    assert picture.size == (3 * 28 * scale + 2 * GAP, 2 * 28 * scale + GAP)
    pitch = 28 * scale + GAP
    for i, image in enumerate(images):
        top, left = i // 3 * pitch, i % 3 * pitch
        for offset in (0, scale - 1):  # both corners of each enlarged pixel
            tile = pixels[top + offset :: scale, left + offset :: scale][:28, :28]
            np.testing.assert_array_equal(tile, image)
    assert np.all(pixels[28 * scale : pitch] == NEUTRAL)
    assert np.all(pixels[:, 28 * scale : pitch] == NEUTRAL)


@pytest.mark.parametrize("side", [4, 5, 6])
def test_grids_of_digits_are_pleasant_to_look_at(side):
    assert 450 <= grid(random_images(side**2, 28), side, side).width <= 700


def test_a_large_grid_is_not_made_smaller():
    assert grid(random_images(4, 400), 2, 2).size == (800 + GAP, 800 + GAP)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_samples_lie_beside_the_training_images_nearest_to_them(channels, mode):
    images = random_images(2 * 4, 28, channels).reshape(2, 4, 28, 28, channels)
    picture = nearest_grid(images)
    gap = np.full((2, 1, 28, 28, channels), NEUTRAL, np.uint8)
    tiles = np.concatenate([images[:, :1], gap, images[:, 1:]], axis=1)
    expected = grid(tiles.reshape(10, 28, 28, channels), 2, 5)
    assert picture.mode == mode
    assert picture.width == expected.width and picture.height > expected.height
    np.testing.assert_array_equal(np.asarray(picture)[: expected.height], np.asarray(expected))
    caption = np.asarray(picture)[expected.height :]
    assert caption.min() < 64 and np.all(caption[:, [0, -1]] == 255)  # ink, none of it cut off


def test_cells_without_image_are_neutral():
    pixels = np.asarray(grid(np.zeros((3, 28, 28, 1), np.uint8), 2, 2))
    half = len(pixels) // 2
    assert np.all(pixels[half + GAP :, half + GAP :] == NEUTRAL)
    assert np.all(pixels[half + GAP :, : half - GAP] == 0)


def test_grid_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="5 images"):
        grid(random_images(5, 4), 2, 2)
    with pytest.raises(ValueError, match="not 2"):
        grid(random_images(1, 4, 2), 1, 1)


@pytest.mark.parametrize("count, limit", [(1, 2), (5, 5), (6, 5), (150, 24), (101, 100)])
def test_evenly_keeps_first_and_last_and_spreads_the_rest(count, limit):
    picked = evenly(range(count), limit)
    assert len(picked) == min(count, limit)
    assert (picked[0], picked[-1]) == (0, count - 1)
    gaps = np.diff(picked)
    assert np.all(gaps >= 1)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_save_png_keeps_every_pixel(tmp_path):
    picture = grid(random_images(4, 8), 2, 2)
    save_png(picture, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), np.asarray(picture))


def test_save_grid_maps_values_to_pixels_and_fills_rows(tmp_path):
    images = np.stack([np.full((1, 1, 1), value) for value in (-1.0, 1.0, 3.0)])
    path = tmp_path / "new" / "grid.png"
    save_grid(images, path, columns=2)
    with Image.open(path) as saved:
        assert saved.size == grid(np.zeros((3, 1, 1, 1), np.uint8), 2, 2).size
        quarter = saved.width // 4
        corners = [(x, y) for y in (quarter, 3 * quarter) for x in (quarter, 3 * quarter)]
        assert [saved.getpixel(corner) for corner in corners] == [0, 255, 255, NEUTRAL]


def test_animation_shows_all_frames_and_rests_on_the_last(tmp_path):
    save_png(gray(60), tmp_path / "frame.png")
    animate([gray(0), tmp_path / "frame.png", gray(120), gray(255)], tmp_path / "a.gif")
    frames, durations, info = frames_of(tmp_path / "a.gif")
    assert len(frames) == 4
    assert np.all(frames[0] == 0)
    np.testing.assert_allclose(frames[1], 60, atol=5)
    assert np.all(frames[-1] == 255)
    assert durations[-1] > durations[0] == durations[1]
    assert info["loop"] == 0


def test_long_animation_is_cut_to_a_hundred_frames(tmp_path):
    frames = [Image.fromarray(np.eye(250, dtype=np.uint8)[i : i + 1] * 255) for i in range(250)]
    animate(frames, tmp_path / "long.gif")
    shown, durations, _ = frames_of(tmp_path / "long.gif")
    assert len(shown) == 100
    np.testing.assert_array_equal(shown[0], np.asarray(frames[0]))
    np.testing.assert_array_equal(shown[-1], np.asarray(frames[-1]))
    assert 6000 <= sum(durations) <= 10_000


def test_animation_of_one_color_frame_with_caption(tmp_path):
    animate([Image.new("RGB", (64, 64), "red")], tmp_path / "one.gif", ["step 1"])
    with Image.open(tmp_path / "one.gif") as gif:
        pixels = np.asarray(gif.convert("RGB"))
    assert np.all(pixels[:64] == [255, 0, 0])
    assert pixels[64:].min() < 64  # ink
    assert np.all(pixels[-1] == 255)  # on white


def test_samples_that_are_no_images_are_written_as_numbers(tmp_path):
    series = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    for out in (tmp_path / "series.png", tmp_path / "folder"):
        with pytest.raises(UserError, match="these samples are no images: give a .npz instead"):
            save_samples(series, out)
    save_samples(series, tmp_path / f"series{suffix_of(series)}")
    np.testing.assert_array_equal(np.load(tmp_path / "series.npz")["samples"], series)
    assert suffix_of(np.zeros((1, 2, 2, 3), np.uint8)) == ".png"
