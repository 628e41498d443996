"""Pictures of samples: grids of images, and animations of grids."""

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from jax import Array
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxgan.data import unscale
from jaxgan.util.errors import UserError
from jaxgan.util.files import make_folder, read_bytes, write_atomically

GAP = 2  # pixels between tiles
NEUTRAL = 112  # gray of gaps and empty cells, which shows next to black and to white
TARGET = 560  # approximate pixels of a grid's longer side
MAX_FRAMES = 100
LAST_FRAME_MS = 2000
GRAYS = 32  # gray levels of an animation; more would double the file and look the same

T = TypeVar("T")


def grid(images: UInt8[np.ndarray, "N H W C"], rows: int, cols: int) -> Image.Image:
    """Tiles images row by row, each pixel enlarged to a square of pixels.

    Args:
        images: uint8 [N, H, W, C] in 0..255; C is 1 (gray) or 3 (RGB), N at most rows * cols.
        rows: tiles from top to bottom.
        cols: tiles from left to right.

    Returns:
        A picture of mode L or RGB. Cells without an image are gray.

    Raises:
        ValueError: if there are more images than cells, or C is neither 1 nor 3.
    """
    n, height, width, channels = images.shape
    if n > rows * cols:
        raise ValueError(f"{n} images do not fit a grid of {rows} x {cols}")
    if channels not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, not {channels}")
    scale = max(1, round(TARGET / max(rows * height, cols * width)))
    down, right = height * scale + GAP, width * scale + GAP
    canvas = np.full((rows * down - GAP, cols * right - GAP, channels), NEUTRAL, np.uint8)
    tiles = images.repeat(scale, axis=1).repeat(scale, axis=2)
    for i, tile in enumerate(tiles):
        top, left = i // cols * down, i % cols * right
        canvas[top : top + height * scale, left : left + width * scale] = tile
    return picture(canvas)


def nearest_grid(images: UInt8[np.ndarray, "R K H W C"]) -> Image.Image:
    """Lays samples beside the training images that are nearest to them.

    Args:
        images: uint8 [rows, 1 + k, H, W, C] in 0..255: in each row a sample, then training images;
            C is 1 (gray) or 3 (RGB).

    Returns:
        A picture of mode L or RGB, with a gap after the samples and a caption.
    """
    rows, columns, *shape = images.shape
    gap = np.full((rows, 1, *shape), NEUTRAL, np.uint8)
    tiles = np.concatenate([images[:, :1], gap, images[:, 1:]], axis=1)
    drawn = grid(tiles.reshape(-1, *shape), rows, columns + 1)
    return _captioned(drawn, "samples, and the training images nearest to each")


def picture(image: UInt8[np.ndarray, "H W C"]) -> Image.Image:
    """Converts one image to a picture of mode L or RGB and of the same size.

    Args:
        image: uint8 [H, W, C] in 0..255; C is 1 (gray) or 3 (RGB).
    """
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def evenly(items: Sequence[T], limit: int) -> list[T]:
    """Picks at most `limit` (at least 2) items, evenly spaced, with the first and the last."""
    if len(items) <= limit:
        return list(items)
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]


def save_png(image: Image.Image, path: Path) -> None:
    """Writes a picture as PNG, entirely or not at all."""
    data = BytesIO()
    image.save(data, "PNG")
    write_atomically(path, data.getvalue())


def save_grid(images: Float[Array | np.ndarray, "N H W C"], path: Path, columns: int) -> None:
    """Writes images as one PNG, `columns` in a row.

    Args:
        images: `[N, H, W, C]` in [-1, 1]; C is 1 (gray) or 3 (RGB).
        path: of the file; its folder is made if it is missing.
        columns: images in a row.
    """
    make_folder(path.parent)
    rows = math.ceil(len(images) / columns)
    save_png(grid(np.asarray(unscale(images, -1.0, 1.0)), rows, columns), path)


