"""The service user on a host: its account, its paths, and work that is done as this user and not as root.

Runs on the host, by Ansible's modules beside it: Python 3.8 and nothing but its library.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import resource
from collections.abc import Callable
from typing import Any


class Problem(Exception):
    """What is wrong and what to do, in one line."""


def as_user(user: str, work: Callable[[], Any], fileno: int = 0) -> Any:
    """What `work()` returns (JSON's kinds of data), done by `user`, in a process of its own. Root may be anybody.

    `fileno`: files that the process, and those that it starts, may have open; 0: as many as we may.
    Raises Problem for what went wrong there.
    """
    entry = account(user)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(ours)
            answer = _become_and(entry, work, fileno)
            with open(theirs, "w", encoding="utf-8") as pipe:
                json.dump(answer, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    with open(ours, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(said or '{"problem": "the process ended without a word (killed?)"}')
    if "problem" in answer:
        raise Problem(answer["problem"])
    return answer["done"]


def _become_and(entry: pwd.struct_passwd, work: Callable[[], Any], fileno: int) -> dict[str, Any]:
    try:
        if fileno:
            _allow_files(fileno)
        if os.geteuid() != entry.pw_uid:
            os.initgroups(entry.pw_name, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        os.environ.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
        os.chdir("/")
        return {"done": work()}
    except Problem as problem:
        return {"problem": str(problem)}
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return {"problem": f"{where}{error.strerror or error}"}
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}


def _allow_files(count: int) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    except (ValueError, OSError):  # ValueError: beyond the hard limit, and not root; beyond fs.nr_open
        raise Problem(
            f"this host does not let a process open {count} files: choose a lower fileno in hosts, such as 20000"
        ) from None


def account(user: str) -> pwd.struct_passwd:
    """The account of `user`. Raises Problem if there is none."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise Problem(f"there is no user {user}: run make prepare") from None


def group_of(user: str) -> str:
    """The name of the user's own group."""
    return grp.getgrgid(account(user).pw_gid).gr_name


def expand(path: str, home: str) -> str:
    """`~/amoc` in the home of the service user; an absolute path stays. Raises Problem for any other."""
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    if not os.path.isabs(path) or os.path.normpath(path) in ("/", os.path.normpath(home)):
        raise Problem(
            f"the install directory {path!r} must be a directory of its own, absolute or below ~/: change it in hosts"
        )
    return os.path.normpath(path)
