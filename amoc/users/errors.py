"""Failures of users: counted by type, kept once per distinct traceback.

Ten thousand users that fail in the same line are one entry with a count. Telling tracebacks apart must
cost little, so the key is made of code positions; the text is formatted only for the first of a kind.
"""

import os
import traceback
from types import TracebackType
from zlib import crc32

import msgspec

__all__ = ["ErrorLog", "Failure", "leaf", "one_line", "traceback_text", "well_formed"]

_USERS = os.path.dirname(__file__)
_WORKER = os.path.join(os.path.dirname(_USERS), "worker")

MOST_KINDS = 100  # distinct tracebacks kept with their text; beyond it only types are told apart
MOST_FRAMES = 50  # that take part in telling tracebacks apart
MOST_TEXT = 8000  # characters of one traceback: enough for thirty frames, small enough to send


class Failure(msgspec.Struct):
    """One kind of failure; `count` is since the last `take`."""

    key: str
    type: str
    where: str
    text: str
    traceback: str
    first_user: int
    count: int = 0


def leaf(error: BaseException) -> BaseException:
    """The error itself, or the first one inside an exception group: what a reader wants to know."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class ErrorLog:
    """All failures in one worker."""

    def __init__(self) -> None:
        self._kinds: dict[str, Failure] = {}
        self._fresh: dict[str, Failure] = {}
        self.total = 0

    def record(self, error: BaseException, where: str, user_id: int) -> None:
        """Count `error`, which ended user `user_id`."""
        error = leaf(error)
        self.total += 1
        key = _key(error, where)
        known = self._kinds.get(key)
        if known is None:
            if len(self._kinds) >= MOST_KINDS:
                key = f"{where}:{type(error).__qualname__}:more"
            name = type(error).__qualname__
            known = self._kinds.get(key) or Failure(key, name, where, one_line(error), traceback_text(error), user_id)
            self._kinds[key] = known
        known.count += 1
        self._fresh[key] = known

    def take(self) -> list[Failure]:
        """Copies of the failures counted since the last call; their counts begin again."""
        taken = [msgspec.structs.replace(f) for f in self._fresh.values()]
        for failure in self._fresh.values():
            failure.count = 0
        self._fresh = {}
        return taken


def _key(error: BaseException, where: str) -> str:
    """The same in every process: `hash` of a text is not, so the positions go through a checksum."""
    position = 0
    step: TracebackType | None = error.__traceback__
    for _ in range(MOST_FRAMES):
        if step is None:
            break
        position = crc32(step.tb_frame.f_code.co_filename.encode("utf-8", "surrogatepass"), position ^ step.tb_lineno)
        step = step.tb_next
    return f"{where}:{type(error).__qualname__}:{position:08x}"


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_USERS, _WORKER, "uvloop/"))


def well_formed(text: str) -> str:
    """The text as it can be sent: what is no Unicode (half of a pair, an undecodable byte) written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(error: BaseException) -> str:
    """Type and text of an exception, in one line of at most 500 characters."""
    name = type(error).__qualname__
    try:
        text = " ".join(str(error).split())
    except Exception:  # a `__str__` of the scenario's
        text = "(its text cannot be shown)"
    return well_formed(f"{name}: {text}"[:500] if text else name)


def traceback_text(error: BaseException) -> str:
    """The traceback, without the frames of amoc's own machinery that lead to the scenario's code."""
    first = error.__traceback__
    while first is not None and _is_machinery(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    text = well_formed("".join(traceback.format_exception(type(error), error, first)))
    if len(text) > MOST_TEXT:
        text = f"{text[: MOST_TEXT // 2]}\n  …\n{text[-MOST_TEXT // 2 :]}"
    return text
