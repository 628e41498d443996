"""`jaxgan translate`: from its options to a folder of translated pictures."""

import numpy as np

from jaxgan.cli.options import Translate
from jaxgan.cli.outputs import check_folder
from jaxgan.data import unscale
from jaxgan.evaluation import translating
from jaxgan.keys import from_seed, stream
from jaxgan.pretrained import place_beside
from jaxgan.recipes import ImageRecipe
from jaxgan.report.pictures import picture, save_png
from jaxgan.rundir import loading
from jaxgan.util.files import make_folder, naming


def translate(options: Translate) -> str:
    """Translates pictures, and writes them into a folder.

    Args:
        options: of the command.

    Returns:
        What to tell: the folder and, where the truth is known, how far the pictures are from it.

    Raises:
        UserError: if an option, a picture or the run does not suit; then nothing is written.
    """
    key = stream(from_seed(options.seed), "translate")
    trained = loading.load(options.run, options.step, options.member, best=options.best)
    pictures = translating.read(
        options.input, trained, options.to, seed=options.seed, data_dir=options.data_dir
    )
    member = "" if options.member is None else f"_member{options.member}"
    name = f"translated_to_{options.to}_step{int(trained.state.step)}{member}_seed{options.seed}"
    out = options.out or place_beside(options.run) / name
    check_folder(out, options.input)
    made = translating.translate(trained, pictures, key, options.to)
    with naming(out, missing=True):
        for file, image in zip(pictures.names, made, strict=True):
            path = out / (file if file.endswith(".png") else f"{file}.png")
            make_folder(path.parent)
            save_png(picture(image), path)
    if pictures.truth is None:
        return str(out)
    told = f"{out}\n{len(made):,} pictures: {_scores(made, pictures.truth)}"
    assert isinstance(trained.recipe, ImageRecipe)  # or it could not translate
    before = np.asarray(unscale(pictures.images, *trained.recipe.value_range))
    if before.shape[-1] not in (1, made.shape[-1]):
        return told
    before = np.broadcast_to(before, made.shape)
    return f"{told}; as they were: {_scores(before, pictures.truth)}"


def _scores(made: np.ndarray, truth: np.ndarray) -> str:
    scores = translating.score(made, truth)
    return f"L1 {scores['l1']:.4f}, PSNR {scores['psnr']:.2f} dB"
