"""Slaves on other machines, started and stopped over ssh.

Runs in the master's process. `hosts` (pure) reads the setting, `remote` (pure) says what is typed at a slave's
shell, `ssh` types it there with Fabric, `fleet` does it on all hosts at once.
May import: errors.
"""

from amoc.launch.fleet import Fleet
from amoc.launch.hosts import Host, read_hosts

__all__ = ["Fleet", "Host", "read_hosts"]
