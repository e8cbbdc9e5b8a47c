"""Real XMPP servers for tests: Debian's ejabberd and Prosody, each on free ports with a folder of its own.

On the vhost `localhost` any user with any password is let in (SASL PLAIN); on `scram.local` accounts
are real, made by `Server.register`, and SCRAM is offered. A small module inside each server counts what
crosses its client connections, so that a test compares amoc's figures with the server's (`Server.counts`).
A message to a user who is offline comes back as an error on `localhost` and is stored on `scram.local`.

Tests use the fixtures `ejabberd`, `prosody` and `server` (each test once per server) of `fixtures.py`.
"""

from tests.support.servers.base import Counts, Server, ServerError
from tests.support.servers.ejabberd import Ejabberd
from tests.support.servers.prosody import Prosody

__all__ = ["Counts", "Ejabberd", "Prosody", "Server", "ServerError"]
