"""What is typed at a slave's shell. Pure: text in, text out.

The one place where a command line is put together: every word that is not ours is quoted.
"""

import shlex

__all__ = ["NOT_THERE", "RUNS_ALREADY", "start_command", "stop_command"]

NOT_THERE = 97
"""Exit code: there is no amoc in the directory. Neither amoc nor a shell uses it for anything else."""

RUNS_ALREADY = "runs already"
"""Printed instead of starting a second one."""


def start_command(path: str, name: str) -> str:
    """Start the slave installed in `path` under `name`, unless it runs; a path that is not absolute is below home."""
    options = f"--set role=slave --set node_name={shlex.quote(name)}"
    return _in(
        path,
        f"if bin/amoc ping >/dev/null 2>&1; then echo {shlex.quote(RUNS_ALREADY)}; "
        f"else exec bin/amoc start {options}; fi",
    )


def stop_command(path: str) -> str:
    """Stop the slave installed in `path`, and its users with it."""
    return _in(path, "exec bin/amoc stop")


def _in(path: str, script: str) -> str:
    """Run `script` where `app.config` is, by `sh`: the login shell may be another one, with another grammar.

    It starts in the home directory, so `~/` needs no shell to expand it.
    """
    there = shlex.quote(path.removeprefix("~/") or ".")
    return f"exec sh -c {shlex.quote(f'cd -- {there} 2>/dev/null && test -x bin/amoc || exit {NOT_THERE}; {script}')}"
