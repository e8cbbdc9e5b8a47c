"""Accounts from a file: CSV whose first line names the columns, and whose Nth row after it is user N's account.

    username,password            jid,password                  username,password,domain,resource
    crow,caw                     crow@example.org,caw          crow,caw,example.org,tree
    rook,"a, b"                  rook@example.org/nest,b       rook,b,,

A domain or resource that is empty or has no column is the setting's. Names, domains and passwords are checked when
the file is loaded, which happens once in each process until the file changes.

Theory of operation. A hundred thousand rows as Python's texts would cost some thirty megabytes in every worker, most
of it for objects. So the rows are kept as bytes, one behind the other, with an index of their ends: what the file has,
and four bytes for each.
"""

import csv
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

__all__ = ["Account", "AccountsFile", "load", "parse"]

COLUMNS: Final = (("username", "password"), ("jid", "password"))
OPTIONAL: Final = {"username": ("domain", "resource"), "jid": ()}
KEPT: Final = 4  # files kept in memory: a test uses one

_NOT_LOCAL = re.compile(r"[\s\x00-\x1f\x7f\"&'/:<>@]")  # RFC 7622, 3.3.1
_NOT_DOMAIN = re.compile(r"[\s\x00-\x1f\x7f/@<>]")


class Account(NamedTuple):
    """An account as a row says it; what it does not say is ""."""

    username: str
    password: str
    domain: str = ""
    resource: str = ""

    def __repr__(self) -> str:
        return f"<Account {self.username}@{self.domain}/{self.resource}>"  # never the password


class AccountsFile:
    """The accounts of users 1 to `len(…)`, by their ids."""

    __slots__ = ("_ends", "_rows", "path")

    def __init__(self, path: str, accounts: Iterable[Account]) -> None:
        self.path = path
        rows = bytearray()
        self._ends = array("I")
        for account in accounts:
            rows += "\0".join(account).encode()
            self._ends.append(len(rows))
        self._rows = bytes(rows)

    def __repr__(self) -> str:
        return f"<AccountsFile {self.path} {len(self)} accounts>"  # never their passwords

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, user_id: int) -> Account:
        if not 1 <= user_id <= len(self._ends):
            raise KeyError(user_id)
        begin = self._ends[user_id - 2] if user_id > 1 else 0
        return Account(*self._rows[begin : self._ends[user_id - 1]].decode().split("\0"))


def load(path: str) -> AccountsFile:
    """The file, read anew if it has changed. Raises ValueError, which says what is wrong and in which row."""
    try:
        found = os.stat(path)
        signature = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = _known.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        with open(path, encoding="utf-8-sig", newline="") as lines:
            accounts = AccountsFile(path, parse(lines))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    if len(_known) >= KEPT:
        _known.clear()
    _known[path] = signature, accounts
    return accounts


def parse(lines: Iterable[str]) -> Iterator[Account]:
    """The accounts of a file, given its lines. Raises ValueError, which names the row and never shows what is in it."""
    reader = csv.reader(lines, strict=True)
    number = 0
    blank = 0  # the line of a row that is empty: there may be such only at the end
    try:
        columns = [name.strip() for name in next(reader, [])]
        _check_columns(columns)
        for number, row in enumerate(reader, 1):
            if not row:
                blank = blank or number
                continue
            if blank:
                raise ValueError(f"row {blank} is empty, but there are others behind it")
            try:
                account = _account(columns, row)
            except ValueError as error:
                raise ValueError(f"row {number} (line {reader.line_num}): {error}") from error
            yield account
    except csv.Error as error:
        raise ValueError(f"row {number + 1} (line {reader.line_num}): {error}") from error
    if number == 0 or blank == 1:
        raise ValueError("it has no accounts: only the line that names the columns")


def _check_columns(columns: Sequence[str]) -> None:
    wanted = " or ".join(",".join(names) for names in COLUMNS)
    kinds = [name for name in OPTIONAL if name in columns]
    if len(kinds) != 1:
        wrong = "has no column username" if not kinds else "has both username and jid"
        raise ValueError(f"it {wrong}: its first line must name the columns, {wanted}")
    if "password" not in columns:
        raise ValueError(f"it has no column password: its first line must name the columns, {wanted}")
    known = (kinds[0], "password", *OPTIONAL[kinds[0]])
    for name in columns:
        if name not in known:
            raise ValueError(f"its column {name!r} is unknown: with {kinds[0]} there can be {', '.join(known)}")
        if columns.count(name) > 1:
            raise ValueError(f"it has more than one column {name}")


def _account(columns: Sequence[str], row: Sequence[str]) -> Account:
    if len(row) != len(columns):
        raise ValueError(f"{len(row)} values for {len(columns)} columns")
    values = dict(zip(columns, row, strict=True))
    if "\0" in "".join(row):
        raise ValueError("a NUL character")
    address = values.pop("jid", None)
    if address is None:
        account = Account(**values)
        if "@" in account.username:
            raise ValueError("the username contains an @: name the column jid if these are addresses")
    else:
        name, _, resource = address.partition("/")
        name, at, domain = name.rpartition("@")
        if not at or not domain:
            raise ValueError("the jid is no address as in crow@example.org")
        account = Account(name, values["password"], domain, resource)
    if not account.username:
        raise ValueError("the name is empty")
    if _NOT_LOCAL.search(account.username):
        raise ValueError("the name contains a character that cannot be in one: a space, or one of \"&'/:<>@")
    if _NOT_DOMAIN.search(account.domain):
        raise ValueError("the domain contains a character that cannot be in one")
    return account


_known: dict[str, tuple[tuple[int, int, int], AccountsFile]] = {}
