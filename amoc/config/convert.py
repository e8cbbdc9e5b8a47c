"""Values to their declared types, strictly, and texts to values, leniently. Pure: no I/O.

A value that already has a type (from Python, TOML or a message) must have the right one: 5 is not text, true
is not a number; only an integer may stand for a float. A *text* is what the environment, a command line or a
template gives: it is JSON if it is JSON, `infinity` is a number, and otherwise it stands for itself; a list
may also be written as words between spaces or commas. Where text is not acceptable as it is, a text from any
source is read like this.

Every accepted value is plain data that fits msgpack: no NaN, integers of 64 bits, text that is valid Unicode.
"""

import math
import types
from collections.abc import Callable
from typing import Any, Literal, Union, final, get_args, get_origin

import msgspec

__all__ = [
    "Count",
    "check_plain",
    "check_type",
    "convert",
    "describe",
    "from_text",
    "plain",
    "show",
    "type_name",
]

MAX_SHOWN = 60  # characters of a value in an error: the message stays one line of a terminal
INT_RANGE = range(-(2**63), 2**64)  # what msgpack can carry

_SCALARS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@final
class Count:
    """The type of a setting whose value is a whole number >= 0 or `math.inf` (as text: `infinity`)."""

    def __init__(self) -> None:
        raise TypeError("Count is a type for Setting(…), its values are int or math.inf")


def check_type(kind: Any) -> None:
    """Raise ValueError if no setting can have this type."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in (*_SCALARS, Count, list, dict, None, types.NoneType):
        return
    if origin is Literal and all(isinstance(arg, str | int) for arg in args):
        return
    if origin is list or origin in (Union, types.UnionType):
        if Count in args:
            raise ValueError("Count cannot be part of another type")
        for arg in args:
            check_type(arg)
        return
    if origin is dict and args[0] is str:
        check_type(args[1])
        return
    raise ValueError(
        f"{type_name(kind)} cannot be the type of a setting: use int, float, bool, str, Count, list[…], "
        "dict[str, …], Literal[…] or X | None"
    )


def convert(kind: Any, value: Any) -> Any:
    """`value` as the declared type; raises ValueError saying what was expected."""
    try:
        return _strictly(kind, value)
    except ValueError:
        if not isinstance(value, str):
            raise
        return from_text(kind, value)


def from_text(kind: Any, text: str) -> Any:
    """A text of the environment or a command line as the declared type; raises ValueError."""
    for read in _READINGS:
        try:
            return _strictly(kind, read(kind, text))
        except ValueError:
            continue
    raise ValueError(f"expected {describe(kind)}, got {show(text)}")


def describe(kind: Any) -> str:
    """What a value of this type is, for an error: `a list of text`."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Count:
        return "a whole number >= 0 or infinity"
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind in (None, types.NoneType):
        return "null"
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (Union, types.UnionType):
        return " or ".join(map(describe, args))
    if origin is list:
        return f"a list (each item {describe(args[0])})"
    if origin is dict:
        return f"a table (each value {describe(args[1])})"
    return "a list" if kind is list else "a table"


def type_name(kind: Any) -> str:
    """The type as one writes it: `list[str]`, `int | None`, `Count`."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")


def plain(value: Any) -> Any:
    """The value as JSON can carry it: tuples as lists, infinity as a text that `convert` reads for a number."""
    if isinstance(value, float) and math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def show(value: Any) -> str:
    """The value as an error shows it: one line, not too long."""
    text = "infinity" if value == math.inf else repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _strictly(kind: Any, value: Any) -> Any:
    try:
        if kind is Count:
            return _count(value)
        converted = msgspec.convert(value, kind, strict=True)
        check_plain(converted)
    except (msgspec.ValidationError, TypeError, RecursionError) as error:
        where = str(error).partition(" - at `$")[2].rstrip("`")
        at = f" (at {where})" if where else ""
        raise ValueError(f"expected {describe(kind)}, got {show(value)}{at}") from None
    return converted


def _count(value: Any) -> int | float:
    if value == math.inf and isinstance(value, float):
        return math.inf
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < INT_RANGE.stop:
        return value
    raise TypeError


def check_plain(value: Any) -> None:
    """Raise ValueError or TypeError for a value that has no place in a message between processes."""
    match value:
        case float() if math.isnan(value):
            raise ValueError("expected a number, got NaN")
        case bool():
            pass
        case int() if value not in INT_RANGE:
            raise ValueError(f"expected a whole number of 64 bits, got {show(value)}")
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError(f"expected valid Unicode text, got {show(value)}") from None
        case list():
            for item in value:
                check_plain(item)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError("the keys of a table are text")
                check_plain(key)
                check_plain(item)
        case None | float() | int():
            pass
        case _:
            raise TypeError(f"{type(value).__name__} is not plain data")


def _as_json(kind: Any, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise ValueError from None


def _as_infinity(kind: Any, text: str) -> float:
    if text.strip(' "').lower() not in ("infinity", "inf"):
        raise ValueError
    return math.inf


def _as_itself(kind: Any, text: str) -> str:
    return text


def _as_words(kind: Any, text: str) -> Any:
    """yes/no for a bool; the items of a list between spaces or commas."""
    for option in get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,):
        if option is bool and text.strip().lower() in _WORDS:
            return _WORDS[text.strip().lower()]
        if option is list or get_origin(option) is list:
            item = (get_args(option) or (str,))[0]
            return [from_text(item, word) for word in text.replace(",", " ").split()]
    raise ValueError


_READINGS: tuple[Callable[[Any, str], Any], ...] = (_as_json, _as_infinity, _as_itself, _as_words)
