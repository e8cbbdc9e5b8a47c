"""The Debian packages of the servers: found, installed when we may, or a reason why not."""

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["missing_reason"]

INSTALL_SECONDS = 900.0
APT = ["apt-get", "-o", "DPkg::Lock::Timeout=400"]  # another apt-get may be at work


def missing_reason(package: str) -> str | None:
    """None when the Debian package is there, installed now if need be; else why it is not, in one line."""
    if is_installed(package):
        return None
    if not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        return f"{package} is not installed, and this is no Debian to install it on"
    if os.geteuid() != 0:
        return f"{package} is not installed: run `apt-get install --no-install-recommends {package}` as root"
    # RUNLEVEL=1 keeps the package from starting its own server
    environment = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*APT, "update"], [*APT, "install", "-y", "--no-install-recommends", package]):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    if done.returncode != 0 or not is_installed(package):
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        return f"apt-get install {package} failed: {last}"
    return None


def is_installed(package: str) -> bool:
    """Whether dpkg has the package fully installed."""
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", package]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.startswith("ii")
