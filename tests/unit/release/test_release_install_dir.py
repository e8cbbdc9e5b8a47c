"""An install directory on a host: whole versions or none, a `current` that leads somewhere, the two before kept.

The releases here are as small as one can be: their `bin/amoc` makes the mark of a complete environment, or fails.
"""

import fcntl
import getpass
import hashlib
import importlib
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tools.release.archive import pack

ROLE = Path(__file__).parents[3] / "ansible/roles/amoc/module_utils"
GOOD = b'#!/bin/sh\nset -eu\nhome=$(dirname "$0")/..\nmkdir -p "$home/venv"\ntouch "$home/venv/.complete"\n'
BAD = b"#!/bin/sh\necho 'amoc: no room for venv'\nexit 1\n"
USER = getpass.getuser()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    # where Ansible puts it for the host's modules
    above = importlib.import_module("ansible.module_utils")
    monkeypatch.setattr(above, "__path__", [*above.__path__, str(ROLE)])
    return importlib.import_module("ansible.module_utils.amoc_dir")


@pytest.fixture
def place(module: Any, tmp_path: Path) -> Any:
    made = module.InstallDir(str(tmp_path / "home" / "amoc"), "slave")
    made.claim(USER)
    return made


def release(folder: Path, name: str, program: bytes = GOOD, *, damaged: bool = False) -> str:
    digest = hashlib.sha256(b"other" if damaged else program).hexdigest()
    manifest = json.dumps({"id": name, "files": {"bin/amoc": digest}}).encode()
    path = folder / f"{name}.tar.gz"
    pack(path, "amoc-0", {"bin/amoc": (program, True), "RELEASE": (manifest, False)})
    return str(path)


def deploy(place: Any, folder: Path, name: str) -> None:
    place.install(release(folder, name), name, "")
    place.activate(name, 2)


def test_the_two_versions_before_are_kept_and_links_lead_to_the_last(place: Any, tmp_path: Path) -> None:
    for name in ("v1", "v2", "v3", "v4"):
        deploy(place, tmp_path, name)
    assert place.versions() == ["v2", "v3", "v4"]
    assert place.history() == ["v2", "v3", "v4"]
    assert place.current() == "v4"
    assert os.path.samefile(place.at("bin"), place.at("versions", "v4", "bin"))


def test_back_and_forth(place: Any, module: Any, tmp_path: Path) -> None:
    for name in ("v1", "v2", "v3"):
        deploy(place, tmp_path, name)
    place.roll_back("v1", 2)
    assert (place.current(), place.history()) == ("v1", ["v1"])
    assert place.versions() == ["v1", "v2", "v3"]
    with pytest.raises(module.Problem, match=r"version v3 was never in use .*: there are v1"):
        place.roll_back("v3", 2)
    place.activate("v3", 2)
    assert place.history() == ["v1", "v3"]


@pytest.mark.parametrize(
    ("program", "damaged", "said"),
    [(BAD, False, "no room for venv"), (GOOD, True, r"bin/amoc of the release is missing or damaged")],
)
def test_a_version_that_cannot_be_installed_leaves_the_one_in_use_alone(
    place: Any, module: Any, tmp_path: Path, program: bytes, *, damaged: bool, said: str
) -> None:
    deploy(place, tmp_path, "v1")
    with pytest.raises(module.Problem, match=said):
        place.install(release(tmp_path, "v2", program, damaged=damaged), "v2", "")
    assert (place.current(), place.versions()) == ("v1", ["v1"])
    with pytest.raises(module.Problem, match=r"version v2 is not in "):
        place.activate("v2", 2)
    deploy(place, tmp_path, "v2")  # the same again, with a release that is sound
    assert place.current() == "v2"


def test_an_archive_that_was_cut_short_is_no_version(place: Any, tmp_path: Path) -> None:
    path = Path(release(tmp_path, "v1"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(EOFError):
        place.install(str(path), "v1", "")
    assert (place.current(), place.versions()) == ("", [])
    assert os.listdir(place.at("versions")) == []


def test_a_link_to_nothing_is_no_version_in_use(place: Any, tmp_path: Path) -> None:
    os.symlink("versions/gone", place.at("current"))
    assert place.current() == ""
    deploy(place, tmp_path, "v1")
    assert place.current() == "v1"


def test_a_directory_that_is_not_ours_is_left_alone(module: Any, place: Any, tmp_path: Path) -> None:
    foreign = tmp_path / "precious"
    foreign.mkdir()
    (foreign / "file").touch()
    there = module.InstallDir(str(foreign), "slave")
    for work in (partial(there.claim, USER), partial(there.remove, True)):
        with pytest.raises(module.Problem, match=r"precious is there and not amoc's .*slave_install_dir in hosts"):
            work()
    with pytest.raises(module.Problem, match="master_install_dir and slave_install_dir in hosts must differ"):
        module.InstallDir(place.path, "master").claim(USER)
    assert os.listdir(foreign) == ["file"]


def test_results_stay_unless_all_is_removed(place: Any, tmp_path: Path) -> None:
    deploy(place, tmp_path, "v1")
    os.mkdir(place.at(".amoc"))
    assert place.remove(False)
    assert sorted(os.listdir(place.path)) == [".amoc", ".amoc-install"]
    assert not place.remove(False)
    assert place.remove(True)
    assert not os.path.exists(place.path)
    assert not place.remove(True)


def test_a_second_installation_waits_for_one_that_goes_on_after_its_deploy_was_killed(place: Any) -> None:
    with open(place.at(".amoc-install")) as second:
        with place.alone(), pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
