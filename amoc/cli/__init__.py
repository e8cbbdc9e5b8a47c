"""The command line: arguments in, exit code out; what is done is done by the packages below.

Each command is a module here with a `run(arguments)`, imported when it is used, so that `amoc --help` and
shell scripts are quick. `main` gives errors their form and exit codes: 0 done, 1 it failed, 2 wrong use,
130 interrupted. May import everything.
"""

__all__: list[str] = []
