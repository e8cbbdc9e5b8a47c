"""The base system of the hosts: made once, kept in the user's cache, made again when it is stale.

Debian as this machine's own apt sources have it, by mmdebstrap, with a user `deploy` who may sudo. A *layer* is what
further packages add to it: an overlay's upper folder. Both are only ever read by the hosts.

A system's folder is named after a digest of all that goes into it (packages, scripts, apt's sources and settings,
certificates, and the fortnight, for the packages' updates), so that a change makes a new one. What nobody has used for
a fortnight is removed.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.lab.command import LabError, run

__all__ = ["Layer", "System", "debian_release", "ensure"]

BUILD_SECONDS = 900.0  # half a minute with a near mirror
FORTNIGHT = 14 * 86400.0  # seconds
PACKAGES = (
    # the system, and what an operator has
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "ca-certificates", "iproute2", "procps"),
    # a Python as Debian has it; python3-apt and python3-packaging for ansible's apt and pip modules
    *("python3", "python3-venv", "python3-apt", "python3-packaging"),
    "libfaketime",  # another time of day for one host (Host.shift_clock)
)
CERTIFICATES = Path("/usr/local/share/ca-certificates")
# In the new system, as its root. $1: the password of `deploy`.
SETUP = """
useradd --create-home --shell /bin/bash deploy
echo "deploy:$1" | chpasswd
echo 'deploy ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/deploy
chmod 440 /etc/sudoers.d/deploy
install -d -m 700 -o deploy -g deploy /home/deploy/.ssh
rm -f /etc/ssh/ssh_host_*
printf 'HostKey /etc/ssh/ssh_host_ed25519_key\\nUseDNS no\\n' > /etc/ssh/sshd_config.d/lab.conf
systemctl --quiet enable ssh
systemctl --quiet mask systemd-networkd.service systemd-resolved.service apt-daily.timer apt-daily-upgrade.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer
update-ca-certificates >/dev/null
rm -f /etc/resolv.conf /etc/hostname /etc/hosts /var/lib/dbus/machine-id
: > /etc/machine-id
"""
# In a mount namespace of its own. $1: the layer's folder, $2: the base, $3: the layer's script, then its packages.
LAYER = """
cd "$1"; base=$2 setup=$3
shift 3
mkdir fs work root
mount -t overlay overlay -o "lowerdir=$base,upperdir=fs,workdir=work" root
mount -t proc proc root/proc
cp /etc/resolv.conf root/etc/resolv.conf
printf '#!/bin/sh\\nexit 101\\n' > root/usr/sbin/policy-rc.d  # asked by packages before they start a service
chmod 755 root/usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
chroot root apt-get -qq update
chroot root apt-get -qq install -y --no-install-recommends "$@"
chroot root sh -euc "$setup"
rm -rf root/etc/resolv.conf root/usr/sbin/policy-rc.d root/var/lib/apt/lists/* root/var/cache/apt/*
umount root/proc root
rm -rf work
"""


@dataclass(frozen=True)
class Layer:
    """Packages on top of the base system, and a script that is run as root in it when they are there."""

    name: str
    packages: tuple[str, ...]
    setup: str = ""


@dataclass(frozen=True)
class System:
    """What hosts are made from: overlay folders, topmost first, and the password of `deploy`."""

    folders: tuple[Path, ...]
    password: str


def ensure(layer: Layer | None = None) -> System:
    """The base system with the layer on it; what is not there or stale is made now, which may take a minute."""
    with _locked() as cache:
        fortnight = str(int(time.time() // FORTNIGHT))
        key = _digest(debian_release(), *PACKAGES, SETUP, *_apt_settings(), *_certificates().values(), fortnight)
        base = cache / f"base-{key}"
        if not base.exists():
            _make(base, _build_base)
        used = [base]
        if layer is not None:
            top = cache / f"{layer.name}-{_digest(key, repr(layer))}"
            if not top.exists():
                _make(top, partial(_build_layer, base=base / "fs", layer=layer))
            used.insert(0, top)
        for folder in used:
            os.utime(folder)
        for folder in cache.glob("*-*/"):
            if time.time() - folder.stat().st_mtime > FORTNIGHT:
                shutil.rmtree(folder)
        return System(tuple(folder / "fs" for folder in used), (base / "password").read_text())


def debian_release() -> str:
    """The code name of this machine's Debian; LabError on another system."""
    names = dict(line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines())
    if names.get("ID") != "debian" or "VERSION_CODENAME" not in names:
        raise LabError("test hosts are made from the machine's own Debian, and this is none")
    return names["VERSION_CODENAME"].strip('"')


@contextmanager
def _locked() -> Iterator[Path]:
    """The cache's folder; others who want it wait until a system is made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amoc-lab"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for broken in cache.glob("building-*/"):
            shutil.rmtree(broken)
        yield cache


def _make(target: Path, build: Callable[[Path], None]) -> None:
    """Build in a folder of its own; only what is complete gets its name."""
    folder = Path(tempfile.mkdtemp(prefix="building-", dir=target.parent))
    folder.chmod(0o755)
    try:
        build(folder)
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _build_base(folder: Path) -> None:
    system = folder / "fs"
    options = [f"--aptopt={option}" for option in _apt_settings()[1:]]
    # The machine's own sources, so that no mirror is named here.
    run(
        *("unshare", "--mount", "--propagation", "private", "mmdebstrap", "--quiet", "--mode=root"),
        *("--variant=minbase", f"--include={','.join(PACKAGES)}", *options, debian_release(), str(system), "-"),
        text=_apt_settings()[0],
        timeout=BUILD_SECONDS,
    )
    for name, text in _certificates().items():
        (system / CERTIFICATES.relative_to("/") / name).write_text(text)
    word = secrets.token_urlsafe(12)
    password = folder / "password"
    password.touch(0o600)
    password.write_text(word)
    run("chroot", str(system), "sh", "-euc", SETUP, "setup", word)


def _build_layer(folder: Path, base: Path, layer: Layer) -> None:
    run(
        *("unshare", "--mount", "--propagation", "private", "sh", "-euc", LAYER, "layer"),
        *(str(folder), str(base), layer.setup, *layer.packages),
        timeout=BUILD_SECONDS,
    )


def _apt_settings() -> list[str]:
    """The text of apt's sources on this machine, then each of its settings that bear on fetching from them."""
    files = [Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources")]
    sources = "\n".join(file.read_text() for file in files if file.exists())
    if not re.search(r"^(deb |URIs:)", sources, re.MULTILINE):
        raise LabError(f"no apt sources of Debian in {' or '.join(map(str, files))}")
    dump = run("apt-config", "dump").stdout.splitlines()
    return [sources, *(line for line in dump if re.match(r'Acquire::(https?::|Check-)\S* ".+"', line))]


def _certificates() -> dict[str, str]:
    """The certificate authorities that this machine trusts besides Debian's: its apt and pip may need them."""
    return {file.name: file.read_text() for file in sorted(CERTIFICATES.glob("*.crt"))}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
