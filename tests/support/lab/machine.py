"""How a host boots: systemd-nspawn on an overlay of the base system, in the host's network and control group.

The overlay is mounted in a mount namespace that only this host's processes have: it is gone when they are. With
systemd the host boots as a machine does; a light one has sshd as its only service.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.lab import cgroups
from tests.support.lab.base import Layer
from tests.support.lab.command import PATH, LabError, until

__all__ = ["Machine", "boot", "first_process", "power_off"]

OFF_SECONDS = 30.0
NETWORK_SETTINGS = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}  # a host's own sysctls; all others are the machine's
POWER_OFF = signal.SIGRTMIN + 4  # to systemd, and to a light host's first process
# Its own session and mounts: a host is not a child of who happens to start it.
ALONE = ["setsid", "--fork", "unshare", "--mount", "--propagation", "private"]
NSPAWN = [
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--link-journal=no"),
    *("--resolv-conf=off", "--timezone=off", "--capability=CAP_NET_ADMIN"),
]
# The first process of a light host. As one that was executed it has the variable `container`, by which it can be seen
# that the host is a container; it takes in whoever loses his parent, as a first process must.
LIGHT = f"""
trap 'kill -TERM -1; exit' {int(POWER_OFF)}
mkdir -p /run/sshd
/usr/sbin/sshd -D -e &
wait $!
"""
# $1: the host's folder, $2: the lower folders, $3: the host's control groups, then nspawn's command.
START = """
for group in $3; do
  mkdir -p "$group"
  echo $$ > "$group/cgroup.procs"
done
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
shift 3
while :; do
  code=0
  "$@" || code=$?
  [ $code = 133 ] || exit $code  # of nspawn, when the host wants to start again
done
"""


@dataclass(frozen=True)
class Machine:
    """A host to be made: with systemd or a light one, and what it has beyond the base system."""

    name: str
    systemd: bool = True
    layer: Layer | None = None


def boot(machine: Machine, folder: Path, lower: Sequence[Path], group: str, namespace: str) -> None:
    """Switch the host on; it is on its way up when this returns. What it says goes to `folder`/console.log."""
    for part in ("upper", "work", "root"):
        (folder / part).mkdir(exist_ok=True)
    root = ["--boot"] if machine.systemd else ["/bin/sh", "-c", LIGHT]
    names = [f"--machine={group}", f"--hostname={machine.name}", f"--network-namespace-path=/run/netns/{namespace}"]
    nspawn = [*NSPAWN, *names, f"--directory={folder / 'root'}", *root]
    groups = " ".join(map(str, cgroups.groups(group)))
    arguments = [str(folder), ":".join(map(str, lower)), groups, *nspawn]
    with (folder / "console.log").open("ab") as log:
        starter = subprocess.Popen(
            [*ALONE, "sh", "-euc", START, "host", *arguments],
            env={"PATH": PATH, **NETWORK_SETTINGS},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    starter.wait(timeout=OFF_SECONDS)


def first_process(group: str) -> int | None:
    """This machine's id of the host's first process (its PID 1); None when the host is off."""
    for pid in cgroups.processes(group):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith("NSpid:") and len(ids := line.split()) > 2 and ids[-1] == "1":
                return pid
    return None


def power_off(group: str) -> None:
    """Let the host shut down by itself; whoever is still there after `OFF_SECONDS` is killed."""
    pid = first_process(group)
    if pid is not None:
        os.kill(pid, POWER_OFF)
        try:
            until(lambda: not cgroups.processes(group), "", OFF_SECONDS)
        except LabError:
            pass
    cgroups.kill(group)
