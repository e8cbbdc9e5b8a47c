"""ejabberd on a host of its own, which starts with its host and is asked from outside."""

import pytest

from tests.support.lab import Lab, Machine, ejabberd
from tests.support.lab.command import until
from tests.support.servers import Counts

pytestmark = pytest.mark.lab("ejabberd")

# A client that opens a stream and waits.
STREAM = """exec 3<>/dev/tcp/xmpp/5222
echo "<stream:stream to='localhost' version='1.0'
  xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" >&3
head -c 300 <&3
"""


def test_ejabberd_serves_the_hosts_of_its_lab() -> None:
    with Lab([Machine("client", systemd=False), Machine("xmpp", layer=ejabberd.LAYER)]) as lab:
        server = ejabberd.start(lab["xmpp"])
        assert server.counts() == Counts(0, 0, 0, 0, 0, 0)
        assert server.sessions() == {}
        assert "is started" in server.api("status")
        assert "<stream:features>" in lab["client"].run("timeout", "10", "bash", "-c", STREAM).stdout
        lab["xmpp"].kill()
        lab["xmpp"].start()
        assert until(server.answers, "ejabberd after its host's start", 30)
