"""Targets: read, refused, and the platforms of wheels that fit them."""

import pytest

from amoc.errors import BadInput
from tools.release.targets import fewest, read_target


@pytest.mark.parametrize("text", ["cp311-manylinux_2_36_x86_64", "cp312-musllinux_1_2_aarch64"])
def test_a_target_is_written_as_it_is_read(text: str) -> None:
    assert str(read_target(text)) == text


@pytest.mark.parametrize("text", ["", "cp311", "cp310-manylinux_2_36_x86_64", "cp311-linux_x86_64", "py3-none-any"])
def test_what_is_no_target_or_too_old_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"is not a target such as|amoc needs Python 3\.11"):
        read_target(text)


def test_older_c_libraries_and_their_old_names_fit_and_newer_do_not() -> None:
    platforms = read_target("cp311-manylinux_2_18_x86_64").platforms
    assert platforms[:3] == ["manylinux_2_18_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    assert platforms[-2:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64"]
    assert read_target("cp311-musllinux_1_1_x86_64").platforms == ["musllinux_1_1_x86_64", "musllinux_1_0_x86_64"]


def test_of_hosts_that_differ_in_the_c_library_only_the_oldest_counts() -> None:
    texts = ["cp311-manylinux_2_36_x86_64", "cp311-manylinux_2_31_x86_64", "cp312-manylinux_2_36_x86_64"]
    assert list(map(str, fewest(map(read_target, texts)))) == texts[1:]
