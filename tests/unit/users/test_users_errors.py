"""Failures: told apart by where they happen, counted, shown as text that can be sent."""

import asyncio
import traceback
from typing import Any

import msgspec
import pytest

from amoc.users import ErrorLog, Failure, one_line, traceback_text
from amoc.users.errors import MOST_KINDS, MOST_TEXT, leaf
from amoc.users.threads import ThreadRun


def here(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return raised


def there(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as raised:
        return raised


def kinds(log: ErrorLog) -> list[tuple[str, str, int, int]]:
    return [(f.type, f.where, f.first_user, f.count) for f in log.take()]


def test_one_place_is_one_kind_with_a_count() -> None:
    log = ErrorLog()
    for user_id in (7, 3, 9):
        log.record(here(ValueError(f"user {user_id}")), "start", user_id)
    (failure,) = log.take()
    assert (failure.type, failure.where, failure.text) == ("ValueError", "start", "ValueError: user 7")
    assert (failure.first_user, failure.count) == (7, 3)
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert failure.traceback.endswith("ValueError: user 7\n")
    assert log.total == 3


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((there, ValueError("x"), "start"), id="line"),
        pytest.param((here, KeyError("x"), "start"), id="type"),
        pytest.param((here, ValueError("x"), "terminate"), id="callback"),
    ],
)
def test_kinds_differ_by_line_type_and_callback(other: tuple[Any, BaseException, str]) -> None:
    raised, error, where = other
    log = ErrorLog()
    log.record(here(ValueError("x")), "start", 1)
    log.record(raised(error), where, 2)
    assert [count for *_, count in kinds(log)] == [1, 1]


def test_take_hands_out_each_count_once() -> None:
    log = ErrorLog()
    log.record(here(ValueError()), "start", 1)
    taken = log.take()
    assert log.take() == []
    log.record(here(ValueError()), "start", 2)
    (again,) = log.take()
    assert (again.key, again.count, again.first_user) == (taken[0].key, 1, 1)
    assert taken[0].count == 1  # a copy


def test_kinds_are_bounded_and_every_failure_is_counted() -> None:
    log = ErrorLog()
    for number in range(MOST_KINDS + 20):
        code = compile("\n" * number + "raise KeyError", "scene.py", "exec")
        with pytest.raises(KeyError) as raised:
            exec(code)
        log.record(raised.value, "start", number)
    log.record(here(OSError("no")), "start", 1)
    failures = log.take()
    assert len(failures) == MOST_KINDS + 2
    assert sum(f.count for f in failures) == log.total == MOST_KINDS + 21
    assert [(f.type, f.count) for f in failures if f.key.endswith(":more")] == [("KeyError", 20), ("OSError", 1)]


def test_a_group_is_told_by_its_first_leaf() -> None:
    error = BaseExceptionGroup("outer", [ExceptionGroup("inner", [KeyError("deep"), OSError()]), SystemExit(1)])
    assert repr(leaf(error)) == "KeyError('deep')"
    log = ErrorLog()
    log.record(error, "start", 1)
    assert kinds(log) == [("KeyError", "start", 1, 1)]


async def test_frames_of_amoc_itself_are_left_out() -> None:
    """Above the scenario's code is the code of amoc that called it."""
    done = asyncio.Event()
    run = ThreadRun(asyncio.get_running_loop(), recurse, (5,), lambda _: done.set())
    await done.wait()
    error = run.exception()
    assert error is not None
    assert "threads.py" in "".join(traceback.format_exception(error))
    assert "threads.py" not in traceback_text(error)
    assert "recurse" in traceback_text(error)


def recurse(depth: int) -> None:
    if not depth:
        raise KeyError("bottom")
    recurse(depth - 1)


def test_a_long_traceback_is_cut_in_the_middle() -> None:
    error = here(ValueError("x" * 3 * MOST_TEXT))
    text = traceback_text(error)
    assert MOST_TEXT < len(text) < MOST_TEXT + 20
    assert len(one_line(error)) == 500
    with pytest.raises(RecursionError) as raised:
        recurse(10_000)
    log = ErrorLog()
    log.record(raised.value, "start", 1)
    assert kinds(log) == [("RecursionError", "start", 1, 1)]


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError(), "ValueError"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (OSError("bad name: caf\udce9"), "OSError: bad name: caf\\udce9"),
        (Mute(), "Mute: (its text cannot be shown)"),
    ],
)
def test_every_failure_can_be_sent(error: BaseException, line: str) -> None:
    """Also one whose text is no Unicode, or whose `__str__` raises: reports must not fail because of it."""
    log = ErrorLog()
    log.record(here(error), "start", 1)
    (failure,) = log.take()
    assert failure.text == line
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(failure), type=Failure) == failure
