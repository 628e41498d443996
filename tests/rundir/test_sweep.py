from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import pytest
from msgspec import Meta

from jaxgan.recipes.mnist_mlp import MnistMlp
from jaxgan.recipes.mnist_restore import MnistRestore
from jaxgan.recipes.pattern_1010 import Pattern1010
from jaxgan.rundir.sweep import EACH, Members, choose, numeric
from jaxgan.util.errors import UserError


def test_every_setting_has_the_same_seeds():
    members = Members(6, {"learning_rate": (0.1, 0.2), "beta1": (0.5,)})
    assert members.settings == [
        {"learning_rate": 0.1, "beta1": 0.5},
        {"learning_rate": 0.2, "beta1": 0.5},
    ]
    assert members.seeds(7) == [7, 8, 9, 7, 8, 9]
    assert members.values() == {"learning_rate": [0.1] * 3 + [0.2] * 3, "beta1": [0.5] * 6}
    assert [members.setting_of(k)["learning_rate"] for k in range(6)] == [0.1] * 3 + [0.2] * 3


def test_without_a_sweep_members_differ_in_their_seeds():
    members = Members(3)
    assert (members.settings, members.values(), members.seeds(1)) == ([{}], {}, [1, 2, 3])


def test_a_count_that_settings_do_not_divide_is_refused_with_the_next_that_they_do():
    with pytest.raises(UserError, match="5 members .* 2 settings: choose --members 6"):
        Members(5, {"beta1": (0.1, 0.2)})


@pytest.mark.parametrize("bad", [{"count": 0}, {"count": -1}, {"count": 3, "at_once": 0}])
def test_numbers_out_of_range_are_refused(bad):
    with pytest.raises(UserError, match="must be from 1 to"):
        Members(**bad)


def test_what_a_command_line_asks_for():
    def asked(count=None, words=(), at_once=None, before=None):
        return choose(count, words, at_once, MnistMlp, before)

    assert asked() == Members(EACH)
    assert asked(words=["lr=1e-4,2e-4"]) == Members(2 * EACH, {"learning_rate": (1e-4, 2e-4)})
    both = asked(4, ["learning-rate=1,2", "beta1=0.5,0"], 2)
    assert both == Members(4, {"learning_rate": (1.0, 2.0), "beta1": (0.5, 0.0)}, 2)
    assert asked(before=both) == both
    assert asked(8, before=both) == Members(8, both.sweep, 2)
    with pytest.raises(UserError, match="members must be from 1 to"):
        asked(0, before=both)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lr"], "cannot read the sweep 'lr'"),
        (["lr="], "cannot read"),
        (["lr=1,"], "cannot read"),
        (["lr=a"], "cannot read"),
        (["beta=1"], "cannot sweep 'beta': choose beta[12] or beta"),
        (["batch_size=1,2"], "cannot sweep 'batch_size': .*train a population for each value"),
        (["lr=1,1"], "twice"),
        (["lr=1", "learning_rate=2"], "twice"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(words, told):
    with pytest.raises(UserError, match=told):
        choose(None, words, None, MnistMlp, None)


@dataclass(frozen=True, kw_only=True)
class Kinds(Pattern1010):
    name: ClassVar[str] = "kinds"
    plain: float = -1.0
    ranged: Annotated[float, Meta(ge=-1)] = 0.0
    maybe: float | None = None
    several: tuple[float, ...] = (1.0,)


def test_real_numbers_can_be_swept():
    assert numeric(Kinds) == ["learning_rate", "plain", "ranged"]
    assert {"learning_rate", "beta1", "slope"} <= set(numeric(MnistMlp))
    assert not {"batch_size", "data", "steps", "grid"} & set(numeric(MnistMlp))
    # All members see the same data.
    assert "jitter" not in numeric(MnistRestore) and "l1_weight" in numeric(MnistRestore)


def test_values_of_numpy_become_numbers_that_json_holds():
    members = Members(4, {"beta1": tuple(np.geomspace(0.1, 0.2, 2))})
    (values,) = members.sweep.values()
    assert [type(value) for value in values] == [float, float]
    assert msgspec.json.decode(msgspec.json.encode(members))["count"] == 4
    assert msgspec.json.decode(msgspec.json.encode(members)).keys() == {"count", "sweep", "at_once"}
