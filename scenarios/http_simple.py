# /// script
# dependencies = ["aiohttp>=3.9"]
# ///
"""Every user asks a web server for the same page, again and again: a scenario without XMPP.

    http_requests  requests that were answered, whatever the status
    http_errors    requests that were not answered, or with a status of 400 and above
    http_time      microseconds from the request to the last byte of the answer

    amoc run http_simple --users 100 --set url=http://127.0.0.1:8080/

Needs aiohttp: pip install -r scenarios/requirements.txt
"""

import asyncio

import aiohttp

from amoc import config, metrics
from amoc.config import Setting, at_least

SETTINGS = [
    Setting("url", str, doc="the page to ask for, as in http://127.0.0.1:8080/"),
    Setting("requests", int, 10, "how often a user asks for the page", at_least(0)),
    Setting("pause", float, 1.0, "seconds after each request", at_least(0)),
    Setting("timeout", float, 10.0, "seconds until a request counts as not answered", at_least(0.001)),
]

requests = metrics.counter("http_requests")
errors = metrics.counter("http_errors")
http_time = metrics.histogram("http_time")


async def init() -> aiohttp.ClientSession:
    """One session for all users of a worker, with as many connections at once as they need."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())


async def terminate(session: aiohttp.ClientSession) -> None:
    """Close the connections that are kept alive."""
    await session.close()


async def start(user_id: int, session: aiohttp.ClientSession) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    for _ in range(config.get("requests")):
        limit = aiohttp.ClientTimeout(total=config.get("timeout"))
        try:
            with metrics.timer("http_time"):
                async with session.get(config.get("url"), timeout=limit) as response:
                    await response.read()
        except (aiohttp.ClientError, TimeoutError):
            errors.increment()
        else:
            requests.increment()
            if response.status >= 400:
                errors.increment()
        await asyncio.sleep(config.get("pause"))
