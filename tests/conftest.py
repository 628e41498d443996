"""Settings of all tests: several virtual devices, a compilation cache, strict JAX.

And what tests of several rooms share: the beginning of MNIST, prepared once, and short runs of all
recipes.
"""

import atexit
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

# A job in the background of a script ignores Ctrl-C, and so would the processes that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Also for the processes that tests start.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / "jaxgan-test-cache")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# What is kept of real examples must not outlive the code that computed it.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="jaxgan-test-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
# Compiling takes most of the time of small tests. With 0, programs are as users get them, as the
# thorough tests need them: XLA without fusion emitters has made NaN of a vmapped gaussians_ring8.
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") != "0":
    os.environ["XLA_FLAGS"] = " ".join(
        [
            os.environ.get("XLA_FLAGS", ""),
            "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
        ]
    ).strip()

import jax  # noqa: E402  (reads the environment)
import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402

from jaxgan.devices import startup  # noqa: E402

startup.compile_small_loops_whole()  # as the commands do
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
assert jax.device_count() == 8  # and from here on, commands run in this process cannot change it


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drops the compiled programs of a file after it: all of them would take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def mnist_dir(tmp_path_factory) -> str:
    """A data directory in which the first 6,000 images of each split of MNIST are prepared.

    All of them would take half a minute to write and to decode; see `whole_mnist_dir`.
    """
    from jaxgan.data.mnist.builder import JaxganMnist

    generate = JaxganMnist._generate_examples
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            JaxganMnist, "_generate_examples", lambda *args: islice(generate(*args), 6000)
        )
        return _prepare(tmp_path_factory, "mnist")


@pytest.fixture(scope="session")
def whole_mnist_dir(tmp_path_factory) -> str:
    """A data directory in which all of MNIST is prepared."""
    return _prepare(tmp_path_factory, "whole-mnist")


def _prepare(tmp_path_factory, name: str) -> str:
    """Prepares MNIST, once for all workers."""
    from jaxgan.data.sources import open_source

    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{root}.lock"):
        open_source("mnist", image_size=None, default_size=28, data_dir=str(root))
    return str(root)


@pytest.fixture
def here(tmp_path, monkeypatch, mnist_dir) -> Path:
    """An empty working directory, where MNIST is at hand and runs end without a report.

    The report takes a third of the time of a short run.
    """
    monkeypatch.setattr("jaxgan.training.observers.write_report", lambda run: run)
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("TFDS_DATA_DIR", mnist_dir)
    return path


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, mnist_dir) -> Callable[[str], Path]:
    """Gives the directory of a recipe's 40-step run that never stopped; only to be read."""
    from runs import TINY, command

    from jaxgan.report.page import write_report

    made: dict[str, Path] = {}

    def make(recipe: str) -> Path:
        if recipe not in made:
            run = tmp_path_factory.mktemp("whole") / recipe
            words = [*TINY[recipe], "--steps", "40", "--out", str(run), "--data-dir", mnist_dir]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("jaxgan.training.observers.write_report", write_report)
                done = command("train", recipe, *words)
            assert done.status == 0, done.err
            made[recipe] = run
        return made[recipe]

    return make


def pytest_report_header() -> str | None:
    """Says so when tests are left out."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed: tests/parity is left out"
    return None
