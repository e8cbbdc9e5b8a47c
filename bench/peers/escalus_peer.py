"""escalus, the XMPP client of amoc's Erlang original, as a peer: the arguments and the line of JSON of client.c.

escalus does not come with amoc. `AMOC_BENCH_ESCALUS` names the folder where it has been built by its own instructions,
with what it depends on: `NAME/ebin` for each of them, `_build/default/lib` if rebar3 has done it. `erl` and `erlc`
must be on the path (Debian: erlang-base and erlang-dev).

One scheduler, because the client has one core; no thread spins while it waits for work, which would count as CPU.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
for name in ("host", "port", "domain", "prefix"):
    arguments.add_argument(name)
for name in ("first", "users", "messages"):
    arguments.add_argument(name, type=int)
arguments.add_argument("idle", type=float, nargs="?", default=0.0)
arguments.add_argument("gap", type=float, nargs="?", default=0.0)

FOLDER = "AMOC_BENCH_ESCALUS"
SOURCE = Path(__file__).with_name("escalus_pingpong.erl")
PROCESSES = 1 << 20  # ports and processes; the defaults allow 65,536 ports
FLAGS = ["+S", "1:1", "+SDcpu", "1:1", "+SDio", "1", "+A", "1"]
FLAGS += ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
FLAGS += ["+P", str(PROCESSES), "+Q", str(PROCESSES)]
QUIET = ["-noshell", "-kernel", "logger_level", "none"]  # the module says itself what has failed


def main() -> None:
    """Compile the module and run it."""
    given = arguments.parse_args()
    code = [str(ebin) for ebin in sorted(Path(os.environ.get(FOLDER, "")).glob("*/ebin"))]
    if not any(Path(ebin, "escalus_connection.beam").exists() for ebin in code):
        raise SystemExit(f"escalus: {FOLDER}={os.environ.get(FOLDER, '')!r} holds no escalus/ebin: {__doc__}")
    rest = [given.first, given.users, given.messages, round(given.idle * 1000), round(given.gap * 1000)]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["erlc", "-o", folder, str(SOURCE)], check=True)
        command = ["erl", *FLAGS, *QUIET, "-pa", folder, *code, "-run", "escalus_pingpong", "main"]
        command += [given.host, given.port, given.domain, given.prefix, *map(str, rest)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as erl:  # which ends when this process does
            code_of_exit = erl.wait()
    raise SystemExit(code_of_exit)


if __name__ == "__main__":
    main()
