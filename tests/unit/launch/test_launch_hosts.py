"""The setting `hosts`."""

import pytest

from amoc.errors import BadInput
from amoc.launch import Host, read_hosts


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("10.0.0.1", Host("10.0.0.1", "10.0.0.1")),
        ("slave1.example.org", Host("slave1.example.org", "slave1.example.org")),
        ("amoc@10.0.0.1:2222", Host("10.0.0.1", "10.0.0.1", "amoc", 2222)),
        ("s1=10.0.0.1", Host("s1", "10.0.0.1")),
        ("s1=amoc@slave:22", Host("s1", "slave", "amoc", 22)),
        ("s1=[2001:db8::7]:22", Host("s1", "2001:db8::7", None, 22)),
        ("s1=2001:db8::7", Host("s1", "2001:db8::7")),
        (" s1=h ", Host("s1", "h")),
    ],
)
def test_an_entry(entry: str, host: Host) -> None:
    assert read_hosts([entry]) == [host]


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "=h",
        "s1=",
        "u@",
        "h:0",
        "h:65536",
        "h:x",
        "a b",
        "h;id",
        "a@b@c",
        "-h",
        "s1=-h",
        "-l@h",
        "s1=-oProxyCommand=x",
    ],
)
def test_what_is_no_entry(entry: str) -> None:
    with pytest.raises(BadInput, match=r"hosts: .* is not \[NAME=\]\[USER@\]HOST\[:PORT\]"):
        read_hosts([entry])


@pytest.mark.parametrize("entry", ["2001:db8::7", "../x=h", "-x=h", "é=h", f"{'n' * 64}=h"])
def test_what_is_no_name(entry: str) -> None:
    with pytest.raises(BadInput, match=r"hosts: a node cannot be called .* give it a name"):
        read_hosts([entry])


def test_a_name_that_is_there_twice() -> None:
    with pytest.raises(BadInput, match=r"two slaves are called h \(h and u@h:2\): give them names, as in `first=h`"):
        read_hosts(["h", "u@h:2"])
    assert [host.name for host in read_hosts(["h", "again=u@h:2"])] == ["h", "again"]


def test_a_slave_is_not_called_master() -> None:
    with pytest.raises(BadInput, match="'master=h': only the master is called master"):
        read_hosts(["master=h"])


def test_for_people() -> None:
    shown = [str(host) for host in read_hosts(["h", "s=h", "v=u@h", "s6=[::1]:22", "x=::1"])]
    assert shown == ["h", "s (h)", "v (u@h)", "s6 ([::1]:22)", "x (::1)"]
