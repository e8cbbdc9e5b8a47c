"""The public API, and what importing it costs."""

import copy
import pickle
import subprocess
import sys

import amoc.xmpp
from amoc.xmpp import AuthFailed, ConnectFailed, Element, IqError, StreamError, XmppError
from amoc.xmpp.server import __all__ as server_names


def test_the_names_of_the_public_api() -> None:
    assert sorted(amoc.xmpp.__all__) == [
        "AuthFailed", "Client", "ConnectFailed", "Disconnected", "Element", "InvalidXml", "IqError", "IqTimeout",
        "ReceiveTimeout", "SETTINGS", "SendOverflow", "StanzaError", "StreamError", "XmppError", "XmppTimeout",
        "backoff", "bare", "connect", "escape", "jid_of", "neighbours", "reconnect", "register", "rooms_of",
    ]  # fmt: skip
    assert all(hasattr(amoc.xmpp, name) for name in amoc.xmpp.__all__)
    assert sorted(server_names) == ["EmbeddedServer", "serve"]


def test_importing_the_client_does_not_load_the_server_or_cryptography() -> None:
    code = "import sys, amoc.xmpp; print(*[name for name in sys.modules if 'crypto' in name or 'xmpp.server' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_errors_survive_copying_and_pickling() -> None:
    stanza = Element("iq", {"type": "error", "id": "1"}, Element("error", {"type": "wait"}))
    errors: list[XmppError] = [
        ConnectFailed("bind", "no", "conflict"),
        AuthFailed("refused", "not-authorized", mechanism="PLAIN", condition="not-authorized"),
        StreamError("conflict", "bye", ours=True),
        IqError(stanza),
    ]
    for error in errors:
        error.who = "user 7"
        for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert type(twin) is type(error)
            assert str(twin) == str(error)
            assert str(twin).startswith("user 7: ")
            assert {**vars(twin), "stanza": None} == {**vars(error), "stanza": None}
