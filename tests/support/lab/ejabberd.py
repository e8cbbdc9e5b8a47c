"""ejabberd as Debian's service on a host of its own, configured by `tests/support/servers/ejabberd.yml`.

    with Lab([Machine("slave"), Machine("xmpp", layer=ejabberd.LAYER)]) as lab:
        server = ejabberd.start(lab["xmpp"])
        server.address                          # what xmpp_servers takes
        server.sessions_by_address()            # what the server itself says

Its HTTP API is open to this machine and the lab's hosts.
"""

import http.client
import json
import tempfile
from collections import Counter
from pathlib import Path
from string import Template
from typing import Any

from tests.support.lab.base import Layer
from tests.support.lab.command import LabError, until
from tests.support.lab.host import Host
from tests.support.servers import certificates
from tests.support.servers.base import VHOSTS, Counts

__all__ = ["LAYER", "Ejabberd", "start"]

READY_SECONDS = 60.0
SERVERS = Path(__file__).parents[1] / "servers"
CLIENTS, TLS, HTTP, HTTPS = 5222, 5223, 5280, 5443
CONFIGURATION, CERTIFICATE, DATA = "/etc/ejabberd/ejabberd.yml", "/etc/ejabberd/lab.pem", "/var/lib/ejabberd"
LAYER = Layer(
    "ejabberd",
    ("ejabberd",),
    f"""
cat > /tmp/mod_amoc_counter.erl <<'END'
{(SERVERS / "mod_amoc_counter.erl").read_text()}
END
set -- /usr/lib/*/ejabberd-*/ebin  # one folder under two names
ERL_LIBS=${{1%/*/*}} erlc -o "$1" /tmp/mod_amoc_counter.erl
rm /tmp/mod_amoc_counter.erl
systemctl --quiet disable ejabberd  # not before it is configured
""",
)


class Ejabberd:
    """A running ejabberd; `address` is what the setting `xmpp_servers` takes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.address = f"{host.address}:{CLIENTS}"

    def api(self, command: str, **arguments: Any) -> Any:
        """One command of ejabberd's own HTTP API: `connected_users_number`, `connected_users_info`, …"""
        return self._request("POST", f"/api/{command}", json.dumps(arguments))

    def counts(self) -> Counts:
        """What it has seen at its client connections since it started."""
        return Counts(**self._request("GET", "/amoc/counts"))

    def sessions(self) -> dict[str, str]:
        """The full JIDs that are connected, and the address of each."""
        return {each["jid"]: each["ip"].removeprefix("::ffff:") for each in self.api("connected_users_info")}

    def sessions_by_address(self) -> dict[str, int]:
        """How many sessions there are from each address."""
        return dict(Counter(self.sessions().values()))

    def answers(self) -> bool:
        """Whether it can be asked."""
        try:
            return self.counts().opened >= 0
        except OSError:
            return False

    def _request(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection(self.host.address, HTTP, timeout=30)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            content = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise LabError(f"ejabberd: {method} {path}: {response.status} {content}")
        return json.loads(content)


def start(host: Host) -> Ejabberd:
    """Configure ejabberd on `host`, which has `LAYER`, start it, and let it start with the host."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = certificates.issue(Path(folder), VHOSTS)
        files = {
            CONFIGURATION: Template((SERVERS / "ejabberd.yml").read_text()).substitute(
                address=host.address,
                friends=host.subnet,
                port=CLIENTS,
                tls_port=TLS,
                http_port=HTTP,
                https_port=HTTPS,
                certificate=CERTIFICATE,
                folder=DATA,
            ),
            CERTIFICATE: certificate.both.read_text(),
            f"{DATA}/authority.pem": certificate.authority.read_text(),
        }
    for path, text in files.items():
        host.write(path, text, mode="600", owner="ejabberd")
    host.run("systemctl", "enable", "--now", "--quiet", "ejabberd", timeout=READY_SECONDS)
    server = Ejabberd(host)
    try:
        until(server.answers, "ejabberd", READY_SECONDS)
    except LabError as error:
        raise LabError(f"{error}: {host.run('journalctl', '-u', 'ejabberd', '-n', '30').stdout}") from None
    return server
