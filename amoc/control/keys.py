"""The keys by which master and nodes know each other: a CURVE pair for each, in files of one directory.

`NAME.key_secret` holds both keys of a pair and is readable by its owner alone; `NAME.key` holds the public one.
The format is that of ZeroMQ's certificates (ZPL), keys in Z85. The master's pair is called `master`.
"""

import logging
import os
import re
import secrets
import stat
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from amoc.errors import BadInput

__all__ = ["MASTER", "KeyPair", "KeyRing", "check_name", "new_pairs", "read_pair", "read_public"]

MASTER = "master"

_SECRET, _PUBLIC = ".key_secret", ".key"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_LINE = re.compile(r'^\s*(public|secret)-key\s*=\s*"([^"\s]{40})"\s*$', re.MULTILINE)
_MOST = 4096  # bytes of a key file that are read: it has some 300
_RELOAD = 1.0  # seconds between two looks at all files for the sake of keys that are not listed


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair, 32 bytes each."""

    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "KeyPair":
        """A new pair."""
        public, secret = zmq.curve_keypair()
        return cls(z85.decode(public), z85.decode(secret))


def check_name(name: str) -> str:
    """The name, if a node may be called that: it names files, and is shown. Raises BadInput."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} cannot be the name of a node: use up to 100 letters, digits, . _ and -, a letter or digit first"
        )
    return name


def new_pairs(directory: Path, names: Sequence[str], *, force: bool = False) -> dict[str, list[Path]]:
    """Write a new pair for each name: the paths of its secret and its public file.

    All or nothing: raises BadInput when a name cannot be used or, without `force`, has a file already.
    """
    paths = {check_name(name): [directory / f"{name}{_SECRET}", directory / f"{name}{_PUBLIC}"] for name in names}
    taken = [str(path) for pair in paths.values() for path in pair if os.path.lexists(path)]
    if taken and not force:
        raise BadInput(
            f"{', '.join(taken)} there already: a new key would lock out whoever uses it (--force replaces it)"
        )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, (secret, public) in paths.items():
        pair = KeyPair.generate()
        lines = f'curve\n    public-key = "{_text(pair.public)}"\n'
        _write(secret, f'# amoc: secret key of {name}\n{lines}    secret-key = "{_text(pair.secret)}"\n', 0o600)
        _write(public, f"# amoc: public key of {name}\n{lines}", 0o644)
    return paths


def read_pair(directory: Path, name: str) -> KeyPair:
    """The pair of `name`. Raises BadInput: no such file, readable by others, not a key, keys that are no pair."""
    path = directory / f"{check_name(name)}{_SECRET}"
    keys = _read(path, f"amoc keys new {name}", private=True)
    if "secret" not in keys:
        raise BadInput(f"{path} holds no secret key: write it anew with `amoc keys new {name} --force`")
    public = zmq.curve_public(keys["secret"].encode())
    if public != keys["public"].encode():
        raise BadInput(f"{path}: its two keys are no pair; write it anew with `amoc keys new {name} --force`")
    return KeyPair(z85.decode(public), z85.decode(keys["secret"]))


def read_public(directory: Path, name: str) -> bytes:
    """The public key of `name`. Raises BadInput."""
    path = directory / f"{check_name(name)}{_PUBLIC}"
    public: bytes = z85.decode(_read(path, f"copy {path.name} from where `amoc keys new` was run")["public"])
    return public


class KeyRing:
    """The nodes that may connect: every public key in a directory but the master's, by the name of its file.

    The files are read again when the directory has changed, or a key is asked for that is not listed. If
    they have become unreadable, what was read before stays in force and that is logged. Raises BadInput if they
    cannot be read at first.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = self._stamp()
        self._owners = self._load()
        self._loaded = time.monotonic()

    def __repr__(self) -> str:
        return f"<KeyRing {self._directory}: {', '.join(self.names)}>"

    @property
    def names(self) -> list[str]:
        """The nodes listed."""
        return sorted(self._owners.values())

    def owner(self, public: bytes) -> str | None:
        """The node that a key (32 bytes) belongs to; None if it is not listed."""
        now = time.monotonic()
        if self._stamp() != self._changed or (public not in self._owners and now - self._loaded >= _RELOAD):
            self._loaded, self._changed = now, self._stamp()
            try:
                self._owners = self._load()
            except BadInput as error:
                logging.getLogger(__name__).warning("the list of keys stays as it was: %s", error)
        return self._owners.get(public)

    def _stamp(self) -> int:
        try:
            return self._directory.stat().st_mtime_ns
        except OSError:
            return -1

    def _load(self) -> dict[bytes, str]:
        if not self._directory.is_dir():
            raise BadInput(
                f"there is no directory of keys {self._directory}: make it by `amoc keys new {MASTER} NAME...`"
            )
        owners: dict[bytes, str] = {}
        for path in sorted(self._directory.glob(f"*{_PUBLIC}")):
            if path.stem == MASTER:
                continue
            public = read_public(self._directory, path.stem)
            other = owners.setdefault(public, path.stem)
            if other != path.stem:
                raise BadInput(f"{path} and {other}{_PUBLIC} hold the same key: each node needs one of its own")
        return owners


def _text(key: bytes) -> str:
    text: str = z85.encode(key).decode()
    return text


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all, from the first moment with its mode."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)
    draft.replace(path)


def _read(path: Path, remedy: str, *, private: bool = False) -> dict[str, str]:
    """The keys of a file by kind (public, secret), in Z85."""
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_MOST).decode("ascii", "replace")
    except FileNotFoundError:
        raise BadInput(f"there is no key {path}: {remedy}") from None
    except OSError as error:
        raise BadInput(f"the key {path} cannot be read: {error.strerror or error}") from None
    if private and mode & 0o077:
        raise BadInput(f"the secret key {path} is open to others (mode {mode:04o}): chmod 600 {path}")
    keys = dict(_LINE.findall(text))
    try:
        for key in keys.values():
            z85.decode(key)
    except (KeyError, ValueError, struct.error):  # a character, or a number, that Z85 does not have
        keys = {}
    if "public" not in keys:
        raise BadInput(f"{path} holds no public key in Z85: write it anew with `amoc keys new`")
    return keys
