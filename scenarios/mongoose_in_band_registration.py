"""Every user makes its account, once, then logs in and writes to its neighbours as in mongoose_simple.

The account is made by in-band registration (XEP-0077) on a connection of its own, before the first login. An
account that is there already is used as it is: it has to have the password that `xmpp_password` says.

    accounts_created   accounts that were made
    accounts_existing  accounts that were there already
    registration_time  microseconds from connecting to the server's answer and the end of that connection

    amoc run mongoose_in_band_registration --users 100 --server 127.0.0.1:5222

The server has to allow registration, of many accounts from one address: mod_register with
`registration_timeout: infinity` on ejabberd, `allow_registration` on Prosody, mod_register on MongooseIM.
"""

import asyncio

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import connect, jid_of, neighbours, register

SETTINGS = [
    Setting("settle", float, 5.0, "seconds between becoming available and the first round", at_least(0)),
    Setting("rounds", int, 5, "how often a user writes to each of its neighbours", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user writes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
]

created = metrics.counter("accounts_created")
existing = metrics.counter("accounts_existing")
registration_time = metrics.histogram("registration_time")


def init() -> set[int]:
    """The users of this worker that have an account."""
    return set()


async def ensure_account(user_id: int, registered: set[int]) -> None:
    """Make the user's account unless that was done in an earlier repetition."""
    if user_id in registered:
        return
    with metrics.timer("registration_time"):
        is_new = await register(user_id)
    (created if is_new else existing).increment()
    registered.add(user_id)


async def start(user_id: int, registered: set[int]) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    await ensure_account(user_id, registered)
    async with connect(user_id) as client:
        client.ignore("message", "presence")  # nobody looks at them: do not keep them
        client.send_presence()
        await asyncio.sleep(config.get("settle"))
        for _ in range(config.get("rounds")):
            for neighbour in neighbours(user_id, config.get("neighbours")):
                client.send_message(jid_of(neighbour), f"Hello from user {user_id}!")
            await asyncio.sleep(config.get("pause"))
        await asyncio.sleep(config.get("linger"))
