"""The comparison of methods on points, for some steps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "mode_coverage.py"


def compare(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_methods_are_compared_over_seeds(here):
    words = "--sets ring --methods packing2 wgan_gp --seeds 2 --steps 1000".split()
    done = compare(*words, "--batch-size", "16", "--first-seed", "3")
    assert done.returncode == 0, done.stderr
    _, _, *rows = done.stdout.splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["ring, packing2", "ring, wgan_gp"]
    told = json.loads((here / "mode_coverage.json").read_text())
    assert (told["about"]["seeds"], told["about"]["fields"]["batch_size"]) == ([3, 4], 16)
    for row, figures in zip(rows, told["figures"], strict=True):
        assert min(figures["found"]) >= 2
        assert max(figures["reverse_kl"]) < 1  # of points in one mode it is 2.1
        assert f"| {sum(figures['found']) / 2:.1f} ±" in row


@pytest.mark.slow
def test_the_best_method_finds_all_modes(here):
    words = "--sets ring --methods r3gan_resnet --seeds 4 --steps 2000"  # a fifth of its length
    assert (done := compare(*words.split())).returncode == 0, done.stderr
    (figures,) = json.loads((here / "mode_coverage.json").read_text())["figures"]
    assert min(figures["found"]) == 8
    assert min(figures["high_quality"]) > 0.85  # 0.90 to 0.93


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["--methods nope", pytest.param("--sets square", marks=pytest.mark.slow)]
)
def test_unknown_names_are_told(words, here):
    done = compare(*words.split())
    assert done.returncode == 1
    assert "choose from ring, grid; plain" in done.stderr
    assert not any(here.iterdir())
