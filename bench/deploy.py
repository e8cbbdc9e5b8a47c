"""`make deploy` to 20 fresh hosts beside 2: seconds, and whose CPU they are.

The hosts are light ones of tests/support/lab (an overlay, an address, sshd, no systemd); root on Debian. All of them
share this machine's cores with Ansible, which machines of their own would not. So the CPU time of both is taken
apart: that of the controlling side (make, Ansible, ssh) and that of each host. With hosts that have cores of
their own, the time for 20 is that for 2 and what the controlling side has to do for 18 more; it is given for
a controlling side that keeps all cores busy, and for one that keeps one busy.
"""

import configparser
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from tests.support.lab import Host, Lab, Machine, cgroups, keys, missing_reason
from tests.support.lab.claims import CONNECTIONS
from tests.support.operator import Checkout

FEW, MANY = 2, 20
GOAL = 2.0
INVENTORY = """
[amoc-master]
{master}

[amoc-slave]
{slaves}

[amoc:children]
amoc-master
amoc-slave

[amoc:vars]
fileno=20000
{variables}
"""


@dataclass(frozen=True)
class Deploy:
    """What a deploy took. Seconds; megabytes."""

    hosts: int
    seconds: float
    controller: float
    """CPU of the controlling side."""
    each: list[float]
    """CPU of each host."""
    uploaded: list[float]
    """What each host received."""

    def __str__(self) -> str:
        return (
            f"{self.hosts:3} hosts  {self.seconds:6.1f} s   CPU: controlling side {self.controller:5.1f} s, "
            f"a host {median(self.each):.1f} s (most {max(self.each):.1f}), all hosts {sum(self.each):.1f} s   "
            f"uploaded {median(self.uploaded):.1f} MB a host, {sum(self.uploaded):.0f} MB in all"
        )


def main() -> None:
    """Deploy to a few and to many, all of them fresh, from the same release."""
    if reason := missing_reason():
        print(f"not measured: {reason}")
        return
    machines = [Machine(f"h{number}", systemd=False) for number in range(1, FEW + MANY + 1)]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        with Lab(machines) as lab:
            for host in lab.hosts:  # all that `make deploy` needs of `make prepare`
                host.run("useradd", "--create-home", "--shell", "/bin/bash", "amoc")
            print(f"{len(machines)} light hosts are up after {time.monotonic() - begun:.0f} s")
            checkout = Checkout(Path(folder) / "amoc", lab.environment)
            archive = Path(checkout.made("rel").text.splitlines()[-1])
            print(f"forks {forks(checkout)}, the release {archive.stat().st_size / 1e6:.1f} MB")
            few = deploy(lab, checkout, lab.hosts[:FEW])
            for host in lab.hosts[:FEW]:
                host.stop()  # their nodes would take from the others
            many = deploy(lab, checkout, lab.hosts[FEW:])
    cores = os.cpu_count() or 1
    more = many.controller - few.controller
    at_best, at_most = ((few.seconds + more / at_once) / few.seconds for at_once in (cores, 1))
    print(f"ratio {many.seconds / few.seconds:.2f} (goal: {GOAL:g}), all on these {cores} cores")
    print(f"with hosts of their own: {at_best:.2f}, the controlling side busy on {cores} cores; {at_most:.2f} on one")


def deploy(lab: Lab, checkout: Checkout, hosts: Sequence[Host]) -> Deploy:
    """`make deploy` to these hosts, the first of which is the master."""
    lines = [f"{host.name} ansible_host={host.address}" for host in hosts]
    same = {name: value for name, value in hosts[0].ansible.items() if name != "ansible_host"}
    variables = "\n".join(f"{name}='{value}'" for name, value in same.items())
    text = INVENTORY.format(master=lines[0], slaves="\n".join(lines[1:]), variables=variables)
    checkout.write("hosts", text)
    keys.close_connections(lab.folder / CONNECTIONS)  # those of an earlier deploy
    before = [received(host) for host in hosts]
    spent = [cpu_of_host(lab, host) for host in hosts]
    begun, cpu = time.monotonic(), cpu_here(lab)
    checkout.made("deploy")
    taken = Deploy(
        len(hosts),
        time.monotonic() - begun,
        cpu_here(lab) - cpu,
        [cpu_of_host(lab, host) - was for host, was in zip(hosts, spent, strict=True)],
        [(received(host) - was) / 1e6 for host, was in zip(hosts, before, strict=True)],
    )
    print(taken, flush=True)
    return taken


def forks(checkout: Checkout) -> str:
    """How many hosts Ansible serves at once."""
    settings = configparser.ConfigParser()
    settings.read(checkout.folder / "ansible.cfg")
    return settings["defaults"]["forks"]


def received(host: Host) -> int:
    """Bytes that the host has received."""
    for line in host.read("/proc/net/dev").splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == "eth0":
            return int(figures.split()[0])
    raise ValueError(f"{host.name} has no eth0")


def cpu_of_host(lab: Lab, host: Host) -> float:
    """CPU seconds of all that runs and ran on the host: every process there has a parent there that waits for it."""
    group = lab.network.namespace(lab.hosts.index(host) + 1)
    return sum(cpu_of(pid) for pid in cgroups.processes(group))


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of the children that it has waited for; 0 if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def cpu_here(lab: Lab) -> float:
    """CPU seconds of what we have started, and of ssh's shared connections, which nobody waits for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    folder = str(lab.folder / CONNECTIONS)
    shared = [
        cpu_of(process.pid)
        for process in psutil.process_iter(["cmdline"])
        if any(folder in word for word in process.info["cmdline"] or ())
    ]
    return children.ru_utime + children.ru_stime + sum(shared)


if __name__ == "__main__":
    main()
