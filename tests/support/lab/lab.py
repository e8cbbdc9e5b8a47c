"""A lab: some hosts on one network, made and ended together.

`with Lab([Machine("master"), Machine("slave")]) as lab:`. What it is made of is written into its folder, so that
another process (`python -m tests.support.lab`) finds it: `Lab.load`.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from tests.support.lab import base, keys
from tests.support.lab.claims import CONNECTIONS, Claim, folders
from tests.support.lab.command import LabError
from tests.support.lab.host import Host
from tests.support.lab.machine import Machine
from tests.support.lab.network import Network

__all__ = ["Lab"]

RECORD = "lab.json"
MOST = 200  # hosts: the addresses there are


class Lab:
    """The hosts, in the order of `machines`, and by name.

    `internet`: they reach what this machine reaches; otherwise each other and this machine only.
    """

    def __init__(self, machines: Sequence[Machine], *, internet: bool = False) -> None:
        if len({machine.name for machine in machines}) != len(machines) or not 0 < len(machines) <= MOST:
            raise LabError(f"a lab has 1 to {MOST} hosts, each with a name of its own")
        self._machines = list(machines)
        self._internet = internet
        self._claim: Claim | None = None
        self.hosts: list[Host] = []

    @classmethod
    def load(cls, folder: Path) -> "Lab":
        """A lab that is up, whoever holds it: to look at and to disturb, not to end."""
        record = json.loads((folder / RECORD).read_text())
        lab = cls([Machine(host["name"], host["systemd"]) for host in record["hosts"]], internet=record["internet"])
        lab._settle(folder, [[Path(part) for part in host["lower"]] for host in record["hosts"]])
        return lab

    @classmethod
    def all(cls) -> list["Lab"]:
        """The labs that are up."""
        return [cls.load(folder) for folder in folders() if (folder / RECORD).exists()]

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def __getitem__(self, name: str) -> Host:
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(f"no host {name}; there are {', '.join(host.name for host in self.hosts)}")

    def up(self) -> None:
        """Make the hosts and wait until each is ready; if one does not come up, none stays."""
        systems = {machine.layer: base.ensure(machine.layer) for machine in self._machines}
        self._claim = Claim.new()
        try:
            self._settle(self._claim.folder, [systems[machine.layer].folders for machine in self._machines])
            self.password = systems[self._machines[0].layer].password
            self._record()
            self.network.up()
            public = keys.make_key(self.folder / keys.KEY, "operator of the lab")
            names = "".join(f"{host.address} {host.name}\n" for host in self.hosts)
            known = {host.name: (host.address, host.furnish(names, public)) for host in self.hosts}
            keys.write_config(self.folder, known)
            for host in self.hosts:
                host.switch_on()
            with ThreadPoolExecutor(len(self.hosts)) as waiting:
                list(waiting.map(Host.wait, self.hosts))
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Take all of it away."""
        if self._claim is not None:
            claim, self._claim = self._claim, None
            claim.demolish()
            claim.release()

    def keep(self, label: str | None = None) -> None:
        """Let it be up after this process, findable by `label`."""
        if self._claim is not None:
            claim, self._claim = self._claim, None
            claim.keep(label)

    @property
    def environment(self) -> dict[str, str]:
        """What ansible needs to be told so that nothing of it outlives the lab: connections and temporary files."""
        return {
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / CONNECTIONS),
        }

    def _record(self) -> None:
        hosts = [
            {
                "name": host.name,
                "address": host.address,
                "systemd": host.machine.systemd,
                "lower": list(map(str, host.lower)),
            }
            for host in self.hosts
        ]
        (self.folder / RECORD).write_text(json.dumps({"internet": self._internet, "hosts": hosts}, indent=1))

    def _settle(self, folder: Path, lowers: Sequence[Sequence[Path]]) -> None:
        self.folder = folder
        self.network = Network(int(folder.name), internet=self._internet)
        self.hosts = []
        for index, (machine, lower) in enumerate(zip(self._machines, lowers, strict=True), start=1):
            disk = folder / "hosts" / machine.name
            disk.mkdir(parents=True, exist_ok=True)
            self.hosts.append(Host(machine, index, self.network, disk, lower))
