"""A login and a message, in CPU, and an idle user, in memory: amoc beside other clients, on ejabberd.

Debian's ejabberd runs on one core, one client after the other on the other core, in turns, so that a drift of the
machine hits all alike. Users log in and play ping-pong in pairs: saturated (as fast as the server lets them) and at a
stated pace, which costs more a message, because each wakes the client up. CPU is user and system of the client; for
amoc that is the whole of it: worker, agent and master. Three figures stand in each cell: the median of the rounds,
the smallest and the largest; ratios are taken within a round. Two floors are among the clients: C, and Python with
uvloop, both without an XML parser.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from bench import openssl
from tests.support.servers import Ejabberd

__all__ = ["Results", "in_turns", "main", "pin_server", "print_table", "rates"]

USERS = 500
MESSAGES = 100  # received by each user
PACED = 20
GAP = 0.25  # seconds before an answer: 500 users send some 1000 messages a second
ENCRYPTED = 200  # users of the runs with TLS or SCRAM
ROUNDS = 3
PEERS = Path(__file__).parent / "peers"
SERVER_CORE, CLIENT_CORE = 0, 1

Result = dict[str, float]
Results = dict[str, list[Result]]


def main() -> None:
    """Measure in turns and print tables."""
    if shutil.which("cc") is None:
        raise SystemExit("bench xmpp: a C compiler is needed for the client to compare with: apt-get install gcc")
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "client"
        subprocess.run(["cc", "-O2", "-o", str(binary), str(PEERS / "client.c")], check=True)
        home = Path(folder) / "ejabberd"
        home.mkdir()
        with Ejabberd(home) as server:
            pin_server()
            _all(server, str(binary))


def _all(server: Ejabberd, binary: str) -> None:
    python = [sys.executable, "-W", "ignore", "-m"]
    native, floor = [binary], [*python, "bench.peers.uvloop_peer"]
    amoc, slixmpp = [*python, "bench.peers.amoc_peer"], [*python, "bench.peers.slixmpp_peer"]
    clients = {
        "C, no XML parser": native,
        "uvloop, no XML parser": floor,
        "amoc, a handler": [*amoc, "--handler"],
        "amoc, await receive": amoc,
        "slixmpp, lean": slixmpp,
    }
    if os.environ.get("AMOC_BENCH_ESCALUS"):
        clients["escalus"] = [*python, "bench.peers.escalus_peer"]
    else:
        print("escalus is left out: AMOC_BENCH_ESCALUS does not say where it is; bench/peers/escalus_peer.py says how")
    tsung = {}
    if shutil.which("tsung") is not None:
        tsung = {"tsung": [*python, "bench.peers.tsung_peer"]}
    else:
        print("tsung is left out: apt-get install tsung")
    results = in_turns(server, clients | tsung, "s", USERS, [MESSAGES, 2])
    print_table(f"saturated: {USERS} users, {MESSAGES} messages each, {rates(results)}", results)
    results = in_turns(server, clients, "p", USERS, [PACED, 2, GAP])
    print_table(f"paced: {USERS} users, {PACED} messages each, {rates(results)}", results, logins=False)

    clients = {"amoc": amoc, "amoc, STARTTLS": [*amoc, "--tls", "required"]}
    clients |= {"slixmpp": slixmpp, "slixmpp, STARTTLS": [*slixmpp, "--tls", "required"]}
    results = in_turns(server, clients, "t", ENCRYPTED, [MESSAGES, 2])
    print_table(f"TLS: {ENCRYPTED} users, {MESSAGES} messages each, {rates(results)}", results)
    print(
        f"OpenSSL's share, the client's side of a handshake: {openssl.handshake(server.certificate.both) * 1e3:.2f} ms"
    )
    results = {}
    for name, command in (("amoc, SCRAM-SHA-1", amoc), ("slixmpp, SCRAM-SHA-1", slixmpp)):
        peer = {name: [*command, "--sasl", "SCRAM-SHA-1"]}
        results |= in_turns(server, peer, name[0], ENCRYPTED, [0, 1], domain="sha1.local")
    print_table(f"SCRAM-SHA-1: {ENCRYPTED} users", results, messages=False)
    print(f"OpenSSL's share, PBKDF2: {openssl.pbkdf2() * 1e3:.2f} ms")


def in_turns(
    server: Ejabberd,
    peers: Mapping[str, list[str]],
    letter: str,
    users: int,
    rest: Sequence[float],
    domain: str = "localhost",
) -> Results:
    """Run the commands of the peers in turns against the server; what each has measured, a result for each round.

    `letter` begins the names of the users, of whom there are `users`; `rest` goes to the commands as it is.
    """
    host, port = server.address.rsplit(":", 1)
    results: Results = {name: [] for name in peers}
    for round_number in range(ROUNDS):
        for number, (name, command) in enumerate(peers.items()):
            prefix = f"{letter}{round_number}{number}_"  # a session of an earlier run is never in the way
            if domain != "localhost":  # where anybody may log in
                server.register({f"{prefix}{n}@{domain}": f"password_{n}" for n in range(1, users + 1)})
            done = subprocess.run(
                [*command, host, port, domain, prefix, "1", str(users), *map(str, rest)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                timeout=600,
                preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),
            )
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
    return results


def pin_server() -> None:
    """Put ejabberd, which this process has started, on its core."""
    for child in psutil.Process().children(recursive=True):
        for thread in child.threads():
            os.sched_setaffinity(thread.id, {SERVER_CORE})


def rates(results: Results) -> str:
    """How fast the messages went, in words."""
    found = [r["messages"] / r["message_wall"] for name, rounds in results.items() for r in rounds if name != "tsung"]
    return f"{min(found):.0f} to {max(found):.0f} messages/s"


def print_table(title: str, results: Results, *, logins: bool = True, messages: bool = True) -> None:
    """Print what a message and a login cost each peer, and its ratio to the first one."""
    columns: dict[str, Callable[[Result], float]] = {}
    if messages:
        columns["µs a message"] = lambda r: r["message_cpu"] / r["messages"] * 1e6
    if logins:
        columns["ms a login"] = lambda r: r["login_cpu"] / r["logins"] * 1e3
        columns["KiB a user"] = lambda r: (r["full"] - r["empty"]) / r["logins"] / 1024
    floor = next(iter(results.values()))
    print(f"\n{title}, {ROUNDS} rounds")
    print(f"{'median (smallest-largest)':<26}" + "".join(f"{name + ', ratio':<32}" for name in columns))
    for name, rounds in results.items():
        cells = []
        for what in columns.values():
            values = [what(r) for r in rounds]
            ratio = statistics.median(v / (what(f) or 1) for v, f in zip(values, floor, strict=True))
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f}), {ratio:.2f}x")
        print(f"{name:<26}" + "".join(f"{cell:<32}" for cell in cells))


if __name__ == "__main__":
    main()
