"""OpenMoji as a TFDS data set, made from the file in this folder."""

from collections.abc import Iterator
from importlib import resources

import numpy as np
import tensorflow_datasets as tfds

from jaxgan.data.pixels import to_png

HELD_OUT = 10  # every so many emoji, with all its variants, are in `test`
CLASSES = [
    *("activities", "animals-nature", "component", "extras-openmoji", "extras-unicode", "flags"),
    *("food-drink", "objects", "people-body", "smileys-emotion", "symbols", "travel-places"),
]
CREDIT = (
    "All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0"
)
CITATION = """@misc{openmoji,
  title = {OpenMoji},
  note = {All emojis designed by OpenMoji, the open-source emoji and icon project},
  howpublished = {https://openmoji.org},
}"""


class JaxganOpenmoji(tfds.core.GeneratorBasedBuilder):
    """The emoji of OpenMoji 17.0.0: 4,150 to train on, 345 to test with.

    Features: `image` uint8 [64, 64, 3], `drawing` (its black lines) uint8 [64, 64, 1], `label`
    0..11, `code` (Unicode code points) and `annotation` (its name). All variants of an emoji, such
    as its skin tones, are in the same split.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Emoji in color, and their line drawings. {CREDIT}.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(64, 64, 3), encoding_format="png"),
                    "drawing": tfds.features.Image(shape=(64, 64, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=CLASSES),
                    "code": tfds.features.Text(),
                    "annotation": tfds.features.Text(),
                }
            ),
            homepage="https://openmoji.org",
            citation=CITATION,
            license=CREDIT,
            disable_shuffling=True,  # else TFDS sorts the examples by a hash of their keys
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager  # nothing to download
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        packed = resources.files("jaxgan.data.openmoji").joinpath("openmoji64.npz")
        with packed.open("rb") as file, np.load(file) as arrays:
            emoji = {name: arrays[name] for name in arrays if name != "group"}
        for key, index in enumerate(np.flatnonzero(_held_out(emoji["code"]) == (split == "test"))):
            yield (
                key,
                {
                    "image": to_png(emoji["color"][index]),
                    "drawing": to_png(emoji["black"][index]),
                    "label": int(emoji["label"][index]),
                    "code": str(emoji["code"][index]),
                    "annotation": str(emoji["annotation"][index]),
                },
            )


def _held_out(codes: np.ndarray) -> np.ndarray:
    """Tells which emoji are held out, by their code points; variants differ after a dash."""
    families = [str(code).partition("-")[0] for code in codes]
    return np.isin(families, sorted(set(families))[::HELD_OUT])
