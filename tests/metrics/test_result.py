import json
from dataclasses import FrozenInstanceError, replace

import pytest

from jaxgan.metrics import Interval, Protocol, Result
from jaxgan.metrics.result import from_dict
from jaxgan.util.errors import UserError

PROTOCOL = Protocol(
    generated=10_000,
    reference=60_000,
    data="mnist",
    split="train",
    resizing="none",
    features="digits",
    weights="0123456789abcdef0123",
    seed=7,
    settings={"k": 3, "kind": "usual"},
)
RESULT = Result("fid", 12.3456, PROTOCOL, Interval(12.1, 12.6, 0.95, "t of 5 draws"))
LINE = (
    "fid 12.346 [12.1, 12.6] (95%, t of 5 draws): 10000 generated, 60000 of mnist train, "
    "resizing none, features digits 0123456789ab, seed 7, k 3, kind usual"
)


def test_printing_shows_the_protocol_whatever_the_way():
    assert str(RESULT) == f"{RESULT}" == LINE
    assert f"{RESULT:.1f}" == LINE.replace("12.346", "12.3")
    for text in (repr(RESULT), f"{RESULT!r}", f"{[RESULT]}", "%s" % RESULT):  # noqa: UP031
        for part in ("12.3", "10000", "60000", "mnist", "train", "none", "digits", "0123456789ab"):
            assert part in text
    with pytest.raises(TypeError):
        float(RESULT)  # type: ignore


def test_without_an_interval_weights_or_settings():
    plain = Result("fid", 1.0, replace(PROTOCOL, weights=None, settings={}))
    assert str(plain) == (
        "fid 1: 10000 generated, 60000 of mnist train, resizing none, features digits, seed 7"
    )


@pytest.mark.parametrize("result", [RESULT, replace(RESULT, interval=None)])
def test_json_keeps_everything(result):
    assert from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result


def test_a_whole_number_is_a_value():
    assert from_dict(RESULT.to_dict() | {"value": 3}).value == 3


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        RESULT.value = 0.0  # type: ignore


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_no_result(value):
    with pytest.raises(UserError, match=f"fid is {value}: it could not be measured"):
        Result("fid", value, PROTOCOL)


def without(record: dict, name: str) -> dict:
    return {key: value for key, value in record.items() if key != name}


GOOD = RESULT.to_dict()


@pytest.mark.parametrize(
    "record, message",
    [
        (None, "Expected `object`, got `null`"),
        (without(GOOD, "value"), "missing required field `value`"),
        (GOOD | {"value": "12"}, r"Expected `float`, got `str` - at `\$.value`"),
        (GOOD | {"value": True}, r"Expected `float`, got `bool` - at `\$.value`"),
        (GOOD | {"interval": {"low": 1}}, r"missing .* at `\$.interval`"),
        (GOOD | {"protocol": without(GOOD["protocol"], "seed")}, "missing required field `seed`"),
        (GOOD | {"protocol": GOOD["protocol"] | {"settings": {"k": []}}}, r"\$.protocol.settings"),
    ],
)
def test_bad_records_are_refused(record, message):
    with pytest.raises(UserError, match=message):
        from_dict(record)
