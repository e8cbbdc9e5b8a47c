"""The machine a run came from: figures from different machines do not compare."""

import os
import platform
from typing import Any

import psutil

__all__ = ["machine"]


def machine() -> dict[str, Any]:
    """Host name, system, Python, cores that this process may use, memory in bytes, load average of 1 min."""
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cores": len(os.sched_getaffinity(0)),
        "memory": psutil.virtual_memory().total,
        "load_1m": round(os.getloadavg()[0], 2),
    }
