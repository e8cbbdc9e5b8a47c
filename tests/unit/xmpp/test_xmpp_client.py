"""The client against the embedded server: the whole path, over real sockets."""

from amoc.xmpp import connect, jid_of
from amoc.xmpp.server import EmbeddedServer


async def test_two_users_talk(embedded: EmbeddedServer) -> None:
    async with connect(1) as one, connect(2) as two:
        assert one.jid == "user_1@localhost/res1"
        two.send_presence()
        assert (await two.receive("presence", timeout=5)).get("from") == two.jid
        ident = one.send_message(jid_of(2), "1 < 2 & \"quoted\" 'so'\nänd möre \U0001f426")
        message = await two.receive("message", timeout=5)
        assert message.get("id") == ident
        assert message.get("from") == one.jid
        assert message.findtext("body") == "1 < 2 & \"quoted\" 'so'\nänd möre \U0001f426"
        assert embedded.sessions == 2
    assert embedded.counters.messages_routed == 1
