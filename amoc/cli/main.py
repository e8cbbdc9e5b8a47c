"""From argv to an exit code: finds the command, runs it, gives every error its one line."""

import importlib
import os
import sys
from collections.abc import Sequence

from amoc.cli.arguments import parse
from amoc.errors import AmocError, BadInput

__all__ = ["run"]

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def run(argv: Sequence[str]) -> int:
    """Carry out the command line `argv` (without the program's name); the exit code."""
    try:
        arguments = parse(argv)
        command = importlib.import_module(f"amoc.cli.{arguments.module}")
        code: int = command.run(arguments)
        sys.stdout.flush()
        return code
    except AmocError as error:
        _say(str(error))
        return WRONG_USE if isinstance(error, BadInput) else FAILED
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        _say(f"{error.filename or 'system'}: {error.strerror or error}")
        return FAILED


def _say(text: str) -> None:
    print("amoc: " + " ".join(text.split()), file=sys.stderr)
