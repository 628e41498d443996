"""The runtime that pages are made with."""

import hashlib
import re

from jaxgan.explorer.page import RUNTIME, SCRIPT, runtime


def test_the_runtime_is_what_its_readme_says():
    told = dict(
        re.findall(r"^([0-9a-f]{64})  (\S+)$", (RUNTIME / "README.md").read_text(), re.MULTILINE)
    )
    found = {hashlib.sha256(data).hexdigest(): name for name, data in runtime().items()}
    assert found == told
    assert "MIT License" in (RUNTIME / "LICENSE").read_text()


def test_the_script_can_stand_in_a_page():
    assert "</script" not in SCRIPT.read_text("utf-8")
