"""Prepares a TFDS data set on the disk, once.

TensorFlow is never imported here; data sets whose preparation needs it say so. TFDS is imported in
the functions that use it, because that takes a while.
"""

import contextlib
import difflib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jaxgan.data.failures import system_failures
from jaxgan.util.errors import UserError
from jaxgan.util.files import expanded

Builder = Any  # tensorflow_datasets.core.DatasetBuilder, whose own types are too vague

# What prepares the data sets that come with the package: this version of jaxgan.data.NAME.builder.
BUILDERS = {
    "faces": "jaxgan_faces:1.0.0",
    "mnist": "jaxgan_mnist:1.0.0",
    "openmoji": "jaxgan_openmoji:1.0.0",
}
INFO = "dataset_info.json"  # that TFDS writes beside the records
CATALOG = "https://www.tensorflow.org/datasets/catalog/overview"
ELSEWHERE = "choose another data directory with TFDS_DATA_DIR, or --data-dir where there is one"


def data_directory(data_dir: str | None) -> Path:
    """Returns the directory of prepared data sets: the one given, or TFDS's default."""
    from tensorflow_datasets.core import constants

    return expanded(data_dir or constants.get_default_data_dir()).absolute()


def find(name: str, root: Path) -> Builder | None:
    """Looks for a prepared data set; needs neither its code nor a network.

    Args:
        name: NAME[/CONFIG][:VERSION].
        root: the directory of prepared data sets.

    Returns:
        A builder to read from, or None if there is none.

    Raises:
        UserError: if the data set is damaged, or cannot be read.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder

    family = root / _family(name)
    way_out = f"move {family} away to prepare it anew, or {ELSEWHERE}"
    with _description(name, family, way_out):
        try:
            return read_only_builder.builder_from_files(name, data_dir=os.fspath(root))
        except tfds.core.DatasetNotFoundError:
            return None


def find_at(path: Path) -> Builder:
    """Opens the directory of a prepared data set, such as one of a version.

    Args:
        path: of the directory that holds dataset_info.json.

    Returns:
        A builder to read from.

    Raises:
        UserError: if there is none, or the data set is damaged or cannot be read.
    """
    import tensorflow_datasets as tfds

    path = expanded(path).absolute()
    if not (path / INFO).is_file():
        raise UserError(
            f"{path} is not a prepared data set: it has no {INFO}; name the directory of a version"
        )
    with _description(str(path), path, "make it again"):
        return tfds.builder_from_directory(os.fspath(path))


@contextlib.contextmanager
def _description(name: str, directory: Path, way_out: str) -> Iterator[None]:
    """Explains errors that TFDS raises as it reads the description of a data set."""
    from google.protobuf import json_format

    try:
        yield
    except Exception as error:  # TFDS wraps the errors of JSON, protobuf and the system
        causes = list(chain_of_causes(error))
        system = (cause for cause in causes if isinstance(cause, OSError | MemoryError))
        cause = next(system, causes[-1])
        # Descriptions that are missing or cannot be parsed.
        if isinstance(cause, FileNotFoundError | ValueError | KeyError | json_format.Error):
            raise UserError(
                f"the description of {name} is damaged ({brief(cause)}); {way_out}"
            ) from error
        with system_failures(directory):
            raise cause from None


def declare(name: str, root: Path) -> Builder:
    """Finds the code that prepares a data set.

    Args:
        name: NAME[/CONFIG][:VERSION].
        root: the directory of prepared data sets.

    Returns:
        A builder whose features are known, and whose data are yet to be prepared.

    Raises:
        UserError: if TFDS has no such data set, config or version.
    """
    import tensorflow_datasets as tfds

    for ours in BUILDERS:
        import_module(f"jaxgan.data.{ours}.builder")  # which registers with TFDS
    family, config = _family(name), name.split(":")[0].partition("/")[2]
    known = tfds.list_builders(with_community_datasets=False)
    here = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    if family not in known and family in here:
        found = ", ".join(sorted(path.name for path in (root / family).iterdir()))
        raise UserError(f"{root / family} has no {name}, only {found or 'nothing'}; name a config")
    if family not in known:
        raise UserError(f"there is no data set {name}; {_near(family, known + here)}")
    with _explained(name, root):
        configs = list(tfds.builder_cls(family).builder_configs)
        if config and config not in configs:
            raise UserError(f"{family} has no config {config}; {_near(config, configs)}")
        return tfds.builder(name, data_dir=os.fspath(root), file_format="array_record")


def prepare(builder: Builder, name: str, root: Path) -> Builder:
    """Downloads a data set and writes it to the disk.

    TFDS writes to a temporary directory and renames it at the end, so an interrupted preparation
    leaves no partial data set, and the next one starts over.

    Args:
        builder: from `declare`.
        name: NAME[/CONFIG][:VERSION].
        root: the directory of prepared data sets.

    Returns:
        A builder to read from.

    Raises:
        UserError: if the directory cannot be written to, there is no network, a package such as
            TensorFlow is missing, or TFDS fails otherwise.
    """
    import tensorflow_datasets as tfds

    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {root} ({error.strerror}); {ELSEWHERE}") from error
    with _explained(name, root):
        _check_network(builder, root / "downloads")
        print(f"Preparing {builder.info.full_name} (once, into {root})...", file=sys.stderr)
        # Progress bars only for downloads, and only on a terminal.
        tfds.display_progress_bar(bool(builder.url_infos) and sys.stderr.isatty())
        try:
            builder.download_and_prepare()
        except OSError:
            if find(name, root) is None:  # else another process was faster
                raise
        finally:
            tfds.display_progress_bar(True)
    prepared = find(name, root)
    if prepared is None:  # TFDS takes any directory of this name for a prepared data set
        raise UserError(f"{builder.data_dir} holds no data set; move it away to prepare {name}")
    return prepared


def brief(error: BaseException) -> str:
    """Formats an error of another package on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:300] + "..."


def _family(name: str) -> str:
    return re.split("[/:]", name)[0]


def _near(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"see {CATALOG}"


def _check_network(builder: Builder, downloads: Path) -> None:
    """Fails at once if there is no network, whereas TFDS would retry for minutes."""
    import requests

    url = next((url for url in builder.url_infos or {} if url.startswith("http")), None)
    if url is None or builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return
    notes = [*downloads.glob("*.INFO"), *downloads.glob("*/*.INFO")]  # one for each download
    if not any(url in note.read_text() for note in notes):
        requests.head(url, timeout=10)


@contextlib.contextmanager
def _explained(name: str, root: Path) -> Iterator[None]:
    """Turns errors of TFDS and of a data set's code into UserErrors; hides what they print."""
    import requests

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except UserError:
        raise
    except Exception as error:  # a data set's code may raise anything
        causes = list(chain_of_causes(error))
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
        raise UserError(f"TFDS cannot prepare {name} in {root}: {brief(error)}") from error


def chain_of_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Goes through an error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
