"""A test on many nodes from a script of one's own: `from amoc import dist`.

    from amoc import dist

    dist.do("mongoose_simple", 1, 10_000, interarrival=20)
    print(dist.nodes())
    dist.stop()

The functions are the operations `dist.*`: do, add, remove, update_settings, stop, status, users, nodes, ping_nodes,
start_nodes, stop_nodes. They are carried out by the master that runs in this directory (`.amoc`, or the environment's
AMOC_DIR; `amoc start` or `amoc cluster up` starts one), which goes on when the script ends. Each call blocks until
it is done and raises BadInput or Failed (`amoc.errors`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from amoc.console import daemon
from amoc.console.node_dir import NodeDir
from amoc.operations import TABLE, Operation

__all__ = [operation.verb for operation in TABLE.values() if operation.group == "dist"]


def _function(operation: Operation) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with daemon.connect(NodeDir.chosen(None)) as connection:
            return connection.call(operation.name, args, kwargs)

    run.__name__ = run.__qualname__ = operation.verb
    run.__doc__ = operation.doc.replace("amoc_dist.", "dist.")
    run.__signature__ = operation.signature  # type: ignore[attr-defined]  # inspect looks for it (PEP 362)
    return run


globals().update({verb: _function(TABLE[f"dist.{verb}"]) for verb in __all__})

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Any]:
        """The functions made above."""
