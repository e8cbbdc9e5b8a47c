"""Open files: the limit is raised, and said when it is too low for the users wanted."""

import resource
import subprocess
import sys

from amoc.node.descriptors import Descriptors

RAISE = """
import resource
from amoc.node.descriptors import raised_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
assert raised_limit() == 300
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, 300)
assert raised_limit() == 300
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    subprocess.run([sys.executable, "-c", RAISE], check=True, timeout=60)


def test_enough_for_the_users() -> None:
    files = Descriptors(1124)
    assert files.look("r1", 2048, 2) == ""
    assert files.shortage == ""


def test_too_few_for_the_users_is_said_once_a_run() -> None:
    files = Descriptors(1124)
    said = files.look("r1", 2049, 2)
    assert said.startswith("2049 users are wanted here, and 2 workers may open 1124 files each: ")
    assert "only some 2048 can be online" in said
    assert files.look("r1", 3000, 2) == ""
    assert files.shortage.startswith("3000 users")
    assert files.look("r1", 10, 2) == files.shortage == ""
    assert files.look("r2", 3000, 2).startswith("3000 users")


def test_without_a_limit() -> None:
    assert Descriptors(resource.RLIM_INFINITY).look("r1", 10**9, 1) == ""
