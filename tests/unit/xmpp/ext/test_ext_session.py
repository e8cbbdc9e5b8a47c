"""What extensions have in common: complaints about answers, and who may speak for the user's account."""

import ast
from pathlib import Path

import pytest

import amoc.xmpp.ext
from amoc.xmpp import Client, ReceiveTimeout, connect
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, expect, is_own_account, names_user, number
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import xml

ANSWER = xml("<iq type='result' from='service.localhost' id='7'><query xmlns='urn:a' n='x'/></iq>")


def test_a_child_that_has_to_be_there() -> None:
    assert child_of(ANSWER, "query", "urn:a").get("n") == "x"
    with pytest.raises(BadAnswer) as raised:
        child_of(ANSWER, "query", "urn:b")
    assert str(raised.value) == f"service.localhost answered with no <query xmlns='urn:b'/>: {ANSWER}"
    assert raised.value.answer is ANSWER


@pytest.mark.parametrize(("text", "value"), [(None, None), ("", None), (" 0 ", 0), ("12", 12), ("9" * 19, 10**19 - 1)])
def test_a_number(text: str | None, value: int | None) -> None:
    assert number(ANSWER, text) == value


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "9" * 20, "1e3", "\u0661"])
def test_no_number(text: str) -> None:
    with pytest.raises(BadAnswer, match="instead of a number"):
        number(ANSWER, text)


async def test_a_client_is_a_session_and_knows_its_account(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        session: Session = client
        assert isinstance(client, Client)
        for own in (None, "user_1@localhost", "USER_1@localhost"):
            assert is_own_account(session, own)
        for other in ("localhost", "user_1@localhost/res1", "user_2@localhost", ""):
            assert not is_own_account(session, other)


async def test_errors_name_the_user_once(embedded: EmbeddedServer) -> None:
    @names_user
    async def inner(session: Session, reason: str) -> None:
        raise BadAnswer(ANSWER, reason)

    @names_user
    async def outer(session: Session) -> None:
        await inner(session, "nonsense")

    async with connect(1) as client:
        with pytest.raises(
            BadAnswer, match=r"^user 1 \(user_1@[^:]*:\d+\): service.localhost answered with nonsense: "
        ):
            await outer(client)
        with pytest.raises(ReceiveTimeout, match=r"^nothing came within 0.01 s$"):
            await expect(client, "nothing came", "message", 0.01)


def test_whatever_is_awaited_names_the_user() -> None:
    calls = 0
    for path in Path(amoc.xmpp.ext.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.AsyncFunctionDef) or node.name.startswith("_") or path.name == "session.py":
                continue
            if [argument.arg for argument in node.args.args][:1] != ["session"]:
                continue
            if any(isinstance(inside, ast.Yield) for inside in ast.walk(node)):
                continue  # a generator: what it awaits does
            calls += 1
            names = [decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)]
            assert names == ["names_user"], f"{path.name}: {node.name}"
    assert calls > 50
