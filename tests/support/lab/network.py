"""The network of a lab: a switch in a namespace of its own, a namespace per host, cables between them.

    this machine 198.18.N.1 ──cable── [ switch ] ──port I── eth0 198.18.N.(10+I) of host I

198.18.0.0/15 is set aside for tests between machines (RFC 2544), so it is nobody's. The switch is not in this
machine's own namespace: no firewall of this machine is between the hosts. They see each other and this machine,
nothing else, unless the lab has `internet`: then this machine forwards for them, and stays a forwarding machine.
"""

import shutil
from pathlib import Path

from tests.support.lab.command import PATH, run

__all__ = ["Network"]

NAMESPACES = Path("/run/netns")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


class Network:
    """The network of lab number `number`; it need not exist."""

    def __init__(self, number: int, *, internet: bool = False) -> None:
        self.number = number
        self.internet = internet
        self.name = f"amoc-lab{number}"
        self.subnet = f"198.18.{number}.0/24"
        self.gateway = f"198.18.{number}.1"

    def address(self, index: int) -> str:
        """The address of host `index`, counted from 1."""
        return f"198.18.{self.number}.{10 + index}"

    def namespace(self, index: int) -> str:
        """The network namespace of host `index`."""
        return f"{self.name}-{index}"

    def up(self) -> None:
        """Make the switch and plug this machine in."""
        _ip(f"netns add {self.name}", f"link add {self.name} type veth peer name uplink netns {self.name}")
        _ip(f"addr add {self.gateway}/24 dev {self.name}", f"link set {self.name} up")
        _ip(
            "link add switch type bridge",
            "link set switch up",
            "link set uplink master switch up",
            namespace=self.name,
        )
        if self.internet:
            FORWARDING.write_text("1")
            for rule in self._rules():
                run(*_iptables("-I", rule))

    def plug(self, index: int) -> None:
        """Make host `index` its namespace, and put its cable in.

        The hardware address is always the same: after a host's next start nobody holds a stale neighbour entry.
        """
        here, port, mac = self.namespace(index), f"port{index}", f"02:4c:00:00:{self.number:02x}:{index:02x}"
        _ip(f"netns add {here}")
        _ip(
            f"link add {port} type veth peer name eth0 address {mac} netns {here}",
            f"link set {port} master switch up",
            namespace=self.name,
        )
        _ip(
            "link set lo up",
            f"addr add {self.address(index)}/24 dev eth0",
            "link set eth0 up",
            *([f"route add default via {self.gateway}"] if self.internet else []),
            namespace=here,
        )

    def set_cable(self, index: int, plugged: bool) -> None:
        """Pull or put in the cable at the switch's end: addresses and routes inside stay."""
        _ip(f"link set port{index} {'up' if plugged else 'down'}", namespace=self.name)

    def unplug(self, index: int) -> None:
        """Take host `index`'s cable and namespace away; what is inside finds itself without a network."""
        if (NAMESPACES / self.name).exists():
            run("ip", "-n", self.name, "link", "del", f"port{index}", check=False)
        if (NAMESPACES / self.namespace(index)).exists():
            _ip(f"netns del {self.namespace(index)}")

    def down(self) -> None:
        """Take away all that is there of it."""
        for namespace in sorted(NAMESPACES.glob(f"{self.name}-*")):
            self.unplug(int(namespace.name.rpartition("-")[2]))
        run("ip", "link", "del", self.name, check=False)
        if (NAMESPACES / self.name).exists():
            _ip(f"netns del {self.name}")
        if shutil.which("iptables", path=PATH):
            for rule in self._rules():
                while run(*_iptables("-D", rule), check=False).returncode == 0:
                    pass

    def _rules(self) -> list[list[str]]:
        """Table, chain and rule of the way to the internet."""
        outward = ["-s", self.subnet, "!", "-d", self.subnet]
        return [
            ["nat", "POSTROUTING", *outward, "-j", "MASQUERADE"],
            ["filter", "FORWARD", "-i", self.name, "-j", "ACCEPT"],
            ["filter", "FORWARD", "-o", self.name, "-j", "ACCEPT"],
        ]


def _iptables(action: str, rule: list[str]) -> list[str]:
    table, chain, *rest = rule
    return ["iptables", "-w", "-t", table, action, chain, *rest]


def _ip(*lines: str, namespace: str | None = None) -> None:
    """Several commands of ip(8) in one process: the twenty hosts of a lab take more than a hundred."""
    where = ["-n", namespace] if namespace else []
    run("ip", *where, "-batch", "-", text="\n".join(lines) + "\n")
