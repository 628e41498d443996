from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from jaxgan.util.errors import UserError
from jaxgan.util.parsing import SHOWN, convert, decode

Count = Annotated[int, Meta(ge=1)]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, float, 3.0),
        (-0.5, float, -0.5),
        (None, Count | None, None),
        ([1, 2], tuple[int, int], (1, 2)),
        ((), tuple[float, ...], ()),
        ([[1, 2], [3, 4]], tuple[tuple[float, float], ...], ((1.0, 2.0), (3.0, 4.0))),
        ("a", Literal["a", "b"], "a"),
    ],
)
def test_values_of_a_type_are_converted(value, kind, expected):
    found = convert(value, kind, "x")
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        ("fast", float, "x must be a number, not 'fast'"),
        (True, float, "x must be a number, not True"),
        (True, int, "x must be a whole number, not True"),
        (2.0, int, "x must be a whole number, not 2.0"),
        (0, Count, "x must be a whole number >= 1, not 0"),
        ("x", Count | None, "x must be a whole number or none, not 'x'"),
        (3, str, "x must be text, not 3"),
        (1, bool, "x must be true or false, not 1"),
        ((2,), tuple[int, int], "x must be a list of length 2, not (2,)"),
        ((8, None), tuple[int, ...], "x[1] must be a whole number, not None"),
        (
            ((1, 2), (3, "y")),
            tuple[tuple[int, int], ...],
            "x[1][1] must be a whole number, not 'y'",
        ),
        ({"a": "y"}, dict[str, int], "x[...] must be a whole number, not text"),
        ("c", Literal["a", "b"], "x must be one of a, b, not 'c'"),
        (10**400, float, "x: number out of range"),
    ],
)
def test_other_values_are_named_with_the_part_that_is_wrong(value, kind, told):
    with pytest.raises(UserError) as error:
        convert(value, kind, "x")
    assert str(error.value) == told


def test_long_values_are_cut():
    with pytest.raises(UserError) as error:
        convert("9" * 5000, int, "x")
    assert len(str(error.value)) < SHOWN + 50


class Numbers(Struct):
    few: list[int]
    rest: Any = None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"few": [1, "y"]}', "few[1] must be a whole number, not text"),
        (b'{"few": [' + b"9" * 5000 + b"]}", "few[0]: integer value out of range"),
        (b'{"few": [], "rest": ' + b"[" * 10**5, "it is nested too deeply"),
        (b"{}", "object missing required field `few`"),
        (b"[]", "it must be a set of names and values, not a list"),
        (b'{"few": [', "input data was truncated"),
    ],
)
def test_what_cannot_be_decoded_is_told_in_a_line(data, told):
    assert decode(b'{"few": [1], "rest": {"a": null}}', Numbers) == Numbers([1], {"a": None})
    with pytest.raises(UserError) as error:
        decode(data, Numbers)
    assert str(error.value) == told
