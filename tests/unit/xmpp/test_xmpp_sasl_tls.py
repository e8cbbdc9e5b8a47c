"""Mechanisms that need the TLS channel, over real TLS: bound to it, or known by a certificate."""

import hashlib
import ssl
from pathlib import Path

import pytest

from amoc.config import Config
from amoc.xmpp import AuthFailed, Client, ConnectFailed, connect
from amoc.xmpp.core.sasl import MECHANISMS, PLUS
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.server.certificate import self_signed, server_context
from amoc.xmpp.transport.binding import channel_bindings

PASSWORDS = {"user_7": "password_7"}


def tls_of(client: Client) -> ssl.SSLObject:
    assert client._connection is not None
    assert client._connection.transport is not None
    found = client._connection.transport.get_extra_info("ssl_object")
    assert isinstance(found, ssl.SSLObject)
    return found


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def context(request: pytest.FixtureRequest) -> ssl.SSLContext:
    """A server's context that speaks one version only."""
    context = server_context()
    version = ssl.TLSVersion.TLSv1_2 if request.param == "TLSv1.2" else ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = version
    return context


async def start(context: ssl.SSLContext, settings: Config) -> EmbeddedServer:
    server = await serve(tls="required", context=context, password=PASSWORDS.get, mechanisms=MECHANISMS)
    settings.set_all({"xmpp_servers": [f"127.0.0.1:{server.port}"], "xmpp_accept_any_certificate": True})
    return server


async def test_bindings_of_both_versions(settings: Config, context: ssl.SSLContext) -> None:
    async with await start(context, settings), connect(7) as client:
        tls = tls_of(client)
        found = channel_bindings(tls)
        assert set(found) == {"tls-server-end-point", *(["tls-unique"] if tls.version() == "TLSv1.2" else [])}
        certificate = tls.getpeercert(binary_form=True)
        assert certificate is not None
        assert found["tls-server-end-point"] == hashlib.sha256(certificate).digest()
        if "tls-unique" in found:
            assert len(found["tls-unique"]) == 12
    assert channel_bindings(None) == {}


@pytest.mark.parametrize("name", ["", *PLUS])
async def test_plus_over_tls_1_2(settings: Config, context: ssl.SSLContext, name: str) -> None:
    async with await start(context, settings):
        if context.maximum_version == ssl.TLSVersion.TLSv1_2:
            async with connect(7, sasl=name) as client:
                assert client.connected
            with pytest.raises(AuthFailed, match="not-authorized"):
                await connect(7, sasl=name, password="wrong")
        elif name:  # the embedded server's TLS has nothing to bind to there, and so does not offer it
            with pytest.raises(AuthFailed, match=f"xmpp_sasl is {name}, but the server offers"):
                await connect(7, sasl=name)


def certificate_of(user: str, folder: Path) -> tuple[Path, Path]:
    """A user's certificate alone, and with its key."""
    certificate, key = self_signed(user)
    (folder / f"{user}.crt").write_bytes(certificate)
    (folder / f"{user}.pem").write_bytes(certificate + key)
    return folder / f"{user}.crt", folder / f"{user}.pem"


async def test_external(settings: Config, context: ssl.SSLContext, tmp_path: Path) -> None:
    known, _ = certificate_of("user_7", tmp_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(known)
    pattern = str(tmp_path / "user_{id}.pem")
    async with await start(context, settings):
        async with connect(7, client_certificate=pattern, password="unknown") as client:
            assert client.jid == "user_7@localhost/res1"
        with pytest.raises(AuthFailed, match="xmpp_sasl is EXTERNAL, but the server offers"):
            await connect(7, sasl="EXTERNAL")
        certificate_of("user_8", tmp_path)
        with pytest.raises(ConnectFailed):  # nobody knows who has signed it
            await connect(8, client_certificate=pattern)
        with pytest.raises(ConnectFailed, match="xmpp_client_certificate cannot be read"):
            await connect(9, client_certificate=pattern)
