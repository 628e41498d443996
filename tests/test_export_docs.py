"""The Python of docs/export.md runs as printed, where there is no jaxgan."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runs import command, copy

TEXT = (Path(__file__).parents[1] / "docs" / "export.md").read_text("utf-8")
WITHOUT = "import sys; sys.modules['jaxgan'] = sys.modules['flax'] = None\n"
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("code", CODE, ids=["stablehlo", "onnx"])
def test_the_code_runs_as_printed(code, whole_run, here):
    pytest.importorskip("onnxruntime", reason="pip install 'jaxgan[test]'")
    copy(whole_run("mnist_mlp"), here / "runs" / "long")
    for line in re.search(r"```bash\n(.*?)```", TEXT, re.DOTALL)[1].splitlines():  # pyright: ignore
        done = command(*line.split()[1:])
        assert done.status == 0, done.err
    program = f"{WITHOUT}{code}\nimport numpy\nnumpy.save('images', images)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.load("images.npy").shape == (16, 28, 28, 1)
