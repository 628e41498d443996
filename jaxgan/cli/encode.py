"""`jaxgan encode`: from its options to a folder of latents."""

from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from jaxgan.cli.options import Encode
from jaxgan.cli.outputs import check_free, whole_folder
from jaxgan.data.encoded import DECODER, Origin, Part, write_latents
from jaxgan.evaluation.encoding import Coder, check_fit, coder_of, coder_of_file, encode
from jaxgan.interop import save_variables
from jaxgan.recipes.autoencoder import Autoencoder
from jaxgan.rundir import loading
from jaxgan.util.errors import UserError

SUFFIX = ".safetensors"  # of a file that is no run


def make_latents(options: Encode) -> Path:
    """Encodes a data set, and writes its latents and the decoder into a folder.

    Args:
        options: of the command.

    Returns:
        The path of the folder.

    Raises:
        UserError: if an option, the autoencoder or the data does not suit; then nothing is written.
    """
    check_free(options.out)
    coder, recipe = _autoencoder(options)
    data = recipe.data if options.data is None else options.data
    size = recipe.image_size if options.image_size is None else options.image_size
    one_by_one = recipe.one_by_one(data=data, image_size=size)
    feed = one_by_one.open(data, None, options.data_dir)
    count = feed.size
    assert count is not None
    shape = check_fit(coder, feed.shape)
    with whole_folder(options.out) as folder:
        origin = Origin(data, size, shape, feed.classes, coder.name)
        with tqdm(total=count, unit=" pictures", disable=None) as bar:
            write_latents(folder, origin, count, _counted(encode(coder, feed), bar))
        save_variables(folder / DECODER, coder.decoder)
    return options.out


def _counted(parts: Iterator[Part], bar: tqdm) -> Iterator[Part]:
    for part in parts:
        yield part
        bar.update(len(part.latents))


def _autoencoder(options: Encode) -> tuple[Coder, Autoencoder]:
    """Loads the autoencoder, and the recipe that says how pictures are read."""
    if options.run.suffix == SUFFIX:
        if options.data is None:
            raise UserError(f"{options.run} is not a run: say by --data which pictures to encode")
        if options.best or (options.step, options.member) != (None, None):
            raise UserError(f"{options.run} is not a run: leave out --step, --member and --best")
        return coder_of_file(options.run), Autoencoder(image_size=256)
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    coder = coder_of(trained)
    assert isinstance(trained.recipe, Autoencoder)
    return coder, trained.recipe
