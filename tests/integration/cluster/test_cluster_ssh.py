"""Hosts that ssh cannot use, against a real sshd: each has its own error, the others go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amoc.errors import BadInput
from amoc.launch import Fleet, read_hosts
from tests.support.servers.process import free_ports
from tests.support.sshd import Sshd

pytestmark = pytest.mark.sshd


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    with Sshd(tmp_path / "sshd") as running:
        monkeypatch.setenv("HOME", str(running.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory whose amoc starts, and does not stop."""
    path = tmp_path / "slave"
    (path / "bin").mkdir(parents=True)
    script = path / "bin" / "amoc"
    script.write_text('#!/bin/sh\n[ "$1" = start ] && exit 0\necho "amoc: no node runs" >&2\nexit 1\n')
    script.chmod(0o755)
    return path


def fleet_of(entries: list[str], path: Path) -> Fleet:
    """The fleet of these entries; the master has keys of s1 to s4."""
    return Fleet(read_hosts(entries), str(path), lambda: ["s1", "s2", "s3", "s4"])


async def error(fleet: Fleet) -> str:
    """What is wrong with the one host of the fleet."""
    (outcome,) = (await fleet.start()).values()
    return outcome["error"]


async def test_each_host_has_its_own_outcome(sshd: Sshd, place: Path) -> None:
    (closed,) = free_ports(1)
    entries = [f"s1={sshd.entry}", f"s2={sshd.entry}", f"s3=127.0.0.1:{closed}", "s4=no-such-host.invalid"]
    told: list[tuple[str, str]] = []
    fleet = fleet_of(entries, place)
    outcomes = await fleet.start(tell=lambda level, text: told.append((level, text)))
    assert list(outcomes) == ["s1", "s2", "s3", "s4"]
    assert outcomes["s1"] == outcomes["s2"] == {"state": "started"}
    assert outcomes["s3"]["error"] == f"ssh cannot reach 127.0.0.1:{closed}: connection refused"
    assert outcomes["s4"]["error"].startswith("ssh cannot reach no-such-host.invalid: there is no such host")
    assert sorted(level for level, _ in told) == ["ERROR", "ERROR", "INFO", "INFO"]
    assert ("INFO", f"slave s1 ({sshd.entry}): started") in told
    assert await fleet.stop(["s2"]) == {"s2": {"error": "`amoc stop` failed: no node runs"}}
    with pytest.raises(BadInput, match="no host is called s9; hosts has: s1, s2, s3, s4"):
        await fleet.stop(["s1", "s9"])


async def test_a_host_that_is_not_known(sshd: Sshd, place: Path) -> None:
    sshd.forget()
    fleet = fleet_of([f"s1={sshd.entry}"], place)
    assert "its host key is not known (ssh-ed25519 SHA256:" in await error(fleet)
    assert "ssh-keyscan -H -p" in await error(fleet)
    assert (sshd.home / ".ssh" / "known_hosts").read_text() == "", "nothing is trusted at first sight"
    elsewhere = sshd.home / "trusted"
    sshd.trust()
    (sshd.home / ".ssh" / "known_hosts").rename(elsewhere)
    (sshd.home / ".ssh" / "config").write_text(f"Host 127.0.0.1\n  UserKnownHostsFile {elsewhere}\n")
    assert await fleet.start() == {"s1": {"state": "started"}}


async def test_a_host_that_is_another_one_than_before(sshd: Sshd, place: Path) -> None:
    sshd.change_host_key()
    text = await error(fleet_of([f"s1={sshd.entry}"], place))
    assert "its host key is not the one in known_hosts (ssh-ed25519 SHA256:" in text
    assert f"`ssh-keygen -R '[127.0.0.1]:{sshd.port}'`" in text


async def test_a_login_that_is_refused(sshd: Sshd, place: Path) -> None:
    sshd.lock_out()
    text = await error(fleet_of([f"s1={sshd.entry}"], place))
    assert "ssh does not let us in" in text
    assert f"`ssh -p {sshd.port} {sshd.user}@127.0.0.1` must work without a password" in text


async def test_a_directory_that_is_gone(sshd: Sshd, place: Path) -> None:
    gone = place / "gone"
    text = await error(fleet_of([f"s1={sshd.entry}"], gone))
    assert text == f"there is no amoc in {gone} (no bin/amoc): deploy it there, or set path"


async def test_a_slave_whose_key_is_not_listed(sshd: Sshd, place: Path) -> None:
    outcomes = await fleet_of([f"s1={sshd.entry}", f"s9={sshd.entry}"], place).start()
    assert outcomes["s1"] == {"state": "started"}
    assert outcomes["s9"]["error"] == "the master has no key of it and would turn it away: `amoc keys new s9`"
