"""A `slixmpp.ClientXMPP` with its XEP plugins as a scenario's user. Needs slixmpp: `pip install 'amoc[slixmpp]'`.

    from amoc.xmpp.slixmpp_bridge import connect

    async def start(user_id):
        async with connect(user_id, plugins=["xep_0199"]) as client:
            client.send_presence()
            await client.plugin["xep_0199"].ping("localhost")

The xmpp_ settings, the errors and the metrics are those of `amoc.xmpp.connect`; the client is slixmpp's. `custody`
ends the tasks that slixmpp leaves behind, `watch` looks on at a login, `session` is what amoc knows of one client,
`client` is where slixmpp tells it, `connecting` is what scenarios call.
"""

from amoc.xmpp.slixmpp_bridge.client import SlixmppClient
from amoc.xmpp.slixmpp_bridge.connecting import connect

__all__ = ["SlixmppClient", "connect"]
