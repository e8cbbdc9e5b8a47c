"""Finding a user's function by its name, "module:function"."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from amoc.errors import BadInput

__all__ = ["find"]


def find(name: str) -> Callable[..., Any]:
    """The function that `name` stands for; the module is looked for where Python does, and in the current directory.

    Raises BadInput, one line, when there is none.
    """
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: object = getattr(import_module(module), function)
    except ImportError as error:
        raise BadInput(f"distribution {name}: {error}") from None
    except AttributeError:
        raise BadInput(f"distribution {name}: {module} has no {function}") from None
    except Exception as error:
        raise BadInput(f"distribution {name}: {module} cannot be imported: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise BadInput(f"distribution {name}: it is no function")
    return found
