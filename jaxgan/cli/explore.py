"""`jaxgan explore`: from its options to a page in which a generator runs."""

from jaxgan.cli.options import Explore
from jaxgan.cli.outputs import check_file
from jaxgan.pretrained import place_beside
from jaxgan.report.page import EXPLORER, renew_report
from jaxgan.rundir import loading
from jaxgan.util.errors import UserError
from jaxgan.util.files import naming


def explore(options: Explore) -> str:
    """Writes the page of a run, and a link to it into the report of the run.

    Args:
        options: of the command.

    Returns:
        What to tell: where the page is, how large it is, and what it cannot do.

    Raises:
        UserError: if the run cannot be loaded or explored, or `options.out` is something else.
    """
    from jaxgan.explorer.page import is_free, write_folder, write_page
    from jaxgan.explorer.program import program  # which asks for the extra

    name = "explorer" if options.folder else EXPLORER
    out = options.out or place_beside(options.run) / name
    with naming(out, missing=True):
        if options.folder and out.exists() and not is_free(out):
            raise UserError(f"{out} exists and is no explorer: choose another --out")
        if not options.folder:
            check_file(out)
        trained = loading.load(options.run, options.step, options.member, best=options.best)
        made = program(trained, options.data_dir)
        (write_folder if options.folder else write_page)(out, made)
    if out.resolve() == (options.run / EXPLORER).resolve():
        renew_report(options.run)
    page = out / "index.html" if options.folder else out
    size = sum(x.stat().st_size for x in (out.iterdir() if options.folder else [out])) / 1e6
    lines = [f"{page} ({size:.1f} MB)"]
    if made.about["no_search"]:
        lines.append(f"without painting: {made.about['no_search']}")
    return "\n".join(lines)
