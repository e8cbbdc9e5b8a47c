"""Coming back after a connection was lost: again and again, waiting longer each time.

except Disconnected:
    resumed = await reconnect(client)
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator

from amoc.xmpp.client import Client
from amoc.xmpp.errors import AuthFailed, ConnectFailed

__all__ = ["backoff", "reconnect"]


async def reconnect(client: Client, *, attempts: int | None = None, first: float = 1.0, longest: float = 60.0) -> bool:
    """`client.resume()` until it succeeds, and what it returned: whether the session goes on where it was.

    The delays between the tries are those of `backoff`, in seconds. Raises the ConnectFailed of the last of
    `attempts`, and at once an AuthFailed: another try would not help, unless the server says that it is temporary.
    """
    delays = backoff(first, longest, random.random)
    for tries in itertools.count(1):
        try:
            return await client.resume()
        except ConnectFailed as error:
            hopeless = isinstance(error, AuthFailed) and error.condition != "temporary-auth-failure"
            if hopeless or tries == attempts:
                raise
        await asyncio.sleep(next(delays))
    raise AssertionError("unreachable")


def backoff(first: float, longest: float, chance: Callable[[], float]) -> Iterator[float]:
    """Endless delays: `first`, doubled each time up to `longest`, each shortened by up to a half.

    `chance` gives numbers from 0 to 1: users that a server has lost together must not come back together.
    """
    delay = min(first, longest)
    while True:
        yield delay * (1 - chance() / 2)
        delay = min(delay * 2, longest)
