"""The README's Python runs as printed, and its table lists every recipe."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxgan
from jaxgan.recipes import recipes

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_python_code_runs_as_printed():
    own, critic, many, mapped, recipe = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(own, names)
    assert names["images"].shape == (16, 28, 28, 1)
    assert names["state"].step == 1
    assert {"loss_d", "loss_g"} <= names["metrics"].keys()
    plain = names["state"]

    exec(critic, names)
    step = jaxgan.make_step(names["update"])
    state, metrics = jax.eval_shape(step, names["state"], names["batch"], names["key"])
    assert {"loss_d", "penalty", "loss_g"} <= metrics.keys()
    assert "average" in state.extra

    exec(many, names)
    assert names["states"].step.tolist() == [1] * 4
    assert names["metrics"]["loss_d"].shape == (4,)

    exec(mapped, names)
    both = jax.tree.map(lambda x: jnp.stack([x, x]), plain)
    halves = {"image": names["batch"]["image"].reshape(2, 64, 28, 28, 1)}
    after, _ = names["step"](both, halves, names["key"])
    assert after.step.tolist() == [2, 2]

    exec(recipe, names)
    assert names["recipe"].learning_rate == 1e-4


def test_the_table_lists_every_recipe():
    for name, kind in recipes().items():
        assert f"| `{name}` |" in README or not kind.__module__.startswith("jaxgan.")
