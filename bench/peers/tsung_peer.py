"""Debian's tsung as a peer: the same arguments and the same line of JSON as client.c.

tsung cannot play ping-pong: each user sends a message to another one every `gap` seconds (0.1 by default) and does
not wait for any; nor does it wait for the steps of the login, whose answers come in more reads than it expects. It
counts nothing while it works, so each figure is the difference of two whole runs: with one user, with all of them
and no message, with all messages; memory is its largest resident size in these.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from string import Template

arguments = argparse.ArgumentParser(description=__doc__)
for name in ("host", "port", "domain", "prefix"):
    arguments.add_argument(name)
for name in ("first", "users", "messages"):
    arguments.add_argument(name, type=int)
arguments.add_argument("idle", type=float, nargs="?", default=0.0)
arguments.add_argument("gap", type=float, nargs="?", default=0.1)

PLAN = Template("""<?xml version="1.0"?>
<!DOCTYPE tsung SYSTEM "/usr/share/tsung/tsung-1.0.dtd">
<tsung loglevel="error" version="1.0">
  <clients><client host="localhost" use_controller_vm="true" maxusers="20000"/></clients>
  <servers><server host="$host" port="$port" type="tcp"/></servers>
  <load><arrivalphase phase="1" duration="10" unit="minute">
    <users maxnumber="$users" arrivalrate="500" unit="second"/>
  </arrivalphase></load>
  <options>
    <option type="ts_jabber" name="global_number" value="$users"/>
    <option type="ts_jabber" name="userid_max" value="$users"/>
    <option type="ts_jabber" name="domain" value="$domain"/>
    <option type="ts_jabber" name="username" value="$prefix"/>
    <option type="ts_jabber" name="passwd" value="password_"/>
  </options>
  <sessions><session probability="100" name="talk" type="ts_jabber">
    <request><jabber type="connect" ack="no_ack"/></request><thinktime value="0.5"/>
    <request><jabber type="auth_sasl" ack="no_ack"/></request><thinktime value="0.5"/>
    <request><jabber type="connect" ack="no_ack"/></request><thinktime value="0.5"/>
    <request><jabber type="auth_sasl_bind" ack="no_ack"/></request><thinktime value="0.5"/>
    <request><jabber type="auth_sasl_session" ack="no_ack"/></request><thinktime value="0.5"/>
    <request><jabber type="presence:initial" ack="no_ack"/></request>
    <thinktime value="2"/>
    $talk
    <thinktime value="1"/>
    <request><jabber type="close" ack="no_ack"/></request>
  </session></sessions>
</tsung>
""")
TALK = """<for from="1" to="{messages}" incr="1" var="n">
      <request><jabber type="chat" ack="no_ack" size="47" destination="online"/></request>
      <thinktime value="{gap}"/>
    </for>"""


def main() -> None:
    """Run tsung three times and print what the differences cost."""
    given = arguments.parse_args()
    one = run(given, 1, 0)
    idle = run(given, given.users, 0)
    began = time.monotonic()
    busy = run(given, given.users, given.messages)
    print(
        json.dumps(
            {
                "logins": given.users - 1,
                "messages": given.users * given.messages,
                "login_cpu": round(idle[0] - one[0], 4),
                "message_cpu": round(busy[0] - idle[0], 4),
                "message_wall": round(time.monotonic() - began, 3),
                "empty": one[1],
                "full": idle[1],
            }
        )
    )


def run(given: argparse.Namespace, users: int, messages: int) -> tuple[float, int]:
    """One run: seconds of CPU, and bytes at the most."""
    talk = TALK.format(messages=messages, gap=given.gap) if messages else ""
    plan = PLAN.substitute(
        host=given.host, port=given.port, users=users, domain=given.domain, prefix=given.prefix, talk=talk
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "plan.xml").write_text(plan)
        # a port mapper of our own, which ends with us
        environment = {**os.environ, "HOME": folder, "ERL_EPMD_PORT": port, "ERL_EPMD_ADDRESS": "127.0.0.1"}
        before = cpu()
        command = ["tsung", "-f", f"{folder}/plan.xml", "-l", f"{folder}/log/", "-n", "-w", "0", "start"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            largest = watch(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            subprocess.run(["epmd", "-port", port, "-kill"], env=environment, capture_output=True, check=False)
        used = cpu() - before
        errors = [line for log in Path(folder, "log").glob("*/tsung.log") for line in log.read_text().splitlines()]
    failed = [line for line in errors if line.startswith("stats: error")]
    if process.returncode or failed:
        raise SystemExit(f"tsung: {failed[-1] if failed else f'exit code {process.returncode}'}")
    return used, largest


def watch(process: "subprocess.Popen[bytes]") -> int:
    """Wait until it has ended; the largest resident size of its virtual machine."""
    largest = 0
    deadline = time.monotonic() + 300
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise SystemExit("tsung did not end within 300 s")
        for child in children(process.pid):
            largest = max(largest, resident(child))
        time.sleep(0.2)
    return largest


def children(pid: int) -> list[int]:
    """The process and all below it."""
    try:
        below = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [pid, *(p for child in below for p in children(child))]


def resident(pid: int) -> int:
    """Bytes."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def cpu() -> float:
    """Seconds of CPU, user and system, of the runs so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
