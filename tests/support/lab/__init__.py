"""Test hosts on this machine: each with a file system, an address, sshd and, unless it is a light one, systemd.

    with Lab([Machine("master"), Machine("slave1"), Machine("slave2", systemd=False)]) as lab:
        lab["slave1"].ssh("uname -n")             # as an operator: user `deploy`, who may sudo
        lab["slave1"].run("systemctl", "restart", "ssh")   # as root, whatever the network does
        with lab["slave1"].cut():
            ...                                   # the cable is out, all goes on inside

From outside to inside: `lab.py` (all hosts of one lab), `host.py` (one host), `machine.py` (how one boots:
systemd-nspawn on an overlay of the base system), `network.py` (namespaces and cables), `cgroups.py`, `keys.py`
(ssh, with known host keys), `base.py` (the base system, made once by mmdebstrap and kept in the user's cache),
`claims.py` (the number of a lab, and who tidies up after it), `needs.py` (what this machine must have). `ejabberd.py`
is a server on such a host.

Nothing is left behind: a lab ends with its `with`; when its process dies, however, a watcher ends it at once; and
should that one be killed too, the next lab does. `python -m tests.support.lab up 3` makes one that stays until
`down`. It takes root on a Debian machine; `missing_reason()` says what else is wanting.
"""

from tests.support.lab.command import LabError
from tests.support.lab.host import Host
from tests.support.lab.lab import Lab
from tests.support.lab.machine import Machine
from tests.support.lab.needs import missing_reason

__all__ = ["Host", "Lab", "LabError", "Machine", "missing_reason"]