def animate(frames: Sequence[Path | Image.Image], path: Path, captions: Sequence[str] = ()) -> None:
    """Writes pictures of one size as a looping GIF of 6 to 9 seconds that pauses on the last.

    Args:
        frames: at least one picture, or file of one; of more than 100, 100 are shown.
        path: of the GIF, which is written entirely or not at all.
        captions: a line of text below each frame; empty for no captions.
    """
    shown = evenly(list(zip(frames, captions or [""] * len(frames), strict=True)), MAX_FRAMES)
    pictures = [_frame(frame, caption) for frame, caption in shown]
    pace = min(400, max(60, 7000 // len(pictures)))
    data = BytesIO()
    pictures[0].save(
        data,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[pace] * (len(pictures) - 1) + [LAST_FRAME_MS],
        loop=0,
    )
    write_atomically(path, data.getvalue())


def _frame(frame: Path | Image.Image, caption: str) -> Image.Image:
    """Makes a frame of a GIF: few colors, with the caption below."""
    picture = _open(frame) if isinstance(frame, Path) else frame
    picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    if caption:
        picture = _captioned(picture, caption)
    if picture.mode == "L":
        step = 255 / (GRAYS - 1)
        return picture.point([round(round(v / step) * step) for v in range(256)])
    return picture.quantize(dither=Image.Dither.NONE)


def _open(path: Path) -> Image.Image:
    try:
        picture = Image.open(BytesIO(read_bytes(path)))
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:  # as Pillow tells damage
        raise UserError(
            f"{path} is damaged: {str(error)[:100]} (move it away, then make the report again)"
        ) from None
    return picture


def _captioned(picture: Image.Image, caption: str) -> Image.Image:
    size = max(10, math.ceil(picture.width / 32))
    strip = 2 * size
    result = Image.new(picture.mode, (picture.width, picture.height + strip), "white")
    result.paste(picture)
    ImageDraw.Draw(result).text(
        (picture.width / 2, picture.height + strip / 2),
        caption,
        fill="black",
        font=ImageFont.load_default(size),
        anchor="mm",
    )
    return result


def save_walks(samples: np.ndarray, out: Path, columns: int) -> None:
    """Writes samples row by row, or as an animation of their columns.

    Args:
        samples: what `jaxgan.rundir.walks` returned.
        out: a .gif, whose frames show all rows at once, or a format of `save_samples`.
        columns: samples in a row.

    Raises:
        UserError: if the samples do not suit the format, or there is no such format.
    """
    _check(samples, out, ".png", ".gif", ".npz")
    if out.suffix != ".gif":
        save_samples(samples, out, columns)
        return
    rows = len(samples) // columns
    width = math.ceil(math.sqrt(rows))
    frames = [
        grid(samples[column::columns], math.ceil(rows / width), width) for column in range(columns)
    ]
    make_folder(out.parent)
    animate(frames, out)


def save_samples(samples: np.ndarray, out: Path, columns: int | None = None) -> None:
    """Writes samples in the format of a path's suffix.

    Args:
        samples: what `jaxgan.rundir.draw` returned.
        out: a .png (a grid), a .npz (the array `samples`), or a folder (a PNG per image), which may
            hold earlier samples if all of them are replaced.
        columns: of the grid; None for a grid as square as possible.

    Raises:
        UserError: if the samples do not suit the format, there is no such format, or the folder
            holds anything else.
    """
    _check(samples, out, ".png", ".npz")
    make_folder(out.parent)
    if out.suffix == ".npz":
        data = BytesIO()
        np.savez(data, samples=samples)
        write_atomically(out, data.getvalue())
    elif out.suffix == ".png":
        columns = columns or math.ceil(math.sqrt(len(samples)))
        rows = math.ceil(len(samples) / columns)
        save_png(grid(samples, rows, columns), out)
    else:
        make_folder(out)
        names = [f"{index:05d}.png" for index in range(len(samples))]
        others = {path.name for path in out.iterdir()}.difference(names)
        if others:
            raise UserError(f"{out} holds other files, such as {min(others)}: choose another --out")
        for name, image in zip(names, samples, strict=True):
            save_png(picture(image), out / name)


def suffix_of(samples: np.ndarray) -> str:
    """Returns the usual suffix of samples: .png of images, which are uint8, and .npz of others."""
    return ".png" if samples.dtype == np.uint8 else ".npz"


def _check(samples: np.ndarray, out: Path, *suffixes: str) -> None:
    """Checks that there is a format of a path's suffix, and that samples suit it."""
    if out.suffix not in (*suffixes, ""):
        raise UserError(f"cannot write {out}: give a {', a '.join(suffixes)} or a folder")
    if suffix_of(samples) == ".npz" != out.suffix:
        raise UserError(f"these samples are no images: give a .npz instead of {out}")
