"""What a user costs that is a slixmpp client of the bridge, beside amoc's own client and slixmpp alone, on ejabberd.

As `bench/xmpp.py` does it: ejabberd on one core, the clients in turns on the other, plain TCP and PLAIN, ping-pong in
pairs as fast as the server lets them; then logins by SCRAM-SHA-1, whose PBKDF2 slixmpp computes in Python.
"""

import sys
import tempfile
from pathlib import Path

from bench.xmpp import in_turns, pin_server, print_table, rates
from tests.support.servers import Ejabberd

USERS = 300
MESSAGES = 50
SCRAM_USERS = 100
PLUGINS = ("xep_0030", "xep_0045", "xep_0184", "xep_0199", "xep_0280")


def main() -> None:
    """Measure in turns and print a table."""
    python = [sys.executable, "-W", "ignore", "-m"]
    bridge = [*python, "bench.peers.bridge_peer"]
    clients = {
        "amoc, a handler": [*python, "bench.peers.amoc_peer", "--handler"],
        "slixmpp alone, lean": [*python, "bench.peers.slixmpp_peer"],
        "bridge": bridge,
        "bridge, five plugins": [*bridge, *(f"--plugin={name}" for name in PLUGINS)],
    }
    with tempfile.TemporaryDirectory() as folder, Ejabberd(Path(folder)) as server:
        pin_server()
        results = in_turns(server, clients, "b", USERS, [MESSAGES, 2])
        print_table(f"{USERS} users, {MESSAGES} messages each, {rates(results)}", results)
        results = {}
        for name in ("amoc, a handler", "bridge"):
            peer = {f"{name}, SCRAM-SHA-1": [*clients[name], "--sasl", "SCRAM-SHA-1"]}
            results |= in_turns(server, peer, name[0], SCRAM_USERS, [0, 1], domain="sha1.local")
        print_table(f"SCRAM-SHA-1: {SCRAM_USERS} users", results, messages=False)


if __name__ == "__main__":
    main()
