"""What OpenSSL alone asks of a client: a TLS handshake and the PBKDF2 of a SCRAM login, in CPU."""

import hashlib
import ssl
import time
from pathlib import Path

__all__ = ["handshake", "pbkdf2"]

TIMES = 200


def handshake(certificate: Path) -> float:
    """Seconds of the client's side of one handshake with a server that has this certificate (chain and key)."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    client = ssl.create_default_context()
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return sum(_one(client, server) for _ in range(TIMES)) / TIMES


def _one(client_context: ssl.SSLContext, server_context: ssl.SSLContext) -> float:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    begun = time.process_time()
    client = client_context.wrap_bio(to_client, to_server)
    spent = time.process_time() - begun
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    done = [False, False]
    while not all(done):
        for number, side in enumerate((client, server)):
            begun = time.process_time()
            try:
                if not done[number]:
                    side.do_handshake()
                    done[number] = True
            except ssl.SSLWantReadError:
                pass
            if side is client:
                spent += time.process_time() - begun
    return spent


def pbkdf2(rounds: int = 4096) -> float:
    """Seconds of one SCRAM-SHA-1 password with the usual number of rounds."""
    begun = time.process_time()
    for number in range(TIMES):
        hashlib.pbkdf2_hmac("sha1", b"password", str(number).encode(), rounds)
    return (time.process_time() - begun) / TIMES
