"""Plain data, as JSON holds it, made into values of Python types: msgspec, with errors in words."""

import re
from functools import reduce
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from jaxgan.util.errors import UserError

T = TypeVar("T")

SHOWN = 50  # characters of a value in a message
_WORDS = {  # msgspec's names of types
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "none",
    "object": "a set of names and values",
    "str": "text",
}


def convert(value: Any, kind: Any, name: str) -> Any:
    """Converts a value to a type: lists to tuples, for example; most values stay as they are.

    Args:
        value: plain data, or values of the type already.
        kind: what msgspec understands; `Annotated[float, msgspec.Meta(gt=0)]` for a range.
        name: of the value, for messages.

    Returns:
        The value as it is of the type.

    Raises:
        UserError: if it cannot be; names the value, the part of it that is wrong, and the type.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if get_origin(kind) is Literal:
            choices = ", ".join(map(str, get_args(kind)))
            raise UserError(f"{name} must be one of {choices}, not {shown(value)}") from None
        raise UserError(_told(error, name, value)) from None


def decode(data: bytes, kind: type[T]) -> T:
    """Decodes JSON, as `convert` converts.

    Raises:
        UserError: if it is not JSON, or not of the type.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise UserError("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(_told(error)) from None


def shown(value: Any) -> str:
    """Writes a value as Python does, but never more than a few words of it."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _told(error: Exception, name: str = "", value: Any = msgspec.UNSET) -> str:
    """Rewords an error of msgspec, of a named value if it is at hand."""
    message, _, path = str(error).partition(" - at `$")
    path = path.removesuffix("`")
    name = f"{name}{path}".removeprefix(".")
    indices = re.findall(r"\[(\d+)\]", path)
    if path == "".join(f"[{index}]" for index in indices) and value is not msgspec.UNSET:
        value = reduce(lambda values, index: values[int(index)], indices, value)
    else:
        value = msgspec.UNSET
    if match := re.fullmatch(r"Expected (.*?)(?:, got (.*))?", message):
        expected, got = (re.sub(r"`(.*?)`", _in_words, part or "") for part in match.groups())
        got = got if value is msgspec.UNSET else shown(value)
        return f"{name or 'it'} must be {expected}" + (f", not {got}" if got else "")
    return f"{name}: {message[:1].lower()}{message[1:]}".removeprefix(": ")


def _in_words(match: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(kind, kind) for kind in match[1].split(" | "))
