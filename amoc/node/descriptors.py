"""How many files this node's processes may open: every user's connection is one.

Workers inherit the agent's limit, so it is raised there before the first of them starts.
"""

import resource

__all__ = ["Descriptors", "raised_limit"]

OWN = 100  # descriptors that a worker needs beside its users' connections: libraries, pipes, a log or two


def raised_limit() -> int:
    """Raise this process's soft limit to the hard one; returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # the kernel's own bound lies below an unlimited hard limit
            return soft
    return hard


class Descriptors:
    """Whether the users wanted have enough of them. `limit`: of each process. Pure."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.shortage = ""  # for people; empty while there are enough
        self._said: str | None = None

    def __repr__(self) -> str:
        return f"<Descriptors {self.limit} {self.shortage}>"

    def look(self, run_id: str | None, users: int, workers: int) -> str:
        """Of run `run_id` so many users are wanted here; what is to be said of it, once a run, or nothing."""
        most = max(0, self.limit - OWN) * workers
        if self.limit < 0 or users <= most:  # RLIM_INFINITY is -1
            self.shortage = ""
            return ""
        self.shortage = (
            f"{users} users are wanted here, and {workers} workers may open {self.limit} files each: with a connection "
            f"each, only some {most} can be online; raise the hard limit (ulimit -Hn, LimitNOFILE=) or use more workers"
        )
        if self._said == run_id:
            return ""
        self._said = run_id
        return self.shortage
