"""Who the users are: patterns, accounts from a file, neighbours, rooms."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.config import Config, ConfigError
from amoc.xmpp import connect, jid_of, neighbours, rooms_of
from amoc.xmpp.accounts_file import Account, AccountsFile, load, parse
from amoc.xmpp.patterns import check_pattern, fill
from amoc.xmpp.server import EmbeddedServer, serve
from amoc.xmpp.server.certificate import self_signed, server_context
from amoc.xmpp.settings import Options


def parsed(text: str) -> list[Account]:
    return list(parse(text.splitlines(keepends=True)))


@pytest.fixture
def accounts(tmp_path: Path, settings: Config) -> Path:
    """A file with three accounts, which the settings name."""
    path = tmp_path / "accounts.csv"
    path.write_text("username,password,domain,resource\ncrow,caw,,\nrook,a%{id},,nest\njay,c,example.org,\n")
    settings.set("xmpp_accounts_file", str(path))
    return path


# -- patterns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "user_id", "filled"),
    [
        ("user_{id}", 7, "user_7"),
        ("user_{id:06d}", 7, "user_000007"),
        ("{id:x}", 255, "ff"),
        ("user_{id:%100}", 100, "user_100"),
        ("user_{id:%100}", 101, "user_1"),
        ("user_{id:%100:03d}-{id}", 107, "user_007-107"),
        ("100%{id}", 3, "100%3"),
        ("{{{id}}}", 3, "{3}"),
        ("everybody", 3, "everybody"),
    ],
)
def test_patterns(pattern: str, user_id: int, filled: str) -> None:
    check_pattern(pattern)
    assert fill(pattern, user_id) == filled


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("{}", "only {id}"),
        ("{number}", "only {id}"),
        ("{id.real.x}", "only {id}"),
        ("{id", "write {id}"),
        ("{id:zz}", "write {id}"),
        ("{id:%}", "number from 1 on"),
        ("{id:%0}", "number from 1 on"),
        ("{id:%-3}", "number from 1 on"),
        ("{id:%\u0663}", "number from 1 on"),
        ("{id:%3:zz}", "write {id}"),
    ],
)
def test_what_is_no_pattern(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_pattern(pattern)


# -- the file ------------------------------------------------------------------------------------------


def test_the_columns_of_a_file() -> None:
    assert parsed("username,password\ncrow,caw\n") == [Account("crow", "caw")]
    assert parsed("password, username ,resource\ncaw,crow,tree\n") == [Account("crow", "caw", "", "tree")]
    assert parsed("jid,password\ncrow@a,caw\nrook@b/c/d,\n") == [
        Account("crow", "caw", "a"),
        Account("rook", "", "b", "c/d"),
    ]
    assert parsed('username,password\ncrow,"a, ""b""\nc"\nrook,x\n\n\n') == [
        Account("crow", 'a, "b"\nc'),
        Account("rook", "x"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no column username: its first line must name the columns, username,password or jid,password"),
        ("user_1,password_1\n", "has no column username"),
        ("username\ncrow\n", "has no column password"),
        ("username,jid,password\n", "has both username and jid"),
        (
            "username,password,resorce\n",
            "its column 'resorce' is unknown: with username there can be username, password",
        ),
        ("jid,password,domain\n", "its column 'domain' is unknown: with jid there can be jid, password$"),
        ("username,password,password\n", "more than one column password"),
        ("username,password\n", "it has no accounts"),
        ("username,password\n\n", "it has no accounts"),
        ("username,password\ncrow,caw\n,secret\n", r"^row 2 \(line 3\): the name is empty$"),
        ('username,password\ncrow,"a\nb"\nrook\n', r"^row 2 \(line 4\): 1 values for 2 columns$"),
        ("username,password\ncrow,a,b\n", r"^row 1 \(line 2\): 3 values for 2 columns$"),
        ("username,password\n\ncrow,a\n", r"^row 1 is empty, but there are others behind it$"),
        ("username,password\ncrow@a,secret\n", r"^row 1 \(line 2\): the username contains an @: name the column jid"),
        ("username,password\na crow,secret\n", r"^row 1 \(line 2\): the name contains a character"),
        ("username,password,domain\ncrow,a,example org\n", r"^row 1 \(line 2\): the domain contains a character"),
        ("username,password\ncrow,a\0b\n", r"^row 1 \(line 2\): a NUL character$"),
        ("jid,password\ncrow,secret\n", r"^row 1 \(line 2\): the jid is no address"),
        ("jid,password\ncrow@,secret\n", r"^row 1 \(line 2\): the jid is no address"),
        ("jid,password\n@a,secret\n", r"^row 1 \(line 2\): the name is empty"),
        ('username,password\ncrow,"secret\n', r"^row 1 \(line 2\): unexpected end of data"),
        ('username,password\ncrow,"a"b\n', r"^row 1 \(line 2\): ',' expected after '\"'"),
    ],
)
def test_what_is_wrong_with_a_file(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parsed(text)
    assert "secret" not in str(refused.value)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)


@given(st.lists(st.builds(Account, st.text("abcä_.-", min_size=1), TEXT, st.text("abc."), TEXT), max_size=20))
def test_what_goes_in_comes_out(rows: list[Account]) -> None:
    kept = AccountsFile("some.csv", rows)
    assert [kept[number] for number in range(1, len(kept) + 1)] == rows
    for number in (0, -1, len(rows) + 1):
        with pytest.raises(KeyError):
            kept[number]
    assert repr(kept) == f"<AccountsFile some.csv {len(rows)} accounts>"


def test_a_row_costs_little_more_than_its_text() -> None:
    kept = AccountsFile("", (Account(f"user_{n}", f"password_{n}") for n in range(1, 20_001)))
    assert kept[20_000] == Account("user_20000", "password_20000")
    assert (len(kept._rows) + kept._ends.itemsize * len(kept._ends)) / len(kept) < 33


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_bytes(b"\xef\xbb\xbfusername,password\r\ncrow,caw\r\n")  # as spreadsheets write it
    first = load(str(path))
    assert first[1] == Account("crow", "caw")
    assert load(str(path)) is first
    path.write_text("username,password\nrook,caw\n")
    os.utime(path, ns=(1, 1))
    assert load(str(path))[1].username == "rook"


def test_the_setting_is_checked(tmp_path: Path, settings: Config) -> None:
    path = tmp_path / "accounts.csv"
    for content, reason in (
        (None, "it cannot be read: No such file"),
        (b"username,password\ncr\xffw,a\n", "it is not UTF-8"),
        (b"username,password\n,secret\n", r"row 1 \(line 2\): the name is empty"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"xmpp_accounts_file: .*{reason}") as refused:
            settings.set("xmpp_accounts_file", str(path))
        assert "secret" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"xmpp_accounts_file.*cannot be read"):
        settings.set("xmpp_accounts_file", str(tmp_path))


def test_a_file_that_is_gone_when_it_is_needed(accounts: Path) -> None:
    accounts.unlink()
    with pytest.raises(ConfigError, match=r"xmpp_accounts_file .*accounts.csv: it cannot be read: No such file"):
        jid_of(1)


# -- in use --------------------------------------------------------------------------------------------


def test_addresses_are_those_of_the_file(accounts: Path, settings: Config) -> None:
    assert [jid_of(number) for number in (1, 2, 3)] == ["crow@localhost", "rook@localhost", "jay@example.org"]
    with pytest.raises(ConfigError, match=r"accounts.csv has 3 accounts, and none for user 4: add rows"):
        jid_of(4)
    assert neighbours(2, 4) == [1, 3]
    assert "caw" not in repr(Options.read({}).own(1))
    settings.set("xmpp_accounts_file", "")
    assert jid_of(4) == "user_4@localhost"


async def test_users_log_in_as_the_file_says(settings: Config, accounts: Path) -> None:
    known = {"crow": "caw", "rook": "a%{id}", "magpie": "shiny", "other-001": "password_1"}
    async with await serve(password=known.get) as server:
        settings.set("xmpp_servers", [f"127.0.0.1:{server.port}"])
        async with connect(1) as crow, connect(2) as rook:
            assert (crow.jid, rook.jid) == ("crow@localhost/res1", "rook@localhost/nest")
            assert crow.who.startswith("user 1 (crow@localhost at 127.0.0.1:")
        async with connect(2, username="magpie", password="shiny", resource="{id:03d}") as magpie:
            assert magpie.jid == "magpie@localhost/002"
        async with connect(1, accounts_file="", username="other-{id:03d}") as other:
            assert other.jid == "other-001@localhost/res1"


async def test_the_domain_of_an_account_is_that_of_its_certificate(
    settings: Config, accounts: Path, tmp_path: Path
) -> None:
    pem = self_signed("example.org")
    authority = tmp_path / "authority.pem"
    authority.write_bytes(pem[0])
    async with await serve(domain="example.org", tls="required", context=server_context("example.org", pem)) as server:
        settings.set_all({"xmpp_servers": [f"127.0.0.1:{server.port}"], "xmpp_ca_file": str(authority)})
        async with connect(3) as jay:
            assert jay.jid == "jay@example.org/res1"


async def test_a_user_without_an_account_does_not_even_connect(embedded: EmbeddedServer, accounts: Path) -> None:
    with pytest.raises(ConfigError, match=r"accounts.csv has 3 accounts, and none for user 4"):
        await connect(4)
    assert embedded.connections == 0
    assert embedded.counters.logins == 0
    assert Options.read({}).who(4).startswith("user 4 (no account at 127.0.0.1:")


def test_what_is_given_to_connect_goes_before_the_file(accounts: Path) -> None:
    own = Options.read({"password": "p{id}", "domain": "other"}).own(2)
    assert own == Account("rook", "p2", "other", "nest")
    assert Options.read({}).own(2) == Account("rook", "a%{id}", "localhost", "nest")
    assert Options.read({}).own(3) == Account("jay", "c", "example.org", "res1")


# -- neighbours and rooms ------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 12), st.integers(1, 9))
def test_rooms_hold_as_many_users_as_they_should(last: int, rooms: int, users: int) -> None:
    members = Counter(room for user in range(1, last + 1) for room in rooms_of(user, rooms, users))
    for user in range(1, last + 1):
        mine = rooms_of(user, rooms, users)
        assert len(set(mine)) == rooms
        if users + rooms <= user <= last - users - rooms:  # neither the first nor the last
            assert all(members[room] == users for room in mine)
    assert max(members.values()) <= users
    assert sum(members.values()) == last * rooms


def test_rooms_as_of_old() -> None:
    assert len(rooms_of(1)) == 10
    assert rooms_of(7, 2, 5) == ["room-0-1", "room-1-1"]
    assert rooms_of(10, 2, 5) == ["room-0-1", "room-1-2"]  # another border
