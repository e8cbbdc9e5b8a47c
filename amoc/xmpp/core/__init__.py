"""The XMPP protocol without I/O: elements, byte parser, SASL, stream state for both roles.

Nothing here knows sockets, loops or clocks. Bytes come in, effects go out (see `effects`).
"""
