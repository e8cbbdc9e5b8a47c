"""What can stand after an option: durations, counts, NAME=VALUE. Pure: text in, value or ValueError out."""

import re

__all__ = ["assignment", "count", "duration", "milliseconds", "port", "repetitions"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# What fits into the ids of users, and more than any machine starts.
_LARGEST = 2**53


def duration(text: str) -> float:
    """Seconds of a number with its unit: `500ms`, `30s`, `10m`, `1.5h`; above 0."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: a number with ms, s, m or h, such as 30s")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 < seconds < _LARGEST:
        raise ValueError(f"{text!r} is not a duration above 0")
    return seconds


def count(text: str) -> int:
    """A whole number from 1."""
    number = _whole(text)
    if number is None or not 1 <= number <= _LARGEST:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return number


def repetitions(text: str) -> str:
    """A whole number from 0, or infinity; as text, which the setting reads."""
    number = _whole(text)
    if text.strip().lower() in ("infinity", "inf") or (number is not None and number >= 0):
        return text.strip()
    raise ValueError(f"{text!r} is neither a whole number from 0 nor infinity")


def milliseconds(text: str) -> float:
    """A number from 0, without a unit."""
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()) is None:
        raise ValueError(f"{text!r} is not a number of milliseconds from 0 (without a unit)")
    return float(text)


def assignment(text: str) -> tuple[str, str]:
    """NAME=VALUE as (name, text of the value)."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"{text!r} is not NAME=VALUE")
    return name, value


def port(text: str) -> int:
    """A TCP port; 0 lets the system choose."""
    number = _whole(text)
    if number is None or not 0 <= number <= 65535:
        raise ValueError(f"{text!r} is not a port (0 to 65535)")
    return number


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?\d{1,20}", text.strip()) else None
