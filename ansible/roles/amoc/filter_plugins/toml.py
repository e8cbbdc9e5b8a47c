"""The filter `to_toml`: a mapping as the text of a TOML file (TOML 1.0), whatever its values are.

Pure: data in, text out. What TOML cannot hold is refused with the key that it stands under.
"""

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

__all__ = ["FilterModule", "to_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Of a basic string, what must be escaped: quote, backslash, control characters except tab.
_SHORT = {"\b": "\\b", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_ESCAPED = re.compile(r'["\\\x00-\x08\x0a-\x1f\x7f]')


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """The filters by name."""
        return {"to_toml": to_toml}


def to_toml(settings: Mapping[str, Any]) -> str:
    """The lines `key = value` for a mapping, in its order, each with a newline."""
    if not isinstance(settings, Mapping):
        raise AnsibleFilterError(f"settings must be a table (name: value), not {_shown(settings)}")
    return "".join(f"{_key(key, key)} = {_value(value, str(key))}\n" for key, value in settings.items())


def _value(value: Any, where: str) -> str:
    """One value. Ansible's own kinds of text and numbers are kinds of Python's."""
    if isinstance(value, bool):  # before int, which it is, too
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _text(str(value), where)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k, where)} = {_value(v, f'{where}.{k}')}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "[" + ", ".join(_value(item, f"{where}[{index}]") for index, item in enumerate(value)) + "]"
    if value is None:
        raise AnsibleFilterError(f"amoc.{where} has no value (null): give it one, or leave it out")
    raise AnsibleFilterError(f"amoc.{where}: a setting cannot be {_shown(value)}")


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = repr(float(value))
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise AnsibleFilterError(f"amoc.{where}: the name of a setting is text, not {_shown(key)}: put it in quotes")
    return str(key) if _BARE_KEY.fullmatch(key) else _text(str(key), where)


def _text(text: str, where: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise AnsibleFilterError(f"amoc.{where}: not valid Unicode text")
    return '"' + _ESCAPED.sub(lambda match: _SHORT.get(match[0], f"\\u{ord(match[0]):04x}"), text) + '"'


def _shown(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"
