"""Where a server is, and by which transport it is reached: `host[:port]`, or a URL.

10.0.0.1, [::1]:5222, tcp://host:5222   TCP, with STARTTLS as xmpp_tls says
tls://host:5223                         direct TLS (XEP-0368)
ws://host:5280/ws, wss://host/ws        WebSocket (RFC 7395)
http://host:5280/bosh, https://…        BOSH (XEP-0124, XEP-0206)
"""

import functools
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["PORTS", "ServerAddress", "parse_address"]

# Scheme to the port that is meant when none is given: RFC 6120, 3.2.1; the usual one of direct TLS; those of HTTP.
PORTS: Final = {"tcp": 5222, "tls": 5223, "ws": 80, "wss": 443, "http": 80, "https": 443}

_SECURE = ("tls", "wss", "https")
_RAW = ("tcp", "tls")  # no HTTP, so no path
_PATH = re.compile(r"/[!-~]*")  # and no white space or control characters, which would end the request line


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server: `scheme` is one of `PORTS`, `path` that of the URL ("" for TCP)."""

    scheme: str
    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def secure(self) -> bool:
        """Whether TLS is on from the first byte."""
        return self.scheme in _SECURE

    @property
    def authority(self) -> str:
        """host:port, as HTTP wants it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@functools.lru_cache(maxsize=1024)
def parse_address(text: str) -> ServerAddress:
    """The server that `text` names. Raises ValueError."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    scheme = scheme.lower()
    if scheme not in PORTS:
        raise ValueError(f"{text!r}: a server is host:port, or begins with {', '.join(f'{it}://' for it in PORTS)}")
    where, slash, path = rest.partition("/")
    path = slash + path
    if scheme in _RAW and path:
        raise ValueError(f"{text!r}: {scheme}:// has no path")
    if scheme not in _RAW:
        path = path or "/"
        if _PATH.fullmatch(path) is None or "#" in path:
            raise ValueError(f"{text!r}: {path!r} is no path of a URL")
    host, port = _host_and_port(text, where)
    return ServerAddress(scheme, host, PORTS[scheme] if port is None else port, path)


def _host_and_port(text: str, where: str) -> tuple[str, int | None]:
    host, colon, port = where.rpartition(":")
    if where.startswith("["):
        host, bracket, rest = where[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not [address]:port")
        colon, port = rest[:1], rest[1:]
    elif where.count(":") > 1 or not colon:  # an IPv6 address, or no port
        host, colon, port = where, "", ""
    if not host or re.search(r"[\s@?#]", host):
        raise ValueError(f"{text!r} is not host or host:port")
    if not colon:
        return host, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
    return host, int(port)
