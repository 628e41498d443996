import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from runs import TINY, assert_refused, process

from jaxgan.devices import startup
from jaxgan.util.errors import UserError

QUICK = [*TINY["pattern_1010"], "--steps", "4"]


@pytest.fixture
def caches(tmp_path, monkeypatch) -> Path:
    """An empty cache directory of the user's, and no other told to JAX."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches"


def compiled(caches: Path) -> set[str]:
    return {path.name for path in caches.glob("jaxgan/compiled/*/*-cache")}


@pytest.mark.slow
def test_a_second_start_compiles_nothing_anew_and_computes_the_same(here, caches):
    digests = []
    for run in ("a", "b"):
        assert process("train", "pattern_1010", *QUICK, "--out", run).status == 0
        digests.append((here / run / "metrics.jsonl").read_text().split('"digest"')[1][:30])
        found = compiled(caches)
        assert len(found) > 5
        first = found if run == "a" else first
    assert found == first
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_a_cache_that_cannot_be_made_is_done_without(here, caches):
    caches.write_text("no directory")
    done = process("train", "pattern_1010", *QUICK, "--out", "run")
    assert done.status == 0, done.err
    assert "Warning" not in done.err


def test_without_a_home_directory_there_is_no_cache(here, caches, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where HOME is not set
    before = jax.config.values["jax_compilation_cache_dir"]
    startup.cache_compilations()
    assert jax.config.values["jax_compilation_cache_dir"] == before
    assert not any(here.iterdir())


@pytest.mark.parametrize("words", ["info", "train pattern_1010 --steps 1 --out run"])
def test_devices_that_there_are_not_get_one_line(words, here, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "nosuch")
    done = process(*words.split())
    assert_refused(done, r"JAX finds no devices of JAX_PLATFORMS='nosuch' \(.*\): unset it, or")
    assert not (here / "run").exists()


@pytest.mark.slow
def test_a_cache_that_jax_was_told_of_is_used(here, caches, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(here / "own"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    assert process("train", "pattern_1010", *QUICK, "--out", "run").status == 0
    assert not compiled(caches)
    assert list((here / "own").glob("*-cache"))


def test_determinism_is_asked_of_xla_once_beside_other_flags(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    assert not startup.is_deterministic()
    for _ in range(2):
        startup.be_deterministic()
        assert startup.is_deterministic()
        expected = "--xla_cpu_enable_fast_math=false --xla_gpu_deterministic_ops=true"
        assert os.environ["XLA_FLAGS"] == expected


LOOP = """
import jax, jax.numpy as jnp
from jaxgan.devices import startup
from jaxgan.util.errors import UserError
for _ in range({times}):
    startup.compile_small_loops_whole()
turn = lambda i, x: jnp.tanh(jnp.full((3, 3), 0.5) @ x)
loop = jax.jit(lambda n, x: jax.lax.fori_loop(0, n, turn, x))
print(loop.lower(9, jnp.ones((3, 1))).compile().as_text().count("xla_cpu_small_call"))
import os
print(os.environ["XLA_FLAGS"])
"""


@pytest.mark.parametrize(
    ("flags", "times", "calls", "after"),
    [
        ("--xla_cpu_enable_fast_math=false", 2, 1, " --xla_backend_extra_options=xla_cpu_small_w"),
        pytest.param(
            "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=0",
            *(1, 0, ""),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_small_loops_are_one_function_unless_xla_is_told_otherwise(flags, times, calls, after):
    done = subprocess.run(
        [sys.executable, "-c", LOOP.format(times=times)],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_ENABLE_COMPILATION_CACHE": "false"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found, told = done.stdout.splitlines()
    assert int(found) == calls
    assert told.startswith(flags + after) and told.count("extra_options") == 1


def test_flags_in_a_file_stay_there(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "flags.txt")
    startup.compile_small_loops_whole()
    assert os.environ["XLA_FLAGS"] == "flags.txt"
    with pytest.raises(UserError, match="file: write --xla_gpu_deterministic_ops=true into it"):
        startup.be_deterministic()


@pytest.mark.slow
def test_commands_have_small_loops_compiled_whole(here, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    done = process("train", "pattern_1010", *QUICK, "--out", "run")
    assert done.status == 0, done.err
    told = json.loads((here / "run" / "config.json").read_text())["device"]["xla_flags"]
    assert told == "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=32768"


@pytest.mark.slow
def test_a_deterministic_run_says_so_and_is_verified_as_one(here):
    done = process("train", "pattern_1010", *QUICK, "--out", "run", "--deterministic")
    assert done.status == 0, done.err
    assert '"deterministic": true' in (here / "run" / "config.json").read_text()
    again = process("verify", "run")
    assert (again.status, again.out) == (0, "reproduced: 1 of 1 points\n")


def test_a_process_gets_as_many_virtual_devices_as_it_asks_for():
    program = "from jaxgan.devices import startup; startup.use_devices(3)\nimport jax; "
    program += "print(jax.device_count()); startup.use_devices(5); print(jax.device_count())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["3", "3"]  # once JAX runs, it keeps what it has
