"""Addresses (RFC 7622), as far as a load test needs them: taking them apart, and no preparation but case."""

__all__ = ["bare", "local", "normal", "resource"]


def bare(jid: str) -> str:
    """user@domain of user@domain/resource."""
    return jid.partition("/")[0]


def resource(jid: str) -> str:
    """The resource of user@domain/resource, "" if there is none."""
    return jid.partition("/")[2]


def local(jid: str) -> str:
    """User of user@domain/resource, "" if it is a domain."""
    address = bare(jid)
    return address.partition("@")[0] if "@" in address else ""


def normal(jid: str) -> str:
    """`jid` with everything but the resource in lower case: the form in which servers compare."""
    address, slash, rest = jid.partition("/")
    return address.lower() + slash + rest
