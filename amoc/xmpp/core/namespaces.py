"""The XML namespaces of RFC 6120, RFC 6121 and the few extensions the core itself speaks."""

__all__ = [
    "BIND", "BOSH", "CHANNEL_BINDING", "CLIENT", "FRAMING", "PING", "ROSTER", "SASL", "SESSION", "SID", "SM",
    "STANZAS", "STREAM", "STREAMS", "TLS", "XBOSH",
]  # fmt: skip

CLIENT = "jabber:client"
STREAM = "http://etherx.jabber.org/streams"
STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"  # the conditions inside <stream:error/>
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"  # the conditions inside a stanza's <error/>
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"
ROSTER = "jabber:iq:roster"
PING = "urn:xmpp:ping"
CHANNEL_BINDING = "urn:xmpp:sasl-cb:0"  # XEP-0440
SID = "urn:xmpp:sid:0"  # XEP-0359
SM = "urn:xmpp:sm:3"  # XEP-0198
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"  # RFC 7395
BOSH = "http://jabber.org/protocol/httpbind"  # XEP-0124
XBOSH = "urn:xmpp:xbosh"  # XEP-0206
