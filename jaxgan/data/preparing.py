"""Brings a TFDS data set onto the disk, once.

TensorFlow is never imported here; data sets whose preparation needs it say so. TFDS takes a while
to import, and so is imported by the functions that use it.
"""

import contextlib
import difflib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jaxgan.util.errors import UserError

Builder = Any  # tensorflow_datasets.core.DatasetBuilder, whose own types promise too little

CATALOG = "https://www.tensorflow.org/datasets/catalog/overview"
ELSEWHERE = "choose another data directory with --data-dir or TFDS_DATA_DIR"


def data_directory(data_dir: str | None) -> Path:
    """Names the directory of prepared data sets: the one given, or else TFDS's default."""
    from tensorflow_datasets.core import constants

    return Path(data_dir or constants.get_default_data_dir()).expanduser().absolute()


def find(name: str, root: Path) -> Builder | None:
    """Looks for a data set that is already prepared; neither its code nor a network is needed.

    Args:
        name: NAME[/CONFIG][:VERSION].
        root: the directory of prepared data sets.

    Returns:
        A builder that can be read from, or None if there is none.

    Raises:
        UserError: the data set is there but damaged.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder

    try:
        return read_only_builder.builder_from_files(name, data_dir=os.fspath(root))
    except tfds.core.DatasetNotFoundError:
        return None
    except Exception as error:  # of JSON, protobuf or the file system
        cause = next((cause for cause in _chain(error) if isinstance(cause, OSError)), error)
        raise UserError(
            f"the data set {name} cannot be read ({brief(cause)}); "
            f"remove {root / _family(name)} to prepare it anew, or {ELSEWHERE}"
        ) from error


def declare(name: str, root: Path) -> Builder:
    """Finds the code that can prepare a data set.

    Args:
        name: NAME[/CONFIG][:VERSION].
        root: the directory of prepared data sets.

    Returns:
        A builder whose features are known, but whose data are not there yet.

    Raises:
        UserError: TFDS has no such data set, config or version.
    """
    import tensorflow_datasets as tfds

    import jaxgan.data.mnist.builder  # noqa: F401  makes it known to TFDS

    family, config = _family(name), name.split(":")[0].partition("/")[2]
    known = tfds.list_builders(with_community_datasets=False)
    here = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    if family not in known and family in here:
        found = ", ".join(sorted(path.name for path in (root / family).iterdir()))
        raise UserError(f"{root / family} has no {name}, only {found or 'nothing'}; name a config")
    if family not in known:
        raise UserError(f"there is no data set {name}; {_near(family, known + here)}")
    with _explained(name):
        configs = list(tfds.builder_cls(family).builder_configs)
        if config and config not in configs:
            raise UserError(f"{family} has no config {config}; {_near(config, configs)}")
        return tfds.builder(name, data_dir=os.fspath(root), file_format="array_record")


def prepare(builder: Builder, name: str, root: Path) -> Builder:
    """Downloads a data set and writes it to the disk.

    TFDS writes into a directory of another name and renames it at the end, so that an interrupted
    preparation leaves no data set behind, and the next one starts over.

    Args:
        builder: from `declare`.
        name: NAME[/CONFIG][:VERSION].
        root: the directory of prepared data sets.

    Returns:
        A builder that can be read from.

    Raises:
        UserError: the directory cannot be written to, there is no network, TensorFlow or another
            package is needed, or whatever else TFDS reports.
    """
    import tensorflow_datasets as tfds

    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {root} ({error.strerror}); {ELSEWHERE}") from error
    with _explained(name):
        _check_network(builder, root / "downloads")
        print(f"Preparing {builder.info.full_name} (once, into {root})...", file=sys.stderr)
        # Bars are for downloads, and for somebody who sees them.
        tfds.display_progress_bar(bool(builder.url_infos) and sys.stderr.isatty())
        try:
            builder.download_and_prepare()
        except OSError:
            if find(name, root) is None:  # else another process was there first
                raise
        finally:
            tfds.display_progress_bar(True)
    prepared = find(name, root)
    if prepared is None:  # TFDS takes any directory of this name for a prepared data set
        raise UserError(f"{builder.data_dir} holds no data set; remove it to prepare {name} anew")
    return prepared


def brief(error: BaseException) -> str:
    """Puts an error of another package on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "..."


def _family(name: str) -> str:
    return re.split("[/:]", name)[0]


def _near(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"see {CATALOG}"


def _check_network(builder: Builder, downloads: Path) -> None:
    """Says at once that there is no network, where TFDS would try again for minutes."""
    import requests

    url = next((url for url in builder.url_infos or {} if url.startswith("http")), None)
    if url is None or builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return
    notes = [*downloads.glob("*.INFO"), *downloads.glob("*/*.INFO")]  # one beside each download
    if not any(url in note.read_text() for note in notes):
        requests.head(url, timeout=10)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns what TFDS, or a data set's own code, raises into a UserError; drops what it prints."""
    import requests

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except UserError:
        raise
    except Exception as error:  # a data set's own code raises what it likes
        causes = list(_chain(error))
        for cause in causes:
            if isinstance(cause, requests.ConnectionError | requests.Timeout):
                host = urlsplit(cause.request.url).hostname if cause.request else "the server"
                raise UserError(
                    f"no network: {host} cannot be reached to download {name}; "
                    "connect, or copy the prepared data set into the data directory"
                ) from error
        for cause in causes:
            if isinstance(cause, ImportError) and cause.name:
                package = cause.name.split(".")[0]
                what = "'jaxgan[tf]'" if package == "tensorflow" else package
                raise UserError(
                    f"to prepare {name}, TFDS needs {package}: pip install {what}"
                ) from error
        raise UserError(f"TFDS cannot prepare {name}: {brief(error)}") from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
