"""`jaxgan evaluate`: from its options to a table, and an entry of evaluation.json."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxgan import evaluation, rundir
from jaxgan.cli.options import Evaluate
from jaxgan.evaluation import finished
from jaxgan.evaluation.evaluator import MOST
from jaxgan.evaluation.protocols import PUBLISHED
from jaxgan.features import Extractor
from jaxgan.pretrained import place_beside
from jaxgan.report.page import renew_report
from jaxgan.report.pictures import nearest_grid, save_png
from jaxgan.report.versions import Row, versions_page
from jaxgan.training.progress import Progress
from jaxgan.util.errors import UserError
from jaxgan.util.files import write_atomically
from jaxgan.util.parsing import shown

NUM = 10_000  # samples in a draw, by default


def evaluate(options: Evaluate, command: str) -> str:
    """Evaluates a run, and shows it on the page of the run.

    Args:
        options: of the command.
        command: as it was typed.

    Returns:
        The table and the protocol; where copies are looked for, with the path of a picture.

    Raises:
        UserError: if an option or the run does not suit; then nothing is written.
    """
    place = place_beside(options.run)
    found = _measure(options)
    if options.step is None and not rundir.is_bundle(options.run):
        command += f" --step {found.record['step']}"
    rundir.add_evaluation(place, {**found.record, "command": command})
    renew_report(options.run)
    nearest = found.nearest and found.nearest()
    if nearest is None:
        return found.text.rstrip()
    save_png(nearest_grid(nearest["features"]), place / "nearest.png")
    path = place / "nearest.html"
    write_atomically(path, _nearest_page(options.run.name, found.record, nearest).encode())
    return f"{found.text}{path}"


def _nearest_page(name: str, record: Mapping[str, Any], nearest: Mapping[str, np.ndarray]) -> str:
    """Shows samples beside the training pictures that are nearest to them."""
    by_features, by_pixels = nearest["features"], nearest["pixels"]
    count = by_features.shape[1] - 1
    columns = ["sample", *["by features"] * count, *["by pixels"] * count]
    rows = [
        Row(f"sample {number}", "", np.concatenate([own, pixels[1:]]))
        for number, (own, pixels) in enumerate(zip(by_features, by_pixels, strict=True), 1)
    ]
    facts = {"Run": name, "Step": f"{record['step']:,}"}
    facts |= {
        result["metric"]: f"{result['value']:.4g} (of held-out examples: {result['floor']:.4g})"
        for result in record["results"]
        if result["metric"] in ("authenticity", "c_t", "distance_ratio")
    }
    facts["Order"] = "from the sample nearest to the training set, by features, to the farthest"
    return versions_page(
        "Samples and the training pictures nearest to them", facts, None, columns, rows
    )


def _measure(options: Evaluate) -> finished.Evaluation:
    """Evaluates, with a progress bar."""
    began = time.monotonic()
    shown_now: Progress | None = None

    def tell(done: int, total: int) -> None:
        nonlocal shown_now
        shown_now = shown_now or Progress(total, 0)
        shown_now.update(done, {}, done / (time.monotonic() - began))

    try:
        return finished.evaluate(
            options.run,
            step=options.step,
            member=options.member,
            best=options.best,
            draws=options.draws,
            **_protocol(options),
            held_out=options.held_out,
            seed=options.seed,
            data_dir=options.data_dir,
            tell=tell,
        )
    finally:
        if shown_now is not None:
            shown_now.close()


def _protocol(options: Evaluate) -> dict[str, Any]:
    """Chooses samples, reference, features and metrics: a published protocol's, or one's own."""
    if options.protocol is None:
        return {
            "num": NUM if options.num is None else options.num,
            "names": None if options.metrics is None else options.metrics.split(","),
            "extractor": _extractor(options.features),
        }
    if options.protocol not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise UserError(f"no protocol {shown(options.protocol)}: choose from {known}")
    own = {"--num": options.num, "--metrics": options.metrics, "--features": options.features}
    given = [name for name, value in own.items() if value is not None]
    if given:
        raise UserError(f"--protocol says what {given[0]} would: leave one of them out")
    chosen = PUBLISHED[options.protocol]
    return {
        "num": chosen.generated,
        "reference": chosen.reference or MOST,
        "how": chosen.settings,
        "names": chosen.metrics,
        "extractor": chosen.extractor(),
    }


def _extractor(name: str | None) -> Extractor | None:
    if name is None:
        return None
    if name not in evaluation.EXTRACTORS:
        known = " or ".join(evaluation.EXTRACTORS)
        raise UserError(f"--features must be {known}, not {shown(name)}")
    return evaluation.EXTRACTORS[name]()
