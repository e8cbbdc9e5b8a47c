"""A login and a message, in CPU, and an idle user, in memory: amoc beside a C client and slixmpp, on ejabberd.

Debian's ejabberd runs on one core, one client after the other on the other core, in turns, so that a drift of the
machine hits all alike. Users log in by PLAIN over plain TCP, then play ping-pong in pairs as fast as the server
lets them. CPU is user and system of the client; for amoc that is the whole of it: worker, agent and master.
Goals (a ratio within one run): a message at most 1.4 x the C client and 0.4 x slixmpp, a login at most
1.6 x the C client, an idle user at most 8 KiB.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from tests.support.servers import Ejabberd

USERS = 500
MESSAGES = 100  # received by each user
ROUNDS = 3
PEERS = Path(__file__).parent / "peers"
SERVER_CORE, CLIENT_CORE = 0, 1


def main() -> None:
    """Measure in turns and print a table."""
    if shutil.which("cc") is None:
        raise SystemExit("bench xmpp: a C compiler is needed for the client to compare with: apt-get install gcc")
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "client"
        subprocess.run(["cc", "-O2", "-o", str(binary), str(PEERS / "client.c")], check=True)
        python = [sys.executable, "-W", "ignore", "-m"]
        peers = {
            "C, epoll, no XML parser": [str(binary)],
            "amoc, a handler": [*python, "bench.peers.amoc_peer"],
            "amoc, await receive": [*python, "bench.peers.amoc_peer"],
            "slixmpp, lean": [*python, "bench.peers.slixmpp_peer"],
        }
        home = Path(folder) / "ejabberd"
        home.mkdir()
        with Ejabberd(home) as server:
            _pin_server()
            host, port = server.address.rsplit(":", 1)
            results = _in_turns(peers, host, port)
    _print(results)


def _in_turns(peers: dict[str, list[str]], host: str, port: str) -> dict[str, list[dict[str, float]]]:
    results: dict[str, list[dict[str, float]]] = {name: [] for name in peers}
    for round_number in range(ROUNDS):
        for number, (name, command) in enumerate(peers.items()):
            prefix = f"u{round_number}{number}_"  # a session of an earlier run is never in the way
            given = [host, port, "localhost", prefix, "1", str(USERS), str(MESSAGES), "2"]
            options = ["--handler"] if name == "amoc, a handler" else []
            done = subprocess.run(
                [*command, *given, *options],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                timeout=600,
                preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),
            )
            results[name].append(json.loads(done.stdout))
    return results


def _pin_server() -> None:
    """Put ejabberd, which this process has started, on its core."""
    for child in psutil.Process().children(recursive=True):
        for thread in child.threads():
            os.sched_setaffinity(thread.id, {SERVER_CORE})


def _print(results: dict[str, list[dict[str, float]]]) -> None:
    figures = {
        name: {
            "µs a message": [r["message_cpu"] / r["messages"] * 1e6 for r in rounds],
            "ms a login": [r["login_cpu"] / r["logins"] * 1e3 for r in rounds],
            "KiB a user": [(r["full"] - r["empty"]) / r["logins"] / 1024 for r in rounds],
        }
        for name, rounds in results.items()
    }
    floor = next(iter(figures.values()))
    rates = [r["messages"] / r["message_wall"] for rounds in results.values() for r in rounds]
    print(f"{USERS} users, {MESSAGES} messages each, {ROUNDS} rounds in turns")
    print(f"{min(rates):.0f} to {max(rates):.0f} messages/s")
    print(f"{'median (min-max), ratio to C':<30}" + "".join(f"{name:<30}" for name in floor))
    for name, columns in figures.items():
        cells = []
        for what, values in columns.items():
            ratio = statistics.median(v / f for v, f in zip(values, floor[what], strict=True))
            shown = f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
            cells.append(f"{shown} {ratio:.2f}x" if what != "KiB a user" else shown)
        print(f"{name:<30}" + "".join(f"{cell:<30}" for cell in cells))
