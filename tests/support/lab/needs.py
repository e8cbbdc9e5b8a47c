"""What this machine must have before it can be a lab; Debian's packages are installed when we may."""

import os
import shutil
from pathlib import Path

from tests.support.lab.base import debian_release
from tests.support.lab.command import PATH, LabError, run
from tests.support.servers import packages

__all__ = ["PACKAGES", "missing_reason"]

# Debian's package, and a program of it
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "systemd-container": "systemd-nspawn",
    "iproute2": "ip",
    "iptables": "iptables",
    "openssh-client": "ssh",
}
CAP_SYS_ADMIN = 21


def missing_reason() -> str | None:
    """None when labs can be made here, which may take an installation; else why not, in one line."""
    if not _may_be_a_lab():
        return "test hosts take root, with CAP_SYS_ADMIN: run the tests as root on a Debian machine"
    try:
        debian_release()
        for package, program in PACKAGES.items():
            if shutil.which(program, path=PATH) is None and (reason := packages.missing_reason(package)):
                return reason
        if "overlay" not in Path("/proc/filesystems").read_text():
            run("modprobe", "overlay")
    except LabError as error:
        return f"test hosts: {error}"
    return None


def _may_be_a_lab() -> bool:
    """Whether we are root, and may make namespaces."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return os.geteuid() == 0 and bool(int(status["CapEff"], 16) >> CAP_SYS_ADMIN & 1)
