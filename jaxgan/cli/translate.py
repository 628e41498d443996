"""`jaxgan translate`: from its options to a folder of translated pictures and a page."""

import numpy as np

from jaxgan.cli.options import Translate
from jaxgan.cli.outputs import check_free, whole_folder
from jaxgan.data import unscale
from jaxgan.evaluation import translating
from jaxgan.keys import from_seed, stream
from jaxgan.pretrained import place_beside
from jaxgan.recipes import ImageRecipe
from jaxgan.report.pictures import picture, save_png
from jaxgan.report.versions import Row, versions_page
from jaxgan.rundir import loading
from jaxgan.util.files import make_folder, write_atomically


def translate(options: Translate) -> str:
    """Translates pictures, and writes them and a page into a folder.

    Args:
        options: of the command.

    Returns:
        What to tell: the page and, where the truth is known, how far the pictures are from it.

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
    check_free(out)
    made = translating.translate(trained, pictures, key, options.to)
    assert isinstance(trained.recipe, ImageRecipe)  # or it could not translate
    given = np.asarray(unscale(pictures.images, *trained.recipe.value_range))
    scores = _scores(made, given, pictures.truth)
    facts = {
        "Run": str(options.run),
        "Step": f"{int(trained.state.step):,}",
        "Input": options.input,
        "Pictures": f"{len(made):,}",
    }
    versions = {"input": given, "translated": made}
    versions |= {} if pictures.truth is None else {"truth": pictures.truth}
    in_color = [np.broadcast_to(x, (*x.shape[:3], 3)) for x in versions.values()]
    rows = [Row(name, "", x) for name, x in zip(pictures.names, np.stack(in_color, 1), strict=True)]
    table = (["", "L1", "PSNR, dB"], scores) if scores else None
    page = versions_page(f"{trained.recipe.name}, translated", facts, table, [*versions], rows)
    with whole_folder(out) as folder:
        for file, image in zip(pictures.names, made, strict=True):
            path = folder / (file if file.endswith(".png") else f"{file}.png")
            make_folder(path.parent)
            save_png(picture(image), path)
        write_atomically(folder / "index.html", page.encode())
    told = [f"{name}: L1 {l1}, PSNR {psnr} dB" for name, l1, psnr in scores]
    return "\n".join([str(out / "index.html"), *told])


def _scores(
    made: np.ndarray, given: np.ndarray, truth: np.ndarray | None
) -> list[tuple[str, str, str]]:
    """Measures how far pictures are from the truth, and how far they were before."""
    if truth is None:
        return []
    compared = {"translated": made}
    if given.shape[-1] in (1, truth.shape[-1]):
        compared["as they were"] = np.broadcast_to(given, truth.shape)
    scores = {name: translating.score(x, truth) for name, x in compared.items()}
    return [(name, f"{x['l1']:.4f}", f"{x['psnr']:.2f}") for name, x in scores.items()]
