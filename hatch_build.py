"""Compiles amoc's shared XML parser, if this machine can; else amoc does the same in Python, at twice the price.

The file's name ends in the Python and the platform that it is for, and no other Python looks at it: so a wheel
that has it is still one for all of them.
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("amoc/xmpp/core/_shared.c")
FLAGS = [
    "-O2",
    "-fPIC",
    "-shared",
    "-s",
    "-DNDEBUG",
]  # no debug information, so that the same source makes the same file


class CompiledParser(BuildHookInterface[Any]):
    """Runs for wheels, editable ones among them: those find the file beside its source."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the file into the wheel."""
        if os.environ.get("AMOC_PURE_PYTHON"):
            return
        source = Path(self.root, SOURCE)
        target = compiled_name(source)
        reason = compile_parser(source, target)
        if reason:
            target.unlink(missing_ok=True)  # of an older source
        elif version != "editable":
            build_data["force_include"][str(target)] = str(SOURCE.with_name(target.name))


def compiled_name(source: Path) -> Path:
    """Where this Python looks for what is made of `source`."""
    return source.with_name(f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}")


def compile_parser(source: Path, target: Path) -> str:
    """Make `target` of `source`; why that cannot be done, or ""."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    headers = sysconfig.get_path("include")
    if shutil.which(compiler[0]) is None:
        return f"there is no C compiler ({compiler[0]}); on Debian: apt-get install gcc libc6-dev python3-dev"
    if not Path(headers, "Python.h").is_file():
        return f"{headers} has no Python.h; on Debian: apt-get install python3-dev"
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:  # a running amoc keeps the file that it has
        made = Path(scratch, target.name)
        command = [*compiler, *FLAGS, f"-I{headers}", "-o", str(made), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{compiler[0]} failed: {(done.stderr.strip().splitlines() or ['without a word'])[0]}"
        made.replace(target)
    return ""
