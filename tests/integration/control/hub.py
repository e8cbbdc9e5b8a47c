"""What every test of the bus needs: a master that answers and remembers, nodes that ask and hear."""

import asyncio
from collections.abc import Callable

import zmq

from amoc.control import Beat, BeatReply, Command, Hello, Ping, Reply, Request, Welcome
from amoc.control.keys import KeyPair
from amoc.control.messages import PROTOCOL
from amoc.control.zmq_master import ZmqMasterBus
from amoc.control.zmq_node import ZmqNodeBus
from amoc.control.zmq_sockets import Socket

__all__ = ["Hub", "answered", "beat", "eventually", "hello", "received"]

DEADLINE = 60.0


class Hub:
    """A master's bus and its nodes. `asked`: every request that reached the master; `said`: what it logged."""

    def __init__(self) -> None:
        self.keys = KeyPair.generate()
        self.listed: dict[bytes, str] = {}
        self.asked: list[Request] = []
        self.said: list[str] = []
        self.heard: dict[str, list[Command]] = {}
        self.nodes: list[ZmqNodeBus] = []
        self.sockets: list[Socket] = []
        self.context = zmq.Context()
        self.ports = (0, 0)
        self.start_master()

    def start_master(self) -> None:
        """On the ports of the one before, if there was one."""
        self.master = ZmqMasterBus("127.0.0.1", *self.ports, self.keys, self.listed.get, self.said.append)
        self.ports = (self.master.pub_port, self.master.rep_port)
        self.master.serve(self.answer)

    def answer(self, request: Request) -> Reply:
        """What the master does with a request."""
        self.asked.append(request)
        return BeatReply(request.seq, len(self.asked)) if isinstance(request, Beat) else Welcome(len(self.asked))

    def key(self, name: str) -> KeyPair:
        """A new pair, listed for `name`."""
        pair = KeyPair.generate()
        self.listed[pair.public] = name
        return pair

    def node(
        self, name: str, keys: KeyPair | None = None, *, pub: int = 0, rep: int = 0, timeout: float = 30.0
    ) -> ZmqNodeBus:
        """A node's bus; by default with a listed key, straight to the master."""
        pub, rep = pub or self.ports[0], rep or self.ports[1]
        bus = ZmqNodeBus("127.0.0.1", pub, rep, keys or self.key(name), self.keys.public, timeout=timeout)
        bus.listen(self.heard.setdefault(name, []).append)
        self.nodes.append(bus)
        return bus

    def socket(self, kind: int, keys: KeyPair | None, port: int) -> Socket:
        """A bare socket, to send what a node's bus would not; without keys it speaks no CURVE."""
        socket: Socket = self.context.socket(kind)
        socket.linger = 0
        if keys is not None:
            socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
            socket.curve_serverkey = self.keys.public
        if kind == zmq.SUB:
            socket.subscribe(b"")
        socket.connect(f"tcp://127.0.0.1:{port}")
        self.sockets.append(socket)
        return socket

    async def ask(self, socket: Socket, *frames: bytes, seconds: float = DEADLINE) -> bytes | None:
        """Send a request on a bare socket; its reply, None if there is none in that time."""
        socket.send_multipart(frames)
        return await received(socket, seconds)

    async def publish_until(self, condition: Callable[[], object], number: int = 1) -> None:
        """Publish commands until one has arrived: a subscription takes a moment, and PUB does not say when."""

        def try_again() -> object:
            self.master.publish(Ping(number))
            return condition()

        await eventually(try_again)

    def close(self) -> None:
        """All of it."""
        for node in self.nodes:
            node.close()
        for socket in self.sockets:
            socket.close()
        self.master.close()
        self.context.term()


async def received(socket: Socket, seconds: float) -> bytes | None:
    """The next message's first frame; None if there is none in that time."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        if socket.poll(0):
            return socket.recv_multipart()[0]
        await asyncio.sleep(0.01)
    return None


async def eventually(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait until it holds; fail at the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def answered(node: ZmqNodeBus, request: Request) -> Reply:
    """Ask until there is an answer, as an agent does."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await node.request(request)
            except TimeoutError as error:
                if "closed" in str(error):
                    raise


def hello(node: str, protocol: int = PROTOCOL) -> Hello:
    """A node's first message."""
    return Hello(node, "i1", protocol, "0.1.0", 2)


def beat(node: str, seq: int) -> Beat:
    """A beat with something in it."""
    return Beat(node, "i1", seq, 0, "idle", metrics=b"m" * 200)
