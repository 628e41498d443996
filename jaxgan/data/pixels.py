"""Pictures of any size and mode as arrays of a given shape, and arrays as pictures."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageMode, ImageOps


def is_gray(picture: Image.Image) -> bool:
    """Returns whether a picture is gray, by its mode."""
    return ImageMode.getmode(picture.mode).basemode == "L"


def to_array(picture: Image.Image, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "H W C"]:
    """Decodes a picture to an array of a given shape.

    A picture of another size is cropped around its center to the aspect ratio of the shape and
    resized (Lanczos). Transparent parts become white.

    Args:
        picture: any mode; only the first frame of an animation is used.
        shape: (H, W, C), where C is 1 for gray and 3 for RGB.

    Returns:
        uint8 [H, W, C].

    Raises:
        OSError: if the file is damaged; Pillow's decoders raise other errors too.
    """
    height, width, channels = shape
    if picture.mode.startswith("I;16"):  # `convert` would clip at 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(shape)


def to_png(image: UInt8[np.ndarray, "H W *C"]) -> bytes:
    """Encodes an array as PNG: what a TFDS builder gives, as TFDS encodes arrays by TensorFlow.

    Args:
        image: uint8 [H, W] (gray) or [H, W, 3] (RGB).

    Returns:
        The bytes of the file.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", compress_level=1)  # 6 is 3 % smaller and slower
    return buffer.getvalue()
