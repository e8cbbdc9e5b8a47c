"""The limits of the control plane, each with where its number comes from. Pure: no I/O. Sizes are in bytes."""

__all__ = [
    "CUT_OFF_SLACK",
    "REPLY_LIMIT",
    "REQUEST_LIMIT",
    "REQUEST_TIMEOUT",
    "TRIES",
]

MIB = 1 << 20

REQUEST_LIMIT = 16 * MIB
"""A busy node's beat is some 10 KB; what gathers while the master is away (ranges, buckets) stays below this."""

REPLY_LIMIT = 64 * MIB
"""For replies and commands: scenario sources and the data of `setup()` must fit."""

CUT_OFF_SLACK = MIB
"""What is over its limit by less than this is still read and refused with a reason; above, libzmq cuts the peer off."""

REQUEST_TIMEOUT = 3.0
"""Seconds that a node waits for a reply: as long as a slave may be silent before it is suspect."""

TRIES = 3
"""Requests in a row that a connection swallows until a node makes a new one: by then heartbeats have failed, too."""
