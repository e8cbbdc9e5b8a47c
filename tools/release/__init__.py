"""`make rel`: a release that needs no internet where it is unpacked.

Runs on the machine of whoever builds, as `python -m tools.release`. A release is for *targets*, such as
`cp311-manylinux_2_36_x86_64`: the Pythons, C libraries and processors of the machines it goes to, which need not be
the builder's. What it holds, in a directory `amoc-VERSION`:

    bin/amoc                 makes the virtual environment at its first use, then is the command line
    bin/amoc-remote          what a master may do here over ssh: start, stop, status
    lib/install.py           makes that virtual environment, from the wheels beside it and nothing else
    wheels/                  amoc, and everything that it and the scenarios need
    locks/TARGET.txt         which of these wheels a target gets, with their hashes
    scenarios/, app.config   for a test from the unpacked release
    RELEASE                  JSON: version, id, targets, every file's hash

`targets` and `requirements` (pure) say what for and what is needed, `closure` (pure) what that needs in turn,
`wheels` asks pip, `config` renders app.config, `archive` packs, `build` does all of it.
"""

__all__: list[str] = []
