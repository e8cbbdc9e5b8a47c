"""`make rel` from clean copies of the checkout: what a release holds, that it is always the same, that it works.

Two operators build the same release, for this machine's Python and for another one. The first has the package index.
The second has the wheels of the first and no index, another directory, umask, time zone, locale and hash seed, and
files of another age.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.operator import ROOT, Checkout
from tests.support.terminal import Shell, until
from tests.support.wheel import make_wheel

HEADER = '# /// script\n# dependencies = ["{}"]\n# ///\n"""A scenario."""\n\n\nasync def start(user_id):\n    pass\n'
# The first process of a place without a network; the server ends with it.
ALONE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc"]
SESSION = "ip link set lo up; bin/amoc server --port 5222 >server.log 2>&1 & bin/amoc console"
LOGINS = "amoc_local.status()['metrics'].get('amoc.counters.connections', {'value': 0})['value']"
OLD = 1_000_000_000  # a time of change in 2001

pytestmark = [pytest.mark.slow]


@dataclass(frozen=True)
class Release:
    """A release that was built in a checkout."""

    checkout: Checkout
    archive: Path
    targets: list[str]

    @property
    def sha256(self) -> str:
        """What it is, byte for byte."""
        return hashlib.sha256(self.archive.read_bytes()).hexdigest()

    def files(self) -> dict[str, bytes]:
        """Its files, by their path below the one top directory."""
        with tarfile.open(self.archive) as tar:
            return {
                entry.name.partition("/")[2]: file.read()
                for entry in tar
                if (file := tar.extractfile(entry)) is not None
            }


def both_targets() -> list[str]:
    """This machine's, and the same with another Python."""
    command = [sys.executable, str(ROOT / "tools/release/files/lib/install.py"), "--here"]
    here = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    python, _, platform = here.partition("-")
    return sorted([here, f"{'cp311' if python != 'cp311' else 'cp312'}-{platform}"])


def checked_out(folder: Path, **environment: str) -> Checkout:
    """A copy whose scenarios need `ours` in two ways, and the wheels of it that could serve."""
    checkout = Checkout(folder, {"TARGETS": " ".join(both_targets()), **environment})
    checkout.replace("group_vars/amoc", "interarrival: 50", "interarrival: 7")
    checkout.replace("scenarios/requirements.txt", "aiohttp>=3.9", "ours<2\naiohttp>=3.9")
    checkout.write("scenarios/asking.py", HEADER.format("ours>=1.1"))
    wheels = folder / "_rel" / "wheels"
    wheels.mkdir(parents=True)
    for version in ("1.0", "1.5", "2.0"):
        make_wheel(wheels, "ours", version=version)
    return checkout


def built(checkout: Checkout) -> Release:
    said = checkout.made("rel", timeout=240).text
    return Release(checkout, Path(said.splitlines()[-1]), both_targets())


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return built(checked_out(tmp_path_factory.mktemp("first") / "amoc"))


@pytest.fixture(scope="module")
def second(first: Release, tmp_path_factory: pytest.TempPathFactory) -> Release:
    habits = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1", "PIP_NO_INDEX": "1"}
    with umask(0o077):
        checkout = checked_out(tmp_path_factory.mktemp("second") / "another name for it", **habits)
        for wheel in (first.checkout.folder / "_rel" / "wheels").iterdir():
            shutil.copyfile(wheel, checkout.folder / "_rel" / "wheels" / wheel.name)
        for path in checkout.folder.rglob("*"):
            if ".venv" not in path.parts:
                path.chmod(path.stat().st_mode & 0o700)
                os.utime(path, (OLD, OLD))
        return built(checkout)


@pytest.mark.timeout(600)
def test_the_same_input_gives_the_same_bytes(first: Release, second: Release) -> None:
    assert second.archive != first.archive
    assert second.sha256 == first.sha256, [
        name for name, content in first.files().items() if second.files().get(name) != content
    ]


def test_every_target_has_its_wheels_and_none_is_too_much(first: Release) -> None:
    files = first.files()
    manifest: dict[str, Any] = json.loads(files["RELEASE"])
    assert manifest["targets"] == first.targets
    hashes = {hashlib.sha256(content).hexdigest(): name for name, content in files.items() if name.endswith(".whl")}
    used: set[str] = set()
    for target in first.targets:
        python = target.partition("-")[0]
        locked = {
            match[1]: hashes[match[2]]
            for match in re.finditer(r"^(\S+)==\S+ --hash=sha256:(\w+)$", files[f"locks/{target}.txt"].decode(), re.M)
        }
        assert f"-{python}-{python}-" in locked["uvloop"]
        assert {"amoc", "aiohttp", "slixmpp", "pyzmq", "ours"} <= locked.keys()
        used.update(locked.values())
    assert used == set(hashes.values())
    assert manifest["files"] == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "RELEASE"
    }


def test_requirements_of_all_scenarios_are_merged(first: Release) -> None:
    for target in first.targets:
        (line,) = [line for line in first.files()[f"locks/{target}.txt"].decode().splitlines() if "ours" in line]
        assert line.startswith("ours==1.5 ")


def test_scenarios_and_settings_are_in_it(first: Release) -> None:
    files = first.files()
    folder = first.checkout.folder / "scenarios"
    scenarios = {f"scenarios/{path.name}": path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {name: content for name, content in files.items() if name.startswith("scenarios/")} == scenarios
    assert tomllib.loads(files["app.config"].decode()) == {"interarrival": 7, "repeat_interval": 60000}


@pytest.mark.timeout(600)
def test_a_dependency_without_a_wheel_is_named_and_leaves_nothing(second: Release) -> None:
    folder, before = second.archive.parent, second.sha256
    there = sorted(folder.rglob("*"))
    second.checkout.write("scenarios/wanting.py", HEADER.format("absent-thing>=3"))
    done = second.checkout.make("rel", timeout=240)
    assert done.code != 0
    assert re.search(r"make rel: there is no wheel of absent-thing>=3 for Python 3\.1\d on \w+", done.text)
    assert re.search(r"\(wanted by scenarios/wanting\.py\b.*\): choose a version", done.text)
    assert sorted(folder.rglob("*")) == there
    assert second.sha256 == before


@pytest.mark.skipif(os.geteuid() != 0, reason="a place without a network takes root")
@pytest.mark.timeout(600)
def test_the_unpacked_release_works_where_there_is_no_network(first: Release, tmp_path: Path) -> None:
    with tarfile.open(first.archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (release,) = tmp_path.iterdir()
    home = tmp_path / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "NO_COLOR": "1", "PAGER": "cat"}
    environment |= {"PROMPT_TOOLKIT_NO_CPR": "1", "AMOC_XMPP_SERVERS": "127.0.0.1:5222", "LC_ALL": "C.UTF-8"}
    shell = Shell([*ALONE, SESSION], release, environment)
    try:
        shell.prompt(timeout=180)
        until(lambda: "listening on 127.0.0.1:5222" in (release / "server.log").read_text(), "the server")
        assert shell.run("amoc_config.get('interarrival')").endswith(": 7.0")
        assert "local: users 1 to 3" in shell.run("amoc_local.do(mongoose_simple, 1, 3)")
        shell.run_until(LOGINS, r": 3$")
        assert re.search(r"users  3 wanted", shell.run("amoc_local.users()"))
        assert "local: state finished" in shell.run("amoc_local.stop()")
        shell.ctrl_d()
        assert shell.ended() == 0
    finally:
        shell.kill()
