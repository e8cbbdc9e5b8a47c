"""`python -m amoc` and the command `amoc`.

Worker processes import this module again under another name (multiprocessing's spawn), so it imports nothing
until it is called.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line in `sys.argv` and exit with its code."""
    from amoc.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
