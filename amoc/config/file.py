"""app.config: a TOML file of settings, one key each."""

import datetime
import re
import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

from amoc.config.errors import ConfigError

__all__ = ["read_file"]

_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_file(path: str | PathLike[str]) -> dict[str, Any]:
    """The settings of a file, as plain data; dates become text in ISO form.

    Raises ConfigError with path, line and column when it cannot be read or is not TOML.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode()
        return {name: _plain(value) for name, value in tomllib.loads(text).items()}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        bad_line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {bad_line}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        reason, line, column = _locate(str(error), text)
        raise ConfigError(f"{path}, line {line}, column {column}: not valid TOML: {reason}") from None


def _locate(message: str, text: str) -> tuple[str, int, int]:
    """What tomllib says, apart from where it says it happened."""
    position = _POSITION.search(message)
    reason = message[: position.start()] if position else message
    if position and position[1]:
        return reason, int(position[1]), int(position[2])
    lines = text.splitlines() or [""]
    return reason, len(lines), len(lines[-1]) + 1


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
