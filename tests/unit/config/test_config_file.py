"""app.config: what is read, and where an error is."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.config import ConfigError, read_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.config"


def test_everything_arrives_with_its_type(path: Path) -> None:
    path.write_text(
        "interarrival = 10\n"
        "rate = 0.5\n"
        "forever = inf\n"
        'quotes = "he said \\"hi\\" ünïcödé"\n'
        "on = true\n"
        'hosts = ["a", "b"]\n'
        "day = 2026-01-02\n"
        "[table]\n"
        "at = [2026-01-02T03:04:05Z, 03:04:05]\n",
        encoding="utf-8",
    )
    assert read_file(path) == {
        "interarrival": 10,
        "rate": 0.5,
        "forever": float("inf"),
        "quotes": 'he said "hi" ünïcödé',
        "on": True,
        "hosts": ["a", "b"],
        "day": "2026-01-02",
        "table": {"at": ["2026-01-02T03:04:05+00:00", "03:04:05"]},
    }


def test_an_empty_file_has_no_settings(path: Path) -> None:
    path.write_text("")
    assert read_file(str(path)) == {}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = ", "line 1, column 5"),
        ("a = 1\nb = = 2\n", "line 2, column 5"),
        ("a = 1\na = 2", "line 2, column 6"),
        ("a = 1\n\nb = '''open\n", "line 3, column 12"),
        ("[a\n", "line 1, column 3"),
    ],
)
def test_broken_toml_is_reported_with_line_and_column(path: Path, text: str, place: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    assert str(caught.value).startswith(f"{path}, {place}: not valid TOML: ")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(path: Path) -> None:
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match=r"app.config, line 2: not UTF-8 text"):
        read_file(path)


def test_a_file_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"app.config: cannot be read: No such file"):
        read_file(path)
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        read_file(tmp_path)
    path.write_text("")
    path.chmod(0)
    if os.access(path, os.R_OK):
        return  # root reads everything
    with pytest.raises(ConfigError, match=r"cannot be read: Permission denied"):
        read_file(path)


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")))
def test_any_content_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.config"
    path.write_bytes(content)
    refusal = ""
    try:
        read_file(path)
    except ConfigError as error:
        refusal = str(error)
    assert "\n" not in refusal
