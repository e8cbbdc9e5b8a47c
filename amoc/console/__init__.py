"""The shell of a node: the REPL, the socket between it and the node process, and nodes in the background.

`server` runs in the node process, `client`, `repl`, `screen`, `names` and `supervise` in the console's (or
in a command's); `protocol`, `lines` and `render` are pure and serve both. `node_dir` and `daemon` are about
node processes seen from outside: their directory, starting and stopping them.
May import: operations.
"""

__all__: list[str] = []
