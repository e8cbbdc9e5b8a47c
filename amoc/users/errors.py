"""Failures of users: counted by type, kept once per distinct traceback.

Ten thousand users that fail in the same line are one entry with a count. Telling tracebacks apart must
cost little, so the key is made of code positions; the text is formatted only for the first of a kind.
"""

import traceback
from types import TracebackType

import msgspec

__all__ = ["ErrorLog", "Failure", "leaf"]

MOST_KINDS = 100  # distinct tracebacks kept with their text; beyond it only types are told apart
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

    def record(self, error: BaseException, where: str, user_id: int) -> Failure | None:
        """Count `error`; returns the Failure if it is the first of its kind."""
        error = leaf(error)
        self.total += 1
        key = _key(error, where)
        known = self._kinds.get(key)
        first = known is None
        if known is None:
            if len(self._kinds) >= MOST_KINDS:
                key = f"{where}:{type(error).__qualname__}:more"
            name = type(error).__qualname__
            known = self._kinds.get(key) or Failure(key, name, where, _line(error), _text(error), user_id)
            first = key not in self._kinds
            self._kinds[key] = known
        known.count += 1
        self._fresh[key] = known
        return known if first else None

    def take(self) -> list[Failure]:
        """Copies of the failures counted since the last call; their counts begin again."""
        taken = [msgspec.structs.replace(f) for f in self._fresh.values()]
        for failure in self._fresh.values():
            failure.count = 0
        self._fresh = {}
        return taken


def _key(error: BaseException, where: str) -> str:
    spots: list[int] = []
    step: TracebackType | None = error.__traceback__
    while step is not None and len(spots) < 100:
        spots.append(hash((step.tb_frame.f_code.co_filename, step.tb_lineno)))
        step = step.tb_next
    return f"{where}:{type(error).__qualname__}:{hash(tuple(spots)) & 0xFFFFFFFFFFFF:x}"


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__qualname__}: {text}"[:500] if text else type(error).__qualname__


def _text(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    if len(text) > MOST_TEXT:
        text = f"{text[: MOST_TEXT // 2]}\n  …\n{text[-MOST_TEXT // 2 :]}"
    return text
