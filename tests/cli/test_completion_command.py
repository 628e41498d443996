"""The script that completes command lines, asked as a shell asks it."""

import shutil
import subprocess

import pytest
from runs import command

ASK = """
source jaxgan.sh
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_tyro_jaxgan
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script() -> str:
    done = command("completion", "bash")
    assert (done.status, done.err) == (0, "")
    return done.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("jaxgan tr", ["train", "translate"]),
        ("jaxgan comp", ["compare", "completion"]),
        ("jaxgan train pattern", ["pattern_1010"]),
        ("jaxgan train mnist_mlp --out runs/x --learn", ["--learning-rate"]),
        ("jaxgan train mnist_mlp --dtype b", ["bfloat16"]),
        ("jaxgan population mnist_mlp --mem", ["--members"]),
        ("jaxgan sample runs/x --lab", ["--label"]),
        ("jaxgan features import-c", ["import-clip"]),
    ],
)
def test_a_shell_completes(words, completed, script, tmp_path):
    (tmp_path / "jaxgan.sh").write_text(script)
    ask = ["bash", "-c", ASK, "bash", *words.split()]
    done = subprocess.run(ask, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines() == completed, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(shell):
    done = command("completion", shell)
    assert (done.status, done.err) == (0, "")
    assert "mnist_mlp" in done.out


def test_an_unknown_shell_is_refused():
    done = command("completion", "ksh")
    assert (done.status, done.out) == (2, "")
    assert "shell must be one of bash, zsh, fish, not 'ksh'" in done.err
