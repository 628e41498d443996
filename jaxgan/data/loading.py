"""From the name of a data set to a feed."""

import math

from jaxgan.data.decoding import decode
from jaxgan.data.failures import system_failures
from jaxgan.data.feeds import Feed, Resident
from jaxgan.data.joined import Pairs
from jaxgan.data.scaling import scaled
from jaxgan.data.sources import Source, open_sources
from jaxgan.data.stream import Stream
from jaxgan.util.errors import UserError


def load(
    spec: str,
    *,
    batch_size: int,
    seed: int | None = 0,
    low: float = -1.0,
    high: float = 1.0,
    image_size: int | None = None,
    default_size: int = 64,
    data_dir: str | None = None,
    resident_bytes: int = 2 << 30,
) -> Feed:
    """Opens a data set for training.

    Args:
        spec: `mnist`, `openmoji`, `faces`, `tfds:NAME[/CONFIG][:VERSION]`, `prepared:PATH`, all
            with an optional `@SPLIT`, or `folder:PATH`; or pairs, such as `openmoji-pairs`,
            `tfds:NAME#LOW,HIGH`, `folder:PATH#A,B` or `halves:PATH`; see `jaxgan.data.sources`.
        batch_size: examples per step, at most the size of the data set.
        seed: of the order, 0 or more; None for the order of the data set.
        low: the value of black in a batch.
        high: the value of white in a batch.
        image_size: side of the square that pictures are resized to; None keeps the size of pictures
            that all have the same.
        default_size: the side if `image_size` is None and the pictures differ in size.
        data_dir: TFDS's data directory; None means $TFDS_DATA_DIR or ~/tensorflow_datasets.
        resident_bytes: data sets of at most this many bytes, decoded, are kept on the device;
            larger ones are streamed.

    Returns:
        A feed of float32 images [B, H, W, C] in low..high, and of labels if there are any; of pairs
        also of the "source" of each image, likewise. Resident and streamed feeds return the same
        batches.

    Raises:
        UserError: if the data set is not available, or an argument is out of range.
    """
    if batch_size < 1:
        raise UserError(f"the batch size is {batch_size}; it must be at least 1")
    if seed is not None and seed < 0:
        raise UserError(f"the seed is {seed}; it must be at least 0")
    if image_size is not None and image_size < 1:
        raise UserError(f"the image size is {image_size}; it must be at least 1")
    with system_failures(spec):
        sources = open_sources(
            spec, image_size=image_size, default_size=default_size, data_dir=data_dir
        )
        size = len(sources[0])
        if batch_size > size:
            raise UserError(
                f"the batch size {batch_size} is larger than the {size} examples of {spec}; "
                "choose a smaller --batch-size or more data"
            )
        resident = size * sum(math.prod(source.shape) for source in sources) <= resident_bytes

        def feed(source: Source) -> Feed:
            if not resident:
                return Stream(source, batch_size, seed, scaled(low, high))
            images, labels = decode(source, source.cache)
            return Resident(
                images,
                labels,
                batch_size=batch_size,
                seed=seed,
                to_batch=scaled(low, high),
                classes=source.classes,
            )

        feeds = [feed(source) for source in sources]
    return feeds[0] if len(feeds) == 1 else Pairs(*feeds)
