import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import save

from jaxgan.data.folder import open_folder, open_mask, open_pictures
from jaxgan.util.errors import UserError


def test_gray_pictures_keep_one_channel(tmp_path):
    images = [save(tmp_path / f"{name}.png", 8, 8, seed=ord(name)) for name in "ba"]
    source = open_folder(tmp_path, 8)
    assert (len(source), source.shape) == (2, (8, 8, 1))
    found, labels = source.read([0, 1])
    np.testing.assert_array_equal(found[..., 0], images[::-1])  # sorted by name
    assert labels is None


def test_one_color_picture_makes_all_rgb(tmp_path):
    gray = save(tmp_path / "a.png", 8, 8)
    color = save(tmp_path / "b.bmp", 8, 8, 3)
    found, _ = open_folder(tmp_path, 8).read([0, 1])
    np.testing.assert_array_equal(found, [np.stack([gray] * 3, -1), color])


def test_other_sizes_are_cropped_and_resized(tmp_path):
    wide = Image.fromarray(save(tmp_path / "wide.png", 20, 60))
    found, _ = open_folder(tmp_path, 10).read([0])
    expected = wide.resize((30, 10), Image.Resampling.LANCZOS).crop((10, 0, 20, 10))
    np.testing.assert_allclose(found[0, ..., 0], np.asarray(expected, int), atol=1)


def test_transparent_pixels_become_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    found, _ = open_folder(tmp_path, 4).read([0])
    assert (found == 255).all()


def test_sixteen_bits_become_eight(tmp_path):
    Image.fromarray(np.full((4, 4), 128 * 256, np.uint16)).save(tmp_path / "a.png")
    source = open_folder(tmp_path, 4)
    assert source.shape == (4, 4, 1)
    assert (source.read([0])[0] == 128).all()


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pictures_of_unknown_range_are_refused(kind, tmp_path):
    Image.fromarray(np.ones((4, 4), kind)).save(tmp_path / "a.tiff")
    with pytest.raises(UserError, match=r"a.tiff has 32 bits a pixel: convert it to 8 or 16$"):
        open_folder(tmp_path, 4)


def test_pictures_are_turned_upright(tmp_path):
    picture = Image.new("L", (4, 4), 0)
    picture.paste(255, (0, 0, 4, 2))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # the camera was upside down
    picture.save(tmp_path / "a.png", exif=exif)
    found, _ = open_folder(tmp_path, 4).read([0])
    assert (found[0, 2:] == 255).all() and (found[0, :2] == 0).all()


def test_subfolders_are_classes(tmp_path):
    for name in ("cat/2.png", "ant/1.png", "cat/1.jpeg"):
        save(tmp_path / name, 6, 6)
    source = open_folder(tmp_path, 6)
    labels = source.read([2, 1, 0])[1]
    assert labels is not None and labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [1, 1, 0])


def test_classes_without_pictures_keep_their_numbers(tmp_path):
    for name in ("1/a.png", "3/b.png"):
        save(tmp_path / name, 6, 6)
    for name in ("0", "2", "4", ".hidden"):
        (tmp_path / name).mkdir()
    source = open_folder(tmp_path, 6)
    assert source.classes == 5
    np.testing.assert_array_equal(source.read([0, 1])[1], [1, 3])


@pytest.mark.parametrize("stray", ["stray.png", "ant/deeper/stray.png"])
def test_no_classes_if_a_picture_lies_elsewhere(tmp_path, stray):
    for name in ("cat/1.png", "ant/1.png", stray):
        save(tmp_path / name, 6, 6)
    source = open_folder(tmp_path, 6)
    assert len(source) == 3
    assert source.read([0])[1] is None


def test_hidden_and_other_files_are_ignored(tmp_path):
    save(tmp_path / "a.PNG", 6, 6)
    for name in ("._a.png", "notes.txt", ".hidden/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not a picture")
    assert len(open_folder(tmp_path, 6)) == 1


def test_links_to_folders_are_named(tmp_path, caplog):
    for name in ("red/a.png", "elsewhere/b.png"):
        save(tmp_path / name, 6, 6)
    (tmp_path / "red" / "up").symlink_to(tmp_path)  # which has no end
    (tmp_path / "blue").symlink_to(tmp_path / "elsewhere")
    assert len(open_folder(tmp_path, 6)) == 2
    assert f"links to folders in {tmp_path} are not followed: blue, red/up" in caplog.text


def test_missing_empty_and_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"there is no folder nowhere in {tmp_path}"):
        open_folder(Path("nowhere"), 8)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="there is no folder"):
        open_folder(tmp_path / "nowhere", 8)
    with pytest.raises(UserError, match="is not a folder"):
        open_folder(tmp_path / "file", 8)
    with pytest.raises(UserError, match=r"no pictures \(.*\.png"):
        open_folder(tmp_path, 8)


def test_broken_pictures_are_named(tmp_path):
    save(tmp_path / "good.png", 6, 6)
    for i in range(5):
        (tmp_path / f"bad{i}.png").write_bytes(b"x" * i)
    with pytest.raises(UserError, match="5 of the 6 pictures") as caught:
        open_folder(tmp_path, 6)
    assert "bad0.png, bad1.png, bad2.png and 2 more;" in str(caught.value)


def test_a_picture_that_breaks_later_is_named(tmp_path):
    save(tmp_path / "a.jpg", 64, 64, 3)
    whole = (tmp_path / "a.jpg").read_bytes()
    source = open_folder(tmp_path, 8)
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cannot read the picture .*a\.jpg"):
        source.read([0])


def test_a_picture_that_cannot_be_opened_is_not_called_broken(tmp_path, monkeypatch):
    save(tmp_path / "a.png", 6, 6)

    def fail(path, *_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(UserError, match=r"a\.png: Too many open files .*ulimit -n") as caught:
        open_folder(tmp_path, 6)
    assert "broken" not in str(caught.value)


def test_a_picture_of_too_many_pixels_is_named_with_the_limit(tmp_path, monkeypatch):
    save(tmp_path / "a.png", 10, 15)
    for limit in (100, 50):  # Pillow warns of the first, and refuses the second
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UserError, match=rf"a\.png has too many pixels; the limit is {limit}:"):
            open_folder(tmp_path, 6)


def test_a_mask_is_known_where_it_is_light(tmp_path):
    shades = np.array([[0, 127, 128], [255, 10, 200]], np.uint8)
    Image.fromarray(shades).save(tmp_path / "mask.png")
    mask = open_mask(tmp_path / "mask.png", 2, 3)
    np.testing.assert_array_equal(mask[0, ..., 0], shades > 127)
    with pytest.raises(UserError, match="is 2 x 3, and the pictures are 3 x 2"):
        open_mask(tmp_path / "mask.png", 3, 2)


def test_pictures_are_of_one_kind_and_have_no_classes(tmp_path):
    (tmp_path / "below").mkdir()
    image = save(tmp_path / "below" / "a.png", 6, 6)
    for path in (tmp_path, tmp_path / "below" / "a.png"):
        source = open_pictures(path, (6, 6, 1))
        found, labels = source.read([0])
        np.testing.assert_array_equal(found[0, ..., 0], image)
        assert labels is None and source.paths == (tmp_path / "below" / "a.png",)
    with pytest.raises(UserError, match="a.png is gray, where pictures in color are needed"):
        open_pictures(tmp_path, (6, 6, 3))
