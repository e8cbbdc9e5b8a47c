"""Who may not: keys that are not listed, peers without CURVE, nodes under another's name, frames that are none."""

import asyncio
import socket

import pytest
import zmq

from amoc.control import Ping, Refused, Welcome
from amoc.control.keys import KeyPair
from amoc.control.limits import CUT_OFF_SLACK, REQUEST_LIMIT
from amoc.control.messages import PROTOCOL, decode_reply, encode
from amoc.control.zmq_node import ZmqNodeBus
from tests.integration.control.hub import Hub, answered, beat, eventually, hello, received

SOON = 0.6  # seconds in which a stranger would have got something: a friend gets it in a tenth of that


async def test_a_key_that_is_not_listed_gets_nothing_and_is_logged_once(hub: Hub) -> None:
    friend, keys = hub.node("friend"), KeyPair.generate()
    stranger = hub.node("stranger", keys, timeout=2.0)
    with pytest.raises(TimeoutError, match="does not list this node's key"):
        await stranger.request(hello("stranger"))
    await hub.publish_until(lambda: hub.heard["friend"])
    with pytest.raises(TimeoutError, match="does not list"):
        await stranger.request(hello("stranger"))
    assert hub.heard["stranger"] == []
    assert hub.asked == []
    assert hub.master.refused["key"] >= 3  # on both sockets, at least
    (line,) = (line for line in hub.said if "turned away" in line)
    assert "at 127.0.0.1" in line
    assert isinstance(await friend.request(hello("friend")), Welcome)

    hub.listed[keys.public] = "stranger"  # and once it is listed, it is in, on both sockets, without a restart
    await answered(stranger, hello("stranger"))
    await hub.publish_until(lambda: hub.heard["stranger"])


async def test_peers_without_curve_get_nothing(hub: Hub) -> None:
    friend = hub.node("friend")
    plain = [hub.socket(zmq.SUB, None, hub.ports[0]), hub.socket(zmq.REQ, None, hub.ports[1])]
    plain[1].send(encode(hello("friend")))
    dealer = hub.socket(zmq.DEALER, None, hub.ports[1])
    dealer.send_multipart([b"", encode(hello("friend"))])
    await hub.publish_until(lambda: hub.heard["friend"])
    await eventually(lambda: hub.master.refused["handshake"] >= 3)
    assert await asyncio.gather(*(received(it, SOON) for it in (*plain, dealer))) == [None] * 3
    assert hub.asked == []
    assert len([line for line in hub.said if "CURVE" in line]) == 1
    assert isinstance(await friend.request(hello("friend")), Welcome)


async def test_plain_authentication_gets_nothing(hub: Hub) -> None:
    it = hub.socket(zmq.REQ, None, hub.ports[1])
    it.disconnect(f"tcp://127.0.0.1:{hub.ports[1]}")
    it.plain_username, it.plain_password = b"master", b"master"
    it.connect(f"tcp://127.0.0.1:{hub.ports[1]}")
    assert await hub.ask(it, encode(hello("a")), seconds=SOON) is None
    assert hub.asked == []


async def test_bytes_that_are_no_zeromq_do_not_disturb(hub: Hub) -> None:
    node = hub.node("a")
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" + b"\x00" * 8 + b"\x01\x7f" + b"\xff" * 70, b"\x00" * 1000, b""):
        for port in hub.ports:
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(data)
    for seq in range(20):
        await node.request(beat("a", seq))
    assert len(hub.asked) == 20


async def test_an_impostor_of_the_master_gets_nothing(hub: Hub) -> None:
    own = hub.key("a")
    node = ZmqNodeBus("127.0.0.1", *hub.ports, own, KeyPair.generate().public, timeout=2.0)
    hub.nodes.append(node)
    with pytest.raises(TimeoutError, match=r"is master\.key the key of that master"):
        await node.request(hello("a"))
    assert hub.asked == []


async def test_a_node_under_the_name_of_another_is_refused(hub: Hub) -> None:
    a, b = hub.node("a"), hub.node("b")
    await a.request(beat("a", 1))
    for message in (hello("a"), beat("a", 2)):
        reply = await b.request(message)
        assert isinstance(reply, Refused)
        assert reply.code == "owner"
        assert "'a'" in reply.reason
        assert "key of node b" in reply.reason
    assert hub.asked == [beat("a", 1)]
    assert hub.master.refused == {"owner": 2}
    assert len(hub.said) == 1


async def test_another_version_is_refused_in_words(hub: Hub) -> None:
    reply = await hub.node("old").request(hello("old", PROTOCOL + 1))
    assert isinstance(reply, Refused)
    assert reply.code == "version"
    assert reply.reason.startswith(f"node old runs amoc 0.1.0 (control protocol {PROTOCOL + 1}), this master amoc ")
    assert hub.asked == []


async def test_frames_that_are_no_requests_are_refused_and_change_nothing(hub: Hub) -> None:
    bad = hub.socket(zmq.REQ, hub.key("bad"), hub.ports[1])
    good = hub.node("good")
    for frames in ([b""], [b"\xc1"], [b"junk" * 100], [encode(beat("bad", 1))] * 2, [b""] * 50, [encode(Ping(1))]):
        reply = await hub.ask(bad, *frames)
        assert reply is not None
        refused = decode_reply(reply)
        assert isinstance(refused, Refused)
        assert refused.code == "decode"
        await good.request(beat("good", 1))
    assert {request.node for request in hub.asked} == {"good"}
    assert hub.master.refused == {"decode": 6}
    assert len(hub.said) == 1
    assert "bad" in hub.said[0]


async def test_envelopes_that_rep_does_not_understand_do_not_block_it(hub: Hub) -> None:
    dealer = hub.socket(zmq.DEALER, hub.key("dealer"), hub.ports[1])
    for frames in ([b"no delimiter"], [b"a", b"b", b"c"], [b""], [b"", b"", b""]):
        dealer.send_multipart(frames)
    node = hub.node("a")
    assert isinstance(await node.request(hello("a")), Welcome)
    assert {request.node for request in hub.asked} == {"a"}


async def test_what_is_too_long_is_refused_and_what_is_far_too_long_cuts_its_sender_off(hub: Hub) -> None:
    keys = hub.key("big")
    big, node = hub.socket(zmq.REQ, keys, hub.ports[1]), hub.node("a")
    reply = await hub.ask(big, b"\xc1" * (REQUEST_LIMIT + 1))
    assert reply is not None
    refused = decode_reply(reply)
    assert isinstance(refused, Refused)
    assert refused.code == "size"
    big.send(b"\xc1" * (REQUEST_LIMIT + CUT_OFF_SLACK + 1))
    for seq in range(20):
        await node.request(beat("a", seq))
    assert await received(big, SOON) is None
    assert len(hub.asked) == 20
    assert hub.master.refused == {"size": 1}


async def test_a_flood_of_one_node_does_not_starve_another(hub: Hub) -> None:
    flood = hub.socket(zmq.DEALER, hub.key("flood"), hub.ports[1])
    node = hub.node("a", timeout=20)
    frames = [b"", encode(beat("flood", 1))]
    for seq in range(100):
        for _ in range(100):
            try:
                flood.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                break
        await node.request(beat("a", seq))
    assert len([request for request in hub.asked if request.node == "a"]) == 100
