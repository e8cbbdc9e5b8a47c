"""An install directory on a host: its versions, the one in use, its node.

    .amoc-install         says that the directory is amoc's, and whose: `master` or `slave`
    versions/ID/          a release, unpacked, with its virtual environment and its app.config
    current               a link to the version in use: replaced in one step, it always leads somewhere
    bin, app.config, scenarios   links through `current`
    history               the ids that were in use, the present one last
    .applied              what the node was last stopped for: a hash of version, settings, unit and key
    keys/, .amoc/         the node's keys; its socket, log, results, state

Runs on the host, by Ansible's modules beside it: Python 3.8 and nothing but its library. What changes something is
done by the service user, in `as_user`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.amoc_user import Problem, account

MARK = ".amoc-install"
LINKS = ("bin", "app.config", "scenarios")
STOP_TIMEOUT = 120  # `amoc stop` gives up after 60 s; its interpreter needs some more on a busy host
INSTALL_TIMEOUT = 600
BUSY = ("starting", "running", "terminating")


class InstallDir:
    """The directory at `path`, for a node of `role`."""

    def __init__(self, path: str, role: str) -> None:
        self.path = path
        self.role = role

    def at(self, *names: str) -> str:
        """A path below the directory."""
        return os.path.join(self.path, *names)

    # what there is

    def whose(self) -> str:
        """`absent`, `empty`, `ours`, `other` (amoc's, but of another role) or `foreign`."""
        if not os.path.lexists(self.path):
            return "absent"
        mark = _text(self.at(MARK)).strip()
        if mark:
            return "ours" if mark == self.role else "other"
        if os.path.isdir(self.path) and not os.path.islink(self.path) and not os.listdir(self.path):
            return "empty"
        return "foreign"

    def current(self) -> str:
        """The id of the version in use, or an empty text; a link to nothing is none."""
        try:
            link = os.readlink(self.at("current"))
        except OSError:
            return ""
        name = os.path.basename(link)
        return name if self.complete(name) else ""

    def complete(self, release: str) -> bool:
        """Whether version `release` is there as a whole."""
        return bool(release) and os.path.exists(self.at("versions", release, "venv", ".complete"))

    def versions(self) -> list[str]:
        """The ids of all complete versions."""
        try:
            return sorted(name for name in os.listdir(self.at("versions")) if self.complete(name))
        except OSError:
            return []

    def history(self) -> list[str]:
        """The ids that were in use, the present one last; only those that are still there."""
        return [line for line in _text(self.at("history")).split() if self.complete(line)]

    def running(self) -> int:
        """The pid of the node that runs here, or 0: told by the lock that a node holds on its pid file."""
        try:
            with open(self.at(".amoc", "node.pid"), encoding="ascii") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read().strip() or -1)
        except (OSError, ValueError):
            pass
        return 0

    def status(self) -> dict[str, Any]:
        """What the node that runs here says of itself; empty if none does or it does not answer."""
        if not self.running():
            return {}
        done = self._amoc("status", "--json", timeout=30)
        try:
            return json.loads(done.stdout) if done.returncode == 0 else {}
        except ValueError:
            return {}

    # what is done

    def claim(self, user: str) -> None:
        """Make the directory for `user` and mark it; by root. Raises Problem if it is somebody else's."""
        self.refuse_others()
        entry = account(user)
        missing = []
        path = self.path
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            os.mkdir(path, 0o755)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        owner = os.stat(self.path).st_uid
        if owner != entry.pw_uid:
            raise Problem(f"{self.path} belongs to user {owner}, not to {user}: change its owner, or user in hosts")
        if not os.path.exists(self.at(MARK)):
            write(self.at(MARK), self.role + "\n", 0o644)
            os.chown(self.at(MARK), entry.pw_uid, entry.pw_gid)

    def refuse_others(self) -> None:
        """Raises Problem if the directory is not ours to use."""
        whose = self.whose()
        if whose == "foreign":
            raise Problem(
                f"{self.path} is there and not amoc's (it has no {MARK}): choose another {self.role}_install_dir in "
                "hosts, or move it away"
            )
        if whose == "other":
            raise Problem(
                f"{self.path} is the directory of this host's other amoc node: master_install_dir and "
                "slave_install_dir in hosts must differ"
            )

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other installation is at work here, and keep others waiting; the directory is claimed."""
        with open(self.at(MARK), encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def install(self, archive: str, release: str, python: str) -> None:
        """Unpack the archive as version `release` and make its environment of `python`; whole or not at all."""
        folder = self.at("versions", release)
        draft = folder + ".new"
        for leftover in (draft, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        os.makedirs(draft)
        try:
            _unpack(archive, draft)
            manifest = _json(os.path.join(draft, "RELEASE"))
            if manifest.get("id") != release:
                raise Problem(
                    "{} is release {}, not {}: run make deploy again".format(archive, manifest.get("id"), release)
                )
            _check(draft, manifest["files"])
            os.replace(draft, folder)
            self._make_environment(folder, python)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _make_environment(self, folder: str, python: str) -> None:
        # bin/amoc does it at its first use, whoever calls it
        done = subprocess.run(
            [os.path.join(folder, "bin", "amoc"), "--version"],
            env={**os.environ, "AMOC_PYTHON": python},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise Problem(_last_line(done.stdout).replace("amoc: ", "", 1))

    def fingerprint(self, release: str, files: list[str]) -> str:
        """A hash of what the node of a version starts with: the version and the content of `files`."""
        told = hashlib.sha256(release.encode())
        for path in [self.at("versions", release, "app.config"), *files]:
            try:
                with open(path, "rb") as file:
                    told.update(hashlib.sha256(file.read()).digest())
            except OSError:
                told.update(b"-")
        return told.hexdigest()

    def applied(self) -> str:
        """The fingerprint of what is in use."""
        return _text(self.at(".applied")).strip()

    def activate(self, release: str, keep: int) -> None:
        """Have `current` lead to version `release`, in one step, and drop all but the `keep` versions before it."""
        if not self.complete(release):
            raise Problem(f"version {release} is not in {self.path}: run make deploy")
        history = [name for name in self.history() if name != release] + [release]
        link(os.path.join("versions", release), self.at("current"))
        for name in LINKS:
            link(os.path.join("current", name), self.at(name))
        write(self.at("history"), "".join(name + "\n" for name in history), 0o644)
        self._prune(history[-1 - keep :])

    def roll_back(self, release: str, keep: int) -> None:
        """Have `current` lead to `release`, and forget what was in use after it; its files stay until a deploy."""
        history = self.history()
        if release not in history:
            raise Problem(
                "version {} was never in use in {}: there are {}".format(release, self.path, ", ".join(history))
            )
        self.activate(release, keep + 1)
        write(self.at("history"), "".join(name + "\n" for name in history[: history.index(release) + 1]), 0o644)

    def _prune(self, kept: list[str]) -> None:
        for name in os.listdir(self.at("versions")):
            if name not in kept:
                shutil.rmtree(self.at("versions", name), ignore_errors=True)

    def stop(self) -> bool:
        """End the node that runs here by its own command. True if one did."""
        if not self.running():
            return False
        done = self._amoc("stop", timeout=STOP_TIMEOUT)
        if self.running():
            raise Problem(f"the node here does not stop: {_last_line(done.stdout + done.stderr)}")
        return True

    def start(self) -> bool:
        """Start a node in the background. True if none ran.

        A master that runs without all its slaves is started: they may be deployed only after it.
        """
        if self.running():
            return False
        done = self._amoc("start", timeout=STOP_TIMEOUT)
        if not self.running():
            raise Problem(f"the node does not start: {_last_line(done.stdout + done.stderr)}")
        return True

    def remove(self, everything: bool) -> bool:
        """Remove what a deploy has put here; with `everything` also the node's results and log. True if it did."""
        if self.whose() in ("absent", "empty"):
            return False
        self.refuse_others()
        kept = () if everything else (MARK, ".amoc")
        removed = False
        for name in os.listdir(self.path):
            if name in kept:
                continue
            path = self.at(name)
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            removed = True
        if everything:
            with contextlib.suppress(OSError):
                os.rmdir(self.path)  # its parent may be root's
        return removed

    def _amoc(self, *arguments: str, timeout: float) -> subprocess.CompletedProcess[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AMOC_")}
        try:
            return subprocess.run(
                [self.at("bin", "amoc"), *arguments],
                cwd=self.path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Problem(f"`amoc {arguments[0]}` has not ended within {timeout} s") from None
        except OSError as error:
            raise Problem("{} cannot be run: {}".format(self.at("bin", "amoc"), error.strerror)) from None


def write(path: str, text: str, mode: int) -> None:
    """Write a file whole or not at all, from the first moment with its mode."""
    draft = f"{path}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def link(target: str, path: str) -> None:
    """Have `path` be a link to `target`, replaced in one step."""
    if os.path.islink(path) and os.readlink(path) == target:
        return
    draft = f"{path}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    os.symlink(target, draft)
    os.replace(draft, path)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def _json(path: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _unpack(archive: str, folder: str) -> None:
    """Files and directories of a tar.gz, without its one top directory; anything else in it is refused."""
    with tarfile.open(archive, "r:gz") as tar:
        for entry in tar:
            name = entry.name.partition("/")[2]
            if not name:
                continue
            path = os.path.normpath(os.path.join(folder, name))
            if not path.startswith(folder + os.sep) or not (entry.isfile() or entry.isdir()):
                raise Problem(f"{archive} is not a release: it holds {entry.name}")
            if entry.isdir():
                os.makedirs(path, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                shutil.copyfileobj(tar.extractfile(entry), file)
            os.chmod(path, 0o755 if entry.mode & 0o100 else 0o644)


def _check(folder: str, hashes: dict[str, str]) -> None:
    for name, sha256 in hashes.items():
        try:
            with open(os.path.join(folder, name), "rb") as file:
                found = hashlib.sha256(file.read()).hexdigest()
        except OSError:
            found = ""
        if found != sha256:
            raise Problem(f"{name} of the release is missing or damaged: run make deploy again")


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
