"""`connect`: a slixmpp client for the time of a block."""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

import slixmpp

from amoc.errors import BadInput
from amoc.xmpp.errors import ConnectFailed
from amoc.xmpp.settings import Options
from amoc.xmpp.slixmpp_bridge.client import SlixmppClient, bridged, shared_context
from amoc.xmpp.slixmpp_bridge.session import UserSession
from amoc.xmpp.slixmpp_bridge.watch import mechanisms
from amoc.xmpp.waterfall import count_failure

__all__ = ["Connecting", "connect"]

C = TypeVar("C", bound=slixmpp.ClientXMPP)
Plugins = Iterable[str] | Mapping[str, Mapping[str, Any]]


@overload
def connect(user_id: int, *, plugins: Plugins = (), **overrides: Any) -> "Connecting[SlixmppClient]": ...
@overload
def connect(user_id: int, cls: type[C], *, plugins: Plugins = (), **overrides: Any) -> "Connecting[C]": ...
def connect(
    user_id: int, cls: type[Any] = SlixmppClient, *, plugins: Plugins = (), **overrides: Any
) -> "Connecting[Any]":
    """Log user `user_id` in with slixmpp, as the xmpp_ settings say, for the time of a block.

        async with connect(7, plugins=["xep_0184"]) as client:
            client.send_presence()

    `cls` is a class of the scenario's, made from `slixmpp.ClientXMPP`, that can be made of an address and a
    password. `plugins` are names of slixmpp's plugins ("xep_0184"), or a table from names to their configuration.
    `overrides` are settings without their prefix xmpp_.

    When the session ends inside the block, whatever the user waits for is interrupted, and the block raises
    Disconnected (or StreamError, SendOverflow). When the user leaves the block, the session is closed: cleanly,
    or at once if the user is cancelled. Tasks that were begun in the block, by whomever, end with it.

    Raises ConnectFailed, whose `step` says how far it came, AuthFailed, ConfigError for a wrong override, and BadInput
    for what slixmpp cannot do.
    """
    return Connecting(user_id, cls, plugins, Options.read(overrides))


class Connecting(Generic[C]):
    """A login that begins when it is entered."""

    def __init__(self, user_id: int, cls: type[C], plugins: Plugins, options: Options) -> None:
        self._user_id = user_id
        self._options = options
        self._class = cls
        self._plugins = plugins

    async def __aenter__(self) -> C:
        self._session = session = UserSession(self._user_id, self._options)
        _refuse_impossible(session)
        task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()  # how often the user had been cancelled when it came
        session.custody.enter()
        try:
            try:
                client = _make(session, self._class, self._plugins)
                await _log_in(session, client)
            except ConnectFailed as error:
                error.who = session.who
                count_failure(error)
                raise
            session.enter()
        except BaseException:
            self._leave()
            raise
        self._client = client
        return client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        session.exit()
        try:
            if session.interrupted:
                await self._interrupted(kind)
            elif not session.over and (kind is None or issubclass(kind, Exception)):
                await self._client.disconnect(wait=session.options.close_timeout)
        finally:
            self._leave()

    async def _interrupted(self, kind: type[BaseException] | None) -> None:
        """Raise why the session is over, unless the block has raised something else, or the user is cancelled, too."""
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        if not cancelled:
            try:
                await asyncio.sleep(0)  # what interrupts may still be under way: not to whatever the user awaits next
            except asyncio.CancelledError:
                pass
        task = asyncio.current_task()
        assert task is not None
        only_by_us = task.uncancel() <= self._cancelling
        if not only_by_us and not cancelled:
            raise asyncio.CancelledError
        if only_by_us and (cancelled or kind is None):
            reason = self._session.error()
            raise reason from reason.__cause__

    def _leave(self) -> None:
        self._session.end()
        self._session.custody.leave()


async def _log_in(session: UserSession, client: slixmpp.ClientXMPP) -> None:
    """Raises ConnectFailed."""
    watch = session.begin()
    seconds = session.options.login_timeout
    try:
        async with asyncio.timeout(seconds):
            slixmpp.ClientXMPP.connect(client)
            await session.ready
            session.raise_failure()
    except TimeoutError:
        raise ConnectFailed(watch.step, f"not done within {seconds:g} s", cause="timeout") from None


def _make(session: UserSession, cls: type[C], plugins: Plugins) -> C:
    """A client that is not connected yet. Raises BadInput, ConnectFailed."""
    options, account = session.options, session.account
    address = f"{account.username}@{account.domain}" + (f"/{account.resource}" if account.resource else "")
    kind: type[C] = bridged(cls)  # type: ignore[arg-type]  # classes are hashable
    made = object.__new__(kind)
    client: Any = made  # its __init__ is called below, and its plugins are known at run time only
    client.amoc = session
    try:
        jid = slixmpp.JID(address)
    except slixmpp.InvalidJID as error:
        raise BadInput(f"{session.who}: {address!r} is no address: {error}") from None
    client.__init__(jid, account.password)
    if client.ssl_context is not shared_context(session):
        raise BadInput(f"{cls.__name__}.__init__ must call super().__init__(jid, password): users share a TLS context")
    client.enable_starttls = options.tls != "never" and not session.server.secure
    sasl = client.plugin["feature_mechanisms"]
    sasl.use_mech, sasl.use_mechs = None, mechanisms(options)
    sasl.unencrypted_plain = sasl.unencrypted_scram = True  # as amoc's client: xmpp_tls says what must be encrypted
    client.whitespace_keepalive_interval = options.keepalive
    wanted = {name: dict(plugins[name]) for name in plugins} if isinstance(plugins, Mapping) else dict.fromkeys(plugins)
    if options.keepalive and options.keepalive_by == "ping":
        ping = {"keepalive": True, "interval": options.keepalive, "timeout": options.keepalive}
        wanted["xep_0199"] = ping | (wanted.get("xep_0199") or {})
    for name, configuration in wanted.items():
        try:
            client.register_plugin(name, configuration)
        except slixmpp.plugins.base.PluginNotFound:
            raise BadInput(f"slixmpp has no plugin {name!r}: its names are those of the XEPs, as xep_0184") from None
    return made


def _refuse_impossible(session: UserSession) -> None:
    """Raise BadInput for settings that slixmpp cannot follow."""
    options, server = session.options, session.server
    if server.scheme not in ("tcp", "tls"):
        reason = f"slixmpp has no transport for {server}: set xmpp_servers to host:port or tls://host:port"
    elif options.token or options.sasl == "OAUTHBEARER":
        reason = "slixmpp has no OAUTHBEARER: leave xmpp_token empty"
    elif options.stream_management != "off":
        reason = "slixmpp has stream management as a plugin: use xep_0198, and set xmpp_stream_management to off"
    else:
        return
    raise BadInput(f"{session.who}: {reason}")
