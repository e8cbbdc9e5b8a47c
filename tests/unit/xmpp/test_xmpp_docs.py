"""docs/xmpp.md tells of every extension, and of everything that a client can do."""

from pathlib import Path

import amoc.xmpp
from amoc.xmpp import Client

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "xmpp.md").read_text()


def test_every_extension_is_in_the_manual() -> None:
    modules = {path.stem for path in (ROOT / "amoc" / "xmpp" / "ext").glob("*.py")} - {"__init__"}
    for name in modules:
        assert f"| `{name.removesuffix('_stanzas')}` |" in TEXT


def test_what_scenarios_call_is_in_the_manual() -> None:
    of_connections = {"attach", "news"}
    public = {name for layer in Client.__mro__ for name in vars(layer) if not name.startswith(("_", "on_"))}
    calls = {name for name in public if callable(getattr(Client, name))} - of_connections
    assert len(calls) > 10
    for name in calls:
        assert f"client.{name}(" in TEXT or f"`{name}`" in TEXT or f"`{name}(" in TEXT, name
    for name in ("neighbours", "rooms_of", "reconnect", "register", "jid_of"):
        assert name in amoc.xmpp.__all__
        assert f"`{name}(" in TEXT
