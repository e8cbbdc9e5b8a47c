"""Key files: made once, private, and refused when they are not what they should be."""

import os
import stat
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from amoc.control.keys import KeyPair, KeyRing, new_pairs, read_pair, read_public
from amoc.errors import BadInput


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def later(directory: Path) -> None:
    """Make a change of the directory visible even on a clock of coarse ticks."""
    os.utime(directory, ns=(0, directory.stat().st_mtime_ns + 1_000_000_000))


def test_a_pair_is_written_and_read_back(tmp_path: Path) -> None:
    directory = tmp_path / "some" / "keys"
    written = new_pairs(directory, ["master", "slave-1.example"])
    secret, public = written["slave-1.example"]
    assert (secret.name, public.name) == ("slave-1.example.key_secret", "slave-1.example.key")
    pair = read_pair(directory, "slave-1.example")
    assert read_public(directory, "slave-1.example") == pair.public
    assert zmq.curve_public(z85.encode(pair.secret)) == z85.encode(pair.public)
    assert pair != read_pair(directory, "master")
    assert (mode(directory), mode(secret)) == (0o700, 0o600)
    assert z85.encode(pair.secret).decode() not in public.read_text()


def test_a_secret_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (secret, _), *_ = new_pairs(tmp_path, ["a"]).values()
    finally:
        os.umask(before)
    assert mode(secret) == 0o600


def test_a_secret_is_not_shown() -> None:
    pair = KeyPair.generate()
    assert repr(pair.secret) not in repr(pair)


def test_other_tools_for_zeromq_read_the_files(tmp_path: Path) -> None:
    from zmq.auth import load_certificate

    secret, public = new_pairs(tmp_path, ["a"])["a"]
    pair = read_pair(tmp_path, "a")
    assert load_certificate(secret) == (z85.encode(pair.public), z85.encode(pair.secret))
    assert load_certificate(public) == (z85.encode(pair.public), None)


def test_nothing_is_overwritten_and_nothing_half_done(tmp_path: Path) -> None:
    new_pairs(tmp_path, ["b"])
    before = read_pair(tmp_path, "b")
    with pytest.raises(BadInput, match=r"b\.key_secret.*--force"):
        new_pairs(tmp_path, ["a", "b", "c"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.key", "b.key_secret"]
    assert read_pair(tmp_path, "b") == before
    new_pairs(tmp_path, ["b"], force=True)
    assert read_pair(tmp_path, "b") != before


def test_half_a_pair_counts_as_there(tmp_path: Path) -> None:
    (tmp_path / "a.key").symlink_to("nowhere")
    with pytest.raises(BadInput, match=r"a\.key there already"):
        new_pairs(tmp_path, ["a"])


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "-a", "a b", "ä", "a\n", "a" * 101])
def test_names_that_are_no_names(tmp_path: Path, name: str) -> None:
    for act in (lambda: new_pairs(tmp_path, ["ok", name]), lambda: read_pair(tmp_path, name)):
        with pytest.raises(BadInput, match="cannot be the name of a node"):
            act()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, open_to: int) -> None:
    secret, _ = new_pairs(tmp_path, ["a"])["a"]
    secret.chmod(open_to)
    with pytest.raises(BadInput, match=f"mode {open_to:04o}.*chmod 600 {secret}"):
        read_pair(tmp_path, "a")


def test_a_missing_key_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no key .*a\.key_secret: amoc keys new a"):
        read_pair(tmp_path, "a")
    with pytest.raises(BadInput, match=r"no key .*master\.key: copy master\.key"):
        read_public(tmp_path, "master")


@pytest.mark.parametrize(
    "text",
    ["", "curve\n", 'public-key = "short"', f'public-key = "{"~" * 40}"', f'public-key = "{"#" * 40}"', "\xff" * 5000],
)
def test_files_that_hold_no_key(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.key").write_text(text, encoding="latin-1")
    with pytest.raises(BadInput, match="holds no public key"):
        read_public(tmp_path, "a")


def test_a_public_file_is_no_secret_one_and_two_halves_are_no_pair(tmp_path: Path) -> None:
    (a_secret, a_public), (b_secret, _) = new_pairs(tmp_path, ["a", "b"]).values()
    both = a_secret.read_text()
    a_secret.write_text(a_public.read_text())
    with pytest.raises(BadInput, match="holds no secret key"):
        read_pair(tmp_path, "a")
    b_line = next(line for line in b_secret.read_text().splitlines() if "secret-key" in line)
    a_secret.write_text("\n".join(b_line if "secret-key" in line else line for line in both.splitlines()))
    with pytest.raises(BadInput, match="no pair"):
        read_pair(tmp_path, "a")


def test_the_ring_is_every_public_key_but_the_masters(tmp_path: Path) -> None:
    new_pairs(tmp_path, ["master", "a", "b"])
    ring = KeyRing(tmp_path)
    assert ring.names == ["a", "b"]
    assert ring.owner(read_public(tmp_path, "a")) == "a"
    assert ring.owner(read_public(tmp_path, "master")) is None
    assert ring.owner(KeyPair.generate().public) is None


def test_the_ring_follows_its_directory(tmp_path: Path) -> None:
    new_pairs(tmp_path, ["a", "b"])
    key_of_a = read_public(tmp_path, "a")
    ring = KeyRing(tmp_path)
    new_pairs(tmp_path, ["c"])
    (tmp_path / "a.key").unlink()
    later(tmp_path)
    assert ring.owner(read_public(tmp_path, "c")) == "c"
    assert ring.owner(key_of_a) is None


def test_a_key_written_into_an_existing_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amoc.control.keys._RELOAD", 0.0)
    new_pairs(tmp_path, ["a", "b"])
    ring = KeyRing(tmp_path)
    pair = KeyPair.generate()
    (tmp_path / "a.key").write_text(f'public-key = "{z85.encode(pair.public).decode()}"\n')
    assert ring.owner(pair.public) == "a"


def test_a_ring_that_cannot_be_read_again_stays_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    new_pairs(tmp_path, ["a"])
    ring = KeyRing(tmp_path)
    (tmp_path / "b.key").write_text("nonsense")
    later(tmp_path)
    assert ring.owner(read_public(tmp_path, "a")) == "a"
    assert "b.key holds no public key" in caplog.text


def test_a_ring_refuses_to_begin_with_what_it_does_not_understand(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="amoc keys new master"):
        KeyRing(tmp_path / "none")
    _, public = new_pairs(tmp_path, ["a"])["a"]
    (tmp_path / "b.key").write_bytes(public.read_bytes())
    with pytest.raises(BadInput, match=r"b\.key and a\.key hold the same key"):
        KeyRing(tmp_path)
