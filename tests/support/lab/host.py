"""One host of a lab: what an operator does with it (ssh), what may befall it (cut, kill), a way in for tests (run)."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from tests.support.lab import cgroups, keys
from tests.support.lab.command import PATH, LabError, run, until
from tests.support.lab.machine import Machine, boot, first_process, power_off
from tests.support.lab.network import Network

__all__ = ["Host"]

READY_SECONDS = 120.0  # two to three when the machine is idle
CONNECT_SECONDS = 20  # for a connection; a packet may have been lost when the cable was just put in
# Ready: a user who is not root may log in, which a system that is still booting refuses, and booting is over.
READY = "test ! -d /run/systemd/system || systemctl is-system-running --wait"
# Where the environment of logins, of sudo and of services comes from.
LOGINS = "/etc/environment"
SUDO = "/etc/sudoers.d/clock"
SERVICES = "/etc/systemd/system.conf.d/clock.conf"


class Host:
    """A host, on or off. Its folder holds its disk (`upper`), and what it said when booting (`console.log`)."""

    def __init__(self, machine: Machine, index: int, network: Network, folder: Path, lower: Sequence[Path]) -> None:
        self.machine = machine
        self.name = machine.name
        self.address = network.address(index)
        self.subnet = network.subnet
        self.folder = folder
        self._index = index
        self._network = network
        self._group = network.namespace(index)
        self.lower = lower

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.address} {'on' if self.running else 'off'}>"

    @property
    def running(self) -> bool:
        """Whether it is on."""
        return bool(cgroups.processes(self._group))

    @property
    def ansible(self) -> dict[str, str]:
        """Its variables in an inventory."""
        lab = self.folder.parents[1]
        return {
            "ansible_host": self.address,
            "ansible_user": keys.USER,
            "ansible_ssh_private_key_file": str(lab / keys.KEY),
            "ansible_ssh_common_args": f"-F {lab / keys.CONFIG}",
        }

    def ssh(
        self, command: str, *, user: str = keys.USER, text: str | None = None, timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as an operator would; LabError when it fails, unless `check` is off."""
        config = str(self.folder.parents[1] / keys.CONFIG)
        options = ["-F", config, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-l", user]
        return run("ssh", *options, self.address, command, text=text, timeout=timeout, check=check)

    def run(
        self, *command: str, text: str | None = None, timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside, without its network: this works on a host that is cut off, too."""
        pid = first_process(self._group)
        if pid is None:
            raise LabError(f"{self.name} is off")
        inside = ["nsenter", f"--target={pid}", "--all", "env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8"]
        return run(*inside, *command, text=text, timeout=timeout, check=check)

    def write(self, path: str, text: str, *, mode: str = "644", owner: str = "root") -> None:
        """Write a file, and the folders above it."""
        self.run("install", "-D", f"--mode={mode}", f"--owner={owner}", "/dev/stdin", path, text=text)

    def read(self, path: str) -> str:
        """The text of a file."""
        return self.run("cat", path).stdout

    def cut(self) -> AbstractContextManager[object]:
        """Pull the cable out, now; `with host.cut():` puts it back at its end."""
        self._network.set_cable(self._index, plugged=False)
        healing = ExitStack()
        healing.callback(self.heal)
        return healing

    def heal(self) -> None:
        """Put the cable back."""
        self._network.set_cable(self._index, plugged=True)

    def kill(self) -> None:
        """Power off as a failing supply would: nobody is told, the disk stays as it is, the kernel's settings go."""
        self._network.set_cable(self._index, plugged=False)
        cgroups.kill(self._group)
        self._gone()

    def stop(self) -> None:
        """Shut down in order."""
        power_off(self._group)
        self._gone()

    def furnish(self, names: str, operator: str) -> str:
        """Write what is this host's alone onto its disk, before it is on for the first time; its public host key."""
        key = self.folder / "host_key"
        public = keys.make_key(key, self.name)
        upper = self.folder / "upper"
        upper.mkdir()
        put = partial(_put, upper, self.lower)
        put("etc/hostname", f"{self.name}\n")
        put("etc/hosts", f"127.0.0.1 localhost\n{names}")
        put("etc/resolv.conf", Path("/etc/resolv.conf").read_text() if self._network.internet else "")
        put("etc/machine-id", f"{uuid.uuid4().hex}\n")
        put("etc/ssh/ssh_host_ed25519_key", key.read_text(), 0o600)
        put("etc/ssh/ssh_host_ed25519_key.pub", public)
        put(f"home/{keys.USER}/.ssh/authorized_keys", operator, 0o600)
        return public

    def switch_on(self) -> None:
        """Switch on, and return while it boots; `wait` for it."""
        if self.running:
            raise LabError(f"{self.name} is on already")
        self._network.plug(self._index)
        boot(self.machine, self.folder, self.lower, self._group, self._group)

    def wait(self) -> None:
        """Until an operator can log in and the host has booted; LabError with its console if it does not come up."""
        try:
            until(self._is_ready, self.name, READY_SECONDS)
        except LabError as error:
            console = (self.folder / "console.log").read_text(errors="replace")[-3000:]
            raise LabError(f"{error}; its console: {console}") from None

    def _is_ready(self) -> bool:
        try:
            return self.ssh(READY, timeout=READY_SECONDS, check=False).returncode != 255
        except LabError:  # no answer in time
            return False

    def start(self) -> None:
        """Switch on, with the disk as it was, and wait until it is ready."""
        self.switch_on()
        self.wait()

    def restart(self) -> None:
        """Shut down in order and start."""
        self.stop()
        self.start()

    def shift_clock(self, seconds: float) -> None:
        """Let logins and services from now on see a time of day that is off by so much; 0 is the true one again.

        The kernel has one clock for all hosts, so a library that is loaded into each process does it.
        """
        (library,) = self.run("sh", "-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1").stdout.split()
        variables = {"LD_PRELOAD": library, "FAKETIME": f"{seconds:+g}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        words = [f"{name}={value}" for name, value in variables.items()] if seconds else []
        self.write(LOGINS, "".join(f"{word}\n" for word in words))
        self.write(SUDO, f"Defaults env_file={LOGINS}\n", mode="440")
        if self.machine.systemd:
            self.write(SERVICES, f"[Manager]\nDefaultEnvironment={' '.join(words)}\n")
            self.run("systemctl", "daemon-reexec")

    def _gone(self) -> None:
        self._network.unplug(self._index)
        cgroups.remove(self._group)


def _put(upper: Path, lower: Sequence[Path], path: str, text: str, mode: int = 0o644) -> None:
    """Write a file of an overlay that is not mounted: owner and mode of its folders are those of the lower ones."""
    parent = upper
    for name in Path(path).parent.parts:
        parent /= name
        if not parent.exists():
            below = next(folder for part in lower if (folder := part / parent.relative_to(upper)).exists())
            parent.mkdir()
            shutil.copystat(below, parent)
            os.chown(parent, below.stat().st_uid, below.stat().st_gid)
    file = upper / path
    file.touch(mode)
    file.write_text(text)
    os.chown(file, parent.stat().st_uid, parent.stat().st_gid)
