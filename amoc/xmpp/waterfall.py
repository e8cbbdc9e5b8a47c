"""Where the time of a login goes: a histogram per step, `amoc.times.login.<step>`, and failures by step and cause.

The steps of one login, one after another, add up to its `amoc.times.connection`. A step that comes more than once
(the stream is opened anew after TLS and after SASL) is recorded once per login, with its sum. Only logins that
succeed are recorded: what a failed one spent before it failed would distort the times of the others; failures
are counted, as `xmpp.failures.<step>` and `xmpp.failures.<step>.<cause>`.

Who ends a step says so: the core its own, from `connect` on, this package those before it.
"""

import socket
import ssl
from time import perf_counter
from typing import Final

from amoc import metrics
from amoc.xmpp.errors import ConnectFailed

__all__ = ["STEPS", "Waterfall", "cause_of", "count_failure", "record_presence"]

STEPS: Final = (
    "resolve", "connect", "websocket", "stream", "features", "starttls", "tls", "sasl", "resume", "bind", "session",
    "enable",
)  # fmt: skip
_NAMES: Final = {step: f"amoc.times.login.{step}" for step in STEPS}


class Waterfall:
    """The times of one login, from the moment it is made."""

    __slots__ = ("_began", "_last", "_steps")

    def __init__(self) -> None:
        self._began = self._last = perf_counter()
        self._steps: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Waterfall {' '.join(f'{step}={seconds * 1e6:.0f}µs' for step, seconds in self._steps.items())}>"

    def ended(self, step: str) -> None:
        """Step `step` has ended, and the next begins."""
        now = perf_counter()
        self._steps[step] = self._steps.get(step, 0.0) + now - self._last
        self._last = now

    def record(self) -> None:
        """The login is done, by its last step: record its steps and its whole, in µs."""
        for step, seconds in self._steps.items():
            metrics.record(_NAMES.get(step) or f"amoc.times.login.{step}", seconds * 1e6)
        metrics.record("amoc.times.connection", (self._last - self._began) * 1e6)


def record_presence(sent: float) -> None:
    """The server has reflected the session's first presence, which was sent at `sent` (seconds, perf_counter)."""
    metrics.record("amoc.times.login.presence", (perf_counter() - sent) * 1e6)


def count_failure(error: ConnectFailed) -> None:
    """Count a failed login, by step and by cause."""
    metrics.increment("amoc.counters.connection_failures")
    metrics.increment(f"xmpp.failures.{error.step}")
    metrics.increment(f"xmpp.failures.{error.step}.{cause_of(error)}")


def cause_of(error: ConnectFailed) -> str:
    """The cause in a word: what the error knows, or what kind of exception it came from."""
    if error.cause:
        return error.cause
    under = error.__cause__
    for kinds, cause in _KINDS:
        if isinstance(under, kinds):
            return cause
    return "other"


# the first that fits; all of them are OSErrors
_KINDS: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]] = (
    (socket.gaierror, "no-address"),
    (ssl.SSLCertVerificationError, "certificate"),
    (ssl.SSLError, "handshake"),
    (ConnectionRefusedError, "refused"),
    (ConnectionError, "lost"),
    (OSError, "unreachable"),
    (UnicodeError, "no-address"),
)
