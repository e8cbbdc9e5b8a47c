"""A small XMPP server on the same core: for first runs, for writing scenarios, and as the pair in tests.

    server = await serve(port=0)
    ... connect to 127.0.0.1, server.port; server.sessions, server.logins, server.messages_routed ...
    await server.close()

Anybody may log in. It gives presence back to the user itself, routes messages and iqs between its users,
answers ping, an empty roster, and everything else with an error. It claims no more than that.
"""

from amoc.xmpp.server.listener import EmbeddedServer, serve

__all__ = ["EmbeddedServer", "serve"]
