"""XMPP extensions, one small module each. A scenario imports those that it uses:

    from amoc.xmpp.ext import muc, ping

    joined = await muc.join(client, "room@conference.localhost", "crow")
    seconds = await ping.ping(client)

Every module has builders (pure functions that return an element, or text for stanzas that are sent often),
parsers (from an element to a frozen dataclass), and calls to await, whose first argument is the client.
`docs/xmpp.md` lists the modules, their XEPs, and the servers that each was tested against.
"""
