"""A lab leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lab import Lab, LabError, Machine, cgroups, claims, host
from tests.support.lab.command import run, until
from tests.support.lab.network import NAMESPACES

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[3]
LIGHT = Machine("light", systemd=False)
# A lab in a process of its own, which goes on until it is killed.
HOLDER = """
import sys
from tests.support.lab import Lab, Machine

with Lab([Machine("light", systemd=False)]) as lab:
    print(lab.folder, flush=True)
    sys.stdin.read()
"""


def traces(folder: Path) -> list[str]:
    """What there is of the lab in `folder`: files, namespaces, links, control groups, rules of the firewall."""
    name = f"amoc-lab{folder.name}"
    found = [str(folder)] if folder.exists() else []
    found += [path.name for path in NAMESPACES.glob(f"{name}*")]
    found += [path.name for path in Path("/sys/class/net").glob(name)]
    found += [str(group) for root in cgroups.groups("") for group in root.glob(f"{name}-*")]
    found += [
        line
        for table in ("nat", "filter")
        for line in _rules(table)
        if name in line or f"198.18.{folder.name}." in line
    ]
    return found


def _rules(table: str) -> list[str]:
    return run("iptables", "-w", "-t", table, "-S").stdout.splitlines()


def command(*arguments: str) -> str:
    """What `python -m tests.support.lab` says."""
    return run(sys.executable, "-m", "tests.support.lab", *arguments).stdout


def holder() -> tuple["subprocess.Popen[str]", Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def killed(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_a_lab_ends_with_its_block() -> None:
    with Lab([LIGHT], internet=True) as lab:
        found = " ".join(traces(lab.folder))
        for kind in (str(lab.folder), "-1 ", "/sys/fs/cgroup/", "MASQUERADE", "FORWARD"):
            assert kind in found
        assert "via 198.18." in lab["light"].run("ip", "route", "get", "192.0.2.1").stdout
    assert traces(lab.folder) == []


def test_a_lab_that_does_not_come_up_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "READY", "exit 255")
    monkeypatch.setattr(host, "READY_SECONDS", 1.0)
    lab = Lab([LIGHT])
    with pytest.raises(LabError, match=r"for light; its console: "):
        lab.up()
    assert traces(lab.folder) == []


def test_a_lab_ends_with_its_process_when_that_is_killed() -> None:
    process, folder = holder()
    assert traces(folder)
    killed(process)
    until(lambda: not traces(folder), f"the watcher of {folder}", 10)


def test_a_lab_that_nobody_watches_is_taken_away_by_the_next() -> None:
    process, folder = holder()
    (watcher,) = (int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _watches(pid, folder.name))
    os.kill(watcher, signal.SIGKILL)
    killed(process)
    assert traces(folder)
    with Lab([LIGHT]) as lab:
        assert lab.folder == folder or traces(folder) == []


def _watches(pid: str, number: str) -> bool:
    try:
        return f"tests.support.lab\0watch\0{number}\0" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def test_labs_at_a_time_have_nothing_in_common() -> None:
    with Lab([LIGHT]) as one, Lab([LIGHT]) as other:
        assert one.folder != other.folder
        assert not {each["light"].address for each in (one, other)} <= {one["light"].address}
        with pytest.raises(LabError, match="Permission denied"):
            run("ssh", "-F", str(other.folder / "ssh_config"), "-o", "StrictHostKeyChecking=no", one["light"].address)
    assert traces(one.folder) == traces(other.folder) == []


def test_hosts_have_names_of_their_own() -> None:
    with pytest.raises(LabError, match="a name of its own"):
        Lab([LIGHT, LIGHT])
    with pytest.raises(LabError, match="1 to 200 hosts"):
        Lab([])


def test_a_person_makes_hosts_disturbs_them_and_takes_them_away() -> None:
    shown = command("up", "1:light", "--label", "test-of-the-lab").partition("lab ")[2]
    folder = claims.STATE / shown.partition(":")[0]
    try:
        name = f"{folder.name}/light1"
        assert (claims.STATE / "test-of-the-lab").resolve() == folder
        assert "light1" in command("status")
        login = ["ssh", "-F", str(folder / "ssh_config"), "-o", "ConnectTimeout=1", "light1", "uname -n"]
        assert run(*login).stdout == "light1\n"
        command("cut", name)
        assert run(*login, check=False).returncode == 255
        command("heal", name)
        until(lambda: run(*login, check=False).returncode == 0, "the healed host", 10)
        command("kill", name)
        assert "off, light" in command("status").partition(str(folder))[2]
        command("start", name)
        assert run(*login).stdout == "light1\n"
        with pytest.raises(LabError, match="0 hosts are called nobody"):
            command("cut", "nobody")
    finally:
        command("down", "test-of-the-lab")
    assert traces(folder) == []
    assert not (claims.STATE / "test-of-the-lab").is_symlink()
