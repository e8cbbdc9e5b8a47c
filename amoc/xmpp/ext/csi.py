"""Client state indication, XEP-0352 1.0: nobody looks at this client, so the server may hold things back.

    client.send(csi.INACTIVE)
    client.send(csi.ACTIVE)

Nothing is answered. Servers hold back presence and chat states until the client is active again, a message comes that
matters, or they have waited long enough.
"""

__all__ = ["ACTIVE", "INACTIVE", "NS"]

NS = "urn:xmpp:csi:0"
ACTIVE = f"<active xmlns='{NS}'/>".encode()
INACTIVE = f"<inactive xmlns='{NS}'/>".encode()
