"""Events as lines of text for people: what a console and a node's log show.

Pure: events in, text out.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

__all__ = ["clean", "console_line", "log_line"]

# Text of scenarios holds what servers sent: nothing of it may steer the operator's terminal.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in b"\n\t"}
# Marks that reorder or hide what follows (Unicode's bidirectional controls, line and paragraph separator).
_ESCAPES |= {code: f"\\u{code:04x}" for code in (0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))}

_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "1;31", "DEBUG": "2"}


def clean(text: str) -> str:
    """`text` without anything that steers a terminal, further lines indented."""
    return text.rstrip("\n").translate(_ESCAPES).replace("\n", "\n    ")


def console_line(event: Mapping[str, Any], *, colour: bool) -> str:
    """One line above the prompt: `03:15:00 mongoose_simple[0] text`; warnings and errors coloured."""
    level = _text(event, "level", "INFO")
    name = f"{level} " if level not in ("INFO", "DEBUG") else ""
    line = f"{_moment(event):%H:%M:%S} {name}{_origin(event)}{clean(_text(event, 'text'))}"
    code = _COLOURS.get(level)
    return f"\x1b[{code}m{line}\x1b[0m" if colour and code else line


def log_line(event: Mapping[str, Any]) -> str:
    """One line of the node's log: `2026-11-24 03:15:00.123 INFO mongoose_simple[0] text`."""
    stamp = _moment(event).isoformat(" ", "milliseconds")
    return f"{stamp} {_text(event, 'level', 'INFO')} {_origin(event)}{clean(_text(event, 'text'))}"


def _origin(event: Mapping[str, Any]) -> str:
    """Who says it: the logger and, of a worker, its number; with its node, if that is one of many."""
    name, node = clean(_text(event, "logger")), clean(_text(event, "node"))
    worker = event.get("worker")
    many = node not in ("", "local")
    place = f"[{node}:{worker}]" if many else f"[{worker}]"
    if not isinstance(worker, int):
        place = f"[{node}]" if many and name else ""
    return f"{name}{place} " if name or place else ""


def _moment(event: Mapping[str, Any]) -> datetime:
    when = event.get("time")
    return datetime.fromtimestamp(when if isinstance(when, int | float) else 0)


def _text(event: Mapping[str, Any], key: str, default: str = "") -> str:
    value = event.get(key)
    return default if value is None else str(value)
