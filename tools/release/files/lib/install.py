"""Make the virtual environment of this release from its own wheels: no network, no other tool than Python.

    install.py           make `venv` beside `lib`, unless it is there and complete
    install.py --fits    exit code 0 if this Python is one that the release was built for
    install.py --here    the target that this Python is; exit code 1 if amoc cannot use it

A wheel is a zip file whose content belongs into site-packages (PEP 427); there is nothing to resolve or to build, so
that pip (Debian's python3-venv) need not be there. Programs and manual pages in wheels are left out. The file is read
by any Python 3, so that an old one is told what is wanted. Two at once wait for each other; one that was broken off
is done again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

# read from standard input, for `--here`, it is nowhere
RELEASE = Path(os.path.abspath(globals().get("__file__", "lib/install.py"))).parent.parent
LEAST = (3, 11)
VENV = RELEASE / "venv"
COMPLETE = VENV / ".complete"
# Imported once at the end: proof that the wheels work on this machine, and compiled for the nodes, which may not write.
PROOF = "import amoc.cli.console, amoc.cli.foreground, amoc.cli.run, amoc.worker.main"


def main() -> None:
    """Do what the arguments say; an error is one line and exit code 1."""
    if sys.argv[1:] == ["--here"]:
        print(here())
        sys.exit(0 if sys.version_info >= LEAST and sys.implementation.name == "cpython" else 1)
    manifest = json.loads((RELEASE / "RELEASE").read_text(encoding="utf-8"))
    target = fitting(manifest["targets"])
    if sys.argv[1:] == ["--fits"]:
        sys.exit(0 if target else 1)
    if target is None:
        sys.exit(
            f"amoc: this release is for {' and '.join(manifest['targets'])}; here is {here()}: choose another Python "
            f"with AMOC_PYTHON=/path/to/python, or build a release with `make rel TARGETS={here()}`"
        )
    try:
        with only_one():
            if not COMPLETE.exists():
                install(target)
    except (OSError, zipfile.BadZipFile, subprocess.CalledProcessError) as error:
        sys.exit("amoc: {} could not be made: {}".format(VENV, getattr(error, "strerror", None) or error))


def here() -> str:
    """This Python, C library and processor, written as a target."""
    libc, version = platform.libc_ver()
    name = "manylinux_{}".format(version.replace(".", "_")) if libc == "glibc" else musl()
    machine = sysconfig.get_platform().partition("-")[2].replace("-", "_")
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{name}_{machine}"


def musl() -> str:
    """The tag of musl, whose loader says its version when it is run."""
    for loader in Path("/lib").glob("ld-musl-*.so.1"):
        said = subprocess.run([str(loader)], stderr=subprocess.PIPE, check=False).stderr.decode(errors="replace")
        for line in said.splitlines():
            if line.startswith("Version "):
                return "musllinux_" + "_".join(line.split()[1].split(".")[:2])
    return "linux"


def fitting(targets: list[str]) -> str | None:
    """The best of `targets` for this Python, or None."""
    python, libc, version, machine = parts(here())
    fit = [
        (parts(target)[2], target)
        for target in targets
        if parts(target)[:2] == (python, libc) and parts(target)[3] == machine and parts(target)[2] <= version
    ]
    return max(fit)[1] if fit else None


def parts(target: str) -> tuple[str, str, tuple[int, ...], str]:
    """`cp311-manylinux_2_36_x86_64` as ("cp311", "manylinux", (2, 36), "x86_64")."""
    python, _, platform_tag = target.partition("-")
    libc, _, rest = platform_tag.partition("_")
    words = rest.split("_", 2)
    if len(words) < 3 or not (words[0].isdigit() and words[1].isdigit()):
        return python, libc, (), rest
    return python, libc, (int(words[0]), int(words[1])), words[2]


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Wait for another one that installs this release."""
    with (RELEASE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(target: str) -> None:
    """Make the environment anew and fill it; `.complete` is written last."""
    print(f"amoc: installing {RELEASE.name} for {target}, once", file=sys.stderr, flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(VENV)
    (packages,) = VENV.glob("lib/python3.*/site-packages")
    wheels = {digest(path): path for path in (RELEASE / "wheels").glob("*.whl")}
    for line in (RELEASE / "locks" / (target + ".txt")).read_text(encoding="utf-8").splitlines():
        wanted, _, sha256 = line.partition(" --hash=sha256:")
        if sha256 not in wheels:
            raise OSError(f"the wheel of {wanted} is missing or damaged: unpack the release again")
        unpack(wheels[sha256], packages)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(VENV / "bin" / "python"), "-c", PROOF]
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, cwd=str(VENV), check=True)
    COMPLETE.touch()


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unpack(wheel: Path, packages: Path) -> None:
    """Put what a wheel holds into site-packages; of its `.data`, only what belongs there, too."""
    with zipfile.ZipFile(str(wheel)) as archive:
        for name in archive.namelist():
            top, _, rest = name.partition("/")
            if not top.endswith(".data"):
                archive.extract(name, str(packages))
            elif rest.startswith(("purelib/", "platlib/")) and not name.endswith("/"):
                path = packages / rest.partition("/")[2]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


if __name__ == "__main__":
    main()
