"""amoc: massively parallel XMPP load tests, on one machine or on many."""

__version__ = "0.1.0"
