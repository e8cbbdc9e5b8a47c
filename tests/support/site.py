"""A place to deploy to: a master and two slaves, ejabberd on a fourth host, and the operator's checkout."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template

from tests.support.lab import Host, Lab, ejabberd
from tests.support.lab.ejabberd import Ejabberd
from tests.support.lab.keys import CONFIG
from tests.support.operator import Checkout
from tests.support.terminal import Shell, until

__all__ = ["SERVICE", "Site"]

SERVICE = "amoc"  # the service user
HOME = f"/home/{SERVICE}"
MASTER = f"{HOME}/amoc_master"
# The machines' limit of open files is the highest that this machine may give.
INVENTORY = """
[amoc-master]
$master

[amoc-slave]
$slaves

[amoc:children]
amoc-master
amoc-slave

[amoc:vars]
ansible_user=$ansible_user
ansible_ssh_private_key_file=$ansible_ssh_private_key_file
ansible_ssh_common_args='$ansible_ssh_common_args'
user=amoc
graphite_ip=
graphite_http_port=8080
master_install_dir=~/amoc_master
slave_install_dir=~/amoc
fileno=20000
"""
# Users write every few seconds, for as long as the test goes on.
SETTINGS = """
amoc:
  interarrival: 20
  xmpp_servers: ["$server"]
  xmpp_accept_any_certificate: true # it is the lab's own
  rounds: 100000
  settle: 0.5
  master_timeout: 30 # what a new test waits for when a slave was lost in the one before
  pause: 4
"""
# A shell without colours and questions to the terminal.
SHELL = "env NO_COLOR=1 PAGER=cat PROMPT_TOOLKIT_NO_CPR=1"


class Site:
    """The hosts of `lab` (`master`, `slave1`, …, `xmpp`), ejabberd on the last, a checkout in `folder`."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.server: Ejabberd = ejabberd.start(lab["xmpp"])
        self.checkout = Checkout(folder / "amoc", lab.environment)
        self.write_inventory(["slave1", "slave2"])
        self.checkout.write("group_vars/amoc", Template(SETTINGS).substitute(server=self.server.address))

    def write_inventory(self, slaves: Sequence[str]) -> None:
        """Write `hosts` with the master and these slaves; users go to them in this order."""
        self.slaves = [self.lab[name] for name in slaves]
        master = self.lab["master"]
        lines = [f"{host.name} ansible_host={host.address}" for host in self.slaves]
        text = Template(INVENTORY).substitute(
            self.lab["master"].ansible,
            master=f"{master.name} ansible_host={master.address} node_name=amoc_master slave_node_name=slave3",
            slaves="\n".join(lines),
        )
        self.checkout.write("hosts", text)

    def spread(self, ids: Iterable[int], slaves: Sequence[Host] | None = None) -> dict[str, str]:
        """The sessions that these users have, and from which address, when they go round robin."""
        among = self.slaves if slaves is None else slaves
        return {f"user_{number}@localhost/res1": among[(number - 1) % len(among)].address for number in ids}

    def await_sessions(self, expected: dict[str, str], timeout: float = 120.0) -> None:
        """Until the server's own list is this one."""
        last: dict[str, str] = {}

        def agree() -> bool:
            nonlocal last
            last = self.server.sessions()
            return last == expected

        try:
            until(agree, "the sessions", timeout)
        except AssertionError as error:
            missing, more = expected.keys() - last.keys(), last.keys() - expected.keys()
            elsewhere = {jid: address for jid, address in last.items() if expected.get(jid, address) != address}
            raise AssertionError(
                f"{error}: {len(last)} of {len(expected)}; missing {sorted(missing)[:10]}, "
                f"not expected {sorted(more)[:10]}, elsewhere {list(elsewhere.items())[:10]}"
            ) from None

    def amoc(self, arguments: str, *, check: bool = True, timeout: float = 120.0) -> str:
        """What `~/amoc_master/bin/amoc` says to the service user, without a terminal."""
        done = self.lab["master"].ssh(f"amoc_master/bin/amoc {arguments}", user=SERVICE, check=check, timeout=timeout)
        return done.stdout + done.stderr

    @contextmanager
    def master(self) -> Iterator[None]:
        """A master in the background that has its slaves; its end is that of its test."""
        self.amoc("start")
        try:
            assert self.status_file() == "ready"
            yield
        finally:
            self.amoc("stop")
        self.await_sessions({})

    def status_file(self) -> str:
        """What the master's status file says; empty while there is none."""
        return self.lab["master"].run("cat", f"{MASTER}/.amoc.status", check=False).stdout.strip()

    @contextmanager
    def shell(self, command: str) -> Iterator[Shell]:
        """ssh to the master, and `~/amoc_master/bin/amoc COMMAND` there, at its first prompt."""
        ssh = ["ssh", "-tt", "-F", str(self.lab.folder / CONFIG), "-l", SERVICE, "master"]
        amoc = f"{SHELL} ~/amoc_master/bin/amoc {command}"
        shell = Shell([*ssh, amoc], self.folder, {"PATH": "/usr/bin:/bin", "TERM": "xterm"})
        try:
            shell.prompt()
            yield shell
        finally:
            shell.kill()
