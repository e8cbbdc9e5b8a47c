"""Filters that read the inventory: which slaves there are, how the master reaches them, what identifies them.

Pure: data in, data out.
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

__all__ = ["FilterModule", "busy", "known_hosts", "node_name", "slaves", "status", "targets"]

HostVars = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, list[str]]

MASTERS, SLAVES = "amoc-master", "amoc-slave"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """The filters by name."""
        return {
            "amoc_busy": busy,
            "amoc_known_hosts": known_hosts,
            "amoc_node_name": node_name,
            "amoc_slaves": slaves,
            "amoc_status": status,
            "amoc_targets": targets,
        }


def node_name(hostvars: HostVars, host: str, groups: Groups, role: str) -> str:
    """What the node of `role` on a host is called: node_name of the inventory, or the host's name.

    A host that is master and slave has two nodes: there node_name is the master's and slave_node_name the slave's.
    """
    variables = hostvars[host]
    if role == "slave" and host in groups.get(MASTERS, []):
        return str(variables.get("slave_node_name") or host)
    return str(variables.get("node_name") or host)


def slaves(hostvars: HostVars, groups: Groups, user: str) -> list[dict[str, Any]]:
    """The slaves in the inventory's order: `host`, `name`, `address`, `port` (22 if none is said).

    `entry` is what the setting `hosts` takes: NAME=USER@ADDRESS[:PORT].
    """
    found = []
    for host in groups.get(SLAVES, []):
        variables = hostvars[host]
        name = node_name(hostvars, host, groups, "slave")
        if name == "master" or name in (other["name"] for other in found):
            why = "is the master's own name" if name == "master" else "is there twice"
            raise AnsibleFilterError(
                f"the slave on {host} cannot be called {name}, which {why}: give it another node_name"
            )
        address = str(variables.get("amoc_address") or variables.get("ansible_host") or host)
        port = int(variables.get("ansible_port") or 22)
        at = address if port == 22 else f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        found.append({"host": host, "name": name, "address": address, "port": port, "entry": f"{name}={user}@{at}"})
    return found


def known_hosts(found: list[dict[str, Any]], hostvars: HostVars, before: list[str]) -> str:
    """The lines of the master's known_hosts: the keys that each slave has shown to us, else those known `before`."""
    lines = []
    for slave in found:
        pattern = slave["address"] if slave["port"] == 22 else "[{address}]:{port}".format(**slave)
        shown = (hostvars[slave["host"]].get("amoc_look_slave") or {}).get("host_keys")
        if shown:
            lines += [f"{pattern} {key}" for key in shown]
        else:
            lines += [line for line in before if line.partition(" ")[0] == pattern]
    return "".join(f"{line}\n" for line in lines)


def looks(hostvars: HostVars, groups: Groups) -> list[tuple[str, str, dict[str, Any]]]:
    """(host, role, what was found there) of every node; what was found is empty where nobody could look."""
    found = []
    for role, group in (("master", MASTERS), ("slave", SLAVES)):
        for host in groups.get(group, []):
            look = hostvars[host].get(f"amoc_look_{role}") or {}
            found.append((host, role, look if "install_dir" in look else {}))
    return found


def targets(hostvars: HostVars, groups: Groups) -> list[str]:
    """What a release must be built for."""
    return sorted({look["target"] for _, _, look in looks(hostvars, groups) if look.get("target")})


def busy(hostvars: HostVars, groups: Groups) -> list[str]:
    """The nodes on which a test runs, `host (master: running)`."""
    return [f"{host} ({role}: {look['state']})" for host, role, look in looks(hostvars, groups) if look.get("busy")]


def status(hostvars: HostVars, groups: Groups) -> list[str]:
    """A table of all nodes, a line each."""
    rows = [("host", "node", "role", "version", "state", "unit", "clock off by")]
    for host, role, look in looks(hostvars, groups):
        name = node_name(hostvars, host, groups, role)
        if not look:
            rows.append((host, name, role, "?", "not reached", "?", "?"))
            continue
        clock = f"{look['clock_offset']:+.3f} s (±{look['clock_error']:.3f})"
        unit = look["unit"] or "no unit"
        rows.append((host, name, role, look["current"] or "not deployed", look["state"], unit, clock))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
