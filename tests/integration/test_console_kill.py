"""kill -9 of a node, of a console, of an attached console: a readable outcome and a working console."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminal import Workplace, gone, until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.close()


def test_the_node_of_a_console(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.do(chat, 1, 4, interarrival=1)")
    shell.expect("says hello 12")  # the node has lived long enough not to look doomed
    node = place.node()
    workers = node.children()
    node.send_signal(signal.SIGKILL)
    shell.expect(
        rf"ERROR amoc the node \(pid {node.pid}\) was killed by signal 9 \(SIGKILL\), its test is lost "
        r"\(chat, users 1 to 4\); starting another"
    )
    shell.expect(r"amoc connected to node \d+")
    assert place.node().pid != node.pid
    until(lambda: gone(workers), "the workers of the dead node to end")
    assert shell.run("amoc_local.status()['state']").endswith("'idle'")
    assert "local: users 1 to 2" in shell.run("amoc_local.do(chat, 1, 2)")


def test_a_node_that_dies_at_once_is_not_started_for_ever(place: Workplace) -> None:
    shell = place.shell("console")
    node = place.node()
    node.send_signal(signal.SIGKILL)
    shell.expect(
        rf"the node \(pid {node.pid}\) was killed by signal 9 \(SIGKILL\), its test, if one ran, is lost; "
        "it was young, so only the next call starts another"
    )
    assert shell.run("amoc_node.ping()").endswith("'pong'")
    assert place.node().pid != node.pid


def test_the_node_of_a_console_under_a_call(place: Workplace) -> None:
    place.scenario("slow", "import time\n\ndef init():\n    time.sleep(600)\n\nasync def start(user_id):\n    pass\n")
    shell = place.shell("console")
    shell.run("amoc_local.status()")
    node = place.node()
    shell.type("amoc_local.do(slow, 1, 4)\r")
    shell.expect("slow starts on local")
    node.send_signal(signal.SIGKILL)
    shell.expect("local.do: the node ended before it answered; the next call uses a new one")
    shell.prompt()
    assert shell.run("amoc_local.status()['state']").endswith("'idle'")


def test_a_console(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.do(chat, 1, 4)")
    node = place.node()
    family = [node, *node.children()]
    shell.kill()
    until(lambda: gone(family), "the node and its workers to end")
    assert "ending: the end of its console" in (place.node_dir / "node.log").read_text()
    again = place.shell("console")
    assert again.run("amoc_local.status()['state']").endswith("'idle'")


def test_an_attached_console(place: Workplace) -> None:
    place.amoc("start")
    shell = place.shell("attach")
    shell.run("amoc_local.do(chat, 1, 2)")
    shell.kill()
    again = place.shell("attach")
    assert again.run("amoc_local.status()['state']").endswith("'running'")
    again.expect("says hello")


def test_the_node_in_the_background(place: Workplace) -> None:
    place.amoc("start")
    shell = place.shell("attach")
    shell.run("amoc_local.do(chat, 1, 2)")
    node = place.node()
    workers = node.children()
    node.send_signal(signal.SIGKILL)
    shell.expect(
        rf"ERROR amoc the node \(pid {node.pid}\) is gone: it left without a word \(killed\?\), its test is lost "
        r"\(chat, users 1 to 2\); start one with `amoc start` in another terminal, this console then uses it"
    )
    until(lambda: gone([node, *workers]), "node and workers to end")
    assert "no node runs in .amoc: start one with `amoc start`" in shell.run("amoc_local.status()")
    assert shell.run("1 + 1").endswith("Out[3]: 2")
    done = place.amoc("status")
    assert done.returncode == 1
    assert "no node runs in .amoc" in done.stderr

    assert place.amoc("start").returncode == 0, "what the dead node left is in nobody's way"
    assert shell.run("amoc_local.status()['state']").endswith("'idle'")
    assert f"connected to node {place.node().pid}" in shell.text
    assert re.search(r"local: users 1 to 2", shell.run("amoc_local.do(chat, 1, 2)"))
    shell.expect("says hello 1")


def test_a_node_that_is_stopped_under_its_console(place: Workplace) -> None:
    shell = place.shell("console")
    shell.run("amoc_local.status()")
    first = place.node()
    assert place.amoc("stop").returncode == 0
    shell.expect(
        rf"the node \(pid {first.pid}\) has ended: it was ended by an operator \(node.stop\); "
        "the next call starts another"
    )
    assert shell.run("1 + 1").endswith("2"), "what needs no node starts none"
    assert shell.run("amoc_local.status()['state']").endswith("'idle'")
    assert place.node().pid != first.pid
