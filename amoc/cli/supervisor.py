"""What a node says to systemd: that it is ready (a unit of Type=notify). Nothing where no systemd has started it."""

import os
import socket

__all__ = ["say_ready"]


def say_ready() -> None:
    """READY=1 to the socket that systemd names, see sd_notify(3)."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(b"READY=1", path)
        except OSError:
            pass  # systemd then says itself that it has heard nothing
